//! Errors as clients of OpenAI's API read them.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use llada::{Error, GrammarError, InferError};
use serde_json::{Value, json};

use crate::engine::{Failure, Refusal};

/// An error of a request: its status, and the four keys of its body.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// The status of the response.
    pub status: StatusCode,
    /// What is wrong, and what would help.
    pub message: String,
    /// The parameter that is wrong.
    pub param: Option<String>,
    /// What is wrong, for programs.
    pub code: &'static str,
    /// When another attempt may succeed, in seconds.
    pub retry_after: Option<u64>,
}

impl ApiError {
    /// Creates the error of a parameter.
    pub fn invalid(code: &'static str, param: impl Into<String>, message: impl Into<String>) -> Self {
        let (param, message) = (Some(param.into()), message.into());
        Self { status: StatusCode::BAD_REQUEST, message, param, code, retry_after: None }
    }

    /// Creates an error with this status.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code, retry_after: None }
    }

    /// Creates the error of a model that failed. The same request would fail again.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "model_failed", message)
    }

    /// Returns the body.
    pub fn body(&self) -> Value {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::NOT_FOUND => "not_found_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        json!({"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}})
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        response
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Invalid(error) => error.into(),
            Refusal::QueueFull { retry_after, .. } => Self {
                retry_after: Some(retry_after.as_secs()),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", message)
            },
            Refusal::TooLarge { .. } => Self::invalid("context_length_exceeded", "messages", message),
            Refusal::Draining => {
                Self { retry_after: Some(30), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "draining", message) }
            }
            Refusal::Stopped => Self::new(StatusCode::SERVICE_UNAVAILABLE, "engine_stopped", message),
        }
    }
}

impl From<&Failure> for ApiError {
    fn from(failure: &Failure) -> Self {
        let message = failure.to_string();
        match failure {
            Failure::Model(_) => Self::failed(message),
            Failure::Cancelled => Self::new(StatusCode::SERVICE_UNAVAILABLE, "cancelled", message),
            Failure::Expired => Self::new(StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded", message),
        }
    }
}

impl From<InferError> for ApiError {
    fn from(error: InferError) -> Self {
        let message = match error.hint() {
            Some(hint) => format!("{error}; {hint}"),
            None => error.to_string(),
        };
        match error {
            InferError::TooLong { .. } => Self::invalid("context_length_exceeded", "messages", message),
            InferError::AnswerTooShort { .. } => {
                Self::invalid("constraint_unsatisfiable", "max_completion_tokens", message)
            }
            InferError::Unsatisfiable { .. } => Self::invalid("constraint_unsatisfiable", "response_format", message),
            InferError::UnknownOption { ref option } | InferError::Option { ref option, .. } => {
                Self::invalid("invalid_parameter", format!("diffusion.{option}"), message)
            }
            InferError::Unknown { what, .. } => {
                Self::invalid("invalid_parameter", format!("diffusion.{what}"), message)
            }
            InferError::NotFinite { .. } | InferError::Predict(_) => Self::failed(message),
            _ => Self::invalid("invalid_parameter", "diffusion", message),
        }
    }
}

impl From<GrammarError> for ApiError {
    fn from(error: GrammarError) -> Self {
        let code = match error {
            GrammarError::Unsupported { .. } => "unsupported_schema",
            GrammarError::TooManyStates { .. } | GrammarError::TooLarge { .. } | GrammarError::TooSlow { .. } => {
                "constraint_too_complex"
            }
            _ => "invalid_constraint",
        };
        let message = match error.hint() {
            Some(hint) => format!("{error}; {hint}"),
            None => error.to_string(),
        };
        Self::invalid(code, "response_format", message)
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::Infer(error) => error.into(),
            Error::Grammar(error) => error.into(),
            error => Self::invalid("invalid_request", "messages", error.to_string()),
        }
    }
}
