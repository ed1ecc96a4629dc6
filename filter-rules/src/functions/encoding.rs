//! Functions that decode and hash.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest as _, Sha256};

use super::Arguments;
use crate::ast::Literal;
use crate::limits::URL_DECODE_ROUNDS_MAX;
use crate::value::Value;

/// Standard alphabet; padding may be there or not, as in the wild.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn decode_base64<'v>(mut arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    BASE64.decode(arguments.bytes(0)?).ok().map(Value::from)
}

pub(super) fn sha256<'v>(mut arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    let digest = Sha256::digest(arguments.bytes(0)?);
    Some(Value::from(digest.to_vec()))
}

pub(super) fn check_url_decode(index: usize, literal: &Literal) -> Result<(), String> {
    match literal {
        Literal::Bytes(options) if index == 1 && !matches!(&*options.bytes, b"" | b"r" | b"u" | b"ru" | b"ur") => {
            Err("the options are \"r\", \"u\" or both".to_owned())
        }
        _ => Ok(()),
    }
}

pub(super) fn url_decode<'v>(mut arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    let source = arguments.bytes(0)?;
    let options = arguments.bytes(1).unwrap_or_default();
    let unicode = options.contains(&b'u');
    let rounds = if options.contains(&b'r') { URL_DECODE_ROUNDS_MAX } else { 1 };
    let mut decoded = source;
    for _ in 0..rounds {
        if !decoded.iter().any(|byte| matches!(byte, b'%' | b'+')) {
            break;
        }
        let next = decode_once(&decoded, unicode);
        if next == *decoded {
            break;
        }
        decoded = Cow::Owned(next);
    }
    Some(Value::Bytes(decoded))
}

/// One pass over `source`; what is no valid escape stays as it is.
fn decode_once(source: &[u8], unicode: bool) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(source.len());
    let mut rest = source;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => decoded.push(b' '),
            b'%' => {
                if let Some((code, after)) = unicode.then(|| unicode_escape(rest)).flatten() {
                    decoded.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = after;
                } else if let Some((value, after)) = hex(rest, 2) {
                    decoded.push(u8::try_from(value).unwrap_or_default());
                    rest = after;
                } else {
                    decoded.push(b'%');
                }
            }
            other => decoded.push(*other),
        }
    }
    decoded
}

/// `uXXXX`, and the low half of a surrogate pair after it.
fn unicode_escape(rest: &[u8]) -> Option<(char, &[u8])> {
    let (high, after) = hex(rest.strip_prefix(b"u")?, 4)?;
    if let Some(code) = char::from_u32(high) {
        return Some((code, after));
    }
    let (low, after) = hex(after.strip_prefix(b"%u")?, 4)?;
    let pair = [u16::try_from(high).ok()?, u16::try_from(low).ok()?];
    let code = char::decode_utf16(pair).next()?.ok()?;
    Some((code, after))
}

/// The value of this many hexadecimal digits, and what follows them.
fn hex(bytes: &[u8], digits: usize) -> Option<(u32, &[u8])> {
    let (text, after) = bytes.split_at_checked(digits)?;
    let text = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    Some((u32::from_str_radix(text, 16).ok()?, after))
}
