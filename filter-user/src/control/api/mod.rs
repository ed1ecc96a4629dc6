//! The API: `/client/v4` as Cloudflare's SDKs speak it, `/api/v1` for what is this program's own.

mod answer;
mod certificates;
pub mod dto;
mod explain;
mod passed;
mod penalties;
mod rules;
mod status;
mod zones;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post};

use self::answer::ApiError;
pub use self::passed::{OriginHealth, PassedHost, PassedOn, PassedThrough};
pub use self::penalties::Penalty;
use super::Control;

/// Most bytes of a request body.
pub const MAX_BODY: usize = 1024 * 1024;

/// All routes.
pub fn router(control: Arc<Control>) -> Router {
    Router::new()
        .route("/api/v1/status", get(status::show))
        .route("/api/v1/flows", get(passed::flows))
        .route("/api/v1/penalties", get(penalties::list))
        .route("/api/v1/penalties/{address}", delete(penalties::pardon))
        .route("/metrics", get(passed::metrics))
        .route("/api/v1/zones", get(zones::list))
        .route("/api/v1/zones/{zone}/ca", get(zones::authority))
        .route("/api/v1/zones/{zone}/rules", get(rules::list).post(rules::create))
        .route("/api/v1/zones/{zone}/rules/{rule}", delete(rules::delete))
        .route("/api/v1/zones/{zone}/explain", post(explain::explain))
        .route("/api/v1/zones/{zone}/mtls-rules", post(rules::create_mtls))
        .route("/client/v4/zones/{zone}/client_certificates", get(certificates::list).post(certificates::create))
        .route(
            "/client/v4/zones/{zone}/client_certificates/{certificate}",
            get(certificates::show).delete(certificates::revoke).patch(certificates::reactivate),
        )
        .fallback(|| async { ApiError::no_route() })
        .method_not_allowed_fallback(|| async { ApiError::no_route() })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(control)
}
