//! Zones, their hosts and their CAs.

use std::sync::Arc;

use axum::extract::State;

use super::super::answer::Answer;
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::ApiError;
use super::super::request::{Body, Named};
use super::super::shown::certificate_pem;
use super::super::v4::hostname_associations;
use crate::config;
use crate::control::{Changed, Control};
use crate::model::{self, AssociationRecord, AuthorityId, AuthorityRecord, Change, Scope, ZoneId};
use crate::pki::Authority;
use crate::snapshot::is_mtls;

/// Lists the zones of the configuration.
#[utoipa::path(get, path = "/api/v1/zones", tag = "zones", operation_id = "v1_zones",
    responses((status = 200, body = Envelope<Vec<dto::Zone>>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    caller: Caller,
) -> Result<Answer<Vec<dto::Zone>>, ApiError> {
    let (state, _) = control.state().await;
    Ok(Answer(zones(&control, &state, &caller)))
}

/// Shows a zone and its hosts.
#[utoipa::path(get, path = "/api/v1/zones/{zone}", tag = "zones", operation_id = "v1_zone",
    responses((status = 200, body = Envelope<dto::Zone>)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
) -> Result<Answer<dto::Zone>, ApiError> {
    let (zone, _) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    Ok(Answer(shown(zone, &state)))
}

/// All zones that the caller may see, as the API shows them.
pub(super) fn zones(control: &Control, state: &model::State, caller: &Caller) -> Vec<dto::Zone> {
    let seen = |zone: &&config::Zone| caller.sees(ZoneId::of_name(zone.name.as_str()));
    control.config.zones.iter().filter(seen).map(|zone| shown(zone, state)).collect()
}

fn shown(zone: &config::Zone, state: &model::State) -> dto::Zone {
    let id = ZoneId::of_name(zone.name.as_str());
    let hosts = zone.hosts.iter().map(|host| shown_host(host, id, state)).collect();
    dto::Zone { id: id.to_string(), name: zone.name.to_string(), hosts }
}

fn shown_host(host: &config::Host, zone: ZoneId, state: &model::State) -> dto::Host {
    dto::Host { name: host.name.to_string(), mtls: is_mtls(host, zone, state), configured: host.mtls }
}

/// Enables or disables mTLS on a host: whether clients are asked for a certificate of the zone's managed CA.
#[utoipa::path(patch, path = "/api/v1/zones/{zone}/hosts/{host}", tag = "zones", request_body = dto::SetHost,
    responses((status = 200, body = Envelope<dto::Written<dto::Host>>)))]
pub(super) async fn set_host(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, host)): Named<(String, String)>,
    Body(wanted): Body<dto::SetHost>,
) -> Result<Answer<dto::Written<dto::Host>>, ApiError> {
    let (zone, id) = caller.zone(&control, &zone, Scope::Certificates)?;
    let name = hostname_associations::checked(zone, vec![host], "/host")?.into_iter().next().unwrap_or_default();
    let host = zone.hosts.iter().find(|known| known.name.as_str() == name);
    let host = host.ok_or_else(|| ApiError::no_object(format!("there is no host {name}")))?;
    if wanted.mtls && host.termination.is_none() {
        let message =
            format!("{name} is passed through unopened and has no certificate, so nobody here can ask for one");
        return Err(ApiError::conflict(message).at("/mtls"));
    }
    if host.mtls && !wanted.mtls {
        let message = format!("the configuration file enables mTLS for {name}: take `mtls = true` out of the file");
        return Err(ApiError::conflict(message).at("/mtls"));
    }
    let action = if wanted.mtls { "host enable-mtls" } else { "host disable-mtls" };
    let plan = move |state: &model::State| {
        let known = state.association(id, None).map(|record| record.hostnames.clone()).unwrap_or_default();
        let mut hostnames: Vec<_> = known.into_iter().filter(|known| *known != name).collect();
        hostnames.extend(wanted.mtls.then_some(name));
        Ok::<_, ApiError>((
            vec![Change::SetAssociation(AssociationRecord { zone: id, authority: None, hostnames })],
            (),
        ))
    };
    let Changed { state, generation, .. } = control.change(caller.intent(action), plan).await?;
    Ok(Answer(dto::Written { value: shown_host(host, id, &state), generation, warnings: Vec::new() }))
}

/// Shows the CA that issues the client certificates of a zone.
#[utoipa::path(get, path = "/api/v1/zones/{zone}/ca", tag = "certificate authorities",
    responses((status = 200, body = Envelope<dto::Authority>)))]
pub(super) async fn authority(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
) -> Result<Answer<dto::Authority>, ApiError> {
    let (zone, id) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    let record = state
        .issuing_authority(id)
        .ok_or_else(|| ApiError::no_object(format!("{} has no certificate authority", zone.name)))?;
    shown_authority(record).map(Answer)
}

/// Lists the managed CAs of a zone: the one that issues, and those whose certificates still count.
#[utoipa::path(get, path = "/api/v1/zones/{zone}/cas", tag = "certificate authorities",
    responses((status = 200, body = Envelope<Vec<dto::Authority>>)))]
pub(super) async fn authorities(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
) -> Result<Answer<Vec<dto::Authority>>, ApiError> {
    let (_, id) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    state.managed_authorities(id).map(|record| shown_authority(record)).collect::<Result<_, _>>().map(Answer)
}

/// Makes a new CA that issues for a zone from now on. What the one before issued counts until that one is deleted.
#[utoipa::path(post, path = "/api/v1/zones/{zone}/ca/rotate", tag = "certificate authorities",
    responses((status = 200, body = Envelope<dto::Written<dto::Authority>>)))]
pub(super) async fn rotate(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
) -> Result<Answer<dto::Written<dto::Authority>>, ApiError> {
    let (zone, id) = caller.zone(&control, &zone, Scope::Admin)?;
    let changed = control.rotate(caller.intent("authority rotate"), id, zone.name.as_str()).await?;
    let record = changed.state.authority(changed.value);
    let value = record.map(|record| shown_authority(record)).transpose()?;
    let value = value.ok_or_else(|| ApiError::no_object("the new authority is gone already"))?;
    Ok(Answer(dto::Written { value, generation: changed.generation, warnings: Vec::new() }))
}

/// Forgets a retired CA of a zone: its certificates count no more.
#[utoipa::path(delete, path = "/api/v1/zones/{zone}/cas/{authority}", tag = "certificate authorities",
    responses((status = 200, body = Envelope<dto::Written<dto::Id>>)))]
pub(super) async fn delete_authority(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, authority)): Named<(String, String)>,
) -> Result<Answer<dto::Written<dto::Id>>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Admin)?;
    let id: AuthorityId = authority.parse()?;
    let plan = move |state: &model::State| {
        if !state.managed_authorities(zone).any(|record| record.id == id) {
            return Err(ApiError::no_object(format!("there is no managed certificate authority {id} in this zone")));
        }
        Ok((vec![Change::RemoveAuthority(id)], ()))
    };
    let changed = control.change(caller.intent("authority delete"), plan).await?;
    let value = dto::Id { id: id.to_string() };
    Ok(Answer(dto::Written { value, generation: changed.generation, warnings: Vec::new() }))
}

fn shown_authority(record: &AuthorityRecord) -> Result<dto::Authority, ApiError> {
    // It was made here, and read when the daemon started.
    let read = Authority::from_der(record.id, record.zone, record.name.as_str(), &record.certificate, record.created);
    let authority =
        read.map_err(|error| ApiError::conflict(format!("the stored authority cannot be read: {error}")))?;
    Ok(dto::Authority {
        id: record.id.to_string(),
        name: record.name.clone(),
        certificate: certificate_pem(&record.certificate),
        state: if record.retired.is_some() { "retired" } else { "issuing" }.to_owned(),
        expires_on: authority.not_after().rfc3339_seconds(),
    })
}
