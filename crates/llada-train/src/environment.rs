//! What reinforcement learning learns from: prompts, and a program that says what an answer is worth.

use std::fmt;

/// Prompts whose answers can be checked.
///
/// Rewards are plain numbers; only their differences within a group of answers to one prompt count.
pub trait Environment: fmt::Debug + Send {
    /// The number of prompts.
    fn len(&self) -> usize;

    /// Whether there is no prompt.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The token ids of prompt `index`, as the model is asked it.
    fn prompt(&self, index: usize) -> &[u32];

    /// What `answer` to prompt `index` is worth: the token ids before the first end-of-text.
    fn reward(&self, index: usize, answer: &[u32]) -> f64;
}
