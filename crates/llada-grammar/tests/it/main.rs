//! The tests of `llada-grammar` over whole patterns: one binary.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod example_schemas;
mod grammars;
mod limits;
mod regexes;
mod schemas;
mod synthetic;
mod vocabularies;

use llada_core::{automaton::TokenDfa, rng::Stream};
use llada_grammar::{GrammarError, Limits, Pattern, Vocabulary};

/// A vocabulary whose tokens are the bytes.
fn bytes() -> Vocabulary {
    Vocabulary::new((0..=u8::MAX).map(|byte| Some(vec![byte])).collect()).unwrap()
}

fn compile(pattern: &Pattern) -> Result<TokenDfa, GrammarError> {
    pattern.compile(&bytes(), &Limits::default())
}

/// Returns true if an automaton over bytes accepts a text.
fn accepts(automaton: &TokenDfa, text: &str) -> bool {
    automaton.accepts(&text.bytes().map(u32::from).collect::<Vec<_>>())
}

/// Draws a text that an automaton accepts: at random for a number of tokens, and then the shortest way to an end.
fn sample(automaton: &TokenDfa, vocabulary: &Vocabulary, random: &mut Stream, tokens: usize) -> Vec<u8> {
    let (mut state, mut bytes) = (automaton.start(), Vec::new());
    for step in 0.. {
        let ends = automaton.edges(state).is_empty() || random.uniform() < 0.1 || step >= tokens;
        if automaton.is_accepting(state) && ends {
            break;
        }
        let distance = automaton.distance(state).unwrap();
        let is_short = |to| step < tokens || automaton.distance(to) < Some(distance);
        let edges: Vec<_> = automaton.edges(state).iter().filter(|edge| is_short(edge.to)).collect();
        let edge = edges[random.below(edges.len() as u64) as usize];
        let members = automaton.members(edge.class);
        let token = members[random.below(members.len() as u64) as usize];
        bytes.extend_from_slice(vocabulary.bytes(token).unwrap());
        state = edge.to;
    }
    bytes
}
