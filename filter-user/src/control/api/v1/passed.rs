//! What passes the workers unopened.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use super::super::answer::Answer;
use super::super::caller::Caller;
use super::super::dto::{Envelope, OriginHealth, PassedHost, PassedOn, PassedThrough};
use super::super::error::ApiError;
use crate::config::Passthrough;
use crate::control::{Control, PassedConnection, PassedTotals, Via};
use crate::model::Scope;
use crate::snapshot::HostPolicy;
use crate::telemetry::METRICS_TYPE;

/// Lists the connections that are passed on unopened, the oldest first.
#[utoipa::path(get, path = "/api/v1/flows", tag = "daemon", responses((status = 200, body = Envelope<Vec<PassedOn>>)))]
pub(super) async fn flows(
    State(control): State<Arc<Control>>,
    caller: Caller,
) -> Result<Answer<Vec<PassedOn>>, ApiError> {
    caller.everywhere(Scope::Read)?;
    Ok(Answer(control.passed_connections().await.into_iter().map(passed_on).collect()))
}

/// Everything that is counted, as Prometheus reads it.
#[utoipa::path(get, path = "/metrics", tag = "daemon",
    responses((status = 200, body = String, content_type = "application/openmetrics-text")))]
pub(super) async fn metrics(State(control): State<Arc<Control>>, caller: Caller) -> Result<Response, ApiError> {
    caller.everywhere(Scope::Read)?;
    Ok(([(CONTENT_TYPE, METRICS_TYPE)], control.metrics().await).into_response())
}

fn passed_on(connection: PassedConnection) -> PassedOn {
    let [bytes_from_client, bytes_from_origin] = connection.bytes;
    PassedOn {
        host: connection.host,
        via: connection.via.name().to_owned(),
        client: connection.client.to_string(),
        listen: connection.listen.to_string(),
        origin: connection.origin.map(|origin| origin.to_string()),
        bytes_from_client,
        bytes_from_origin,
        age_seconds: connection.age.as_secs_f64(),
        idle_seconds: connection.idle.as_secs_f64(),
    }
}

/// What `status` says of it.
pub(super) async fn passed_through(control: &Arc<Control>) -> PassedThrough {
    let (snapshot, totals) = (control.snapshot().await, control.passed_totals().await);
    let xdp = control.publisher.datapath().has_xdp();
    let configured =
        control.config.hosts().filter_map(|(_, host)| Some((host.name.as_str(), host.passthrough.as_ref()?)));
    let hosts = configured.map(|(name, passthrough)| {
        let totals =
            [Via::Xdp, Via::Worker].map(|via| totals.get(&(name.to_owned(), via)).copied().unwrap_or_default());
        let sum = |value: fn(&PassedTotals) -> u64| totals.iter().map(value).sum();
        PassedHost {
            host: name.to_owned(),
            now: snapshot.host(name).map_or("terminated", |host| now(host, xdp)).to_owned(),
            origins: passthrough.origins.iter().map(ToString::to_string).collect(),
            shares_origin_with: shared(passthrough),
            opened: sum(|totals| totals.opened),
            open: sum(|totals| totals.open),
            bytes_from_clients: sum(|totals| totals.bytes[0]),
            bytes_from_origins: sum(|totals| totals.bytes[1]),
        }
    });
    let hosts = hosts.collect();
    let mut origins: Vec<_> = control.origins.iter().collect();
    origins.sort_by_key(|(address, _)| *address);
    let origins = origins.into_iter().map(|(address, origin)| OriginHealth {
        address: address.to_string(),
        up: origin.is_up(),
        failures: origin.failures(),
        last_failure: origin.last_failure().map(|failure| failure.to_string()),
    });
    PassedThrough { hosts, origins: origins.collect() }
}

fn now(host: &HostPolicy, xdp: bool) -> &'static str {
    match &host.passthrough {
        Some(passthrough) if xdp && passthrough.blocked.is_empty() => "spliced",
        Some(_) => "relayed",
        None => "terminated",
    }
}

fn shared(passthrough: &Passthrough) -> Option<String> {
    passthrough.shared.as_ref().map(ToString::to_string)
}
