//! Host names as the configuration writes them.

use std::fmt;
use std::sync::Arc;

/// Longest host name in bytes (RFC 1035 §2.3.4, without the root's dot).
pub const MAX_HOST_NAME: usize = 253;

/// Longest label of a host name in bytes (RFC 1035 §2.3.4).
pub const MAX_LABEL: usize = 63;

/// A DNS name in its normal form: lower case, no port, no trailing dot; `*.` in front stands for exactly one label.
///
/// Internationalised names are written in their ASCII form (`xn--…`), as they are in a ClientHello and in a Host header.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(Arc<str>);

impl HostName {
    /// Checks and normalises `text`.
    ///
    /// # Errors
    /// Says which part of the name a host name cannot have.
    pub fn parse(text: &str) -> Result<Self, String> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let labels = name.strip_prefix("*.").unwrap_or(&name);
        if name.is_empty() {
            return Err("a host name cannot be empty".into());
        }
        if name.len() > MAX_HOST_NAME {
            return Err(format!("`{text}` is longer than {MAX_HOST_NAME} bytes"));
        }
        for label in labels.split('.') {
            check_label(text, label)?;
        }
        if labels.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(format!("`{text}` is an address, not a host name: SNI carries names only (RFC 6066 §3)"));
        }
        Ok(Self(name.into()))
    }

    /// The name in its normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name stands for every name with one more label.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// Whether this name is `zone` or lies below it.
    pub fn is_within(&self, zone: &Self) -> bool {
        let name = self.0.strip_prefix("*.").unwrap_or(&self.0);
        name.strip_suffix(zone.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

fn check_label(text: &str, label: &str) -> Result<(), String> {
    if label.is_empty() {
        return Err(format!("`{text}` has an empty label"));
    }
    if label.len() > MAX_LABEL {
        return Err(format!("`{text}` has a label longer than {MAX_LABEL} bytes"));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(format!("`{text}` has a label that starts or ends with a hyphen"));
    }
    match label.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')) {
        Some('*') => Err(format!("`{text}`: a wildcard is `*.` in front of a name, and stands for one label")),
        Some(':') => Err(format!("`{text}`: a host has no port here; the ports are those of `edge.listen`")),
        Some(other) if other.is_ascii() => Err(format!("`{text}` has the character `{other}`, which no host name has")),
        Some(_) => Err(format!("`{text}` is not ASCII: write its `xn--` form")),
        None => Ok(()),
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::HostName;

    #[test]
    fn names_are_normalised_or_refused_with_the_reason() {
        let long_label = "a".repeat(64);
        let longest_label = format!("{}.com", "a".repeat(63));
        let longest = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61));
        let too_long = format!("{longest}d");
        let cases: &[(&str, Result<&str, &str>)] = &[
            ("API.Example.com.", Ok("api.example.com")),
            ("*.example.com", Ok("*.example.com")),
            ("xn--bcher-kva.example", Ok("xn--bcher-kva.example")),
            ("a_b.example", Ok("a_b.example")),
            (&longest_label, Ok(&longest_label)),
            (&longest, Ok(&longest)),
            (&too_long, Err("longer than 253")),
            (&long_label, Err("longer than 63")),
            ("", Err("empty")),
            ("a..b", Err("empty label")),
            ("-a.example", Err("hyphen")),
            ("a.*.example", Err("wildcard")),
            ("*", Err("wildcard")),
            ("api.example.com:443", Err("port")),
            ("bücher.example", Err("xn--")),
            ("a b.example", Err("character ` `")),
            ("192.0.2.1", Err("address")),
        ];
        for (text, expected) in cases {
            match (HostName::parse(text), expected) {
                (Ok(name), Ok(normal)) => assert_eq!(name.as_str(), *normal),
                (Err(message), Err(part)) => assert!(message.contains(part), "{text}: {message}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_host_lies_within_its_zone_by_whole_labels() {
        let zone = HostName::parse("example.com").unwrap();
        for (name, within) in [
            ("example.com", true),
            ("api.example.com", true),
            ("*.example.com", true),
            ("badexample.com", false),
            ("example.com.evil", false),
        ] {
            assert_eq!(HostName::parse(name).unwrap().is_within(&zone), within, "{name}");
        }
    }
}
