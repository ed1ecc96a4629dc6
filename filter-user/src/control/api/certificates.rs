//! Client certificates, as Cloudflare's API has them.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::answer::{Answer, ApiError, Body, Page};
use super::{dto, zones};
use crate::control::Control;
use crate::model::{
    self, AuthorityRecord, CertificateId, CertificateRecord, CertificateStatus, Change, Timestamp, ZoneId,
};

/// Items of a page if the call does not say.
const PER_PAGE: usize = 20;

/// Most items of a page.
const MAX_PER_PAGE: usize = 1_000;

/// Every status there is.
const STATUSES: [CertificateStatus; 4] = [
    CertificateStatus::Active,
    CertificateStatus::PendingReactivation,
    CertificateStatus::PendingRevocation,
    CertificateStatus::Revoked,
];

/// Which certificates, and which page of them.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    status: Option<String>,
    page: Option<usize>,
    per_page: Option<usize>,
    /// The SDKs have both ways to page; `limit` and `offset` win.
    limit: Option<usize>,
    offset: Option<usize>,
}

/// `GET /client/v4/zones/{zone}/client_certificates`
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Path(zone): Path<String>,
    Query(filter): Query<Filter>,
) -> Result<Page<dto::ClientCertificate>, ApiError> {
    let (_, zone) = zones::find(&control, &zone)?;
    let status = filter.status.as_deref().unwrap_or("all");
    if status != "all" && !STATUSES.iter().any(|known| known.name() == status) {
        return Err(ApiError::invalid("/status", format!("there is no status {status:?}")));
    }
    let per_page = filter.limit.or(filter.per_page).unwrap_or(PER_PAGE);
    if !(1..=MAX_PER_PAGE).contains(&per_page) {
        return Err(ApiError::invalid("/per_page", format!("a page has 1 to {MAX_PER_PAGE} items")));
    }
    let page = filter.page.unwrap_or(1).max(1);
    let offset = filter.offset.unwrap_or_else(|| (page - 1).saturating_mul(per_page));
    let (state, _) = control.state().await;
    let mut found: Vec<_> =
        state.certificates(zone).filter(|record| status == "all" || record.status.name() == status).collect();
    // Newest first, as Cloudflare lists them; ids keep the order of those of one moment stable from page to page.
    found.sort_by_key(|record| (std::cmp::Reverse(record.issued_on), record.id));
    let total_count = found.len();
    let items: Vec<_> = found.into_iter().skip(offset).take(per_page).map(|record| shown(record, &state)).collect();
    let info = dto::ResultInfo {
        page,
        per_page,
        count: items.len(),
        total_count,
        total_pages: total_count.div_ceil(per_page),
    };
    Ok(Page { items, info })
}

/// `POST /client/v4/zones/{zone}/client_certificates`
pub(super) async fn create(
    State(control): State<Arc<Control>>,
    Path(zone): Path<String>,
    Body(request): Body<dto::CreateCertificate>,
) -> Result<Answer<dto::ClientCertificate>, ApiError> {
    let (_, zone) = zones::find(&control, &zone)?;
    let record = control.issue(zone, &request.csr, request.validity_days).await?;
    let (state, _) = control.state().await;
    Ok(Answer(shown(&record, &state)))
}

/// `GET /client/v4/zones/{zone}/client_certificates/{certificate}`
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(path): Path<(String, String)>,
) -> Result<Answer<dto::ClientCertificate>, ApiError> {
    let (zone, id) = find(&control, &path)?;
    certificate(&control, zone, id).await
}

/// `DELETE /client/v4/zones/{zone}/client_certificates/{certificate}`: revokes; the certificate stays listed. Revoking twice is no error.
pub(super) async fn revoke(
    State(control): State<Arc<Control>>,
    Path(path): Path<(String, String)>,
) -> Result<Answer<dto::ClientCertificate>, ApiError> {
    set_status(&control, &path, CertificateStatus::Revoked).await
}

/// `PATCH /client/v4/zones/{zone}/client_certificates/{certificate}`: takes the revocation back.
pub(super) async fn reactivate(
    State(control): State<Arc<Control>>,
    Path(path): Path<(String, String)>,
    Body(request): Body<dto::Reactivate>,
) -> Result<Answer<dto::ClientCertificate>, ApiError> {
    if request.reactivate == Some(false) {
        return Err(ApiError::invalid(
            "/reactivate",
            "`reactivate` can only be true; to revoke, DELETE the certificate",
        ));
    }
    set_status(&control, &path, CertificateStatus::Active).await
}

async fn set_status(
    control: &Arc<Control>,
    path: &(String, String),
    status: CertificateStatus,
) -> Result<Answer<dto::ClientCertificate>, ApiError> {
    let (zone, id) = find(control, path)?;
    let action = if status.is_revoked() { "certificate revoke" } else { "certificate reactivate" };
    control.change(action, vec![Change::SetCertificateStatus { zone, id, status, at: Timestamp::now() }]).await?;
    certificate(control, zone, id).await
}

async fn certificate(
    control: &Control,
    zone: ZoneId,
    id: CertificateId,
) -> Result<Answer<dto::ClientCertificate>, ApiError> {
    let (state, _) = control.state().await;
    let record = state
        .certificate(zone, id)
        .ok_or_else(|| ApiError::no_object(format!("there is no client certificate {id} in this zone")))?;
    Ok(Answer(shown(record, &state)))
}

fn find(control: &Control, (zone, certificate): &(String, String)) -> Result<(ZoneId, CertificateId), ApiError> {
    let (_, zone) = zones::find(control, zone)?;
    let id = certificate.parse().map_err(|error: model::IdError| ApiError::no_object(error.to_string()))?;
    Ok((zone, id))
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
