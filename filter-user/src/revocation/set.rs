//! The set that writers change and workers read.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use rustls_pki_types::UnixTime;

use super::cell::{Cell, SwapCell};
use super::key::{IssuerKeyHash, RevocationKey};
use super::table::Table;

/// Whether the CRL of an issuer can be relied on. Issuers of whom no CRL is required have none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrlFreshness {
    /// A CRL is required, and none was loaded yet.
    Missing,
    /// What was loaded can be relied on up to and including this moment: its `nextUpdate`, plus what the operator grants.
    Until(UnixTime),
}

impl CrlFreshness {
    /// Whether the issuer's certificates can be judged at this moment.
    pub fn is_current(self, now: UnixTime) -> bool {
        matches!(self, Self::Until(deadline) if now <= deadline)
    }
}

/// Everything that is revoked, at one moment.
///
/// Two layers, because a certificate can be revoked here *and* stand on an imported CRL: taking it off one of them must
/// not take it off the other.
#[derive(Clone)]
pub(super) struct Layers {
    /// Revoked through our own API.
    local: Arc<Table>,
    /// Listed by a CRL that was imported.
    imported: Arc<Table>,
    /// Issuers of whom a CRL is required. A handful: a list is searched faster than anything cleverer.
    required: Arc<[(IssuerKeyHash, CrlFreshness)]>,
}

impl Layers {
    fn empty() -> Self {
        Self { local: Arc::new(Table::empty()), imported: Arc::new(Table::empty()), required: Arc::new([]) }
    }

    fn contains(&self, key: &RevocationKey) -> bool {
        self.local.contains(key) || self.imported.contains(key)
    }

    fn freshness(&self, issuer: &IssuerKeyHash) -> Option<CrlFreshness> {
        self.required.iter().find(|(required, _)| required == issuer).map(|(_, freshness)| *freshness)
    }
}

/// The revoked certificates of the whole process: cheap to clone, shared by all workers.
#[derive(Clone)]
pub struct RevocationSet {
    core: Core<SwapCell>,
}

impl RevocationSet {
    /// A set in which nothing is revoked.
    pub fn new() -> Self {
        Self { core: Core::new() }
    }

    /// A worker's reader of the set.
    pub fn reader(&self) -> RevocationReader {
        RevocationReader { core: self.core.reader() }
    }

    /// Whether this certificate is revoked, locally or by a CRL. Workers ask through a [`RevocationReader`].
    pub fn contains(&self, key: &RevocationKey) -> bool {
        self.core.contains(key)
    }

    /// Revokes one certificate.
    pub fn insert(&self, key: RevocationKey) {
        self.core.update_local(&[key], &[]);
    }

    /// Makes one certificate good again, unless a CRL lists it too.
    pub fn remove(&self, key: &RevocationKey) {
        self.core.update_local(&[], &[*key]);
    }

    /// Revokes and reactivates several certificates in one step; a key in both lists ends up active.
    pub fn update(&self, revoked: &[RevocationKey], reactivated: &[RevocationKey]) {
        self.core.update_local(revoked, reactivated);
    }

    /// Replaces all local revocations in one step: no reader ever sees a mixture. A revocation made while this runs and
    /// not in `keys` is lost, so whoever loads must be the one who revokes.
    pub fn load(&self, keys: Vec<RevocationKey>) {
        self.core.load_local(keys);
    }

    /// Applies what changed between two readings of an imported CRL, in one step.
    pub fn update_imported(&self, added: &[RevocationKey], removed: &[RevocationKey]) {
        self.core.update_imported(added, removed);
    }

    /// Replaces everything that was imported, in one step.
    pub fn load_imported(&self, keys: Vec<RevocationKey>) {
        self.core.load_imported(keys);
    }

    /// Replaces the issuers of whom a CRL is required, and how long what was loaded of each can be relied on.
    ///
    /// Certificates of an issuer in this list are verified only while its CRL is current.
    pub fn require_crls(&self, issuers: Vec<(IssuerKeyHash, CrlFreshness)>) {
        self.core.require_crls(issuers);
    }

    /// Frees replaced versions that no reader holds any more, and tells how many are still held.
    ///
    /// Old versions are freed here and by writers, never by a reader: freeing ten million entries takes milliseconds that
    /// a worker does not have. Called by housekeeping, beside [`RevocationReader::refresh`] on the workers.
    pub fn reclaim(&self) -> usize {
        self.core.cell.reclaim()
    }

    /// How many certificates are revoked locally.
    pub fn len(&self) -> usize {
        self.core.cell.read(|layers| layers.local.len())
    }

    /// How many certificates imported CRLs list.
    pub fn imported_len(&self) -> usize {
        self.core.cell.read(|layers| layers.imported.len())
    }

    /// Bytes the set takes, both layers, without what the allocator adds.
    pub fn heap_bytes(&self) -> usize {
        self.core.cell.read(|layers| layers.local.heap_bytes().saturating_add(layers.imported.heap_bytes()))
    }

    /// Whether nothing is revoked at all.
    pub fn is_empty(&self) -> bool {
        self.core.cell.read(|layers| layers.local.len() == 0 && layers.imported.len() == 0)
    }
}

impl Default for RevocationSet {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RevocationSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RevocationSet")
            .field("local", &self.len())
            .field("imported", &self.imported_len())
            .finish()
    }
}

/// One thread's view of a [`RevocationSet`]: always current, and a look-up costs one comparison of pointers more than
/// the search itself.
///
/// A reader keeps the version it saw last alive. One that may not be asked for long should be [refreshed] now and then,
/// or it pins what the versions since then have replaced.
///
/// [refreshed]: RevocationReader::refresh
pub struct RevocationReader {
    core: CoreReader<SwapCell>,
}

impl RevocationReader {
    /// Whether this certificate is revoked now.
    pub fn contains(&self, key: &RevocationKey) -> bool {
        self.core.contains(key)
    }

    /// How far the CRL of an issuer can be relied on; `None` when none is required.
    pub fn freshness(&self, issuer: &IssuerKeyHash) -> Option<CrlFreshness> {
        self.core.ask(|layers| layers.freshness(issuer))
    }

    /// Lets go of an outdated version.
    pub fn refresh(&self) {
        self.core.ask(|_| ());
    }
}

/// The set over any kind of cell.
pub(super) struct Core<C: Cell> {
    cell: Arc<C>,
}

impl<C: Cell> Clone for Core<C> {
    fn clone(&self) -> Self {
        Self { cell: Arc::clone(&self.cell) }
    }
}

impl<C: Cell> Core<C> {
    pub(super) fn new() -> Self {
        Self { cell: Arc::new(C::new(Layers::empty())) }
    }

    pub(super) fn contains(&self, key: &RevocationKey) -> bool {
        self.cell.read(|layers| layers.contains(key))
    }

    pub(super) fn update_local(&self, added: &[RevocationKey], removed: &[RevocationKey]) {
        self.cell.replace(|now| Layers { local: Arc::new(now.local.with(added, removed)), ..now.clone() });
    }

    pub(super) fn update_imported(&self, added: &[RevocationKey], removed: &[RevocationKey]) {
        self.cell.replace(|now| Layers { imported: Arc::new(now.imported.with(added, removed)), ..now.clone() });
    }

    pub(super) fn load_local(&self, keys: Vec<RevocationKey>) {
        let local = Arc::new(Table::from_keys(keys));
        self.cell.replace(|now| Layers { local, ..now.clone() });
    }

    pub(super) fn load_imported(&self, keys: Vec<RevocationKey>) {
        let imported = Arc::new(Table::from_keys(keys));
        self.cell.replace(|now| Layers { imported, ..now.clone() });
    }

    fn require_crls(&self, issuers: Vec<(IssuerKeyHash, CrlFreshness)>) {
        self.cell.replace(|now| Layers { required: issuers.into(), ..now.clone() });
    }

    pub(super) fn reader(&self) -> CoreReader<C> {
        CoreReader { reader: RefCell::new(C::reader(&self.cell)) }
    }
}

/// A reader over any kind of cell.
pub(super) struct CoreReader<C: Cell> {
    reader: RefCell<C::Reader>,
}

impl<C: Cell> CoreReader<C> {
    pub(super) fn contains(&self, key: &RevocationKey) -> bool {
        self.ask(|layers| layers.contains(key))
    }

    /// Nothing that runs inside can reach this reader again, so the borrow cannot fail.
    fn ask<R>(&self, question: impl FnOnce(&Layers) -> R) -> R {
        C::read_with(&mut self.reader.borrow_mut(), question)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::revocation::IssuerKeyHash;

    fn keys(count: u32) -> Vec<RevocationKey> {
        let issuer = IssuerKeyHash::of_spki(b"issuer");
        (1..=count).map(|serial| RevocationKey::new(&issuer, &serial.to_be_bytes())).collect()
    }

    #[test]
    fn an_open_reader_sees_a_revocation_and_a_reactivation_at_once() {
        let (set, key) = (RevocationSet::new(), keys(1)[0]);
        let reader = set.reader();
        assert!(!reader.contains(&key));
        set.insert(key);
        assert!(reader.contains(&key) && set.contains(&key));
        set.remove(&key);
        assert!(!reader.contains(&key) && !set.contains(&key));
    }

    #[test]
    fn a_certificate_on_a_crl_stays_revoked_when_it_is_reactivated_here() {
        let (set, key) = (RevocationSet::new(), keys(1)[0]);
        set.insert(key);
        set.update_imported(&[key], &[]);
        set.remove(&key);
        assert!(set.contains(&key));
        set.update_imported(&[], &[key]);
        assert!(!set.contains(&key) && set.is_empty());
    }

    #[test]
    fn loading_replaces_one_layer_only() {
        let (set, keys) = (RevocationSet::new(), keys(4));
        set.load(vec![keys[0], keys[1], keys[1]]);
        set.load_imported(vec![keys[2]]);
        set.load(vec![keys[3]]);
        let found: Vec<_> = keys.iter().map(|key| set.contains(key)).collect();
        assert_eq!(found, [false, false, true, true]);
        assert_eq!((set.len(), set.imported_len()), (1, 1));
    }

    #[test]
    fn an_issuer_is_current_only_while_its_crl_is() {
        let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let [listed, missing, free] = [b"a", b"b", b"c"].map(|key| IssuerKeyHash::of_spki(key));
        let set = RevocationSet::new();
        let reader = set.reader();
        assert_eq!(reader.freshness(&listed), None);
        set.require_crls(vec![(listed, CrlFreshness::Until(at(10))), (missing, CrlFreshness::Missing)]);
        let is_current = |issuer, now| reader.freshness(issuer).is_none_or(|freshness| freshness.is_current(at(now)));
        assert!(is_current(&listed, 10) && !is_current(&listed, 11));
        assert!(!is_current(&missing, 0) && is_current(&free, 11));
        // Another revocation leaves it as it is.
        set.insert(keys(1)[0]);
        assert!(!is_current(&missing, 0));
    }

    #[test]
    fn revoking_twice_counts_once_and_reactivating_the_unknown_changes_nothing() {
        let (set, keys) = (RevocationSet::new(), keys(2));
        set.insert(keys[0]);
        set.insert(keys[0]);
        set.remove(&keys[1]);
        assert_eq!(set.len(), 1);
    }

    #[test]
    fn a_replaced_version_is_kept_until_its_last_reader_moved_on() {
        let (set, key) = (RevocationSet::new(), keys(1)[0]);
        let reader = set.reader();
        set.insert(key);
        assert_eq!(set.reclaim(), 1);
        reader.refresh();
        assert_eq!(set.reclaim(), 0);
    }

    #[test]
    fn no_reader_misses_a_key_that_stays_while_others_come_and_go() {
        let (set, keys) = (RevocationSet::new(), keys(2_000));
        let (stays, churn) = keys.split_at(1_000);
        set.update(stays, &[]);
        thread::scope(|scope| {
            for _ in 0..2 {
                let reader = set.reader();
                scope.spawn(move || assert!((0..50).all(|_| stays.iter().all(|key| reader.contains(key)))));
            }
            for _ in 0..3 {
                churn.iter().for_each(|key| set.insert(*key));
                set.load(stays.to_vec());
            }
        });
        assert_eq!(set.len(), stays.len());
    }
}
