//! The control plane: takes changes, keeps them, and puts them in force.
//!
//! One change at a time: check → compile → store → publish → answer (see [`Control::change`]). Nothing here is on the path of a
//! packet or of a request.

pub mod api;
pub mod authorities;
mod error;
mod metrics;
mod passed;
mod server;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;

pub use error::ControlError;
pub use passed::{PassedConnection, PassedTotals, Via};
pub use server::{Server, ServerError};

use crate::config::Config;
use crate::model::{CertificateRecord, Change, Record, RecordKey, State, Timestamp, ZoneId};
use crate::origins::Origins;
use crate::pki::{CertificateRequest, Validity};
use crate::revocation::{RevocationKey, RevocationSet};
use crate::snapshot::{PublishError, Publisher, Snapshot, compile};
use crate::store::{Audit, MasterKey, Revision, Store, StoreError, open_authority};
use crate::telemetry::AccessLog;

/// What the control plane is made of.
pub struct Control {
    pub(crate) config: Arc<Config>,
    pub(crate) origins: Arc<Origins>,
    pub(crate) access: AccessLog,
    pub(crate) publisher: Publisher,
    pub(crate) revocations: RevocationSet,
    pub(crate) started: Instant,
    store: Arc<dyn Store>,
    master_key: MasterKey,
    current: Mutex<Current>,
}

/// What a [`Control`] takes over.
pub struct Parts {
    /// The configuration.
    pub config: Arc<Config>,
    /// The origins of passthrough hosts.
    pub origins: Arc<Origins>,
    /// The access log, for its count of dropped records.
    pub access: AccessLog,
    /// The workers, and the XDP maps if there are any.
    pub publisher: Publisher,
    /// The set that the workers ask.
    pub revocations: RevocationSet,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Opens the private keys in the store.
    pub master_key: MasterKey,
    /// What is in force.
    pub current: Current,
}

/// What is in force. Held while a change is made, so that changes come one after the other.
pub struct Current {
    /// Revision of the store.
    pub revision: Revision,
    /// The desired state of that revision.
    pub state: State,
    /// What was compiled from it.
    pub snapshot: Arc<Snapshot>,
}

impl Control {
    /// Takes over what was loaded and is in force.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { config, origins, access, publisher, revocations, store, master_key, current } = parts;
        let (started, current) = (Instant::now(), Mutex::new(current));
        Arc::new(Self { config, origins, access, publisher, revocations, started, store, master_key, current })
    }

    /// The desired state, and the generation that enforces it.
    pub async fn state(&self) -> (State, u64) {
        let current = self.current.lock().await;
        (current.state.clone(), current.revision.number())
    }

    /// What the workers decide by.
    pub async fn snapshot(&self) -> Arc<Snapshot> {
        self.current.lock().await.snapshot.clone()
    }

    /// Brings the fast path to the origins that answer now.
    ///
    /// # Errors
    /// When the kernel did not take it.
    pub async fn reroute(&self) -> Result<(), PublishError> {
        // With the lock held, so that this cannot put back what a change has just taken off the fast path.
        let current = self.current.lock().await;
        self.publisher.route(&current.snapshot)
    }

    /// Makes a change and puts it in force. When this returns the generation, the change is in the store and every worker decides by it;
    /// when it fails before the store has it, nothing has changed. `action` says in a few words what was done, for the audit.
    ///
    /// # Errors
    /// When the change cannot be made, stored or put in force.
    pub async fn change(self: &Arc<Self>, action: &'static str, changes: Vec<Change>) -> Result<u64, ControlError> {
        let control = self.clone();
        // A task of its own: a caller that goes away must not leave a change that is stored but not in force.
        let made = tokio::spawn(async move { control.make(action, changes).await });
        made.await.unwrap_or(Err(ControlError::Interrupted))
    }

    async fn make(&self, action: &'static str, changes: Vec<Change>) -> Result<u64, ControlError> {
        let mut current = self.current.lock().await;
        let edit = current.state.apply(&changes)?;
        let expected = current.revision.number().saturating_add(1);
        let snapshot = Arc::new(compile(&self.config, &edit.state, expected, Some(&current.snapshot))?);
        let revision = self.commit(current.revision, changes, action).await?;
        let moved = Moved::between(&current.state, &edit.state, &edit.touched);
        *current = Current { revision, state: edit.state, snapshot: snapshot.clone() };
        self.enforce(&snapshot, &moved)
            .await
            .map_err(|error| ControlError::Publish { generation: revision.number(), error })?;
        Ok(revision.number())
    }

    async fn commit(
        &self,
        expected: Revision,
        changes: Vec<Change>,
        action: &'static str,
    ) -> Result<Revision, ControlError> {
        let store = self.store.clone();
        let audit = Audit {
            at: Timestamp::now(),
            actor: "local".to_owned(),
            origin: "control socket".to_owned(),
            action: action.to_owned(),
        };
        let committed: Result<Revision, StoreError> =
            tokio::task::spawn_blocking(move || store.commit(expected, &changes, audit))
                .await
                .map_err(|_| ControlError::Interrupted)?;
        Ok(committed?)
    }

    /// Revocations first and reactivations last: in between, a certificate counts as revoked longer than it must.
    async fn enforce(&self, snapshot: &Arc<Snapshot>, moved: &Moved) -> Result<(), PublishError> {
        self.revocations.update(&moved.revoked, &[]);
        self.publisher.publish(snapshot).await?;
        if !moved.reactivated.is_empty() {
            self.revocations.update(&[], &moved.reactivated);
            self.publisher.fence().await?;
        }
        Ok(())
    }

    /// Issues a client certificate of the zone's managed CA for a certificate signing request (PEM).
    ///
    /// # Errors
    /// When the request or the validity is not acceptable, or the certificate cannot be stored.
    pub async fn issue(
        self: &Arc<Self>,
        zone: ZoneId,
        csr: &str,
        validity_days: u32,
    ) -> Result<CertificateRecord, ControlError> {
        let request = CertificateRequest::from_pem(csr)?;
        let validity = Validity::days(validity_days)?;
        let (state, _) = self.state().await;
        let authority = state.issuing_authority(zone).ok_or(ControlError::NoAuthority)?;
        let authority = open_authority(authority, &self.master_key)?;
        let record = authority.issue(&request, validity, Timestamp::now().unix_time())?;
        self.change("certificate create", vec![Change::AddCertificate(record.clone())]).await?;
        Ok(record)
    }
}

/// The certificates that a change revokes or takes back.
struct Moved {
    revoked: Vec<RevocationKey>,
    reactivated: Vec<RevocationKey>,
}

impl Moved {
    fn between(before: &State, after: &State, touched: &BTreeSet<RecordKey>) -> Self {
        let mut moved = Self { revoked: Vec::new(), reactivated: Vec::new() };
        for key in touched {
            match (before.record(key).and_then(revoked_key), after.record(key).and_then(revoked_key)) {
                (None, Some(key)) => moved.revoked.push(key),
                (Some(key), None) => moved.reactivated.push(key),
                (None, None) | (Some(_), Some(_)) => {}
            }
        }
        moved
    }
}

/// The revocation that a record stands for, if it does.
fn revoked_key(record: &Record) -> Option<RevocationKey> {
    match record {
        Record::Certificate(record) => record.status.is_revoked().then_some(record.revocation_key),
        Record::Revocation(record) => Some(record.revocation_key),
        _ => None,
    }
}
