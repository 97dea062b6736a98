//! Special tokens: found where transformers finds them, and put where the tokenizer recognises them in text.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use serde_json::Value;
use tokenizers::{AddedToken, Tokenizer};

use super::files::Files;
use crate::ModelError;

/// What `added_tokens_decoder` and `tokenizer.json` tell of a token; null is absent.
#[derive(Deserialize)]
struct Entry {
    content: String,
    #[serde(default)]
    single_word: Option<bool>,
    #[serde(default)]
    lstrip: Option<bool>,
    #[serde(default)]
    rstrip: Option<bool>,
    #[serde(default)]
    normalized: Option<bool>,
    #[serde(default)]
    special: Option<bool>,
}

impl Entry {
    fn token(self) -> AddedToken {
        let special = self.special.unwrap_or(false);
        AddedToken::from(self.content, special)
            .single_word(self.single_word.unwrap_or(false))
            .lstrip(self.lstrip.unwrap_or(false))
            .rstrip(self.rstrip.unwrap_or(false))
            .normalized(self.normalized.unwrap_or(!special))
    }
}

/// Adds what the files beside `tokenizer.json` say to `tokenizer`, and gives the special tokens by their names:
/// `bos_token` and its like.
///
/// `special_tokens_map.json` and `added_tokens.json` count where `tokenizer_config.json` has no `added_tokens_decoder`,
/// as in transformers. A named token that has no id anywhere stays without one.
pub(super) fn add(tokenizer: &mut Tokenizer, files: &Files) -> Result<BTreeMap<String, String>, ModelError> {
    let mut named = BTreeMap::new();
    let mut extra = Vec::new();
    let is_legacy = files.settings.get("added_tokens_decoder").is_none_or(Value::is_null);
    let maps = [Some(&files.settings), is_legacy.then_some(&files.special_tokens_map)];
    for (key, value) in maps.into_iter().flatten().flatten() {
        match value {
            Value::Array(tokens) if matches!(key.as_str(), "extra_special_tokens" | "additional_special_tokens") => {
                extra.extend(tokens.iter().filter_map(content));
            }
            Value::Object(tokens) if key == "extra_special_tokens" => {
                named.extend(tokens.iter().filter_map(|(name, token)| Some((name.clone(), content(token)?))));
            }
            value if key.ends_with("_token") => named.extend(content(value).map(|token| (key.clone(), token))),
            _ => {}
        }
    }
    if is_legacy {
        let is_special = |token: &str| named.values().chain(&extra).any(|special| special == token);
        let mut tokens = Vec::new();
        for (token, id) in &files.added_tokens {
            tokens.push((
                id_of(&files.added_tokens_path, token, id)?,
                AddedToken::from(token.as_str(), is_special(token)),
            ));
        }
        add_with_ids(tokenizer, tokens, &files.added_tokens_path)?;
    } else {
        add_with_ids(tokenizer, decoder(files)?, &files.settings_path)?;
    }
    // What has an id without being marked as special is recognised in text from here on.
    let known: Vec<AddedToken> = named
        .values()
        .chain(&extra)
        .filter(|token| tokenizer.token_to_id(token).is_some() && !is_added(tokenizer, token))
        .map(|token| AddedToken::from(token.as_str(), true))
        .collect();
    tokenizer.add_special_tokens(&known);
    Ok(named)
}

/// Refuses a `tokenizer.json` whose added tokens have other ids than the order of the list gives them.
pub(super) fn check_ids(tokenizer: &Tokenizer, added_tokens: &Value, path: &Path) -> Result<(), ModelError> {
    for token in added_tokens.as_array().into_iter().flatten() {
        if let Some(content) = content(token) {
            check_id(tokenizer, &content, id_of(path, &content, &token["id"])?, path)?;
        }
    }
    Ok(())
}

/// The tokens of `added_tokens_decoder` with their ids.
fn decoder(files: &Files) -> Result<Vec<(u32, AddedToken)>, ModelError> {
    let refuse = |message: String| ModelError::file(&files.settings_path, format!("added_tokens_decoder: {message}"));
    let Some(Value::Object(decoder)) = files.settings.get("added_tokens_decoder") else {
        return Err(refuse("it is no object".to_owned()));
    };
    let mut tokens = Vec::new();
    for (id, entry) in decoder {
        let number = id.parse().map_err(|_| refuse(format!("{id:?} is no id")))?;
        let entry = Entry::deserialize(entry).map_err(|error| refuse(format!("{id}: {error}")))?;
        tokens.push((number, entry.token()));
    }
    Ok(tokens)
}

fn add_with_ids(tokenizer: &mut Tokenizer, mut tokens: Vec<(u32, AddedToken)>, path: &Path) -> Result<(), ModelError> {
    tokens.sort_by_key(|(id, _)| *id);
    let added: Vec<AddedToken> = tokens.iter().map(|(_, token)| token.clone()).collect();
    tokenizer.add_tokens(&added);
    tokens.iter().try_for_each(|(id, token)| check_id(tokenizer, &token.content, *id, path))
}

fn check_id(tokenizer: &Tokenizer, token: &str, id: u32, path: &Path) -> Result<(), ModelError> {
    match tokenizer.token_to_id(token) {
        Some(found) if found != id => {
            Err(ModelError::file(path, format!("the token {token} has id {id}, its tokenizer gives it {found}")))
        }
        _ => Ok(()),
    }
}

fn id_of(path: &Path, token: &str, id: &Value) -> Result<u32, ModelError> {
    let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
    number.ok_or_else(|| ModelError::file(path, format!("the token {token} has the id {id}, which is none")))
}

fn is_added(tokenizer: &Tokenizer, token: &str) -> bool {
    tokenizer.get_added_vocabulary().get_vocab().contains_key(token)
}

/// A token's text: a string, or an object with a `content`.
fn content(token: &Value) -> Option<String> {
    token.get("content").unwrap_or(token).as_str().map(str::to_owned)
}
