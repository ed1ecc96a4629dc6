//! The revocation set beside two well-kept concurrent maps: look-ups by size, hit and miss, one after the other and
//! overlapping; writes; memory.
//!
//! `cargo bench -p filter-bench --bench revocation`. Memory is printed first; it is the growth of a process, so it holds what
//! the allocator adds. A look-up bench does `BATCH` look-ups an iteration, so an item is one look-up.

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::OnceLock;

use dashmap::DashSet;
use divan::Bencher;
use divan::counter::ItemsCount;
use filter_user::model::{AuthorityId, Timestamp};
use filter_user::pki::{Authority, Crl};
use filter_user::revocation::{IssuerKeyHash, RevocationKey, RevocationSet};

const SIZES: [usize; 3] = [1_000, 1_000_000, 10_000_000];
/// Look-ups an iteration.
const BATCH: usize = 4_096;

/// Entries of the sets whose memory is measured.
const MEASURED: usize = 10_000_000;
/// Makes this program measure one set and end.
const MEASURE: &str = "FILTER_BENCH_MEASURE";

fn main() {
    match std::env::var(MEASURE) {
        Ok(name) => measure(&name),
        Err(_) => {
            println!("bytes an entry at {MEASURED} entries:");
            ["ours", "papaya", "dashmap", "std"].into_iter().for_each(measure_elsewhere);
            divan::main();
        }
    }
}

/// Keys made like real ones; the first half of those asked for is present, the second is not.
fn keys() -> &'static [RevocationKey] {
    static KEYS: OnceLock<Vec<RevocationKey>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let issuer = IssuerKeyHash::of_spki(b"bench");
        let count = u64::try_from(*SIZES.iter().max().unwrap_or(&0) + BATCH).unwrap_or(u64::MAX);
        (0..count).map(|serial| RevocationKey::new(&issuer, &serial.to_be_bytes())).collect()
    })
}

fn present(size: usize) -> &'static [RevocationKey] {
    keys().get(..size).unwrap_or_default()
}

fn absent() -> Vec<RevocationKey> {
    keys().iter().rev().take(BATCH).copied().collect()
}

/// Keys of a set in an order that no cache foresees.
fn asked(size: usize) -> Vec<RevocationKey> {
    let stride = (size / BATCH).max(1);
    let scattered = (0..BATCH).map(|place| place.wrapping_mul(stride).wrapping_add(place.wrapping_mul(7_919)) % size);
    scattered.filter_map(|place| present(size).get(place).copied()).collect()
}

/// What is compared.
trait Subject: Sync + 'static {
    fn with(keys: &[RevocationKey]) -> Self;
    fn contains(&self, key: &RevocationKey) -> bool;
    fn insert(&self, key: RevocationKey);
    fn remove(&self, key: &RevocationKey);

    /// The look-ups of a batch, by whatever a worker would hold on to.
    fn count(&self, batch: &[RevocationKey]) -> usize {
        batch.iter().filter(|key| self.contains(key)).count()
    }

    /// Lends out a look-up by whatever a worker would hold on to.
    fn hold(&self, work: impl FnOnce(Lookup<'_>)) {
        work(&|key| self.contains(key));
    }
}

/// A look-up, behind a pointer that costs all subjects the same.
type Lookup<'a> = &'a dyn Fn(&RevocationKey) -> bool;

struct Ours(RevocationSet);

impl Subject for Ours {
    fn with(keys: &[RevocationKey]) -> Self {
        let set = RevocationSet::new();
        set.load(keys.to_vec());
        Self(set)
    }

    fn contains(&self, key: &RevocationKey) -> bool {
        self.0.contains(key)
    }

    fn insert(&self, key: RevocationKey) {
        self.0.insert(key);
    }

    fn remove(&self, key: &RevocationKey) {
        self.0.remove(key);
    }

    fn count(&self, batch: &[RevocationKey]) -> usize {
        let reader = self.0.reader();
        batch.iter().filter(|key| reader.contains(key)).count()
    }

    fn hold(&self, work: impl FnOnce(Lookup<'_>)) {
        let reader = self.0.reader();
        work(&|key| reader.contains(key));
    }
}

/// Without a reader: what a thread pays that asks once in a while.
struct OursUnpinned(RevocationSet);

impl Subject for OursUnpinned {
    fn with(keys: &[RevocationKey]) -> Self {
        Self(Ours::with(keys).0)
    }

    fn contains(&self, key: &RevocationKey) -> bool {
        self.0.contains(key)
    }

    fn insert(&self, key: RevocationKey) {
        self.0.insert(key);
    }

    fn remove(&self, key: &RevocationKey) {
        self.0.remove(key);
    }
}

impl Subject for papaya::HashSet<RevocationKey> {
    fn with(keys: &[RevocationKey]) -> Self {
        let set = Self::with_capacity(keys.len());
        let pinned = set.pin();
        keys.iter().for_each(|key| _ = pinned.insert(*key));
        drop(pinned);
        set
    }

    fn contains(&self, key: &RevocationKey) -> bool {
        self.pin().contains(key)
    }

    fn insert(&self, key: RevocationKey) {
        self.pin().insert(key);
    }

    fn remove(&self, key: &RevocationKey) {
        self.pin().remove(key);
    }

    fn count(&self, batch: &[RevocationKey]) -> usize {
        let pinned = self.pin();
        batch.iter().filter(|key| pinned.contains(*key)).count()
    }

    fn hold(&self, work: impl FnOnce(Lookup<'_>)) {
        let pinned = self.pin();
        work(&|key| pinned.contains(key));
    }
}

impl Subject for DashSet<RevocationKey> {
    fn with(keys: &[RevocationKey]) -> Self {
        keys.iter().copied().collect()
    }

    fn contains(&self, key: &RevocationKey) -> bool {
        Self::contains(self, key)
    }

    fn insert(&self, key: RevocationKey) {
        Self::insert(self, key);
    }

    fn remove(&self, key: &RevocationKey) {
        Self::remove(self, key);
    }
}

#[divan::bench(types = [Ours, OursUnpinned, papaya::HashSet<RevocationKey>, DashSet<RevocationKey>], args = SIZES)]
fn hit<S: Subject>(bencher: Bencher<'_, '_>, size: usize) {
    let (set, batch) = (S::with(present(size)), asked(size));
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| set.count(black_box(&batch)));
}

#[divan::bench(types = [Ours, OursUnpinned, papaya::HashSet<RevocationKey>, DashSet<RevocationKey>], args = SIZES)]
fn miss<S: Subject>(bencher: Bencher<'_, '_>, size: usize) {
    let (set, batch) = (S::with(present(size)), absent());
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| set.count(black_box(&batch)));
}

/// Each look-up waits for the answer of the one before: the latency, not the throughput.
#[divan::bench(types = [Ours, papaya::HashSet<RevocationKey>, DashSet<RevocationKey>], args = SIZES)]
fn hit_in_sequence<S: Subject>(bencher: Bencher<'_, '_>, size: usize) {
    let (set, batch) = (S::with(present(size)), asked(size));
    set.hold(|lookup| {
        bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
            (0..BATCH).fold(0_usize, |place, _| {
                // Every key is there, so this walks the batch, but nobody can know before the answer.
                let found = batch.get(place).is_some_and(lookup);
                (place + usize::from(found)) % batch.len()
            })
        });
    });
}

#[divan::bench(types = [Ours, papaya::HashSet<RevocationKey>, DashSet<RevocationKey>], args = SIZES)]
fn insert_and_remove<S: Subject>(bencher: Bencher<'_, '_>, size: usize) {
    let (set, batch) = (S::with(present(size)), absent());
    bencher.counter(ItemsCount::new(2 * BATCH)).bench_local(|| {
        batch.iter().for_each(|key| set.insert(*key));
        batch.iter().for_each(|key| set.remove(key));
    });
}

#[divan::bench(args = SIZES, sample_count = 3, sample_size = 1)]
fn load(bencher: Bencher<'_, '_>, size: usize) {
    bencher.counter(ItemsCount::new(size)).bench_local(|| Ours::with(present(size)));
}

/// From the bytes of a CRL to sorted revocation keys: signature, parsing, hashing, sorting.
#[divan::bench(args = [10_000, 1_000_000], sample_count = 5, sample_size = 1)]
fn crl_import(bencher: Bencher<'_, '_>, entries: usize) {
    let (crl, authority) = crl(entries);
    let now = Timestamp::now();
    bencher.counter(ItemsCount::new(entries)).bench_local(|| {
        let crl = Crl::parse(&crl, &authority, now).expect("the list is good");
        assert_eq!(crl.revoked().len(), entries, "every entry counts");
    });
}

/// A list with 16-byte serials, and its issuer.
fn crl(entries: usize) -> (Vec<u8>, Authority) {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    let key = rcgen::KeyPair::generate().expect("a key");
    let issuer = rcgen::CertifiedIssuer::self_signed(params, key).expect("an authority");
    let this_update = time::OffsetDateTime::now_utc();
    let revoked = present(entries).iter().map(|key| rcgen::RevokedCertParams {
        serial_number: rcgen::SerialNumber::from_slice(key.as_bytes()),
        revocation_time: this_update,
        reason_code: None,
        invalidity_date: None,
    });
    let list = rcgen::CertificateRevocationListParams {
        this_update,
        next_update: this_update + time::Duration::days(1),
        crl_number: rcgen::SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let der = list.signed_by(&issuer).expect("a list").der().to_vec();
    let authority = Authority::from_der(AuthorityId::generate(), None, "bench", issuer.der(), Timestamp::now());
    (der, authority.expect("an authority"))
}

/// Measures in a process of its own: what one set frees, another would take without growing the process.
fn measure_elsewhere(name: &str) {
    let status = std::env::current_exe().and_then(|own| std::process::Command::new(own).env(MEASURE, name).status());
    if !status.is_ok_and(|status| status.success()) {
        println!("  {name}: could not be measured");
    }
}

fn measure(name: &str) {
    let keys = present(MEASURED);
    match name {
        "ours" => growth("ours", || Ours::with(keys)),
        "papaya" => growth("papaya::HashSet", || <papaya::HashSet<RevocationKey> as Subject>::with(keys)),
        "dashmap" => growth("DashSet", || <DashSet<RevocationKey> as Subject>::with(keys)),
        _ => growth("std::HashSet, not shared", || keys.iter().copied().collect::<HashSet<_>>()),
    }
}

fn growth<T>(name: &str, make: impl FnOnce() -> T) {
    let before = resident_bytes();
    let made = make();
    println!("  {name}: {:.1}", resident_bytes().saturating_sub(before) as f64 / MEASURED as f64);
    drop(made);
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4_096
}
