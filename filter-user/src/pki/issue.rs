//! Turning a request into a certificate.

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SerialNumber,
};
use rustls_pki_types::UnixTime;
use thiserror::Error;
use time::OffsetDateTime;
use x509_parser::num_bigint::BigUint;

use super::authority::Authority;
use super::limits::{BACKDATED_SECONDS, MAX_VALIDITY_DAYS, MIN_VALIDITY_DAYS};
use super::request::CertificateRequest;
use super::{details, managed};
use crate::model::{CertificateId, CertificateRecord, CertificateStatus, Serial, SubjectParts, Timestamp, ZoneId};
use crate::revocation::RevocationKey;

/// Why no certificate was issued.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IssueError {
    /// Shorter or longer than allowed.
    #[error("a validity of {0} days is not accepted: it must be {MIN_VALIDITY_DAYS} to {MAX_VALIDITY_DAYS} days")]
    Validity(u32),
    /// The certificate would be good when its issuer is not.
    #[error("the certificate would outlive its authority, which expires at {0}: rotate the authority first")]
    OutlivesAuthority(Timestamp),
    /// The key that was stored is not the key of the authority.
    #[error("the stored private key is not the key of this authority")]
    KeyMismatch,
    /// The certificate could not be put together.
    #[error("the certificate cannot be made: {0}")]
    Generation(String),
}

impl From<rcgen::Error> for IssueError {
    fn from(error: rcgen::Error) -> Self {
        Self::Generation(error.to_string())
    }
}

/// How long a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity(u32);

impl Validity {
    /// A validity of whole days, from one day to ten years.
    pub fn days(days: u32) -> Result<Self, IssueError> {
        if (MIN_VALIDITY_DAYS..=MAX_VALIDITY_DAYS).contains(&days) {
            Ok(Self(days))
        } else {
            Err(IssueError::Validity(days))
        }
    }

    /// The number of days.
    pub const fn as_days(self) -> u32 {
        self.0
    }
}

/// Seconds of a number of days.
pub(super) fn seconds(days: u32) -> i64 {
    i64::from(days).saturating_mul(86_400)
}

/// The moment as certificates hold it.
pub(super) fn date(moment: Timestamp) -> Result<OffsetDateTime, IssueError> {
    OffsetDateTime::from_unix_timestamp(moment.unix_seconds())
        .map_err(|error| IssueError::Generation(error.to_string()))
}

/// A serial number nobody can guess or meet twice.
pub(super) fn random_serial() -> Result<[u8; 16], IssueError> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| IssueError::Generation("no randomness".to_owned()))?;
    Ok(serial)
}

pub(super) fn issue(
    authority: &Authority,
    zone: ZoneId,
    issuer: &Issuer<'_, KeyPair>,
    request: &CertificateRequest,
    validity: Validity,
    now: UnixTime,
) -> Result<CertificateRecord, IssueError> {
    let issued_on = Timestamp::from_unix_seconds(Timestamp::from(now).unix_seconds());
    let expires_on = Timestamp::from_unix_seconds(issued_on.unix_seconds().saturating_add(seconds(validity.0)));
    if expires_on > authority.not_after() {
        return Err(IssueError::OutlivesAuthority(authority.not_after()));
    }
    let backdated = Timestamp::from_unix_seconds(issued_on.unix_seconds().saturating_sub(BACKDATED_SECONDS));
    let serial = random_serial()?;
    let mut params = CertificateParams::default();
    params.not_before = date(backdated.max(authority.not_before()))?;
    params.not_after = date(expires_on)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = subject_name(&request.subject, &serial);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&request.public_key, issuer)?;
    let parsed = details::parse(certificate.der()).map_err(|reason| IssueError::Generation(reason.to_owned()))?;
    Ok(CertificateRecord {
        id: CertificateId::generate(),
        zone,
        authority: authority.id(),
        certificate: certificate.pem(),
        csr: request.pem.clone(),
        subject: request.subject.clone(),
        serial: Serial::from_bytes(&serial),
        serial_decimal: BigUint::from_bytes_be(&serial).to_string(),
        ski: details::ski(&parsed).map(details::lower_hex).unwrap_or_default(),
        fingerprint_sha256: managed::fingerprint(certificate.der()),
        signature: managed::SIGNATURE_NAME.to_owned(),
        issued_on,
        expires_on,
        validity_days: validity.0,
        status: CertificateStatus::Active,
        revoked_at: None,
        revocation_key: RevocationKey::new(authority.key_hash(), &serial),
    })
}

/// The requested labels in their customary order; somebody who asks for none is called by the serial number, because a
/// certificate without a subject is refused by much software.
fn subject_name(subject: &SubjectParts, serial: &[u8]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    let labels = [
        (DnType::CountryName, &subject.country),
        (DnType::StateOrProvinceName, &subject.state),
        (DnType::LocalityName, &subject.location),
        (DnType::OrganizationName, &subject.organization),
        (DnType::OrganizationalUnitName, &subject.organizational_unit),
        (DnType::CommonName, &subject.common_name),
    ];
    let nameless = labels.iter().all(|(_, value)| value.is_empty());
    for (kind, value) in labels.into_iter().filter(|(_, value)| !value.is_empty()) {
        name.push(kind, value.as_str());
    }
    if nameless {
        name.push(DnType::CommonName, details::lower_hex(serial));
    }
    name
}
