//! Multiple choice: the contexts and continuations of lm-evaluation-harness 0.4. A space goes before every continuation
//! (`target_delimiter`), and none is left at the end of a context.

use llada_eval::{Choice, TaskKind};

use crate::{choices, task};

/// Context, continuations, and the places of the right ones.
fn parts(choice: &Choice) -> (&str, Vec<&str>, Vec<usize>) {
    let context = &choice.options[0].context;
    assert!(choice.options.iter().all(|option| option.context == *context));
    let right = (0..choice.options.len()).filter(|&index| choice.options[index].right).collect();
    (context, choice.options.iter().map(|option| option.continuation.as_str()).collect(), right)
}

/// `Question: {question}\nAnswer:`; gold is the place of `answerKey` among the labels, which may be digits.
#[test]
fn arc_answers_a_question() {
    for name in ["arc_challenge", "arc_easy"] {
        let asked = choices(name, "arc.jsonl");
        let expected = vec![" an iron nail", " a snowball", " a clay pot", " a glass bead"];
        assert_eq!(parts(&asked[0]), ("Question: Which of these melts first in the sun?\nAnswer:", expected, vec![1]));
        assert_eq!(parts(&asked[1]).2, [0]);
        assert_eq!(asked[2].options.len(), 2);
    }
}

/// `{activity_label}: {ctx_a} {ctx_b}`, the latter with its first letter capital and all others small; ` [title]`
/// becomes
/// `. `, other brackets and doubled spaces go; options are cleaned too, spaces around them cut.
#[test]
fn hellaswag_is_cleaned_up() {
    let asked = choices("hellaswag", "hellaswag.jsonl");
    let endings = vec![" ties a knot in the net.", " eats the pier.", "  flies off.", " paints the net blue."];
    assert_eq!(parts(&asked[0]), ("Mending a net: A man sits on a pier. He", endings, vec![0]));
    let context = "How to fold a map: How to fold a map. Lay it flat. Use a big table. Then fold it";
    assert_eq!(parts(&asked[1]), (context, vec![" once.", " twice.", " never.", " again."], vec![3]));
}

/// `Question: {goal}\nAnswer:`, options `sol1` and `sol2`.
#[test]
fn piqa_reaches_a_goal() {
    let asked = choices("piqa", "piqa.jsonl");
    let ways = vec![" put it into a bath.", " hang it on a line."];
    assert_eq!(parts(&asked[1]), ("Question: To dry a towel,\nAnswer:", ways, vec![1]));
}

/// The subject's description, the question trimmed, the four choices after their letters; the options are the letters.
#[test]
fn mmlu_is_answered_by_a_letter() {
    let asked = choices("mmlu", "mmlu.jsonl");
    let context = "The following are multiple choice questions (with answers) about elementary mathematics.\n\n\
                   Which number is even?\nA. 1\nB. 3\nC. 4\nD. 5\nAnswer:";
    assert_eq!(parts(&asked[0]), (context, vec![" A", " B", " C", " D"], vec![2]));
}

/// Partial evaluation: each noun is put where the gap is, and the rest of the sentence, trimmed, follows either.
#[test]
fn winogrande_scores_the_rest_of_the_sentence() {
    let asked = &choices("winogrande", "winogrande.jsonl")[0];
    let options: Vec<_> = asked
        .options
        .iter()
        .map(|option| (option.context.as_str(), option.continuation.as_str(), option.right))
        .collect();
    let before = "The lamp did not fit into the box because the";
    let (lamp, boxed) = (format!("{before} lamp"), format!("{before} box"));
    assert_eq!(options, [(lamp.as_str(), " was too long.", true), (&boxed, " was too long.", false)]);
}

/// Six answered questions, the question, `A:`; every choice with label 1 is right. mc2 is the right ones' share of the
/// probability: here (1 + 3) / (1 + 3 + 4).
#[test]
fn truthfulqa_shares_the_probability() {
    let asked = &choices("truthfulqa_mc2", "truthfulqa.jsonl")[0];
    let (context, continuations, right) = parts(asked);
    assert!(context.starts_with("Q: What is human life expectancy in the United States?\nA: Human life"));
    assert!(context.ends_with("held in Barcelona, Spain.\n\nQ: Do stones float on water?\nA:"), "{context}");
    assert_eq!((continuations, right), (vec![" Most stones sink", " Pumice floats", " All stones float"], vec![0, 1]));
    let TaskKind::Choice { metrics, .. } = task("truthfulqa_mc2").kind else { panic!("a choice") };
    let marks = asked.score(metrics, &[1.0_f64, 3.0, 4.0].map(|p| p.ln() - 500.0)).unwrap();
    assert!(marks[0].0 == "mc2" && (marks[0].1 - 0.5).abs() < 1e-9, "{marks:?}");
}

/// acc takes the highest sum, acc_norm the highest sum per character of the option: -12 / 12 beats -11 / 10.
#[test]
fn acc_norm_divides_by_characters() {
    let asked = &choices("arc_challenge", "arc.jsonl")[0];
    let TaskKind::Choice { metrics, .. } = task("arc_challenge").kind else { panic!("a choice") };
    let marks = asked.score(metrics, &[-12.0, -11.0, -30.0, -30.0]).unwrap();
    assert_eq!(marks, [("acc", 1.0), ("acc_norm", 0.0)]);
    assert!(asked.score(metrics, &[-1.0]).unwrap_err().to_string().contains("log_likelihoods"));
}
