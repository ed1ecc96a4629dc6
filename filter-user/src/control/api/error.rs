//! Errors of the API.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use filter_rules::{ParseError, RuleProblem};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::dto::{ErrorInfo, ErrorSource, Failure, SourceSpan};
use crate::control::ControlError;
use crate::control::crl::CrlRefusal;
use crate::model::{IdError, ModelError};
use crate::pki::{IssueError, UploadError};
use crate::snapshot::CompileError;
use crate::store::StoreError;

/// Tells the official SDKs whether to send a request again, whatever its status.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Numbers of errors. Where Cloudflare documents one it is the same.
pub(super) mod code {
    pub(in super::super) const BODY: u32 = 6007;
    pub(in super::super) const NO_ROUTE: u32 = 7000;
    pub(in super::super) const NO_OBJECT: u32 = 7003;
    pub(in super::super) const NO_CREDENTIALS: u32 = 9106;
    pub(in super::super) const FORBIDDEN: u32 = 9109;
    pub(in super::super) const AUTHENTICATION: u32 = 10000;
    pub(in super::super) const TOO_MANY_ATTEMPTS: u32 = 10429;
    pub(in super::super) const TOO_MANY_FOLLOWERS: u32 = 10430;
    pub(in super::super) const FOREIGN_ORIGIN: u32 = 10403;
    pub(in super::super) const NO_ENTRY_POINT: u32 = 10003;
    pub(in super::super) const AUTHORITIES: u32 = 1489;
    pub(in super::super) const BLANK_EXPRESSION: u32 = 20125;
    pub(in super::super) const EXPRESSION: u32 = 20127;
    pub(in super::super) const SECOND_ENTRY_POINT: u32 = 20217;
    pub(in super::super) const INVALID: u32 = 1400;
    pub(in super::super) const CONFLICT: u32 = 1409;
    pub(in super::super) const INTERNAL: u32 = 1500;
}

/// A call that was refused or failed, for one reason or several.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    errors: Vec<ErrorInfo>,
    retry_after: Option<Duration>,
}

impl ApiError {
    /// One error.
    pub(super) fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        let error = ErrorInfo { code, message: message.into(), source: None };
        Self { status, errors: vec![error], retry_after: None }
    }

    /// No such path, or not with this method.
    pub(super) fn no_route(path: &str) -> Self {
        let shown: String = path.chars().take(200).collect();
        let message = format!("Could not route to {shown}, perhaps your object identifier is invalid?");
        let mut error = Self::new(StatusCode::NOT_FOUND, code::NO_OBJECT, message);
        let no_route = ErrorInfo { code: code::NO_ROUTE, message: "No route for that URI".to_owned(), source: None };
        error.errors.push(no_route);
        error
    }

    /// The path names something that is not there.
    pub(super) fn no_object(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code::NO_OBJECT, message)
    }

    /// A value cannot be what it is. The pointer leads to it in the body, or names a parameter.
    pub(super) fn invalid(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code::INVALID, message).at(pointer)
    }

    /// The state does not allow it, and will not until something else is changed.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code::CONFLICT, message)
    }

    /// The caller may not do it.
    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code::FORBIDDEN, message)
    }

    /// Too many failures; come back later.
    pub(super) fn too_many_attempts(wait: Duration) -> Self {
        let message = "too many attempts with bad credentials: wait, and check the token";
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, code::TOO_MANY_ATTEMPTS, message);
        Self { retry_after: Some(wait), ..error }
    }

    /// An expression that does not parse, in the words of Cloudflare's API.
    pub(super) fn expression(pointer: impl Into<String>, source: &str, error: &ParseError) -> Self {
        let (code, why) = if source.trim().is_empty() {
            (code::BLANK_EXPRESSION, "the expression cannot be blank".to_owned())
        } else {
            (code::EXPRESSION, format!("could not parse filter expression: {error}"))
        };
        let message = format!("'{source}' is not a valid value for expression because {why}");
        let span =
            SourceSpan { start: error.span().start, end: error.span().end, line: error.line(), column: error.column() };
        let source = ErrorSource { pointer: pointer.into(), span: Some(span) };
        let error = ErrorInfo { code, message, source: Some(source) };
        Self { status: StatusCode::BAD_REQUEST, errors: vec![error], retry_after: None }
    }

    /// The same error, with its place in the request.
    pub(super) fn at(mut self, pointer: impl Into<String>) -> Self {
        let pointer = pointer.into();
        if let Some(first) = self.errors.first_mut() {
            first.source = Some(ErrorSource { pointer, span: None });
        }
        self
    }

    /// The same error under another number.
    pub(super) fn with_code(mut self, code: u32) -> Self {
        self.errors.iter_mut().for_each(|error| error.code = code);
        self
    }

    /// All of these errors as one, under the status of the first.
    pub(super) fn all(errors: Vec<Self>) -> Option<Self> {
        let mut errors = errors.into_iter();
        let first = errors.next()?;
        let others = errors.flat_map(|error| error.errors);
        let all = first.errors.into_iter().chain(others).collect();
        Some(Self { errors: all, ..first })
    }

    /// What is wrong, piece by piece.
    pub(super) fn into_errors(self) -> Vec<ErrorInfo> {
        self.errors
    }

    /// What is wrong, for the log.
    pub(super) fn reason(&self) -> String {
        self.errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; ")
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let message = error.to_string();
        let (status, code) = match &error {
            ControlError::Model(error) => model_error(error),
            ControlError::Request(_) => return Self::invalid("/csr", message),
            ControlError::Issue(IssueError::Validity(_)) => return Self::invalid("/validity_days", message),
            ControlError::Compile(CompileError::Rules { problems, .. }) => return rule_problems(&message, problems),
            ControlError::Crl(CrlRefusal::SharedKey(..)) => (StatusCode::CONFLICT, code::CONFLICT),
            ControlError::Crl(CrlRefusal::Authority(_) | CrlRefusal::Interrupted) => {
                (StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL)
            }
            ControlError::Compile(_) | ControlError::Crl(_) => (StatusCode::BAD_REQUEST, code::INVALID),
            ControlError::Issue(IssueError::OutlivesAuthority(_)) => (StatusCode::CONFLICT, code::CONFLICT),
            ControlError::Store(StoreError::Conflict { .. }) => (StatusCode::CONFLICT, code::CONFLICT),
            ControlError::Store(StoreError::Model(error)) => model_error(error),
            ControlError::Store(_)
            | ControlError::Issue(_)
            | ControlError::NoAuthority
            | ControlError::AuthorityKey(_)
            | ControlError::Seal(_)
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

fn model_error(error: &ModelError) -> (StatusCode, u32) {
    match error {
        ModelError::NotFound(_) | ModelError::RuleNotFound { .. } => (StatusCode::NOT_FOUND, code::NO_OBJECT),
        ModelError::AlreadyExists(_) | ModelError::Duplicate { .. } | ModelError::InUse { .. } => {
            (StatusCode::CONFLICT, code::CONFLICT)
        }
        ModelError::Limit { what: "certificate authorities", .. } => (StatusCode::BAD_REQUEST, code::AUTHORITIES),
        ModelError::Limit { .. } | ModelError::Invalid { .. } => (StatusCode::BAD_REQUEST, code::INVALID),
    }
}

/// Rules that do not compile together. Each that was sent has been looked at before, so the places are those in the zone.
fn rule_problems(message: &str, problems: &filter_rules::CompileError) -> ApiError {
    let mut error = ApiError::new(StatusCode::BAD_REQUEST, code::EXPRESSION, message);
    if let (Some(first), [(place, _, RuleProblem::List(problem)), ..]) =
        (error.errors.first_mut(), problems.rules.as_slice())
    {
        let span = problem.span();
        let span = SourceSpan { start: span.start, end: span.end, line: 1, column: span.start.saturating_add(1) };
        first.source = Some(ErrorSource { pointer: format!("/rules/{place}/expression"), span: Some(span) });
    }
    error
}

impl From<IdError> for ApiError {
    fn from(error: IdError) -> Self {
        Self::no_object(error.to_string())
    }
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        Self::invalid("/certificates", error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let failure = Failure { success: false, errors: self.errors, messages: Vec::new(), result: () };
        let mut response = (self.status, Json(failure)).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        } else if self.status == StatusCode::CONFLICT || self.status.is_server_error() {
            // The SDKs would send it again, and a create could happen twice.
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        response
    }
}
