//! The end of a command that fails: its message, its hint and its exit code.

use std::{error::Error, io, process::ExitCode};

use llada_distributed::DistributedError;
use llada_eval::EvalError;
use llada_hub::HubError;
use llada_infer::InferError;
use llada_model::ModelError;
use llada_train::TrainError;

use crate::hint;

const FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
const ENVIRONMENT: u8 = 3;
pub(crate) const INTERRUPTED: u8 = 130;

/// Settings or input that are refused.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Usage {}

/// The end of work that was interrupted, after its progress has been saved.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl Error for Interrupted {}

/// The same, where another process has told the user.
#[derive(Debug)]
pub(crate) struct InterruptedTogether;

impl std::fmt::Display for InterruptedTogether {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted with the other processes")
    }
}

impl Error for InterruptedTogether {}

/// The end of a process of a run that was not the end of the run.
#[derive(Debug)]
pub(crate) struct RankEnded {
    pub(crate) message: String,
    /// The exit code that stands for it: the process's own, or 128 and the number of the signal that has killed it.
    pub(crate) code: u8,
}

impl std::fmt::Display for RankEnded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for RankEnded {}

/// Creates a [`Usage`] error with this message.
pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}

/// Creates a [`Usage`] error with the message of `error` and the hint that fits the place where it occurred.
pub(crate) fn hinted(error: &impl std::fmt::Display, hint: &str) -> anyhow::Error {
    usage(format!("{error}\nhint: {hint}"))
}

/// Prints the error and returns its exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let code = code(error);
    if error.is::<InterruptedTogether>() {
        return ExitCode::from(code);
    }
    if code == INTERRUPTED {
        eprintln!("interrupted");
    } else {
        eprintln!("error: {}", message(error, hint::flag));
    }
    ExitCode::from(code)
}

/// Returns the causes in one line, leaving out those whose text is already part of it, and the hint on a line of its
/// own, in which `setting` renders an option and its value.
pub(crate) fn message(error: &anyhow::Error, setting: impl Fn(&str, &str) -> String) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !message.contains(&cause) {
            let colon = if message.is_empty() { "" } else { ": " };
            message.extend([colon, &cause]);
        }
    }
    if let Some(hint) = error.chain().find_map(hint::of) {
        message.extend(["\nhint: ", &hint.render(setting)]);
    }
    message
}

fn code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(kind).unwrap_or(FAILED)
}

fn kind(cause: &(dyn Error + 'static)) -> Option<u8> {
    if cause.is::<Usage>() {
        return Some(USAGE);
    }
    if cause.is::<Interrupted>() || cause.is::<InterruptedTogether>() {
        return Some(INTERRUPTED);
    }
    if let Some(error) = cause.downcast_ref::<llada::Error>() {
        return match error {
            llada::Error::Hub(source) => kind(source),
            llada::Error::Model(source) => kind(source),
            llada::Error::Infer(source) => kind(source),
            llada::Error::Grammar(_)
            | llada::Error::NoTokenizer { .. }
            | llada::Error::Autoregressive { .. }
            | llada::Error::FewOptions { .. }
            | llada::Error::SameOption { .. } => Some(USAGE),
            llada::Error::Read { .. } => Some(ENVIRONMENT),
            _ => Some(FAILED),
        };
    }
    if let Some(ended) = cause.downcast_ref::<RankEnded>() {
        return Some(ended.code);
    }
    if cause.is::<HubError>() || cause.is::<DistributedError>() {
        return Some(ENVIRONMENT);
    }
    if let Some(error) = cause.downcast_ref::<EvalError>() {
        return Some(if matches!(error, EvalError::Io { .. }) { ENVIRONMENT } else { USAGE });
    }
    if let Some(error) = cause.downcast_ref::<TrainError>() {
        return match error {
            TrainError::Model(source) => kind(source),
            TrainError::Infer(source) => kind(source),
            TrainError::Settings { .. }
            | TrainError::Config { .. }
            | TrainError::OtherTraining { .. }
            | TrainError::OtherEnd { .. }
            | TrainError::OtherAdapter { .. } => Some(USAGE),
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
            ModelError::UnknownDevice { .. }
            | ModelError::CpuBuild { .. }
            | ModelError::NoCudaDevice { .. }
            | ModelError::TooFewDevices { .. }
            | ModelError::Io { .. } => Some(ENVIRONMENT),
            // Its source tells whether the file could be read.
            ModelError::Gguf(_) => None,
            ModelError::Conversion { .. }
            | ModelError::TokenOutOfRange { .. }
            | ModelError::TooLong { .. }
            | ModelError::Row { .. } => Some(USAGE),
            _ => Some(FAILED),
        };
    }
    cause.downcast_ref::<io::Error>().map(|_| ENVIRONMENT)
}
