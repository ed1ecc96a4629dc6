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

/// The packets' side of a publication.
pub trait PacketPlane {
    /// Takes off the fast path whatever `snapshot` does not allow there, and ends what goes on there of it. When this returns, nothing
    /// passes by the workers that `snapshot` wants them to see.
    ///
    /// # Errors
    /// When the maps cannot be written.
    fn protect(&self, snapshot: &Snapshot) -> Result<(), KernelError>;

    /// Puts on the fast path whatever `snapshot` allows there. Only for a snapshot that every worker decides by.
    ///
    /// # Errors
    /// When the maps cannot be written.
    fn relax(&self, snapshot: &Snapshot) -> Result<(), KernelError>;
}

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
pub struct Publisher<P = Datapath> {
    workers: Vec<Worker>,
    datapath: P,
}

impl<P> Publisher<P> {
    /// Publishes to these workers, and to the packet plane.
    pub fn new(workers: Vec<Worker>, datapath: P) -> Self {
        Self { workers, datapath }
    }

    /// The workers.
    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// How packets reach the workers.
    pub fn datapath(&self) -> &P {
        &self.datapath
    }

    /// Closes the connections whose certificate is revoked, of hosts that want it (`on_revoke = "close"`). To be called whenever the
    /// revocation set has grown; returns when they are closed.
    ///
    /// # Errors
    /// When a worker is gone or stuck.
    pub async fn close_revoked(&self) -> Result<(), PublishError> {
        let mut workers = Ok(());
        for worker in &self.workers {
            workers = workers.and(worker.close_revoked().await);
        }
        Ok(workers?)
    }

    /// Returns when every decision is younger than the call.
    ///
    /// # Errors
    /// When a worker is gone or stuck.
    pub async fn fence(&self) -> Result<(), PublishError> {
        // One that is stuck must not keep the others from being asked.
        let mut workers = Ok(());
        for worker in &self.workers {
            workers = workers.and(worker.fence().await);
        }
        Ok(workers?)
    }
}

impl<P: PacketPlane> Publisher<P> {
    /// Puts `snapshot` in force; returns when no decision by an older one can come any more.
    ///
    /// # Errors
    /// When a worker or the kernel did not take it. What could be protected is; nothing was relaxed.
    pub async fn publish(&self, snapshot: &Arc<Snapshot>) -> Result<(), PublishError> {
        let protected = self.datapath.protect(snapshot);
        // Whatever fails must not keep the rest from what the new rules forbid.
        let mut workers = Ok(());
        for worker in &self.workers {
            workers = workers.and(worker.publish(snapshot.clone()).await);
        }
        protected?;
        workers?;
        Ok(self.datapath.relax(snapshot)?)
    }

    /// Brings the fast path to what `snapshot`, which is in force, says now that other origins answer.
    ///
    /// # Errors
    /// When the kernel did not take it.
    pub fn route(&self, snapshot: &Snapshot) -> Result<(), PublishError> {
        self.datapath.protect(snapshot)?;
        Ok(self.datapath.relax(snapshot)?)
    }
}
