//! The trace of a generation: the tokens that each step committed, with their positions and
//! confidences, and the positions that it masked again.
//!
//! Traces are the source of pictures of a generation, and the data of trajectory-based training
//! ([TraceRL](https://arxiv.org/abs/2509.06949)).
//!
//! ```
//! use llada_core::trace::{Commit, Trace, TraceStep};
//!
//! let commit = |position, token| Commit { position, token, confidence: 0.5 };
//! let step = |step, commits, revoked| TraceStep { step, block: 0, nfe: 1, commits, revoked, ..Default::default() };
//! let mut trace = Trace {
//!     prompt_length: 1,
//!     canvas: vec![7, 9, 9],
//!     steps: vec![step(0, vec![commit(2, 5)], vec![]), step(1, vec![commit(1, 4)], vec![])],
//! };
//! assert_eq!(trace.committed_at(), [None, Some(1), Some(0)]);
//! assert_eq!(trace.canvas_at(0), [7, 9, 5]);
//!
//! trace.steps.push(step(2, vec![], vec![2]));
//! assert_eq!(trace.committed_at(), [None, Some(1), None]);
//! assert_eq!(trace.canvas_at(2), [7, 4, 9]);
//! ```

use serde::{Deserialize, Serialize};

/// The record of a generation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The number of tokens before the answer.
    pub prompt_length: usize,
    /// The ids before the first step: the prompt, followed by the masks of the answer. Masks that were inserted later are
    /// included, so all positions are those of the final text.
    pub canvas: Vec<u32>,
    /// The steps, in the order they were taken.
    pub steps: Vec<TraceStep>,
}

/// One step of a sampler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TraceStep {
    /// The number of the step, counted from zero over all blocks.
    pub step: usize,
    /// The number of the block that was decoded, counted from zero.
    pub block: usize,
    /// The number of forward evaluations; a guided one, with its doubled batch, counts once. It is 0 if the forward of an
    /// earlier step had computed the state.
    pub nfe: usize,
    /// The number of drafted states that the forward computed beside the present one
    /// ([speculation](https://arxiv.org/abs/2510.04147)).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub drafted: usize,
    /// The tokens that the step committed, by ascending position.
    pub commits: Vec<Commit>,
    /// The positions that the step masked again, in ascending order. It does not commit a token at any of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<usize>,
    /// The positions of those commits that the request's constraint left no choice in, in ascending order. They took no
    /// forward, and their confidence is 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forced: Vec<usize>,
    /// The log-probability, in nats, that tokens drawn independently from the step's predictions satisfy the request's
    /// constraint; absent without a constraint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_mass: Option<f64>,
    /// If the request asks for them, the log-probabilities of those commits that were predicted and not forced, in their
    /// order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<TokenLogprobs>,
}

/// The log-probability of a committed token at the step that committed it, and those of its most probable alternatives.
///
/// They are the log-softmax of the guided logits, in nats, whatever the temperature and the constraint. Tokens of different
/// steps are predicted given different texts, so the sum over an answer is not the log-likelihood of the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprobs {
    /// The log-probability of the token.
    pub logprob: f32,
    /// The most probable tokens with their log-probabilities, the most probable one first.
    pub top: Vec<(u32, f32)>,
}

/// A token that replaced a mask.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// The position, counted from the start of the prompt.
    pub position: usize,
    /// The id of the token.
    pub token: u32,
    /// The confidence in the token, as the request's [`Remasking`](crate::confidence::Remasking)
    /// defines it.
    pub confidence: f32,
}

/// Returns true for a number that is not written.
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Trace {
    /// Returns, for every position of the canvas, the step that committed its token, or `None` if no step did.
    pub fn committed_at(&self) -> Vec<Option<usize>> {
        let mut committed_at = vec![None; self.canvas.len()];
        for step in &self.steps {
            for &position in &step.revoked {
                if let Some(at) = committed_at.get_mut(position) {
                    *at = None;
                }
            }
            for commit in &step.commits {
                if let Some(at) = committed_at.get_mut(commit.position) {
                    *at = Some(step.step);
                }
            }
        }
        committed_at
    }

    /// Returns the ids after step `step`.
    pub fn canvas_at(&self, step: usize) -> Vec<u32> {
        let mut canvas = self.canvas.clone();
        for taken in self.steps.iter().filter(|taken| taken.step <= step) {
            for &position in &taken.revoked {
                // Only positions that were masked at the start are committed, so the initial id is the mask.
                if let (Some(id), Some(&mask)) = (canvas.get_mut(position), self.canvas.get(position)) {
                    *id = mask;
                }
            }
            for commit in &taken.commits {
                if let Some(id) = canvas.get_mut(commit.position) {
                    *id = commit.token;
                }
            }
        }
        canvas
    }
}
