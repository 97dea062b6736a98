//! Few-shot prompts: description, worked examples each followed by an empty line, the question.

use llada_core::rng::Noise;
use llada_eval::{Shots, Style};

use crate::{choice, complaint, generation, records, task};

/// MMLU: the first of the subject, in the file's order, after one description.
#[test]
fn mmlu_takes_the_first_of_its_subject() {
    let task = task("mmlu");
    let shots = Shots::new(task, Style::Plain, &records("mmlu_dev.jsonl"), 2).unwrap();
    let questions = records("mmlu.jsonl");
    let ask = |index: usize| {
        let question = task.question(&questions[index], Style::Plain).unwrap();
        shots.before(question, index as u64, Noise::new(0))
    };
    let context = &choice(ask(0).unwrap()).options[0].context;
    let expected = "The following are multiple choice questions (with answers) about elementary mathematics.\n\n\
                    Which number is odd?\nA. 2\nB. 4\nC. 6\nD. 7\nAnswer: D\n\n\
                    What is 1 + 1?\nA. 2\nB. 3\nC. 4\nD. 5\nAnswer: A\n\n\
                    Which number is even?\nA. 1\nB. 3\nC. 4\nD. 5\nAnswer:";
    assert_eq!(context, expected);
    let error = complaint(&ask(1).unwrap_err());
    assert!(error.contains("2 shots") && error.ends_with("hint: num_fewshot 1"), "{error}");
}

/// WinoGrande: a shot is the whole sentence with the right noun.
#[test]
fn winogrande_shows_whole_sentences() {
    let (task, records) = (task("winogrande"), records("winogrande.jsonl"));
    let shots = Shots::new(task, Style::Plain, &records, 2).unwrap();
    let question = task.question(&records[0], Style::Plain).unwrap();
    let context = &choice(shots.before(question, 0, Noise::new(0)).unwrap()).options[1].context;
    let mut pieces: Vec<&str> = context.split("\n\n").collect();
    assert_eq!(pieces.pop(), Some("The lamp did not fit into the box because the box"));
    pieces.sort_unstable();
    // The question itself is no example for itself, so both others are drawn.
    assert_eq!(pieces, ["Ada thanked Bea because Bea had helped.", "Cy gave Dan the key because Dan asked for it."]);
}

#[test]
fn shots_are_drawn_anew_for_every_question() {
    let task = task("gsm8k");
    let shots = Shots::new(task, Style::Plain, &records("gsm8k.jsonl"), 1).unwrap();
    let other = r#"{"question": "What is 1 + 1?", "answer": "2\n\#### 2"}"#.replace(r"\#", "#");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), other).unwrap();
    let record = &llada_eval::read(file.path()).unwrap()[0];
    let prompt = |index, seed| {
        let question = task.question(record, Style::Plain).unwrap();
        generation(shots.before(question, index, Noise::new(seed)).unwrap()).prompt
    };
    assert_eq!(prompt(3, 0), prompt(3, 0));
    assert!(
        (0..20).any(|index| prompt(index, 0) != prompt(0, 0)) && (0..20).any(|seed| prompt(0, seed) != prompt(0, 0))
    );
    let expected = "Question: Ida has 3 pears and buys 4. How many has she?\nAnswer: She has 3 + 4 = <<3+4=7>>7 pears.\n\
                    #### 7\n\nQuestion: What is 1 + 1?\nAnswer:";
    assert!((0..20).any(|index| prompt(index, 0) == expected));
}

/// Solutions of the dataset get the closing sentence of Minerva's examples, those that have it stay as they are.
#[test]
fn math_shows_closing_sentences() {
    let (task, records) = (task("math"), records("math.jsonl"));
    let shots = Shots::new(task, Style::Plain, &records, 1).unwrap();
    let prompt = |index: usize| {
        let question = task.question(&records[index], Style::Plain).unwrap();
        generation(shots.before(question, 0, Noise::new(0)).unwrap()).prompt
    };
    let sentence =
        "$\\boxed{\\frac{1}{4}}$.\nFinal Answer: The final answer is $\\frac{1}{4}$. I hope it is correct.\n\nProblem:";
    assert!(prompt(1).contains(sentence), "{}", prompt(1));
    assert_eq!(prompt(0).matches("Final Answer").count(), 1);
}

/// MBPP: no space before the code, `[DONE]` after it.
#[test]
fn mbpp_shows_code() {
    let (task, records) = (task("mbpp"), records("mbpp.jsonl"));
    let shots = Shots::new(task, Style::Plain, &records, 1).unwrap();
    let question = task.question(&records[1], Style::Plain).unwrap();
    let prompt = generation(shots.before(question, 0, Noise::new(0)).unwrap()).prompt;
    assert!(prompt.contains("[BEGIN]\ndef inc(x):\n    return x + 1\n[DONE]\n\nYou are an expert"), "{prompt}");
}

#[test]
fn countdown_has_no_examples() {
    let error = Shots::new(task("countdown"), Style::Plain, &records("countdown.jsonl"), 1).unwrap_err();
    let error = complaint(&error);
    assert!(error.contains("countdown") && error.ends_with("hint: num_fewshot 0"), "{error}");
}
