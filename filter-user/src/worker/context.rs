//! What all connections of one worker share. One thread owns it; nothing here is locked.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use filter_rules::{Field, RuleSet};
use tokio::sync::watch;

use super::ray::RayIds;
use super::relay::Relays;
use super::sessions::Sessions;
use super::upstream::Upstreams;
use crate::geo::Databases;
use crate::origins::Origins;
use crate::penalty::Offences;
use crate::pki::ChainCache;
use crate::revocation::RevocationReader;
use crate::snapshot::Snapshot;
use crate::telemetry::{Counters, Recorder};

/// What all connections of one worker share.
pub(super) struct Context {
    /// Number of the worker, from 0.
    pub(super) index: usize,
    /// The hosts and rules in force.
    pub(super) in_force: RefCell<InForce>,
    /// This worker's view of the revoked certificates.
    pub(super) revocations: RevocationReader,
    /// Where addresses are.
    pub(super) geo: Arc<Databases>,
    /// Client chains that were judged before.
    pub(super) chains: RefCell<ChainCache>,
    /// Connections to upstreams.
    pub(super) upstreams: Upstreams,
    /// Connections that are closed when their certificate is revoked.
    pub(super) sessions: Rc<Sessions>,
    /// Connections that are passed on unopened.
    pub(super) relays: Rc<Relays>,
    /// Which origins they may be passed on to.
    pub(super) origins: Arc<Origins>,
    /// How long nothing may move on one.
    pub(super) relay_idle_timeout: Duration,
    /// Where blocked addresses are reported.
    pub(super) offences: Offences,
    /// What this worker counts.
    pub(super) counters: Arc<Counters>,
    /// Where requests are written down.
    pub(super) recorder: Recorder,
    /// Names for requests.
    pub(super) rays: RayIds,
    /// True once the daemon is to stop: connections end after the request they serve.
    pub(super) draining: watch::Receiver<bool>,
}

/// The hosts and rules that a worker decides by.
pub(super) struct InForce {
    /// The snapshot that all workers share. Each holds a handle of its own, so that reading it touches no line of another core.
    pub(super) snapshot: Arc<Snapshot>,
    /// The rules of each zone of the snapshot, in its order.
    zones: Vec<ZoneRules>,
}

/// The rules of a zone, as a worker has them.
pub(super) struct ZoneRules {
    /// A clone of the worker's own, because the search caches of regular expressions are behind a lock that nobody else then takes.
    pub(super) rules: RuleSet,
    /// What the rules ask for: the facts that explain a verdict.
    pub(super) fields: Vec<Field>,
}

impl ZoneRules {
    fn new(rules: &RuleSet) -> Self {
        let enabled = rules.rules().iter().filter(|rule| rule.is_enabled());
        let fields: BTreeSet<Field> = enabled.flat_map(|rule| rule.expression().fields()).collect();
        Self { rules: rules.clone(), fields: fields.into_iter().collect() }
    }
}

impl InForce {
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Self {
        let zones = snapshot.zones.iter().map(|zone| ZoneRules::new(&zone.rules)).collect();
        Self { snapshot, zones }
    }

    /// The rules of the zone at this position of the snapshot.
    pub(super) fn rules(&self, zone: usize) -> Option<&ZoneRules> {
        self.zones.get(zone)
    }
}
