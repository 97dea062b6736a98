//! `tensorboard/events.out.tfevents.*`, a run's record for TensorBoard: a file for each time the run is started.
//!
//! A file is a sequence of records, each a protocol-buffer `Event` between its length and its checksum
//! ([format](https://www.tensorflow.org/tutorials/load_data/tfrecord),
//! [`event.proto`](https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/event.proto)). A run that
//! resumes says so, and TensorBoard drops the steps that will be made again.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use prost::Message;

use crate::{TrainError, metrics::Metrics};

/// One `Event`, with those of its many fields that scalars need.
#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, tag = "2")]
    simple_value: f32,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `SessionLog.START`.
const START: i32 = 1;

/// An event file that is open for more events.
#[derive(Debug)]
pub(crate) struct EventFile {
    path: PathBuf,
    file: fs::File,
}

impl EventFile {
    /// Begins a new file in `folder` for a run that has made `step` steps.
    pub(crate) fn create(folder: &Path, step: u64) -> Result<Self, TrainError> {
        fs::create_dir_all(folder).map_err(TrainError::write(folder))?;
        let started = (now() * 1e6) as u64;
        let path = folder.join(format!("events.out.tfevents.{:010}.{:06}", started / 1_000_000, started % 1_000_000));
        let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(TrainError::write(&path))?;
        let mut events = Self { path, file };
        events.record(Event { file_version: Some("brain.Event:2".to_owned()), ..Event::default() })?;
        if step > 0 {
            let session_log = Some(SessionLog { status: START });
            events.record(Event { step: step as i64 + 1, session_log, ..Event::default() })?;
        }
        Ok(events)
    }

    pub(crate) fn push(&mut self, metrics: &Metrics) -> Result<(), TrainError> {
        let scalars = [
            ("train/loss", Some(metrics.loss)),
            ("train/router_aux_loss", metrics.router_aux_loss),
            ("train/grad_norm", Some(metrics.grad_norm)),
            ("train/lr", Some(metrics.lr)),
            ("train/tokens", Some(metrics.tokens as f64)),
            ("train/tokens_per_second", Some(metrics.tokens_per_second)),
            ("validation/bits_per_token", metrics.validation_bits_per_token),
            ("validation/bits_per_byte", metrics.validation_bits_per_byte),
        ];
        let mut summary = Summary { value: Vec::new() };
        for (tag, value) in scalars {
            if let Some(value) = value {
                summary.value.push(Scalar { tag: tag.to_owned(), simple_value: value as f32 });
            }
        }
        for (name, &value) in &metrics.details {
            summary.value.push(Scalar { tag: format!("train/{name}"), simple_value: value as f32 });
        }
        self.record(Event { step: metrics.step as i64, summary: Some(summary), ..Event::default() })
    }

    fn record(&mut self, event: Event) -> Result<(), TrainError> {
        let data = Event { wall_time: now(), ..event }.encode_to_vec();
        let length = (data.len() as u64).to_le_bytes();
        let record = [&length[..], &checksum(&length), &data, &checksum(&data)].concat();
        self.file.write_all(&record).map_err(TrainError::write(&self.path))
    }
}

/// CRC-32C, masked as the format has it.
fn checksum(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of a file, their checksums checked.
    fn events(path: &Path) -> Vec<Event> {
        let bytes = fs::read(path).unwrap();
        let (mut rest, mut events) = (bytes.as_slice(), vec![]);
        while let Some((length, after)) = rest.split_first_chunk::<8>() {
            let (crc, after) = after.split_at(4);
            assert_eq!(crc, checksum(length));
            let (data, after) = after.split_at(u64::from_le_bytes(*length) as usize);
            assert_eq!(after[..4], checksum(data));
            events.push(Event::decode(data).unwrap());
            rest = &after[4..];
        }
        events
    }

    #[test]
    fn steps_are_events() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(folder.path(), 7).unwrap();
        let metrics = Metrics {
            step: 8,
            loss: 2.5,
            router_aux_loss: None,
            grad_norm: 1.0,
            lr: 1e-3,
            tokens: 64,
            tokens_per_second: 9.0,
            validation_bits_per_token: None,
            validation_bits_per_byte: Some(3.0),
            details: [("reward".to_owned(), 0.5)].into(),
        };
        file.push(&metrics).unwrap();
        let events = events(&file.path);
        assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
        assert_eq!((events[1].step, events[1].session_log.clone()), (8, Some(SessionLog { status: START })));
        let scalars = &events[2].summary.as_ref().unwrap().value;
        assert_eq!(events[2].step, 8);
        assert_eq!(scalars[0], Scalar { tag: "train/loss".to_owned(), simple_value: 2.5 });
        assert_eq!(scalars[5].tag, "validation/bits_per_byte");
        assert_eq!(scalars[6..], [Scalar { tag: "train/reward".to_owned(), simple_value: 0.5 }]);
    }

    #[test]
    fn the_checksum_is_the_formats() {
        // CRC-32C of these digits is 0xe3069283 (RFC 3720's polynomial); rotated by 15 and shifted by the constant.
        assert_eq!(checksum(b"123456789"), 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes());
    }
}
