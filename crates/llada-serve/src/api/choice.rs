//! One answer as a stream of chunks: text as it settles and, if they are asked for, the steps.

use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};

use super::{
    answer::{Answer, Usage},
    error::ApiError,
    follow::Follower,
    submitted::Submitted,
};
use crate::engine::{Entry, Reader};

/// The events that a stream has besides text that is settled.
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
    follower: Follower,
    submitted: Arc<Submitted>,
    view: View,
    is_first: bool,
    has_ended: bool,
}

impl Choice {
    pub(super) fn new(submitted: Arc<Submitted>, index: usize, view: View) -> Self {
        let (reader, follower) = (submitted.reader(index), Follower::new(&submitted.frame));
        Self { index, reader, follower, submitted, view, is_first: true, has_ended: false }
    }

    pub(super) fn chunks(self) -> impl Stream<Item = Chunk> {
        let events = stream::unfold(self, |mut choice| async move {
            let chunks = choice.next().await?;
            Some((stream::iter(chunks), choice))
        });
        events.flatten()
    }

    /// Returns the chunks of the next event.
    async fn next(&mut self) -> Option<Vec<Chunk>> {
        if std::mem::take(&mut self.is_first)
            && let Some(opening) = self.submitted.frame.opening(self.index)
        {
            return Some(vec![self.chunk(opening, json!({}))]);
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
        let frame = &self.submitted.frame;
        match entry {
            Entry::Started { canvas } => {
                self.follower.start(canvas);
                Ok(Vec::new())
            }
            Entry::Step { step, growth, settled } => {
                let mut text = self.follower.step(step, *growth, *settled)?;
                if frame.told.is_call {
                    // A call is sent as a whole once it is complete.
                    text.clear();
                }
                let mut others = json!({});
                if self.view.has_steps {
                    let mut event = self.follower.described(step, *settled, true);
                    event["index"] = self.index.into();
                    if let Some(growth) = growth {
                        event["grown"] = json!({"at": growth.at, "count": growth.count});
                    }
                    others = json!({"diffusion": event});
                }
                if self.view.is_diffusing && !frame.told.is_call {
                    text = self.follower.masked_text()?;
                    let progress = self.follower.progress();
                    others["diffusion_meta"] = json!({"diffusion_content": true, "diffusion_progress": progress});
                }
                if text.is_empty() && !self.view.has_steps {
                    return Ok(Vec::new());
                }
                Ok(vec![self.chunk(frame.delta(self.index, &text, None), others)])
            }
            Entry::Finished(finish) => {
                let answer = Answer::new(frame, finish, self.index)?;
                let rest = self.follower.finish(finish)?;
                let text = if self.view.is_diffusing { &answer.text } else { &rest };
                let mut chunks = Vec::new();
                if frame.told.is_call {
                    chunks.push(self.chunk(frame.call_delta(self.index, &answer.text), json!({})));
                } else if !text.is_empty() {
                    chunks.push(self.chunk(frame.delta(self.index, text, None), json!({})));
                }
                let mut end = frame.delta(self.index, "", Some(answer.finish_reason));
                end["logprobs"] = answer.logprobs;
                chunks.push(self.chunk(end, json!({"diffusion": answer.report})));
                chunks.push(Chunk::Usage(answer.usage));
                Ok(chunks)
            }
            Entry::Failed(failure) => Err(failure.into()),
            Entry::Scored { .. } => Ok(Vec::new()),
        }
    }

    fn chunk(&self, choice: Value, mut others: Value) -> Chunk {
        others["usage"] = Value::Null;
        Chunk::Event(self.submitted.frame.object(true, vec![choice], others))
    }
}
