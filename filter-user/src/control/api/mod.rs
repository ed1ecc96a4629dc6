//! The API: `/client/v4` as Cloudflare's SDKs speak it, `/api/v1` for what is this program's own.
//!
//! One gate before all routes finds out who calls; a handler gets at a zone, at the account or at a change only through its
//! `Caller`, which asks what he may.

mod answer;
mod caller;
pub mod dto;
mod error;
mod gate;
mod openapi;
mod request;
mod rule_body;
mod shown;
#[cfg(test)]
mod tests;
#[expect(unused_qualifications, reason = "the macro that describes a handler writes the types of its query out")]
mod v1;
#[expect(unused_qualifications, reason = "the macro that describes a handler writes the types of its query out")]
mod v4;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use http::Uri;

pub use gate::Door;
pub use openapi::document;

use self::error::ApiError;
use self::gate::Gate;
use super::Control;
use super::attempts::Attempts;

/// Most bytes of a request body, but for the items of lists.
pub const MAX_BODY: usize = 1024 * 1024;

/// All routes, for callers who come in by `door`.
pub fn router(control: Arc<Control>, door: Door) -> Router {
    let (routes, document) = openapi::described(v4::routes().merge(v1::routes()));
    let gate = Gate { control: control.clone(), door, attempts: Arc::new(Attempts::default()) };
    let no_route = |uri: Uri| async move { ApiError::no_route(uri.path()) };
    routes
        .with_state(control)
        .merge(openapi::pages(document))
        .fallback(no_route)
        .method_not_allowed_fallback(no_route)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(gate, gate::pass))
}
