//! Puts a snapshot in force: *protect* first, then the workers, then *relax*.
//!
//! Whatever the new rules forbid is taken off the fast path before the workers change, and whatever they allow is put on it after. A
//! crash between two steps leaves a host that is slower than it must be, never one that is more open.

use std::sync::Arc;

use thiserror::Error;

use super::Snapshot;
use crate::datapath::Datapath;
use crate::kernel::KernelError;
use crate::worker::{Worker, WorkerError};

/// Why a snapshot is not in force everywhere. What could be put in force is; asking again is safe.
#[derive(Debug, Error)]
pub enum PublishError {
    /// A worker did not take it.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The XDP maps could not be written.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// What a snapshot is published to.
#[derive(Debug)]
pub struct Publisher {
    workers: Vec<Worker>,
    datapath: Datapath,
}

impl Publisher {
    /// Publishes to these workers, and to the XDP maps if there are any.
    pub fn new(workers: Vec<Worker>, datapath: Datapath) -> Self {
        Self { workers, datapath }
    }

    /// The workers.
    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// How packets reach the workers.
    pub fn datapath(&self) -> &Datapath {
        &self.datapath
    }

    /// Puts `snapshot` in force; returns when no decision by an older one can come any more.
    ///
    /// # Errors
    /// When a worker or the kernel did not take it.
    pub async fn publish(&self, snapshot: &Arc<Snapshot>) -> Result<(), PublishError> {
        // One that is stuck must not keep the others from what the new rules forbid.
        let mut workers = Ok(());
        for worker in &self.workers {
            let published = worker.publish(snapshot.clone()).await;
            workers = workers.and(published);
        }
        // After the workers, who are the authority: a network that is denied now they refuse already, and one that is not any more
        // reaches them only when they serve it.
        let maps = self.datapath.apply(snapshot);
        workers?;
        Ok(maps?)
    }

    /// Returns when every decision is younger than the call.
    ///
    /// # Errors
    /// When a worker is gone or stuck.
    pub async fn fence(&self) -> Result<(), PublishError> {
        let mut workers = Ok(());
        for worker in &self.workers {
            let fenced = worker.fence().await;
            workers = workers.and(fenced);
        }
        Ok(workers?)
    }
}
