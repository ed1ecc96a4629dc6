//! The hosts on which clients are asked for certificates, and of which CA.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::answer::Answer;
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::ApiError;
use super::super::request::{Body, Named, Search};
use crate::config;
use crate::control::Control;
use crate::model::{self, AssociationRecord, AuthorityId, AuthorityKind, Change, Scope, ZoneId};

/// Whose hosts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Of {
    /// An uploaded CA; the zone's managed one if left out.
    mtls_certificate_id: Option<String>,
}

/// Shows the hosts on which certificates of a CA count.
#[utoipa::path(get, path = "/client/v4/zones/{zone}/certificate_authorities/hostname_associations",
    tag = "client certificates", params(Of), responses((status = 200, body = Envelope<dto::HostnameAssociation>)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Search(of): Search<Of>,
) -> Result<Answer<dto::HostnameAssociation>, ApiError> {
    let (zone, id) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    let authority = authority(&state, id, of.mtls_certificate_id.as_deref())?;
    Ok(Answer(dto::HostnameAssociation { hostnames: hostnames(zone, &state, authority), mtls_certificate_id: None }))
}

/// Replaces the hosts on which certificates of a CA count; none clears them.
#[utoipa::path(put, path = "/client/v4/zones/{zone}/certificate_authorities/hostname_associations",
    tag = "client certificates", request_body = dto::HostnameAssociation,
    responses((status = 200, body = Envelope<dto::HostnameAssociation>)))]
pub(super) async fn replace(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Body(wanted): Body<dto::HostnameAssociation>,
) -> Result<Answer<dto::HostnameAssociation>, ApiError> {
    let (zone, id) = caller.zone(&control, &zone, Scope::Certificates)?;
    let hostnames = checked(zone, wanted.hostnames, "/hostnames")?;
    let named = wanted.mtls_certificate_id;
    if named.is_none() {
        check_configured(zone, &hostnames)?;
    }
    let plan = move |state: &model::State| -> Result<_, ApiError> {
        let authority = authority(state, id, named.as_deref())?;
        Ok((vec![Change::SetAssociation(AssociationRecord { zone: id, authority, hostnames })], authority))
    };
    let changed = control.change(caller.intent("host associations"), plan).await?;
    let hostnames = self::hostnames(zone, &changed.state, changed.value);
    Ok(Answer(dto::HostnameAssociation { hostnames, mtls_certificate_id: None }))
}

/// The uploaded authority of an id, if hosts of the zone may be bound to it; `None` is the zone's own.
fn authority(state: &model::State, zone: ZoneId, named: Option<&str>) -> Result<Option<AuthorityId>, ApiError> {
    let Some(named) = named else { return Ok(None) };
    let id: AuthorityId = named.parse()?;
    let is_ours = |authority: &model::AuthorityRecord| {
        authority.kind == AuthorityKind::Uploaded && authority.zone.is_none_or(|bound| bound == zone)
    };
    match state.authority(id) {
        Some(authority) if is_ours(authority) => Ok(Some(id)),
        _ => Err(ApiError::no_object(format!("there is no uploaded certificate authority {id} for this zone"))),
    }
}

/// The hosts of an authority. Those that the configuration gives the managed one come after those that were set.
fn hostnames(zone: &config::Zone, state: &model::State, authority: Option<AuthorityId>) -> Vec<String> {
    let id = ZoneId::of_name(zone.name.as_str());
    let mut names = state.association(id, authority).map(|record| record.hostnames.clone()).unwrap_or_default();
    if authority.is_none() {
        for host in zone.hosts.iter().filter(|host| host.mtls) {
            if !names.iter().any(|name| name == host.name.as_str()) {
                names.push(host.name.to_string());
            }
        }
    }
    names
}

/// Names of hosts of the zone, each once, as the configuration writes them.
pub(in super::super) fn checked(
    zone: &config::Zone,
    names: Vec<String>,
    pointer: &str,
) -> Result<Vec<String>, ApiError> {
    let mut seen = HashSet::new();
    let mut hosts = Vec::with_capacity(names.len());
    for (place, name) in names.into_iter().enumerate() {
        let host = filter_rules::normalise_host(&name).into_owned();
        let pointer = format!("{pointer}/{place}");
        if !zone.hosts.iter().any(|known| known.name.as_str() == host) {
            let shown: String = name.chars().take(100).collect();
            let message = format!("{shown:?} is no host of {}: hosts are in the configuration file", zone.name);
            return Err(ApiError::invalid(pointer, message));
        }
        if !seen.insert(host.clone()) {
            return Err(ApiError::invalid(pointer, format!("{host} stands twice")));
        }
        hosts.push(host);
    }
    Ok(hosts)
}

/// What the file says cannot be taken back here: after the next look it would be there again.
fn check_configured(zone: &config::Zone, names: &[String]) -> Result<(), ApiError> {
    let missing = zone.hosts.iter().filter(|host| host.mtls).map(|host| host.name.as_str());
    let missing: Vec<_> = missing.filter(|name| !names.iter().any(|given| given == name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the configuration file enables mTLS for {}: name it here as well, or take `mtls = true` out of the file",
        missing.join(", ")
    );
    Err(ApiError::invalid("/hostnames", message))
}
