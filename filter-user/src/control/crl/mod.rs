//! Revocation lists of the authorities that operators bring: got, verified, put in force, kept, and watched.
//!
//! A list that comes in is verified and sorted on a thread of its own, far from the workers, and then its *changes* go into the
//! revocation set in one step. What is not good changes nothing: the list before stays in force, and `status` says why.
//!
//! **Order.** Whoever changes what is in force holds `Crls::turn`, from the comparison with what is loaded until the set has it. A
//! list is in force before it is kept on disk: if it cannot be kept, its revocations count all the same.

mod change;
mod entry;
mod fetch;
mod http;
mod kept;
mod report;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use tokio::task::spawn_blocking;

pub(crate) use self::change::{REFRESH_SECONDS, WantedCrl};
use self::entry::Entry;
use self::fetch::{FetchError, Fetched, Seen, fetch};
use self::http::Http;
use self::kept::Kept;
pub(crate) use self::report::{Checked, Report, Standing, Way};
use crate::model::{AuthorityId, CrlRecord, CrlSource, State, Timestamp, WhenStale};
use crate::pki::{Authority, Crl, CrlError};
use crate::revocation::{RevocationKey, RevocationSet};
use crate::store::AuthorityKeyError;

/// Why a list was not taken. Nothing was changed.
#[derive(Debug, Error)]
pub enum CrlRefusal {
    /// It could not be got.
    #[error("{0}")]
    Fetch(String),
    /// It is not good.
    #[error(transparent)]
    List(#[from] CrlError),
    /// A delta without the complete list it belongs to.
    #[error("this is a delta CRL, and no complete one is loaded that it could be applied to")]
    NoComplete,
    /// Neither a source nor a list.
    #[error(
        "without a source and without a list, every certificate of the authority would be refused: name a source, or upload a list first"
    )]
    NoSource,
    /// Another certificate of the same authority has one.
    #[error("{0} ({1}) has the same key, and its CRL counts for both")]
    SharedKey(String, AuthorityId),
    /// The authority has no list any more.
    #[error("the CRL of this authority is not watched any more")]
    Gone,
    /// The authority's own record cannot be read.
    #[error(transparent)]
    Authority(#[from] AuthorityKeyError),
    /// The daemon ends.
    #[error("the CRL was not loaded to its end")]
    Interrupted,
}

impl From<FetchError> for CrlRefusal {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error.to_string())
    }
}

/// What came of a list that is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in force.
    New,
    /// It was already.
    Same,
}

/// The lists.
pub struct Crls {
    kept: Kept,
    http: Http,
    set: RevocationSet,
    entries: Mutex<BTreeMap<AuthorityId, Entry>>,
    /// Held while what is in force changes.
    turn: Arc<Turn<()>>,
    /// Held while an operator changes what is asked for, so that a list belongs to the change it came with.
    operator: Arc<Turn<()>>,
    /// The list that comes with the change that is being made.
    staged: Mutex<Option<(AuthorityId, Crl)>>,
}

/// The list that comes with a change; forgotten when the change is made or refused.
pub(super) struct Staged {
    crls: Arc<Crls>,
    _operator: OwnedMutexGuard<()>,
}

impl Drop for Staged {
    fn drop(&mut self) {
        *lock(&self.crls.staged) = None;
    }
}

impl Crls {
    /// Takes over the lists that were kept, and puts them in force.
    ///
    /// # Errors
    /// When the directory for them cannot be used. A list that cannot be read is one that is missing.
    pub fn open(directory: &Path, state: &State, set: RevocationSet) -> io::Result<Arc<Self>> {
        let crls = Self {
            kept: Kept::open(directory)?,
            http: Http::new(),
            set,
            entries: Mutex::default(),
            turn: Arc::default(),
            operator: Arc::default(),
            staged: Mutex::default(),
        };
        let authorities: BTreeSet<_> = state.crls().map(|record| record.authority).collect();
        crls.kept.retain(&authorities)?;
        let mut keys = Vec::new();
        for record in state.crls() {
            let Some(mut entry) = Entry::new(record, state) else { continue };
            match crls.kept.read(&entry.authority) {
                Ok(Some(crl)) => {
                    keys.extend_from_slice(crl.revoked());
                    (entry.crl, entry.loaded) = (Some(Arc::new(crl)), Some(Timestamp::now()));
                }
                Ok(None) => {}
                Err(error) => {
                    let name = entry.authority.name();
                    tracing::error!(authority = name, %error, "the CRL that was kept cannot be used; it is fetched anew");
                }
            }
            lock(&crls.entries).insert(record.authority, entry);
        }
        crls.set.load_imported(keys);
        crls.require();
        Ok(Arc::new(crls))
    }

    /// Starts to watch the sources.
    pub fn start(self: &Arc<Self>) {
        for entry in lock(&self.entries).values_mut() {
            watch::start(self, entry);
        }
    }

    /// What there is to say of every list.
    pub(crate) fn reports(&self) -> Vec<Report> {
        let now = Timestamp::now();
        lock(&self.entries).values().map(|entry| entry.report(now)).collect()
    }

    /// What there is to say of the list of an authority.
    pub(crate) fn report(&self, authority: AuthorityId) -> Option<Report> {
        lock(&self.entries).get(&authority).map(|entry| entry.report(Timestamp::now()))
    }

    /// Says in the log which lists have ceased to be current, and which are again.
    pub fn announce(&self) {
        let now = Timestamp::now();
        for entry in lock(&self.entries).values_mut() {
            entry.announce(now);
        }
    }

    /// Verifies the bytes of a list, on a thread of its own.
    pub(super) async fn parse(authority: Arc<Authority>, bytes: Vec<u8>) -> Result<Crl, CrlRefusal> {
        let parsed = spawn_blocking(move || Crl::parse(&bytes, &authority, Timestamp::now())).await;
        Ok(parsed.map_err(|_| CrlRefusal::Interrupted)??)
    }

    /// Gets the complete list of a source that is not watched yet.
    pub(super) async fn first(&self, authority: Arc<Authority>, source: &CrlSource) -> Result<Crl, CrlRefusal> {
        match fetch(&self.http, source, &Seen::Nothing).await? {
            Fetched::Bytes(bytes, _) => {
                let crl = Self::parse(authority, bytes).await?;
                if crl.is_delta() { Err(CrlRefusal::NoComplete) } else { Ok(crl) }
            }
            // It was not asked whether anything had changed.
            Fetched::Unchanged => Err(CrlRefusal::Interrupted),
        }
    }

    /// The list that would be in force if this one came in now.
    pub(super) fn outcome(&self, authority: AuthorityId, crl: &Crl) -> Result<Taken, CrlRefusal> {
        let loaded = lock(&self.entries).get(&authority).and_then(|entry| entry.crl.clone());
        Ok(if merged(loaded.as_deref(), crl)?.is_some() { Taken::New } else { Taken::Same })
    }

    /// Has a list put in force by the change that is made while this is held.
    pub(super) async fn stage(self: &Arc<Self>, list: Option<(AuthorityId, Crl)>) -> Staged {
        let operator = self.operator.clone().lock_owned().await;
        *lock(&self.staged) = list;
        Staged { crls: self.clone(), _operator: operator }
    }

    /// Looks at a source now, and puts its list in force if it is a new one.
    pub(super) async fn check(self: &Arc<Self>, authority: AuthorityId, way: Way) -> Result<Taken, CrlRefusal> {
        let checked = self.look(authority, way).await;
        self.note(authority, way, checked.as_ref().err());
        checked
    }

    async fn look(self: &Arc<Self>, id: AuthorityId, way: Way) -> Result<Taken, CrlRefusal> {
        let (authority, record, seen) = {
            let entries = lock(&self.entries);
            let entry = entries.get(&id).ok_or(CrlRefusal::Gone)?;
            (entry.authority.clone(), entry.record.clone(), entry.seen(way))
        };
        let source = if way == Way::Delta { &record.delta_source } else { &record.source };
        let source = source.as_ref().ok_or(CrlRefusal::Gone)?;
        match fetch(&self.http, source, &seen).await? {
            Fetched::Unchanged => Ok(Taken::Same),
            Fetched::Bytes(bytes, seen) => {
                let crl = Self::parse(authority, bytes).await?;
                if crl.is_delta() != (way == Way::Delta) {
                    let expected = if way == Way::Delta { "delta" } else { "complete" };
                    return Err(CrlError::WrongKind(expected).into());
                }
                self.take(id, record, way, crl, seen).await
            }
        }
    }

    /// Remembers what came of a list, and says so when it is news.
    pub(super) fn note(&self, authority: AuthorityId, way: Way, refusal: Option<&CrlRefusal>) {
        let mut entries = lock(&self.entries);
        let Some(entry) = entries.get_mut(&authority) else { return };
        let name = entry.authority.name().to_owned();
        let checked = entry.checks.of(way);
        let problem = refusal.map(ToString::to_string);
        if let Some(problem) = problem.as_ref().filter(|problem| checked.problem.as_ref() != Some(problem)) {
            tracing::warn!(
                authority = name,
                way = way.name(),
                problem,
                "a CRL was not taken; what was loaded before stays"
            );
        }
        checked.note(Timestamp::now(), problem);
    }

    /// Puts a list in force that came from the source of `record`, unless something else was asked for since.
    async fn take(
        self: &Arc<Self>,
        id: AuthorityId,
        record: Arc<CrlRecord>,
        way: Way,
        crl: Crl,
        seen: Seen,
    ) -> Result<Taken, CrlRefusal> {
        let turn = self.turn.clone().lock_owned().await;
        let crls = self.clone();
        // The turn goes along: whoever waits for this may go away in the middle of it.
        let taken = spawn_blocking(move || {
            let _turn = turn;
            if !lock(&crls.entries).get(&id).is_some_and(|entry| entry.record == record) {
                return Err(CrlRefusal::Gone);
            }
            let taken = crls.put_in_force(id, &crl)?;
            if let Some(entry) = lock(&crls.entries).get_mut(&id) {
                entry.saw(way, seen);
            }
            Ok(taken)
        });
        taken.await.map_err(|_| CrlRefusal::Interrupted)?
    }

    /// Puts a list in force. Whoever calls holds the turn.
    fn put_in_force(&self, id: AuthorityId, crl: &Crl) -> Result<Taken, CrlRefusal> {
        let (authority, loaded) = {
            let entries = lock(&self.entries);
            let entry = entries.get(&id).ok_or(CrlRefusal::Gone)?;
            (entry.authority.clone(), entry.crl.clone())
        };
        let Some(next) = merged(loaded.as_deref(), crl)? else { return Ok(Taken::Same) };
        let (added, removed) = match &loaded {
            Some(loaded) => next.changes_since(loaded),
            None => (next.revoked().to_vec(), Vec::new()),
        };
        self.set.update_imported(&added, &removed);
        let next = Arc::new(next);
        if let Some(entry) = lock(&self.entries).get_mut(&id) {
            entry.loads(next.clone(), crl.is_delta());
        }
        self.require();
        tracing::info!(
            authority = authority.name(),
            number = %next.number(),
            entries = next.revoked().len(),
            added = added.len(),
            removed = removed.len(),
            "a CRL is in force"
        );
        if let Err(error) = self.kept.write(id, &next) {
            tracing::error!(authority = authority.name(), %error, "the CRL is in force, but a restart will not find it");
        }
        Ok(Taken::New)
    }

    /// Follows a change of what is asked for: new lists are required and watched, others no more. A list that was staged is in force
    /// when this returns.
    pub(super) async fn reconcile(self: &Arc<Self>, state: &State) {
        let turn = self.turn.clone().lock_owned().await;
        let (crls, state) = (self.clone(), state.clone());
        let followed = spawn_blocking(move || {
            let _turn = turn;
            crls.follow(&state);
        });
        if followed.await.is_err() {
            tracing::error!("the CRLs did not follow a change");
        }
        for entry in lock(&self.entries).values_mut() {
            watch::start(self, entry);
        }
    }

    fn follow(&self, state: &State) {
        let mut gone = Vec::new();
        {
            let mut entries = lock(&self.entries);
            entries.retain(|id, entry| {
                let stays = state.crl(*id).is_some();
                if !stays {
                    gone.push((*id, entry.crl.take()));
                }
                stays
            });
            for record in state.crls() {
                match entries.get_mut(&record.authority) {
                    Some(entry) => entry.asks_for(record),
                    None => _ = Entry::new(record, state).map(|entry| entries.insert(record.authority, entry)),
                }
            }
        }
        let staged = lock(&self.staged).take();
        if let Some((id, crl)) = staged
            && let Err(error) = self.put_in_force(id, &crl)
        {
            // It was tried before the change was made, and only a list that came in since can stand in its way.
            tracing::warn!(%error, "the CRL that came with a change was not taken");
        }
        self.require();
        for (id, crl) in gone {
            let keys: &[RevocationKey] = crl.as_ref().map(|crl| crl.revoked()).unwrap_or_default();
            self.set.update_imported(&[], keys);
            if let Err(error) = self.kept.remove(id) {
                tracing::warn!(authority = %id, %error, "a CRL that is not used any more cannot be deleted");
            }
        }
    }

    /// Has certificates judged only while the list of their issuer is current.
    fn require(&self) {
        let entries = lock(&self.entries);
        let required = entries.values().filter(|entry| entry.record.when_stale == WhenStale::Deny);
        self.set.require_crls(required.map(Entry::freshness).collect());
    }
}

/// What a list and the one that is loaded make; `None` if the loaded one holds it already.
fn merged(loaded: Option<&Crl>, crl: &Crl) -> Result<Option<Crl>, CrlRefusal> {
    match loaded {
        Some(loaded) if loaded.holds(crl) => Ok(None),
        Some(loaded) if crl.is_delta() => match loaded.with_delta(crl) {
            Ok(next) => Ok(Some(next)),
            // The complete list that was published since has all of it.
            Err(CrlError::Older { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        },
        None if crl.is_delta() => Err(CrlRefusal::NoComplete),
        Some(loaded) => {
            crl.check_replaces(loaded)?;
            Ok(Some(crl.clone()))
        }
        None => Ok(Some(crl.clone())),
    }
}

/// What a panic left behind is whole: entries are changed one value at a time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
