//! Compiled patterns, kept for the next request that asks for the same.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use llada_core::automaton::{Edge, TokenDfa};

use crate::{GrammarError, Limits, Pattern, Vocabulary};

/// A pattern that is compiled, or about to be.
#[derive(Clone, Debug)]
struct Entry {
    pattern: Arc<Pattern>,
    result: Arc<OnceLock<Result<Compiled, GrammarError>>>,
}

/// An automaton with its size.
#[derive(Clone, Debug)]
struct Compiled {
    automaton: Arc<TokenDfa>,
    bytes: usize,
}

impl Entry {
    /// Returns the size of the automaton; an entry that others wait for has none yet.
    fn bytes(&self) -> usize {
        match self.result.get() {
            Some(Ok(compiled)) => compiled.bytes,
            _ => 0,
        }
    }
}

/// The compiled patterns of a vocabulary, for any number of threads.
///
/// A pattern is compiled once, even if several threads ask for it at the same time: the others wait. The patterns that were
/// asked for most recently are kept. Failures are not: another attempt may have more time.
#[derive(Debug)]
pub struct Grammars {
    vocabulary: Arc<Vocabulary>,
    limits: Limits,
    capacity: usize,
    bytes: usize,
    /// The most recent one is last.
    entries: Mutex<Vec<Entry>>,
}

impl Grammars {
    /// The default number of patterns that are kept.
    pub const CAPACITY: usize = 64;

    /// The default size of the automata that are kept, in bytes.
    pub const BYTES: usize = 256 << 20;

    /// Creates a cache that keeps as many patterns as the defaults say.
    pub fn new(vocabulary: Arc<Vocabulary>, limits: Limits) -> Self {
        Self::with_capacity(vocabulary, limits, Self::CAPACITY, Self::BYTES)
    }

    /// Creates a cache that keeps at most `capacity` patterns whose automata take at most `bytes` together.
    pub fn with_capacity(vocabulary: Arc<Vocabulary>, limits: Limits, capacity: usize, bytes: usize) -> Self {
        Self { vocabulary, limits, capacity, bytes, entries: Mutex::default() }
    }

    /// Returns the vocabulary.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Returns the number of patterns that are kept.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Returns true if no pattern is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the automaton of a pattern, from the cache or newly compiled.
    ///
    /// It may wait for another thread that compiles the same pattern, so it is not to be called within jobs of `rayon`.
    ///
    /// # Errors
    /// As [`Pattern::compile`].
    pub fn get(&self, pattern: &Pattern) -> Result<Arc<TokenDfa>, GrammarError> {
        let entry = self.entry(pattern);
        let compile = || {
            let automaton = pattern.compile(&self.vocabulary, &self.limits)?;
            Ok(Compiled { bytes: size(&automaton), automaton: Arc::new(automaton) })
        };
        let result = entry.result.get_or_init(compile).clone();
        let mut entries = self.lock();
        if result.is_err() {
            entries.retain(|other| !Arc::ptr_eq(&other.result, &entry.result));
        }
        let mut total: usize = entries.iter().map(Entry::bytes).sum();
        while entries.len() > self.capacity || total > self.bytes {
            let Some(oldest) = entries.iter().position(|entry| entry.result.get().is_some()) else { break };
            total -= entries.remove(oldest).bytes();
        }
        result.map(|compiled| compiled.automaton)
    }

    /// Returns the entry of a pattern, which becomes the most recent one.
    fn entry(&self, pattern: &Pattern) -> Entry {
        let mut entries = self.lock();
        let entry = match entries.iter().position(|entry| *entry.pattern == *pattern) {
            Some(index) => entries.remove(index),
            None => Entry { pattern: Arc::new(pattern.clone()), result: Arc::default() },
        };
        entries.push(entry.clone());
        entry
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        // The list is whole between any two operations, so a thread that panicked leaves it so.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the size of an automaton, in bytes: its edges, and two numbers a token.
fn size(automaton: &TokenDfa) -> usize {
    let edges: usize = (0..automaton.states() as u32).map(|state| automaton.edges(state).len()).sum();
    edges * size_of::<Edge>() + automaton.tokens() * 2 * size_of::<u32>()
}
