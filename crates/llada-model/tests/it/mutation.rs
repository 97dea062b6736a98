//! Damaged copies of a file, for tests that nothing that a file may hold makes a reader panic, hang or fill the memory.
//!
//! Other crates' tests include this file by its path. `LLADA_FUZZ_CASES` sets how many copies each test tries.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use proptest::{
    collection::vec,
    prelude::*,
    sample::Index,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};

/// What a reader may take for one small file, on a machine that does something else as well.
const LONGEST: Duration = Duration::from_secs(20);

/// What a file is rarely without, and what its numbers and texts are rarely made for.
const PIECES: [&[u8]; 32] = [
    b"\xef\xbb\xbf",
    b"\x00",
    b"\xff",
    b"\xc3\x28",
    b"\n",
    b"\r\n",
    b" ",
    b",",
    b":",
    b"=",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b"[[[[[[[[[[[[[[[[",
    b"null",
    b"true",
    b"-",
    b"0",
    b"1",
    b"9",
    b"00000000",
    b"99999999999999999999",
    b"1e999",
    b"-1",
    b".5",
    b"NaN",
    b"\"a\":",
];

#[derive(Debug, Clone)]
enum Edit {
    Change(Index, u8),
    Cut(Index, usize),
    Insert(Index, Vec<u8>),
    /// Copies a stretch to another place.
    Duplicate(Index, usize, Index),
    End(Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let (at, length) = (any::<Index>, || prop_oneof![1..8_usize, 1..200_usize]);
    let piece = prop_oneof![
        3 => any::<Index>().prop_map(|piece| piece.get(&PIECES).to_vec()),
        1 => vec(any::<u8>(), 1..16),
    ];
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Change(at, byte)),
        3 => (at(), length()).prop_map(|(at, length)| Edit::Cut(at, length)),
        6 => (at(), piece).prop_map(|(at, piece)| Edit::Insert(at, piece)),
        3 => (at(), length(), at()).prop_map(|(from, length, to)| Edit::Duplicate(from, length, to)),
        1 => at().prop_map(Edit::End),
    ]
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit) {
    let length = bytes.len();
    let stretch = |at: &Index, count: usize| -> Range<usize> {
        let start = at.index(length + 1);
        start..(start + count).min(length)
    };
    match edit {
        Edit::Change(at, byte) if length > 0 => bytes[at.index(length)] = *byte,
        Edit::Change(..) => {}
        Edit::Cut(at, count) => drop(bytes.drain(stretch(at, *count))),
        Edit::Insert(at, piece) => drop(bytes.splice(stretch(at, 0), piece.iter().copied())),
        Edit::Duplicate(from, count, to) => {
            let copied = bytes[stretch(from, *count)].to_vec();
            drop(bytes.splice(stretch(to, 0), copied));
        }
        Edit::End(at) => bytes.truncate(at.index(length + 1)),
    }
}

/// Copies of `whole` with one to four edits.
fn damaged(whole: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    vec(edit(), 1..5).prop_map(move |edits| {
        let mut bytes = whole.clone();
        edits.iter().for_each(|edit| apply(&mut bytes, edit));
        bytes
    })
}

/// Has `read` meet `LLADA_FUZZ_CASES` damaged copies of `whole`, `few` by default and always the same. It may find
/// fault with them, but neither panic nor take long.
pub(crate) fn survives(few: u32, whole: &[u8], read: impl Fn(&[u8])) {
    let cases = std::env::var("LLADA_FUZZ_CASES").map_or(few, |cases| cases.parse().unwrap());
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let outcome = TestRunner::new_with_rng(config, rng).run(&damaged(whole.to_vec()), |bytes| {
        let start = Instant::now();
        read(&bytes);
        prop_assert!(start.elapsed() < LONGEST, "it took {:?}", start.elapsed());
        Ok(())
    });
    outcome.unwrap();
}
