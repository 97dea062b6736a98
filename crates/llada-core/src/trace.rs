//! The generation trace: which token was committed where, at which step, and how sure the model
//! was; and which were taken back.
//!
//! It draws the picture of a generation, and is what trajectory-based training
//! ([TraceRL](https://arxiv.org/abs/2509.06949)) learns from.
//!
//! ```
//! use llada_core::trace::{Commit, Trace, TraceStep};
//!
//! let commit = |position, token| Commit { position, token, confidence: 0.5 };
//! let step = |step, commits, revoked| TraceStep { step, block: 0, nfe: 1, commits, revoked };
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

/// Everything a generation did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The number of tokens before the answer.
    pub prompt_length: usize,
    /// The ids before the first step: the prompt, then masks and what the caller had filled in. Masks that came later
    /// are among them, and all positions are those of the final text.
    pub canvas: Vec<u32>,
    /// The steps, in the order they were taken.
    pub steps: Vec<TraceStep>,
}

/// One step of a sampler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceStep {
    /// The number of the step, counted from zero over all blocks.
    pub step: usize,
    /// The block it worked on, counted from zero.
    pub block: usize,
    /// The forward evaluations this step took; a guided one, with its doubled batch, counts once.
    pub nfe: usize,
    /// What it committed, by ascending position.
    pub commits: Vec<Commit>,
    /// The positions that it masked again, ascending; none of them is committed in the same step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<usize>,
}

/// A token that took the place of a mask.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// Where, counted from the start of the prompt.
    pub position: usize,
    /// The token.
    pub token: u32,
    /// The confidence by which the position was chosen, as its
    /// [`Remasking`](crate::confidence::Remasking) defines it.
    pub confidence: f32,
}

impl Trace {
    /// For every position of the canvas, the step that committed the token that stands there; `None` where none does.
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

    /// The ids after the step numbered `step`.
    pub fn canvas_at(&self, step: usize) -> Vec<u32> {
        let mut canvas = self.canvas.clone();
        for taken in self.steps.iter().filter(|taken| taken.step <= step) {
            for &position in &taken.revoked {
                // What was committed was a mask at first.
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
