//! What a client's certificate costs a worker: verified anew, found in the cache, judged at a request, described.
//!
//! `cargo bench -p filter-bench --bench identity`.

use std::hint::black_box;
use std::sync::Arc;

use divan::Bencher;
use filter_user::model::{SubjectParts, Timestamp, ZoneId};
use filter_user::pki::{CertificateRequest, ChainCache, ClientIdentity, ManagedAuthority, TrustAnchors, Validity};
use filter_user::revocation::RevocationSet;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};

fn main() {
    divan::main();
}

/// A chain of one certificate by a managed authority, as most clients present.
fn client() -> ([CertificateDer<'static>; 1], TrustAnchors, UnixTime) {
    let now = Timestamp::now().unix_time();
    let managed = ManagedAuthority::generate(ZoneId::of_name("example.com"), "example.com", now).expect("an authority");
    let subject = SubjectParts { common_name: "device".to_owned(), ..SubjectParts::default() };
    let (request, _) = CertificateRequest::with_new_key(subject).expect("a request");
    let record = managed.issue(&request, Validity::days(30).expect("a month"), now).expect("a certificate");
    let der = CertificateDer::from_pem_slice(record.certificate.as_bytes()).expect("PEM");
    ([der], TrustAnchors::new(&[Arc::clone(managed.authority())]), now)
}

#[divan::bench]
fn verify(bencher: Bencher<'_, '_>) {
    let (chain, anchors, now) = client();
    bencher.bench_local(|| ClientIdentity::from_chain(black_box(&chain), &anchors, now));
}

#[divan::bench]
fn verify_cached(bencher: Bencher<'_, '_>) {
    let (chain, anchors, now) = client();
    let mut cache = ChainCache::new(16);
    bencher.bench_local(|| cache.identify(black_box(&chain), &anchors, now));
}

#[divan::bench]
fn judge_at_a_request(bencher: Bencher<'_, '_>) {
    let (chain, anchors, now) = client();
    let (identity, reader) = (ClientIdentity::from_chain(&chain, &anchors, now), RevocationSet::new().reader());
    bencher.bench_local(|| black_box(&identity).status(now, &reader));
}

#[divan::bench]
fn describe(bencher: Bencher<'_, '_>) {
    let (chain, anchors, now) = client();
    bencher
        .with_inputs(|| ClientIdentity::from_chain(&chain, &anchors, now))
        .bench_local_values(|identity| identity.details().map(|details| details.subject_dn.len()));
}
