//! The text side of a checkpoint: `tokenizer.json`, its special tokens, and its chat template.

use std::{collections::BTreeMap, fs, path::Path};

use minijinja::Value as Context;
use serde_json::{Map, Value};

use crate::{
    LladaConfig, ModelError,
    chat::{ChatTemplate, Message},
};

/// What LLaDA calls its mask in text.
const MASK: &str = "<|mdm_mask|>";
/// What ends a turn of a conversation.
const END_OF_TURN: &str = "<|eot_id|>";

/// Text to ids and back.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    chat: ChatTemplate,
    mask_id: Option<u32>,
    eos_id: Option<u32>,
    eot_id: Option<u32>,
}

impl Tokenizer {
    /// [`open`](Self::open), and checks it against the config of the same checkpoint.
    ///
    /// # Errors
    /// As there; or it disagrees with `config` about the mask, the end of the text, or the number of ids.
    pub fn load(folder: &Path, config: &LladaConfig) -> Result<Option<Self>, ModelError> {
        let Some(tokenizer) = Self::open(folder)? else { return Ok(None) };
        let disagree = |message: String| {
            let message = format!("{message}, which config.json contradicts");
            Err(ModelError::file(&folder.join("tokenizer.json"), message))
        };
        if tokenizer.vocab_size() > config.vocab_size {
            let highest = tokenizer.vocab_size() - 1;
            return disagree(format!("its highest id is {highest}, vocab_size is {}", config.vocab_size));
        }
        let Self { mask_id, eos_id, .. } = tokenizer;
        for (key, found, id, others) in [
            ("mask_token_id", mask_id, config.mask_token_id, &[][..]),
            ("eos_token_id", eos_id, config.eos_token_id, &config.other_eos_token_ids),
        ] {
            if let Some(found) = found.filter(|&found| found != id && !others.contains(&found)) {
                return disagree(format!("{} has id {found}, {key} is {id}", tokenizer.piece(found)));
            }
        }
        Ok(Some(tokenizer))
    }

    /// Reads `tokenizer.json` in `folder`, and `tokenizer_config.json` and `chat_template.jinja` where they exist.
    ///
    /// A folder without `tokenizer.json` gives `None`: such a model runs on ids.
    ///
    /// # Errors
    /// A file cannot be read or parsed.
    pub fn open(folder: &Path) -> Result<Option<Self>, ModelError> {
        let path = folder.join("tokenizer.json");
        let Some(text) = read(&path)? else { return Ok(None) };
        let inner: tokenizers::Tokenizer = text.parse().map_err(|e| ModelError::file(&path, e))?;
        let settings_path = folder.join("tokenizer_config.json");
        let settings: Map<String, Value> = match read(&settings_path)? {
            Some(text) => serde_json::from_str(&text).map_err(|e| ModelError::file(&settings_path, e))?,
            None => Map::new(),
        };
        let special = special_tokens(&settings);
        let template = match read(&folder.join("chat_template.jinja"))? {
            Some(text) => Some(text),
            None => chat_template(&settings),
        };
        let mask_id = inner.token_to_id(special.get("mask_token").map_or(MASK, String::as_str));
        let eos_id = special.get("eos_token").and_then(|token| inner.token_to_id(token));
        let eot_id = inner.token_to_id(END_OF_TURN);
        Ok(Some(Self { chat: ChatTemplate::new(template, Context::from(special))?, inner, mask_id, eos_id, eot_id }))
    }

    /// The ids of `text`; special tokens in it are recognised.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        Ok(self.inner.encode(text, true).map_err(ModelError::Tokenizer)?.get_ids().to_vec())
    }

    /// The ids of `prompt` and of the `answer` that continues it, cut where the prompt alone ends; spaces at the end of
    /// the prompt go with the answer, whose first token they are part of (`_encode_pair` of the official evaluation).
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn encode_pair(&self, prompt: &str, answer: &str) -> Result<(Vec<u32>, Vec<u32>), ModelError> {
        let mut ids = self.encode(&[prompt, answer].concat())?;
        let prompt_length = self.encode(prompt.trim_end())?.len().min(ids.len());
        let answer = ids.split_off(prompt_length);
        Ok((ids, answer))
    }

    /// The text of `ids`, special tokens left out.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn decode(&self, ids: &[u32]) -> Result<String, ModelError> {
        self.inner.decode(ids, true).map_err(ModelError::Tokenizer)
    }

    /// How `id` is shown alone: its text, special or not, with bytes that are no whole character replaced.
    pub fn piece(&self, id: u32) -> String {
        self.inner.decode(&[id], false).unwrap_or_default()
    }

    /// The prompt, as text, that asks for the assistant's next message.
    ///
    /// # Errors
    /// The template refuses the messages.
    pub fn render_chat(&self, messages: &[Message]) -> Result<String, ModelError> {
        self.chat.render(messages)
    }

    /// The ids of [`render_chat`](Self::render_chat).
    ///
    /// # Errors
    /// The template refuses the messages.
    pub fn encode_chat(&self, messages: &[Message]) -> Result<Vec<u32>, ModelError> {
        let text = self.render_chat(messages)?;
        Ok(self.inner.encode(text, false).map_err(ModelError::Tokenizer)?.get_ids().to_vec())
    }

    /// One more than the highest id.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1)
    }

    /// The id of the mask.
    pub fn mask_id(&self) -> Option<u32> {
        self.mask_id
    }

    /// The id of the end of the text.
    pub fn eos_id(&self) -> Option<u32> {
        self.eos_id
    }

    /// The id that ends a turn of a conversation.
    pub fn eot_id(&self) -> Option<u32> {
        self.eot_id
    }

    /// The ids below `vocab_size` that no token has.
    pub fn unknown_ids(&self, vocab_size: usize) -> Vec<u32> {
        (0..vocab_size as u32).filter(|&id| self.inner.id_to_token(id).is_none()).collect()
    }
}

/// The file's text; `None` if there is no such file.
fn read(path: &Path) -> Result<Option<String>, ModelError> {
    match fs::read(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(ModelError::file(path, "not UTF-8")),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ModelError::io(path)(error)),
    }
}

/// `bos_token` and its like, which are strings or objects with a `content`.
fn special_tokens(settings: &Map<String, Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| value.get("content").unwrap_or(value).as_str().map(str::to_owned);
    let named = settings.iter().filter(|(key, _)| key.ends_with("_token"));
    named.filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect()
}

/// A template string, or the one called `default` of a list of named ones.
fn chat_template(settings: &Map<String, Value>) -> Option<String> {
    match settings.get("chat_template")? {
        Value::Array(named) => named
            .iter()
            .find(|template| template["name"] == "default")
            .and_then(|template| template["template"].as_str())
            .map(str::to_owned),
        template => template.as_str().map(str::to_owned),
    }
}
