//! The network settings, from the environment variables of Hugging Face's programs.

use anyhow::Result;
use llada_hub::Environment;
use xtask::failure::Failure;

pub(crate) struct Settings {
    /// The address of the hub, without a trailing slash.
    pub(crate) endpoint: String,
    pub(crate) token: Option<Token>,
    /// True if the network must not be used.
    pub(crate) offline: bool,
}

/// The token of a user. Its value is used in a header and nowhere else.
pub(crate) struct Token {
    pub(crate) value: String,
    /// The name of the variable or the path of the file that it comes from.
    pub(crate) source: String,
}

impl Settings {
    pub(crate) fn from_environment() -> Result<Self> {
        let environment = Environment::of_process();
        let endpoint = &environment.endpoint;
        if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
            return Err(Failure::environment(
                format!("HF_ENDPOINT={endpoint} is no address of a hub"),
                "export HF_ENDPOINT=https://huggingface.co",
            )
            .into());
        }
        let token = if environment.is_anonymous { None } else { token(&environment)? };
        Ok(Self { token, offline: environment.is_offline, endpoint: environment.endpoint })
    }
}

fn token(environment: &Environment) -> Result<Option<Token>> {
    let unreadable = |error: std::io::Error| {
        let path = environment.token_path.display();
        Failure::environment(format!("cannot read the token in {path}: {error}"), "export HF_TOKEN=hf_...")
    };
    let Some((value, source)) = environment.token().map_err(unreadable)? else { return Ok(None) };
    if value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Some(Token { value, source }));
    }
    // The value is secret, even if it is invalid, so it is not shown.
    Err(Failure::environment(
        format!("the token in {source} has blanks or other characters that no token has"),
        "export HF_TOKEN=hf_...   (from the hub's page settings/tokens)",
    )
    .into())
}
