//! What operators ask for of the CRL of an authority that they brought.

use std::fmt;
use std::path::{Path, PathBuf};

use http::Uri;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::id::AuthorityId;
use super::limits::CRL_SOURCE_BYTES;
use super::timestamp::Timestamp;

/// Where a list comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CrlSource {
    /// A file, by its absolute path.
    File(PathBuf),
    /// A server.
    Url(Uri),
}

/// A text that says of no place where a list could be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CrlSourceError {
    /// More bytes than a place needs.
    #[error("the source of a CRL has no more than {CRL_SOURCE_BYTES} bytes")]
    TooLong,
    /// Neither a path nor a URL.
    #[error(
        "{0:?} is no source of a CRL: it is the absolute path of a file, or a URL that begins with http:// or https://"
    )]
    Neither(String),
    /// A URL with a name and a password in it: they would be shown to everybody who may read.
    #[error("the URL of a CRL must not hold credentials")]
    Credentials,
}

impl TryFrom<String> for CrlSource {
    type Error = CrlSourceError;

    fn try_from(text: String) -> Result<Self, CrlSourceError> {
        if text.len() > CRL_SOURCE_BYTES {
            return Err(CrlSourceError::TooLong);
        }
        if Path::new(&text).is_absolute() && !text.contains('\0') {
            return Ok(Self::File(text.into()));
        }
        let url = text.parse::<Uri>().ok().filter(|url| {
            matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty())
        });
        match url {
            Some(url) if url.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
                Err(CrlSourceError::Credentials)
            }
            Some(url) => Ok(Self::Url(url)),
            None => Err(CrlSourceError::Neither(text)),
        }
    }
}

impl fmt::Display for CrlSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(formatter),
            Self::Url(url) => url.fmt(formatter),
        }
    }
}

impl From<CrlSource> for String {
    fn from(source: CrlSource) -> Self {
        source.to_string()
    }
}

/// What becomes of an authority's certificates while nobody can tell which of them it revoked: no list was loaded yet, or the
/// `nextUpdate` of the one that was is past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenStale {
    /// They are not verified.
    #[default]
    Deny,
    /// They count as before; what was listed last stays revoked.
    Allow,
}

impl WhenStale {
    /// The name the API has for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
        }
    }

    /// The policy of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Deny, Self::Allow].into_iter().find(|policy| policy.name() == name)
    }
}

/// That an uploaded authority has a CRL: its certificates count only as far as that list tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrlRecord {
    /// The authority.
    pub authority: AuthorityId,
    /// Where complete lists come from; nowhere if they are uploaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<CrlSource>,
    /// Where delta lists come from, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta_source: Option<CrlSource>,
    /// How often a server is asked.
    pub refresh_seconds: u32,
    /// What to do without a list that is current.
    pub when_stale: WhenStale,
    /// The list that an operator uploaded last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploaded: Option<CrlUpload>,
    /// When it was modified last.
    pub modified: Timestamp,
}

/// An upload of a list, for the audit; the list itself is kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrlUpload {
    /// The list's number, hexadecimal.
    pub number: String,
    /// SHA-256 over its DER, lower-case hexadecimal.
    pub sha256: String,
    /// When it was uploaded.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_absolute_path_or_a_url() {
        let parse = |text: &str| CrlSource::try_from(text.to_owned());
        for text in ["/etc/ca/corporate.crl", "http://pki.example.com/a.crl", "https://10.0.0.1:8443/crl?ca=1"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        for text in
            ["", "corporate.crl", "../a.crl", "file:///etc/a.crl", "ftp://a/b", "http:///a", "ldap://a/b", "/a\0b"]
        {
            assert!(matches!(parse(text), Err(CrlSourceError::Neither(_))), "{text:?}: {:?}", parse(text));
        }
        assert_eq!(parse("https://alice:secret@pki.example.com/a.crl"), Err(CrlSourceError::Credentials));
    }

    #[test]
    fn a_source_has_a_longest_length() {
        let text = |length: usize| format!("/{}", "a".repeat(length - 1));
        assert!(CrlSource::try_from(text(CRL_SOURCE_BYTES)).is_ok());
        assert_eq!(CrlSource::try_from(text(CRL_SOURCE_BYTES + 1)), Err(CrlSourceError::TooLong));
    }
}
