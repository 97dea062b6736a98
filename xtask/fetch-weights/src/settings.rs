//! The environment that Hugging Face's own programs obey, as far as it concerns the network.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use llada_hub::variable;
use xtask::failure::Failure;

const HUB: &str = "https://huggingface.co";

pub(crate) struct Settings {
    /// Where the hub is, without a slash at the end.
    pub(crate) endpoint: String,
    pub(crate) token: Option<Token>,
    /// Whether the network is not to be used.
    pub(crate) offline: bool,
}

/// Who asks. Its value goes into a header and nowhere else.
pub(crate) struct Token {
    pub(crate) value: String,
    /// The variable, or the file, that it is from.
    pub(crate) source: String,
}

impl Settings {
    pub(crate) fn from_environment() -> Result<Self> {
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| HUB.to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
            return Err(Failure::environment(
                format!("HF_ENDPOINT={endpoint} is no address of a hub"),
                format!("export HF_ENDPOINT={HUB}"),
            )
            .into());
        }
        let offline = is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE");
        Ok(Self { endpoint, token: token()?, offline })
    }
}

fn token() -> Result<Option<Token>> {
    for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
        if let Some(value) = variable(name) {
            return Token::new(&value, name.to_owned()).map(Some);
        }
    }
    let file = env::var_os("HF_TOKEN_PATH").map(PathBuf::from).or_else(|| Some(llada_hub::home()?.join("token")));
    match file.and_then(|file| Some((fs::read_to_string(&file).ok()?, file))) {
        Some((value, file)) if !value.trim().is_empty() => Token::new(&value, file.display().to_string()).map(Some),
        _ => Ok(None),
    }
}

impl Token {
    fn new(value: &str, source: String) -> Result<Self> {
        let value = value.trim().to_owned();
        if value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self { value, source });
        }
        // The value is not shown: it is a secret, even a damaged one.
        Err(Failure::environment(
            format!("the token in {source} has blanks or other characters that no token has"),
            "export HF_TOKEN=hf_...   (from the hub's page settings/tokens)",
        )
        .into())
    }
}

fn is_true(name: &str) -> bool {
    variable(name).is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str()))
}
