//! `/api/v1`: what is this program's own.

mod audit;
pub(super) mod events;
mod explain;
mod mtls_rules;
mod passed;
mod penalties;
mod rules;
mod status;
mod store;
mod tokens;
mod zones;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::control::Control;

/// All routes of this API.
pub(super) fn routes() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new()
        .routes(routes!(status::show))
        .routes(routes!(passed::flows))
        .routes(routes!(passed::metrics))
        .routes(routes!(penalties::list))
        .routes(routes!(penalties::pardon))
        .routes(routes!(audit::list))
        .routes(routes!(audit::refused))
        .routes(routes!(store::show))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::delete))
        .routes(routes!(zones::list))
        .routes(routes!(zones::show))
        .routes(routes!(zones::set_host))
        .routes(routes!(zones::authority))
        .routes(routes!(zones::rotate))
        .routes(routes!(zones::authorities))
        .routes(routes!(zones::delete_authority))
        .routes(routes!(rules::list, rules::create))
        .routes(routes!(rules::show, rules::update, rules::delete))
        .routes(routes!(rules::check))
        .routes(routes!(mtls_rules::create))
        .routes(routes!(explain::explain))
        .routes(routes!(events::list))
        .routes(routes!(events::follow))
        .routes(routes!(events::show))
}
