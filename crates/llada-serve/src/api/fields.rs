//! Fields of OpenAI's interface, and of other servers', that this one does not honour: they are accepted where that changes
//! nothing, and refused otherwise.

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::error::ApiError;
use crate::service::Shared;

/// Fields that change nothing here.
const WITHOUT_EFFECT: [&str; 9] = [
    "user",
    "store",
    "metadata",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "verbosity",
    "parallel_tool_calls",
    "realtime",
];

/// Fields that are accepted with values that change nothing.
const NEUTRAL: [(&str, &[Neutral]); 11] = [
    ("top_p", &[Neutral::Number(1.0)]),
    ("min_p", &[Neutral::Number(0.0)]),
    ("top_k", &[Neutral::Number(0.0), Neutral::Number(-1.0)]),
    ("presence_penalty", &[Neutral::Number(0.0)]),
    ("frequency_penalty", &[Neutral::Number(0.0)]),
    ("repetition_penalty", &[Neutral::Number(1.0)]),
    ("best_of", &[Neutral::Number(1.0)]),
    ("logit_bias", &[Neutral::Empty]),
    ("echo", &[Neutral::False]),
    ("tools", &[Neutral::Empty]),
    ("tool_choice", &[Neutral::Text("none"), Neutral::Text("auto")]),
];

/// A value that changes nothing; null never does.
enum Neutral {
    Number(f64),
    False,
    Empty,
    Text(&'static str),
}

impl Neutral {
    fn is(&self, value: &Value) -> bool {
        match self {
            Self::Number(number) => value.as_f64() == Some(*number),
            Self::False => value == &Value::Bool(false),
            Self::Empty => value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty),
            Self::Text(text) => value == text,
        }
    }
}

/// Refuses the name of another model.
pub(super) fn check_model(service: &Shared, model: Option<&str>) -> Result<(), ApiError> {
    let names = &service.options.model_names;
    let Some(model) = model.filter(|model| !names.iter().any(|name| name == model)) else { return Ok(()) };
    let message = format!("the model {model:?} does not exist; this server has {}", names.join(", "));
    let error = ApiError::new(StatusCode::NOT_FOUND, "model_not_found", message);
    Err(ApiError { param: Some("model".to_owned()), ..error })
}

/// Refuses fields that would have an effect elsewhere.
pub(super) fn check(fields: &Map<String, Value>) -> Result<(), ApiError> {
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        if WITHOUT_EFFECT.contains(&name.as_str()) {
            continue;
        }
        let neutral = NEUTRAL.iter().find(|(known, _)| known == name).map_or(&[][..], |(_, values)| values);
        if !neutral.iter().any(|neutral| neutral.is(value)) {
            let message = format!("{name} {value} is not supported");
            return Err(ApiError::invalid("unsupported_parameter", name, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_would_have_an_effect_is_refused() {
        let fields = |value: Value| value.as_object().cloned().unwrap();
        let neutral = json!({
            "user": "ada", "top_p": 1, "top_k": -1, "logit_bias": {}, "tools": [], "tool_choice": "none",
            "presence_penalty": 0.0, "unheard_of": null,
        });
        assert_eq!(check(&fields(neutral)), Ok(()));
        for refused in [json!({"top_p": 0.9}), json!({"unheard_of": 1}), json!({"tools": [1]})] {
            let error = check(&fields(refused.clone())).unwrap_err();
            assert_eq!(
                (error.code, error.param.as_ref()),
                ("unsupported_parameter", refused.as_object().unwrap().keys().next())
            );
        }
    }
}
