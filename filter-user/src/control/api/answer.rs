//! Answers of the API: the envelope, errors, and bodies that are checked before a handler sees them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use filter_rules::ParseError;
use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::dto::{Envelope, ErrorInfo, ErrorSource, ResultInfo};
use crate::control::ControlError;
use crate::model::ModelError;
use crate::store::StoreError;

/// A call that did what it was asked.
pub(super) struct Answer<T>(pub(super) T);

/// A page of a list.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) info: ResultInfo,
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        envelope(self.0, None)
    }
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        envelope(self.items, Some(self.info))
    }
}

fn envelope<T: Serialize>(result: T, result_info: Option<ResultInfo>) -> Response {
    let envelope =
        Envelope { success: true, errors: Vec::new(), messages: Vec::new(), result: Some(result), result_info };
    Json(envelope).into_response()
}

/// Numbers of errors. Where Cloudflare documents one it is the same.
mod code {
    pub(super) const NO_ROUTE: u32 = 7000;
    pub(super) const NO_OBJECT: u32 = 7003;
    pub(super) const BODY: u32 = 6007;
    pub(super) const BLANK_EXPRESSION: u32 = 20125;
    pub(super) const EXPRESSION: u32 = 20127;
    pub(super) const INVALID: u32 = 1400;
    pub(super) const CONFLICT: u32 = 1409;
    pub(super) const INTERNAL: u32 = 1500;
}

/// A call that was refused or failed.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: u32,
    message: String,
    pointer: Option<&'static str>,
}

impl ApiError {
    fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), pointer: None }
    }

    /// No such path, or not with this method.
    pub(super) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, code::NO_ROUTE, "No route for that URI")
    }

    /// The path names something that is not there.
    pub(super) fn no_object(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code::NO_OBJECT, message)
    }

    /// An expression that does not parse, in the words of Cloudflare's API.
    pub(super) fn expression(source: &str, error: &ParseError) -> Self {
        let (code, why) = if source.trim().is_empty() {
            (code::BLANK_EXPRESSION, "the expression cannot be blank".to_owned())
        } else {
            (code::EXPRESSION, format!("could not parse filter expression: {error}"))
        };
        let message = format!("'{source}' is not a valid value for expression because {why}");
        Self { pointer: Some("/expression"), ..Self::new(StatusCode::BAD_REQUEST, code, message) }
    }

    /// A value cannot be what it is.
    pub(super) fn invalid(pointer: &'static str, message: impl Into<String>) -> Self {
        Self { pointer: Some(pointer), ..Self::new(StatusCode::BAD_REQUEST, code::INVALID, message) }
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let message = error.to_string();
        let (status, code) = match &error {
            ControlError::Model(ModelError::NotFound(_) | ModelError::RuleNotFound { .. }) => {
                (StatusCode::NOT_FOUND, code::NO_OBJECT)
            }
            ControlError::Model(_) | ControlError::Request(_) | ControlError::Issue(_) => {
                (StatusCode::BAD_REQUEST, code::INVALID)
            }
            ControlError::Compile(_) => (StatusCode::BAD_REQUEST, code::EXPRESSION),
            ControlError::Store(StoreError::Conflict { .. }) => (StatusCode::CONFLICT, code::CONFLICT),
            ControlError::Store(_)
            | ControlError::NoAuthority
            | ControlError::AuthorityKey(_)
            | ControlError::Publish { .. }
            | ControlError::Kernel(_)
            | ControlError::Interrupted => (StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL),
        };
        if status.is_server_error() {
            tracing::error!(%error, "a change failed");
        }
        Self::new(status, code, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let source = self.pointer.map(|pointer| ErrorSource { pointer: pointer.to_owned() });
        let error = ErrorInfo { code: self.code, message: self.message, source };
        let envelope = Envelope::<()> {
            success: false,
            errors: vec![error],
            messages: Vec::new(),
            result: None,
            result_info: None,
        };
        (self.status, Json(envelope)).into_response()
    }
}

/// A JSON body. An empty one reads as `{}`, which is what SDKs mean by it.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            ApiError::new(rejection.status(), code::BODY, format!("The body cannot be read: {}", rejection.body_text()))
        })?;
        let json = if bytes.is_empty() { b"{}" } else { bytes.as_ref() };
        serde_json::from_slice(json).map(Self).map_err(|error| {
            ApiError::new(StatusCode::BAD_REQUEST, code::BODY, format!("The body is not what is expected: {error}"))
        })
    }
}
