//! What holds for every task: splits are disjoint, answers are right and short, equal inputs give equal examples.

use std::collections::{BTreeMap, BTreeSet};

use llada_core::rng::Noise;
use llada_tasks::{ALL, Example, GEN_LENGTH, Split, SyntheticTask, by_name, mixture};

const MANY: u64 = 4000;

/// Examples of two seeds, as training and evaluation have them.
fn examples(task: &dyn SyntheticTask, split: Split) -> Vec<Example> {
    let seed = match split {
        Split::Train => 1,
        Split::HeldOut => 2,
    };
    (0..MANY).map(|index| task.generate(split, index, Noise::new(seed))).collect()
}

#[test]
fn training_and_held_out_are_disjoint() {
    let parts: [fn(&Example) -> &str; 2] = [|example| &example.content, |example| &example.prompt];
    for part in parts {
        let of = |split| -> BTreeSet<String> {
            let all = ALL.into_iter().flat_map(|task| examples(task, split));
            all.map(|example| part(&example).to_owned()).collect()
        };
        let (train, held_out) = (of(Split::Train), of(Split::HeldOut));
        assert!(train.is_disjoint(&held_out), "{:?}", train.intersection(&held_out).next());
    }
}

/// Training says each of the facts that are asked for in one direction, and evaluation asks for it in each task's own.
#[test]
fn facts_are_seen_in_one_direction_and_asked_in_both() {
    let contents = |task, split| -> BTreeSet<(String, String)> {
        let all = examples(by_name(task).unwrap(), split);
        let parts = all.iter().map(|example| example.content.split(' ').collect::<Vec<_>>());
        parts.map(|parts| (parts[1].to_owned(), parts[2].to_owned())).collect()
    };
    let stated = contents("facts", Split::Train);
    let trained: BTreeSet<_> = contents("fact_reversal", Split::Train).into_iter().map(|(fact, _)| fact).collect();
    let along = contents("facts", Split::HeldOut);
    let against = contents("fact_reversal", Split::HeldOut);
    assert_eq!((along.len(), against.len()), (50, 50));
    assert!(along.is_subset(&stated));
    assert!(against.is_disjoint(&stated));
    assert!(along.iter().chain(&against).all(|(fact, _)| !trained.contains(fact)));
}

#[test]
fn answers_are_right_and_fit_their_canvas() {
    for task in ALL {
        for split in [Split::Train, Split::HeldOut] {
            for example in examples(task, split) {
                assert!(example.check(&example.answer), "{example:?}");
                assert!(!example.check(&example.prompt) && !example.check(""), "{example:?}");
                assert!(pieces(&example.answer) <= GEN_LENGTH - 8, "{example:?}");
            }
        }
    }
}

/// The tasks that prescribe a form do so in every question, and right answers have it.
#[test]
fn right_answers_have_the_form() {
    let formal = ["addition", "sorting", "sudoku", "template"];
    for task in ALL {
        for example in examples(task, Split::HeldOut) {
            assert_eq!(example.form.is_some(), formal.contains(&task.name()), "{example:?}");
            let Some(form) = &example.form else { continue };
            let form = regex::Regex::new(&format!("^(?:{form})$")).unwrap();
            assert!(form.is_match(&example.answer) && !form.is_match(&example.prompt), "{example:?}");
        }
    }
}

/// The answers once more, from the words of the questions.
#[test]
fn answers_follow_from_their_questions() {
    let numbers = |text: &str| -> Vec<u64> {
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
    };
    let all = |name| examples(by_name(name).unwrap(), Split::HeldOut);
    for example in all("addition") {
        assert_eq!(numbers(&example.prompt).iter().sum::<u64>(), numbers(&example.answer)[0], "{example:?}");
    }
    for example in all("sorting") {
        let mut sorted = numbers(&example.prompt);
        sorted.sort_unstable();
        assert_eq!(sorted, numbers(&example.answer), "{example:?}");
    }
    for example in all("sudoku") {
        let clues = example.prompt.split(|c: char| !c.is_ascii_digit()).find(|digits| digits.len() == 16).unwrap();
        assert!(clues.bytes().zip(example.answer.bytes()).all(|(clue, digit)| clue == b'0' || clue == digit));
        let cells: Vec<u8> = example.answer.bytes().collect();
        let houses: [fn(usize) -> usize; 3] = [|cell| cell / 4, |cell| cell % 4, |cell| cell / 8 * 2 + cell % 4 / 2];
        for house in houses {
            let digits = |number| (0..16).filter(move |&cell| house(cell) == number).map(|cell| cells[cell]);
            assert!((0..4).all(|number| digits(number).collect::<BTreeSet<_>>().into_iter().eq(b'1'..=b'4')));
        }
    }
}

/// About as many as tokens: words, digits and marks, and two more for each capitalised word, which may be an invented
/// name.
fn pieces(text: &str) -> usize {
    let words = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    let rare = words.clone().filter(|word| word.starts_with(char::is_uppercase)).count();
    let marks = text.chars().filter(|c| !c.is_alphabetic() && !c.is_whitespace()).count();
    words.count() + 2 * rare + marks
}

/// As difficult, of which the mean length of the answers is a sign. Facts are stated in training and asked for after it.
#[test]
fn splits_are_alike() {
    for task in ALL.into_iter().filter(|task| task.name() != "facts") {
        let length = |split| {
            let all = examples(task, split);
            all.iter().map(|example| example.answer.len()).sum::<usize>() as f64 / all.len() as f64
        };
        let (train, held_out) = (length(Split::Train), length(Split::HeldOut));
        assert!((train / held_out - 1.0).abs() < 0.03, "{}: {train} and {held_out}", task.name());
    }
}

#[test]
fn examples_vary_with_the_seed_and_the_index_alone() {
    for task in ALL {
        let example = |index, seed| task.generate(Split::Train, index, Noise::new(seed));
        assert_eq!(example(7, 3), example(7, 3));
        for contents in [
            (0..20).map(|seed| example(0, seed).content).collect::<BTreeSet<_>>(),
            (0..20).map(|index| example(index, 0).content).collect(),
        ] {
            assert!(contents.len() > 10, "{}: {contents:?}", task.name());
        }
    }
}

#[test]
fn held_out_questions_are_many() {
    for task in ALL {
        let prompts: BTreeSet<_> = examples(task, Split::HeldOut).into_iter().map(|example| example.prompt).collect();
        assert!(prompts.len() > 200, "{}: {}", task.name(), prompts.len());
    }
}

#[test]
fn a_mixture_takes_turns() {
    let mut counts = BTreeMap::<&str, usize>::new();
    for (task, example) in mixture(&ALL, Split::Train, Noise::new(0)).take(10 * ALL.len()) {
        let index = counts.entry(task.name()).or_default();
        assert_eq!(example, task.generate(Split::Train, *index as u64, Noise::new(0)));
        *index += 1;
    }
    assert!(counts.values().all(|&count| count == 10), "{counts:?}");
}
