//! Zones, as Cloudflare's API has them.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::answer::{Answer, Page, Paging};
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::ApiError;
use super::super::request::{Named, Search};
use super::account;
use crate::config;
use crate::control::Control;
use crate::model::{self, Scope, Timestamp, ZoneId};

/// Which zones.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Only the zone of this name.
    name: Option<String>,
    /// Only zones with this status; all are `active`.
    status: Option<String>,
    /// Only zones of this account.
    #[serde(rename = "account.id")]
    account_id: Option<String>,
}

/// Lists the zones of the configuration.
#[utoipa::path(get, path = "/client/v4/zones", tag = "zones", params(Filter, Paging),
    responses((status = 200, body = Envelope<Vec<dto::CloudflareZone>>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Search(filter): Search<Filter>,
    Search(paging): Search<Paging>,
) -> Result<Page<dto::CloudflareZone>, ApiError> {
    let (state, _) = control.state().await;
    let wanted = |zone: &&config::Zone| {
        filter.name.as_deref().is_none_or(|name| zone.name.as_str() == name)
            && filter.status.as_deref().is_none_or(|status| status == "active")
            && filter.account_id.as_deref().is_none_or(|id| id == account::ID)
            && caller.sees(ZoneId::of_name(zone.name.as_str()))
    };
    let zones: Vec<_> = control.config.zones.iter().filter(wanted).collect();
    paging.page(zones.into_iter(), |zone| shown(zone, &state))
}

/// Shows a zone.
#[utoipa::path(get, path = "/client/v4/zones/{zone}", tag = "zones",
    responses((status = 200, body = Envelope<dto::CloudflareZone>)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
) -> Result<Answer<dto::CloudflareZone>, ApiError> {
    let (zone, _) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    Ok(Answer(shown(zone, &state)))
}

fn shown(zone: &config::Zone, state: &model::State) -> dto::CloudflareZone {
    let id = ZoneId::of_name(zone.name.as_str());
    let made = state.managed_authorities(id).map(|authority| authority.created).min();
    let made = made.unwrap_or(Timestamp::from_unix_seconds(0));
    let modified = state.ruleset(id).map_or(made, |ruleset| ruleset.modified);
    dto::CloudflareZone {
        id: id.to_string(),
        name: zone.name.to_string(),
        status: "active".to_owned(),
        paused: false,
        kind: "full".to_owned(),
        account: dto::AccountReference { id: account::ID.to_owned(), name: account::NAME.to_owned() },
        owner: dto::Named { id: Some(account::ID.to_owned()), name: Some(account::NAME.to_owned()) },
        plan: dto::Plan { id: account::ID.to_owned(), name: "self-hosted".to_owned() },
        meta: dto::ZoneMeta::default(),
        development_mode: 0,
        name_servers: Vec::new(),
        original_name_servers: None,
        original_registrar: None,
        original_dnshost: None,
        created_on: made.to_string(),
        modified_on: modified.to_string(),
        activated_on: Some(made.to_string()),
    }
}
