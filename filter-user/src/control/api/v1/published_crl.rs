//! The revocation list of a zone's own CA, for other systems.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};
use pem::{EncodeConfig, LineEnding, Pem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::caller::Caller;
use super::super::error::ApiError;
use super::super::request::{Named, Search};
use crate::control::Control;
use crate::model::{AuthorityId, Scope};

const DER: &str = "application/pkix-crl";
const PEM: &str = "application/x-pem-file";

/// Whose list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct Of {
    /// A managed CA of the zone that was retired; the one that issues if left out.
    authority: Option<String>,
}

/// Gives out the revocation list of a zone's managed CA: DER, or PEM if `Accept` says `application/x-pem-file`.
#[utoipa::path(get, path = "/api/v1/zones/{zone}/crl", tag = "certificate authorities", params(Of),
    responses((status = 200, content((Vec<u8> = "application/pkix-crl"), (String = "application/x-pem-file")))))]
pub(in super::super) async fn show(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Search(of): Search<Of>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let der = list(&control, &caller, &zone, &of).await?;
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut accepted = accepted.flat_map(|value| value.split(',')).filter_map(|range| range.split(';').next());
    let first =
        accepted.find_map(|range| [DER, PEM].into_iter().find(|known| range.trim().eq_ignore_ascii_case(known)));
    Ok(if first == Some(PEM) { as_pem(&der) } else { as_der(der) })
}

/// Gives out the revocation list of a zone's managed CA, DER.
#[utoipa::path(get, path = "/api/v1/zones/{zone}/crl.der", tag = "certificate authorities", params(Of),
    responses((status = 200, content_type = "application/pkix-crl", body = Vec<u8>)))]
pub(in super::super) async fn der(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Search(of): Search<Of>,
) -> Result<Response, ApiError> {
    list(&control, &caller, &zone, &of).await.map(as_der)
}

/// Gives out the revocation list of a zone's managed CA, PEM.
#[utoipa::path(get, path = "/api/v1/zones/{zone}/crl.pem", tag = "certificate authorities", params(Of),
    responses((status = 200, content_type = "application/x-pem-file", body = String)))]
pub(in super::super) async fn pem(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Search(of): Search<Of>,
) -> Result<Response, ApiError> {
    list(&control, &caller, &zone, &of).await.map(|der| as_pem(&der))
}

async fn list(control: &Arc<Control>, caller: &Caller, zone: &str, of: &Of) -> Result<bytes::Bytes, ApiError> {
    let (_, zone) = caller.zone(control, zone, Scope::Read)?;
    let authority: Option<AuthorityId> = of.authority.as_deref().map(str::parse).transpose()?;
    Ok(control.published_crl(zone, authority).await?)
}

fn as_der(der: bytes::Bytes) -> Response {
    ([(header::CONTENT_TYPE, DER)], der).into_response()
}

fn as_pem(der: &[u8]) -> Response {
    let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
    ([(header::CONTENT_TYPE, PEM)], pem::encode_config(&Pem::new("X509 CRL", der), lines)).into_response()
}
