//! Certificates for tests.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};

use super::{Authority, CertificateRequest, ClientIdentity, ManagedAuthority, TrustAnchors, Validity, VerifyFailure};
use crate::model::{AuthorityId, CertificateRecord, SubjectParts, Timestamp, ZoneId};

/// 2026-11-24T00:00:00Z.
pub(super) const NOW_SECONDS: u64 = 1_795_478_400;
pub(super) const DAY: i64 = 86_400;

pub(super) fn now() -> UnixTime {
    at(0)
}

/// The moment some seconds from now.
pub(super) fn at(offset: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(NOW_SECONDS.saturating_add_signed(offset)))
}

pub(super) fn date(offset: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(i64::try_from(NOW_SECONDS).unwrap() + offset).unwrap()
}

pub(super) type Ca = CertifiedIssuer<'static, KeyPair>;

pub(super) fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (date(-10 * DAY), date(1_000 * DAY));
    params
}

pub(super) fn ca(name: &str) -> Ca {
    ca_with(ca_params(name))
}

pub(super) fn ca_with(params: CertificateParams) -> Ca {
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

pub(super) fn sub_ca(name: &str, parent: &Ca) -> Ca {
    CertifiedIssuer::signed_by(ca_params(name), KeyPair::generate().unwrap(), parent).unwrap()
}

pub(super) fn leaf_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "client");
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(SerialNumber::from_slice(&[0x0a, 0xbc]));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    (params.not_before, params.not_after) = (date(-DAY), date(DAY));
    params
}

pub(super) fn leaf(issuer: &Ca, edit: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    let mut params = leaf_params();
    edit(&mut params);
    params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap().der().clone()
}

pub(super) fn authority(ca: &Ca) -> Arc<Authority> {
    let created = Timestamp::from(now());
    Arc::new(Authority::from_der(AuthorityId::generate(), None, "test", ca.der(), created).unwrap())
}

pub(super) fn anchors(cas: &[&Ca]) -> TrustAnchors {
    TrustAnchors::new(&cas.iter().map(|ca| authority(ca)).collect::<Vec<_>>())
}

/// What a chain is worth now; the answers of an identity must agree with each other.
pub(super) fn outcome(chain: &[CertificateDer<'_>], anchors: &TrustAnchors) -> Result<(), VerifyFailure> {
    let identity = ClientIdentity::from_chain(chain, anchors, now());
    assert!(identity.presented());
    let failure = identity.failure(now());
    assert_eq!(identity.verified(now()), failure.is_none(), "verified and failure contradict each other");
    assert_eq!(
        identity.verified(now()),
        identity.revocation_key().is_some(),
        "only a verified path has a revocation key"
    );
    failure.map_or(Ok(()), Err)
}

/// A zone with an authority of its own.
pub(super) fn zone(name: &str) -> (ZoneId, ManagedAuthority) {
    let zone = ZoneId::of_name(name);
    (zone, ManagedAuthority::generate(zone, name, now()).unwrap())
}

pub(super) fn issued(authority: &ManagedAuthority) -> CertificateRecord {
    let subject = SubjectParts { common_name: "device 7".to_owned(), ..SubjectParts::default() };
    let (request, _) = CertificateRequest::with_new_key(subject).unwrap();
    authority.issue(&request, Validity::days(365).unwrap(), now()).unwrap()
}

pub(super) fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}
