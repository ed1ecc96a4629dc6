//! What Cloudflare has as settings of a zone, and this filter decides once for all: the values are told as they are, and setting one to
//! something else is refused, not taken and forgotten.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};

use super::super::answer::Answer;
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::ApiError;
use super::super::request::{Body, Named};
use crate::control::Control;
use crate::model::Scope;

/// The transform that tells upstreams of client certificates.
const CLIENT_CERTIFICATE_HEADERS: &str = "add_client_certificate_headers";

/// Every setting there is: its value, and why it is that.
fn settings() -> [(&'static str, Value, &'static str); 7] {
    [
        ("0rtt", json!("off"), "early data can be replayed, and comes before a client certificate"),
        ("ciphers", json!([]), "the cipher suites are those of TLS 1.3 and the AEAD suites of TLS 1.2"),
        ("http2", json!("off"), "hosts speak HTTP/1.1"),
        ("http3", json!("off"), "hosts speak HTTP/1.1; QUIC is dropped"),
        ("min_tls_version", json!("1.2"), "older versions are not there"),
        ("ssl", json!("flexible"), "upstreams are reached by http; see `upstream` in the configuration file"),
        ("tls_1_3", json!("on"), "TLS 1.3 is always offered"),
    ]
}

fn setting(name: &str) -> Result<(dto::Setting, &'static str), ApiError> {
    let found = settings().into_iter().find(|(known, ..)| *known == name);
    let (id, value, why) = found.ok_or_else(|| {
        let names: Vec<_> = settings().iter().map(|(name, ..)| *name).collect();
        let shown: String = name.chars().take(100).collect();
        ApiError::no_object(format!("there is no setting {shown:?} here; there is {}", names.join(", ")))
    })?;
    Ok((dto::Setting { id: id.to_owned(), value, editable: false, modified_on: None }, why))
}

/// Lists the settings of a zone.
#[utoipa::path(get, path = "/client/v4/zones/{zone}/settings", tag = "zones",
    responses((status = 200, body = Envelope<Vec<dto::Setting>>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
) -> Result<Answer<Vec<dto::Setting>>, ApiError> {
    caller.zone(&control, &zone, Scope::Read)?;
    let all = settings().into_iter().map(|(id, value, _)| dto::Setting {
        id: id.to_owned(),
        value,
        editable: false,
        modified_on: None,
    });
    Ok(Answer(all.collect()))
}

/// Shows a setting of a zone.
#[utoipa::path(get, path = "/client/v4/zones/{zone}/settings/{setting}", tag = "zones",
    responses((status = 200, body = Envelope<dto::Setting>)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, name)): Named<(String, String)>,
) -> Result<Answer<dto::Setting>, ApiError> {
    caller.zone(&control, &zone, Scope::Read)?;
    setting(&name).map(|(setting, _)| Answer(setting))
}

/// Takes the value that a setting has, and refuses any other with the reason.
#[utoipa::path(patch, path = "/client/v4/zones/{zone}/settings/{setting}", tag = "zones", request_body = dto::SetSetting,
    responses((status = 200, body = Envelope<dto::Setting>)))]
pub(super) async fn update(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, name)): Named<(String, String)>,
    Body(wanted): Body<dto::SetSetting>,
) -> Result<Answer<dto::Setting>, ApiError> {
    caller.zone(&control, &zone, Scope::Admin)?;
    let (setting, why) = setting(&name)?;
    if wanted.value == setting.value {
        return Ok(Answer(setting));
    }
    let message = format!("{name} is {} here and cannot be changed: {why}", setting.value);
    Err(ApiError::invalid("/value", message))
}

/// Shows which headers are added to requests and responses.
#[utoipa::path(get, path = "/client/v4/zones/{zone}/managed_headers", tag = "zones",
    responses((status = 200, body = Envelope<dto::ManagedHeaders>)))]
pub(super) async fn headers(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
) -> Result<Answer<dto::ManagedHeaders>, ApiError> {
    caller.zone(&control, &zone, Scope::Read)?;
    Ok(Answer(managed_headers()))
}

/// Takes what is so already, and refuses anything else with the reason.
#[utoipa::path(patch, path = "/client/v4/zones/{zone}/managed_headers", tag = "zones", request_body = dto::ManagedHeaders,
    responses((status = 200, body = Envelope<dto::ManagedHeaders>)))]
pub(super) async fn set_headers(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Body(wanted): Body<dto::ManagedHeaders>,
) -> Result<Answer<dto::ManagedHeaders>, ApiError> {
    caller.zone(&control, &zone, Scope::Admin)?;
    let lists = [("request", &wanted.managed_request_headers), ("response", &wanted.managed_response_headers)];
    for (kind, headers) in lists {
        for (place, header) in headers.iter().enumerate() {
            let pointer = format!("/managed_{kind}_headers/{place}");
            if header.id != CLIENT_CERTIFICATE_HEADERS || kind == "response" {
                return Err(ApiError::invalid(pointer, format!("there is no managed transform {:?} here", header.id)));
            }
            if header.enabled {
                let message = "upstreams are told of client certificates in the header Client-Cert (RFC 9440): set \
                               `forward_client_cert = true` for the host in the configuration file";
                return Err(ApiError::invalid(pointer, message));
            }
        }
    }
    Ok(Answer(managed_headers()))
}

fn managed_headers() -> dto::ManagedHeaders {
    let header = dto::ManagedHeader {
        id: CLIENT_CERTIFICATE_HEADERS.to_owned(),
        enabled: false,
        has_conflict: false,
        conflicts_with: Vec::new(),
    };
    dto::ManagedHeaders { managed_request_headers: vec![header], managed_response_headers: Vec::new() }
}
