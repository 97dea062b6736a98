//! Greedy decoding from left to right, by a predictor that counts.

use std::{convert::Infallible, ops::ControlFlow, ops::Range};

use llada_core::predictor::{CacheSlot, Hidden, MaskPredictor, Recompute, Row};
use llada_infer::{Engine, InferError, SpecialTokens};

const EOS: u32 = 5;
const EOT: u32 = 8;
const MASK: u32 = 9;

/// Its next token is the last one plus one; where that is the mask, plus two would be next.
struct Counting;

/// The last token of each row.
struct Last(Vec<u32>);

impl MaskPredictor for Counting {
    type Error = Infallible;
    type Hidden<'a> = Last;

    fn padded_vocab_size(&self) -> usize {
        13
    }

    fn mask_id(&self) -> u32 {
        MASK
    }

    fn banned(&self) -> &[u32] {
        &[MASK]
    }

    fn max_sequence_length(&self) -> usize {
        16
    }

    fn forward(&mut self, batch: &[Row<'_>]) -> Result<Last, Infallible> {
        assert!(batch.iter().all(|row| row.wanted == [row.ids.len() - 1]));
        Ok(Last(batch.iter().map(|row| row.ids[row.wanted[0]]).collect()))
    }

    fn release(&mut self, _slot: CacheSlot) {}

    fn kept_bytes(&self, _length: usize, _recompute: &Recompute) -> usize {
        0
    }
}

impl Hidden for Last {
    type Error = Infallible;

    fn logits(&mut self, row: usize, _range: Range<usize>, out: &mut Vec<f32>) -> Result<(), Infallible> {
        let next = self.0[row] + 1;
        *out = (0..13).map(|id| if id < next { f32::NEG_INFINITY } else { -(id as f32) }).collect();
        Ok(())
    }
}

fn engine() -> Engine<Counting> {
    Engine::new(Counting, SpecialTokens { eos: EOS, eot: Some(EOT) })
}

#[test]
fn texts_are_continued_to_their_ends() {
    let prompts = [vec![7, 2], vec![0], vec![6], vec![8]];
    let answers = engine().continue_greedily(&prompts, 3, || ControlFlow::Continue(())).unwrap();
    let outputs: Vec<Vec<u32>> = answers.iter().map(|answer| answer.output.clone()).collect();
    // Up to the end of the text, the given length, the end of the turn; and the mask is passed over.
    assert_eq!(outputs, [vec![3, 4, 5], vec![1, 2, 3], vec![7, 8], vec![10, 11, 12]]);
    assert_eq!(answers.iter().map(|answer| answer.nfe).collect::<Vec<_>>(), [3, 3, 2, 3]);
}

#[test]
fn nothing_cannot_be_continued_and_a_stop_is_obeyed() {
    let empty = engine().continue_greedily(&[vec![]], 3, || ControlFlow::Continue(()));
    assert!(matches!(empty, Err(InferError::NothingToDo)));
    let stopped = engine().continue_greedily(&[vec![1]], 3, || ControlFlow::Break(()));
    assert!(matches!(stopped, Err(InferError::Interrupted)));
}
