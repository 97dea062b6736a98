//! `/v1/infill`: fill the holes of a text.

use axum::{
    Extension, Json,
    extract::{State, rejection::JsonRejection},
    response::{IntoResponse, Response},
};
use llada::Pattern;
use serde::Deserialize;
use serde_json::json;

use super::{
    answer::Answer,
    body,
    error::ApiError,
    follow::Place,
    frame::Shape,
    gap::best,
    guard::Client,
    jobs::outcome,
    respond::blocking,
    sampling::{Canvas, Sampling},
    submitted::Submitted,
};
use crate::{
    engine::{Entry, Finish},
    service::Shared,
};

/// The largest number of canvases that are compared, which are all combinations of the holes' lengths.
const MAX_CANDIDATES: usize = 64;

/// The body of a request.
#[derive(Debug, Deserialize)]
pub(super) struct InfillRequest {
    template: Vec<Part>,
    #[serde(flatten)]
    sampling: Sampling,
}

/// A part of a template.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Part {
    Text(String),
    Hole(Hole),
}

/// A run of masks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hole {
    mask: Length,
    name: Option<String>,
    regex: Option<String>,
    choice: Option<Vec<String>>,
}

/// The number of tokens in a hole, or the least and the largest number.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Length {
    Exact(usize),
    Range([usize; 2]),
}

impl Length {
    /// Returns the lengths to try.
    fn all(self, index: usize) -> Result<std::ops::RangeInclusive<usize>, ApiError> {
        let [least, most] = match self {
            Self::Exact(length) => [length; 2],
            Self::Range(range) => range,
        };
        if least == 0 || least > most {
            let message = format!("a hole of {least} to {most} tokens is impossible; it has at least 1");
            return Err(ApiError::invalid("invalid_parameter", format!("template[{index}].mask"), message));
        }
        Ok(least..=most)
    }
}

/// Returns a canvas for each combination of the lengths of a template's holes.
pub(super) fn canvases(service: &Shared, template: &[Part]) -> Result<Vec<Canvas>, ApiError> {
    let beginning = service.tokenizer.beginning().map_err(llada::Error::from)?;
    let mut canvases = vec![Canvas { prompt: beginning, answer: Place::Whole, holes: Vec::new(), call: None }];
    for (index, part) in template.iter().enumerate() {
        match part {
            Part::Text(text) => {
                let ids = service.tokenizer.encode_part(text).map_err(llada::Error::from)?;
                if ids.contains(&service.mask_id) {
                    let message = "the text spells a mask; holes are objects, such as {\"mask\": 3}";
                    return Err(ApiError::invalid("invalid_parameter", format!("template[{index}]"), message));
                }
                canvases.iter_mut().for_each(|canvas| canvas.prompt.extend(&ids));
            }
            Part::Hole(hole) => canvases = with_hole(service, &canvases, hole, index)?,
        }
    }
    if canvases[0].holes.is_empty() {
        return Err(ApiError::invalid("invalid_parameter", "template", "the template has no holes"));
    }
    Ok(canvases)
}

fn with_hole(service: &Shared, canvases: &[Canvas], hole: &Hole, index: usize) -> Result<Vec<Canvas>, ApiError> {
    let pattern = match (&hole.regex, &hole.choice) {
        (None, None) => None,
        (Some(regex), None) => Some(Pattern::Regex(regex.clone())),
        (None, Some(choice)) => Some(Pattern::Choice(choice.clone())),
        (Some(_), Some(_)) => {
            let message = "a hole has one pattern: regex or choice";
            return Err(ApiError::invalid("invalid_parameter", format!("template[{index}]"), message));
        }
    };
    let automaton = pattern.map(|pattern| service.grammars.get(&pattern)).transpose()?;
    let lengths = hole.mask.all(index)?;
    let count = canvases.len().saturating_mul(lengths.clone().count());
    if count > MAX_CANDIDATES {
        let message =
            format!("the lengths of the holes have {count} combinations, at most {MAX_CANDIDATES} are compared");
        return Err(ApiError::invalid("invalid_parameter", format!("template[{index}].mask"), message));
    }
    let mut longer = Vec::with_capacity(count);
    for canvas in canvases {
        // Two holes side by side would be one run of masks.
        if canvas.prompt.last() == Some(&service.mask_id) {
            let message = "a hole follows another one without a text in between";
            return Err(ApiError::invalid("invalid_parameter", format!("template[{index}]"), message));
        }
        for length in lengths.clone() {
            let mut canvas = canvas.clone();
            canvas.prompt.extend(std::iter::repeat_n(service.mask_id, length));
            canvas.holes.push(automaton.clone());
            longer.push(canvas);
        }
    }
    Ok(longer)
}

pub(super) async fn infill(
    State(service): State<Shared>,
    Extension(client): Extension<Client>,
    request: Result<Json<InfillRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let InfillRequest { template, sampling } = body(request)?;
    sampling.check(&service)?;
    let names: Vec<Option<String>> = template.iter().filter_map(Part::name).collect();
    let candidates = blocking(&service, move |service| canvases(service, &template)).await?;
    let canvas = best(&service, &client, candidates).await?;
    let prepared = blocking(&service, move |service| sampling.prepare(service, canvas)).await?;
    let submitted = Submitted::new(service, Shape::Text, client, prepared).await?;
    let response = outcome(submitted.reader(0), |entry| match entry {
        Entry::Finished(finish) => Some(respond(&submitted, finish, &names)),
        _ => None,
    });
    response.await?
}

impl Part {
    /// Returns the name of a hole, if it is one.
    fn name(&self) -> Option<Option<String>> {
        match self {
            Self::Text(_) => None,
            Self::Hole(hole) => Some(hole.name.clone()),
        }
    }
}

fn respond(submitted: &Submitted, finish: &Finish, names: &[Option<String>]) -> Result<Response, ApiError> {
    let (frame, generation) = (&submitted.frame, &finish.generation);
    let service = &frame.service;
    let answer = Answer::new(frame, finish, 0)?;
    let mut confidences = vec![0.0; generation.prompt.len()];
    for commit in generation.trace.steps.iter().flat_map(|step| &step.commits) {
        confidences[commit.position] = f64::from(commit.confidence);
    }
    let mut holes = Vec::new();
    let mut position = 0;
    for run in generation.trace.canvas.chunk_by(|a, b| (*a == service.mask_id) == (*b == service.mask_id)) {
        let range = position..position + run.len();
        position = range.end;
        if run[0] == service.mask_id {
            let ids = &generation.prompt[range.clone()];
            let text = service.tokenizer.decode(ids).map_err(llada::Error::from)?;
            let confidence = confidences[range].iter().sum::<f64>() / ids.len() as f64;
            let name = names.get(holes.len()).cloned().flatten();
            holes.push(json!({"name": name, "text": text, "ids": ids, "confidence": confidence}));
        }
    }
    let filled = json!({
        "text": answer.text, "holes": holes, "usage": answer.usage.json(), "diffusion": answer.report,
    });
    Ok(Json(frame.envelope("infill", filled)).into_response())
}
