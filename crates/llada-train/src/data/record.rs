//! A conversation as a row of tokens, of which some are answers; and several of them as a batch.

use std::ops::Range;

use crate::{
    config::{Padding, SftConfig},
    objective::{Answers, Rows},
};

/// A conversation as tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// What is said, to the end of the last answer, without an end of the text.
    pub ids: Vec<u32>,
    /// Where the answers are that are learned, in order.
    pub answers: Vec<Range<usize>>,
}

impl Record {
    /// The number of tokens with the end-of-text tokens that are at least to follow the last answer.
    pub(crate) fn padded_length(&self, sft: &SftConfig) -> usize {
        let length = self.ids.len();
        match sft.padding {
            Padding::None => length,
            Padding::OneEos => length + 1,
            Padding::Answer => {
                let start = self.answers.last().map_or(length, |answer| answer.start);
                (length + 1).max(start + sft.answer_length.unwrap_or(1))
            }
        }
    }
}

/// The batch of `records`, one a row, padded with `eos` as `sft` says.
pub fn rows(records: &[Record], sft: &SftConfig, eos: u32) -> Rows {
    let lengths: Vec<usize> = records.iter().map(|record| record.padded_length(sft)).collect();
    let row_length = lengths.iter().copied().max().unwrap_or(0);
    let (mut ids, mut maskable) = (Vec::new(), Vec::new());
    for (record, &length) in records.iter().zip(&lengths) {
        let end = if sft.padding == Padding::Answer { row_length } else { length };
        ids.extend(&record.ids);
        ids.resize(ids.len() + row_length - record.ids.len(), eos);
        let is_learned = |position: usize| {
            let is_padding = position >= record.ids.len() && position < end;
            is_padding || record.answers.iter().any(|answer| answer.contains(&position))
        };
        maskable.extend((0..row_length).map(is_learned));
    }
    let lengths = (sft.padding != Padding::Answer).then_some(lengths);
    let answers = Answers { maskable, lengths, ..Answers::default() }.with(sft);
    Rows { ids, row_length, answers: Some(answers) }
}

impl Answers {
    /// The same, weighed and masked as `sft` says.
    pub(crate) fn with(self, sft: &SftConfig) -> Self {
        let SftConfig { normalisation, loss_weight, complementary, .. } = *sft;
        Self { normalisation, loss_weight, complementary, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The positions of each row that may be masked, and how long the rows are.
    fn learned(sft: SftConfig) -> (Vec<Vec<usize>>, Option<Vec<usize>>) {
        let records = [
            Record { ids: vec![1, 2, 3, 4, 5], answers: vec![1..2, 3..5] },
            Record { ids: vec![6, 7], answers: std::iter::once(1..2).collect() },
        ];
        let rows = rows(&records, &sft, 9);
        let answers = rows.answers.unwrap();
        let found = answers.maskable.chunks(rows.row_length).zip(rows.ids.chunks(rows.row_length)).zip(&records);
        let of_row = found.map(|((maskable, ids), record)| {
            assert_eq!(ids[..record.ids.len()], record.ids);
            assert!(ids[record.ids.len()..].iter().all(|&id| id == 9));
            (0..ids.len()).filter(|&position| maskable[position]).collect()
        });
        (of_row.collect(), answers.lengths)
    }

    #[test]
    fn padding_is_learned_as_the_policy_says() {
        let padding = |padding| learned(SftConfig { padding, ..SftConfig::default() });
        assert_eq!(padding(Padding::Answer), (vec![vec![1, 3, 4, 5], vec![1, 2, 3, 4, 5]], None));
        assert_eq!(padding(Padding::OneEos), (vec![vec![1, 3, 4, 5], vec![1, 2]], Some(vec![6, 3])));
        assert_eq!(padding(Padding::None), (vec![vec![1, 3, 4], vec![1]], Some(vec![5, 2])));
        let filled = learned(SftConfig { answer_length: Some(5), ..SftConfig::default() });
        assert_eq!(filled, (vec![vec![1, 3, 4, 5, 6, 7], vec![1, 2, 3, 4, 5, 6, 7]], None));
    }
}
