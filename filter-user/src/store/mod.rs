//! Where the desired state survives.
//!
//! A commit names the revision it was made for, carries [`Change`]s, and is one durable transaction: when it returns,
//! state, revision and audit record are on disk together, and when it fails, none of them is. Private keys are sealed
//! ([`MasterKey`]) before they come near a store.

mod audit;
mod authority;
mod error;
mod export;
mod master_key;
mod redb_store;

use std::fmt;

pub use audit::{AUDIT_CHANGES, AUDIT_RECORDS, Audit, AuditChange, AuditRecord, REFUSALS, Refusal};
pub use authority::{AuthorityKeyError, open_authority, public_authority, rotate_authority, seal_authority};
pub use error::StoreError;
pub use export::{EXPORT_LINE_BYTES, ImportError, export, import};
pub use master_key::{MasterKey, MasterKeyError, SealError};
pub use redb_store::{RedbStore, SCHEMA};

use crate::model::{Change, State};

/// How often the state was committed. Revision 0 is the empty state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// The revision before the first commit.
    pub const ZERO: Self = Self(0);

    /// A revision from its number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }

    const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Keeps one state.
pub trait Store: Send + Sync {
    /// The newest state and its revision. Cheap: the state is kept in memory too.
    fn load(&self) -> Result<(Revision, State), StoreError>;

    /// Makes these changes to the state of the expected revision, durably, and records who made them.
    ///
    /// [`StoreError::Conflict`] when somebody else committed since; [`StoreError::Model`] when the changes cannot be made.
    fn commit(&self, expected: Revision, changes: &[Change], audit: Audit) -> Result<Revision, StoreError>;

    /// Replaces the whole state, durably, by one that was [imported](import): a backup that is played back.
    fn restore(&self, expected: Revision, state: State, audit: Audit) -> Result<Revision, StoreError>;

    /// Records of commits before a revision, newest first, at most `limit`; from the newest without one.
    fn audit(&self, before: Option<Revision>, limit: usize) -> Result<Vec<AuditRecord>, StoreError>;

    /// Keeps a refused attempt, durably; beyond [`REFUSALS`] the oldest is forgotten.
    fn refuse(&self, refusal: &Refusal) -> Result<(), StoreError>;

    /// Refused attempts, newest first, at most `limit`.
    fn refusals(&self, limit: usize) -> Result<Vec<Refusal>, StoreError>;
}
