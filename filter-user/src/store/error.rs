//! What can go wrong with a store.

use std::path::PathBuf;

use thiserror::Error;

use super::Revision;
use crate::model::ModelError;

/// Why a store did not do what it was asked. The state on disk is the one before.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Somebody else committed first: load, apply again, commit again.
    #[error(
        "the state was changed by somebody else: this change was made for revision {expected}, the state is at {actual}"
    )]
    Conflict {
        /// The revision the writer knew.
        expected: Revision,
        /// The revision there is.
        actual: Revision,
    },
    /// The state does not allow the change.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A newer program wrote this store.
    #[error(
        "this store has schema {found}, but this version of mtls-filter knows schemas up to {supported}: use the newer version"
    )]
    NewerSchema {
        /// The schema of the store.
        found: u64,
        /// The newest schema this program knows.
        supported: u64,
    },
    /// Another process has the store open.
    #[error("{0} is in use by another process: is mtls-filter running already?")]
    InUse(PathBuf),
    /// The state directory cannot be used.
    #[error("the state directory {path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database failed; what it said is for the log.
    #[error("the store failed: {0}")]
    Database(#[from] redb::Error),
    /// A record cannot be read.
    #[error("the record {key} in the store cannot be read: {problem}")]
    Corrupt {
        /// Its key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl StoreError {
    pub(super) fn corrupt(key: impl Into<String>, problem: impl ToString) -> Self {
        Self::Corrupt { key: key.into(), problem: problem.to_string() }
    }
}
