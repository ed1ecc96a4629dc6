//! The origins of hosts that are passed through, and which of them answer.
//!
//! An address is checked once, however many hosts have it. Workers ask before they connect; the packet plane is told when one changes.

mod check;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use check::check;

use crate::config::Config;

/// The origins, and which of them answer. Until a check says otherwise, all do.
#[derive(Debug, Default)]
pub struct Origins(HashMap<SocketAddr, Origin>);

/// What is known of one origin.
#[derive(Debug)]
pub struct Origin {
    up: AtomicBool,
    failures: AtomicU64,
    last_failure: Mutex<Option<Arc<str>>>,
}

impl Origins {
    /// The origins of all hosts.
    pub fn of(config: &Config) -> Arc<Self> {
        let passed = config.hosts().filter_map(|(_, host)| host.passthrough.as_ref());
        let addresses = passed.flat_map(|passthrough| passthrough.origins.iter());
        Arc::new(Self(addresses.map(|address| (*address, Origin::new())).collect()))
    }

    /// Whether there is none: no host is ever passed through.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether connections may go to `address`.
    pub fn is_up(&self, address: SocketAddr) -> bool {
        self.0.get(&address).is_none_or(Origin::is_up)
    }

    /// Says whether an origin answers.
    #[cfg(test)]
    pub(crate) fn set(&self, address: SocketAddr, up: bool) {
        self.0[&address].set(up);
    }

    /// The origins with their addresses, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (SocketAddr, &Origin)> {
        self.0.iter().map(|(address, origin)| (*address, origin))
    }
}

impl Origin {
    fn new() -> Self {
        Self { up: AtomicBool::new(true), failures: AtomicU64::new(0), last_failure: Mutex::default() }
    }

    /// Whether connections may go to it.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// How many checks have failed since the start.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Why the last check that failed did.
    pub fn last_failure(&self) -> Option<Arc<str>> {
        self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_failure(&self, failure: &str) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure.into());
    }

    fn set(&self, up: bool) {
        self.up.store(up, Ordering::Relaxed);
    }
}
