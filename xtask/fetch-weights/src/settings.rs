//! The environment that Hugging Face's own programs obey, as far as it concerns the network.

use anyhow::Result;
use llada_hub::Environment;
use xtask::failure::Failure;

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
    // The value is not shown: it is a secret, even a damaged one.
    Err(Failure::environment(
        format!("the token in {source} has blanks or other characters that no token has"),
        "export HF_TOKEN=hf_...   (from the hub's page settings/tokens)",
    )
    .into())
}
