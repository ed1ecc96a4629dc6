//! Names of things: checked when parsed, distinct by type.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

/// Why a text is no id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdError {
    /// Zones, rule sets, rules, lists, items and tokens.
    #[error("an id has 32 lower-case hexadecimal digits, this has {0:?}")]
    Hex(String),
    /// Certificates and authorities.
    #[error("an id is a UUID such as 023e105f-4ece-48ad-9ca3-1a8372d0c353, not {0:?}")]
    Uuid(String),
}

/// Characters of a rejected id that an error repeats.
const SHOWN: usize = 64;

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

/// 16 bytes nobody can guess.
fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("the generator of AWS-LC does not fail once the process started");
    bytes
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 16]);

        impl $name {
            /// A new, random id.
            pub fn generate() -> Self {
                Self(random())
            }

            /// The smallest id, where ranges begin.
            pub const FIRST: Self = Self([0; 16]);
            /// The greatest id, where ranges end.
            pub const LAST: Self = Self([0xff; 16]);
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_hex(text).map(Self).ok_or_else(|| IdError::Hex(shown(text)))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// A new, random id (UUID version 4).
            pub fn generate() -> Self {
                Self(uuid::Builder::from_random_bytes(random()).into_uuid())
            }

            /// The id as bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The smallest id, where ranges begin.
            pub const FIRST: Self = Self(Uuid::nil());
            /// The greatest id, where ranges end.
            pub const LAST: Self = Self(Uuid::max());
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            /// One spelling only, lower case with dashes: `Uuid` would take braces and URNs as well.
            fn from_str(text: &str) -> Result<Self, IdError> {
                let id = Uuid::try_parse(text).map_err(|_| IdError::Uuid(shown(text)))?;
                if id.hyphenated().to_string() == text { Ok(Self(id)) } else { Err(IdError::Uuid(shown(text))) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

hex_id! {
    /// A zone of the configuration.
    ZoneId
}
hex_id! {
    /// A rule.
    RuleId
}
hex_id! {
    /// A zone's list of rules.
    RulesetId
}
hex_id! {
    /// A list that rules can name.
    ListId
}
hex_id! {
    /// An entry of a list.
    ItemId
}
hex_id! {
    /// An API token (its public name, not its secret).
    TokenId
}
hex_id! {
    /// An expression that rules of the older firewall API refer to.
    FilterId
}
uuid_id! {
    /// A client certificate.
    CertificateId
}
uuid_id! {
    /// A certificate authority.
    AuthorityId
}

impl RulesetId {
    /// The id of the rules of a zone: derived, so that making the first rule needs no randomness.
    pub fn of_zone(zone: ZoneId) -> Self {
        Self(first_half_of_sha256(&[b"ruleset/", zone.0.as_slice()].concat()))
    }
}

impl FilterId {
    /// The id under which the older API shows the expression of a rule that refers to no filter.
    pub fn of_rule(rule: RuleId) -> Self {
        Self(first_half_of_sha256(&[b"filter/", rule.0.as_slice()].concat()))
    }
}

impl ZoneId {
    /// The id of a zone that the configuration gives none: derived from its name, so that it stays the same.
    pub fn of_name(name: &str) -> Self {
        Self(first_half_of_sha256(name.as_bytes()))
    }
}

fn first_half_of_sha256(bytes: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    for (to, from) in half.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    half
}

fn parse_hex(text: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_id_survives_its_text() {
        let (rule, certificate) = (RuleId::generate(), CertificateId::generate());
        assert_eq!(rule.to_string().parse(), Ok(rule));
        assert_eq!(certificate.to_string().parse(), Ok(certificate));
        assert_ne!(rule, RuleId::generate());
    }

    #[test]
    fn only_the_one_spelling_of_an_id_is_taken() {
        let hex = "023e105f4ecef8ad9ca31a8372d0c353";
        assert_eq!(hex.parse::<ZoneId>().unwrap().to_string(), hex);
        for bad in [
            "",
            "023e",
            &hex.to_uppercase(),
            &format!("{hex}0"),
            &format!("{hex}00"),
            "zz3e105f4ecef8ad9ca31a8372d0c353",
        ] {
            assert_eq!(bad.parse::<ZoneId>(), Err(IdError::Hex(bad.to_owned())));
        }
        let uuid = "023e105f-4ece-48ad-9ca3-1a8372d0c353";
        assert_eq!(uuid.parse::<CertificateId>().unwrap().to_string(), uuid);
        for bad in ["", hex, &uuid.to_uppercase(), &format!("{{{uuid}}}"), &format!("urn:uuid:{uuid}")] {
            assert!(bad.parse::<CertificateId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_does_not_repeat_a_long_id() {
        let error = "é".repeat(1_000).parse::<RuleId>().unwrap_err();
        assert!(error.to_string().len() < 300);
    }

    #[test]
    fn a_zone_without_an_id_gets_the_same_one_each_time() {
        assert_eq!(ZoneId::of_name("example.com"), ZoneId::of_name("example.com"));
        assert_ne!(ZoneId::of_name("example.com"), ZoneId::of_name("example.org"));
    }
}
