//! What the files of a checkpoint's text side say, before anything is made of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::{ModelError, guard::guarded};

type Object = Map<String, Value>;

const TOKENIZER: &str = "tokenizer.json";
const SETTINGS: &str = "tokenizer_config.json";
const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
const ADDED_TOKENS: &str = "added_tokens.json";
/// Where transformers looks for a template, in its order, before it looks into the settings.
const TEMPLATES: [&str; 2] = ["chat_template.jinja", "additional_chat_templates/default.jinja"];
/// Where its processors had the template before.
const LEGACY_TEMPLATE: &str = "chat_template.json";

/// All that is read of a folder.
pub(super) const ALL: [&str; 7] =
    [TOKENIZER, SETTINGS, SPECIAL_TOKENS_MAP, ADDED_TOKENS, TEMPLATES[0], TEMPLATES[1], LEGACY_TEMPLATE];

/// `tokenizer.json`.
pub(super) struct TokenizerFile {
    /// The tokenizer, without what the file says about batches.
    pub(super) tokenizer: tokenizers::Tokenizer,
    /// The tokens that it recognises in text, as the file lists them.
    pub(super) added_tokens: Value,
    /// The token that batches are padded with.
    pub(super) pad_token: Option<String>,
}

/// The files beside `tokenizer.json` that transformers reads.
pub(super) struct Files {
    /// `tokenizer_config.json`.
    pub(super) settings_path: PathBuf,
    pub(super) settings: Object,
    /// `special_tokens_map.json`.
    pub(super) special_tokens_map: Object,
    /// `added_tokens.json`: ids by token.
    pub(super) added_tokens_path: PathBuf,
    pub(super) added_tokens: Object,
    /// The chat template, or what is wrong with the file that should hold it.
    pub(super) template: Result<Option<Template>, String>,
}

/// A chat template and the file that it is from.
pub(super) struct Template {
    pub(super) path: PathBuf,
    pub(super) source: String,
}

impl Files {
    /// Reads those that exist.
    pub(super) fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = |name| folder.join(name);
        let settings_path = path(SETTINGS);
        let added_tokens_path = path(ADDED_TOKENS);
        let settings = read_object(&settings_path)?.unwrap_or_default();
        let template = template(folder, &settings_path, &settings);
        Ok(Self {
            special_tokens_map: read_object(&path(SPECIAL_TOKENS_MAP))?.unwrap_or_default(),
            added_tokens: read_object(&added_tokens_path)?.unwrap_or_default(),
            settings_path,
            settings,
            added_tokens_path,
            template,
        })
    }
}

impl TokenizerFile {
    /// Where it lies in `folder`.
    pub(super) fn path(folder: &Path) -> PathBuf {
        folder.join(TOKENIZER)
    }

    /// Reads it; none if there is no such file.
    ///
    /// Truncation, padding, and the chance by which training skips merges are left out: they would change what a text is.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, ModelError> {
        let Some(mut object) = read_object(path)? else { return Ok(None) };
        object.insert("truncation".to_owned(), Value::Null);
        let padding = object.insert("padding".to_owned(), Value::Null).unwrap_or_default();
        if let Some(Value::Object(model)) = object.get_mut("model")
            && model.contains_key("dropout")
        {
            model.insert("dropout".to_owned(), Value::Null);
        }
        let added_tokens = object.get("added_tokens").cloned().unwrap_or_default();
        let parsed = guarded(&path.display().to_string(), || serde_json::from_value(Value::Object(object)))?;
        let tokenizer = parsed.map_err(|error| ModelError::file(path, error))?;
        Ok(Some(Self { tokenizer, added_tokens, pad_token: padding["pad_token"].as_str().map(str::to_owned) }))
    }
}

/// The file's text without a byte order mark; `None` if there is no such file.
fn read_text(path: &Path) -> Result<Option<String>, ModelError> {
    match fs::read(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))),
            Err(error) => Err(ModelError::file(path, format!("not UTF-8: {}", error.utf8_error()))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ModelError::io(path)(error)),
    }
}

fn read_object(path: &Path) -> Result<Option<Object>, ModelError> {
    let Some(text) = read_text(path)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| ModelError::file(path, error))
}

fn template(folder: &Path, settings_path: &Path, settings: &Object) -> Result<Option<Template>, String> {
    let text = |path: &Path| read_text(path).map_err(|error| error.to_string());
    for path in TEMPLATES.map(|name| folder.join(name)) {
        if let Some(source) = text(&path)? {
            return Ok(Some(Template { path, source }));
        }
    }
    if let Some(source) = named_template(settings_path, settings)? {
        return Ok(Some(Template { path: settings_path.to_owned(), source }));
    }
    let path = folder.join(LEGACY_TEMPLATE);
    let legacy = read_object(&path).map_err(|error| error.to_string())?.unwrap_or_default();
    Ok(named_template(&path, &legacy)?.map(|source| Template { path, source }))
}

/// `chat_template`: a text, or a list of named ones of which the last `default` counts.
fn named_template(path: &Path, object: &Object) -> Result<Option<String>, String> {
    let refuse = |message: String| Err(format!("{}: chat_template: {message}", path.display()));
    match object.get("chat_template") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(source)) => Ok(Some(source.clone())),
        Some(Value::Array(named)) => {
            let default = named.iter().rev().find(|template| template["name"] == "default");
            match default.and_then(|template| template["template"].as_str()) {
                Some(source) => Ok(Some(source.to_owned())),
                None => refuse("none of the named templates is called default".to_owned()),
            }
        }
        Some(_) => refuse("it is neither a text nor a list of named templates".to_owned()),
    }
}
