//! The sum of two integers, of one to three digits each.

use llada_core::rng::Stream;

use crate::{Example, Split, SyntheticTask, pick};

const WORDINGS: [&str; 6] =
    ["What is {}?", "Calculate {}.", "{} = ?", "How much is {}?", "Add these numbers: {}.", "Tell me the sum: {}"];

const DIGITS: u64 = 3;

pub(crate) struct Addition;

impl SyntheticTask for Addition {
    fn name(&self) -> &'static str {
        "addition"
    }

    fn levels(&self) -> u64 {
        DIGITS * DIGITS
    }

    fn draw(&self, split: Split, level: u64, stream: &mut Stream) -> Option<Example> {
        let [a, b] = [level / DIGITS, level % DIGITS].map(|digits| integer(stream, digits as u32 + 1));
        // a + b and b + a are the same question.
        let content = format!("{} + {}", a.min(b), a.max(b));
        (Split::of(&content) == split).then(|| {
            let prompt = pick::worded(stream, &WORDINGS, &format!("{a} + {b}"));
            Example::new(content, prompt, (a + b).to_string()).of_form("0|[1-9][0-9]{0,3}".to_owned())
        })
    }
}

/// Draws an integer with this number of digits.
fn integer(stream: &mut Stream, digits: u32) -> u64 {
    let lowest = if digits == 1 { 0 } else { 10_u64.pow(digits - 1) };
    lowest + stream.below(10_u64.pow(digits) - lowest)
}
