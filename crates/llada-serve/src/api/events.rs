//! The events of a generation, by name and number.
//!
//! They are a function of the generation's log, so a reader that comes back gets the same events under the same numbers.

use std::{collections::BTreeSet, sync::Arc};

use axum::response::sse::Event;
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Map, Value, json};

use super::{answer::Answer, error::ApiError, follow::Follower, submitted::Submitted};
use crate::engine::{Entry, Reader};

/// Returns the events of the only answer of a request, without those up to the number `last`.
pub(super) fn events(submitted: Arc<Submitted>, last: Option<u64>) -> impl Stream<Item = Event> {
    let (reader, follower) = (submitted.reader(0), Follower::new(&submitted.frame));
    let narrator = Narrator { reader, follower, submitted, next: 0, known: BTreeSet::new(), has_ended: false };
    let all = stream::unfold(narrator, |mut narrator| async move {
        let events = narrator.next().await?;
        Some((stream::iter(events), narrator))
    });
    all.flatten().filter_map(move |(number, name, value)| {
        let is_new = last.is_none_or(|last| number > last);
        let event = || Event::default().event(name).id(number.to_string()).data(value.to_string());
        std::future::ready(is_new.then(event))
    })
}

/// An event: its number, its name, and its data.
type Numbered = (u64, &'static str, Value);

struct Narrator {
    reader: Reader,
    follower: Follower,
    submitted: Arc<Submitted>,
    /// The number of the next event.
    next: u64,
    /// The ids whose pieces were told.
    known: BTreeSet<u32>,
    has_ended: bool,
}

impl Narrator {
    /// Returns the events of the next entry of the log.
    async fn next(&mut self) -> Option<Vec<Numbered>> {
        if self.has_ended {
            return None;
        }
        let entry = self.reader.next().await?;
        self.has_ended = entry.is_last();
        let told = self.tell(&entry).unwrap_or_else(|error| {
            self.has_ended = true;
            vec![("diffusion.failed", error.body())]
        });
        let mut numbered = Vec::with_capacity(told.len());
        for (name, mut value) in told {
            value["type"] = name.into();
            value["sequence_number"] = self.next.into();
            numbered.push((self.next, name, value));
            self.next += 1;
        }
        Some(numbered)
    }

    fn tell(&mut self, entry: &Entry) -> Result<Vec<(&'static str, Value)>, ApiError> {
        let frame = &self.submitted.frame;
        match entry {
            Entry::Started { canvas } => {
                self.follower.start(canvas);
                let pieces = self.pieces(canvas.iter().copied());
                let frame = &self.submitted.frame;
                let started = json!({
                    "request_id": self.submitted.client.id, "model": frame.service.options.model_names[0],
                    "prompt_length": frame.told.answer.start(), "canvas": canvas, "pieces": pieces, "mask_id": frame.service.mask_id,
                    "seed": frame.told.seed,
                });
                Ok(vec![("diffusion.started", started)])
            }
            Entry::Step { step, growth, settled } => {
                let text = self.follower.step(step, *growth, *settled)?;
                let mut events = Vec::new();
                if let Some(growth) = growth {
                    events.push(("diffusion.grown", json!({"at": growth.at, "count": growth.count})));
                }
                let mut described = self.follower.described(step, *settled, false);
                let alternatives = step.logprobs.iter().flat_map(|token| &token.top).map(|&(id, _)| id);
                let committed = step.commits.iter().map(|commit| commit.token);
                described["pieces"] = self.pieces(committed.chain(alternatives)).into();
                events.push(("diffusion.step", described));
                if !text.is_empty() {
                    events.push(("diffusion.text.delta", json!({"delta": text})));
                }
                Ok(events)
            }
            Entry::Finished(finish) => {
                let answer = Answer::new(frame, finish, 0)?;
                let rest = self.follower.finish(finish)?;
                let mut events = Vec::new();
                if !rest.is_empty() {
                    events.push(("diffusion.text.delta", json!({"delta": rest})));
                }
                let choices = vec![frame.choice(0, &answer)];
                let others = json!({"usage": answer.usage.json(), "diffusion": answer.report});
                events.push(("diffusion.completed", frame.object(false, choices, others)));
                Ok(events)
            }
            Entry::Failed(failure) => Err(failure.into()),
            Entry::Scored { .. } => Ok(Vec::new()),
        }
    }

    /// Returns the pieces of the ids that were not told before.
    fn pieces(&mut self, ids: impl Iterator<Item = u32>) -> Map<String, Value> {
        let mut pieces = Map::new();
        for id in ids {
            if self.known.insert(id) {
                pieces.insert(id.to_string(), self.submitted.frame.service.tokenizer.piece(id).into());
            }
        }
        pieces
    }
}
