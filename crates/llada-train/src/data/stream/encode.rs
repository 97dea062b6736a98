//! From records of files to rows of tokens: which answers of a conversation are learned, and which conversations are
//! not.

use std::ops::Range;

use llada_core::rng::{Domain, Noise};
use llada_model::{Message, Tokenizer, Turn};

use super::{
    format::{Conversation, Format},
    shard::RawRecord,
    tally::Reason,
};
use crate::{
    config::{Padding, SftConfig, Turns},
    data::{Record, prepare::ROLES},
};

/// What makes records of conversations.
#[derive(Debug)]
pub(super) struct Encoder {
    pub(super) tokenizer: Tokenizer,
    pub(super) sft: SftConfig,
    /// The largest number of tokens of a record with its padding.
    pub(super) max_length: usize,
    /// What draws the answer of a conversation.
    pub(super) noise: Noise,
}

impl Encoder {
    /// The record of `raw`, the row `row` of all data, in epoch `epoch`; or why it is left out.
    pub(super) fn encode(&self, raw: &RawRecord, format: Format, row: u64, epoch: u64) -> Result<Record, Reason> {
        let value = raw.value().map_err(|error| Reason::Malformed(error.to_string()))?;
        let Conversation { messages, answers } = format.conversation(value).map_err(Reason::Malformed)?;
        let mut unknown: Vec<String> = messages.iter().map(|message| message.role.clone()).collect();
        unknown.retain(|role| !ROLES.contains(&role.as_str()));
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            return Err(Reason::UnknownRoles(unknown));
        }
        let Some(&last) = answers.last() else { return Err(Reason::WithoutAnswer) };
        match self.sft.turns.unwrap_or_default() {
            Turns::Last => self.checked(self.record(&messages[..=last], &[])?),
            Turns::All => self.checked(self.record(&messages[..=last], &answers)?),
            Turns::Sampled => self.sampled(&messages, &answers, row, epoch),
        }
    }

    /// The number of bytes of the messages of `raw` to its last answer.
    pub(super) fn text_bytes(&self, raw: &RawRecord, format: Format) -> usize {
        let conversation = raw.value().ok().and_then(|value| format.conversation(value).ok());
        conversation.map_or(0, |Conversation { messages, answers }| {
            let end = answers.last().map_or(0, |last| last + 1);
            messages[..end].iter().map(|message| message.content.len()).sum()
        })
    }

    /// The record that ends with one of the answers, each as likely as any other of those that are short enough.
    fn sampled(&self, messages: &[Message], answers: &[usize], row: u64, epoch: u64) -> Result<Record, Reason> {
        let mut stream = self.noise.domain(Domain::Turn).stream(row, epoch as u32, 0);
        let mut candidates = answers.len();
        loop {
            let drawn = stream.below(candidates as u64) as usize;
            let record = self.record(&messages[..=answers[drawn]], &[]);
            match record.and_then(|record| self.checked(record)) {
                // What ends earlier is shorter, what ends later too long as well.
                Err(Reason::TooLong) if drawn > 0 => candidates = drawn,
                result => return result,
            }
        }
    }

    /// The record of `messages`, of which the last is learned, and those at `others`, as far as the template writes
    /// them as it wrote them when they were last.
    fn record(&self, messages: &[Message], others: &[usize]) -> Result<Record, Reason> {
        let whole = self.turn(messages)?;
        let (ids, last) = joined(whole);
        // Before the others are rendered, each with all that precedes it.
        let Record { ids, .. } = self.checked(Record { ids, answers: vec![last.clone()] })?;
        let mut answers = Vec::new();
        for &other in others.iter().filter(|&&other| other + 1 < messages.len()) {
            let (before, answer) = joined(self.turn(&messages[..=other])?);
            if ids.starts_with(&before) {
                answers.push(answer);
            }
        }
        answers.push(last);
        answers.retain(|answer| !answer.is_empty());
        Ok(Record { ids, answers })
    }

    fn turn(&self, messages: &[Message]) -> Result<Turn, Reason> {
        self.tokenizer.encode_turn(messages).map_err(|error| Reason::Malformed(error.to_string()))
    }

    fn checked(&self, record: Record) -> Result<Record, Reason> {
        if record.padded_length(&self.sft) > self.max_length {
            return Err(Reason::TooLong);
        }
        if record.answers.is_empty() && self.sft.padding == Padding::None {
            return Err(Reason::WithoutAnswer);
        }
        Ok(record)
    }
}

/// The tokens of a prompt and its answer, and where the answer is.
fn joined(turn: Turn) -> (Vec<u32>, Range<usize>) {
    let start = turn.prompt.len();
    let ids = [turn.prompt, turn.answer].concat();
    let end = ids.len();
    (ids, start..end)
}
