//! Calls of a client's functions, which OpenAI's interface names tools.
//!
//! An answer that is a call is JSON with the name of a function and arguments that its schema allows: a constraint sees to
//! that. Where the model may choose (`auto`), it first names a function or none, in one forward.

use llada::{Json, JsonOptions, Message, Pattern, Request, SamplerConfig};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{error::ApiError, guard::Client, jobs::generation, messages, respond::blocking};
use crate::service::Shared;

/// What a model that may choose answers if no function helps.
const NONE: &str = "none";

/// The functions of a request, and which of them is to be called.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Tools {
    #[serde(default)]
    tools: Option<Vec<Tool>>,
    tool_choice: Option<ToolChoice>,
}

#[derive(Debug, Deserialize)]
struct Tool {
    function: Function,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    description: Option<String>,
    parameters: Option<Json>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ToolChoice {
    Mode(Mode),
    Named { function: Name },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    None,
    Auto,
    Required,
}

#[derive(Debug, Deserialize)]
struct Name {
    name: String,
}

impl Tools {
    /// Returns the messages with what the model has to know of the functions, and the pattern of the answer if it is to be
    /// a call.
    pub(super) async fn apply(
        self,
        service: &Shared,
        client: &Client,
        messages: Vec<Message>,
    ) -> Result<(Vec<Message>, Option<Pattern>), ApiError> {
        let tools = self.tools.unwrap_or_default();
        let choice = self.tool_choice.unwrap_or(ToolChoice::Mode(Mode::Auto));
        if tools.is_empty() || matches!(choice, ToolChoice::Mode(Mode::None)) {
            return Ok((messages, None));
        }
        let messages = described(&tools, messages);
        let name = match choice {
            ToolChoice::Named { function } => Some(function.name),
            ToolChoice::Mode(Mode::Auto) => match choose(service, client, &tools, &messages).await? {
                name if name == NONE => return Ok((messages, None)),
                name => Some(name),
            },
            ToolChoice::Mode(_) => None,
        };
        let mut schemas = Vec::new();
        for Tool { function } in tools {
            if name.as_ref().is_none_or(|name| *name == function.name) {
                schemas.push(call(function));
            }
        }
        if schemas.is_empty() {
            let message = format!("there is no function {:?} among the tools", name.unwrap_or_default());
            return Err(ApiError::invalid("invalid_parameter", "tool_choice", message));
        }
        let schema = Json::Object(vec![("anyOf".to_owned(), Json::Array(schemas))]);
        Ok((messages, Some(Pattern::JsonSchema { schema, options: JsonOptions::default() })))
    }
}

/// Returns the messages, with the functions in the first one.
fn described(tools: &[Tool], mut messages: Vec<Message>) -> Vec<Message> {
    let mut text = "Functions:\n".to_owned();
    for Tool { function: Function { name, description, parameters } } in tools {
        let mut function = json!({"name": name, "parameters": parameters});
        if let Some(description) = description {
            function["description"] = description.as_str().into();
        }
        text.push_str(&format!("{function}\n"));
    }
    text.push_str("A call is {\"name\": ..., \"arguments\": ...}.");
    match messages.first_mut() {
        Some(first) if first.role == "system" => first.content = format!("{}\n\n{text}", first.content),
        _ => messages.insert(0, Message::new("system", text)),
    }
    messages
}

/// Returns the schema of a call, whose name comes first.
fn call(Function { name, parameters, .. }: Function) -> Json {
    let text = |text: &str| Json::String(text.to_owned());
    let object = |entries: Vec<(&str, Json)>| {
        Json::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    };
    let parameters = parameters.unwrap_or_else(|| object(vec![("type", text("object"))]));
    object(vec![
        ("type", text("object")),
        ("properties", object(vec![("name", object(vec![("const", Json::String(name))])), ("arguments", parameters)])),
        ("required", Json::Array(vec![text("name"), text("arguments")])),
        ("additionalProperties", Json::Bool(false)),
    ])
}

/// Lets the model name a function or none.
async fn choose(service: &Shared, client: &Client, tools: &[Tool], messages: &[Message]) -> Result<String, ApiError> {
    let mut names: Vec<String> = tools.iter().map(|tool| tool.function.name.clone()).collect();
    names.push(NONE.to_owned());
    let mut messages = messages.to_vec();
    messages.push(Message::new("user", format!("Which function? {}", names.join(", "))));
    let request = blocking(service, move |service| {
        let tokenizer = &service.tokenizer;
        let mut longest = 0;
        for name in &names {
            longest = longest.max(tokenizer.encode_part(name).map_err(llada::Error::from)?.len());
        }
        let gen_length = longest + 1;
        let config =
            SamplerConfig { gen_length, block_length: Some(gen_length), steps: Some(1), ..SamplerConfig::default() };
        let prompt = messages::encode(service, &messages)?;
        Ok(Request::new(prompt, config).with_constraint(service.grammars.get(&Pattern::Choice(names))?))
    })
    .await?;
    let answer = generation(service, client, request).await?;
    Ok(service.tokenizer.decode(service.ends.cut(&answer.output)).map_err(llada::Error::from)?)
}

/// Returns a call as the only one of a message; `id` tells it from those of other messages.
pub(super) fn calls(id: &str, text: &str) -> Value {
    let call = text.parse().unwrap_or(Json::Null);
    let arguments = call.get("arguments").map_or_else(|| "{}".to_owned(), Json::to_string);
    let function = json!({"name": call.get("name"), "arguments": arguments});
    json!([{"index": 0, "id": id, "type": "function", "function": function}])
}
