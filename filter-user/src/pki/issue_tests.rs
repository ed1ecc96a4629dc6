//! What is issued, for whom, and what is refused.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use proptest::prelude::*;

use super::test_support::*;
use super::*;
use crate::model::SubjectParts;

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
fn an_issued_certificate_names_its_key_and_its_issuers_and_has_a_serial_of_its_own() {
    use x509_parser::extensions::ParsedExtension;
    use x509_parser::prelude::FromDer as _;
    let (_, managed) = zone("a.example");
    let records = [issued(&managed), issued(&managed)];
    assert_ne!(records[0].serial, records[1].serial);
    for record in &records {
        let der = der(&record.certificate);
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(&der).unwrap();
        assert!(certificate.raw_serial()[0] < 0x80, "positive");
        let mut ids: Vec<_> = certificate.extensions().iter().map(|extension| extension.oid.to_id_string()).collect();
        ids.sort();
        // Subject key identifier, key usage, basic constraints, authority key identifier, extended key usage: nothing else.
        assert_eq!(ids, ["2.5.29.14", "2.5.29.15", "2.5.29.19", "2.5.29.35", "2.5.29.37"]);
        let issuer = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(found) => found.key_identifier.as_ref().map(|id| id.0.to_vec()),
            _ => None,
        });
        let issuer = details::upper_hex(&issuer.unwrap());
        assert_eq!(Some(issuer.as_str()), managed.authority().ski());
    }
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
fn an_rsa_key_has_2048_bits_or_more() {
    let enough = CertificateRequest::from_pem(include_str!("../../testdata/rsa-2048.csr")).unwrap();
    assert_eq!(enough.subject().common_name, "rsa-2048");
    let error = CertificateRequest::from_pem(include_str!("../../testdata/rsa-2047.csr")).unwrap_err().to_string();
    assert!(error.contains("2048") && error.contains("2047"), "{error}");
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

/// A request for a key on secp256k1, which is as long as P-256, made by openssl.
const SECP256K1: &str = "\
-----BEGIN CERTIFICATE REQUEST-----
MIHCMGsCAQAwDDEKMAgGA1UEAwwBeDBWMBAGByqGSM49AgEGBSuBBAAKA0IABPy9
gBkdKoZzLFDKQLCZEGGveWiJreewlKQU29HoHKmwGHcdZtUqut5gP3ZohAk8Rgzc
bVBsTUE8r6hZK7ROfOmgADAKBggqhkjOPQQDAgNHADBEAiBqH3G6CsiIGs1rj/sx
2cm+6FcdqVtKK6KE0TYW+5QzUgIge7w+U8FxIwunr6LjtOxp4xULVuhU+Ax4qzld
Edki++Y=
-----END CERTIFICATE REQUEST-----
";

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
        (from_der(&der_of(&csr(&rcgen::PKCS_ECDSA_P521_SHA512))), "not accepted: the elliptic curve 1.3.132.0.35"),
        (CertificateRequest::from_pem(SECP256K1), "not accepted: the elliptic curve 1.3.132.0.10"),
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

proptest! {
    #[test]
    fn no_changed_byte_of_a_request_is_taken_or_makes_anything_panic(place in 0_usize..1_000, change in 1_u8..=255) {
        static SAMPLE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let sample = SAMPLE.get_or_init(|| {
            let key = KeyPair::generate().unwrap();
            csr_params().serialize_request(&key).unwrap().der().to_vec()
        });
        let mut bytes = sample.clone();
        let place = place % bytes.len();
        bytes[place] ^= change;
        prop_assert!(CertificateRequest::from_der(&bytes).is_err());
    }
}
