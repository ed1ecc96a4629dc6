//! Connections that pass the workers unopened, whichever of XDP and workers passes them on.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Control;
use crate::kernel::{Flow, HostCount};
use crate::worker::{RelayReport, RelayTotals, RelayedConnection};

/// Who passes a connection on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// XDP splices it.
    Xdp,
    /// A worker relays it.
    Worker,
}

impl Via {
    /// The name in the API and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Worker => "worker",
        }
    }
}

/// A connection that is passed on.
#[derive(Debug)]
pub struct PassedConnection {
    /// The host's name in the configuration.
    pub host: String,
    /// Who passes it on.
    pub via: Via,
    /// The client.
    pub client: SocketAddr,
    /// The address that the client connected to.
    pub listen: SocketAddr,
    /// The origin; `None` while a worker looks for one that answers.
    pub origin: Option<SocketAddr>,
    /// Bytes from the client and bytes from the origin. XDP counts headers in, workers do not see them.
    pub bytes: [u64; 2],
    /// Since the ClientHello.
    pub age: Duration,
    /// Since anything was heard of it.
    pub idle: Duration,
}

/// What was passed on of a host's connections in one way, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PassedTotals {
    /// Connections that were begun.
    pub opened: u64,
    /// Those of them that are open.
    pub open: u64,
    /// Bytes from clients and bytes from origins.
    pub bytes: [u64; 2],
}

impl From<Flow> for PassedConnection {
    fn from(flow: Flow) -> Self {
        Self {
            host: flow.host,
            via: Via::Xdp,
            client: flow.client,
            listen: flow.listen,
            origin: Some(flow.origin),
            bytes: [flow.from_client, flow.from_origin],
            age: flow.age,
            idle: flow.idle,
        }
    }
}

impl From<RelayedConnection> for PassedConnection {
    fn from(relayed: RelayedConnection) -> Self {
        Self {
            host: relayed.host.as_ref().to_owned(),
            via: Via::Worker,
            client: relayed.client,
            listen: relayed.server,
            origin: relayed.origin,
            bytes: relayed.bytes,
            age: relayed.age,
            idle: relayed.idle,
        }
    }
}

impl PassedTotals {
    fn add(&mut self, other: Self) {
        self.opened = self.opened.saturating_add(other.opened);
        self.open = self.open.saturating_add(other.open);
        for (sum, bytes) in self.bytes.iter_mut().zip(other.bytes) {
            *sum = sum.saturating_add(bytes);
        }
    }
}

impl From<&HostCount> for PassedTotals {
    fn from(count: &HostCount) -> Self {
        Self { opened: count.opened, open: count.open, bytes: [count.from_clients, count.from_origins] }
    }
}

impl From<&RelayTotals> for PassedTotals {
    fn from(totals: &RelayTotals) -> Self {
        Self { opened: totals.opened, open: totals.opened.saturating_sub(totals.closed), bytes: totals.bytes }
    }
}

impl Control {
    /// The connections that are passed on now, the oldest first. What cannot be asked is left out, and reported in the log.
    pub async fn passed_connections(self: &Arc<Self>) -> Vec<PassedConnection> {
        let flows = self.from_kernel("the spliced connections cannot be read", |datapath| datapath.flows()).await;
        let relayed = self.relays().await.into_iter().flat_map(|report| report.open).map(PassedConnection::from);
        let mut connections: Vec<_> = flows.into_iter().map(PassedConnection::from).chain(relayed).collect();
        connections.sort_by_key(|connection| (std::cmp::Reverse(connection.age), connection.client));
        connections
    }

    /// What was passed on, by host and way.
    pub async fn passed_totals(self: &Arc<Self>) -> BTreeMap<(String, Via), PassedTotals> {
        let spliced = self.from_kernel("the splice counters cannot be read", |datapath| datapath.spliced()).await;
        let mut totals: BTreeMap<_, PassedTotals> =
            spliced.iter().map(|count| ((count.host.clone(), Via::Xdp), count.into())).collect();
        for (host, relayed) in self.relays().await.iter().flat_map(|report| &report.totals) {
            totals.entry((host.as_ref().to_owned(), Via::Worker)).or_default().add(relayed.into());
        }
        totals
    }

    async fn relays(&self) -> Vec<RelayReport> {
        let mut reports = Vec::new();
        for worker in self.publisher.workers() {
            match worker.relays().await {
                Ok(report) => reports.push(report),
                Err(error) => tracing::warn!(%error, "the relayed connections of a worker are not known"),
            }
        }
        reports
    }

    /// Reads maps, of which some are large, away from the tasks of the runtime.
    async fn from_kernel<T: Send + 'static>(
        self: &Arc<Self>,
        failure: &'static str,
        read: impl FnOnce(&crate::datapath::Datapath) -> Result<Vec<T>, crate::kernel::KernelError> + Send + 'static,
    ) -> Vec<T> {
        let control = self.clone();
        match tokio::task::spawn_blocking(move || read(control.publisher.datapath())).await {
            Ok(Ok(items)) => items,
            Ok(Err(error)) => {
                tracing::warn!(%error, "{failure}");
                Vec::new()
            }
            Err(error) => {
                tracing::error!(%error, "{failure}");
                Vec::new()
            }
        }
    }
}
