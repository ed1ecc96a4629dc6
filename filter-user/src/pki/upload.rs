//! Authorities that operators bring.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{PemObject as _, SectionKind, from_buf};
use thiserror::Error;
use webpki::ALL_VERIFICATION_ALGS;
use x509_parser::certificate::X509Certificate;

use super::authority::{Authority, AuthorityError};
use super::der::Signed;
use super::limits::{UPLOAD_BYTES, UPLOAD_CERTIFICATES};
use super::{details, managed, name, signature};
use crate::model::{AuthorityId, AuthorityKind, AuthorityRecord, Timestamp, ZoneId};

/// Why an uploaded authority is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UploadError {
    /// More bytes than any authority needs.
    #[error("the upload is longer than {UPLOAD_BYTES} bytes")]
    TooLarge,
    /// More certificates than make one upload.
    #[error("the upload holds more than {UPLOAD_CERTIFICATES} certificates")]
    TooMany,
    /// Nothing in it.
    #[error("the upload holds no certificate: expected -----BEGIN CERTIFICATE-----")]
    Empty,
    /// Broken PEM.
    #[error("the upload is not PEM: {0}")]
    NotPem(String),
    /// Somebody sent a secret that is not needed.
    #[error(
        "the upload holds a private key; an authority is trusted by its certificate alone: keep the key, and replace it if this connection was not private"
    )]
    PrivateKey,
    /// One of the certificates will not do.
    #[error("certificate {place}: {problem}")]
    Certificate {
        /// Which one, counted from 1.
        place: usize,
        /// Why not.
        problem: String,
    },
}

/// An authority that may be stored, and what the API tells of it.
#[derive(Clone, Debug)]
pub struct UploadedAuthority {
    /// The record to store.
    pub record: AuthorityRecord,
    /// The issuer, as RFC 2253 writes it.
    pub issuer: String,
    /// The serial number, decimal.
    pub serial_decimal: String,
    /// How it is signed, such as `SHA256WithRSA`.
    pub signature: String,
    /// Last moment it is good.
    pub expires_on: Timestamp,
    /// SHA-256 over the certificate, lower-case hexadecimal.
    pub fingerprint_sha256: String,
}

impl UploadedAuthority {
    /// What there is to tell of an authority that was stored; it may have expired since.
    ///
    /// # Errors
    /// What is wrong with its certificate.
    pub fn of_record(record: AuthorityRecord) -> Result<Self, String> {
        let parsed = details::parse(&record.certificate).map_err(str::to_owned)?;
        Ok(Self {
            issuer: name::rfc2253(parsed.issuer()),
            serial_decimal: parsed.serial.to_string(),
            signature: signature_name(&parsed),
            expires_on: Timestamp::from_unix_seconds(parsed.validity().not_after.timestamp()),
            fingerprint_sha256: managed::fingerprint(&record.certificate),
            record,
        })
    }
}

/// Checks an upload, and makes an authority of each of its certificates.
///
/// Each must be a CA certificate that may sign certificates, be within its validity, have a key that certificates can be
/// checked with, and, if it claims to have issued itself, really have.
pub fn uploaded_authorities(
    pem: &str,
    name: &str,
    zone: Option<ZoneId>,
    now: Timestamp,
) -> Result<Vec<UploadedAuthority>, UploadError> {
    let certificates = certificates(pem)?;
    let checked = certificates.iter().enumerate().map(|(place, der)| {
        check(der, name, zone, now)
            .map_err(|problem| UploadError::Certificate { place: place.saturating_add(1), problem })
    });
    checked.collect()
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, UploadError> {
    if pem.len() > UPLOAD_BYTES {
        return Err(UploadError::TooLarge);
    }
    let mut certificates = Vec::new();
    let mut rest = pem.as_bytes();
    while let Some((kind, der)) = from_buf(&mut rest).map_err(|error| UploadError::NotPem(format!("{error:?}")))? {
        match kind {
            SectionKind::Certificate if certificates.len() == UPLOAD_CERTIFICATES => return Err(UploadError::TooMany),
            SectionKind::Certificate => certificates.extend(CertificateDer::from_pem(kind, der)),
            SectionKind::PrivateKey | SectionKind::EcPrivateKey | SectionKind::RsaPrivateKey => {
                return Err(UploadError::PrivateKey);
            }
            _ => {}
        }
    }
    if certificates.is_empty() { Err(UploadError::Empty) } else { Ok(certificates) }
}

fn check(der: &[u8], name: &str, zone: Option<ZoneId>, now: Timestamp) -> Result<UploadedAuthority, String> {
    let id = AuthorityId::generate();
    let authority = Authority::from_der(id, zone, name, der, now).map_err(|error| error.to_string())?;
    if now > authority.not_after() {
        return Err(AuthorityError::Expired(authority.not_after()).to_string());
    }
    let parsed = details::parse(der).map_err(str::to_owned)?;
    check_key(&authority)?;
    if parsed.issuer().as_raw() == parsed.subject().as_raw() {
        let signed = Signed::parse(der).ok_or("its encoding is broken")?;
        match signature::verify(&signed, authority.spki()) {
            // A root is trusted for its key, not for its own signature; old ones have SHA-1 there.
            Ok(()) | Err(signature::SignatureError::Unsupported) => {}
            Err(error) => return Err(format!("it names itself as its issuer, but {error}")),
        }
    }
    UploadedAuthority::of_record(AuthorityRecord {
        id,
        zone,
        name: name.to_owned(),
        kind: AuthorityKind::Uploaded,
        certificate: der.to_vec(),
        key: None,
        created: now,
        retired: None,
    })
}

/// A key that no certificate can be checked with would make an authority that refuses everybody.
fn check_key(authority: &Authority) -> Result<(), String> {
    let (algorithm, key) = signature::split_key(authority.spki()).ok_or("its key is malformed")?;
    let known = ALL_VERIFICATION_ALGS.iter().any(|known| known.public_key_alg_id().as_ref() == algorithm);
    // Below 2048 bits the modulus and its wrapping are shorter than this.
    const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    let is_short = algorithm.starts_with(RSA) && key.len() < super::limits::MIN_RSA_BITS / 8;
    if known && !is_short {
        return Ok(());
    }
    Err("its key is not accepted: use RSA of 2048 to 8192 bits, P-256, P-384, P-521 or Ed25519".to_owned())
}

/// The name that the API has for a signature algorithm.
fn signature_name(certificate: &X509Certificate<'_>) -> String {
    let oid = certificate.signature_algorithm.algorithm.to_id_string();
    let known = match oid.as_str() {
        "1.2.840.113549.1.1.5" => "SHA1WithRSA",
        "1.2.840.113549.1.1.11" => "SHA256WithRSA",
        "1.2.840.113549.1.1.12" => "SHA384WithRSA",
        "1.2.840.113549.1.1.13" => "SHA512WithRSA",
        "1.2.840.113549.1.1.10" => "RSAPSS",
        "1.2.840.10045.4.1" => "ECDSAWithSHA1",
        "1.2.840.10045.4.3.2" => "ECDSAWithSHA256",
        "1.2.840.10045.4.3.3" => "ECDSAWithSHA384",
        "1.2.840.10045.4.3.4" => "ECDSAWithSHA512",
        "1.3.101.112" => "Ed25519",
        other => other,
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedIssuer, KeyPair};

    use super::*;
    use crate::pki::test_support::{Ca, at, ca, ca_params, ca_with, date, leaf, sub_ca};

    fn upload(pem: &str) -> Result<Vec<UploadedAuthority>, UploadError> {
        uploaded_authorities(pem, "corporate", None, at(0).into())
    }

    fn pem(der: &[u8]) -> String {
        use base64::Engine as _;
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    }

    fn with_key(algorithm: &'static rcgen::SignatureAlgorithm) -> Ca {
        CertifiedIssuer::self_signed(ca_params("root"), KeyPair::generate_for(algorithm).unwrap()).unwrap()
    }

    #[test]
    fn roots_and_intermediates_with_keys_in_use_are_taken() {
        let root = ca("root");
        let bundle = [root.pem(), "a comment\n".to_owned(), sub_ca("middle", &root).pem()].concat();
        let taken = upload(&bundle).unwrap();
        assert_eq!(taken.iter().map(|taken| taken.issuer.as_str()).collect::<Vec<_>>(), ["CN=root", "CN=root"]);
        assert_eq!((taken[0].record.name.as_str(), taken[0].record.kind), ("corporate", AuthorityKind::Uploaded));
        for (algorithm, name) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, "ECDSAWithSHA256"),
            (&rcgen::PKCS_ECDSA_P384_SHA384, "ECDSAWithSHA384"),
            (&rcgen::PKCS_ED25519, "Ed25519"),
            (&rcgen::PKCS_RSA_SHA512, "SHA512WithRSA"),
        ] {
            assert_eq!(upload(&with_key(algorithm).pem()).unwrap()[0].signature, name);
        }
    }

    #[test]
    fn what_is_no_authority_is_refused_with_its_reason() {
        let root = ca("root");
        let mut expired = ca_params("root");
        expired.not_after = date(-1);
        let mut forged = root.der().to_vec();
        *forged.last_mut().unwrap() ^= 1;
        let key = KeyPair::generate().unwrap().serialize_pem();
        let table = [
            ("", "holds no certificate"),
            ("garbage", "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", "not PEM"),
            (&pem(b"garbage"), "certificate 1: this is not an X.509"),
            (
                &[root.pem(), pem(&leaf(&root, |_| ()))].concat(),
                "certificate 2: this certificate must not issue others",
            ),
            (&ca_with(expired).pem(), "expired at 2026-11-23T23:59:59Z"),
            (&pem(&forged), "names itself as its issuer, but the signature does not match"),
            (&[root.pem(), key].concat(), "private key"),
            (&"x".repeat(UPLOAD_BYTES + 1), "longer than"),
            (&root.pem().repeat(UPLOAD_CERTIFICATES + 1), "more than 10 certificates"),
        ];
        for (pem, reason) in table {
            let error = upload(pem).expect_err(reason).to_string();
            assert!(error.contains(reason), "{error:?} instead of {reason:?}");
        }
        assert_eq!(upload(&root.pem().repeat(UPLOAD_CERTIFICATES)).unwrap().len(), UPLOAD_CERTIFICATES);
    }
}
