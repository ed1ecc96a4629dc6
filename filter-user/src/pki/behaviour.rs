//! What chains are worth, as a table; what is remembered of them.

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls_pki_types::CertificateDer;

use super::test_support::*;
use super::*;
use crate::model::{AuthorityId, Timestamp};
use crate::revocation::{CrlFreshness, IssuerKeyHash, RevocationKey, RevocationSet};

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
fn every_request_is_told_what_is_true_then() {
    let root = ca("root");
    let middle = sub_ca("middle", &root);
    let chain = [leaf(&middle, |_| ()), middle.der().clone()];
    let identity = ClientIdentity::from_chain(&chain, &anchors(&[&root]), now());
    let set = RevocationSet::new();
    let reader = set.reader();
    let good = CertStatus { presented: true, verified: true, revoked: false, failure: None };
    let failed = |failure| CertStatus { verified: false, revoked: false, failure: Some(failure), ..good };
    assert_eq!(identity.status(now(), &reader), good);
    let key = identity.revocation_key().unwrap();
    set.insert(key);
    assert_eq!(identity.status(now(), &reader), CertStatus { revoked: true, ..good });
    // An expired certificate is not verified, and what is not verified is not revoked either.
    assert_eq!(identity.status(at(2 * DAY), &reader), failed(VerifyFailure::Expired));
    set.remove(&key);
    assert_eq!(identity.status(now(), &reader), good);
    // The CRL of any issuer on the path counts, the authority's and the intermediate's.
    for issuer in [&root, &middle] {
        let hash = *authority(issuer).key_hash();
        set.require_crls(vec![(hash, CrlFreshness::Missing)]);
        assert_eq!(identity.status(now(), &reader), failed(VerifyFailure::CrlMissing));
        set.require_crls(vec![(hash, CrlFreshness::Until(at(5)))]);
        assert_eq!(identity.status(at(5), &reader), good);
        assert_eq!(identity.status(at(6), &reader), failed(VerifyFailure::CrlExpired));
    }
    assert_eq!(ClientIdentity::none().status(now(), &reader), CertStatus::default());
    let stranger = ClientIdentity::from_chain(&chain[..1], &anchors(&[&root]), now());
    assert_eq!(stranger.status(now(), &reader), failed(VerifyFailure::UnknownIssuer));
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

/// A chain whose making is not repeated for every case.
fn sample() -> &'static (TrustAnchors, [CertificateDer<'static>; 2]) {
    static SAMPLE: std::sync::OnceLock<(TrustAnchors, [CertificateDer<'static>; 2])> = std::sync::OnceLock::new();
    SAMPLE.get_or_init(|| {
        let root = ca("root");
        let middle = sub_ca("middle", &root);
        (anchors(&[&root]), [leaf(&middle, |_| ()), middle.der().clone()])
    })
}

proptest! {
    #[test]
    fn no_changed_byte_of_a_chain_is_verified_or_makes_anything_panic(
        second: bool, place in 0_usize..2_000, change in 1_u8..=255, cut in proptest::option::of(0_usize..500),
    ) {
        let (anchors, chain) = sample();
        let mut chain = chain.clone();
        let mut bytes = chain[usize::from(second)].to_vec();
        let place = place % bytes.len();
        bytes[place] ^= change;
        bytes.truncate(cut.unwrap_or(bytes.len()));
        chain[usize::from(second)] = bytes.into();
        let identity = ClientIdentity::from_chain(&chain, anchors, now());
        prop_assert!(identity.presented() && !identity.verified(now()));
        let details = identity.details().unwrap();
        let printable = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        prop_assert!(printable(&details.subject_dn) && printable(&details.subject_dn_legacy));
        prop_assert!(printable(&details.issuer_dn) && printable(&details.issuer_dn_legacy));
    }
}
