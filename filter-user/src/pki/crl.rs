//! Certificate revocation lists of authorities that somebody else runs.
//!
//! A list is verified once, when it comes in, and turned into keys of the revocation set; no handshake ever sees it again.
//! (`webpki` would hash the whole list at every handshake: 25 ms with a million entries.) Parsing is one pass over the
//! bytes without a tree, because a list may have ten million entries.

use aws_lc_rs::digest::{Context, SHA256};
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use x509_parser::prelude::{ASN1Time, FromDer as _};

use super::authority::Authority;
use super::der::{INTEGER, OBJECT_IDENTIFIER, Reader, SEQUENCE, Signed};
use super::limits::{CRL_BYTES, CRL_CLOCK_SKEW_SECONDS, CRL_ENTRIES};
use super::signature;
use crate::model::Timestamp;
use crate::revocation::{IssuerKeyHash, RevocationKey};

/// Extensions of a list, 2.5.29.x.
const CRL_NUMBER: u8 = 20;
const REASON_CODE: u8 = 21;
const DELTA_INDICATOR: u8 = 27;
const ISSUING_DISTRIBUTION_POINT: u8 = 28;
const CERTIFICATE_ISSUER: u8 = 29;
const AUTHORITY_KEY_ID: u8 = 35;

const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const EXTENSIONS: u8 = 0xa0;

/// The reason that takes an entry off the list again.
const REMOVE_FROM_CRL: u8 = 8;

/// Why a list does not count. What was loaded before stays.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CrlError {
    /// More bytes than anybody reads.
    #[error("the CRL has {0} bytes, more than {CRL_BYTES}")]
    TooLarge(usize),
    /// More entries than anybody keeps.
    #[error("the CRL has more than {CRL_ENTRIES} entries")]
    TooManyEntries,
    /// PEM without a list.
    #[error("the CRL is neither DER nor PEM: expected -----BEGIN X509 CRL-----")]
    NotPem,
    /// Not a list, or cut off.
    #[error("the CRL is malformed at entry {entry}: {problem}")]
    Malformed {
        /// Entries that were read before.
        entry: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// Of another authority.
    #[error("the CRL was not issued by {0}: issuer names differ")]
    WrongIssuer(String),
    /// Signed by somebody else, or damaged.
    #[error("the signature of the CRL does not belong to {authority}: {problem}")]
    BadSignature {
        /// The authority.
        authority: String,
        /// What was found.
        problem: String,
    },
    /// The authority's key usage excludes lists.
    #[error("{0} must not issue CRLs: its key usage lacks cRLSign")]
    NoCrlSigning(String),
    /// Something that must not be ignored and is not known here.
    #[error("the CRL uses {0}, which is not supported")]
    Unsupported(String),
    /// From a time to come.
    #[error("the CRL is of the future: its thisUpdate is {0}")]
    FromTheFuture(Timestamp),
    /// Older than the one that is loaded.
    #[error("the CRL has number {offered}, but number {loaded} is loaded already")]
    Older {
        /// Number of the list that was offered, hexadecimal.
        offered: CrlNumber,
        /// Number of the list that is loaded.
        loaded: CrlNumber,
    },
    /// A delta where a complete list belongs, or the other way round.
    #[error("expected a {0} CRL")]
    WrongKind(&'static str),
    /// A delta that leaves a gap.
    #[error("the delta CRL builds on number {base}, but number {loaded} is loaded: fetch the complete CRL")]
    Gap {
        /// The number the delta builds on.
        base: CrlNumber,
        /// Number of the list that is loaded.
        loaded: CrlNumber,
    },
}

/// The number of a list: up to 20 bytes, compared as a number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrlNumber(Vec<u8>);

impl CrlNumber {
    fn from_integer(content: &[u8]) -> Option<Self> {
        let significant = super::details::significant(content);
        let positive = content.first().is_some_and(|byte| byte & 0x80 == 0);
        (positive && significant.len() <= 20).then(|| Self(significant.to_vec()))
    }
}

impl PartialOrd for CrlNumber {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CrlNumber {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0))
    }
}

impl std::fmt::Display for CrlNumber {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// A list that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crl {
    issuer: IssuerKeyHash,
    number: CrlNumber,
    base: Option<CrlNumber>,
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    /// Sorted, each once.
    revoked: Vec<RevocationKey>,
    /// Only in a delta: what it takes off the list. Sorted, each once.
    removed: Vec<RevocationKey>,
    digest: [u8; 32],
    /// The digest of the complete list under all deltas.
    complete: [u8; 32],
}

impl Crl {
    /// Reads and verifies a list, DER or PEM, of this authority.
    pub fn parse(bytes: &[u8], authority: &Authority, now: Timestamp) -> Result<Self, CrlError> {
        if bytes.len() > CRL_BYTES {
            return Err(CrlError::TooLarge(bytes.len()));
        }
        if bytes.first() == Some(&SEQUENCE) {
            return Self::parse_der(bytes, authority, now);
        }
        let der = CertificateRevocationListDer::from_pem_slice(bytes).map_err(|_| CrlError::NotPem)?;
        Self::parse_der(&der, authority, now)
    }

    fn parse_der(der: &[u8], authority: &Authority, now: Timestamp) -> Result<Self, CrlError> {
        let signed = Signed::parse(der).ok_or(malformed(0, "it is not a signed object"))?;
        let list = List::parse(&signed)?;
        if list.issuer != authority.anchor().subject.as_ref() {
            return Err(CrlError::WrongIssuer(authority.subject().to_owned()));
        }
        if !authority.may_sign_crls() {
            return Err(CrlError::NoCrlSigning(authority.subject().to_owned()));
        }
        signature::verify(&signed, authority.spki()).map_err(|error| CrlError::BadSignature {
            authority: authority.subject().to_owned(),
            problem: error.to_string(),
        })?;
        if list.this_update.unix_seconds() > now.unix_seconds().saturating_add(CRL_CLOCK_SKEW_SECONDS) {
            return Err(CrlError::FromTheFuture(list.this_update));
        }
        let issuer = *authority.key_hash();
        let (revoked, removed) = entries(list.entries, &issuer, list.extensions.base.is_some(), CRL_ENTRIES)?;
        let mut context = Context::new(&SHA256);
        context.update(der);
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Ok(Self {
            issuer,
            number: list.extensions.number,
            base: list.extensions.base,
            this_update: list.this_update,
            next_update: list.next_update,
            revoked,
            removed,
            digest,
            complete: digest,
        })
    }

    /// A complete list that was verified before.
    pub(super) fn of_parts(
        issuer: IssuerKeyHash,
        number: CrlNumber,
        this_update: Timestamp,
        next_update: Option<Timestamp>,
        revoked: Vec<RevocationKey>,
        [digest, complete]: [[u8; 32]; 2],
    ) -> Self {
        Self { issuer, number, base: None, this_update, next_update, revoked, removed: Vec::new(), digest, complete }
    }

    /// The key that signed it.
    pub fn issuer(&self) -> &IssuerKeyHash {
        &self.issuer
    }

    /// Its number.
    pub fn number(&self) -> &CrlNumber {
        &self.number
    }

    /// Whether it only says what changed.
    pub fn is_delta(&self) -> bool {
        self.base.is_some()
    }

    /// When it was made.
    pub fn this_update(&self) -> Timestamp {
        self.this_update
    }

    /// When there should be a newer one.
    pub fn next_update(&self) -> Option<Timestamp> {
        self.next_update
    }

    /// What it revokes, sorted.
    pub fn revoked(&self) -> &[RevocationKey] {
        &self.revoked
    }

    /// SHA-256 over its DER; of a list that a delta was applied to, over the delta's.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// SHA-256 over the DER of the complete list that deltas were applied to.
    pub fn complete_digest(&self) -> &[u8; 32] {
        &self.complete
    }

    /// Whether this list holds another one already: as it is, or below the deltas that were applied since.
    pub fn holds(&self, other: &Self) -> bool {
        self.digest == other.digest || self.complete == other.digest
    }

    /// Whether this complete list may take the place of another one: no going back, since an old list would forgive what
    /// a newer one revoked.
    pub fn check_replaces(&self, loaded: &Self) -> Result<(), CrlError> {
        if self.is_delta() {
            return Err(CrlError::WrongKind("complete"));
        }
        if (&self.number, self.this_update) < (&loaded.number, loaded.this_update) {
            return Err(CrlError::Older { offered: self.number.clone(), loaded: loaded.number.clone() });
        }
        Ok(())
    }

    /// The complete list that this one and a delta make.
    pub fn with_delta(&self, delta: &Self) -> Result<Self, CrlError> {
        let Some(base) = delta.base.as_ref().filter(|_| !self.is_delta() && delta.issuer == self.issuer) else {
            return Err(CrlError::WrongKind("delta"));
        };
        if *base > self.number {
            return Err(CrlError::Gap { base: base.clone(), loaded: self.number.clone() });
        }
        if delta.number < self.number {
            return Err(CrlError::Older { offered: delta.number.clone(), loaded: self.number.clone() });
        }
        let mut revoked = [self.revoked.as_slice(), &delta.revoked].concat();
        // A stable sort of two sorted runs is one merge.
        revoked.sort();
        revoked.dedup();
        revoked.retain(|key| delta.removed.binary_search(key).is_err());
        if revoked.len() > CRL_ENTRIES {
            return Err(CrlError::TooManyEntries);
        }
        Ok(Self {
            issuer: self.issuer,
            number: delta.number.clone(),
            base: None,
            this_update: delta.this_update,
            next_update: delta.next_update,
            revoked,
            removed: Vec::new(),
            digest: delta.digest,
            complete: self.complete,
        })
    }

    /// What is new and what is gone since another list of the same authority, for `RevocationSet::update_imported`.
    pub fn changes_since(&self, before: &Self) -> (Vec<RevocationKey>, Vec<RevocationKey>) {
        (difference(&self.revoked, &before.revoked), difference(&before.revoked, &self.revoked))
    }
}

/// What is in one sorted list and not in the other.
fn difference(of: &[RevocationKey], without: &[RevocationKey]) -> Vec<RevocationKey> {
    let mut without = without.iter().peekable();
    let mut rest = Vec::new();
    for key in of {
        while without.next_if(|other| *other < key).is_some() {}
        if without.peek() != Some(&key) {
            rest.push(*key);
        }
    }
    rest
}

fn malformed(entry: usize, problem: &'static str) -> CrlError {
    CrlError::Malformed { entry, problem }
}

/// The outer parts of a list.
struct List<'a> {
    issuer: &'a [u8],
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    entries: &'a [u8],
    extensions: ListExtensions,
}

#[derive(Default)]
struct ListExtensions {
    number: CrlNumber,
    base: Option<CrlNumber>,
}

impl<'a> List<'a> {
    fn parse(signed: &Signed<'a>) -> Result<Self, CrlError> {
        let broken = |problem| malformed(0, problem);
        let mut body = Reader::new(signed.body);
        let version = body.optional(INTEGER);
        if version.is_some_and(|version| version.content != [1]) {
            return Err(CrlError::Unsupported("a version other than 2".to_owned()));
        }
        let algorithm = body.expect(SEQUENCE).ok_or(broken("no signature algorithm"))?;
        if algorithm.content != signed.algorithm {
            return Err(broken("two different signature algorithms"));
        }
        let issuer = body.expect(SEQUENCE).ok_or(broken("no issuer"))?.content;
        let this_update = body.next().and_then(|time| timestamp(time.raw)).ok_or(broken("no thisUpdate"))?;
        let next_update = match body.optional(UTC_TIME).or_else(|| body.optional(GENERALIZED_TIME)) {
            Some(time) => Some(timestamp(time.raw).ok_or(broken("a nextUpdate that is no time"))?),
            None => None,
        };
        let entries = body.optional(SEQUENCE).map(|entries| entries.content).unwrap_or_default();
        let extensions = match body.optional(EXTENSIONS) {
            Some(extensions) => ListExtensions::parse(extensions.content)?,
            None => ListExtensions::default(),
        };
        if !body.is_empty() {
            return Err(broken("something after its end"));
        }
        Ok(Self { issuer, this_update, next_update, entries, extensions })
    }
}

impl ListExtensions {
    fn parse(content: &[u8]) -> Result<Self, CrlError> {
        let broken = || malformed(0, "broken extensions");
        let mut parsed = Self::default();
        let mut outer = Reader::new(content);
        let mut list = Reader::new(outer.expect(SEQUENCE).ok_or_else(broken)?.content);
        while !list.is_empty() {
            let extension = Extension::parse(list.expect(SEQUENCE).ok_or_else(broken)?.content).ok_or_else(broken)?;
            match extension.certificate_extension() {
                Some(CRL_NUMBER) => parsed.number = number(extension.value).ok_or_else(broken)?,
                Some(DELTA_INDICATOR) => parsed.base = Some(number(extension.value).ok_or_else(broken)?),
                Some(ISSUING_DISTRIBUTION_POINT) => check_distribution_point(extension.value)?,
                Some(AUTHORITY_KEY_ID) => {}
                _ if extension.critical => {
                    return Err(CrlError::Unsupported(format!("the critical extension {:02x?}", extension.id)));
                }
                _ => {}
            }
        }
        Ok(parsed)
    }
}

/// A list for a part of the certificates is taken: what stands on it is revoked, whatever else there is. A list about
/// certificates of other authorities is not: its entries need not belong to this one.
fn check_distribution_point(value: &[u8]) -> Result<(), CrlError> {
    const INDIRECT: u8 = 0x84;
    let broken = || malformed(0, "a broken issuing distribution point");
    let mut point = Reader::new(Reader::new(value).expect(SEQUENCE).ok_or_else(broken)?.content);
    while !point.is_empty() {
        let part = point.next().ok_or_else(broken)?;
        if part.tag == INDIRECT && part.content != [0] {
            return Err(CrlError::Unsupported("entries of other issuers (an indirect CRL)".to_owned()));
        }
    }
    Ok(())
}

/// Keys of all entries, and of those that a delta takes off.
fn entries(
    content: &[u8],
    issuer: &IssuerKeyHash,
    is_delta: bool,
    limit: usize,
) -> Result<(Vec<RevocationKey>, Vec<RevocationKey>), CrlError> {
    let (mut revoked, mut removed) = (Vec::new(), Vec::new());
    let mut list = Reader::new(content);
    let mut count = 0_usize;
    while !list.is_empty() {
        if count == limit {
            return Err(CrlError::TooManyEntries);
        }
        let entry = list.expect(SEQUENCE).ok_or(malformed(count, "it is not an entry"))?;
        let (serial, reason) = entry_parts(entry.content, count)?;
        let key = RevocationKey::new(issuer, serial);
        if is_delta && reason == Some(REMOVE_FROM_CRL) {
            removed.push(key);
        } else {
            revoked.push(key);
        }
        count = count.saturating_add(1);
    }
    for keys in [&mut revoked, &mut removed] {
        keys.sort_unstable();
        keys.dedup();
        keys.shrink_to_fit();
    }
    Ok((revoked, removed))
}

/// Serial and reason of an entry. An extension that is critical and unknown changes nothing: RFC 5280 has the certificate
/// count as revoked then.
fn entry_parts(content: &[u8], place: usize) -> Result<(&[u8], Option<u8>), CrlError> {
    let broken = || malformed(place, "its parts are broken");
    let mut entry = Reader::new(content);
    let serial = entry.expect(INTEGER).ok_or_else(broken)?.content;
    entry.next().filter(|date| matches!(date.tag, UTC_TIME | GENERALIZED_TIME)).ok_or_else(broken)?;
    let mut reason = None;
    if let Some(extensions) = entry.optional(SEQUENCE) {
        let mut list = Reader::new(extensions.content);
        while !list.is_empty() {
            let extension = list.expect(SEQUENCE).and_then(|extension| Extension::parse(extension.content));
            let extension = extension.ok_or_else(broken)?;
            match extension.certificate_extension() {
                Some(REASON_CODE) => {
                    let code = Reader::new(extension.value).expect(ENUMERATED).ok_or_else(broken)?;
                    reason = Some(*code.content.last().ok_or_else(broken)?);
                }
                Some(CERTIFICATE_ISSUER) => return Err(CrlError::Unsupported("entries of other issuers".to_owned())),
                _ => {}
            }
        }
    }
    if entry.is_empty() { Ok((serial, reason)) } else { Err(broken()) }
}

struct Extension<'a> {
    id: &'a [u8],
    critical: bool,
    value: &'a [u8],
}

impl<'a> Extension<'a> {
    fn parse(content: &'a [u8]) -> Option<Self> {
        let mut parts = Reader::new(content);
        let id = parts.expect(OBJECT_IDENTIFIER)?.content;
        let critical = parts.optional(BOOLEAN).is_some_and(|critical| critical.content != [0]);
        let value = parts.expect(OCTET_STRING)?.content;
        parts.is_empty().then_some(Self { id, critical, value })
    }

    /// The last part of 2.5.29.x.
    fn certificate_extension(&self) -> Option<u8> {
        match self.id {
            [0x55, 0x1d, last] => Some(*last),
            _ => None,
        }
    }
}

fn number(value: &[u8]) -> Option<CrlNumber> {
    CrlNumber::from_integer(Reader::new(value).expect(INTEGER)?.content)
}

fn timestamp(raw: &[u8]) -> Option<Timestamp> {
    let (_, time) = ASN1Time::from_der(raw).ok()?;
    Some(Timestamp::from_unix_seconds(time.timestamp()))
}

#[cfg(test)]
#[path = "crl_tests.rs"]
pub(super) mod tests;
