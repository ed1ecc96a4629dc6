//! Client certificates, as Cloudflare's API has them.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::answer::{Answer, Page, Paging};
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::ApiError;
use super::super::request::{Body, Named, Search};
use crate::control::Control;
use crate::model::{
    self, AuthorityRecord, CertificateId, CertificateRecord, CertificateStatus, Change, Scope, Timestamp, ZoneId,
};

/// Every status there is.
const STATUSES: [CertificateStatus; 4] = [
    CertificateStatus::Active,
    CertificateStatus::PendingReactivation,
    CertificateStatus::PendingRevocation,
    CertificateStatus::Revoked,
];

/// Which certificates.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// `all`, `active`, `pending_reactivation`, `pending_revocation` or `revoked`.
    status: Option<String>,
}

/// Lists the client certificates of a zone, newest first.
#[utoipa::path(get, path = "/client/v4/zones/{zone}/client_certificates", tag = "client certificates",
    params(Which, Paging), responses((status = 200, body = Envelope<Vec<dto::ClientCertificate>>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Search(which): Search<Which>,
    Search(paging): Search<Paging>,
) -> Result<Page<dto::ClientCertificate>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Read)?;
    let status = which.status.as_deref().unwrap_or("all");
    if status != "all" && !STATUSES.iter().any(|known| known.name() == status) {
        let shown: String = status.chars().take(100).collect();
        return Err(ApiError::invalid("/status", format!("there is no status {shown:?}")));
    }
    let (state, _) = control.state().await;
    let mut found: Vec<_> =
        state.certificates(zone).filter(|record| status == "all" || record.status.name() == status).collect();
    // Newest first, as Cloudflare lists them; ids keep the order of those of one moment stable from page to page.
    found.sort_by_key(|record| (std::cmp::Reverse(record.issued_on), record.id));
    paging.page(found.into_iter(), |record| shown(record, &state))
}

/// Issues a client certificate of the zone's managed CA for a certificate signing request.
#[utoipa::path(post, path = "/client/v4/zones/{zone}/client_certificates", tag = "client certificates",
    request_body = dto::CreateCertificate, responses((status = 200, body = Envelope<dto::ClientCertificate>)))]
pub(super) async fn create(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Body(request): Body<dto::CreateCertificate>,
) -> Result<Answer<dto::ClientCertificate>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Certificates)?;
    let issued = control.issue(caller.intent("certificate create"), zone, &request.csr, request.validity_days).await?;
    Ok(Answer(shown(&issued.value, &issued.state)))
}

/// Shows a client certificate.
#[utoipa::path(get, path = "/client/v4/zones/{zone}/client_certificates/{certificate}", tag = "client certificates",
    responses((status = 200, body = Envelope<dto::ClientCertificate>)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, certificate)): Named<(String, String)>,
) -> Result<Answer<dto::ClientCertificate>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    find(&state, zone, certificate.parse()?).map(Answer)
}

/// Revokes a client certificate; it stays listed. Revoking twice is no error.
#[utoipa::path(delete, path = "/client/v4/zones/{zone}/client_certificates/{certificate}", tag = "client certificates",
    responses((status = 200, body = Envelope<dto::ClientCertificate>)))]
pub(super) async fn revoke(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(path): Named<(String, String)>,
) -> Result<Answer<dto::ClientCertificate>, ApiError> {
    set_status(&control, &caller, &path, CertificateStatus::Revoked).await
}

/// Takes the revocation of a client certificate back.
#[utoipa::path(patch, path = "/client/v4/zones/{zone}/client_certificates/{certificate}", tag = "client certificates",
    request_body = dto::Reactivate, responses((status = 200, body = Envelope<dto::ClientCertificate>)))]
pub(super) async fn reactivate(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(path): Named<(String, String)>,
    Body(request): Body<dto::Reactivate>,
) -> Result<Answer<dto::ClientCertificate>, ApiError> {
    if request.reactivate == Some(false) {
        return Err(ApiError::invalid(
            "/reactivate",
            "`reactivate` can only be true; to revoke, DELETE the certificate",
        ));
    }
    set_status(&control, &caller, &path, CertificateStatus::Active).await
}

async fn set_status(
    control: &Arc<Control>,
    caller: &Caller,
    (zone, certificate): &(String, String),
    status: CertificateStatus,
) -> Result<Answer<dto::ClientCertificate>, ApiError> {
    let (_, zone) = caller.zone(control, zone, Scope::Certificates)?;
    let id: CertificateId = certificate.parse()?;
    let action = if status.is_revoked() { "certificate revoke" } else { "certificate reactivate" };
    let plan = move |state: &model::State| {
        find(state, zone, id)?;
        Ok::<_, ApiError>((vec![Change::SetCertificateStatus { zone, id, status, at: Timestamp::now() }], ()))
    };
    let changed = control.change(caller.intent(action), plan).await?;
    find(&changed.state, zone, id).map(Answer)
}

fn find(state: &model::State, zone: ZoneId, id: CertificateId) -> Result<dto::ClientCertificate, ApiError> {
    let found = state.certificate(zone, id).map(|record| shown(record, state));
    found.ok_or_else(|| ApiError::no_object(format!("there is no client certificate {id} in this zone")))
}

fn shown(record: &CertificateRecord, state: &model::State) -> dto::ClientCertificate {
    let subject = &record.subject;
    let label = |text: &String| (!text.is_empty()).then(|| text.clone());
    let authority = state.authority(record.authority).map(|authority: &Arc<AuthorityRecord>| authority.name.clone());
    dto::ClientCertificate {
        id: record.id.to_string(),
        certificate: record.certificate.clone(),
        csr: record.csr.clone(),
        certificate_authority: dto::Issuer { id: record.authority.to_string(), name: authority.unwrap_or_default() },
        common_name: label(&subject.common_name),
        organization: label(&subject.organization),
        organizational_unit: label(&subject.organizational_unit),
        country: label(&subject.country),
        state: label(&subject.state),
        location: label(&subject.location),
        serial_number: record.serial_decimal.clone(),
        ski: record.ski.clone(),
        fingerprint_sha256: record.fingerprint_sha256.clone(),
        signature: record.signature.clone(),
        issued_on: record.issued_on.rfc3339_seconds(),
        expires_on: record.expires_on.rfc3339_seconds(),
        validity_days: record.validity_days,
        status: record.status.name().to_owned(),
    }
}
