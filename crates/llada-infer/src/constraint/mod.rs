//! Constrained decoding: answers that lie in a regular language, in any order of commits.
//!
//! A step predicts all masks at once, each independently. The constraint makes one exact joint prediction of them: at
//! temperature 0 the most probable completion that is valid, above it a sample of the valid ones. The decoder may commit any
//! of its tokens, since the completion that they come from remains possible whatever is committed. Its measure of confidence
//! is the token's probability given the constraint. Positions that are left one token need no forward.
//!
//! * `language`: the automaton, and how an answer may end before its canvas does;
//! * `lattice`: the states that valid completions pass through, and the tokens that they force;
//! * `reduce`: from logits to a few numbers per class of tokens;
//! * `chain`: exact inference over the lattice, with the `weights` of classes and states;
//! * `region`: the answer, or a run of masks in the prompt.

mod chain;
mod language;
mod lattice;
mod reduce;
mod region;
#[cfg(test)]
mod tests;
mod weights;

use std::{ops::Range, sync::Arc};

use llada_core::automaton::TokenDfa;

use crate::{InferError, Request, vocabulary::Vocabulary};
use language::Language;
pub(crate) use reduce::{Logits, Measures, Reduced};
pub(crate) use region::Region;

/// Creates the regions of a request. The answer's has as many positions as the answer can have at most.
///
/// # Errors
/// If an automaton emits a token that the model or the end of an answer has for itself, or if there are more patterns than
/// runs of masks.
pub(crate) fn regions(request: &Request, vocabulary: &Vocabulary) -> Result<Vec<Region>, InferError> {
    let mut regions = Vec::new();
    let holes = runs_of(&request.prompt, vocabulary.mask_id);
    if request.hole_constraints.len() > holes.len() {
        return Err(InferError::Holes { constraints: request.hole_constraints.len(), holes: holes.len() });
    }
    for (hole, dfa) in holes.into_iter().zip(&request.hole_constraints) {
        if let Some(dfa) = dfa {
            check_tokens(dfa, vocabulary)?;
            regions.push(Region::new(Language::of_length(Arc::clone(dfa), hole.len()), hole));
        }
    }
    if let Some(dfa) = request.constraint.as_ref().filter(|dfa| !is_everything(dfa, vocabulary)) {
        check_tokens(dfa, vocabulary)?;
        let gen_length = request.config.gen_length;
        let language = if request.config.logits_eos_inf {
            Language::of_length(Arc::clone(dfa), gen_length)
        } else {
            Language::of_answer(Arc::clone(dfa), vocabulary.special)
        };
        let start = request.prompt.len();
        regions.push(Region::new(language, start..start + gen_length));
    }
    Ok(regions)
}

/// Returns the runs of masks in a prompt.
fn runs_of(prompt: &[u32], mask_id: u32) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for position in (0..prompt.len()).filter(|&position| prompt[position] == mask_id) {
        match runs.last_mut().filter(|run| run.end == position) {
            Some(run) => run.end += 1,
            None => runs.push(position..position + 1),
        }
    }
    runs
}

/// Returns true if an automaton accepts every text of the vocabulary, and so does not constrain an answer.
fn is_everything(dfa: &TokenDfa, vocabulary: &Vocabulary) -> bool {
    let is_total = |state| dfa.is_accepting(state) && dfa.edges(state).len() == dfa.classes();
    (0..dfa.states() as u32).all(is_total) && vocabulary.texts().all(|token| dfa.class(token).is_some())
}

fn check_tokens(dfa: &TokenDfa, vocabulary: &Vocabulary) -> Result<(), InferError> {
    let is_own = |token: &u32| dfa.class(*token).is_some() && !vocabulary.is_text(*token);
    match (0..dfa.tokens() as u32).find(is_own) {
        Some(token) => Err(InferError::ConstraintToken { token }),
        None => Ok(()),
    }
}
