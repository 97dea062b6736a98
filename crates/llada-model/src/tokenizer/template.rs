//! Which chat template a tokenizer speaks, if it can: what the template writes has to be tokens.

use std::collections::BTreeMap;

use super::files::Files;
use crate::{
    ModelError,
    chat::{ChatTemplate, LLADA, LLADA_TOKENS},
    guard::guarded,
};

/// The chat template of `files`, or LLaDA's where there is none and all of its tokens are tokens; or why there is none.
pub(super) fn choose(
    tokenizer: &tokenizers::Tokenizer,
    files: &Files,
    named: &BTreeMap<String, String>,
) -> Result<ChatTemplate, String> {
    match files.template.as_ref().map_err(Clone::clone)? {
        Some(template) => {
            let refuse = |error: ModelError| format!("{}: {error}", template.path.display());
            let chat = ChatTemplate::new(&template.source, named).map_err(refuse)?;
            let variables = chat.variables().map_err(refuse)?;
            let mut written = named.iter().filter(|(name, token)| variables.contains(*name) && !token.is_empty());
            match written.find(|(_, token)| !is_token(tokenizer, token)) {
                Some((name, token)) => Err(format!(
                    "{}: the chat template writes {name}, {token:?}, which is no token of tokenizer.json",
                    template.path.display()
                )),
                None => Ok(chat),
            }
        }
        None => {
            let bos = named.get("bos_token").map_or("bos_token", String::as_str);
            let missing: Vec<&str> =
                LLADA_TOKENS.into_iter().chain([bos]).filter(|token| !is_token(tokenizer, token)).collect();
            if missing.is_empty() {
                return ChatTemplate::new(LLADA, named).map_err(|error| error.to_string());
            }
            Err(format!(
                "{}: chat_template is not set, and LLaDA's own needs tokens that this tokenizer has not: {}\nhint: chats \
                 need an instruct model, or a chat_template in tokenizer_config.json",
                files.settings_path.display(),
                missing.join(", ")
            ))
        }
    }
}

/// Whether text that spells `token` becomes this one token.
fn is_token(tokenizer: &tokenizers::Tokenizer, token: &str) -> bool {
    let id = tokenizer.token_to_id(token);
    let encoded = guarded("the tokenizer", || tokenizer.encode(token, false));
    id.is_some() && matches!(encoded, Ok(Ok(encoding)) if encoding.get_ids() == id.as_slice())
}
