//! Chat templates. The Jinja template of a checkpoint is rendered as `apply_chat_template` of transformers renders it.
//! Checkpoints without one use that of LLaDA.

mod dialect;
mod environment;
mod filters;
mod json;
mod lexer;
mod message;
mod methods;
mod python;
mod strftime;

use std::collections::{BTreeMap, HashSet};

use minijinja::{Environment, Value, context, value::Serde};

pub use message::Message;

use crate::{ModelError, guard::guarded};

/// The template of LLaDA-8B-Instruct. A message is a header, a blank line, the trimmed content, and an end of turn.
pub(crate) const LLADA: &str = "{% for message in messages %}{% if loop.first %}{{ bos_token }}{% endif %}\
    <|start_header_id|>{{ message.role }}<|end_header_id|>\n\n{{ message.content | trim }}<|eot_id|>{% endfor %}\
    {% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}";

/// The special tokens that [`LLADA`] writes, apart from `bos_token`.
pub(crate) const LLADA_TOKENS: [&str; 3] = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"];

const NAME: &str = "chat";

/// A compiled chat template with the special tokens it may refer to.
#[derive(Debug)]
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    special_tokens: Value,
}

impl ChatTemplate {
    /// Compiles `source`. `special_tokens` maps names such as `bos_token` to tokens.
    pub(crate) fn new(source: &str, special_tokens: &BTreeMap<String, String>) -> Result<Self, ModelError> {
        guarded("the chat template", || {
            let mut environment = environment::environment()?;
            environment.add_template_owned(NAME, dialect::translate(source))?;
            Ok(Self { environment, special_tokens: Value::from(special_tokens.clone()) })
        })?
    }

    /// Returns the variables that the template reads but does not set.
    pub(crate) fn variables(&self) -> Result<HashSet<String>, ModelError> {
        Ok(self.environment.get_template(NAME)?.undeclared_variables(false))
    }

    /// Renders a conversation. `is_prompt` appends the header of the assistant's next message.
    pub(crate) fn render(&self, messages: &[Message], is_prompt: bool) -> Result<String, ModelError> {
        guarded("the chat template", || {
            let context = context! {
                messages => Serde(messages),
                tools => (),
                documents => (),
                add_generation_prompt => is_prompt,
                ..self.special_tokens.clone()
            };
            Ok(self.environment.get_template(NAME)?.render(context)?)
        })?
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// What transformers makes of a template, with and without the prompt for an answer.
    #[derive(Deserialize)]
    struct Case {
        template: String,
        messages: Vec<Message>,
        prompt: Rendered,
        history: Rendered,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Rendered {
        Text(String),
        Error(String),
    }

    #[test]
    fn templates_mean_what_transformers_makes_of_them() {
        let special_tokens = [("bos", "startoftext"), ("eos", "endoftext"), ("pad", "endoftext"), ("mask", "mdm_mask")]
            .map(|(name, token)| (format!("{name}_token"), format!("<|{token}|>")));
        let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/fixtures/chat/templates.json")).unwrap();
        assert!(cases.len() > 100);
        let mut different = Vec::new();
        for Case { template, messages, prompt, history } in &cases {
            for (is_prompt, expected) in [(true, prompt), (false, history)] {
                let compiled = ChatTemplate::new(template, &special_tokens.clone().into());
                let found = compiled.and_then(|compiled| compiled.render(messages, is_prompt));
                let found = found.map_err(|error| error.to_string());
                match (expected, found) {
                    (Rendered::Text(expected), Ok(found)) if *expected == found => {}
                    (Rendered::Error(_), Err(_)) => {}
                    (Rendered::Text(expected), found) => {
                        different.push(format!("{template}\n  expected {expected:?}\n  found    {found:?}"));
                    }
                    (Rendered::Error(kind), Ok(found)) => {
                        different.push(format!("{template}\n  expected {kind}\n  found    {found:?}"));
                    }
                }
            }
        }
        assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
    }
}
