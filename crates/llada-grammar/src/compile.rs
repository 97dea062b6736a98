//! From an automaton over bytes to one over the tokens of a vocabulary.
//!
//! A state of the one is a state of the other. From each state that tokens reach, a walk over the tree of their bytes finds
//! where every token leads. A first pass over the states splits the tokens into classes, without keeping these rows; a
//! second one follows one token of each class.

use std::collections::HashMap;

use llada_core::automaton::{Edge, State, TokenDfa};
use rayon::prelude::*;

use crate::{
    GrammarError, Vocabulary,
    bytes::{ByteDfa, DEAD, Partition},
    limits::Budget,
    vocabulary::Trie,
};

/// How many states are walked from at once. Their rows are in memory together.
const AT_ONCE: usize = 32;

/// The states that tokens reach.
struct Reached {
    /// The states of the automaton over bytes.
    states: Vec<u32>,
    /// The number of each state of the automaton over bytes in `states`, or [`DEAD`].
    numbers: Vec<u32>,
}

/// The texts that lead to a state.
struct Group {
    to: u32,
    texts: Vec<u32>,
}

/// Returns the automaton over tokens that accepts the texts of a language.
pub(crate) fn compile(dfa: &ByteDfa, vocabulary: &Vocabulary, budget: &Budget) -> Result<TokenDfa, GrammarError> {
    if dfa.states() == 0 {
        return Err(GrammarError::Empty);
    }
    let trie = vocabulary.trie();
    let mut classes = Partition::new(trie.texts());
    let reached = explore(dfa, trie, &mut classes, budget)?;
    let tokens: Vec<&[u8]> = (0..classes.blocks() as u32)
        .map(|class| vocabulary.bytes(trie.token(classes.members(class)[0])).unwrap_or_default())
        .collect();
    let mut states = Vec::with_capacity(reached.states.len());
    let mut edges = 0;
    for chunk in reached.states.chunks(AT_ONCE) {
        budget.check_time()?;
        let chunk: Vec<State> = chunk.par_iter().map(|&state| state_of(dfa, state, &tokens, &reached)).collect();
        edges += chunk.iter().map(|state| state.edges.len()).sum::<usize>();
        budget.check_bytes(edges * size_of::<Edge>())?;
        states.extend(chunk);
    }
    let class_of: Vec<_> = trie.text_of().iter().map(|text| text.map(|text| classes.block(text))).collect();
    let automaton = merged(TokenDfa::new(&class_of, states)?)?;
    if automaton.distance(automaton.start()).is_none() {
        return Err(GrammarError::Unwritable);
    }
    Ok(automaton)
}

/// Finds the states that tokens reach, and splits their texts into those that lead from each state to the same one.
fn explore(dfa: &ByteDfa, trie: &Trie, classes: &mut Partition, budget: &Budget) -> Result<Reached, GrammarError> {
    let mut reached = Reached { states: vec![0], numbers: vec![DEAD; dfa.states()] };
    reached.numbers[0] = 0;
    let mut at = 0;
    while at < reached.states.len() {
        budget.check_time()?;
        let chunk = &reached.states[at..reached.states.len().min(at + AT_ONCE)];
        let rows: Vec<Vec<Group>> = chunk.par_iter().map(|&state| row(dfa, trie, state)).collect();
        at += rows.len();
        for Group { to, texts } in rows.into_iter().flatten() {
            classes.refine(&texts, |_, _, _| ());
            if reached.numbers[to as usize] == DEAD {
                reached.numbers[to as usize] = reached.states.len() as u32;
                reached.states.push(to);
            }
        }
        budget.check_states(reached.states.len())?;
    }
    Ok(reached)
}

/// Returns the texts that lead on from a state, by the state that they lead to.
fn row(dfa: &ByteDfa, trie: &Trie, state: u32) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut places = HashMap::new();
    let mut last = (DEAD, 0);
    let next = |state, byte| Some(dfa.next(state, byte)).filter(|&to| to != DEAD);
    trie.walk(state, next, |text, to| {
        // Neighbours in the tree often lead to the same state.
        if last.0 != to {
            let place = *places.entry(to).or_insert(groups.len());
            if place == groups.len() {
                groups.push(Group { to, texts: Vec::new() });
            }
            last = (to, place);
        }
        groups[last.1].texts.push(text);
    });
    groups
}

/// Returns a state with its edges; `tokens` are the bytes of one token of each class.
fn state_of(dfa: &ByteDfa, state: u32, tokens: &[&[u8]], reached: &Reached) -> State {
    let mut edges = Vec::new();
    for (class, bytes) in (0..).zip(tokens) {
        let next = |state, &byte: &u8| Some(dfa.next(state, byte)).filter(|&to| to != DEAD);
        if let Some(to) = bytes.iter().try_fold(state, next) {
            edges.push(Edge { class, to: reached.numbers[to as usize] });
        }
    }
    State { is_accepting: dfa.is_accepting(state), edges }
}

/// Merges classes that lead to the same states. There are such if the vocabulary cannot write what some states ask for, so
/// that edges to them are dropped.
fn merged(automaton: TokenDfa) -> Result<TokenDfa, GrammarError> {
    let mut columns = vec![Vec::new(); automaton.classes()];
    for state in 0..automaton.states() as u32 {
        for edge in automaton.edges(state) {
            columns[edge.class as usize].push((state, edge.to));
        }
    }
    let mut numbers: HashMap<&[(u32, u32)], u32> = HashMap::new();
    let mut class_of = vec![None; automaton.tokens()];
    for (class, column) in (0..).zip(&columns).filter(|(_, column)| !column.is_empty()) {
        let next = numbers.len() as u32;
        let number = *numbers.entry(column).or_insert(next);
        automaton.members(class).iter().for_each(|&token| class_of[token as usize] = Some(number));
    }
    if numbers.len() == automaton.classes() {
        return Ok(automaton);
    }
    let mut states: Vec<State> = (0..automaton.states() as u32)
        .map(|state| State { is_accepting: automaton.is_accepting(state), edges: Vec::new() })
        .collect();
    for (column, &class) in &numbers {
        for &(state, to) in *column {
            states[state as usize].edges.push(Edge { class, to });
        }
    }
    Ok(TokenDfa::new(&class_of, states)?)
}
