//! The records a [`State`](super::State) is made of, and their keys.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::crl::CrlRecord;
use super::id::{AuthorityId, CertificateId, FilterId, ItemId, ListId, TokenId, ZoneId};
use super::limits;
use super::rule::{FilterRecord, Ruleset};
use super::timestamp::Timestamp;
use crate::revocation::RevocationKey;

/// Where an authority comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorityKind {
    /// Made by us for one zone; we hold its key.
    Managed,
    /// Brought by an operator; verifies, never issues.
    Uploaded,
}

/// A private key that only the holder of the master key can open.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedKey {
    /// Name of the master key it was sealed with.
    pub master_key: String,
    /// Nonce, ciphertext and tag.
    #[serde(with = "base64_bytes")]
    pub sealed: Vec<u8>,
}

impl fmt::Debug for SealedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SealedKey(by {})", self.master_key)
    }
}

/// A certificate authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityRecord {
    /// Its id.
    pub id: AuthorityId,
    /// The zone it is bound to; every managed authority has one.
    pub zone: Option<ZoneId>,
    /// Name for people.
    pub name: String,
    /// Managed or uploaded.
    pub kind: AuthorityKind,
    /// The CA certificate, DER.
    #[serde(with = "base64_bytes")]
    pub certificate: Vec<u8>,
    /// The key of a managed authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SealedKey>,
    /// When it was made or uploaded.
    pub created: Timestamp,
    /// Since when a managed authority verifies only, because another one issues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<Timestamp>,
}

/// Where a certificate is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateStatus {
    /// Good.
    Active,
    /// Will be good again.
    PendingReactivation,
    /// Counts as revoked already.
    PendingRevocation,
    /// Revoked.
    Revoked,
}

impl CertificateStatus {
    /// Whether requests that present the certificate count as revoked: everything that is not surely good does.
    pub const fn is_revoked(self) -> bool {
        !matches!(self, Self::Active)
    }

    /// The name the API has for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::PendingReactivation => "pending_reactivation",
            Self::PendingRevocation => "pending_revocation",
            Self::Revoked => "revoked",
        }
    }
}

/// A serial number: the bytes of a positive integer without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial(String);

impl Serial {
    /// From the content of a DER integer.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let first = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
        let significant = bytes.get(first..).unwrap_or_default();
        Self(significant.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Lower-case hexadecimal digits, an even number of them.
    pub fn hex(&self) -> &str {
        &self.0
    }

    /// The bytes, without leading zeros.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (pairs, _) = self.0.as_bytes().as_chunks::<2>();
        let digits = pairs.iter().map(|pair| std::str::from_utf8(pair).unwrap_or_default());
        digits.map(|pair| u8::from_str_radix(pair, 16).unwrap_or_default()).collect()
    }
}

impl TryFrom<String> for Serial {
    type Error = SerialError;

    /// Takes hexadecimal digits of either case, with or without leading zeros.
    fn try_from(text: String) -> Result<Self, SerialError> {
        let digits = text.trim_start_matches('0').to_ascii_lowercase();
        if text.is_empty()
            || digits.len() > 2 * limits::SERIAL_BYTES
            || !digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return Err(SerialError);
        }
        Ok(Self(if digits.len().is_multiple_of(2) { digits } else { format!("0{digits}") }))
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.0
    }
}

/// A text that is no serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a serial number has 1 to 64 hexadecimal digits")]
pub struct SerialError;

/// What a subject says of itself, as labels: the issuer did not check any of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubjectParts {
    /// CN.
    pub common_name: String,
    /// O.
    pub organization: String,
    /// OU.
    pub organizational_unit: String,
    /// C.
    pub country: String,
    /// ST.
    pub state: String,
    /// L.
    pub location: String,
}

/// A client certificate that a managed authority issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRecord {
    /// Its id.
    pub id: CertificateId,
    /// The zone whose authority issued it.
    pub zone: ZoneId,
    /// The authority that issued it.
    pub authority: AuthorityId,
    /// The certificate, PEM.
    pub certificate: String,
    /// The request it was issued for, PEM, as it was sent; absent when we made the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr: Option<String>,
    /// Labels of the subject.
    pub subject: SubjectParts,
    /// Serial number.
    pub serial: Serial,
    /// The serial as a decimal number, which is how the API shows it.
    pub serial_decimal: String,
    /// Subject key identifier, lower-case hexadecimal.
    pub ski: String,
    /// SHA-256 over the DER, lower-case hexadecimal.
    pub fingerprint_sha256: String,
    /// How it is signed, such as `ECDSAWithSHA256`.
    pub signature: String,
    /// First moment of its life that counts for the API (not the backdated `notBefore`).
    pub issued_on: Timestamp,
    /// Last moment of its life.
    pub expires_on: Timestamp,
    /// The validity that was asked for.
    pub validity_days: u32,
    /// Where it is in its life.
    pub status: CertificateStatus,
    /// When it was revoked, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// Its name in the revocation set.
    pub revocation_key: RevocationKey,
}

/// A revocation of a certificate that somebody else's authority issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationRecord {
    /// The uploaded authority.
    pub authority: AuthorityId,
    /// Serial of the revoked certificate.
    pub serial: Serial,
    /// Its name in the revocation set.
    pub revocation_key: RevocationKey,
    /// Since when.
    pub revoked_at: Timestamp,
    /// Why, for people.
    #[serde(default)]
    pub comment: String,
}

/// The host names of a zone on which certificates of an authority are asked for and accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssociationRecord {
    /// The zone.
    pub zone: ZoneId,
    /// An uploaded authority; `None` is the managed authority of the zone, whichever issues now.
    pub authority: Option<AuthorityId>,
    /// The host names, in the order they were given.
    pub hostnames: Vec<String>,
}

/// A setting of a zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingRecord {
    /// The zone.
    pub zone: ZoneId,
    /// Name in the API.
    pub name: String,
    /// Value, checked by whoever wrote it.
    pub value: serde_json::Value,
    /// When it was modified last.
    pub modified: Timestamp,
}

/// What the items of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListKind {
    /// Addresses and networks.
    Ip,
    /// Host names.
    Hostname,
    /// Numbers of autonomous systems.
    Asn,
}

/// A list that rules can name; its items are records of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRecord {
    /// Its id.
    pub id: ListId,
    /// What it holds.
    pub kind: ListKind,
    /// Its name in expressions, without `$`.
    pub name: String,
    /// Text for people.
    #[serde(default)]
    pub description: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it or its items were modified last.
    pub modified: Timestamp,
}

/// An item of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListItem {
    /// The list.
    pub list: ListId,
    /// Its id.
    pub id: ItemId,
    /// An address, network, host name or number, in its one normal spelling.
    pub value: String,
    /// Text for people.
    #[serde(default)]
    pub comment: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was modified last.
    pub modified: Timestamp,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Read everything in its zones.
    Read,
    /// Issue, revoke and reactivate certificates, upload authorities.
    Certificates,
    /// Write rules and lists.
    Rules,
    /// Everything, tokens too.
    Admin,
}

impl Scope {
    /// Every scope, the smallest first.
    pub const ALL: [Self; 4] = [Self::Read, Self::Certificates, Self::Rules, Self::Admin];

    /// The name the API has for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Certificates => "certificates",
            Self::Rules => "rules",
            Self::Admin => "admin",
        }
    }

    /// The scope of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// An API token; the secret itself is never stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its public name.
    pub id: TokenId,
    /// Name for people.
    pub name: String,
    /// SHA-256 over the secret, lower-case hexadecimal. The secret is random, so no slow hash is needed.
    pub secret_sha256: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Where; `None` is everywhere.
    pub zones: Option<Vec<ZoneId>>,
    /// When it was made.
    pub created: Timestamp,
    /// When it stops being good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Switched off by an operator.
    #[serde(default)]
    pub disabled: bool,
}

/// The name of a record; the order is the order of an export.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKey {
    /// A certificate authority.
    Authority(AuthorityId),
    /// The hosts of an authority in a zone.
    Association(ZoneId, Option<AuthorityId>),
    /// A client certificate.
    Certificate(ZoneId, CertificateId),
    /// A revocation of a certificate of an uploaded authority.
    Revocation(AuthorityId, Serial),
    /// A list.
    List(ListId),
    /// An item of a list.
    ListItem(ListId, ItemId),
    /// The rules of a zone.
    Ruleset(ZoneId),
    /// An earlier version of the rules of a zone.
    RulesetVersion(ZoneId, u64),
    /// A setting of a zone.
    Setting(ZoneId, String),
    /// An API token.
    Token(TokenId),
    /// A filter of the older firewall API.
    Filter(ZoneId, FilterId),
    /// The CRL of an uploaded authority.
    Crl(AuthorityId),
}

/// The text form: how the store names the record, and how errors do.
impl fmt::Display for RecordKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authority(id) => write!(formatter, "authority/{id}"),
            Self::Association(zone, None) => write!(formatter, "association/{zone}/managed"),
            Self::Association(zone, Some(id)) => write!(formatter, "association/{zone}/{id}"),
            Self::Certificate(zone, id) => write!(formatter, "certificate/{zone}/{id}"),
            Self::Revocation(authority, serial) => write!(formatter, "revocation/{authority}/{}", serial.hex()),
            Self::List(id) => write!(formatter, "list/{id}"),
            Self::ListItem(list, id) => write!(formatter, "item/{list}/{id}"),
            Self::Ruleset(zone) => write!(formatter, "ruleset/{zone}"),
            Self::RulesetVersion(zone, version) => write!(formatter, "ruleset-version/{zone}/{version:020}"),
            Self::Setting(zone, name) => write!(formatter, "setting/{zone}/{name}"),
            Self::Token(id) => write!(formatter, "token/{id}"),
            Self::Filter(zone, id) => write!(formatter, "filter/{zone}/{id}"),
            Self::Crl(authority) => write!(formatter, "crl/{authority}"),
        }
    }
}

/// Any record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// A certificate authority.
    Authority(Arc<AuthorityRecord>),
    /// The hosts of an authority in a zone.
    Association(Arc<AssociationRecord>),
    /// A client certificate.
    Certificate(Arc<CertificateRecord>),
    /// A revocation of a certificate of an uploaded authority.
    Revocation(Arc<RevocationRecord>),
    /// A list.
    List(Arc<ListRecord>),
    /// An item of a list.
    ListItem(Arc<ListItem>),
    /// The rules of a zone.
    Ruleset(Arc<Ruleset>),
    /// An earlier version of the rules of a zone.
    RulesetVersion(Arc<Ruleset>),
    /// A setting of a zone.
    Setting(Arc<SettingRecord>),
    /// An API token.
    Token(Arc<TokenRecord>),
    /// A filter of the older firewall API.
    Filter(Arc<FilterRecord>),
    /// The CRL of an uploaded authority.
    Crl(Arc<CrlRecord>),
}

impl Record {
    /// The name of this record.
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Authority(record) => RecordKey::Authority(record.id),
            Self::Association(record) => RecordKey::Association(record.zone, record.authority),
            Self::Certificate(record) => RecordKey::Certificate(record.zone, record.id),
            Self::Revocation(record) => RecordKey::Revocation(record.authority, record.serial.clone()),
            Self::List(record) => RecordKey::List(record.id),
            Self::ListItem(record) => RecordKey::ListItem(record.list, record.id),
            Self::Ruleset(record) => RecordKey::Ruleset(record.zone),
            Self::RulesetVersion(record) => RecordKey::RulesetVersion(record.zone, record.version),
            Self::Setting(record) => RecordKey::Setting(record.zone, record.name.clone()),
            Self::Token(record) => RecordKey::Token(record.id),
            Self::Filter(record) => RecordKey::Filter(record.zone, record.id),
            Self::Crl(record) => RecordKey::Crl(record.authority),
        }
    }
}

/// Bytes as base64 text.
mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_has_one_form_however_it_is_written() {
        let serial = Serial::from_bytes(&[0, 0x0a, 0xbc]);
        assert_eq!(serial.hex(), "0abc");
        for text in ["abc", "ABC", "0abc", "000ABC"] {
            assert_eq!(Serial::try_from(text.to_owned()), Ok(serial.clone()), "{text}");
        }
        assert_eq!(serial.to_bytes(), [0x0a, 0xbc]);
    }

    #[test]
    fn a_text_that_is_no_serial_is_refused() {
        for text in ["", "0x12", "12 34", "é", &"1".repeat(65)] {
            assert_eq!(Serial::try_from(text.to_owned()), Err(SerialError), "{text}");
        }
        assert!(Serial::try_from("1".repeat(64)).is_ok());
    }

    #[test]
    fn everything_but_active_counts_as_revoked() {
        use CertificateStatus::{Active, PendingReactivation, PendingRevocation, Revoked};
        assert!(!Active.is_revoked());
        assert!([PendingReactivation, PendingRevocation, Revoked].into_iter().all(CertificateStatus::is_revoked));
    }
}
