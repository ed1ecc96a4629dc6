//! What passes the workers unopened.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use crate::config::Passthrough;
use crate::control::{Control, PassedConnection, Via};
use crate::snapshot::HostPolicy;
use crate::telemetry::METRICS_TYPE;

/// A connection that is passed on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PassedOn {
    /// The host's name in the configuration.
    pub host: String,
    /// `xdp` or `worker`.
    pub via: String,
    /// The client.
    pub client: String,
    /// The address that the client connected to.
    pub listen: String,
    /// The origin; null while a worker looks for one that answers.
    pub origin: Option<String>,
    /// Bytes from the client. XDP counts headers in, workers do not see them.
    pub bytes_from_client: u64,
    /// Bytes from the origin.
    pub bytes_from_origin: u64,
    /// Seconds since the ClientHello.
    pub age_seconds: f64,
    /// Seconds since anything was heard of it.
    pub idle_seconds: f64,
}

/// A host that is passed through while no rule can do anything to a request for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PassedHost {
    /// Its name in the configuration.
    pub host: String,
    /// What happens to its connections: `spliced` (in XDP), `relayed` (by workers) or `terminated`, because a rule can reach it.
    pub now: String,
    /// Its origins.
    pub origins: Vec<String>,
    /// Hosts that rules can protect and that an origin serves too, which the configuration allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares_origin_with: Option<String>,
    /// Connections that were passed on, by XDP and by workers.
    pub opened: u64,
    /// Those of them that are open.
    pub open: u64,
    /// Bytes from clients.
    pub bytes_from_clients: u64,
    /// Bytes from origins.
    pub bytes_from_origins: u64,
}

/// An origin of hosts that are passed through.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OriginHealth {
    /// Its address.
    pub address: String,
    /// Whether it answers.
    pub up: bool,
    /// Checks that failed since the start.
    pub failures: u64,
    /// Why the last of them did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
}

/// What is passed through.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PassedThrough {
    /// The hosts that have origins.
    pub hosts: Vec<PassedHost>,
    /// The origins.
    pub origins: Vec<OriginHealth>,
}

/// `GET /api/v1/flows`
pub(super) async fn flows(State(control): State<Arc<Control>>) -> Answer<Vec<PassedOn>> {
    Answer(control.passed_connections().await.into_iter().map(passed_on).collect())
}

/// `GET /metrics`
pub(super) async fn metrics(State(control): State<Arc<Control>>) -> Response {
    ([(CONTENT_TYPE, METRICS_TYPE)], control.metrics().await).into_response()
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
        let sum = |value: fn(&crate::control::PassedTotals) -> u64| totals.iter().map(value).sum();
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
