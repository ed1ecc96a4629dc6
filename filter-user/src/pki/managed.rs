//! An authority of our own: a certificate and the key to issue more.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SerialNumber,
};
use rustls_pki_types::{PrivatePkcs8KeyDer, UnixTime};

use super::authority::Authority;
use super::details;
use super::issue::{self, IssueError, Validity, date, random_serial, seconds};
use super::limits::{AUTHORITY_DAYS, BACKDATED_SECONDS};
use super::request::CertificateRequest;
use crate::model::{AuthorityId, CertificateRecord, Timestamp, ZoneId};

/// How managed authorities sign, as the API calls it.
pub(super) const SIGNATURE_NAME: &str = "ECDSAWithSHA256";

/// Characters of a zone's name that go into the subject of its authority; RFC 5280 allows 64 in all.
const ZONE_NAME_SHOWN: usize = 30;

/// A zone's own authority. The key is in memory only while this value lives.
pub struct ManagedAuthority {
    authority: Arc<Authority>,
    zone: ZoneId,
    issuer: Issuer<'static, KeyPair>,
}

impl ManagedAuthority {
    /// Makes an authority for a zone: ECDSA P-256, good for twenty years, able to sign leaves and CRLs only.
    ///
    /// Its subject holds a random part: no two authorities, not even of one zone, can be taken for each other.
    pub fn generate(zone: ZoneId, zone_name: &str, now: UnixTime) -> Result<Self, IssueError> {
        let id = AuthorityId::generate();
        let created = Timestamp::from(now);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let name = authority_name(zone_name, id);
        let mut params = CertificateParams::default();
        params.not_before =
            date(Timestamp::from_unix_seconds(created.unix_seconds().saturating_sub(BACKDATED_SECONDS)))?;
        params.not_after =
            date(Timestamp::from_unix_seconds(created.unix_seconds().saturating_add(seconds(AUTHORITY_DAYS))))?;
        params.serial_number = Some(SerialNumber::from_slice(&random_serial()?));
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "mtls-filter");
        params.distinguished_name.push(DnType::CommonName, name.as_str());
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        let authority = Authority::from_der(id, Some(zone), name, certificate.der(), created)
            .map_err(|error| IssueError::Generation(error.to_string()))?;
        Self::with_key(authority, zone, key)
    }

    /// An authority that was made before, with its key (PKCS#8, DER).
    pub fn new(authority: Authority, zone: ZoneId, key: &[u8]) -> Result<Self, IssueError> {
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(key), &PKCS_ECDSA_P256_SHA256)?;
        Self::with_key(authority, zone, key)
    }

    fn with_key(authority: Authority, zone: ZoneId, key: KeyPair) -> Result<Self, IssueError> {
        if key.subject_public_key_info() != authority.spki() {
            return Err(IssueError::KeyMismatch);
        }
        let issuer = Issuer::from_ca_cert_der(authority.certificate(), key)?;
        Ok(Self { authority: Arc::new(authority), zone, issuer })
    }

    /// Its public side.
    pub fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// The zone it issues for.
    pub fn zone(&self) -> ZoneId {
        self.zone
    }

    /// Its private key (PKCS#8, DER), to be sealed and stored.
    pub fn key_der(&self) -> PrivatePkcs8KeyDer<'static> {
        self.issuer.key().serialize_der().into()
    }

    /// Issues a client certificate: `CA:FALSE`, clientAuth, digitalSignature, a random 128-bit serial, key identifiers.
    pub fn issue(
        &self,
        request: &CertificateRequest,
        validity: Validity,
        now: UnixTime,
    ) -> Result<CertificateRecord, IssueError> {
        issue::issue(&self.authority, self.zone, &self.issuer, request, validity, now)
    }

    /// What signs on behalf of this authority.
    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }
}

impl fmt::Debug for ManagedAuthority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ManagedAuthority({})", self.authority.subject())
    }
}

fn authority_name(zone_name: &str, id: AuthorityId) -> String {
    let zone_name: String = zone_name.chars().take(ZONE_NAME_SHOWN).collect();
    let [a, b, c, d, ..] = *id.as_bytes();
    format!("Managed CA for {zone_name} {}", details::lower_hex(&[a, b, c, d]))
}

/// SHA-256 over a certificate, lower-case hexadecimal.
pub(super) fn fingerprint(der: &[u8]) -> String {
    details::lower_hex(digest(&SHA256, der).as_ref())
}
