//! How clients use their certificate.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::answer::Answer;
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::ApiError;
use super::super::request::{Named, Search};
use crate::config;
use crate::control::Control;
use crate::model::{self, CertificateId, Scope, ZoneId};
use crate::snapshot::is_mtls;
use crate::snippets::{SNIPPETS, file_stem};

/// For which host.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// The host that is asked; the first of the zone that has mTLS enabled, if left out.
    host: Option<String>,
}

/// Shows how curl, Python, Android, iOS and an IoT device use a certificate.
#[utoipa::path(get, path = "/api/v1/zones/{zone}/client_certificates/{certificate}/snippets", tag = "client certificates",
    params(Which), responses((status = 200, body = Envelope<Vec<dto::Snippet>>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, certificate)): Named<(String, String)>,
    Search(which): Search<Which>,
) -> Result<Answer<Vec<dto::Snippet>>, ApiError> {
    let (zone, id) = caller.zone(&control, &zone, Scope::Read)?;
    let certificate: CertificateId = certificate.parse()?;
    let (state, _) = control.state().await;
    let record = state
        .certificate(id, certificate)
        .ok_or_else(|| ApiError::no_object(format!("there is no client certificate {certificate} in this zone")))?;
    let host = host(zone, id, &state, which.host.as_deref())?;
    let file = file_stem(&record.subject.common_name);
    let shown = SNIPPETS.iter().map(|snippet| dto::Snippet {
        target: snippet.target.to_owned(),
        title: snippet.title.to_owned(),
        language: snippet.language.to_owned(),
        text: snippet.text(&host, &file),
    });
    Ok(Answer(shown.collect()))
}

/// The host that was named, or the first that asks for certificates.
fn host(zone: &config::Zone, id: ZoneId, state: &model::State, named: Option<&str>) -> Result<String, ApiError> {
    let mut enabled = zone
        .hosts
        .iter()
        .filter(|host| is_mtls(host, id, state) && !host.name.is_wildcard())
        .map(|host| host.name.as_str());
    let Some(named) = named else {
        return enabled.next().map(str::to_owned).ok_or_else(|| {
            ApiError::conflict(format!("no host of {} has mTLS enabled, so none asks for a certificate", zone.name))
                .at("/host")
        });
    };
    let named = filter_rules::normalise_host(named);
    enabled
        .find(|host| *host == named)
        .map(str::to_owned)
        .ok_or_else(|| ApiError::invalid("/host", format!("{named:?} is no host of {} with mTLS enabled", zone.name)))
}
