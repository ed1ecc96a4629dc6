//! What a handler takes of a request: checked before the handler sees it, and refused in the envelope.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::error::{ApiError, code};
use crate::model::IdError;

/// A JSON object. An empty body reads as `{}`, which is what SDKs mean by it.
pub(super) struct Body<T>(pub(super) T);

/// A JSON object or an array.
pub(super) struct Items<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = json(request, state).await?;
        // An array would pass for an object with the fields in their order.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(unexpected("expected an object"));
        }
        parsed(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Items<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        parsed(&json(request, state).await?).map(Self)
    }
}

/// The bytes of a body that claims to be JSON.
async fn json<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    let is_json = is_json(request.headers());
    let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
        ApiError::new(rejection.status(), code::BODY, format!("The body cannot be read: {}", rejection.body_text()))
    })?;
    // A page of another site can make a browser send a form, but not JSON without asking first.
    if !bytes.is_empty() && !is_json {
        let message = "the body must be JSON, sent with the header Content-Type: application/json";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code::BODY, message));
    }
    Ok(if bytes.is_empty() { Bytes::from_static(b"{}") } else { bytes })
}

fn parsed<T: DeserializeOwned>(json: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(json).map_err(unexpected)
}

fn unexpected(problem: impl std::fmt::Display) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, code::BODY, format!("The body is not what is expected: {problem}"))
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// The parts of the path that name something.
pub(super) struct Named<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let named = Path::<T>::from_request_parts(parts, state).await;
        named.map(|Path(named)| Self(named)).map_err(|_| ApiError::no_route(parts.uri.path()))
    }
}

/// The query.
pub(super) struct Search<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Search<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(query)| Self(query))
            .map_err(|rejection| ApiError::new(StatusCode::BAD_REQUEST, code::INVALID, rejection.body_text()))
    }
}

/// The query as it came: SDKs repeat a key to give several values.
pub(super) struct Pairs(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Pairs {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Search::<Vec<(String, String)>>::from_request_parts(parts, state).await.map(|Search(pairs)| Self(pairs))
    }
}

impl Pairs {
    /// Every value of a key.
    pub(super) fn values<'p>(&'p self, key: &'p str) -> impl Iterator<Item = &'p str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Every `id`; `what` they name is said when there is none.
    pub(super) fn ids<T: FromStr<Err = IdError>>(&self, what: &str) -> Result<Vec<T>, ApiError> {
        let ids: Vec<T> = self.values("id").map(str::parse).collect::<Result<_, _>>()?;
        if ids.is_empty() {
            return Err(ApiError::invalid("/id", format!("say which {what}, as ?id=…&id=…")));
        }
        Ok(ids)
    }
}

/// Whether only to say what would come of a change.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DryRun {
    /// `true` checks the change and makes nothing of it.
    #[param(value_type = Option<bool>)]
    dry_run: Option<String>,
}

impl DryRun {
    /// What was asked for.
    pub(super) fn wanted(&self) -> Result<bool, ApiError> {
        match self.dry_run.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ApiError::invalid("/dry_run", "`dry_run` is true or false")),
        }
    }
}
