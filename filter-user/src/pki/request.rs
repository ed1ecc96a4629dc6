//! What somebody asks a certificate for.

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SubjectPublicKeyInfo};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use thiserror::Error;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;

use super::der::Signed;
use super::limits::{CSR_BYTES, MIN_RSA_BITS, SUBJECT_VALUE_BYTES};
use super::{name, signature};
use crate::model::SubjectParts;

/// Why a request cannot be answered with a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Longer than any sensible request.
    #[error("the certificate request is longer than {CSR_BYTES} bytes")]
    TooLarge,
    /// Not PEM with a `CERTIFICATE REQUEST`.
    #[error("the certificate request is not PEM: expected -----BEGIN CERTIFICATE REQUEST-----")]
    NotPem,
    /// Not PKCS#10.
    #[error("the certificate request is malformed: {0}")]
    Malformed(&'static str),
    /// Somebody asks for a certificate for a key he does not hold, or the request was damaged.
    #[error("the certificate request is not signed by its own key: {0}")]
    BadSignature(String),
    /// Too weak, or not in use.
    #[error(
        "the key of the certificate request is not accepted: {0}; use RSA of 2048 to 8192 bits, P-256, P-384 or Ed25519"
    )]
    UnacceptableKey(String),
    /// A label that would cause trouble where it is shown.
    #[error("the {field} of the subject {problem}")]
    UnacceptableSubject {
        /// Which label.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// A request whose maker holds the key. Extensions it asks for do not count.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    pub(super) public_key: SubjectPublicKeyInfo,
    pub(super) subject: SubjectParts,
    pub(super) pem: Option<String>,
}

/// A private key that was made here. It is returned once and kept nowhere.
pub struct NewKey {
    key: KeyPair,
}

impl NewKey {
    /// PKCS#8, PEM.
    pub fn pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// PKCS#8, DER.
    pub fn der(&self) -> PrivatePkcs8KeyDer<'static> {
        self.key.serialize_der().into()
    }
}

impl CertificateRequest {
    /// Reads a PEM request and checks that it is signed by the key it is about.
    pub fn from_pem(pem: &str) -> Result<Self, RequestError> {
        if pem.len() > CSR_BYTES {
            return Err(RequestError::TooLarge);
        }
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).map_err(|_| RequestError::NotPem)?;
        Ok(Self { pem: Some(pem.to_owned()), ..Self::from_der(&der)? })
    }

    /// Reads a DER request and checks that it is signed by the key it is about.
    pub fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        if der.len() > CSR_BYTES {
            return Err(RequestError::TooLarge);
        }
        let (rest, request) =
            X509CertificationRequest::from_der(der).map_err(|_| RequestError::Malformed("its encoding is broken"))?;
        if !rest.is_empty() {
            return Err(RequestError::Malformed("there are bytes after its end"));
        }
        let info = &request.certification_request_info;
        check_key(&info.subject_pki)?;
        let signed = Signed::parse(der).ok_or(RequestError::Malformed("its encoding is not DER"))?;
        signature::verify(&signed, info.subject_pki.raw)
            .map_err(|error| RequestError::BadSignature(error.to_string()))?;
        let public_key = SubjectPublicKeyInfo::from_der(info.subject_pki.raw)
            .map_err(|error| RequestError::UnacceptableKey(error.to_string()))?;
        let subject = name::subject_parts(&info.subject);
        check_subject(&subject)?;
        Ok(Self { public_key, subject, pem: None })
    }

    /// A request for a new P-256 key, which is returned beside it.
    pub fn with_new_key(subject: SubjectParts) -> Result<(Self, NewKey), RequestError> {
        check_subject(&subject)?;
        let unacceptable = |error: rcgen::Error| RequestError::UnacceptableKey(error.to_string());
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(unacceptable)?;
        let public_key = SubjectPublicKeyInfo::from_der(&key.subject_public_key_info()).map_err(unacceptable)?;
        Ok((Self { public_key, subject, pem: None }, NewKey { key }))
    }

    /// The labels of the requested subject.
    pub fn subject(&self) -> &SubjectParts {
        &self.subject
    }
}

fn check_key(key: &x509_parser::x509::SubjectPublicKeyInfo<'_>) -> Result<(), RequestError> {
    const ED25519: &str = "1.3.101.112";
    /// P-256 and P-384.
    const CURVES: [&str; 2] = ["1.2.840.10045.3.1.7", "1.3.132.0.34"];
    let parsed = key.parsed().map_err(|_| RequestError::Malformed("its key is broken"))?;
    let problem = match parsed {
        PublicKey::RSA(rsa) if (MIN_RSA_BITS..=8_192).contains(&bits(rsa.modulus)) => return Ok(()),
        PublicKey::RSA(rsa) => format!("RSA of {} bits", bits(rsa.modulus)),
        PublicKey::EC(_) => match curve(key) {
            Some(curve) if CURVES.contains(&curve.as_str()) => return Ok(()),
            Some(curve) => format!("the elliptic curve {curve}"),
            None => "an elliptic curve without a name".to_owned(),
        },
        _ if key.algorithm.algorithm.to_id_string() == ED25519 => return Ok(()),
        _ => format!("algorithm {}", key.algorithm.algorithm.to_id_string()),
    };
    Err(RequestError::UnacceptableKey(problem))
}

/// The curve that a key is on. Its size does not tell: P-256 is one of several with points of that size.
fn curve(key: &x509_parser::x509::SubjectPublicKeyInfo<'_>) -> Option<String> {
    key.algorithm.parameters.as_ref()?.as_oid().ok().map(|curve| curve.to_id_string())
}

/// Bits of a positive integer; `x509-parser` counts those of a modulus in whole bytes.
fn bits(integer: &[u8]) -> usize {
    let significant = super::details::significant(integer);
    let unused = significant.first().map_or(0, |byte| byte.leading_zeros() as usize);
    significant.len().saturating_mul(8).saturating_sub(unused)
}

fn check_subject(subject: &SubjectParts) -> Result<(), RequestError> {
    let fields = [
        ("common name", &subject.common_name),
        ("organization", &subject.organization),
        ("organizational unit", &subject.organizational_unit),
        ("country", &subject.country),
        ("state", &subject.state),
        ("location", &subject.location),
    ];
    for (field, value) in fields {
        if value.len() > SUBJECT_VALUE_BYTES {
            let problem = format!("is longer than {SUBJECT_VALUE_BYTES} bytes");
            return Err(RequestError::UnacceptableSubject { field, problem });
        }
        if value.chars().any(char::is_control) {
            let problem = "holds a control character".to_owned();
            return Err(RequestError::UnacceptableSubject { field, problem });
        }
    }
    Ok(())
}
