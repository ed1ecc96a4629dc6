//! What passes the workers unopened, and who is dropped before he gets that far.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A connection that is passed on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct PassedThrough {
    /// The hosts that have origins.
    pub hosts: Vec<PassedHost>,
    /// The origins.
    pub origins: Vec<OriginHealth>,
}

/// An address that is dropped.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Penalty {
    /// The address.
    pub address: String,
    /// For how many seconds still.
    pub seconds_left: u64,
}
