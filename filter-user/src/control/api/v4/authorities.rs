//! Uploaded certificate authorities, under the two names that Cloudflare has for them: mTLS certificates of the account, and Access
//! certificates of an account or a zone. Both show the same authorities.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::answer::{Answer, Page};
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::ApiError;
use super::super::request::{Body, Named, Search};
use super::super::shown::certificate_pem;
use super::hostname_associations;
use crate::config;
use crate::control::Control;
use crate::model::{
    self, AssociationRecord, AuthorityId, AuthorityKind, AuthorityRecord, Change, Scope, Timestamp, ZoneId,
};
use crate::pki::{UploadedAuthority, uploaded_authorities};

/// The type of every authority here.
const CUSTOM: &str = "custom";

/// Types that Cloudflare's own products have.
const OTHER_TYPES: [&str; 2] = ["gateway_managed", "access_managed"];

/// Which authorities.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OfType {
    /// `custom`, which all are; `gateway_managed` and `access_managed` have none.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    kind: Option<String>,
}

/// Lists the uploaded CAs.
#[utoipa::path(get, path = "/client/v4/accounts/{account}/mtls_certificates", tag = "certificate authorities",
    params(OfType), responses((status = 200, body = Envelope<Vec<dto::MtlsCertificate>>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(account): Named<String>,
    Search(of): Search<OfType>,
) -> Result<Page<dto::MtlsCertificate>, ApiError> {
    caller.account(&account, Scope::Read)?;
    match of.kind.as_deref() {
        None | Some(CUSTOM) => {}
        Some(other) if OTHER_TYPES.contains(&other) => return Ok(Page::whole(Vec::new())),
        Some(other) => return Err(ApiError::invalid("/type", format!("there is no type {other:?}"))),
    }
    let (state, _) = control.state().await;
    let all: Result<Vec<_>, _> = uploaded(&state).map(|record| shown(record)).collect();
    Ok(Page::whole(all?))
}

/// Uploads a CA.
#[utoipa::path(post, path = "/client/v4/accounts/{account}/mtls_certificates", tag = "certificate authorities",
    request_body = dto::CreateMtlsCertificate, responses((status = 200, body = Envelope<dto::MtlsCertificate>)))]
pub(super) async fn create(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(account): Named<String>,
    Body(wanted): Body<dto::CreateMtlsCertificate>,
) -> Result<Answer<dto::MtlsCertificate>, ApiError> {
    caller.account(&account, Scope::Certificates)?;
    if !wanted.ca {
        let message = "only certificate authorities are taken: `ca` must be true";
        return Err(ApiError::invalid("/ca", message));
    }
    if wanted.private_key.is_some() {
        let message = "a certificate authority is trusted by its certificate alone: keep the private key";
        return Err(ApiError::invalid("/private_key", message));
    }
    let record = one(&wanted.certificates, wanted.name.as_deref().unwrap_or_default(), None, "/certificates")?;
    let plan =
        move |_: &model::State| -> Result<_, ApiError> { Ok((vec![Change::AddAuthority(record.clone())], record)) };
    let changed = control.change(caller.intent("authority upload"), plan).await?;
    Ok(Answer(shown(&changed.value)?))
}

/// Shows an uploaded CA.
#[utoipa::path(get, path = "/client/v4/accounts/{account}/mtls_certificates/{authority}",
    tag = "certificate authorities", responses((status = 200, body = Envelope<dto::MtlsCertificate>)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((account, id)): Named<(String, String)>,
) -> Result<Answer<dto::MtlsCertificate>, ApiError> {
    caller.account(&account, Scope::Read)?;
    let (state, _) = control.state().await;
    Ok(Answer(shown(find(&state, &id, None)?)?))
}

/// Forgets an uploaded CA that is bound to no host.
#[utoipa::path(delete, path = "/client/v4/accounts/{account}/mtls_certificates/{authority}",
    tag = "certificate authorities", responses((status = 200, body = Envelope<dto::MtlsCertificate>)))]
pub(super) async fn delete(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((account, id)): Named<(String, String)>,
) -> Result<Answer<dto::MtlsCertificate>, ApiError> {
    caller.account(&account, Scope::Certificates)?;
    let plan = move |state: &model::State| {
        let record = find(state, &id, None)?;
        Ok::<_, ApiError>((vec![Change::RemoveAuthority(record.id)], record.clone()))
    };
    let changed = control.change(caller.intent("authority delete"), plan).await?;
    Ok(Answer(shown(&changed.value)?))
}

/// Lists the zones on whose hosts certificates of an uploaded CA count.
#[utoipa::path(get, path = "/client/v4/accounts/{account}/mtls_certificates/{authority}/associations",
    tag = "certificate authorities", responses((status = 200, body = Envelope<Vec<dto::MtlsAssociation>>)))]
pub(super) async fn associations(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((account, id)): Named<(String, String)>,
) -> Result<Page<dto::MtlsAssociation>, ApiError> {
    caller.account(&account, Scope::Read)?;
    let (state, _) = control.state().await;
    let id = find(&state, &id, None)?.id;
    let bound = state.associations().filter(|record| record.authority == Some(id));
    let shown = bound.map(|record| dto::MtlsAssociation {
        service: format!("client certificates of zone {}", record.zone),
        status: "active".to_owned(),
    });
    Ok(Page::whole(shown.collect()))
}

/// Where Access certificates are asked for.
#[derive(Clone, Copy)]
enum Face<'c> {
    Account,
    Zone(&'c config::Zone, ZoneId),
}

impl<'c> Face<'c> {
    fn of(control: &'c Control, caller: &Caller, kind: &str, named: &str, needed: Scope) -> Result<Self, ApiError> {
        match kind {
            "accounts" => caller.account(named, needed).map(|()| Self::Account),
            "zones" => caller.zone(control, named, needed).map(|(zone, id)| Self::Zone(zone, id)),
            _ => Err(ApiError::no_route(&format!("/client/v4/{kind}"))),
        }
    }

    const fn zone(self) -> Option<ZoneId> {
        match self {
            Self::Account => None,
            Self::Zone(_, id) => Some(id),
        }
    }

    /// The hosts that were named, by zone; zones without one of them are there as well, so that they are cleared.
    fn by_zone(self, control: &Control, names: &[String]) -> Result<BTreeMap<ZoneId, Vec<String>>, ApiError> {
        const POINTER: &str = "/associated_hostnames";
        let zones: Vec<&config::Zone> = match self {
            Self::Account => control.config.zones.iter().collect(),
            Self::Zone(zone, _) => vec![zone],
        };
        let mut found = BTreeMap::new();
        let mut placed = 0_usize;
        for zone in &zones {
            let is_here = |name: &&String| {
                let host = filter_rules::normalise_host(name);
                zone.hosts.iter().any(|known| known.name.as_str() == host)
            };
            let here: Vec<String> = names.iter().filter(is_here).cloned().collect();
            placed = placed.saturating_add(here.len());
            found.insert(ZoneId::of_name(zone.name.as_str()), hostname_associations::checked(zone, here, POINTER)?);
        }
        if placed == names.len() {
            return Ok(found);
        }
        Err(ApiError::invalid(POINTER, "at least one name is no host of the configuration file"))
    }
}

/// Lists the uploaded CAs, with their hosts.
#[utoipa::path(get, path = "/client/v4/{scope}/{scope_id}/access/certificates", tag = "certificate authorities",
    responses((status = 200, body = Envelope<Vec<dto::AccessCertificate>>)))]
pub(super) async fn access_list(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((kind, named)): Named<(String, String)>,
    Search(paging): Search<super::super::answer::Paging>,
) -> Result<Page<dto::AccessCertificate>, ApiError> {
    let face = Face::of(&control, &caller, &kind, &named, Scope::Read)?;
    let (state, _) = control.state().await;
    let all: Result<Vec<_>, ApiError> =
        uploaded(&state).filter(|record| is_seen(record, face.zone())).map(|r| access_shown(r, &state, face)).collect();
    paging.page(all?.into_iter(), |shown| shown)
}

/// Uploads a CA and binds it to hosts.
#[utoipa::path(post, path = "/client/v4/{scope}/{scope_id}/access/certificates", tag = "certificate authorities",
    request_body = dto::CreateAccessCertificate, responses((status = 200, body = Envelope<dto::AccessCertificate>)))]
pub(super) async fn access_create(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((kind, named)): Named<(String, String)>,
    Body(wanted): Body<dto::CreateAccessCertificate>,
) -> Result<Answer<dto::AccessCertificate>, ApiError> {
    let face = Face::of(&control, &caller, &kind, &named, Scope::Certificates)?;
    let record = one(&wanted.certificate, &wanted.name, face.zone(), "/certificate")?;
    let hosts = face.by_zone(&control, &wanted.associated_hostnames)?;
    let plan = move |_: &model::State| {
        let add = Change::AddAuthority(record.clone());
        let bind = hosts.into_iter().map(|(zone, hostnames)| bind(zone, record.id, hostnames));
        Ok::<_, ApiError>((std::iter::once(add).chain(bind).collect(), record.clone()))
    };
    let changed = control.change(caller.intent("authority upload"), plan).await?;
    Ok(Answer(access_shown(&changed.value, &changed.state, face)?))
}

/// Shows an uploaded CA, with its hosts.
#[utoipa::path(get, path = "/client/v4/{scope}/{scope_id}/access/certificates/{authority}",
    tag = "certificate authorities", responses((status = 200, body = Envelope<dto::AccessCertificate>)))]
pub(super) async fn access_show(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((kind, named, id)): Named<(String, String, String)>,
) -> Result<Answer<dto::AccessCertificate>, ApiError> {
    let face = Face::of(&control, &caller, &kind, &named, Scope::Read)?;
    let (state, _) = control.state().await;
    Ok(Answer(access_shown(find(&state, &id, face.zone())?, &state, face)?))
}

/// Binds an uploaded CA to other hosts.
#[utoipa::path(put, path = "/client/v4/{scope}/{scope_id}/access/certificates/{authority}",
    tag = "certificate authorities", request_body = dto::UpdateAccessCertificate,
    responses((status = 200, body = Envelope<dto::AccessCertificate>)))]
pub(super) async fn access_update(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((kind, named, id)): Named<(String, String, String)>,
    Body(wanted): Body<dto::UpdateAccessCertificate>,
) -> Result<Answer<dto::AccessCertificate>, ApiError> {
    let face = Face::of(&control, &caller, &kind, &named, Scope::Certificates)?;
    let hosts = face.by_zone(&control, &wanted.associated_hostnames)?;
    let zone = face.zone();
    let plan = move |state: &model::State| {
        let record = find(state, &id, zone)?;
        if wanted.name.as_ref().is_some_and(|name| *name != record.name) {
            return Err(ApiError::invalid("/name", "the name of a certificate authority cannot be changed"));
        }
        let bind = hosts.into_iter().map(|(zone, hostnames)| bind(zone, record.id, hostnames));
        Ok((bind.collect(), record.clone()))
    };
    let changed = control.change(caller.intent("host associations"), plan).await?;
    Ok(Answer(access_shown(&changed.value, &changed.state, face)?))
}

/// Forgets an uploaded CA that is bound to no host.
#[utoipa::path(delete, path = "/client/v4/{scope}/{scope_id}/access/certificates/{authority}",
    tag = "certificate authorities", responses((status = 200, body = Envelope<dto::Id>)))]
pub(super) async fn access_delete(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((kind, named, id)): Named<(String, String, String)>,
) -> Result<Answer<dto::Id>, ApiError> {
    let zone = Face::of(&control, &caller, &kind, &named, Scope::Certificates)?.zone();
    let plan = move |state: &model::State| {
        let record = find(state, &id, zone)?;
        if zone.is_some() && record.zone != zone {
            return Err(ApiError::forbidden("this certificate authority belongs to the account, not to the zone"));
        }
        Ok((vec![Change::RemoveAuthority(record.id)], record.id))
    };
    let changed = control.change(caller.intent("authority delete"), plan).await?;
    Ok(Answer(dto::Id { id: changed.value.to_string() }))
}

/// Shows what upstreams are told of client certificates, host by host.
#[utoipa::path(get, path = "/client/v4/{scope}/{scope_id}/access/certificates/settings",
    tag = "certificate authorities", responses((status = 200, body = Envelope<Vec<dto::AccessSetting>>)))]
pub(super) async fn settings(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((kind, named)): Named<(String, String)>,
) -> Result<Page<dto::AccessSetting>, ApiError> {
    let face = Face::of(&control, &caller, &kind, &named, Scope::Read)?;
    Ok(Page::whole(forwarding(&control, face)))
}

/// Takes what is so already, and refuses anything else with the reason.
#[utoipa::path(put, path = "/client/v4/{scope}/{scope_id}/access/certificates/settings",
    tag = "certificate authorities", request_body = dto::AccessSettings,
    responses((status = 200, body = Envelope<Vec<dto::AccessSetting>>)))]
pub(super) async fn set_settings(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((kind, named)): Named<(String, String)>,
    Body(wanted): Body<dto::AccessSettings>,
) -> Result<Page<dto::AccessSetting>, ApiError> {
    let face = Face::of(&control, &caller, &kind, &named, Scope::Admin)?;
    let known = forwarding(&control, face);
    for (place, setting) in wanted.settings.iter().enumerate() {
        let pointer = format!("/settings/{place}");
        if !known.iter().any(|known| known.hostname == setting.hostname) {
            return Err(ApiError::invalid(pointer, format!("{:?} is no host of the configuration", setting.hostname)));
        }
        if !known.contains(setting) {
            let message = "whether upstreams are told of client certificates is `forward_client_cert` of the host in the \
                           configuration file; there is no China network";
            return Err(ApiError::invalid(pointer, message));
        }
    }
    Ok(Page::whole(known))
}

fn forwarding(control: &Control, face: Face<'_>) -> Vec<dto::AccessSetting> {
    let hosts = control.config.hosts().filter(|(zone, _)| match face {
        Face::Account => true,
        Face::Zone(wanted, _) => zone.name == wanted.name,
    });
    hosts
        .map(|(_, host)| dto::AccessSetting {
            hostname: host.name.to_string(),
            china_network: false,
            client_certificate_forwarding: host
                .termination
                .as_ref()
                .is_some_and(|termination| termination.forward_client_cert),
        })
        .collect()
}

fn uploaded(state: &model::State) -> impl Iterator<Item = &Arc<AuthorityRecord>> {
    state.authorities().filter(|record| record.kind == AuthorityKind::Uploaded)
}

fn is_seen(record: &AuthorityRecord, zone: Option<ZoneId>) -> bool {
    zone.is_none() || record.zone.is_none() || record.zone == zone
}

fn find<'s>(state: &'s model::State, id: &str, zone: Option<ZoneId>) -> Result<&'s Arc<AuthorityRecord>, ApiError> {
    let id: AuthorityId = id.parse()?;
    state
        .authority(id)
        .filter(|record| record.kind == AuthorityKind::Uploaded && is_seen(record, zone))
        .ok_or_else(|| ApiError::no_object(format!("there is no uploaded certificate authority {id}")))
}

/// The one authority of an upload.
fn one(pem: &str, name: &str, zone: Option<ZoneId>, pointer: &str) -> Result<AuthorityRecord, ApiError> {
    let found = uploaded_authorities(pem, name, zone, Timestamp::now())
        .map_err(|error| ApiError::invalid(pointer, error.to_string()))?;
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(authority), None) => Ok(authority.record),
        _ => {
            let message =
                "upload one certificate authority at a time: each is trusted, associated and deleted by itself";
            Err(ApiError::invalid(pointer, message))
        }
    }
}

fn bind(zone: ZoneId, authority: AuthorityId, hostnames: Vec<String>) -> Change {
    Change::SetAssociation(AssociationRecord { zone, authority: Some(authority), hostnames })
}

fn described(record: &AuthorityRecord) -> Result<UploadedAuthority, ApiError> {
    // It was checked when it was uploaded.
    UploadedAuthority::of_record(record.clone()).map_err(|problem| {
        tracing::error!(authority = %record.id, problem, "a stored authority cannot be read");
        ApiError::conflict(format!("the stored certificate of {} cannot be read: {problem}", record.id))
    })
}

fn shown(record: &AuthorityRecord) -> Result<dto::MtlsCertificate, ApiError> {
    let authority = described(record)?;
    Ok(dto::MtlsCertificate {
        id: authority.record.id.to_string(),
        ca: true,
        certificates: certificate_pem(&authority.record.certificate),
        expires_on: authority.expires_on.rfc3339_seconds(),
        issuer: authority.issuer,
        name: authority.record.name,
        serial_number: authority.serial_decimal,
        signature: authority.signature,
        kind: CUSTOM.to_owned(),
        uploaded_on: authority.record.created.rfc3339_seconds(),
        updated_at: authority.record.created.rfc3339_seconds(),
    })
}

fn access_shown(
    record: &AuthorityRecord,
    state: &model::State,
    face: Face<'_>,
) -> Result<dto::AccessCertificate, ApiError> {
    let authority = described(record)?;
    let bound = state
        .associations()
        .filter(|bound| bound.authority == Some(record.id) && face.zone().is_none_or(|zone| bound.zone == zone));
    Ok(dto::AccessCertificate {
        id: record.id.to_string(),
        associated_hostnames: bound.flat_map(|bound| bound.hostnames.iter().cloned()).collect(),
        expires_on: authority.expires_on.rfc3339_seconds(),
        fingerprint: authority.fingerprint_sha256,
        name: authority.record.name,
    })
}
