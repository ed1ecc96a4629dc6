//! Why the control plane refused or failed.

use thiserror::Error;

use super::crl::CrlRefusal;
use crate::kernel::KernelError;
use crate::model::ModelError;
use crate::pki::{IssueError, RequestError};
use crate::snapshot::{CompileError, PublishError};
use crate::store::{AuthorityKeyError, SealError, StoreError};

/// Why a change was not made, or is not in force.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The change does not fit the state. Nothing was changed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The state after the change could not be put in force. Nothing was changed.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// A certificate signing request is not acceptable. Nothing was changed.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A certificate cannot be issued. Nothing was changed.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The zone has no certificate authority that issues. Nothing was changed.
    #[error("the zone has no certificate authority that issues")]
    NoAuthority,
    /// The private key of the zone's authority cannot be used. Nothing was changed.
    #[error(transparent)]
    AuthorityKey(#[from] AuthorityKeyError),
    /// The private key of a new authority cannot be sealed. Nothing was changed.
    #[error("the private key of the new authority cannot be sealed: {0}")]
    Seal(#[from] SealError),
    /// A CRL was not taken. Nothing was changed.
    #[error(transparent)]
    Crl(#[from] CrlRefusal),
    /// The store did not take the change. Nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The change is stored, but not in force everywhere.
    #[error("the change is stored as generation {generation}, but not in force everywhere: {error}")]
    Publish {
        /// The generation that is stored.
        generation: u64,
        /// What did not take it.
        error: PublishError,
    },
    /// The packet plane cannot be asked.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The daemon ends, or the task that made the change panicked.
    #[error("the change was interrupted; `status` shows what is in force")]
    Interrupted,
}
