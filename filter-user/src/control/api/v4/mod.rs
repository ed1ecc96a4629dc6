//! `/client/v4`: Cloudflare's API, as its SDKs and Terraform's provider speak it. Each of these routes does what it says there; one that
//! this filter cannot serve is not there.

pub(super) mod account;
mod authorities;
mod client_certificates;
mod filters;
mod firewall_rules;
pub(super) mod graphql;
pub(super) mod hostname_associations;
mod list_items;
mod lists;
mod ruleset_rules;
mod rulesets;
mod settings;
mod zones;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::control::Control;

/// All routes of this API.
pub(super) fn routes() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new()
        .merge(zones_and_accounts())
        .merge(certificates())
        .merge(rules())
        .merge(firewall())
        .merge(lists())
}

fn zones_and_accounts() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new()
        .routes(routes!(zones::list))
        .routes(routes!(zones::show))
        .routes(routes!(settings::list))
        .routes(routes!(settings::show, settings::update))
        .routes(routes!(settings::headers, settings::set_headers))
        .routes(routes!(account::list))
        .routes(routes!(account::show))
        .routes(routes!(account::user))
        .routes(routes!(account::verify))
        .routes(routes!(account::verify_in_account))
        .routes(routes!(graphql::query))
}

fn certificates() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new()
        .routes(routes!(client_certificates::list, client_certificates::create))
        .routes(routes!(client_certificates::show, client_certificates::revoke, client_certificates::reactivate))
        .routes(routes!(hostname_associations::show, hostname_associations::replace))
        .routes(routes!(authorities::list, authorities::create))
        .routes(routes!(authorities::show, authorities::delete))
        .routes(routes!(authorities::associations))
        .routes(routes!(authorities::access_list, authorities::access_create))
        .routes(routes!(authorities::access_show, authorities::access_update, authorities::access_delete))
        .routes(routes!(authorities::settings, authorities::set_settings))
}

fn rules() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new()
        .routes(routes!(rulesets::list, rulesets::create))
        .routes(routes!(rulesets::show, rulesets::update, rulesets::delete))
        .routes(routes!(rulesets::entry_point, rulesets::update_entry_point))
        .routes(routes!(rulesets::list_of_account))
        .routes(routes!(rulesets::entry_point_of_account))
        .routes(routes!(ruleset_rules::create))
        .routes(routes!(ruleset_rules::update, ruleset_rules::delete))
        .routes(routes!(ruleset_rules::versions))
        .routes(routes!(ruleset_rules::version, ruleset_rules::delete_version))
        .routes(routes!(ruleset_rules::entry_point_versions))
        .routes(routes!(ruleset_rules::entry_point_version))
}

fn firewall() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new()
        .routes(routes!(filters::list, filters::create, filters::update_many, filters::delete_many))
        .routes(routes!(filters::show, filters::update, filters::delete))
        .routes(routes!(filters::validate, filters::validate_body))
        .routes(routes!(
            firewall_rules::list,
            firewall_rules::create,
            firewall_rules::update_many,
            firewall_rules::edit_many,
            firewall_rules::delete_many
        ))
        .routes(routes!(firewall_rules::show, firewall_rules::update, firewall_rules::edit, firewall_rules::delete))
}

fn lists() -> OpenApiRouter<Arc<Control>> {
    let items = OpenApiRouter::new()
        .routes(routes!(list_items::list, list_items::add, list_items::replace, list_items::remove))
        .layer(DefaultBodyLimit::max(list_items::MAX_BODY));
    OpenApiRouter::new()
        .routes(routes!(lists::list, lists::create))
        .routes(routes!(lists::show, lists::update, lists::delete))
        .routes(routes!(list_items::show))
        .routes(routes!(list_items::operation_state))
        .merge(items)
}
