//! Finite automata over token ids: the language that a constrained answer has to lie in.
//!
//! A vocabulary has 32 000 to 160 000 tokens, but most of them are alike to an automaton. Tokens that lead from every state
//! to the same state form a *class*; a state has one edge per class. A pattern has a few hundred classes at most, so what
//! is computed over its edges does not grow with the vocabulary.
//!
//! ```
//! use llada_core::automaton::TokenDfa;
//!
//! // Any number of the tokens 1 and 2, then token 0.
//! let transitions = [(0, 1, 0), (0, 2, 0), (0, 0, 1)];
//! let dfa = TokenDfa::from_transitions(4, &transitions, &[false, true])?;
//! assert!(dfa.accepts(&[2, 1, 0]) && !dfa.accepts(&[2, 1]));
//! assert_eq!(dfa.distance(dfa.start()), Some(1));
//! assert_eq!((dfa.classes(), dfa.members(1)), (2, [1, 2].as_slice()));
//! assert_eq!(dfa.class(3), None);
//! # Ok::<(), llada_core::CoreError>(())
//! ```

use std::collections::HashMap;

use crate::CoreError;

/// An edge of a state: each token of the class leads to the state `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Edge {
    /// The class of the tokens.
    pub class: u32,
    /// The state that they lead to.
    pub to: u32,
}

/// A state of an automaton that is to be built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// True if a string may end here.
    pub is_accepting: bool,
    /// The edges, at most one for each class.
    pub edges: Vec<Edge>,
}

/// A deterministic automaton over token ids, with classes of tokens.
///
/// Every state but the start leads to an accepting one: edges to other states are dropped when the automaton is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenDfa {
    /// The class of each token, or [`NONE`].
    class_of: Vec<u32>,
    /// The tokens of all classes, by class and then by id, and where each class starts in them.
    members: Vec<u32>,
    first_member: Vec<usize>,
    /// The edges of all states, by state and then by class, and where each state starts in them.
    edges: Vec<Edge>,
    first_edge: Vec<usize>,
    is_accepting: Vec<bool>,
    /// The least number of tokens from each state to an accepting one, or [`NONE`].
    distance: Vec<u32>,
}

/// No class, or no distance.
const NONE: u32 = u32::MAX;

impl TokenDfa {
    /// Creates an automaton that starts in the first of `states`. `class_of` has the class of each token of the vocabulary,
    /// or `None` for tokens that lead nowhere.
    ///
    /// # Shapes
    /// `class_of`: one per token id.
    ///
    /// # Errors
    /// If there is no state, if an edge has a class without tokens or leads to a state that does not exist, or if a state
    /// has two edges for a class.
    pub fn new(class_of: &[Option<u32>], states: Vec<State>) -> Result<Self, CoreError> {
        CoreError::check_positive("states of the automaton", states.len())?;
        let classes = class_of.iter().flatten().max().map_or(0, |&class| class as usize + 1);
        let mut members = vec![Vec::new(); classes];
        for (token, class) in (0..).zip(class_of) {
            if let Some(class) = *class {
                members[class as usize].push(token);
            }
        }
        for state in &states {
            let mut is_taken = vec![false; classes];
            for &Edge { class, to } in &state.edges {
                CoreError::check_index("class", class as usize, classes)?;
                CoreError::check_index("state", to as usize, states.len())?;
                CoreError::check_positive("tokens of a class", members[class as usize].len())?;
                if std::mem::replace(&mut is_taken[class as usize], true) {
                    return Err(CoreError::Ambiguous { class });
                }
            }
        }
        let distance = distances(&states);
        let kept: Vec<usize> = (0..states.len()).filter(|&state| state == 0 || distance[state] != NONE).collect();
        let mut renumbered = vec![NONE; states.len()];
        for (number, &state) in (0..).zip(&kept) {
            renumbered[state] = number;
        }
        let (mut edges, mut first_edge) = (Vec::new(), vec![0]);
        for &state in &kept {
            let live = states[state].edges.iter().filter(|edge| distance[edge.to as usize] != NONE);
            let start = edges.len();
            edges.extend(live.map(|edge| Edge { to: renumbered[edge.to as usize], ..*edge }));
            edges[start..].sort_unstable_by_key(|edge: &Edge| edge.class);
            first_edge.push(edges.len());
        }
        Ok(Self {
            class_of: class_of.iter().map(|class| class.unwrap_or(NONE)).collect(),
            first_member: offsets(&members),
            members: members.concat(),
            edges,
            first_edge,
            is_accepting: kept.iter().map(|&state| states[state].is_accepting).collect(),
            distance: kept.iter().map(|&state| distance[state]).collect(),
        })
    }

    /// Creates an automaton over the ids below `tokens` from transitions (state, token, next state) and a mark for each
    /// state that tells whether a string may end there. It starts in state 0.
    ///
    /// # Errors
    /// If there is no state, if a token or a state is out of range, or if a token leads from one state to two.
    pub fn from_transitions(
        tokens: usize,
        transitions: &[(u32, u32, u32)],
        is_accepting: &[bool],
    ) -> Result<Self, CoreError> {
        let mut columns = vec![Vec::new(); tokens];
        for &(from, token, to) in transitions {
            CoreError::check_index("token", token as usize, tokens)?;
            CoreError::check_index("state", from as usize, is_accepting.len())?;
            columns[token as usize].push((from, to));
        }
        let mut classes: HashMap<Vec<(u32, u32)>, u32> = HashMap::new();
        let mut class_of = vec![None; tokens];
        let mut states: Vec<State> =
            is_accepting.iter().map(|&is_accepting| State { is_accepting, edges: Vec::new() }).collect();
        for (class, mut column) in class_of.iter_mut().zip(columns) {
            column.sort_unstable();
            column.dedup();
            if column.is_empty() {
                continue;
            }
            let next = classes.len() as u32;
            *class = Some(*classes.entry(column).or_insert(next));
        }
        for (column, &class) in &classes {
            for &(from, to) in column {
                states[from as usize].edges.push(Edge { class, to });
            }
        }
        Self::new(&class_of, states)
    }

    /// Returns the number of states.
    pub fn states(&self) -> usize {
        self.is_accepting.len()
    }

    /// Returns the number of classes.
    pub fn classes(&self) -> usize {
        self.first_member.len() - 1
    }

    /// Returns the number of ids that the automaton knows of.
    pub fn tokens(&self) -> usize {
        self.class_of.len()
    }

    /// Returns the state before the first token, which is 0.
    pub fn start(&self) -> u32 {
        0
    }

    /// Returns the class of a token, or `None` if it leads nowhere.
    pub fn class(&self, token: u32) -> Option<u32> {
        self.class_of.get(token as usize).copied().filter(|&class| class != NONE)
    }

    /// Returns the tokens of a class, in ascending order; none for a class that does not exist.
    pub fn members(&self, class: u32) -> &[u32] {
        slice_at(&self.members, &self.first_member, class)
    }

    /// Returns the edges of a state, by ascending class; none for a state that does not exist.
    pub fn edges(&self, state: u32) -> &[Edge] {
        slice_at(&self.edges, &self.first_edge, state)
    }

    /// Returns the state that a class of tokens leads to, or `None` if no accepted string goes on so.
    pub fn next(&self, state: u32, class: u32) -> Option<u32> {
        let edges = self.edges(state);
        edges.binary_search_by_key(&class, |edge| edge.class).ok().map(|index| edges[index].to)
    }

    /// Returns true if a string may end in a state.
    pub fn is_accepting(&self, state: u32) -> bool {
        self.is_accepting.get(state as usize).copied().unwrap_or(false)
    }

    /// Returns the least number of tokens from a state to an accepting one, or `None` if there is no way.
    pub fn distance(&self, state: u32) -> Option<usize> {
        self.distance.get(state as usize).filter(|&&distance| distance != NONE).map(|&distance| distance as usize)
    }

    /// Returns true if the automaton accepts this string of tokens.
    pub fn accepts(&self, tokens: &[u32]) -> bool {
        let mut state = self.start();
        for &token in tokens {
            match self.class(token).and_then(|class| self.next(state, class)) {
                Some(next) => state = next,
                None => return false,
            }
        }
        self.is_accepting(state)
    }
}

/// Returns the least number of edges from each state to an accepting one, by a search from the accepting states backward.
fn distances(states: &[State]) -> Vec<u32> {
    let mut sources = vec![Vec::new(); states.len()];
    for (from, state) in states.iter().enumerate() {
        for edge in &state.edges {
            sources[edge.to as usize].push(from);
        }
    }
    let mut distance = vec![NONE; states.len()];
    let mut reached: Vec<usize> = (0..states.len()).filter(|&state| states[state].is_accepting).collect();
    reached.iter().for_each(|&state| distance[state] = 0);
    let mut steps = 0;
    while !reached.is_empty() {
        steps += 1;
        let mut next = Vec::new();
        for &state in &reached {
            for &source in &sources[state] {
                if distance[source] == NONE {
                    distance[source] = steps;
                    next.push(source);
                }
            }
        }
        reached = next;
    }
    distance
}

/// Returns where each list starts in their concatenation, and its end.
fn offsets(lists: &[Vec<u32>]) -> Vec<usize> {
    let mut offsets = vec![0];
    let mut end = 0;
    for list in lists {
        end += list.len();
        offsets.push(end);
    }
    offsets
}

fn slice_at<'a, T>(items: &'a [T], first: &[usize], index: u32) -> &'a [T] {
    match first.get(index as usize..index as usize + 2) {
        Some(&[start, end]) => &items[start..end],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Noise;

    /// Every string up to five tokens of random automata, against the transitions themselves.
    #[test]
    fn classes_change_no_language() {
        for seed in 0..300 {
            let mut random = Noise::new(seed).stream(0, 0, 0);
            let (tokens, states) = (1 + random.below(4) as u32, 1 + random.below(5) as u32);
            let mut table = HashMap::new();
            for state in 0..states {
                for token in 0..tokens {
                    if random.uniform() < 0.6 {
                        table.insert((state, token), random.below(u64::from(states)) as u32);
                    }
                }
            }
            let is_accepting: Vec<bool> = (0..states).map(|_| random.uniform() < 0.4).collect();
            let transitions: Vec<_> = table.iter().map(|(&(from, token), &to)| (from, token, to)).collect();
            let dfa = TokenDfa::from_transitions(tokens as usize, &transitions, &is_accepting).unwrap();
            let mut shortest = None;
            for length in 0..=5_u32 {
                for number in 0..tokens.pow(length) {
                    let string: Vec<u32> = (0..length).map(|digit| number / tokens.pow(digit) % tokens).collect();
                    let mut state = Some(0);
                    for token in &string {
                        state = state.and_then(|state| table.get(&(state, *token)).copied());
                    }
                    let expected = state.is_some_and(|state| is_accepting[state as usize]);
                    assert_eq!(dfa.accepts(&string), expected, "seed {seed}: {string:?}");
                    if expected {
                        shortest = shortest.or(Some(string.len()));
                    }
                }
            }
            // A shortest string visits no state twice, and there are at most five.
            assert_eq!(dfa.distance(dfa.start()), shortest, "seed {seed}");
        }
    }

    #[test]
    fn impossible_automata_are_refused() {
        let edge = |class, to| State { is_accepting: true, edges: vec![Edge { class, to }] };
        let message = |class_of: &[Option<u32>], states| TokenDfa::new(class_of, states).unwrap_err().to_string();
        assert_eq!(message(&[Some(0)], vec![]), "states of the automaton is 0");
        assert_eq!(message(&[Some(0)], vec![edge(1, 0)]), "class 1 is out of range, there are 1");
        assert_eq!(message(&[Some(1)], vec![edge(0, 0)]), "tokens of a class is 0");
        assert_eq!(message(&[Some(0)], vec![edge(0, 7)]), "state 7 is out of range, there are 1");
        let error = TokenDfa::from_transitions(1, &[(0, 0, 0), (0, 0, 1)], &[true, true]).unwrap_err();
        assert_eq!(error.to_string(), "two edges of a state have the class 0");
        let empty = TokenDfa::from_transitions(1, &[(0, 0, 0)], &[false]).unwrap();
        assert_eq!((empty.distance(0), empty.edges(0).len()), (None, 0));
    }
}
