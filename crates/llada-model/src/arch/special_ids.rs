//! The mask and the end of the text of checkpoints whose `config.json` does not name them: in the files beside it, or by
//! the family's convention.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value};

use crate::{
    ModelConfig,
    config::{Keys, token_ids},
    files,
};

/// The spellings of mask tokens that no file declares as such: those of LLaDA-MoE, LLaDA2 and Dream, of LLaDA, and of
/// iLLaDA.
const MASKS: [&str; 3] = ["<|mask|>", "<|mdm_mask|>", "<[MASK]>"];

/// The ids by which a family's published samplers go where a checkpoint does not tell.
pub(super) struct Conventional {
    pub(super) mask: u32,
    pub(super) eos: u32,
}

/// Finds the mask and the ends of the text, and notes a problem where there is none.
pub(super) fn read(keys: &mut Keys, config: &mut ModelConfig, conventional: Conventional) {
    let files = Beside::read(keys.folder());
    let vocab_size = config.vocab_size;
    let is_known = |id: &u32| (*id as usize) < vocab_size;
    let masks = keys.ids("mask_token_id", vocab_size).unwrap_or_default();
    if masks.len() > 1 {
        keys.refuse("mask_token_id", format!("{masks:?} are several"));
    }
    let generation_mask = || files.generation_ids("mask_token_id").first().copied();
    let mask = masks.first().copied().or_else(generation_mask).or_else(|| files.declared("mask_token"));
    let mask = mask.or_else(|| MASKS.iter().find_map(|mask| files.tokens.get(*mask).copied()));
    match mask.or(Some(conventional.mask)).filter(is_known) {
        Some(mask) => config.mask_token_id = mask,
        None => keys.refuse("mask_token_id", "the key is missing, and no file beside it names the mask"),
    }
    let mut ends = keys.ids("eos_token_id", vocab_size).unwrap_or_default();
    if ends.is_empty() {
        ends = files.generation_ids("eos_token_id");
    }
    if ends.is_empty() {
        let pad = keys.ids("pad_token_id", vocab_size).unwrap_or_default();
        ends = files.declared("eos_token").into_iter().chain(pad).chain([conventional.eos]).take(1).collect();
    }
    ends.retain(is_known);
    match ends.split_first() {
        Some((&eos, others)) => (config.eos_token_id, config.other_eos_token_ids) = (eos, others.to_vec()),
        None => keys.refuse("eos_token_id", "the key is missing, and no file beside it names the end of the text"),
    }
}

/// The parts of the files beside `config.json` that name tokens. A file that is missing or damaged names none: the
/// tokenizer's reader tells.
struct Beside {
    generation: Map<String, Value>,
    tokenizer: Map<String, Value>,
    /// Added tokens by their text.
    tokens: BTreeMap<String, u32>,
}

impl Beside {
    fn read(folder: Option<&Path>) -> Self {
        let keys = |name: &str| -> Map<String, Value> {
            folder.and_then(|folder| files::read_json(&folder.join(name)).ok()).unwrap_or_default()
        };
        let (generation, tokenizer) = (keys("generation_config.json"), keys("tokenizer_config.json"));
        let mut tokens = BTreeMap::new();
        for (text, id) in keys("added_tokens.json") {
            tokens.extend(only_id(&id).map(|id| (text, id)));
        }
        if let Some(Value::Object(decoder)) = tokenizer.get("added_tokens_decoder") {
            for (id, token) in decoder {
                tokens.extend(token["content"].as_str().map(str::to_owned).zip(id.parse().ok()));
            }
        }
        if let Some(Value::Array(added)) = keys("tokenizer.json").get("added_tokens") {
            for token in added {
                tokens.extend(token["content"].as_str().map(str::to_owned).zip(only_id(&token["id"])));
            }
        }
        Self { generation, tokenizer, tokens }
    }

    fn generation_ids(&self, key: &str) -> Vec<u32> {
        self.generation.get(key).and_then(token_ids).unwrap_or_default()
    }

    /// The id of the token that `tokenizer_config.json` gives a name, such as `mask_token`.
    fn declared(&self, name: &str) -> Option<u32> {
        let token = self.tokenizer.get(name)?;
        self.tokens.get(token.get("content").unwrap_or(token).as_str()?).copied()
    }
}

fn only_id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}
