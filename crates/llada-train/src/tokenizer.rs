//! Training of a tokenizer of LLaDA's kind: byte-level BPE, so that any text has ids; digits one by one, so that
//! numbers of any length are read alike; and LLaDA's special tokens.

use std::{fs, path::Path};

use llada_model::atomic::PendingFolder;
use serde_json::json;
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, TokenizerBuilder,
    models::bpe::{BPE, BpeTrainerBuilder},
    pre_tokenizers::{byte_level::ByteLevel, digits::Digits, sequence::Sequence},
};

use crate::TrainError;

const BOS: &str = "<|startoftext|>";
const EOS: &str = "<|endoftext|>";
const MASK: &str = "<|mdm_mask|>";
/// LLaDA's special tokens, in the order of their ids.
const SPECIAL: [&str; 6] = [BOS, EOS, "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", MASK];

/// Learns `vocab_size` tokens from `texts` and writes `tokenizer.json` and `tokenizer_config.json` into the new folder
/// `out`.
///
/// # Errors
/// `vocab_size` has no room for the bytes and the special tokens; a file cannot be written.
pub fn train<S: AsRef<str> + Send>(
    texts: impl Iterator<Item = S> + Send,
    vocab_size: usize,
    out: &Path,
) -> Result<(), TrainError> {
    let least = 256 + SPECIAL.len();
    if vocab_size < least {
        let hint = format!("{least} at least: all bytes, and {SPECIAL:?}");
        return Err(TrainError::config("vocab_size", vocab_size, hint));
    }
    let bytes = ByteLevel::new(false, true, true);
    let split = Sequence::new(vec![PreTokenizerWrapper::Digits(Digits::new(true)), bytes.into()]);
    let refuse = |e: tokenizers::Error| TrainError::file(out, e);
    let mut tokenizer =
        TokenizerBuilder::<BPE, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>::new()
            .with_model(BPE::default())
            .with_pre_tokenizer(Some(PreTokenizerWrapper::Sequence(split)))
            .with_decoder(Some(bytes.into()))
            .build()
            .map_err(refuse)?;
    let mut trainer = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(vocab_size)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(SPECIAL.iter().map(|&token| AddedToken::from(token, true)).collect())
        .build();
    tokenizer.train(&mut trainer, texts).map_err(refuse)?;
    let pending = PendingFolder::create(out)?;
    tokenizer.save(pending.path().join("tokenizer.json"), true).map_err(refuse)?;
    let settings = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS, "eos_token": EOS, "pad_token": EOS, "mask_token": MASK,
        "clean_up_tokenization_spaces": false,
    });
    let path = pending.path().join("tokenizer_config.json");
    fs::write(&path, format!("{settings:#}\n")).map_err(TrainError::write(&path))?;
    pending.finish()?;
    Ok(())
}
