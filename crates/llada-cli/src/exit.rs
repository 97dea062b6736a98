//! How a failure ends: its message, a hint, and the exit code of its kind.

use std::{error::Error, io, process::ExitCode};

use llada_core::{CoreError, Hint};
use llada_eval::EvalError;
use llada_hub::HubError;
use llada_infer::InferError;
use llada_model::ModelError;
use llada_train::{TrainError, data::DatasetKind};

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const ENVIRONMENT: u8 = 3;
const INTERRUPTED: u8 = 130;

/// What was asked for cannot be: the settings or the input are at fault.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Usage {}

/// The work was asked to end, and did after saving what there was.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl Error for Interrupted {}

/// A [`Usage`] error with this message.
pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}

/// A [`Usage`] error that says what `error` says, with the hint that fits where it came up.
pub(crate) fn hinted(error: &impl std::fmt::Display, hint: &str) -> anyhow::Error {
    usage(format!("{error}\nhint: {hint}"))
}

/// Prints the error and gives its exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let code = code(error);
    if code == INTERRUPTED {
        eprintln!("interrupted");
    } else {
        eprintln!("error: {}", message(error));
    }
    ExitCode::from(code)
}

/// The causes in a line, without those that the cause before has told already, and the hint on a line of its own, with
/// options as flags.
fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !message.contains(&cause) {
            let colon = if message.is_empty() { "" } else { ": " };
            message.extend([colon, &cause]);
        }
    }
    if let Some(hint) = error.chain().find_map(hint) {
        message.extend(["\nhint: ", &hint.render(flag)]);
    }
    // Some libraries still write their hints into the message.
    message.replace("; hint: ", "\nhint: ")
}

/// An option as it is typed.
pub(crate) fn flag(option: &str, value: &str) -> String {
    format!("--{} {value}", option.replace('_', "-"))
}

/// What a library's error says would help.
fn hint(cause: &(dyn Error + 'static)) -> Option<Hint> {
    if let Some(error) = cause.downcast_ref::<InferError>() {
        return match error {
            InferError::NotFinite { .. } => Some(Hint::Advice("check its weights with llada inspect".to_owned())),
            _ => error.hint(),
        };
    }
    if let Some(error) = cause.downcast_ref::<llada::Error>() {
        return match error {
            llada::Error::Infer(source) => hint(source),
            llada::Error::NoTokenizer { .. } => {
                Some(Hint::Advice("without one it takes ids alone: llada generate --prompt-ids 1,2,3".to_owned()))
            }
            _ => error.hint(),
        };
    }
    if let Some(error) = cause.downcast_ref::<EvalError>() {
        return match error {
            EvalError::Column { .. } => {
                Some(Hint::Advice("llada eval TASK --help names the columns of a task".to_owned()))
            }
            _ => error.hint(),
        };
    }
    if let Some(error) = cause.downcast_ref::<HubError>() {
        return error.hint().map(Hint::Advice);
    }
    if let Some(error) = cause.downcast_ref::<TrainError>() {
        return training_hint(error);
    }
    cause.downcast_ref::<CoreError>().and_then(CoreError::hint)
}

/// What helps is a command, where the library can only name the work.
fn training_hint(error: &TrainError) -> Option<Hint> {
    let command = match error {
        TrainError::Settings { .. } => "llada pretrain --help lists all keys",
        TrainError::DamagedShard { .. } => "llada data prepare again",
        TrainError::NoTokenizer { .. } => "llada tokenizer train",
        TrainError::NoText { .. } => "is --format right?",
        TrainError::OtherKind { found: DatasetKind::Pretrain, .. } => "llada pretrain",
        TrainError::OtherKind { found: DatasetKind::Sft, .. } => "llada sft",
        _ => return error.hint(),
    };
    Some(Hint::Advice(command.to_owned()))
}

fn code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(kind).unwrap_or(FAILED)
}

fn kind(cause: &(dyn Error + 'static)) -> Option<u8> {
    if cause.is::<Usage>() {
        return Some(USAGE);
    }
    if cause.is::<Interrupted>() {
        return Some(INTERRUPTED);
    }
    if let Some(error) = cause.downcast_ref::<llada::Error>() {
        return match error {
            llada::Error::Hub(source) => kind(source),
            llada::Error::Model(source) => kind(source),
            llada::Error::Infer(source) => kind(source),
            llada::Error::NoTokenizer { .. } | llada::Error::Autoregressive { .. } => Some(USAGE),
            _ => Some(FAILED),
        };
    }
    if cause.is::<HubError>() {
        return Some(ENVIRONMENT);
    }
    if let Some(error) = cause.downcast_ref::<EvalError>() {
        return Some(if matches!(error, EvalError::Io { .. }) { ENVIRONMENT } else { USAGE });
    }
    if let Some(error) = cause.downcast_ref::<TrainError>() {
        return match error {
            TrainError::Model(source) => kind(source),
            TrainError::Infer(source) => kind(source),
            TrainError::Settings { .. } | TrainError::Config { .. } => Some(USAGE),
            TrainError::Read { .. } | TrainError::Write { .. } => Some(ENVIRONMENT),
            _ => Some(FAILED),
        };
    }
    if let Some(error) = cause.downcast_ref::<InferError>() {
        return match error {
            InferError::Interrupted => Some(INTERRUPTED),
            InferError::NotFinite { .. } => Some(FAILED),
            InferError::Predict(source) => kind(source.as_ref()),
            _ => Some(USAGE),
        };
    }
    if let Some(error) = cause.downcast_ref::<ModelError>() {
        return match error {
            ModelError::Device { .. } | ModelError::Io { .. } => Some(ENVIRONMENT),
            ModelError::TokenOutOfRange { .. } | ModelError::TooLong { .. } | ModelError::Row { .. } => Some(USAGE),
            _ => Some(FAILED),
        };
    }
    cause.downcast_ref::<io::Error>().map(|_| ENVIRONMENT)
}
