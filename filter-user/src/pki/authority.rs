//! The public side of a certificate authority.

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use thiserror::Error;
use webpki::anchor_from_trusted_cert;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{KeyUsage, ParsedExtension};

use super::{details, name};
use crate::model::{AuthorityId, Timestamp, ZoneId};
use crate::revocation::IssuerKeyHash;

/// Why a certificate is no certificate authority.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// Not a certificate at all.
    #[error("this is not an X.509 version 3 certificate: {0}")]
    Malformed(String),
    /// No basic constraints, or `CA:FALSE`.
    #[error("this certificate must not issue others: its basic constraints do not say CA:TRUE")]
    NotAnAuthority,
    /// The key usage excludes signing certificates.
    #[error("this certificate must not issue others: its key usage lacks keyCertSign")]
    NoCertificateSigning,
    /// Its time is over.
    #[error("this certificate expired at {0}")]
    Expired(Timestamp),
}

/// A certificate authority: whom to believe, without the means to issue.
#[derive(Clone, Debug)]
pub struct Authority {
    id: AuthorityId,
    zone: Option<ZoneId>,
    name: String,
    certificate: CertificateDer<'static>,
    anchor: TrustAnchor<'static>,
    key_hash: IssuerKeyHash,
    facts: Facts,
    created: Timestamp,
}

/// What is read of the certificate once.
#[derive(Clone, Debug)]
struct Facts {
    subject: String,
    serial: String,
    ski: Option<String>,
    not_before: Timestamp,
    not_after: Timestamp,
    spki: Vec<u8>,
    signs_crls: bool,
}

impl Authority {
    /// Reads a CA certificate. It need not be self-signed, and it may be expired: what to do then is for the caller.
    pub fn from_der(
        id: AuthorityId,
        zone: Option<ZoneId>,
        name: impl Into<String>,
        certificate: &[u8],
        created: Timestamp,
    ) -> Result<Self, AuthorityError> {
        let facts = Facts::read(certificate)?;
        let certificate = CertificateDer::from(certificate.to_vec());
        let anchor = anchor_from_trusted_cert(&certificate)
            .map_err(|error| AuthorityError::Malformed(error.to_string()))?
            .to_owned();
        let key_hash = IssuerKeyHash::of_spki(&facts.spki);
        Ok(Self { id, zone, name: name.into(), certificate, anchor, key_hash, facts, created })
    }

    /// Its id.
    pub fn id(&self) -> AuthorityId {
        self.id
    }

    /// The zone it is bound to.
    pub fn zone(&self) -> Option<ZoneId> {
        self.zone
    }

    /// Its name for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its subject, as RFC 2253 writes it.
    pub fn subject(&self) -> &str {
        &self.facts.subject
    }

    /// Its serial number, upper-case hexadecimal.
    pub fn serial(&self) -> &str {
        &self.facts.serial
    }

    /// Its subject key identifier, upper-case hexadecimal.
    pub fn ski(&self) -> Option<&str> {
        self.facts.ski.as_deref()
    }

    /// The hash of its key, by which revocations name it.
    pub fn key_hash(&self) -> &IssuerKeyHash {
        &self.key_hash
    }

    /// First moment it is good.
    pub fn not_before(&self) -> Timestamp {
        self.facts.not_before
    }

    /// Last moment it is good.
    pub fn not_after(&self) -> Timestamp {
        self.facts.not_after
    }

    /// When it was made or uploaded.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// Whether its own certificate is good at this moment.
    pub fn is_valid_at(&self, now: UnixTime) -> bool {
        let now = Timestamp::from(now);
        self.facts.not_before <= now && now <= self.facts.not_after
    }

    pub(super) fn anchor(&self) -> &TrustAnchor<'static> {
        &self.anchor
    }

    /// Whether its key usage allows CRLs.
    pub(super) fn may_sign_crls(&self) -> bool {
        self.facts.signs_crls
    }

    /// Its key, a DER-encoded `SubjectPublicKeyInfo`.
    pub(super) fn spki(&self) -> &[u8] {
        &self.facts.spki
    }
}

impl Facts {
    fn read(certificate: &[u8]) -> Result<Self, AuthorityError> {
        let parsed = details::parse(certificate).map_err(|reason| AuthorityError::Malformed(reason.to_owned()))?;
        if !is_authority(&parsed) {
            return Err(AuthorityError::NotAnAuthority);
        }
        if !may_sign_certificates(&parsed) {
            return Err(AuthorityError::NoCertificateSigning);
        }
        Ok(Self {
            subject: name::rfc2253(parsed.subject()),
            serial: details::upper_hex(details::significant(parsed.raw_serial())),
            ski: details::ski(&parsed).map(details::upper_hex),
            not_before: Timestamp::from_unix_seconds(parsed.validity().not_before.timestamp()),
            not_after: Timestamp::from_unix_seconds(parsed.validity().not_after.timestamp()),
            spki: parsed.public_key().raw.to_vec(),
            signs_crls: key_usage_allows(&parsed, KeyUsage::crl_sign),
        })
    }
}

fn is_authority(certificate: &X509Certificate<'_>) -> bool {
    matches!(certificate.basic_constraints(), Ok(Some(constraints)) if constraints.value.ca)
}

/// Whether a certificate may sign others; `webpki` leaves this to us.
pub(super) fn may_sign_certificates(certificate: &X509Certificate<'_>) -> bool {
    key_usage_allows(certificate, KeyUsage::key_cert_sign)
}

/// RFC 5280: a certificate without the extension may do everything.
fn key_usage_allows(certificate: &X509Certificate<'_>, usage: impl Fn(&KeyUsage) -> bool) -> bool {
    let mut usages = certificate.iter_extensions().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::KeyUsage(found) => Some(usage(found)),
        ParsedExtension::ParseError { .. } if extension.oid.to_id_string() == "2.5.29.15" => Some(false),
        _ => None,
    });
    usages.all(|allowed| allowed)
}
