//! Counters of one worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::utils::CachePadded;

use super::Reason;

/// Counters that one worker writes and anybody may read. Each worker has its own, so that counting never moves a cache line between
/// cores.
#[derive(Debug)]
pub struct Counters {
    by_reason: CachePadded<[AtomicU64; Reason::ALL.len()]>,
    accepted: AtomicU64,
    open: AtomicU64,
    generation: AtomicU64,
}

impl Counters {
    /// All zero.
    pub fn new() -> Self {
        Self {
            by_reason: CachePadded::new([const { AtomicU64::new(0) }; Reason::ALL.len()]),
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
            generation: AtomicU64::new(0),
        }
    }

    /// Counts one request or connection.
    pub fn count(&self, reason: Reason) {
        if let Some(counter) = self.by_reason.get(reason.index()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes that a connection was accepted; it is open until the guard is dropped.
    pub fn connection(self: &Arc<Self>) -> OpenConnection {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(self.clone())
    }

    /// Notes the generation that the worker decides by.
    pub fn set_generation(&self, generation: u64) {
        self.generation.store(generation, Ordering::Relaxed);
    }

    /// The generation that the worker decides by.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// How often `reason` was counted.
    pub fn of(&self, reason: Reason) -> u64 {
        self.by_reason.get(reason.index()).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Connections accepted since the start.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections open now.
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

/// An open connection in the count of [`Counters::open`].
#[derive(Debug)]
pub struct OpenConnection(Arc<Counters>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
