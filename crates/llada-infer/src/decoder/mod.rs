//! Which of a step's predictions become tokens. One file a method.

pub(crate) mod schedule;

/// What the model predicts for one masked position.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Prediction {
    /// Position in the sequence.
    pub(crate) position: usize,
    /// The pick.
    pub(crate) token: u32,
    /// How sure it is, by the request's remasking.
    pub(crate) confidence: f32,
}
