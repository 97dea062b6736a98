//! The language of a region: an automaton over tokens, and the end-of-text tokens that may follow its strings.
//!
//! An answer may be shorter than its canvas: from an accepting state, end-of-text or end-of-turn leads to one more state, in
//! which end-of-text fills the rest. A run of masks in the prompt has no such end, so its string has exactly its length.

use std::sync::Arc;

use llada_core::automaton::{Edge, TokenDfa};

use crate::SpecialTokens;

/// The strings that a region may hold.
#[derive(Debug)]
pub(super) struct Language {
    dfa: Arc<TokenDfa>,
    /// The tokens that end a string; each is a class of its own, after those of the automaton. The first one also fills the
    /// rest.
    end_tokens: Vec<u32>,
    /// The edges of accepting states that end a string.
    end_edges: Vec<Edge>,
    /// Without ends: for each length, the states from which a string of exactly that length is accepted.
    exact: Vec<Vec<bool>>,
}

impl Language {
    /// Creates the language of an answer, which may end before its canvas does.
    pub(super) fn of_answer(dfa: Arc<TokenDfa>, special: SpecialTokens) -> Self {
        let end_tokens: Vec<u32> = std::iter::once(special.eos).chain(special.eot).collect();
        let (classes, ended) = (dfa.classes() as u32, dfa.states() as u32);
        let end_edges = (0..end_tokens.len() as u32).map(|end| Edge { class: classes + end, to: ended }).collect();
        Self { dfa, end_tokens, end_edges, exact: Vec::new() }
    }

    /// Creates the language of a region whose strings have exactly `length` tokens.
    pub(super) fn of_length(dfa: Arc<TokenDfa>, length: usize) -> Self {
        let states = 0..dfa.states() as u32;
        let mut exact = vec![states.clone().map(|state| dfa.is_accepting(state)).collect::<Vec<bool>>()];
        for shorter in 0..length {
            let rest = &exact[shorter];
            let is_live = |state| dfa.edges(state).iter().any(|edge| rest[edge.to as usize]);
            exact.push(states.clone().map(is_live).collect());
        }
        Self { dfa, end_tokens: Vec::new(), end_edges: Vec::new(), exact }
    }

    pub(super) fn start(&self) -> u32 {
        self.dfa.start()
    }

    /// Returns the number of states, of which the last is that of ended strings, if strings may end.
    pub(super) fn states(&self) -> usize {
        self.dfa.states() + usize::from(!self.end_edges.is_empty())
    }

    pub(super) fn classes(&self) -> usize {
        self.dfa.classes() + self.end_tokens.len()
    }

    /// Returns the tokens of a class, in ascending order.
    pub(super) fn members(&self, class: u32) -> &[u32] {
        match (class as usize).checked_sub(self.dfa.classes()) {
            Some(end) => self.end_tokens.get(end..=end).unwrap_or_default(),
            None => self.dfa.members(class),
        }
    }

    /// Returns the class of a token, if it occurs in the language.
    pub(super) fn class(&self, token: u32) -> Option<u32> {
        match self.end_tokens.iter().position(|&end| end == token) {
            Some(end) => Some((self.dfa.classes() + end) as u32),
            None => self.dfa.class(token),
        }
    }

    /// Returns the edges of a state.
    pub(super) fn edges(&self, state: u32) -> impl Iterator<Item = Edge> + '_ {
        let ends = if self.dfa.is_accepting(state) {
            self.end_edges.as_slice()
        } else if state as usize == self.dfa.states() {
            // What follows an end is end-of-text, so the rest of the canvas leaves no choice.
            self.end_edges.get(..1).unwrap_or_default()
        } else {
            &[]
        };
        self.dfa.edges(state).iter().chain(ends).copied()
    }

    /// Returns the state that a class leads to.
    pub(super) fn next(&self, state: u32, class: u32) -> Option<u32> {
        if (class as usize) < self.dfa.classes() {
            return self.dfa.next(state, class);
        }
        self.edges(state).find(|edge| edge.class == class).map(|edge| edge.to)
    }

    /// Returns true if a string may end in a state.
    pub(super) fn is_accepting(&self, state: u32) -> bool {
        self.is_ended(state) || self.dfa.is_accepting(state)
    }

    /// Returns true if the region can be completed from a state with `left` more tokens.
    pub(super) fn can_complete(&self, state: u32, left: usize) -> bool {
        if self.end_edges.is_empty() {
            return self.exact.get(left).is_some_and(|states| states[state as usize]);
        }
        self.distance(state).is_some_and(|distance| distance <= left)
    }

    /// Returns the least number of tokens from a state to the end of a string.
    pub(super) fn distance(&self, state: u32) -> Option<usize> {
        if self.is_ended(state) { Some(0) } else { self.dfa.distance(state) }
    }

    fn is_ended(&self, state: u32) -> bool {
        !self.end_edges.is_empty() && state as usize == self.dfa.states()
    }

    /// Follows tokens from the start; `None` if no string begins with them.
    pub(super) fn follow(&self, tokens: &[u32]) -> Option<u32> {
        let mut state = self.start();
        for &token in tokens {
            state = self.next(state, self.class(token)?)?;
        }
        Some(state)
    }
}
