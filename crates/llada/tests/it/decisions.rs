//! Decisions: the probabilities of the options of a question.

use llada::{Error, Question, QuestionKind, ScoreConfig, Verdict};
use serde_json::{Value, json};

use crate::tiny;

fn choice(instructions: &str, choices: &[&str]) -> Question {
    Question::new(instructions, QuestionKind::Choice { choices: choices.iter().map(|&choice| choice.into()).collect() })
}

#[test]
fn options_are_whole_answers_of_one_length_of_which_what_differs_is_scored() {
    let model = tiny();
    let (tokenizer, eos) = (model.tokenizer().unwrap(), model.special_tokens().eos);
    let encode = |choices: &[&str]| choice("What is 345 + 78?", choices).encode("", tokenizer, eos).unwrap();
    let text = |ids: &[u32]| tokenizer.decode_with_special(ids).unwrap();

    // Digits are tokens: one differs, and what is on either side of it is given.
    let one_digit = encode(&["423", "413"]);
    assert_eq!([text(&one_digit[0].answer), text(&one_digit[1].answer)], ["2", "1"]);
    assert!(text(&one_digit[0].prompt).ends_with('4') && text(&one_digit[0].suffix).starts_with('3'));

    let lengths = encode(&["423", "4", "1423"]);
    let answers: Vec<&[u32]> = lengths.iter().map(|request| request.answer.as_slice()).collect();
    assert!(answers.iter().all(|answer| answer.len() == answers[0].len()), "{answers:?}");
    assert_eq!(answers[1].iter().rev().take_while(|&&id| id == eos).count(), 3, "{}", text(answers[1]));
    assert!(lengths.iter().all(|request| request.prompt == lengths[0].prompt && request.suffix == lengths[0].suffix));
}

#[test]
fn what_the_model_knows_is_probable_whatever_the_lengths_of_the_options() {
    let mut model = tiny();
    let config = ScoreConfig { mc_num: 16, ..ScoreConfig::default() };
    for (question, right) in [
        (choice("What is 345 + 78?", &["413", "423"]), "423"),
        (choice("What is 345 + 78?", &["42", "1423", "423", "4"]), "423"),
        (choice("Reverse this list: fox, milk.", &["fox, milk", "milk, fox"]), "milk, fox"),
    ] {
        let decision = model.decide("", &question, &config).unwrap();
        let Verdict::Choice { choice, confidence, probabilities } = &decision.verdict else { panic!("{decision:?}") };
        assert!(choice == right && *confidence > 0.9, "{decision:?}");
        let sum: f64 = probabilities.iter().map(|option| option.probability).sum();
        assert!((sum - 1.0).abs() < 1e-9);
    }
}

#[test]
fn a_message_is_the_input_the_instructions_and_the_options_that_are_described() {
    let model = tiny();
    let tokenizer = model.tokenizer().unwrap();
    let prompt = |input: &str, question: &Question| {
        let requests = question.encode(input, tokenizer, model.special_tokens().eos).unwrap();
        tokenizer.decode(&requests[0].prompt).unwrap()
    };
    let plain = choice("Who?", &["sales", "support"]);
    assert!(prompt(" A text.\n", &plain).contains("A text.\n\nWho?"));
    assert!(!prompt("A text.", &plain).contains("support"));
    let mut described = plain.clone();
    if let QuestionKind::Choice { choices } = &mut described.kind {
        choices[1].description = Some("what is broken".to_owned());
    }
    assert!(prompt("", &described).contains("Who?\n\n- sales\n- support: what is broken"));
}

#[test]
fn questions_without_two_different_options_are_refused() {
    let mut model = tiny();
    let mut decide = |choices: &[&str]| model.decide("", &choice("Who?", choices), &ScoreConfig::default());
    assert!(matches!(decide(&["a"]), Err(Error::FewOptions { count: 1 })));
    assert!(matches!(decide(&["a", "b", "a"]), Err(Error::SameOption { option }) if option == "a"));
}

#[test]
fn answers_have_the_keys_of_decisions() {
    let mut model = tiny();
    let config = ScoreConfig { mc_num: 4, ..ScoreConfig::default() };
    let mut answer = |question: Value| -> Value {
        let question: Question = serde_json::from_value(question).unwrap();
        serde_json::to_value(model.decide("The lamp is red.", &question, &config).unwrap()).unwrap()
    };
    let predicate = answer(json!({"type": "predicate", "name": "red", "instructions": "Is it red?"}));
    assert_eq!((&predicate["type"], &predicate["name"]), (&"predicate".into(), &"red".into()));
    assert!(predicate["probability"].is_f64() && predicate["standard_error"].is_f64());

    let choice = answer(json!({"type": "choice", "instructions": "Which?", "choices": ["red", {"value": "blue"}]}));
    assert_eq!((&choice["type"], choice.get("name")), (&"choice".into(), None));
    assert!(choice["choice"] == "red" || choice["choice"] == "blue");
    assert!(choice["probabilities"][1]["value"] == "blue" && choice["probabilities"][1]["probability"].is_f64());

    let levels = json!([{"label": "dim"}, {"label": "bright"}, {"label": "blinding"}]);
    let score = answer(json!({"type": "score", "instructions": "How bright?", "levels": levels}));
    let value = |level: &Value| level["value"].as_f64().unwrap() * level["probability"].as_f64().unwrap();
    let mean: f64 = score["probabilities"].as_array().unwrap().iter().map(value).sum();
    assert!((score["score"].as_f64().unwrap() - mean).abs() < 1e-9 && score["standard_error"].is_f64());
    assert_eq!(score["probabilities"][2]["label"], "blinding");
}

#[test]
fn a_question_in_json_has_no_keys_that_are_not_read() {
    for question in [
        json!({"type": "predicate", "instructions": "Is it?", "choices": []}),
        json!({"type": "choice", "instructions": "Which?", "choices": [{"value": "a", "text": "b"}]}),
        json!({"type": "score", "instructions": "How?", "levels": ["a"], "level": 1}),
    ] {
        assert!(serde_json::from_value::<Question>(question.clone()).is_err(), "{question}");
    }
}
