//! Calls of functions.

use llada_serve::ServeOptions;
use serde_json::{Value, json};

use crate::server::{Server, chat, events};

fn tools() -> Value {
    let function = |name: &str, property: &str| {
        let parameters =
            json!({"type": "object", "properties": {property: {"type": "boolean"}}, "required": [property]});
        json!({"type": "function", "function": {"name": name, "parameters": parameters}})
    };
    json!([function("add", "sum"), function("halve", "half")])
}

fn called(choice: &Value) -> (String, Value) {
    assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!("tool_calls"), &Value::Null));
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["type"], "function");
    let arguments = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    (call["function"]["name"].as_str().unwrap().to_owned(), arguments)
}

#[test]
fn a_required_call_fits_one_of_the_functions() {
    let server = Server::start(ServeOptions::default());
    let asked = json!({"tools": tools(), "tool_choice": "required", "max_tokens": 48, "diffusion": {}});
    let answer = server.post("/v1/chat/completions", &chat("7?", asked));
    let (name, arguments) = called(&answer["choices"][0]);
    let property = if name == "add" { "sum" } else { "half" };
    assert!(arguments[property].is_boolean(), "{answer}");
}

#[test]
fn a_named_function_is_called_in_streams_too() {
    let server = Server::start(ServeOptions::default());
    let named = json!({"type": "function", "function": {"name": "halve"}});
    let mut body = chat("7?", json!({"tools": tools(), "tool_choice": named, "max_tokens": 48, "diffusion": {}}));
    let answer = server.post("/v1/chat/completions", &body);
    assert_eq!(called(&answer["choices"][0]).0, "halve");
    body["stream"] = true.into();
    let chunks = events(server.send("/v1/chat/completions", &body));
    let calls: Vec<&Value> = chunks
        .iter()
        .map(|sent| &sent.data["choices"][0]["delta"]["tool_calls"])
        .filter(|calls| calls.is_array())
        .collect();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0][0]["function"], answer["choices"][0]["message"]["tool_calls"][0]["function"]);
    assert_eq!(chunks.last().unwrap().data["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn a_model_that_may_choose_calls_a_function_or_answers() {
    let server = Server::start(ServeOptions::default());
    for mode in [json!("auto"), Value::Null] {
        let asked = json!({"tools": tools(), "tool_choice": mode, "max_tokens": 48, "diffusion": {}});
        let answer = server.post("/v1/chat/completions", &chat("7?", asked));
        let choice = &answer["choices"][0];
        assert!(choice["message"]["content"].is_string() || called(choice).1.is_object(), "{answer}");
    }
    let never = server.post("/v1/chat/completions", &chat("7?", json!({"tools": tools(), "tool_choice": "none"})));
    assert!(never["choices"][0]["message"]["content"].is_string());
    let unknown = json!({"tools": tools(), "tool_choice": {"type": "function", "function": {"name": "nope"}}});
    let (status, error) = server.refused("/v1/chat/completions", &chat("7?", unknown));
    assert_eq!((status, &error["param"]), (400, &json!("tool_choice")));
}
