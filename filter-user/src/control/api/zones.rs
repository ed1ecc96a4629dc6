//! Zones, their hosts and their CA.

use std::sync::Arc;

use axum::extract::{Path, State};
use pem::{EncodeConfig, LineEnding, Pem};

use super::answer::{Answer, ApiError};
use super::dto;
use crate::config;
use crate::control::Control;
use crate::model::{self, ZoneId};
use crate::snapshot::is_mtls;

/// `GET /api/v1/zones`
pub(super) async fn list(State(control): State<Arc<Control>>) -> Answer<Vec<dto::Zone>> {
    let (state, _) = control.state().await;
    Answer(zones(&control, &state))
}

/// `GET /api/v1/zones/{zone}/ca`
pub(super) async fn authority(
    State(control): State<Arc<Control>>,
    Path(zone): Path<String>,
) -> Result<Answer<dto::Authority>, ApiError> {
    let (zone, id) = find(&control, &zone)?;
    let (state, _) = control.state().await;
    let record = state
        .issuing_authority(id)
        .ok_or_else(|| ApiError::no_object(format!("{} has no certificate authority", zone.name)))?;
    let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
    let certificate = pem::encode_config(&Pem::new("CERTIFICATE", record.certificate.clone()), lines);
    Ok(Answer(dto::Authority { id: record.id.to_string(), name: record.name.clone(), certificate }))
}

/// All zones, as the API shows them.
pub(super) fn zones(control: &Control, state: &model::State) -> Vec<dto::Zone> {
    let zones = control.config.zones.iter().map(|zone| {
        let id = ZoneId::of_name(zone.name.as_str());
        let hosts =
            zone.hosts.iter().map(|host| dto::Host { name: host.name.to_string(), mtls: is_mtls(host, id, state) });
        dto::Zone { id: id.to_string(), name: zone.name.to_string(), hosts: hosts.collect() }
    });
    zones.collect()
}

/// The zone that a path names, by id or by name.
pub(super) fn find<'c>(control: &'c Control, named: &str) -> Result<(&'c config::Zone, ZoneId), ApiError> {
    let zones = control.config.zones.iter().map(|zone| (zone, ZoneId::of_name(zone.name.as_str())));
    zones
        .into_iter()
        .find(|(zone, id)| zone.name.as_str() == named || id.to_string() == named)
        .ok_or_else(|| ApiError::no_object(format!("there is no zone {named:?}")))
}
