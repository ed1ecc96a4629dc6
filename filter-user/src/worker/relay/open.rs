//! The relayed connections of one worker: what they carry, and how they are ended.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::Progress;
use crate::snapshot::Passthrough;

/// The relayed connections of one worker.
#[derive(Debug, Default)]
pub(in crate::worker) struct Relays {
    open: RefCell<HashMap<u64, Rc<Entry>>>,
    next: Cell<u64>,
    /// What connections that have ended carried, by host.
    ended: RefCell<HashMap<Arc<str>, RelayTotals>>,
}

/// A relayed connection as the worker's other tasks see it.
#[derive(Debug)]
pub(in crate::worker) struct Entry {
    /// The SNI, lower-cased.
    server_name: String,
    pub(super) passthrough: Arc<Passthrough>,
    pub(super) client: SocketAddr,
    /// The address that the client connected to.
    pub(super) server: SocketAddr,
    origin: Cell<Option<SocketAddr>>,
    started: Instant,
    pub(super) progress: Progress,
    withdrawn: Notify,
    /// Told by being dropped, when the connection has ended.
    end_watchers: RefCell<Vec<oneshot::Sender<()>>>,
}

/// A relayed connection as its own task has it: it is open until this is dropped.
#[derive(Debug)]
pub(in crate::worker) struct Relay {
    entry: Rc<Entry>,
    relays: Rc<Relays>,
    id: u64,
}

/// What a worker says of its relayed connections.
#[derive(Debug, Default)]
pub struct RelayReport {
    /// Those that are open.
    pub open: Vec<RelayedConnection>,
    /// All of them, by host.
    pub totals: HashMap<Arc<str>, RelayTotals>,
}

/// An open relayed connection.
#[derive(Debug, Clone)]
pub struct RelayedConnection {
    /// The host's name in the configuration.
    pub host: Arc<str>,
    /// The client.
    pub client: SocketAddr,
    /// The address that the client connected to.
    pub server: SocketAddr,
    /// The origin; `None` while there is no connection to it.
    pub origin: Option<SocketAddr>,
    /// Bytes to the origin and bytes to the client.
    pub bytes: [u64; 2],
    /// Since the ClientHello.
    pub age: Duration,
    /// Since anything was moved.
    pub idle: Duration,
}

/// What the relayed connections of a host carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RelayTotals {
    /// Connections that were begun.
    pub opened: u64,
    /// Connections that have ended.
    pub closed: u64,
    /// Bytes to the origin and bytes to the client.
    pub bytes: [u64; 2],
}

impl RelayTotals {
    fn add(&mut self, closed: u64, bytes: [u64; 2]) {
        self.opened = self.opened.saturating_add(1);
        self.closed = self.closed.saturating_add(closed);
        for (total, bytes) in self.bytes.iter_mut().zip(bytes) {
            *total = total.saturating_add(bytes);
        }
    }
}

impl Relays {
    /// Notes a connection that is relayed from now on.
    pub(in crate::worker) fn enter(
        self: &Rc<Self>,
        server_name: String,
        passthrough: Arc<Passthrough>,
        [client, server]: [SocketAddr; 2],
    ) -> Relay {
        let entry = Rc::new(Entry {
            server_name,
            passthrough,
            client,
            server,
            origin: Cell::new(None),
            started: Instant::now(),
            progress: Progress::new(),
            withdrawn: Notify::new(),
            end_watchers: RefCell::default(),
        });
        let id = self.next.get();
        self.next.set(id.wrapping_add(1));
        self.open.borrow_mut().insert(id, entry.clone());
        Relay { entry, relays: self.clone(), id }
    }

    /// Ends all connections that `keep` is not true for: it is given the SNI, the client, and how the connection is passed on. Each of
    /// the receivers is done when one of them is closed.
    pub(in crate::worker) fn withdraw(
        &self,
        keep: impl Fn(&str, SocketAddr, &Passthrough) -> bool,
    ) -> Vec<oneshot::Receiver<()>> {
        let open = self.open.borrow();
        let lost = open.values().filter(|entry| !keep(&entry.server_name, entry.client, &entry.passthrough));
        lost.map(|entry| {
            let (watcher, ended) = oneshot::channel();
            entry.end_watchers.borrow_mut().push(watcher);
            entry.withdrawn.notify_one();
            ended
        })
        .collect()
    }

    /// What there is to say of the connections.
    pub(in crate::worker) fn report(&self) -> RelayReport {
        let mut report = RelayReport { open: Vec::new(), totals: self.ended.borrow().clone() };
        for entry in self.open.borrow().values() {
            let open = entry.report();
            report.totals.entry(open.host.clone()).or_default().add(0, open.bytes);
            report.open.push(open);
        }
        report
    }
}

impl Entry {
    fn report(&self) -> RelayedConnection {
        RelayedConnection {
            host: self.passthrough.host.clone(),
            client: self.client,
            server: self.server,
            origin: self.origin.get(),
            bytes: self.progress.bytes(),
            age: self.started.elapsed(),
            idle: self.progress.last_moved().elapsed(),
        }
    }
}

impl Relay {
    /// Notes where the connection goes.
    pub(super) fn set_origin(&self, origin: SocketAddr) {
        self.entry.origin.set(Some(origin));
    }

    /// Returns when the connection must end, because a rule can reach its host now.
    pub(super) async fn withdrawn(&self) {
        self.entry.withdrawn.notified().await;
    }
}

impl std::ops::Deref for Relay {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.entry
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.relays.open.borrow_mut().remove(&self.id);
        let mut ended = self.relays.ended.borrow_mut();
        ended.entry(self.entry.passthrough.host.clone()).or_default().add(1, self.entry.progress.bytes());
        // The watchers are told when the entry is dropped: nobody else has it now.
    }
}
