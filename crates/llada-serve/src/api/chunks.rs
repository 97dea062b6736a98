//! One answer as a stream of chunks: text as it settles and, if they are asked for, the steps.

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::{
    answer::Usage,
    error::ApiError,
    frame::{Frame, Shape},
};
use crate::{
    engine::{Entry, Reader, Ticket},
    settled::Settled,
};

/// Which events a stream has besides text that is settled.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    /// Every step, with what it committed and took back.
    pub(super) has_steps: bool,
    /// Instead of settled text, the whole text so far, masks in it.
    pub(super) is_diffusing: bool,
}

/// A part of a stream.
pub(super) enum Chunk {
    Event(Value),
    Usage(Usage),
    End,
}

/// One answer of a stream.
pub(super) struct Choice {
    index: usize,
    reader: Reader,
    /// Cancels the generation when the client goes.
    _ticket: Ticket,
    settled: Settled,
    canvas: Vec<u32>,
    prompt_length: usize,
    frame: Frame,
    view: View,
    is_first: bool,
    has_ended: bool,
}

impl Choice {
    pub(super) fn new(index: usize, ticket: Ticket, prompt_length: usize, frame: Frame, view: View) -> Self {
        Self {
            index,
            reader: ticket.reader(),
            _ticket: ticket,
            settled: frame.settled(),
            canvas: Vec::new(),
            prompt_length,
            frame,
            view,
            is_first: true,
            has_ended: false,
        }
    }

    pub(super) fn chunks(self) -> impl stream::Stream<Item = Chunk> {
        stream::unfold(self, |mut choice| async move {
            let chunks = choice.next().await?;
            Some((stream::iter(chunks), choice))
        })
        .flatten()
    }

    /// Returns the chunks of the next event.
    async fn next(&mut self) -> Option<Vec<Chunk>> {
        if std::mem::take(&mut self.is_first) && self.frame.shape == Shape::Chat {
            let delta = json!({"index": self.index, "delta": {"role": "assistant", "content": ""}, "logprobs": null, "finish_reason": null});
            return Some(vec![Chunk::Event(self.chunk(delta, json!({})))]);
        }
        if self.has_ended {
            return None;
        }
        let entry = self.reader.next().await?;
        self.has_ended = entry.is_last();
        Some(self.read(&entry).unwrap_or_else(|error| {
            self.has_ended = true;
            vec![Chunk::Event(error.body())]
        }))
    }

    fn read(&mut self, entry: &Entry) -> Result<Vec<Chunk>, ApiError> {
        match entry {
            Entry::Started { canvas } => {
                self.canvas.clone_from(canvas);
                Ok(Vec::new())
            }
            Entry::Step { step, growth, settled } => {
                let mask = self.frame.service.mask_id;
                apply(&mut self.canvas, step, *growth, mask);
                let output = &self.canvas[self.prompt_length..(*settled).max(self.prompt_length)];
                let mut text = self.settled.advance(output)?;
                let mut others = json!({});
                if self.view.has_steps {
                    others = json!({"diffusion": self.step(step, *growth, *settled)?});
                }
                if self.view.is_diffusing {
                    text = self.frame.service.masked_text(&self.canvas[self.prompt_length..])?;
                    let masked = self.canvas.iter().filter(|&&id| id == mask).count();
                    let progress = 1.0 - masked as f64 / (self.canvas.len() - self.prompt_length).max(1) as f64;
                    others["diffusion_meta"] = json!({"diffusion_content": true, "diffusion_progress": progress});
                }
                if text.is_empty() && !self.view.has_steps {
                    return Ok(Vec::new());
                }
                let delta = self.frame.shape.delta(
                    self.index,
                    Some(&text).filter(|text| !text.is_empty()).map(|text| text.as_str()),
                    None,
                );
                Ok(vec![Chunk::Event(self.chunk(delta, others))])
            }
            Entry::Finished(finish) => {
                let answer = self.frame.answer(finish)?;
                let rest = self.settled.finish(&finish.generation.output)?;
                let text =
                    if self.view.is_diffusing { self.frame.settled().finish(&finish.generation.output)? } else { rest };
                let delta =
                    self.frame.shape.delta(self.index, Some(text.as_str()).filter(|text| !text.is_empty()), None);
                let end = self.frame.shape.delta(self.index, None, Some(answer.finish_reason));
                let diffusion = answer.diffusion(self.frame.seed.wrapping_add(self.index as u64));
                let mut chunks = Vec::new();
                if !text.is_empty() {
                    chunks.push(Chunk::Event(self.chunk(delta, json!({}))));
                }
                chunks.push(Chunk::Event(self.chunk(end, json!({"diffusion": diffusion}))));
                chunks.push(Chunk::Usage(answer.usage));
                Ok(chunks)
            }
            Entry::Failed(message) => Err(ApiError::failed(message)),
            Entry::Cancelled => Err(cancelled()),
        }
    }

    /// Returns a step with the pieces of its tokens.
    fn step(&self, step: &llada::TraceStep, growth: Option<llada::Growth>, settled: usize) -> Result<Value, ApiError> {
        let service = &self.frame.service;
        let (mut commits, mut forced) = (Vec::new(), Vec::new());
        for commit in &step.commits {
            let piece = service.tokenizer.piece(commit.token);
            if step.forced.binary_search(&commit.position).is_ok() {
                forced.push(json!([commit.position, commit.token, piece]));
            } else {
                commits.push(json!([commit.position, commit.token, piece, commit.confidence]));
            }
        }
        let masked = self.canvas.iter().filter(|&&id| id == service.mask_id).count();
        let mut event = json!({
            "index": self.index, "step": step.step, "block": step.block, "nfe": step.nfe, "commits": commits, "forced": forced,
            "revoked": step.revoked, "masked": masked, "settled": settled,
        });
        if let Some(growth) = growth {
            event["grown"] = json!({"at": growth.at, "count": growth.count});
        }
        Ok(event)
    }

    fn chunk(&self, choice: Value, others: Value) -> Value {
        let mut others = others;
        others["usage"] = Value::Null;
        self.frame.object(true, vec![choice], others)
    }
}

/// Applies a step to a canvas: first its growth, then what was revoked, then what was committed.
pub(crate) fn apply(canvas: &mut Vec<u32>, step: &llada::TraceStep, growth: Option<llada::Growth>, mask_id: u32) {
    if let Some(growth) = growth {
        let at = growth.at.min(canvas.len());
        canvas.splice(at..at, std::iter::repeat_n(mask_id, growth.count));
    }
    for &position in &step.revoked {
        if let Some(id) = canvas.get_mut(position) {
            *id = mask_id;
        }
    }
    for commit in &step.commits {
        if let Some(id) = canvas.get_mut(commit.position) {
            *id = commit.token;
        }
    }
}

pub(super) fn cancelled() -> ApiError {
    ApiError::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, "cancelled", "the generation was cancelled")
}
