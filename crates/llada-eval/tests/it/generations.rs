//! Generation: prompts, what is read out of an answer, and what of it is right.

use llada_eval::{FreeFormQuestion, Style};

use crate::generations;

fn marks(question: &FreeFormQuestion, written: &str) -> Vec<f64> {
    question.judge(written).marks.into_iter().map(|(_, value)| value).collect()
}

/// The harness: strict takes the number after `#### `, flexible the last number; commas, dollars and a full stop at the
/// end do not count. The text ends at the next `Question:`.
#[test]
fn gsm8k_takes_the_number() {
    let asked = &generations("gsm8k", "gsm8k.jsonl", Style::Plain)[1];
    assert_eq!(asked.prompt, "Question: A cart holds 1,200 bricks. How many do 2 carts hold?\nAnswer:");
    for (written, expected) in [
        (" 2 * 1200 = 2400.\n#### 2400\n\nQuestion: 7?", [1.0, 1.0]),
        (" They hold $2,400.", [0.0, 1.0]),
        (" #### 2,400. Or 3?", [1.0, 0.0]),
        (" 1200", [0.0, 0.0]),
        ("", [0.0, 0.0]),
    ] {
        assert_eq!(marks(asked, written), expected, "{written}");
    }
    assert_eq!(asked.judge(" so 5").answer.as_deref(), Some("5"));
}

/// Minerva's prompt and closing sentence; flexible also takes the last box.
#[test]
fn math_takes_the_final_answer() {
    let asked = &generations("math", "math.jsonl", Style::Plain)[0];
    assert_eq!(asked.prompt, "Problem:\nFind half of one half.\n\nSolution:");
    for (written, expected) in [
        (" Final Answer: The final answer is $\\frac14$. I hope it is correct.\n\nProblem: 5", [1.0, 1.0]),
        (" It is $\\boxed{0.25}$.", [0.0, 1.0]),
        (" \\boxed{\\frac{1}{4}} Final Answer: The final answer is $4$. I hope it is correct.", [0.0, 0.0]),
        (" 1/4", [0.0, 0.0]),
    ] {
        assert_eq!(marks(asked, written), expected, "{written}");
    }
}

/// `eval_reverse.py`: right is what contains the line.
#[test]
fn poems_go_both_ways() {
    let forward = &generations("poem_forward", "poems.json", Style::Chat)[0];
    assert_eq!(forward.prompt, "山中有一灯，的下一句是什么？ 直接输出句子即可。");
    assert_eq!((marks(forward, "是“灯下读书人。”"), marks(forward, "灯下读书人")), (vec![1.0], vec![0.0]));
    let reversal = &generations("poem_reversal", "poems.json", Style::Chat)[0];
    assert_eq!(reversal.prompt, "灯下读书人。的上一句是什么？ 直接输出句子即可。");
    assert_eq!(marks(reversal, "山中有一灯，"), [1.0]);
}

/// TinyZero: in the tags of the last line, every number once, and Python's value; `flexible_extract` looks further.
#[test]
fn countdown_is_exact() {
    let asked = &generations("countdown", "countdown.jsonl", Style::Plain)[0];
    assert!(asked.prompt.contains("8, 3, 8, 3") && asked.prompt.contains("equals 24"), "{}", asked.prompt);
    for (written, expected) in [
        ("So <answer>8 / (3 - 8 / 3)</answer>.", [1.0, 1.0]),
        ("<answer>-8 / -(3 - 8 / 3)</answer>", [1.0, 1.0]),
        ("<answer>8 / (3 - 8 / 3) = 24</answer>", [0.0, 1.0]),
        ("<answer>8 ÷ (3 − 8 / 3)</answer>", [0.0, 1.0]),
        ("<answer>8 / (3 - 8 / 3)</answer>\nDone.", [0.0, 1.0]),
        ("first\n8 / (3 - 8 / 3) = 24", [0.0, 1.0]),
        ("<answer>8 * 3</answer>", [0.0, 0.0]),
        ("<answer>8 + 8 + 8</answer>", [0.0, 0.0]),
        ("<answer>3 * (8 + 3 - 8)</answer>", [0.0, 0.0]),
        ("", [0.0, 0.0]),
    ] {
        assert_eq!(marks(asked, written), expected, "{written}");
    }
}

/// Given digits stay, and every row, column and box has all four digits; any such grid is right.
#[test]
fn sudokus_keep_the_rules() {
    let asked = &generations("sudoku", "sudoku.jsonl", Style::Plain)[0];
    assert!(asked.prompt.contains(": 1230341221434320\n"), "{}", asked.prompt);
    for (written, expected) in [
        ("The 4x4 grid: <answer>1234 3412 2143 4321</answer>", 1.0),
        ("of 4x4:\n1234\n3412\n2143\n4321", 1.0),
        ("<answer>1234341221434312</answer>", 0.0),
        ("<answer>2134341221434321</answer>", 0.0),
        ("<answer>123434122143432</answer>", 0.0),
        ("", 0.0),
    ] {
        assert_eq!(marks(asked, written), [expected], "{written}");
    }
    // No grid keeps all rules here: the dataset's own solution is right.
    let record = serde_json::json!({"Puzzle": "0004432131421203", "Solution": "2134432131421243"});
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), record.to_string()).unwrap();
    let question = crate::task("sudoku").question(&llada_eval::read(file.path()).unwrap()[0], Style::Plain).unwrap();
    assert_eq!(marks(&crate::generation(question), "<answer>2134432131421243</answer>"), [1.0]);
}

/// The prompt is continued up to the next thing at the left margin; in a chat, the first block of code counts. Nothing
/// is marked: a sandbox is needed.
#[test]
fn humaneval_hands_completions_on() {
    let plain = &generations("humaneval", "humaneval.jsonl", Style::Plain)[0];
    assert_eq!(plain.prompt, "def twice(x):\n    \"\"\"Returns x doubled.\"\"\"\n");
    let judged = plain.judge("    return x + x\n\nprint(twice(2))");
    assert_eq!((judged.answer.as_deref(), judged.marks.len()), (Some("    return x + x\n"), 0));
    assert_eq!(plain.task_id, Some("Test/0".into()));

    let chat = &generations("humaneval", "humaneval.jsonl", Style::Chat)[0];
    assert!(chat.prompt.starts_with("Write a solution") && chat.prompt.ends_with("doubled.\"\"\"\n\n```\n"));
    let judged = chat.judge("Here:\n```python\ndef twice(x):\n    return 2 * x\n```\nDone.");
    assert_eq!(judged.answer.as_deref(), Some("\ndef twice(x):\n    return 2 * x\n"));
}

/// The description, the tests, `[BEGIN]`; up to `[DONE]`.
#[test]
fn mbpp_hands_completions_on() {
    let asked = &generations("mbpp", "mbpp.jsonl", Style::Plain)[0];
    let expected = "You are an expert Python programmer, and here is your task: Write a function to add one. Your code \
                    should pass these tests:\n\nassert inc(1) == 2\nassert inc(0) == 1\nassert inc(-1) == 0\n[BEGIN]\n";
    assert_eq!((asked.prompt.as_str(), &asked.task_id), (expected, &Some(901.into())));
    assert_eq!(asked.judge("def inc(x): return x + 1\n[DONE]\n").answer.as_deref(), Some("def inc(x): return x + 1\n"));
    let chat = &generations("mbpp", "mbpp.jsonl", Style::Chat)[0];
    assert!(chat.prompt.ends_with("\nassert inc(0) == 1\nassert inc(-1) == 0"), "{}", chat.prompt);
}
