//! Chat templates: the checkpoint's own Jinja template, or LLaDA's where it has none.

use minijinja::{Environment, Error, ErrorKind, Value, context, syntax::SyntaxConfig, value::Serde};
use serde::{Deserialize, Serialize};

use crate::ModelError;

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: String,
}

impl Message {
    /// A message of `role`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// The template of LLaDA-8B-Instruct: header, blank line, trimmed content, end of turn.
const LLADA: &str = "{% for message in messages %}{% if loop.first %}{{ bos_token }}{% endif %}\
    <|start_header_id|>{{ message.role }}<|end_header_id|>\n\n{{ message.content | trim }}<|eot_id|>{% endfor %}\
    {% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}";

/// A compiled chat template and the special tokens that it may name.
#[derive(Debug)]
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    special_tokens: Value,
}

impl ChatTemplate {
    /// Compiles `source`, or LLaDA's template; `special_tokens` maps `bos_token` and its like to their text.
    pub(crate) fn new(source: Option<String>, special_tokens: Value) -> Result<Self, ModelError> {
        let mut environment = Environment::new();
        // What Hugging Face sets for its templates.
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_template_owned("chat", source.unwrap_or_else(|| LLADA.to_owned()))?;
        Ok(Self { environment, special_tokens })
    }

    /// The prompt that asks for the assistant's next message.
    pub(crate) fn render(&self, messages: &[Message]) -> Result<String, ModelError> {
        let context =
            context! { messages => Serde(messages), add_generation_prompt => true, ..self.special_tokens.clone() };
        Ok(self.environment.get_template("chat")?.render(context)?)
    }
}
