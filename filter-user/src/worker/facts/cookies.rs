//! Cookies of a request (RFC 6265 §4.2).

use std::borrow::Cow;

use http::HeaderMap;
use http::header::COOKIE;

/// A name, percent-decoded, and its value as it came.
pub(super) type Cookie<'a> = (Cow<'a, [u8]>, &'a [u8]);

/// The cookies of all Cookie headers, in order.
pub(super) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = Cookie<'_>> {
    headers.get_all(COOKIE).iter().flat_map(|header| header.as_bytes().split(|byte| *byte == b';')).filter_map(|pair| {
        let pair = pair.trim_ascii();
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at(equals);
        Some((percent_decode(name), value.get(1..).unwrap_or_default()))
    })
}

/// Decodes what is a percent-encoding, and leaves the rest.
fn percent_decode(encoded: &[u8]) -> Cow<'_, [u8]> {
    if !encoded.contains(&b'%') {
        return Cow::Borrowed(encoded);
    }
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((first, after)) = rest.split_first() {
        let byte = match after {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        decoded.push(byte.unwrap_or(*first));
        rest = after.get(if byte.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    Cow::Owned(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use http::header::{COOKIE, HeaderMap, HeaderValue};

    use super::{cookies, percent_decode};

    #[test]
    fn cookies_of_all_headers_come_in_order() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; b=x=y;c"));
        headers.append(COOKIE, HeaderValue::from_static(" %61=2 "));
        let found: Vec<_> = cookies(&headers).map(|(name, value)| (name.into_owned(), value)).collect();
        let expected: [(Vec<u8>, &[u8]); 3] = [(b"a".into(), b"1"), (b"b".into(), b"x=y"), (b"a".into(), b"2")];
        assert_eq!(found, expected);
    }

    #[test]
    fn only_percent_encodings_are_decoded() {
        for (encoded, decoded) in [("id", "id"), ("%69d", "id"), ("%6", "%6"), ("%zz%+f", "%zz%+f"), ("a%20b%", "a b%")]
        {
            assert_eq!(percent_decode(encoded.as_bytes()), decoded.as_bytes(), "{encoded}");
        }
    }
}
