//! Vocabularies from tokenizers: that of llada-tiny, and small ones of each kind.

use llada_core::rng::Noise;
use llada_grammar::{GrammarError, Limits, Pattern, Spelling, Vocabulary};
use serde_json::{Value, json};

use crate::{accepts, bytes, compile, sample};

fn read(tokenizer: &Value) -> Result<Vocabulary, GrammarError> {
    Vocabulary::from_tokenizer_json(&tokenizer.to_string())
}

#[test]
fn llada_tiny_writes_dates_and_objects() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/llada-tiny/tokenizer.json");
    let vocabulary = Vocabulary::from_tokenizer_json(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(vocabulary.tokens(), 2048);
    // Six special tokens; every byte is a token.
    assert!((0..6).all(|token| vocabulary.bytes(token).is_none()));
    let is_token = |byte: u8| (0..2048).any(|token| vocabulary.bytes(token) == Some(&[byte]));
    assert!((0..=u8::MAX).all(is_token));
    let date = Pattern::regex("[0-9]{4}-[0-9]{2}-[0-9]{2}").compile(&vocabulary, &Limits::default()).unwrap();
    // Its tokenizer splits digits.
    assert_eq!(date.distance(date.start()), Some(10));
    assert!(Pattern::json_object().compile(&vocabulary, &Limits::default()).is_ok());
}

/// Texts of the automaton over bytes are accepted however they are split into tokens, and texts that are drawn token by
/// token are those of the automaton over bytes.
#[test]
fn every_spelling_of_a_text_is_accepted() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/llada-tiny/tokenizer.json");
    let vocabulary = Vocabulary::from_tokenizer_json(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut random = Noise::new(0).stream(0, 0, 0);
    for pattern in [Pattern::json_object(), Pattern::regex(r"(the|a) (\w+ )+is (born|new)\.")] {
        let automaton = pattern.compile(&vocabulary, &Limits::default()).unwrap();
        let by_bytes = compile(&pattern).unwrap();
        for _ in 0..200 {
            let text = String::from_utf8(sample(&automaton, &vocabulary, &mut random, 30)).unwrap();
            assert!(accepts(&by_bytes, &text), "{text}");
            let text = sample(&by_bytes, &bytes(), &mut random, 40);
            let (mut rest, mut tokens) = (text.as_slice(), Vec::new());
            while !rest.is_empty() {
                let is_next = |&token: &u32| vocabulary.bytes(token).is_some_and(|bytes| rest.starts_with(bytes));
                let next: Vec<u32> = (0..vocabulary.tokens() as u32).filter(is_next).collect();
                let token = next[random.below(next.len() as u64) as usize];
                tokens.push(token);
                rest = &rest[vocabulary.bytes(token).unwrap().len()..];
            }
            assert!(automaton.accepts(&tokens), "{}", String::from_utf8_lossy(&text));
        }
    }
}

#[test]
fn fixtures_are_byte_level() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../llada-model/tests/fixtures/tiny-llada/tokenizer.json");
    let vocabulary = Vocabulary::from_tokenizer_json(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(vocabulary.tokens() > 500 && vocabulary.bytes(500).is_none());
}

#[test]
fn sentencepiece_has_spaces_bytes_and_added_tokens() {
    let sequence = json!({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
    let bpe = json!({"type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "merges": [],
        "vocab": {"<unk>": 0, "<0x0A>": 1, "▁yes": 2, "no": 3}});
    let added = json!([{"id": 5, "content": "<s>", "special": true}, {"id": 6, "content": "▁raw", "special": false}]);
    let vocabulary = read(&json!({"model": bpe, "decoder": sequence, "added_tokens": added})).unwrap();
    let bytes: Vec<_> = (0..7).map(|token| vocabulary.bytes(token)).collect();
    assert_eq!(bytes, [None, Some(&b"\n"[..]), Some(b" yes"), Some(b"no"), None, None, Some("▁raw".as_bytes())]);
    let unigram = json!({"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["▁a", -1.5], ["<0x0A>", -2.0]]});
    let decoder = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"});
    let vocabulary = read(&json!({"model": unigram, "decoder": decoder})).unwrap();
    let bytes: Vec<_> = (0..3).map(|token| vocabulary.bytes(token)).collect();
    assert_eq!(bytes, [None, Some(&b" a"[..]), Some(b"<0x0A>")]);
    let automaton = Pattern::regex("( a)+").compile(&vocabulary, &Limits::default()).unwrap();
    assert!(automaton.accepts(&[1, 1]) && !automaton.accepts(&[0]) && !automaton.accepts(&[]));
}

#[test]
fn other_tokenizers_are_refused() {
    let byte_level = json!({"type": "ByteLevel"});
    let bpe = json!({"type": "BPE", "vocab": {"a": 0}, "merges": []});
    let message = |tokenizer: Value| read(&tokenizer).unwrap_err().to_string();
    let refused = |key: &str, reason: &str| format!("the tokenizer's {key} is refused: {reason}");
    let word_piece = json!({"type": "WordPiece", "vocab": {"a": 0}});
    assert_eq!(message(json!({"model": word_piece, "decoder": byte_level})), refused("model.type", "it is WordPiece"));
    let suffix = json!({"type": "BPE", "vocab": {"a": 0}, "merges": [], "end_of_word_suffix": "</w>"});
    let reason = "pieces have a prefix or suffix that marks words";
    assert_eq!(message(json!({"model": suffix, "decoder": byte_level})), refused("model", reason));
    assert_eq!(message(json!({"model": bpe, "decoder": {"type": "CTC"}})), refused("decoder", "it is CTC"));
    assert_eq!(message(json!({"model": bpe, "decoder": null})), refused("decoder", "it is missing"));
    let bad = json!({"type": "BPE", "vocab": {"a": -1}, "merges": []});
    let reason = "an entry is not a piece with its id or score";
    assert_eq!(message(json!({"model": bad, "decoder": byte_level})), refused("model.vocab", reason));
    let large = json!({"type": "BPE", "vocab": {"a": 4_000_000_000_u32}, "merges": []});
    assert_eq!(message(json!({"model": large, "decoder": byte_level})), "the token id 4000000000 exceeds 4194303");
    assert!(message(json!({})).starts_with("the text is not JSON") || message(json!({})).contains("missing field"));
}

#[test]
fn a_vocabulary_that_cannot_write_the_pattern_is_told_apart() {
    let vocabulary = Vocabulary::from_pieces(Spelling::ByteLevel, [(0, "a"), (1, "c")]).unwrap();
    let compile = |text: &str| Pattern::regex(text).compile(&vocabulary, &Limits::default());
    assert_eq!(compile("ab").unwrap_err(), GrammarError::Unwritable);
    // Without the way through b, the two tokens are alike.
    let automaton = compile("[ac]{2}(ab|cd)?").unwrap();
    assert!(automaton.accepts(&[1, 0]) && !automaton.accepts(&[0]));
    assert_eq!((automaton.states(), automaton.classes()), (3, 1));
}
