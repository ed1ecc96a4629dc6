//! `/api/v1`: what is this program's own.

mod audit;
mod crls;
pub(super) mod events;
mod explain;
mod mtls_rules;
mod passed;
mod penalties;
mod published_crl;
mod rules;
mod snippets;
mod status;
mod store;
mod tokens;
mod zones;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::control::Control;
use crate::pki::CRL_BYTES;

/// All routes of this API.
pub(super) fn routes() -> OpenApiRouter<Arc<Control>> {
    let uploads = OpenApiRouter::new().routes(routes!(crls::upload)).layer(DefaultBodyLimit::max(CRL_BYTES));
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
        .routes(routes!(snippets::list))
        .routes(routes!(crls::list))
        .routes(routes!(crls::show, crls::set, crls::remove))
        .routes(routes!(crls::refresh))
        .routes(routes!(published_crl::show))
        .routes(routes!(published_crl::der))
        .routes(routes!(published_crl::pem))
        .merge(uploads)
        .routes(routes!(events::list))
        .routes(routes!(events::follow))
        .routes(routes!(events::show))
}
