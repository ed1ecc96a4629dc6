//! The request target as rules see it.
//!
//! `http.request.uri.*` is normalised, so that `/%61dmin`, `//admin` and `/x/../admin` cannot slip past a rule about `/admin`;
//! `raw.http.request.uri.*` is what came. The steps are those of RFC 3986 §6.2.2 (upper-case percent-encodings, unreserved characters
//! decoded, dot segments removed) and Cloudflare's on top (back slashes are slashes, runs of slashes are one).

use std::borrow::Cow;

/// A path in its normal form; borrowed if it was in it already.
pub(super) fn normalise_path(path: &str) -> Cow<'_, str> {
    if is_normal(path.as_bytes()) {
        return Cow::Borrowed(path);
    }
    let decoded = decode_unreserved(path);
    let slashes = decoded.replace('\\', "/");
    Cow::Owned(remove_dot_segments(&slashes))
}

/// Whether nothing in the path can change: no percent-encoding, no back slash, no empty or dot segment.
fn is_normal(path: &[u8]) -> bool {
    let plain = !path.iter().any(|byte| matches!(byte, b'%' | b'\\'));
    let suspect = |pair: &[u8]| matches!(pair, b"//" | b"/.");
    plain && !path.windows(2).any(suspect)
}

/// Decodes percent-encodings of unreserved characters (RFC 3986 §2.3), and writes the others in upper case.
fn decode_unreserved(path: &str) -> String {
    let mut output = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        output.push_str(before);
        let digits = after.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (digits, byte) {
            (Some(_), Some(byte)) if byte.is_ascii_alphanumeric() || b"-._~\\".contains(&byte) => {
                output.push(char::from(byte));
            }
            (Some(digits), _) => {
                output.push('%');
                output.push_str(&digits.to_ascii_uppercase());
            }
            (None, _) => output.push('%'),
        }
        rest = digits.map_or(after, |digits| after.get(digits.len()..).unwrap_or_default());
    }
    output.push_str(rest);
    output
}

/// RFC 3986 §5.2.4, with runs of slashes taken as one.
fn remove_dot_segments(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut directory = false;
    for segment in path.split('/') {
        directory = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut output = String::with_capacity(path.len());
    for segment in &segments {
        output.push('/');
        output.push_str(segment);
    }
    if directory || segments.is_empty() {
        output.push('/');
    }
    output
}

/// The file extension: what follows the last dot of the last segment, if something stands before and after that dot.
pub(super) fn extension(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or_default();
    match file.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => extension,
        _ => "",
    }
}

/// Names and values of a query, in order; a name without `=` has an empty value.
pub(super) fn arguments(query: &str) -> impl Iterator<Item = (&[u8], &[u8])> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{arguments, extension, normalise_path};

    #[test]
    fn different_spellings_of_a_path_are_one() {
        for (path, normal) in [
            ("/", "/"),
            ("/admin", "/admin"),
            ("/%61dmin", "/admin"),
            ("//admin", "/admin"),
            ("/./admin", "/admin"),
            ("/x/../admin", "/admin"),
            ("/x/%2e%2E/admin", "/admin"),
            ("/..%5cadmin", "/admin"),
            ("/x\\..\\admin", "/admin"),
            ("/../../admin", "/admin"),
            ("/admin/.", "/admin/"),
            ("/admin/..", "/"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%zzb%", "/a%zzb%"),
            ("/%", "/%"),
            ("/%4", "/%4"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a...b/..c", "/a...b/..c"),
            ("/b%C3%bccher", "/b%C3%BCcher"),
        ] {
            assert_eq!(normalise_path(path), normal, "{path}");
            assert_eq!(normalise_path(normal), normal, "{path}: the normal form is stable");
        }
    }

    #[test]
    fn extensions_are_those_of_the_last_segment() {
        for (path, expected) in
            [("/a.b/c", ""), ("/.mp3", ""), ("/.foo.mp3", "mp3"), ("/foo.", ""), ("/a/b.TAR.gz", "gz"), ("/", "")]
        {
            assert_eq!(extension(path), expected, "{path}");
        }
    }

    #[test]
    fn arguments_keep_their_order_and_their_encoding() {
        let found: Vec<_> = arguments("a=1&b&&a=%32=3&=x").collect();
        let expected: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"b", b""), (b"a", b"%32=3"), (b"", b"x")];
        assert_eq!(found, expected);
    }
}
