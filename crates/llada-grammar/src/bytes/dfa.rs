//! Deterministic automata over bytes (the subset construction).

use std::collections::HashMap;

use super::nfa::{Nfa, Place, Range};
use crate::{GrammarError, limits::Budget};

/// No next state.
pub(crate) const DEAD: u32 = u32::MAX;

/// An automaton that starts in state 0. Without states it accepts nothing.
#[derive(Clone, Debug)]
pub(crate) struct ByteDfa {
    /// The class of each byte; bytes of a class lead to the same states.
    pub(super) class_of: [u8; 256],
    pub(super) classes: usize,
    /// The next state of each state and class, or [`DEAD`].
    pub(super) table: Vec<u32>,
    pub(super) is_accepting: Vec<bool>,
}

impl ByteDfa {
    /// Creates an automaton from its transition function; it starts in state 0 of so many.
    pub(crate) fn new(states: u32, is_accepting: impl Fn(u32) -> bool, next: impl Fn(u32, u8) -> Option<u32>) -> Self {
        let row = |state| (0..=u8::MAX).map(move |byte| (state, byte));
        Self {
            class_of: std::array::from_fn(|byte| byte as u8),
            classes: 256,
            table: (0..states).flat_map(row).map(|(state, byte)| next(state, byte).unwrap_or(DEAD)).collect(),
            is_accepting: (0..states).map(is_accepting).collect(),
        }
    }

    pub(crate) fn states(&self) -> usize {
        self.is_accepting.len()
    }

    pub(crate) fn is_accepting(&self, state: u32) -> bool {
        self.is_accepting[state as usize]
    }

    pub(crate) fn next(&self, state: u32, byte: u8) -> u32 {
        self.table[state as usize * self.classes + usize::from(self.class_of[usize::from(byte)])]
    }

    #[cfg(test)]
    pub(crate) fn accepts(&self, text: &str) -> bool {
        let next = |state, byte| Some(self.next(state, byte)).filter(|&to| to != DEAD);
        self.states() > 0 && text.bytes().try_fold(0, next).is_some_and(|state| self.is_accepting(state))
    }

    /// Makes an automaton deterministic. A state stands for the set of states that the other one can be in.
    pub(super) fn determinise(nfa: &Nfa, budget: &Budget) -> Result<Self, GrammarError> {
        let mut sets = Sets::new(nfa);
        let (class_of, classes) = byte_classes(nfa.ranges.iter().map(|range| (range.low, range.high)));
        let mut dfa = Self { class_of, classes, table: Vec::new(), is_accepting: Vec::new() };
        // What may happen at the start of the text only may not happen where the same set occurs later.
        let start = sets.closure(&[0], &[Place::Anywhere, Place::Start]);
        let everywhere = sets.closure(&[0], &[Place::Anywhere, Place::Start, Place::End]);
        let mut members = vec![start];
        dfa.is_accepting.push(everywhere.contains(&nfa.end));
        let mut numbers: HashMap<Vec<u32>, u32> = HashMap::new();
        let mut bytes = 0;
        let mut reached = vec![Vec::new(); classes];
        let mut state = 0;
        while state < members.len() {
            budget.check_time()?;
            for &member in &members[state] {
                for range in sets.ranges(member) {
                    for class in class_of[usize::from(range.low)]..=class_of[usize::from(range.high)] {
                        reached[usize::from(class)].push(range.to);
                    }
                }
            }
            for targets in &mut reached {
                if targets.is_empty() {
                    dfa.table.push(DEAD);
                    continue;
                }
                let set = sets.closure(targets, &[Place::Anywhere]);
                targets.clear();
                let next = members.len() as u32;
                let number = *numbers.entry(set).or_insert_with_key(|set| {
                    bytes += 2 * size_of_val(set.as_slice()) + 4 * classes;
                    dfa.is_accepting.push(set.iter().any(|&member| sets.may_end[member as usize]));
                    members.push(set.clone());
                    next
                });
                dfa.table.push(number);
                budget.check_bytes(bytes)?;
            }
            state += 1;
        }
        Ok(dfa)
    }
}

/// Returns the class of each byte and their number; the bytes of a class are in the same ranges, and classes ascend.
fn byte_classes(ranges: impl Iterator<Item = (u8, u8)>) -> ([u8; 256], usize) {
    let mut is_first = [false; 257];
    for (low, high) in ranges {
        is_first[usize::from(low)] = true;
        is_first[usize::from(high) + 1] = true;
    }
    let (mut class_of, mut class) = ([0; 256], 0);
    for byte in 1..256 {
        class += u8::from(is_first[byte]);
        class_of[byte] = class;
    }
    (class_of, usize::from(class) + 1)
}

/// What is looked up to form sets of states.
struct Sets<'a> {
    nfa: &'a Nfa,
    /// Where the transitions of each state start in lists that are sorted by state.
    ranges: Vec<Range>,
    first_range: Vec<usize>,
    jumps: Vec<(u32, Place)>,
    first_jump: Vec<usize>,
    /// True for states from which the end is reached without reading, at the end of the text.
    may_end: Vec<bool>,
    /// The closure in which each state was last seen.
    seen: Vec<u32>,
    closures: u32,
}

impl<'a> Sets<'a> {
    fn new(nfa: &'a Nfa) -> Self {
        let states = nfa.states as usize;
        let mut ranges = nfa.ranges.clone();
        ranges.sort_unstable_by_key(|range| range.from);
        let mut jumps = nfa.jumps.clone();
        jumps.sort_unstable_by_key(|jump| jump.from);
        let mut back: Vec<_> = jumps.iter().filter(|jump| jump.place != Place::Start).collect();
        back.sort_unstable_by_key(|jump| jump.to);
        let first_back = offsets(back.iter().map(|jump| jump.to), states);
        let (mut may_end, mut open) = (vec![false; states], vec![nfa.end]);
        while let Some(state) = open.pop() {
            let index = state as usize;
            if !std::mem::replace(&mut may_end[index], true) {
                open.extend(back[first_back[index]..first_back[index + 1]].iter().map(|jump| jump.from));
            }
        }
        Self {
            nfa,
            first_range: offsets(ranges.iter().map(|range| range.from), states),
            ranges,
            first_jump: offsets(jumps.iter().map(|jump| jump.from), states),
            jumps: jumps.iter().map(|jump| (jump.to, jump.place)).collect(),
            may_end,
            seen: vec![0; states],
            closures: 0,
        }
    }

    fn ranges(&self, state: u32) -> &[Range] {
        &self.ranges[self.first_range[state as usize]..self.first_range[state as usize + 1]]
    }

    /// Returns the states that are reached from `states` by jumps at these places, as far as they read a byte or end the
    /// text, in ascending order.
    fn closure(&mut self, states: &[u32], places: &[Place]) -> Vec<u32> {
        self.closures += 1;
        let (mut set, mut open) = (Vec::new(), states.to_vec());
        while let Some(state) = open.pop() {
            let index = state as usize;
            if std::mem::replace(&mut self.seen[index], self.closures) == self.closures {
                continue;
            }
            if self.may_end[index] || self.first_range[index] < self.first_range[index + 1] || state == self.nfa.end {
                set.push(state);
            }
            let jumps = &self.jumps[self.first_jump[index]..self.first_jump[index + 1]];
            open.extend(jumps.iter().filter(|(_, place)| places.contains(place)).map(|&(to, _)| to));
        }
        set.sort_unstable();
        set
    }
}

/// Returns where the entries of each state start in a list that is sorted by state, and its end.
fn offsets(sorted: impl Iterator<Item = u32>, states: usize) -> Vec<usize> {
    let mut offsets = vec![0; states + 1];
    sorted.for_each(|state| offsets[state as usize + 1] += 1);
    for state in 0..states {
        offsets[state + 1] += offsets[state];
    }
    offsets
}
