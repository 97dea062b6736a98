//! What fails: a row by its forward, its head or its numbers. Its job fails with it, and no other.

use std::{cell::RefCell, ops::Range, rc::Rc};

use llada_core::{
    CoreError,
    predictor::{Hidden, MaskPredictor, Row},
    tabular::{TabularHidden, TabularPredictor},
};
use llada_infer::{Engine, InferError, JobId};
use proptest::prelude::*;

use crate::{
    MASK, SPECIAL, engine,
    engine::{Ends, LENGTH, any_config, fixed},
    predictor, request,
};

/// How a [`Faulty`] predictor fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// A forward that has a row of this many ids fails.
    Forward {
        length: usize,
    },
    /// The same, and whatever its rows kept is lost.
    LosesSlots {
        length: usize,
    },
    /// A row of this many ids has logits that are no numbers.
    NotANumber {
        length: usize,
    },
    /// A row of this many ids has no logits.
    Head {
        length: usize,
    },
}

/// A table that fails as it is told, and tells which slots it keeps.
struct Faulty {
    inner: TabularPredictor,
    fault: Rc<RefCell<Fault>>,
}

struct FaultyHidden {
    inner: TabularHidden,
    lengths: Vec<usize>,
    fault: Fault,
}

impl Faulty {
    fn engine(seed: u64, fault: Fault) -> (Engine<Self>, Rc<RefCell<Fault>>) {
        let fault = Rc::new(RefCell::new(fault));
        (Engine::new(Self { inner: predictor(LENGTH, seed), fault: fault.clone() }, SPECIAL), fault)
    }
}

impl MaskPredictor for Faulty {
    type Error = CoreError;
    type Hidden<'a> = FaultyHidden;

    as_the_table!();

    fn forward(&mut self, batch: &[Row<'_>]) -> Result<FaultyHidden, CoreError> {
        let fault = *self.fault.borrow();
        let has = |length: usize| batch.iter().any(|row| row.ids.len() == length);
        if let Fault::LosesSlots { length } = fault
            && has(length)
        {
            for slot in batch.iter().filter_map(|row| row.cache) {
                self.inner.release(slot);
            }
        }
        match fault {
            Fault::Forward { length } | Fault::LosesSlots { length } if has(length) => Err(CoreError::ZeroMass),
            _ => Ok(FaultyHidden {
                inner: self.inner.forward(batch)?,
                lengths: batch.iter().map(|row| row.ids.len()).collect(),
                fault,
            }),
        }
    }
}

impl Hidden for FaultyHidden {
    type Error = CoreError;

    fn logits(&mut self, row: usize, range: Range<usize>, out: &mut Vec<f32>) -> Result<(), CoreError> {
        self.inner.logits(row, range, out)?;
        match self.fault {
            Fault::NotANumber { length } if length == self.lengths[row] => out.fill(f32::NAN),
            Fault::Head { length } if length == self.lengths[row] => return Err(CoreError::ZeroMass),
            _ => (),
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One row fails, by its forward, its head or its numbers: its job fails, and the others are as they would be alone.
    #[test]
    fn a_row_fails_alone(configs in prop::collection::vec(any_config(), 1..6), which in 0..5_usize, culprit in 0..6_usize) {
        // The culprit alone has a prompt of two: its rows are longer than any other's.
        let length = 2 + 5;
        let fault = match which {
            0 => Fault::Forward { length },
            1 => Fault::LosesSlots { length },
            2 => Fault::NotANumber { length },
            _ => Fault::Head { length },
        };
        let (mut faulty, _) = Faulty::engine(3, fault);
        let culprit = culprit.min(configs.len());
        let mut ids = Vec::new();
        for (index, config) in configs.iter().enumerate() {
            if index == culprit {
                ids.push(faulty.submit(fixed(&[1, 2])).unwrap());
            }
            ids.push(faulty.submit(request(&[1], config.clone())).unwrap());
        }
        if culprit == configs.len() {
            ids.push(faulty.submit(fixed(&[1, 2])).unwrap());
        }
        let ends = Ends::default().finish(&mut faulty, usize::MAX);
        let failed = ids.remove(culprit);
        prop_assert_eq!(ends.errors.keys().collect::<Vec<_>>(), [&failed]);
        prop_assert_eq!(matches!(ends.errors[&failed], InferError::NotFinite { .. }), which == 2);
        prop_assert_eq!(faulty.predictor().inner.slots().count(), 0);
        for (id, config) in ids.iter().zip(configs) {
            let answer = engine(LENGTH, 3).generate(&request(&[1], config)).unwrap();
            if which == 1 {
                // What was lost was computed anew; with what was kept the answer might have been another.
                prop_assert_eq!(ends.answers[id].output.contains(&MASK), answer.output.contains(&MASK));
            } else {
                prop_assert_eq!(&ends.answers[id], &answer);
            }
        }
    }
}

/// A fault that goes away: a forward over many is repeated by halves, and nobody notices.
#[test]
fn a_passing_failure_touches_nobody() {
    let (mut faulty, fault) = Faulty::engine(3, Fault::None);
    let ids: Vec<JobId> = (0..5).map(|_| faulty.submit(fixed(&[1])).unwrap()).collect();
    let mut ends = Ends::default();
    faulty.step(usize::MAX, |id, event| ends.hear(id, event));
    // The slots of all are lost in a failure of one that is gone by the next step.
    *fault.borrow_mut() = Fault::LosesSlots { length: 7 };
    let culprit = faulty.submit(fixed(&[1, 2])).unwrap();
    faulty.step(usize::MAX, |id, event| ends.hear(id, event));
    assert_eq!(ends.errors.keys().collect::<Vec<_>>(), [&culprit]);
    *fault.borrow_mut() = Fault::None;
    let ends = ends.finish(&mut faulty, usize::MAX);
    assert!(ids.iter().all(|id| ends.answers[id].output.len() == 5));
}
