//! Files with bytes changed, cut, put in and doubled at random: an error or a result, soon, and never a panic.
//!
//! `PROPTEST_CASES` is how many of each kind are tried.

use std::{
    cell::Cell,
    fs,
    time::{Duration, Instant},
};

use llada_model::{Message, Tokenizer};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::fixture;

/// What one file may take, on a machine that has other things to do.
const LONGEST: Duration = Duration::from_secs(20);

/// A change of a file: where, as a share of its length; how many bytes there are replaced; by what, and by how many copies
/// of themselves.
type Edit = (f64, usize, Vec<u8>, usize);

/// Bytes that mean something in JSON and in templates are as frequent as all others together.
fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(br#"{}[]"',:%#-+*/|()0e.\ntx"#.to_vec())];
    let bytes = prop::collection::vec(byte, 0..3);
    let length = prop_oneof![3 => 0..2_usize, 1 => 0..200_usize];
    let edit = (0.0..1.0, length, bytes, 0..3_usize);
    prop_oneof![3 => prop::collection::vec(edit.clone(), 1..2), 1 => prop::collection::vec(edit, 2..6)]
}

fn changed(original: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for (share, length, put_in, copies) in edits {
        let start = (bytes.len() as f64 * share) as usize;
        let end = bytes.len().min(start + length);
        let piece = bytes[start..end].repeat(*copies);
        bytes.splice(start..end, put_in.iter().copied().chain(piece));
    }
    bytes
}

/// Opens the fixture's folder with `file` changed, and does with it what commands do.
#[allow(clippy::print_stdout, reason = "how many files were read is a result of the test")]
fn fuzz(file: &'static str, original: Vec<u8>) {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner =
        TestRunner::new_with_rng(config, proptest::test_runner::TestRng::deterministic_rng(Default::default()));
    let folder = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(fixture("tiny-llada").join(name), folder.path().join(name)).unwrap();
    }
    let (works, chats) = (Cell::new(0), Cell::new(0));
    let result = runner.run(&edits(), |edits| {
        fs::write(folder.path().join(file), changed(&original, &edits)).unwrap();
        let start = Instant::now();
        if let Ok(Some(tokenizer)) = Tokenizer::open(folder.path()) {
            works.set(works.get() + 1);
            let messages = [Message::new("user", "2 + 3 <|mdm_mask|>"), Message::new("assistant", "5")];
            let _ = tokenizer.encode("a\u{20ac} <|eot_id|>").map(|ids| tokenizer.decode(&ids));
            chats.set(chats.get() + u32::from(tokenizer.encode_turn(&messages).is_ok()));
            let _ = tokenizer.with_masks_as_text().encode_chat(&messages);
        }
        prop_assert!(start.elapsed() < LONGEST, "{:?}", start.elapsed());
        Ok(())
    });
    println!("{file}: {cases} tried, {} read, {} with a chat", works.get(), chats.get());
    result.unwrap();
}

fn original(name: &str) -> Vec<u8> {
    fs::read(fixture("tiny-llada").join(name)).unwrap()
}

#[test]
fn tokenizers() {
    fuzz("tokenizer.json", original("tokenizer.json"));
}

#[test]
fn settings() {
    fuzz("tokenizer_config.json", original("tokenizer_config.json"));
}

#[test]
fn templates() {
    let template = "{%- set ns = namespace(n=0, s='%s: ') %}{% for m in messages[-9:] %}{% generation %}{{ ns.s % m.role }}\
        {{ m | tojson(indent=2) }}{{ m.content.split('+') | map('trim') | join(', ') ~ 7 % 4 }}{% endgeneration %}\
        {% if loop.index0 % 2 == 1 and m.role is string %}{{ m.content[1:] | upper }}{% endif %}{% endfor %}\
        {% macro f(x, y=2) %}{{ x * y }}{% endmacro %}{{ f('-', 3) }}{# c #}{% raw %}{{ }}{% endraw %}{{ bos_token }}";
    fuzz("chat_template.jinja", template.as_bytes().to_vec());
}
