//! The control plane: takes changes, keeps them, and puts them in force.
//!
//! One change at a time: check → compile → store → publish → answer (see [`Control::change`]). Nothing here is on the path of a
//! packet or of a request.

mod admin;
pub mod api;
mod attempts;
pub mod authorities;
pub mod crl;
mod error;
pub mod events;
mod intent;
mod metrics;
mod passed;
mod published;
mod self_signed;
mod server;
pub mod tokens;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Mutex, Semaphore};

pub use admin::{AdminError, AdminServer, MAX_CONNECTIONS};
pub use error::ControlError;
pub use intent::{Author, Changed, Intent};
pub use passed::{PassedConnection, PassedTotals, Via};
pub use server::{Server, ServerError};

use self::crl::Crls;
use self::published::Published;
use crate::config::Config;
use crate::model::{AuthorityId, CertificateRecord, Change, Record, RecordKey, State, Timestamp, ZoneId};
use crate::origins::Origins;
use crate::pki::{CertificateRequest, ManagedAuthority, Validity};
use crate::revocation::{RevocationKey, RevocationSet};
use crate::snapshot::{PublishError, Publisher, Snapshot, compile};
use crate::store::{AuditRecord, MasterKey, Refusal, Revision, Store, StoreError, open_authority, rotate_authority};
use crate::telemetry::{AccessLog, Events};

/// Callers who may follow events at a time.
pub const MAX_FOLLOWERS: usize = 64;

/// What the control plane is made of.
pub struct Control {
    pub(crate) config: Arc<Config>,
    pub(crate) origins: Arc<Origins>,
    pub(crate) access: AccessLog,
    pub(crate) events: Events,
    pub(crate) publisher: Publisher,
    pub(crate) revocations: RevocationSet,
    pub(crate) started: Instant,
    /// Places for those who follow events.
    pub(crate) followers: Arc<Semaphore>,
    crls: Arc<Crls>,
    published: Published,
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
    /// The events.
    pub events: Events,
    /// The workers, and the XDP maps if there are any.
    pub publisher: Publisher,
    /// The set that the workers ask.
    pub revocations: RevocationSet,
    /// The CRLs of uploaded authorities.
    pub crls: Arc<Crls>,
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
        let Parts { config, origins, access, events, publisher, revocations, crls, store, master_key, current } = parts;
        let (started, current) = (Instant::now(), Mutex::new(current));
        let followers = Arc::new(Semaphore::new(MAX_FOLLOWERS));
        Arc::new(Self {
            config,
            origins,
            access,
            events,
            publisher,
            revocations,
            started,
            followers,
            crls,
            published: Published::default(),
            store,
            master_key,
            current,
        })
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

    /// Makes a change and puts it in force. `plan` says, for the state that the change will be made to, what is to change; nobody else
    /// changes anything in between. When this returns, the change is in the store and every worker decides by it; when it fails
    /// before the store has it, nothing has changed. A dry run ends when the change is known to be possible.
    ///
    /// # Errors
    /// What `plan` says; [`StoreError::Conflict`] when the author expects another revision than there is; and when the change cannot
    /// be made, stored or put in force.
    pub async fn change<T, E>(
        self: &Arc<Self>,
        intent: Intent,
        plan: impl FnOnce(&State) -> Result<(Vec<Change>, T), E> + Send + 'static,
    ) -> Result<Changed<T>, E>
    where
        T: Send + 'static,
        E: From<ControlError> + Send + 'static,
    {
        let control = self.clone();
        // A task of its own: a caller that goes away must not leave a change that is stored but not in force.
        let made = tokio::spawn(async move { control.make(intent, plan).await });
        made.await.unwrap_or_else(|_| Err(ControlError::Interrupted.into()))
    }

    async fn make<T, E: From<ControlError>>(
        &self,
        intent: Intent,
        plan: impl FnOnce(&State) -> Result<(Vec<Change>, T), E>,
    ) -> Result<Changed<T>, E> {
        let mut current = self.current.lock().await;
        let revision = current.revision;
        if let Some(expected) = intent.expected.filter(|expected| *expected != revision.number()) {
            let conflict = StoreError::Conflict { expected: Revision::new(expected), actual: revision };
            return Err(ControlError::from(conflict).into());
        }
        let (changes, value) = plan(&current.state)?;
        let edit = current.state.apply(&changes).map_err(ControlError::from)?;
        let next = revision.number().saturating_add(1);
        let snapshot =
            Arc::new(compile(&self.config, &edit.state, next, Some(&current.snapshot)).map_err(ControlError::from)?);
        if intent.dry_run {
            return Ok(Changed { value, state: edit.state, generation: revision.number() });
        }
        let revision = self.commit(revision, changes, intent).await?;
        let moved = Moved::between(&current.state, &edit.state, &edit.touched);
        *current = Current { revision, state: edit.state.clone(), snapshot: snapshot.clone() };
        let generation = revision.number();
        let lists = edit.touched.iter().any(|key| matches!(key, RecordKey::Crl(_)));
        if lists {
            // Before the workers are asked to acknowledge.
            self.crls.reconcile(&edit.state).await;
        }
        self.enforce(&snapshot, &moved, lists).await.map_err(|error| ControlError::Publish { generation, error })?;
        Ok(Changed { value, state: edit.state, generation })
    }

    async fn commit(&self, expected: Revision, changes: Vec<Change>, intent: Intent) -> Result<Revision, ControlError> {
        let store = self.store.clone();
        let Intent { author, action, .. } = intent;
        let audit = author.did(action);
        let committed: Result<Revision, StoreError> =
            tokio::task::spawn_blocking(move || store.commit(expected, &changes, audit))
                .await
                .map_err(|_| ControlError::Interrupted)?;
        Ok(committed?)
    }

    /// Revocations first and reactivations last: in between, a certificate counts as revoked longer than it must. `lists` says that CRLs were
    /// changed as well.
    async fn enforce(&self, snapshot: &Arc<Snapshot>, moved: &Moved, lists: bool) -> Result<(), PublishError> {
        self.revocations.update(&moved.revoked, &[]);
        let published = self.publisher.publish(snapshot).await;
        if lists || !moved.revoked.is_empty() {
            self.publisher.close_revoked().await?;
        }
        published?;
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
        intent: Intent,
        zone: ZoneId,
        csr: &str,
        validity_days: u32,
    ) -> Result<Changed<CertificateRecord>, ControlError> {
        let request = CertificateRequest::from_pem(csr)?;
        let validity = Validity::days(validity_days)?;
        let (state, _) = self.state().await;
        let authority = state.issuing_authority(zone).ok_or(ControlError::NoAuthority)?;
        let authority = open_authority(authority, &self.master_key)?;
        let record = authority.issue(&request, validity, Timestamp::now().unix_time())?;
        self.change(intent, move |_| Ok((vec![Change::AddCertificate(record.clone())], record))).await
    }

    /// Makes a new managed CA issue for a zone. The one before verifies on, until it is removed.
    ///
    /// # Errors
    /// When the authority cannot be made or stored.
    pub async fn rotate(
        self: &Arc<Self>,
        intent: Intent,
        zone: ZoneId,
        zone_name: &str,
    ) -> Result<Changed<AuthorityId>, ControlError> {
        let new = ManagedAuthority::generate(zone, zone_name, Timestamp::now().unix_time())?;
        let control = self.clone();
        let id = new.authority().id();
        self.change(intent, move |state| Ok((rotate_authority(state, &new, &control.master_key)?, id))).await
    }

    /// Records of the audit before a revision, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn audit(&self, before: Option<Revision>, limit: usize) -> Result<Vec<AuditRecord>, ControlError> {
        let store = self.store.clone();
        let read = tokio::task::spawn_blocking(move || store.audit(before, limit));
        Ok(read.await.map_err(|_| ControlError::Interrupted)??)
    }

    /// Attempts to use the API that were refused, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn refusals(&self, limit: usize) -> Result<Vec<Refusal>, ControlError> {
        let store = self.store.clone();
        let read = tokio::task::spawn_blocking(move || store.refusals(limit));
        Ok(read.await.map_err(|_| ControlError::Interrupted)??)
    }

    /// Keeps a refused attempt for the audit. What cannot be kept is logged; the attempt is refused either way.
    pub async fn refused(&self, refusal: Refusal) {
        tracing::warn!(origin = %refusal.origin, reason = %refusal.reason, "an attempt to use the API was refused");
        let store = self.store.clone();
        let kept = tokio::task::spawn_blocking(move || store.refuse(&refusal)).await;
        if let Ok(Err(error)) = kept {
            tracing::error!(%error, "the refused attempt could not be kept for the audit");
        }
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
