//! Nondeterministic automata over bytes (Thompson's construction, with ranges of bytes on the edges).

use regex_syntax::utf8::Utf8Sequences;

use super::{ByteDfa, DEAD, Language};
use crate::{GrammarError, limits::Budget};

/// A transition that reads a byte from `low` to `high`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) from: u32,
    pub(super) low: u8,
    pub(super) high: u8,
    pub(super) to: u32,
}

/// Where in the text a transition is possible that reads nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Anywhere,
    Start,
    End,
}

/// A transition that reads nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jump {
    pub(super) from: u32,
    pub(super) place: Place,
    pub(super) to: u32,
}

/// An automaton that starts in state 0.
#[derive(Debug)]
pub(super) struct Nfa {
    pub(super) states: u32,
    pub(super) ranges: Vec<Range>,
    pub(super) jumps: Vec<Jump>,
    /// The state in which strings are accepted.
    pub(super) end: u32,
}

impl Nfa {
    pub(super) fn new(language: &Language, budget: &Budget) -> Result<Self, GrammarError> {
        let mut nfa = Self { states: 1, ranges: Vec::new(), jumps: Vec::new(), end: 0 };
        nfa.end = nfa.add(0, language, budget)?;
        Ok(nfa)
    }

    /// Adds a language whose strings start in a state that nothing inside of it leads back to, unless through a state of
    /// its own. Returns the state in which they end.
    fn add(&mut self, from: u32, language: &Language, budget: &Budget) -> Result<u32, GrammarError> {
        budget.check_bytes(size_of::<Range>() * (self.ranges.len() + self.jumps.len()))?;
        match language {
            Language::Text(bytes) => Ok(bytes.iter().fold(from, |state, &byte| self.read(state, byte, byte))),
            Language::Characters(ranges) => self.add_characters(from, ranges, budget),
            Language::Dfa(dfa) => Ok(self.add_dfa(from, dfa)),
            Language::AtStart => Ok(self.jump(from, Place::Start)),
            Language::AtEnd => Ok(self.jump(from, Place::End)),
            Language::Concat(parts) => parts.iter().try_fold(from, |state, part| self.add(state, part, budget)),
            Language::Union(parts) => {
                let end = self.state();
                for part in parts {
                    let start = self.jump(from, Place::Anywhere);
                    let last = self.add(start, part, budget)?;
                    self.join(last, end);
                }
                Ok(end)
            }
            Language::Repeat { item, separator, min, max } => {
                self.add_repetition(from, item, separator, (*min, *max), budget)
            }
            Language::Chain { items, separator } => {
                // Before any item, and after one.
                let (mut none, mut some) = (self.jump(from, Place::Anywhere), self.state());
                for item in items {
                    let start = self.jump(none, Place::Anywhere);
                    let separated = self.add(some, separator, budget)?;
                    self.join(separated, start);
                    let after = self.add(start, &item.language, budget)?;
                    if item.is_required {
                        none = self.state();
                    } else {
                        self.join(some, after);
                    }
                    some = self.jump(after, Place::Anywhere);
                }
                let end = self.jump(some, Place::Anywhere);
                self.join(none, end);
                Ok(end)
            }
            Language::Shared(language) => self.add(from, language, budget),
        }
    }

    fn add_characters(&mut self, from: u32, ranges: &[(char, char)], budget: &Budget) -> Result<u32, GrammarError> {
        let end = self.state();
        for &(first, last) in ranges {
            for sequence in Utf8Sequences::new(first, last) {
                let (last, others) = match sequence.as_slice().split_last() {
                    Some(split) => split,
                    None => continue,
                };
                let before = others.iter().fold(from, |state, range| self.read(state, range.start, range.end));
                self.ranges.push(Range { from: before, low: last.start, high: last.end, to: end });
            }
        }
        budget.check_bytes(size_of::<Range>() * self.ranges.len())?;
        Ok(end)
    }

    fn add_dfa(&mut self, from: u32, dfa: &ByteDfa) -> u32 {
        let (first, end) = (self.states, self.states + dfa.states() as u32);
        self.states = end + 1;
        // Without states, nothing leads to the end.
        if first < end {
            self.join(from, first);
        }
        for (from, state) in (first..end).zip(0..) {
            if dfa.is_accepting(state) {
                self.join(from, end);
            }
            let mut low = 0;
            for byte in 0..=u8::MAX {
                let to = dfa.next(state, byte);
                if byte == u8::MAX || dfa.next(state, byte + 1) != to {
                    if to != DEAD {
                        self.ranges.push(Range { from, low, high: byte, to: first + to });
                    }
                    low = byte.wrapping_add(1);
                }
            }
        }
        end
    }

    fn add_repetition(
        &mut self,
        from: u32,
        item: &Language,
        separator: &Language,
        (min, max): (u32, Option<u32>),
        budget: &Budget,
    ) -> Result<u32, GrammarError> {
        let end = self.state();
        if min == 0 {
            self.join(from, end);
        }
        let copies = max.unwrap_or(min.max(1));
        let mut last = from;
        for copy in 1..=copies {
            budget.check_time()?;
            let separated = if copy == 1 { last } else { self.add(last, separator, budget)? };
            let start = self.jump(separated, Place::Anywhere);
            let after = self.add(start, item, budget)?;
            last = self.jump(after, Place::Anywhere);
            if copy >= min {
                self.join(last, end);
            }
            if copy == copies && max.is_none() {
                let again = self.add(last, separator, budget)?;
                self.join(again, start);
            }
        }
        Ok(end)
    }

    fn state(&mut self) -> u32 {
        self.states += 1;
        self.states - 1
    }

    /// Adds a state that a byte leads to.
    fn read(&mut self, from: u32, low: u8, high: u8) -> u32 {
        let to = self.state();
        self.ranges.push(Range { from, low, high, to });
        to
    }

    /// Adds a state that is reached without reading.
    fn jump(&mut self, from: u32, place: Place) -> u32 {
        let to = self.state();
        self.jumps.push(Jump { from, place, to });
        to
    }

    fn join(&mut self, from: u32, to: u32) {
        self.jumps.push(Jump { from, place: Place::Anywhere, to });
    }
}
