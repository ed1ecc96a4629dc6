//! Building and checking the path from a leaf to an authority of the host.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use rustls::DistinguishedName;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use thiserror::Error;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, Error as WebPkiError, KeyUsage, VerifiedPath};

use super::authority::{Authority, may_sign_certificates};
use super::der::{INTEGER, OBJECT_IDENTIFIER, Reader, SEQUENCE, Signed};
use super::details::{self, IssuerFacts};
use super::limits::{CHAIN_BYTES, CHAIN_CERTIFICATES};
use crate::model::{AuthorityId, Timestamp};
use crate::revocation::{IssuerKeyHash, RevocationKey};

/// id-ce-extKeyUsage, 2.5.29.37.
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];

/// Why a presented certificate is not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum VerifyFailure {
    /// No authority bound to the host issued it, directly or through what the client sent along.
    #[error("unable to get local issuer certificate")]
    UnknownIssuer,
    /// Issued by itself.
    #[error("self signed certificate")]
    SelfSigned,
    /// A certificate of the path, or its authority, is past its time.
    #[error("certificate has expired")]
    Expired,
    /// A certificate of the path, or its authority, is before its time.
    #[error("certificate is not yet valid")]
    NotYetValid,
    /// The issuer has the right name, but did not sign this.
    #[error("certificate signature failure")]
    BadSignature,
    /// Signed with an algorithm or a key that is not accepted, such as SHA-1 or RSA below 2048 bits.
    #[error("unsupported signature algorithm or key")]
    UnsupportedAlgorithm,
    /// The leaf's extended key usage does not list clientAuth.
    #[error("certificate is not meant for client authentication")]
    WrongUsage,
    /// The leaf is a CA certificate.
    #[error("a CA certificate was presented as a client certificate")]
    CaAsLeaf,
    /// A certificate of the path was issued by one that must not issue.
    #[error("the issuer must not issue certificates")]
    IssuerNotCa,
    /// A path longer than one of its authorities allows.
    #[error("path length constraint exceeded")]
    PathTooLong,
    /// A name that one of the authorities must not vouch for.
    #[error("permitted name subtree violation")]
    NameConstraint,
    /// Not a certificate, or one with critical content nobody here understands.
    #[error("malformed certificate")]
    Malformed,
    /// More certificates or bytes than the limits allow.
    #[error("certificate chain too large")]
    TooLarge,
    /// More possible paths than anybody tries.
    #[error("certificate chain too complex")]
    TooComplex,
    /// An issuer of the path must publish a CRL, and none was loaded yet: nobody can tell whether it revoked this.
    #[error("no CRL of the issuer was loaded")]
    CrlMissing,
    /// An issuer of the path must publish a CRL, and the one that was loaded is past its `nextUpdate`.
    #[error("CRL has expired")]
    CrlExpired,
}

impl VerifyFailure {
    /// Every reason, for metrics that start at zero.
    pub const ALL: [Self; 16] = [
        Self::UnknownIssuer,
        Self::SelfSigned,
        Self::Expired,
        Self::NotYetValid,
        Self::BadSignature,
        Self::UnsupportedAlgorithm,
        Self::WrongUsage,
        Self::CaAsLeaf,
        Self::IssuerNotCa,
        Self::PathTooLong,
        Self::NameConstraint,
        Self::Malformed,
        Self::TooLarge,
        Self::TooComplex,
        Self::CrlMissing,
        Self::CrlExpired,
    ];

    /// A short name for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownIssuer => "unknown_issuer",
            Self::SelfSigned => "self_signed",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::BadSignature => "bad_signature",
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::WrongUsage => "wrong_usage",
            Self::CaAsLeaf => "ca_as_leaf",
            Self::IssuerNotCa => "issuer_not_ca",
            Self::PathTooLong => "path_too_long",
            Self::NameConstraint => "name_constraint",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::TooComplex => "too_complex",
            Self::CrlMissing => "crl_missing",
            Self::CrlExpired => "crl_expired",
        }
    }
}

impl From<WebPkiError> for VerifyFailure {
    fn from(error: WebPkiError) -> Self {
        use WebPkiError as E;
        match error {
            E::CertExpired { .. } | E::InvalidCertValidity => Self::Expired,
            E::CertNotValidYet { .. } => Self::NotYetValid,
            E::UnknownIssuer => Self::UnknownIssuer,
            E::InvalidSignatureForPublicKey => Self::BadSignature,
            E::SignatureAlgorithmMismatch
            | E::UnsupportedSignatureAlgorithmContext(_)
            | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => Self::UnsupportedAlgorithm,
            E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => Self::WrongUsage,
            E::CaUsedAsEndEntity => Self::CaAsLeaf,
            E::EndEntityUsedAsCa => Self::IssuerNotCa,
            E::PathLenConstraintViolated | E::MaximumPathDepthExceeded => Self::PathTooLong,
            E::NameConstraintViolation => Self::NameConstraint,
            E::MaximumNameConstraintComparisonsExceeded
            | E::MaximumPathBuildCallsExceeded
            | E::MaximumSignatureChecksExceeded => Self::TooComplex,
            // Everything else is about how the certificate is written. `webpki` may add reasons, hence no full list.
            _ => Self::Malformed,
        }
    }
}

/// The authorities bound to one host. Cheap to clone; shared by all connections to the host.
#[derive(Clone, Debug)]
pub struct TrustAnchors {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    authorities: Vec<Arc<Authority>>,
    anchors: Vec<TrustAnchor<'static>>,
    hints: Vec<DistinguishedName>,
    digest: [u8; 32],
}

impl TrustAnchors {
    /// The given authorities; the same one twice counts once.
    pub fn new(authorities: &[Arc<Authority>]) -> Self {
        let mut authorities = authorities.to_vec();
        authorities.sort_by(|one, two| one.certificate().cmp(two.certificate()));
        authorities.dedup_by(|one, two| one.certificate() == two.certificate());
        let mut context = Context::new(&SHA256);
        for authority in &authorities {
            context.update(&u64::try_from(authority.certificate().len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(authority.certificate());
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        let anchors: Vec<_> = authorities.iter().map(|authority| authority.anchor().clone()).collect();
        let subjects: BTreeSet<&[u8]> = anchors.iter().map(|anchor| anchor.subject.as_ref()).collect();
        let hints = subjects.into_iter().map(DistinguishedName::in_sequence).collect();
        Self { inner: Arc::new(Inner { authorities, anchors, hints, digest }) }
    }

    /// No authority: nobody is verified.
    pub fn none() -> Self {
        Self::new(&[])
    }

    /// The authorities.
    pub fn authorities(&self) -> &[Arc<Authority>] {
        &self.inner.authorities
    }

    /// The subjects of the authorities, as TLS asks for them.
    pub(super) fn hints(&self) -> &[DistinguishedName] {
        &self.inner.hints
    }

    /// A name of the set as a whole: the same for the same authorities, whenever it was made.
    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.inner.digest
    }

    /// The authority behind an anchor that is good now, or the reason there is none.
    ///
    /// A renewed certificate has the same subject and key as the one before: it is enough that one of them is good.
    fn authority_of(&self, anchor: &TrustAnchor<'_>, now: UnixTime) -> Result<&Arc<Authority>, WebPkiError> {
        let same = self.inner.authorities.iter().filter(|authority| authority.anchor() == anchor);
        match same.max_by_key(|authority| (authority.is_valid_at(now), authority.not_after())) {
            None => Err(WebPkiError::UnknownIssuer),
            Some(authority) if authority.is_valid_at(now) => Ok(authority),
            Some(authority) if Timestamp::from(now) < authority.not_before() => {
                Err(WebPkiError::CertNotValidYet { time: now, not_before: authority.not_before().unix_time() })
            }
            Some(authority) => {
                Err(WebPkiError::CertExpired { time: now, not_after: authority.not_after().unix_time() })
            }
        }
    }
}

impl Default for TrustAnchors {
    fn default() -> Self {
        Self::none()
    }
}

/// A path that was verified at one moment, and what has to be asked of it at later ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// The authority at its end.
    pub(super) authority: AuthorityId,
    /// The latest beginning of its certificates' lives.
    pub(super) not_before: Timestamp,
    /// The earliest end of its certificates' lives.
    pub(super) not_after: Timestamp,
    /// The name of each of its certificates in the revocation set, leaf first, the authority's own excepted.
    pub(super) revocation_keys: Vec<RevocationKey>,
    /// The key that issued each of them.
    pub(super) issuers: Vec<IssuerKeyHash>,
    /// What is known of the direct issuer.
    pub(super) issuer: IssuerFacts,
}

/// Verifies a chain, leaf first, and the rest in any order.
pub(super) fn verify(
    chain: &[CertificateDer<'_>],
    anchors: &TrustAnchors,
    now: UnixTime,
) -> Result<Path, VerifyFailure> {
    let Some((leaf, others)) = chain.split_first() else { return Err(VerifyFailure::Malformed) };
    if is_too_large(chain) {
        return Err(VerifyFailure::TooLarge);
    }
    let leaf = EndEntityCert::try_from(leaf)?;
    let acceptable = |path: &VerifiedPath<'_>| {
        for issuer in path.intermediate_certificates() {
            let der = issuer.der();
            let parsed = details::parse(&der).map_err(|_| WebPkiError::BadDer)?;
            if !may_sign_certificates(&parsed) {
                return Err(WebPkiError::EndEntityUsedAsCa);
            }
        }
        anchors.authority_of(path.anchor(), now).map(|_| ())
    };
    let verified = leaf.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        &anchors.inner.anchors,
        others,
        now,
        KeyUsage::client_auth(),
        None,
        Some(&acceptable),
    );
    match verified {
        // `webpki` lets a leaf without the extension do anything, as RFC 5280 does. Here it is required: a certificate that
        // was never meant to log somebody in must not. (Its own `KeyUsage::required` would require it of issuers too.)
        Ok(path) if has_extension(&path.end_entity().der(), EXTENDED_KEY_USAGE) => describe(&path, anchors, now),
        Ok(_) => Err(VerifyFailure::WrongUsage),
        Err(WebPkiError::UnknownIssuer) if leaf.issuer() == leaf.subject() => Err(VerifyFailure::SelfSigned),
        Err(error) => Err(error.into()),
    }
}

/// Whether a chain exceeds what is looked at.
pub(super) fn is_too_large(chain: &[CertificateDer<'_>]) -> bool {
    let bytes = chain.iter().fold(0_usize, |sum, der| sum.saturating_add(der.len()));
    chain.len() > CHAIN_CERTIFICATES || bytes > CHAIN_BYTES
}

fn describe(path: &VerifiedPath<'_>, anchors: &TrustAnchors, now: UnixTime) -> Result<Path, VerifyFailure> {
    let authority = anchors.authority_of(path.anchor(), now)?;
    let mut described = Path {
        authority: authority.id(),
        not_before: authority.not_before(),
        not_after: authority.not_after(),
        revocation_keys: Vec::new(),
        issuers: Vec::new(),
        issuer: IssuerFacts { serial: authority.serial().to_owned(), ski: authority.ski().map(str::to_owned) },
    };
    if let Some(issuer) = path.intermediate_certificates().next() {
        let der = issuer.der();
        described.issuer = IssuerFacts::read(&details::parse(&der).map_err(|_| VerifyFailure::Malformed)?);
    }
    // From the authority down to the leaf: each certificate is named by the key above it.
    let mut issuer_key = *authority.key_hash();
    for certificate in path.intermediate_certificates().rev() {
        described.descend(&certificate.der(), &issuer_key)?;
        issuer_key = IssuerKeyHash::of_spki(&certificate.subject_public_key_info());
    }
    described.descend(&path.end_entity().der(), &issuer_key)?;
    described.revocation_keys.reverse();
    described.issuers.reverse();
    Ok(described)
}

impl Path {
    fn descend(&mut self, der: &[u8], issuer: &IssuerKeyHash) -> Result<(), VerifyFailure> {
        let (serial, not_before, not_after) = serial_and_validity(der).ok_or(VerifyFailure::Malformed)?;
        self.not_before = self.not_before.max(not_before);
        self.not_after = self.not_after.min(not_after);
        self.revocation_keys.push(RevocationKey::new(issuer, serial));
        self.issuers.push(*issuer);
        Ok(())
    }
}

/// The two things that are asked for at every request; reading just them takes a thirtieth of a full parse.
fn serial_and_validity(der: &[u8]) -> Option<(&[u8], Timestamp, Timestamp)> {
    const VERSION: u8 = 0xa0;
    let mut body = Reader::new(Signed::parse(der)?.body);
    body.optional(VERSION);
    let serial = body.expect(INTEGER)?.content;
    body.expect(SEQUENCE)?; // Signature algorithm.
    body.expect(SEQUENCE)?; // Issuer.
    let mut validity = Reader::new(body.expect(SEQUENCE)?.content);
    let not_before = time(&mut validity)?;
    let not_after = time(&mut validity)?;
    Some((serial, not_before, not_after))
}

fn has_extension(der: &[u8], oid: &[u8]) -> bool {
    const EXTENSIONS: u8 = 0xa3;
    let Some(signed) = Signed::parse(der) else { return false };
    let mut body = Reader::new(signed.body);
    while let Some(element) = body.next() {
        if element.tag != EXTENSIONS {
            continue;
        }
        let Some(list) = Reader::new(element.content).expect(SEQUENCE) else { return false };
        let mut list = Reader::new(list.content);
        while let Some(extension) = list.expect(SEQUENCE) {
            let id = Reader::new(extension.content).expect(OBJECT_IDENTIFIER);
            if id.is_some_and(|id| id.content == oid) {
                return true;
            }
        }
    }
    false
}

fn time(reader: &mut Reader<'_>) -> Option<Timestamp> {
    use x509_parser::prelude::{ASN1Time, FromDer as _};
    let (_, time) = ASN1Time::from_der(reader.next()?.raw).ok()?;
    Some(Timestamp::from_unix_seconds(time.timestamp()))
}
