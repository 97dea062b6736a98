//! The tokenizer and the chat template of a new checkpoint, in which the mask is a special token.

pub(super) mod gguf;
mod spm;

use std::{
    fs,
    path::{Path, PathBuf},
};

use llada_core::Hint;
use serde_json::{Map, Value, json};

use crate::{
    ModelError, Tokenizer,
    atomic::replace_file,
    files::{read_json, write_json},
    guard::guarded,
    rewrite::copy,
};

const TOKENIZER: &str = "tokenizer.json";
const SETTINGS: &str = "tokenizer_config.json";
const TEMPLATE: &str = "chat_template.jinja";
/// The key of the settings that lists special tokens by their ids.
const DECODER: &str = "added_tokens_decoder";

/// The text side of an autoregressive checkpoint.
pub(super) struct TextSide {
    /// `tokenizer.json`, if there is one.
    tokenizer: Option<Map<String, Value>>,
    /// `tokenizer_config.json`.
    settings: Map<String, Value>,
    /// A chat template that is in none of the files.
    template: Option<String>,
    /// Other files, by their paths and their names in the new folder.
    others: Vec<(PathBuf, &'static str)>,
    /// The folder or file that all this is from.
    origin: PathBuf,
}

/// The mask token of a new checkpoint.
pub(super) struct Mask {
    pub(super) id: u32,
    /// Whether the token is new, so that its rows have to be made.
    pub(super) is_new: bool,
}

impl TextSide {
    /// Reads the text side of the checkpoint in `folder`.
    pub(super) fn of_folder(folder: &Path) -> Result<Self, ModelError> {
        let optional = |name: &str| -> Result<Option<Map<String, Value>>, ModelError> {
            let path = folder.join(name);
            if path.exists() { read_json(&path).map(Some) } else { Ok(None) }
        };
        let others = Tokenizer::FILES.into_iter().filter(|name| ![TOKENIZER, SETTINGS].contains(name));
        let others = others.map(|name| (folder.join(name), name)).filter(|(path, _)| path.exists()).collect();
        Ok(Self {
            tokenizer: optional(TOKENIZER)?,
            settings: optional(SETTINGS)?.unwrap_or_default(),
            template: None,
            others,
            origin: folder.to_owned(),
        })
    }

    pub(super) fn has_tokenizer(&self) -> bool {
        self.tokenizer.is_some()
    }

    /// Writes all files to `out`, with `mask` as the mask token, and returns its id. The model has `rows` rows of
    /// embedding; without a tokenizer the mask is a new id behind them.
    pub(super) fn write(mut self, out: &Path, mask: &str, rows: usize) -> Result<Mask, ModelError> {
        let Some(mut file) = self.tokenizer.take() else {
            return Ok(Mask { id: row(rows, &self.origin)?, is_new: true });
        };
        let path = self.origin.join(TOKENIZER);
        let found = self.mask(&file, mask)?;
        // A new token has the first row behind the others.
        if found.id as usize >= rows + usize::from(found.is_new) {
            let message = format!("the mask token has the id {}, and the model's embedding {rows} rows", found.id);
            return Err(ModelError::file(&path, message));
        }
        if found.is_new {
            let token = token(mask);
            if let Some(Value::Object(decoder)) = self.settings.get_mut(DECODER) {
                decoder.insert(found.id.to_string(), token.clone());
            }
            let mut entry = Map::from_iter([("id".to_owned(), json!(found.id))]);
            entry.extend(token.as_object().cloned().unwrap_or_default());
            match file.entry("added_tokens").or_insert_with(|| json!([])) {
                Value::Array(tokens) => tokens.push(entry.into()),
                other => return Err(ModelError::file(&path, format!("added_tokens: {other} is no list"))),
            }
        }
        self.settings.insert("mask_token".to_owned(), mask.into());
        for (from, name) in &self.others {
            copy(from, &out.join(name))?;
        }
        if let Some(template) = &self.template {
            let path = out.join(TEMPLATE);
            replace_file(&path, |temporary| fs::write(temporary, template).map_err(ModelError::write(&path)))?;
        }
        write_json(&out.join(SETTINGS), &self.settings.into())?;
        write_json(&out.join(TOKENIZER), &file.into())?;
        Ok(found)
    }

    /// Finds the mask in a `tokenizer.json`, or the id that it gets there.
    fn mask(&self, file: &Map<String, Value>, mask: &str) -> Result<Mask, ModelError> {
        let path = self.origin.join(TOKENIZER);
        let refuse = |message: String| {
            let hint = Some(Hint::set("mask_token", [super::Conversion::default().mask_token]));
            Err(ModelError::Conversion { message, hint })
        };
        if mask.is_empty() {
            return refuse("the mask token has no text".to_owned());
        }
        let what = path.display().to_string();
        let parsed: Result<tokenizers::Tokenizer, _> =
            guarded(&what, || serde_json::from_value(Value::Object(file.clone())))?;
        let mut tokenizer = parsed.map_err(|error| ModelError::file(&path, error))?;
        if let Some(id) = tokenizer.token_to_id(mask) {
            let is_special = tokenizer.get_added_tokens_decoder().get(&id).is_some_and(|token| token.special);
            let declared = self.settings.get(DECODER).and_then(|decoder| decoder.get(id.to_string()));
            let is_declared = declared.is_some_and(|token| token["special"] == json!(true));
            if !is_special && !is_declared {
                return refuse(format!("the token {mask:?} is a part of ordinary text, so it cannot be the mask"));
            }
            return Ok(Mask { id, is_new: false });
        }
        // What the settings add has ids before the mask's.
        let settings = self.settings.get(DECODER).and_then(Value::as_object).into_iter().flatten();
        let highest = settings.filter_map(|(id, _)| id.parse::<u32>().ok()).max();
        guarded(&what, || tokenizer.add_special_tokens(&[tokenizers::AddedToken::from(mask, true)]))?;
        match (tokenizer.token_to_id(mask), highest) {
            (Some(id), highest) if highest.is_none_or(|highest| highest < id) => Ok(Mask { id, is_new: true }),
            _ => Err(ModelError::file(&path, format!("it lacks tokens that {SETTINGS} lists in {DECODER}"))),
        }
    }
}

/// Returns the id of a new row behind `rows` others.
fn row(rows: usize, path: &Path) -> Result<u32, ModelError> {
    u32::try_from(rows).map_err(|_| ModelError::file(path, format!("{rows} rows of embedding are too many")))
}

/// Returns a special token as `added_tokens_decoder` lists it.
fn token(content: &str) -> Value {
    json!({
        "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true,
    })
}
