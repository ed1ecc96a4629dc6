//! Everything that the workers decide by, compiled from the configuration and the desired state.
//!
//! A [`Snapshot`] is immutable. A change makes a new one; [`Publisher`] puts it in force everywhere, in an order in which a crash costs
//! speed and never safety.

mod compile;
mod deny;
mod lists;
mod publish;
mod reach;
#[cfg(test)]
mod tests;
mod trust;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use filter_rules::{NetworkSet, RuleSet};
use rustls::ServerConfig;
use rustls::sign::CertifiedKey;

pub use compile::{CompileError, compile};
pub use publish::{PacketPlane, PublishError, Publisher};
pub use trust::is_mtls;

use crate::config::{OnRevoke, Upstream};
use crate::model::{AuthorityId, ZoneId};
use crate::pki::TrustAnchors;

/// What the workers decide by.
#[derive(Debug)]
pub struct Snapshot {
    /// Revision of the store that it was compiled from.
    pub generation: u64,
    /// The zones, in the order of the configuration.
    pub zones: Vec<ZonePolicy>,
    /// The hosts by name; wildcards by their `*.` name.
    hosts: HashMap<Box<str>, Arc<HostPolicy>>,
}

/// A zone as workers see it.
#[derive(Debug)]
pub struct ZonePolicy {
    /// Its id.
    pub id: ZoneId,
    /// The domain.
    pub name: Box<str>,
    /// Its rules.
    pub rules: RuleSet,
}

/// A host as workers see it.
#[derive(Debug)]
pub struct HostPolicy {
    /// Position of its zone in [`Snapshot::zones`].
    pub zone: usize,
    /// What it takes to terminate its TLS. Absent only while `passthrough` is present.
    pub termination: Option<Arc<Termination>>,
    /// Where its connections are passed on to unopened: present while no rule can do anything to a request for the host.
    pub passthrough: Option<Arc<Passthrough>>,
}

/// How workers terminate the TLS of a host.
#[derive(Debug)]
pub struct Termination {
    /// Certificate, protocol versions, and whether a client certificate is asked for.
    pub tls: Arc<ServerConfig>,
    /// The CAs whose certificates count on this host; `None` if it asks for none.
    pub anchors: Option<TrustAnchors>,
    /// The ids of those CAs.
    authorities: Box<[AuthorityId]>,
    /// The certificate of `tls`.
    certificate: Arc<CertifiedKey>,
    /// Where permitted requests go.
    pub upstream: Upstream,
    /// Whether they carry the client's certificate (RFC 9440).
    pub forward_client_cert: bool,
    /// What a revocation does to open connections.
    pub on_revoke: OnRevoke,
}

impl Termination {
    /// Whether the same CAs count on both hosts, so that a certificate that was judged for one need not be judged for the other.
    pub fn trusts_as(&self, other: &Self) -> bool {
        self.authorities == other.authorities
    }
}

/// How connections for a host are passed on.
#[derive(Debug, PartialEq, Eq)]
pub struct Passthrough {
    /// The host's name in the configuration.
    pub host: Arc<str>,
    /// The origins, whether or not they answer.
    pub origins: Arc<[SocketAddr]>,
    /// Whether each connection begins with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// Clients who are blocked whatever they ask for.
    pub blocked: NetworkSet,
}

impl Snapshot {
    /// The host of a lower-case name: by its own entry, else by the wildcard of its parent. A wildcard stands for one label, and never
    /// lends its settings to a name that has an entry.
    pub fn host(&self, name: &str) -> Option<&Arc<HostPolicy>> {
        self.hosts.get(name).or_else(|| {
            let (label, parent) = name.split_once('.')?;
            if label.is_empty() || label == "*" {
                return None;
            }
            self.hosts.get(format!("*.{parent}").as_str())
        })
    }

    /// The networks that are blocked on every host, whatever the request: they may be refused before there is a connection.
    pub fn denied(&self) -> NetworkSet {
        deny::denied(self)
    }

    /// The hosts with their names, wildcards with their `*.` names.
    pub fn hosts(&self) -> impl Iterator<Item = (&str, &HostPolicy)> {
        self.hosts.iter().map(|(name, host)| (&**name, &**host))
    }
}
