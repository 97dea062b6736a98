//! The cache of compiled patterns.

use std::sync::Arc;

use llada_grammar::{Grammars, Limits, Pattern};

use crate::bytes;

#[test]
fn a_pattern_is_compiled_once_for_all_threads() {
    let grammars = Grammars::new(Arc::new(bytes()), Limits::default());
    let pattern = Pattern::json_object();
    let automata: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| grammars.get(&pattern).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(automata.iter().all(|automaton| Arc::ptr_eq(automaton, &automata[0])));
    assert_eq!(grammars.len(), 1);
}

#[test]
fn the_patterns_used_last_are_kept() {
    let grammars = Grammars::with_capacity(Arc::new(bytes()), Limits::default(), 2, 1 << 20);
    let [a, b, c] = ["a", "b", "c"].map(Pattern::regex);
    let first = grammars.get(&a).unwrap();
    let second = grammars.get(&b).unwrap();
    assert!(Arc::ptr_eq(&first, &grammars.get(&a).unwrap()));
    grammars.get(&c).unwrap();
    assert!(Arc::ptr_eq(&first, &grammars.get(&a).unwrap()));
    assert!(!Arc::ptr_eq(&second, &grammars.get(&b).unwrap()));
    assert_eq!(grammars.len(), 2);
}

#[test]
fn failures_are_not_kept_and_bytes_are_bounded() {
    let grammars = Grammars::with_capacity(Arc::new(bytes()), Limits::default(), 10, 2 * 256 * 8 + 100);
    assert!(grammars.get(&Pattern::regex("(")).is_err());
    assert!(grammars.is_empty());
    for text in ["a", "b", "c", "d"] {
        grammars.get(&Pattern::regex(text)).unwrap();
    }
    assert_eq!(grammars.len(), 2);
}
