//! Revocation lists of uploaded CAs.

use std::sync::Arc;

use axum::body::{Bytes, HttpBody as _};
use axum::extract::{FromRequest as _, Request, State};
use http::{HeaderMap, StatusCode, header};

use super::super::answer::Answer;
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::{ApiError, code};
use super::super::request::{Body, Named};
use crate::control::crl::{Checked, REFRESH_SECONDS, Report, WantedCrl, Way};
use crate::control::{Changed, Control};
use crate::model::{self, AuthorityId, AuthorityKind, AuthorityRecord, CrlSource, Scope, Timestamp, WhenStale};
use crate::pki::{CRL_BYTES, UploadedAuthority};
use crate::store::public_authority;

/// Media types of a list. Not one of them can be sent by a form of a web page.
const MEDIA_TYPES: [&str; 3] = ["application/pkix-crl", "application/x-pem-file", "application/octet-stream"];

/// Lists the uploaded CAs, and what is known of their CRLs.
#[utoipa::path(get, path = "/api/v1/cas", tag = "certificate authorities",
    responses((status = 200, body = Envelope<Vec<dto::UploadedAuthority>>)))]
pub(in super::super) async fn list(
    State(control): State<Arc<Control>>,
    caller: Caller,
) -> Result<Answer<Vec<dto::UploadedAuthority>>, ApiError> {
    let (state, _) = control.state().await;
    let uploaded = state.authorities().filter(|record| record.kind == AuthorityKind::Uploaded);
    let seen = uploaded.filter(|record| may(&caller, &control, record, Scope::Read).is_ok());
    seen.map(|record| shown_authority(&control, record)).collect::<Result<_, _>>().map(Answer)
}

/// Shows the CRL of an uploaded CA.
#[utoipa::path(get, path = "/api/v1/cas/{authority}/crl", tag = "certificate authorities",
    responses((status = 200, body = Envelope<dto::Crl>)))]
pub(in super::super) async fn show(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(authority): Named<String>,
) -> Result<Answer<dto::Crl>, ApiError> {
    let id = find(&control, &caller, &authority, Scope::Read).await?;
    report(&control, id).map(Answer)
}

/// Has the CRL of an uploaded CA loaded from a file or a server, and watched. The list of a new source is loaded before anything is
/// changed, and must be good.
#[utoipa::path(put, path = "/api/v1/cas/{authority}/crl", tag = "certificate authorities", request_body = dto::SetCrl,
    responses((status = 200, body = Envelope<dto::Written<dto::Crl>>)))]
pub(in super::super) async fn set(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(authority): Named<String>,
    Body(wanted): Body<dto::SetCrl>,
) -> Result<Answer<dto::Written<dto::Crl>>, ApiError> {
    // The daemon reads files and asks servers that others cannot: who may name them must be allowed everything.
    let id = find(&control, &caller, &authority, Scope::Admin).await?;
    let when_stale = match wanted.when_stale.as_deref() {
        None => WhenStale::default(),
        Some(name) => WhenStale::of_name(name)
            .ok_or_else(|| ApiError::invalid("/when_stale", "`when_stale` is `deny` or `allow`"))?,
    };
    let wanted = WantedCrl {
        source: source(wanted.source, "/source")?,
        delta_source: source(wanted.delta_source, "/delta_source")?,
        refresh_seconds: wanted.refresh_seconds.unwrap_or(REFRESH_SECONDS),
        when_stale,
    };
    let changed = control.set_crl(caller.intent("crl set"), id, wanted).await;
    written(&control, id, changed.map_err(|error| ApiError::from(error).at("/source"))?)
}

/// Takes the CRL of an uploaded CA away: its certificates are judged without one.
#[utoipa::path(delete, path = "/api/v1/cas/{authority}/crl", tag = "certificate authorities",
    responses((status = 200, body = Envelope<dto::Written<dto::Id>>)))]
pub(in super::super) async fn remove(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(authority): Named<String>,
) -> Result<Answer<dto::Written<dto::Id>>, ApiError> {
    let id = find(&control, &caller, &authority, Scope::Admin).await?;
    let changed = control.remove_crl(caller.intent("crl delete"), id).await?;
    let value = dto::Id { id: id.to_string() };
    Ok(Answer(dto::Written { value, generation: changed.generation, warnings: Vec::new() }))
}

/// Puts a list in force that is sent: complete or delta, DER or PEM. A CA without a CRL has one from then on.
#[utoipa::path(post, path = "/api/v1/cas/{authority}/crl/upload", tag = "certificate authorities",
    request_body(content((Vec<u8> = "application/pkix-crl"), (String = "application/x-pem-file"))),
    responses((status = 200, body = Envelope<dto::Written<dto::Crl>>)))]
pub(in super::super) async fn upload(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(authority): Named<String>,
    request: Request,
) -> Result<Answer<dto::Written<dto::Crl>>, ApiError> {
    let id = find(&control, &caller, &authority, Scope::Certificates).await?;
    if !is_list(request.headers()) {
        let message = format!("a CRL is sent with a Content-Type of {}", MEDIA_TYPES.join(", "));
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code::BODY, message));
    }
    // One that says how long it is need not be read to be refused.
    if usize::try_from(request.body().size_hint().lower()).is_ok_and(|length| length > CRL_BYTES) {
        let message = format!("a CRL has no more than {CRL_BYTES} bytes");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, code::BODY, message));
    }
    let bytes = Bytes::from_request(request, &()).await.map_err(|rejection| {
        ApiError::new(rejection.status(), code::BODY, format!("The body cannot be read: {}", rejection.body_text()))
    })?;
    let changed = control.upload_crl(caller.intent("crl upload"), id, bytes.into()).await?;
    written(&control, id, changed)
}

/// Looks at the sources of a CRL now. What is new is in force when this answers.
#[utoipa::path(post, path = "/api/v1/cas/{authority}/crl/refresh", tag = "certificate authorities",
    responses((status = 200, body = Envelope<dto::Crl>)))]
pub(in super::super) async fn refresh(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(authority): Named<String>,
) -> Result<Answer<dto::Crl>, ApiError> {
    let id = find(&control, &caller, &authority, Scope::Certificates).await?;
    control.refresh_crl(id).await?;
    report(&control, id).map(Answer)
}

/// Every CRL that the caller may see.
pub(super) fn crls(control: &Control, state: &model::State, caller: &Caller) -> Vec<dto::Crl> {
    let is_seen = |id| state.authority(id).is_some_and(|record| may(caller, control, record, Scope::Read).is_ok());
    let reports = control.crls().reports().into_iter().filter(|report| is_seen(report.authority));
    reports.map(shown).collect()
}

async fn find(control: &Control, caller: &Caller, named: &str, needed: Scope) -> Result<AuthorityId, ApiError> {
    let id: AuthorityId = named.parse()?;
    let (state, _) = control.state().await;
    let record = state.authority(id).filter(|record| record.kind == AuthorityKind::Uploaded);
    let record =
        record.ok_or_else(|| ApiError::no_object(format!("there is no uploaded certificate authority {id}")))?;
    may(caller, control, record, needed).map(|()| id)
}

/// An authority of a zone is that zone's business, and any other is everybody's.
fn may(caller: &Caller, control: &Control, record: &AuthorityRecord, needed: Scope) -> Result<(), ApiError> {
    match record.zone {
        Some(zone) => caller.zone(control, &zone.to_string(), needed).map(drop),
        None => caller.everywhere(needed),
    }
}

fn source(text: Option<String>, pointer: &str) -> Result<Option<CrlSource>, ApiError> {
    let parsed = text.map(CrlSource::try_from).transpose();
    parsed.map_err(|error| ApiError::invalid(pointer, error.to_string()))
}

fn is_list(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    MEDIA_TYPES.iter().any(|known| known.eq_ignore_ascii_case(essence))
}

fn written(
    control: &Control,
    id: AuthorityId,
    changed: Changed<()>,
) -> Result<Answer<dto::Written<dto::Crl>>, ApiError> {
    let value = report(control, id)?;
    Ok(Answer(dto::Written { value, generation: changed.generation, warnings: Vec::new() }))
}

fn report(control: &Control, id: AuthorityId) -> Result<dto::Crl, ApiError> {
    let report = control.crls().report(id).map(shown);
    report.ok_or_else(|| ApiError::no_object(format!("the certificate authority {id} has no CRL")))
}

fn shown_authority(control: &Control, record: &AuthorityRecord) -> Result<dto::UploadedAuthority, ApiError> {
    let unreadable = |error: String| ApiError::conflict(format!("the stored authority cannot be read: {error}"));
    let authority = public_authority(record).map_err(|error| unreadable(error.to_string()))?;
    let uploaded = UploadedAuthority::of_record(record.clone()).map_err(unreadable)?;
    Ok(dto::UploadedAuthority {
        id: record.id.to_string(),
        name: record.name.clone(),
        subject: authority.subject().to_owned(),
        zone: record.zone.map(|zone| zone.to_string()),
        expires_on: uploaded.expires_on.rfc3339_seconds(),
        crl: control.crls().report(record.id).map(shown),
    })
}

fn shown(report: Report) -> dto::Crl {
    let loaded = report.crl.as_ref().zip(report.loaded).map(|(crl, loaded)| dto::LoadedCrl {
        number: crl.number().to_string(),
        this_update: crl.this_update().rfc3339_seconds(),
        next_update: crl.next_update().map(Timestamp::rfc3339_seconds),
        entries: crl.revoked().len(),
        loaded_at: loaded.rfc3339_seconds(),
    });
    dto::Crl {
        authority: report.authority.to_string(),
        state: report.standing.name().to_owned(),
        refuses: report.refuses(),
        when_stale: report.record.when_stale.name().to_owned(),
        source: report.record.source.as_ref().map(ToString::to_string),
        delta_source: report.record.delta_source.as_ref().map(ToString::to_string),
        refresh_seconds: report.record.refresh_seconds,
        loaded,
        checks: report.checks().map(|(way, checked)| shown_check(way, checked)).collect(),
        name: report.name,
    }
}

fn shown_check(way: Way, checked: &Checked) -> dto::CrlCheck {
    dto::CrlCheck {
        way: way.name().to_owned(),
        at: checked.at.map(Timestamp::rfc3339_seconds),
        good: checked.good.map(Timestamp::rfc3339_seconds),
        problem: checked.problem.clone(),
        failures: checked.failures,
    }
}
