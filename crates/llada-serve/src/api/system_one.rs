//! `/v1/systemone`: decisions in the form of TypeSafe's System One, with their names of questions and answers.

use axum::{
    Extension, Json,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use llada::{Decision, Question, QuestionKind, QuestionOption, Verdict};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    decisions::{decisions, read},
    error::ApiError,
    fields,
    guard::Client,
    score::config,
};
use crate::service::Shared;

/// The body of a request.
#[derive(Debug, Deserialize)]
struct Asked {
    state: String,
    questions: Ordered<Named>,
    model: Option<String>,
    #[serde(flatten)]
    options: Map<String, Value>,
}

/// A question under its name.
#[derive(Debug, Deserialize)]
struct Named {
    #[serde(rename = "type")]
    kind: Kind,
    instructions: String,
    /// The options, with what they mean.
    #[serde(default)]
    criteria: Ordered<Option<String>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// Whether something is true.
    Noul,
    Choice,
    Score,
}

/// The entries of an object, in the order of its text.
#[derive(Debug)]
struct Ordered<T>(Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Ordered<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }
        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

pub(super) async fn decide(
    State(service): State<Shared>,
    Extension(client): Extension<Client>,
    body: Bytes,
) -> Response {
    match answers(&service, &client, &body).await {
        Ok(answers) => Json(answers).into_response(),
        Err(error) if error.status == StatusCode::BAD_REQUEST => {
            let place = error.param.unwrap_or_default();
            let detail = json!([{"loc": ["body", place], "msg": error.message, "type": error.code}]);
            (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"detail": detail}))).into_response()
        }
        Err(error) => error.into_response(),
    }
}

async fn answers(service: &Shared, client: &Client, body: &[u8]) -> Result<Value, ApiError> {
    let asked: Asked = read(body)?;
    fields::check_model(service, asked.model.as_deref())?;
    let config = config(asked.options)?;
    let (mut names, mut questions) = (Vec::new(), Vec::new());
    for (name, Named { kind, instructions, criteria: Ordered(criteria) }) in asked.questions.0 {
        let options: Vec<_> =
            criteria.into_iter().map(|(value, description)| QuestionOption { value, description }).collect();
        let kind = match kind {
            Kind::Noul => QuestionKind::Predicate {},
            Kind::Choice => QuestionKind::Choice { choices: options },
            Kind::Score => QuestionKind::Score { levels: options },
        };
        names.push(name);
        questions.push(Question::new(instructions, kind));
    }
    let (decisions, usage) = decisions(service, client, asked.state, questions, config).await?;
    let answers: Map<String, Value> = names.into_iter().zip(decisions.iter().map(renamed)).collect();
    let usage = json!({"input_tokens": usage.tokens, "output_tokens": 0});
    Ok(json!({"model": service.options.model_names[0], "answers": answers, "usage": usage}))
}

/// Returns an answer under the names of this form.
fn renamed(decision: &Decision) -> Value {
    match &decision.verdict {
        Verdict::Predicate { probability, standard_error } => {
            json!({"type": "noul", "noul": probability, "standard_error": standard_error})
        }
        Verdict::Choice { choice, confidence, probabilities } => {
            let probabilities: Map<String, Value> =
                probabilities.iter().map(|option| (option.value.clone(), option.probability.into())).collect();
            json!({"type": "choice", "choice": choice, "confidence": confidence, "probabilities": probabilities})
        }
        Verdict::Score { score, standard_error, confidence, probabilities } => {
            let legend: Map<String, Value> =
                probabilities.iter().map(|level| (level.value.to_string(), level.label.clone().into())).collect();
            let probabilities: Map<String, Value> =
                probabilities.iter().map(|level| (level.value.to_string(), level.probability.into())).collect();
            json!({
                "type": "score", "score": score, "standard_error": standard_error, "confidence": confidence, "legend": legend,
                "probabilities": probabilities,
            })
        }
    }
}
