//! The one form in which hosts are compared.

use std::borrow::Cow;

/// A host as rules compare it: lower case, without port, without one trailing dot.
///
/// The worker applies this to the request's host, the compiler to the literals compared with it, so the two cannot differ.
/// Bytes that no host may have are kept: deciding that they are an error is not this function's job.
#[must_use]
pub fn normalise_host(host: &str) -> Cow<'_, str> {
    let name = bare_name(host.as_bytes());
    let name = host.get(..name.len()).unwrap_or(host);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// [`normalise_host`] for a literal, which may hold any bytes.
pub(crate) fn normalise_host_bytes(host: &[u8]) -> Cow<'_, [u8]> {
    let name = bare_name(host);
    if name.iter().any(u8::is_ascii_uppercase) { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) }
}

/// The host without `:port` and without one trailing dot. The colons of a bracketed IPv6 address are no port.
fn bare_name(host: &[u8]) -> &[u8] {
    let without_port = match host.iter().rposition(|byte| *byte == b':') {
        Some(colon) => {
            let (name, port) = host.split_at(colon);
            let is_port = port.iter().skip(1).all(u8::is_ascii_digit);
            // A bare IPv6 address (more colons, no brackets) is a name, not a name and a port.
            let is_one_name = !name.contains(&b':') || name.ends_with(b"]");
            if is_port && is_one_name { name } else { host }
        }
        None => host,
    };
    without_port.strip_suffix(b".").unwrap_or(without_port)
}

/// Whether a normalised host could be equal to these bytes: letters, digits, `-`, `_` and dots between labels, or a
/// bracketed IPv6 address.
pub(crate) fn is_possible_host(host: &[u8]) -> bool {
    if let Some(inner) = host.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) {
        return !inner.is_empty() && inner.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
    }
    !host.is_empty()
        && host.split(|byte| *byte == b'.').all(|label| !label.is_empty())
        && host.iter().all(|byte| is_host_byte(*byte))
}

/// Whether a normalised host may hold this byte at all.
pub(crate) const fn is_host_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'[' | b']' | b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_case_port_and_one_trailing_dot() {
        for (given, expected) in [
            ("api.example.com", "api.example.com"),
            ("API.Example.COM", "api.example.com"),
            ("api.example.com:443", "api.example.com"),
            ("api.example.com.", "api.example.com"),
            ("api.example.com.:8443", "api.example.com"),
            ("api.example.com..", "api.example.com."),
            ("api.example.com:", "api.example.com"),
            ("api.example.com:https", "api.example.com:https"),
            ("[2001:DB8::1]:443", "[2001:db8::1]"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("2001:db8::1", "2001:db8::1"),
            ("", ""),
            (":443", ""),
            ("BÜCHER.example", "bÜcher.example"),
        ] {
            assert_eq!(normalise_host(given), expected, "{given}");
            assert_eq!(normalise_host_bytes(given.as_bytes()), expected.as_bytes(), "{given}");
        }
    }

    #[test]
    fn only_names_a_client_can_ask_for_are_possible_hosts() {
        for host in ["a", "a.b", "a-b.c_d", "1.2.3.4", "[::1]"] {
            assert!(is_possible_host(host.as_bytes()), "{host}");
        }
        for host in ["", ".", "a..b", ".a", "a b", "https://a", "a/b", "*.a", "[]", "[x]", "b\u{fc}cher", "A"] {
            assert!(!is_possible_host(host.as_bytes()), "{host}");
        }
    }
}
