//! What chains are worth, as a table; how authorities issue; what a handshake lets through.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::*;
use crate::model::{AuthorityId, CertificateRecord, SubjectParts, Timestamp, ZoneId};
use crate::revocation::{IssuerKeyHash, RevocationKey};

/// 2026-11-24T00:00:00Z.
const NOW_SECONDS: u64 = 1_795_478_400;
const DAY: i64 = 86_400;

fn now() -> UnixTime {
    at(0)
}

/// The moment some seconds from now.
fn at(offset: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(NOW_SECONDS.saturating_add_signed(offset)))
}

fn date(offset: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(i64::try_from(NOW_SECONDS).unwrap() + offset).unwrap()
}

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (date(-10 * DAY), date(1_000 * DAY));
    params
}

fn ca(name: &str) -> Ca {
    ca_with(ca_params(name))
}

fn ca_with(params: CertificateParams) -> Ca {
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn sub_ca(name: &str, parent: &Ca) -> Ca {
    CertifiedIssuer::signed_by(ca_params(name), KeyPair::generate().unwrap(), parent).unwrap()
}

fn leaf_params() -> CertificateParams {
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

fn leaf(issuer: &Ca, edit: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    let mut params = leaf_params();
    edit(&mut params);
    params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap().der().clone()
}

fn authority(ca: &Ca) -> Arc<Authority> {
    let created = Timestamp::from(now());
    Arc::new(Authority::from_der(AuthorityId::generate(), None, "test", ca.der(), created).unwrap())
}

fn anchors(cas: &[&Ca]) -> TrustAnchors {
    TrustAnchors::new(&cas.iter().map(|ca| authority(ca)).collect::<Vec<_>>())
}

fn outcome(chain: &[CertificateDer<'_>], anchors: &TrustAnchors) -> Result<(), VerifyFailure> {
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

#[test]
fn a_chain_is_worth_what_this_table_says() {
    use VerifyFailure::*;
    let (root, other) = (ca("root"), ca("other"));
    let same_name = ca("root");
    let (one, two) = (sub_ca("one", &root), sub_ca("two", &root));
    let deep = sub_ca("deep", &one);
    let mut no_signing = ca_params("no signing");
    no_signing.key_usages = vec![KeyUsagePurpose::CrlSign];
    let no_signing = CertifiedIssuer::signed_by(no_signing, KeyPair::generate().unwrap(), &root).unwrap();
    let mut narrow = ca_params("narrow");
    narrow.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let narrow = CertifiedIssuer::signed_by(narrow, KeyPair::generate().unwrap(), &root).unwrap();
    let below_narrow = sub_ca("below narrow", &narrow);
    let leaf_as_issuer = CertifiedIssuer::signed_by(leaf_params(), KeyPair::generate().unwrap(), &root).unwrap();
    let good = || leaf(&root, |_| ());
    let ekus = |list: Vec<ExtendedKeyUsagePurpose>| leaf(&root, |params| params.extended_key_usages = list);
    let self_signed = leaf_params().self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
    let mut broken = good().to_vec();
    *broken.last_mut().unwrap() ^= 1;
    let chain = |leaf: CertificateDer<'static>, others: &[&Ca]| {
        [vec![leaf], others.iter().map(|ca| ca.der().clone()).collect()].concat()
    };
    let table = [
        ("valid", chain(good(), &[]), Ok(())),
        ("valid, with its root", chain(good(), &[&root]), Ok(())),
        ("expired", chain(leaf(&root, |params| params.not_after = date(-1)), &[]), Err(Expired)),
        ("good until this second", chain(leaf(&root, |params| params.not_after = date(0)), &[]), Ok(())),
        ("not yet valid", chain(leaf(&root, |params| params.not_before = date(1)), &[]), Err(NotYetValid)),
        ("good since this second", chain(leaf(&root, |params| params.not_before = date(0)), &[]), Ok(())),
        ("another CA", chain(leaf(&other, |_| ()), &[]), Err(UnknownIssuer)),
        ("another CA, sent along", chain(leaf(&other, |_| ()), &[&other]), Err(UnknownIssuer)),
        ("another CA of the same subject", chain(leaf(&same_name, |_| ()), &[]), Err(BadSignature)),
        ("a broken signature", chain(broken.into(), &[]), Err(BadSignature)),
        ("the CA certificate as leaf", chain(root.der().clone(), &[]), Err(CaAsLeaf)),
        ("an intermediate as leaf", chain(one.der().clone(), &[]), Err(CaAsLeaf)),
        ("only serverAuth", chain(ekus(vec![ExtendedKeyUsagePurpose::ServerAuth]), &[]), Err(WrongUsage)),
        ("no extended key usage", chain(ekus(vec![]), &[]), Err(WrongUsage)),
        ("any extended key usage", chain(ekus(vec![ExtendedKeyUsagePurpose::Any]), &[]), Err(WrongUsage)),
        (
            "both usages",
            chain(ekus(vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]), &[]),
            Ok(()),
        ),
        ("self-signed", chain(self_signed, &[]), Err(SelfSigned)),
        ("without its intermediate", chain(leaf(&one, |_| ()), &[]), Err(UnknownIssuer)),
        ("with its intermediate", chain(leaf(&one, |_| ()), &[&one]), Ok(())),
        ("intermediates out of order, and others", chain(leaf(&deep, |_| ()), &[&two, &one, &other, &deep]), Ok(())),
        ("the same intermediate twice", chain(leaf(&one, |_| ()), &[&one, &one]), Ok(())),
        ("an intermediate without keyCertSign", chain(leaf(&no_signing, |_| ()), &[&no_signing]), Err(IssuerNotCa)),
        ("a leaf as issuer", chain(leaf(&leaf_as_issuer, |_| ()), &[&leaf_as_issuer]), Err(IssuerNotCa)),
        (
            "below a path length constraint",
            chain(leaf(&below_narrow, |_| ()), &[&below_narrow, &narrow]),
            Err(PathTooLong),
        ),
        ("as many certificates as may be", [vec![good()], vec![two.der().clone(); 9]].concat(), Ok(())),
        ("one certificate too many", [vec![good()], vec![two.der().clone(); 10]].concat(), Err(TooLarge)),
        ("too many bytes", vec![good(), vec![0x30; CHAIN_BYTES].into()], Err(TooLarge)),
        ("garbage", vec![b"garbage".to_vec().into()], Err(Malformed)),
        ("nothing in it", vec![Vec::new().into()], Err(Malformed)),
        ("bytes after its end", vec![[good().to_vec(), vec![0]].concat().into()], Err(Malformed)),
        ("garbage beside it", vec![good(), b"garbage".to_vec().into()], Ok(())),
    ];
    let anchors = anchors(&[&root]);
    for (name, chain, expected) in table {
        assert_eq!(outcome(&chain, &anchors), expected, "{name}");
    }
}

#[test]
fn as_many_bytes_as_may_be_are_looked_at() {
    let root = ca("root");
    let good = leaf(&root, |_| ());
    let padding = CHAIN_BYTES - good.len();
    assert_eq!(outcome(&[good, vec![0x30; padding].into()], &anchors(&[&root])), Ok(()));
}

#[test]
fn without_authorities_nobody_is_verified() {
    let root = ca("root");
    assert_eq!(outcome(&[leaf(&root, |_| ())], &TrustAnchors::none()), Err(VerifyFailure::UnknownIssuer));
}

#[test]
fn a_client_that_presented_nothing_is_neither_verified_nor_a_failure() {
    for identity in [ClientIdentity::none(), ClientIdentity::from_chain(&[], &anchors(&[&ca("root")]), now())] {
        assert!(!identity.presented() && !identity.verified(now()));
        assert_eq!((identity.failure(now()), identity.revocation_key(), identity.details()), (None, None, None));
    }
}

#[test]
fn an_authority_is_believed_only_while_its_own_certificate_is_good() {
    let mut expired = ca_params("root");
    expired.not_after = date(-1);
    let mut early = ca_params("root");
    early.not_before = date(1);
    for (params, failure) in [(expired, VerifyFailure::Expired), (early, VerifyFailure::NotYetValid)] {
        let ca = ca_with(params);
        assert_eq!(outcome(&[leaf(&ca, |_| ())], &anchors(&[&ca])), Err(failure));
    }
}

#[test]
fn a_renewed_authority_with_the_same_key_takes_over_from_the_expired_one() {
    let key = KeyPair::generate().unwrap();
    let (pem, renewed) = (key.serialize_pem(), ca_with_key(ca_params("root"), key));
    let mut params = ca_params("root");
    params.not_after = date(-1);
    let old = ca_with_key(params, KeyPair::from_pem(&pem).unwrap());
    assert_eq!(outcome(&[leaf(&old, |_| ())], &anchors(&[&old, &renewed])), Ok(()));
}

fn ca_with_key(params: CertificateParams, key: KeyPair) -> Ca {
    CertifiedIssuer::self_signed(params, key).unwrap()
}

#[test]
fn a_verified_identity_ends_with_the_first_certificate_of_its_path() {
    let root = ca("root");
    let mut short = ca_params("short");
    short.not_after = date(100);
    let short = CertifiedIssuer::signed_by(short, KeyPair::generate().unwrap(), &root).unwrap();
    let identity = ClientIdentity::from_chain(&[leaf(&short, |_| ()), short.der().clone()], &anchors(&[&root]), now());
    assert!(identity.verified(at(100)));
    assert!(!identity.verified(at(101)));
    assert_eq!(identity.failure(at(101)), Some(VerifyFailure::Expired));
    // A clock that is set back must not make it good either.
    assert_eq!(identity.failure(at(-DAY - 1)), Some(VerifyFailure::NotYetValid));
}

#[test]
fn every_certificate_below_the_authority_can_be_revoked() {
    let root = ca("root");
    let mut params = ca_params("middle");
    params.serial_number = Some(SerialNumber::from_slice(&[7]));
    let middle = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &root).unwrap();
    let identity =
        ClientIdentity::from_chain(&[leaf(&middle, |_| ()), middle.der().clone()], &anchors(&[&root]), now());
    let key_hash = |ca: &Ca| *authority(ca).key_hash();
    let expected = [RevocationKey::new(&key_hash(&middle), &[0x0a, 0xbc]), RevocationKey::new(&key_hash(&root), &[7])];
    assert_eq!(identity.revocation_keys(), expected);
    assert_eq!(identity.revocation_key(), Some(expected[0]));
    assert!(!identity.revoked(|_| false));
    assert!(expected.iter().all(|revoked| identity.revoked(|key| key == revoked)));
}

#[test]
fn a_revocation_key_does_not_depend_on_how_the_issuer_became_trusted() {
    let root = ca("root");
    let middle = sub_ca("middle", &root);
    let chain = [leaf(&middle, |_| ()), middle.der().clone()];
    let through_root = ClientIdentity::from_chain(&chain, &anchors(&[&root]), now());
    let directly = ClientIdentity::from_chain(&chain, &anchors(&[&middle]), now());
    assert_eq!(through_root.revocation_key(), directly.revocation_key());
    assert!(through_root.revocation_key().is_some());
}

#[test]
fn details_have_the_documented_formats() {
    let root = ca("root");
    let middle = sub_ca("middle", &root);
    let client = leaf(&middle, |params| {
        let mut name = DistinguishedName::new();
        name.push(DnType::CountryName, "US");
        name.push(DnType::OrganizationName, "Access");
        name.push(DnType::CommonName, "James Royal");
        params.distinguished_name = name;
    });
    let chain = [client, middle.der().clone(), root.der().clone()];
    let identity = ClientIdentity::from_chain(&chain, &anchors(&[&root]), now());
    let details = identity.details().unwrap();
    assert_eq!(details.subject_dn, "CN=James Royal,O=Access,C=US");
    assert_eq!(details.subject_dn_legacy, "/C=US/O=Access/CN=James Royal");
    assert_eq!((details.issuer_dn.as_str(), details.issuer_dn_legacy.as_str()), ("CN=middle", "/CN=middle"));
    assert_eq!(details.serial, "0ABC");
    assert_eq!(details.not_before, "Nov 23 00:00:00 2026 GMT");
    assert_eq!(details.not_after, "Nov 25 00:00:00 2026 GMT");
    let middle = authority(&middle);
    assert_eq!((details.issuer_serial.as_str(), details.issuer_ski.as_str()), (middle.serial(), middle.ski().unwrap()));
    assert!(
        details.ski.len() == 40 && details.ski.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
    );
    assert!(details.rfc9440.starts_with(":MII") && details.rfc9440.ends_with(':'));
    assert_eq!(details.chain_rfc9440.split(", ").count(), 2);
    assert!(!details.rfc9440_too_large && !details.chain_rfc9440_too_large);
}

#[test]
fn an_unverified_certificate_is_described_but_not_its_issuer() {
    let root = ca("root");
    let identity = ClientIdentity::from_chain(&[leaf(&root, |_| ())], &TrustAnchors::none(), now());
    let details = identity.details().unwrap();
    assert_eq!((details.subject_dn.as_str(), details.issuer_dn.as_str()), ("CN=client", "CN=root"));
    assert_eq!((details.issuer_serial.as_str(), details.issuer_ski.as_str()), ("", ""));
    assert!(!details.rfc9440.is_empty());
}

#[test]
fn a_chain_past_the_limits_is_not_kept() {
    let root = ca("root");
    let chain = [vec![leaf(&root, |_| ())], vec![root.der().clone(); CHAIN_CERTIFICATES]].concat();
    let identity = ClientIdentity::from_chain(&chain, &anchors(&[&root]), now());
    let details = identity.details().unwrap();
    assert_eq!((details.chain_rfc9440.as_str(), details.chain_rfc9440_too_large), ("", true));
    assert_eq!(details.subject_dn, "CN=client");
}

// Issuing.

fn zone(name: &str) -> (ZoneId, ManagedAuthority) {
    let zone = ZoneId::of_name(name);
    (zone, ManagedAuthority::generate(zone, name, now()).unwrap())
}

fn issued(authority: &ManagedAuthority) -> CertificateRecord {
    let subject = SubjectParts { common_name: "device 7".to_owned(), ..SubjectParts::default() };
    let (request, _) = CertificateRequest::with_new_key(subject).unwrap();
    authority.issue(&request, Validity::days(365).unwrap(), now()).unwrap()
}

fn der(pem: &str) -> CertificateDer<'static> {
    use rustls_pki_types::pem::PemObject as _;
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[test]
fn an_issued_certificate_counts_in_its_own_zone_and_in_no_other() {
    let ((_, here), (_, there)) = (zone("a.example"), zone("b.example"));
    let chain = [der(&issued(&here).certificate)];
    assert_eq!(outcome(&chain, &TrustAnchors::new(&[Arc::clone(here.authority())])), Ok(()));
    let elsewhere = TrustAnchors::new(&[Arc::clone(there.authority())]);
    assert_eq!(outcome(&chain, &elsewhere), Err(VerifyFailure::UnknownIssuer));
}

#[test]
fn two_authorities_of_one_zone_cannot_be_confused() {
    let ((_, old), (_, new)) = (zone("a.example"), zone("a.example"));
    assert_ne!(old.authority().subject(), new.authority().subject());
    let both = TrustAnchors::new(&[Arc::clone(old.authority()), Arc::clone(new.authority())]);
    for authority in [&old, &new] {
        let identity = ClientIdentity::from_chain(&[der(&issued(authority).certificate)], &both, now());
        assert_eq!(identity.authority(), Some(authority.authority().id()));
    }
}

#[test]
fn an_issued_certificate_is_what_its_record_says() {
    let (zone, managed) = zone("a.example");
    let record = issued(&managed);
    let chain = [der(&record.certificate)];
    let identity = ClientIdentity::from_chain(&chain, &TrustAnchors::new(&[Arc::clone(managed.authority())]), now());
    let details = identity.details().unwrap();
    assert_eq!((record.zone, record.authority), (zone, managed.authority().id()));
    assert_eq!(identity.revocation_key(), Some(record.revocation_key));
    assert_eq!(record.fingerprint_sha256, details.fingerprint_sha256);
    assert_eq!(record.ski.to_uppercase(), details.ski);
    assert_eq!(record.serial.hex().to_uppercase(), details.serial);
    assert_eq!(details.issuer_ski, managed.authority().ski().unwrap());
    assert_eq!((record.subject.common_name.as_str(), details.subject_dn.as_str()), ("device 7", "CN=device 7"));
    assert_eq!(record.issued_on.rfc3339_seconds(), "2026-11-24T00:00:00Z");
    assert_eq!(record.expires_on.rfc3339_seconds(), "2027-11-24T00:00:00Z");
    assert_eq!(
        (details.not_before.as_str(), details.not_after.as_str()),
        ("Nov 23 23:00:00 2026 GMT", "Nov 24 00:00:00 2027 GMT")
    );
    assert!(record.serial.hex().len() > 24, "a serial of 128 random bits");
    assert_eq!(record.signature, "ECDSAWithSHA256");
}

#[test]
fn an_issued_certificate_can_do_nothing_but_authenticate_a_client() {
    use x509_parser::prelude::FromDer as _;
    let (_, managed) = zone("a.example");
    let der = der(&issued(&managed).certificate);
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(&der).unwrap();
    assert!(!certificate.basic_constraints().unwrap().unwrap().value.ca);
    let usage = certificate.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && !usage.key_cert_sign() && !usage.key_encipherment() && !usage.crl_sign());
    let extended = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.client_auth && !extended.server_auth && !extended.any);
    let (_, authority) =
        x509_parser::certificate::X509Certificate::from_der(managed.authority().certificate()).unwrap();
    let constraints = authority.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    assert!(authority.key_usage().unwrap().unwrap().value.key_cert_sign());
}

#[test]
fn a_stored_authority_goes_on_issuing() {
    let (zone, managed) = zone("a.example");
    let public = Authority::clone(managed.authority());
    let again = ManagedAuthority::new(public, zone, managed.key_der().secret_pkcs8_der()).unwrap();
    let anchors = TrustAnchors::new(&[Arc::clone(managed.authority())]);
    assert_eq!(outcome(&[der(&issued(&again).certificate)], &anchors), Ok(()));
}

#[test]
fn an_authority_does_not_take_the_key_of_another() {
    let ((zone, here), (_, there)) = (zone("a.example"), zone("b.example"));
    let mixed = ManagedAuthority::new(Authority::clone(here.authority()), zone, there.key_der().secret_pkcs8_der());
    assert_eq!(mixed.unwrap_err(), IssueError::KeyMismatch);
}

#[test]
fn a_validity_is_one_day_to_ten_years() {
    let accepted: Vec<_> = [0, 1, 3_650, 3_651].into_iter().map(|days| Validity::days(days).is_ok()).collect();
    assert_eq!(accepted, [false, true, true, false]);
}

#[test]
fn a_certificate_never_outlives_its_authority() {
    let (_, managed) = zone("a.example");
    let (request, _) = CertificateRequest::with_new_key(SubjectParts::default()).unwrap();
    let ten_years = Validity::days(MAX_VALIDITY_DAYS).unwrap();
    assert!(managed.issue(&request, ten_years, at(3_650 * DAY)).is_ok());
    let error = managed.issue(&request, ten_years, at(3_650 * DAY + 1)).unwrap_err();
    assert_eq!(error, IssueError::OutlivesAuthority(managed.authority().not_after()));
}

#[test]
fn a_client_without_labels_is_called_by_its_serial() {
    let (_, managed) = zone("a.example");
    let (request, _) = CertificateRequest::with_new_key(SubjectParts::default()).unwrap();
    let record = managed.issue(&request, Validity::days(1).unwrap(), now()).unwrap();
    let identity = ClientIdentity::from_chain(&[der(&record.certificate)], &TrustAnchors::none(), now());
    let name = identity.details().unwrap().subject_dn.clone();
    assert!(name.starts_with("CN=") && name.len() == 35, "{name}");
}

// Requests.

fn csr(algorithm: &'static rcgen::SignatureAlgorithm) -> String {
    let key = KeyPair::generate_for(algorithm).unwrap();
    csr_params().serialize_request(&key).unwrap().pem().unwrap()
}

fn csr_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "asked");
    params.distinguished_name.push(DnType::OrganizationName, "Org");
    params
}

#[test]
fn requests_with_keys_in_use_are_answered() {
    let (_, managed) = zone("a.example");
    let anchors = TrustAnchors::new(&[Arc::clone(managed.authority())]);
    for algorithm in
        [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256]
    {
        let pem = csr(algorithm);
        let request = CertificateRequest::from_pem(&pem).unwrap();
        assert_eq!((request.subject().common_name.as_str(), request.subject().organization.as_str()), ("asked", "Org"));
        let record = managed.issue(&request, Validity::days(1).unwrap(), now()).unwrap();
        assert_eq!(record.csr.as_deref(), Some(pem.as_str()));
        assert_eq!(outcome(&[der(&record.certificate)], &anchors), Ok(()), "{algorithm:?}");
    }
}

#[test]
fn what_a_request_asks_for_beside_a_name_is_ignored() {
    use x509_parser::prelude::FromDer as _;
    let (_, managed) = zone("a.example");
    let mut params = csr_params();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
    params.subject_alt_names = vec![rcgen::SanType::DnsName("evil.example".try_into().unwrap())];
    let pem = params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    let request = CertificateRequest::from_pem(&pem).unwrap();
    let der = der(&managed.issue(&request, Validity::days(1).unwrap(), now()).unwrap().certificate);
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(&der).unwrap();
    assert!(!certificate.is_ca() && !certificate.key_usage().unwrap().unwrap().value.key_cert_sign());
    assert!(certificate.subject_alternative_name().unwrap().is_none());
    assert!(!certificate.extended_key_usage().unwrap().unwrap().value.any);
}

#[test]
fn a_bad_request_is_refused_with_its_reason() {
    let good = csr(&rcgen::PKCS_ECDSA_P256_SHA256);
    let der_of = |pem: &str| {
        use rustls_pki_types::pem::PemObject as _;
        rustls_pki_types::CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
    };
    let mut forged = der_of(&good);
    *forged.last_mut().unwrap() ^= 1;
    let trailing = [der_of(&good), vec![0]].concat();
    let with_subject = |kind, value: String| {
        let mut params = csr_params();
        params.distinguished_name.push(kind, value);
        der_of(&params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap())
    };
    let from_der = CertificateRequest::from_der;
    let table = [
        (from_der(&forged), "not signed by its own key"),
        (from_der(&trailing), "bytes after its end"),
        (from_der(b"garbage"), "malformed"),
        (from_der(&vec![0; CSR_BYTES + 1]), "longer than 16384"),
        (CertificateRequest::from_pem("garbage"), "not PEM"),
        (CertificateRequest::from_pem(&"x".repeat(CSR_BYTES + 1)), "longer than 16384"),
        (from_der(&der_of(&csr(&rcgen::PKCS_ECDSA_P521_SHA512))), "not accepted"),
        (from_der(&with_subject(DnType::LocalityName, "x".repeat(SUBJECT_VALUE_BYTES + 1))), "longer than 256"),
        (from_der(&with_subject(DnType::LocalityName, "a\r\nb".to_owned())), "control character"),
        (from_der(&with_subject(DnType::LocalityName, "a\0b".to_owned())), "control character"),
    ];
    for (outcome, reason) in table {
        let error = outcome.expect_err(reason).to_string();
        assert!(error.contains(reason), "{error:?} instead of {reason:?}");
    }
    assert!(from_der(&with_subject(DnType::LocalityName, "x".repeat(SUBJECT_VALUE_BYTES))).is_ok());
}

#[test]
fn a_request_with_carriage_returns_is_kept_as_it_was_sent() {
    let crlf = csr(&rcgen::PKCS_ECDSA_P256_SHA256).replace('\n', "\r\n");
    assert_eq!(CertificateRequest::from_pem(&crlf).unwrap().pem.as_deref(), Some(crlf.as_str()));
}

// Authorities.

#[test]
fn only_a_certificate_that_may_issue_is_an_authority() {
    let root = ca("root");
    let mut params = ca_params("no signing");
    params.key_usages = vec![KeyUsagePurpose::CrlSign];
    let no_signing = ca_with(params);
    let mut params = ca_params("no usage");
    params.key_usages = Vec::new();
    let no_usage = ca_with(params);
    let read =
        |der: &[u8]| Authority::from_der(AuthorityId::generate(), None, "", der, Timestamp::from(now())).map(|_| ());
    assert_eq!(read(root.der()), Ok(()));
    assert_eq!(read(no_usage.der()), Ok(()));
    assert_eq!(read(no_signing.der()), Err(AuthorityError::NoCertificateSigning));
    assert_eq!(read(&leaf(&root, |_| ())), Err(AuthorityError::NotAnAuthority));
    assert!(matches!(read(b"garbage"), Err(AuthorityError::Malformed(_))));
}

#[test]
fn the_key_hash_of_an_authority_is_that_of_its_key_info() {
    let root = ca("root");
    use rcgen::PublicKeyData as _;
    let spki = root.key().subject_public_key_info();
    assert_eq!(*authority(&root).key_hash(), IssuerKeyHash::of_spki(&spki));
}

// The cache.

#[test]
fn a_cached_verdict_is_for_the_same_bytes_and_the_same_authorities_only() {
    let (root, other) = (ca("root"), ca("other"));
    let middle = sub_ca("middle", &root);
    let client = leaf(&middle, |_| ());
    let complete = [client.clone(), middle.der().clone()];
    let trusted = anchors(&[&root]);
    let mut cache = ChainCache::new(8);
    assert!(!cache.identify(&[client], &trusted, now()).verified(now()));
    assert!(cache.is_empty(), "a failure is not remembered");
    assert!(cache.identify(&complete, &trusted, now()).verified(now()));
    assert_eq!(cache.len(), 1);
    assert!(!cache.identify(&complete, &anchors(&[&other]), now()).verified(now()));
    assert!(!cache.identify(&complete, &TrustAnchors::none(), now()).verified(now()));
    assert!(cache.identify(&complete, &anchors(&[&root]), now()).verified(now()), "equal authorities, another value");
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_cached_verdict_ends_with_the_certificate() {
    let root = ca("root");
    let chain = [leaf(&root, |_| ())];
    let (trusted, mut cache) = (anchors(&[&root]), ChainCache::new(8));
    assert!(cache.identify(&chain, &trusted, now()).verified(now()));
    assert_eq!(cache.identify(&chain, &trusted, at(2 * DAY)).failure(at(2 * DAY)), Some(VerifyFailure::Expired));
}

#[test]
fn a_full_cache_forgets_the_oldest_verdict() {
    let root = ca("root");
    let (trusted, mut cache) = (anchors(&[&root]), ChainCache::new(2));
    let chains: Vec<_> = (0..3).map(|_| [leaf(&root, |_| ())]).collect();
    chains.iter().for_each(|chain| assert!(cache.identify(chain, &trusted, now()).verified(now())));
    assert_eq!(cache.len(), 2);
    let mut none = ChainCache::new(0);
    assert!(none.identify(&chains[0], &trusted, now()).verified(now()));
    assert!(none.is_empty());
}
