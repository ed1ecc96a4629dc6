//! What a ClientHello says about the program that sent it: the fields that rules compare, and the JA3 and JA4 fingerprints.
//!
//! Only the fields are read here; whether the hello is acceptable was for rustls to say.

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use base64::prelude::{BASE64_STANDARD, Engine};
use md5::{Digest, Md5};

const SERVER_NAME: u16 = 0;
const SUPPORTED_GROUPS: u16 = 10;
const EC_POINT_FORMATS: u16 = 11;
const SIGNATURE_ALGORITHMS: u16 = 13;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// The fingerprints of one ClientHello, as texts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint {
    /// The 32 random bytes, base64.
    pub(super) random: String,
    /// SHA-1 over the offered cipher suites, base64.
    pub(super) ciphers_sha1: String,
    /// SHA-1 over the types of the extensions, big-endian, base64.
    pub(super) extensions_sha1: String,
    /// The same, little-endian.
    pub(super) extensions_sha1_le: String,
    /// JA3, <https://github.com/salesforce/ja3>, lower-case hexadecimal.
    pub(super) ja3: String,
    /// JA4, <https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md>.
    pub(super) ja4: String,
}

impl Fingerprint {
    /// Reads the body of a ClientHello (RFC 8446 §4.1.2); `None` if it is not one.
    pub(super) fn of(body: &[u8]) -> Option<Self> {
        let hello = Hello::parse(body)?;
        let types = || hello.extensions.iter().map(|(kind, _)| *kind);
        let big: Vec<u8> = types().flat_map(u16::to_be_bytes).collect();
        let little: Vec<u8> = types().flat_map(u16::to_le_bytes).collect();
        let ciphers: Vec<u8> = hello.ciphers.iter().copied().flat_map(u16::to_be_bytes).collect();
        Some(Self {
            random: BASE64_STANDARD.encode(hello.random),
            ciphers_sha1: sha1(&ciphers),
            extensions_sha1: sha1(&big),
            extensions_sha1_le: sha1(&little),
            ja3: hello.ja3(),
            ja4: hello.ja4(),
        })
    }
}

fn sha1(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes))
}

/// The parts of a ClientHello.
struct Hello<'a> {
    version: u16,
    random: &'a [u8],
    ciphers: Vec<u16>,
    extensions: Vec<(u16, &'a [u8])>,
}

impl<'a> Hello<'a> {
    fn parse(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(body);
        let version = reader.u16()?;
        let random = reader.take(32)?;
        reader.vector8()?;
        let ciphers = words(reader.vector16()?);
        reader.vector8()?;
        let mut extensions = Vec::new();
        if !reader.0.is_empty() {
            let mut list = Reader(reader.vector16()?);
            while !list.0.is_empty() {
                extensions.push((list.u16()?, list.vector16()?));
            }
        }
        Some(Self { version, random, ciphers, extensions })
    }

    fn extension(&self, wanted: u16) -> Option<Reader<'a>> {
        self.extensions.iter().find(|(kind, _)| *kind == wanted).map(|(_, content)| Reader(content))
    }

    fn word_list(&self, extension: u16) -> Vec<u16> {
        self.extension(extension).and_then(|mut content| content.vector16()).map(words).unwrap_or_default()
    }

    fn ja3(&self) -> String {
        let formats: Vec<u16> = self
            .extension(EC_POINT_FORMATS)
            .and_then(|mut content| content.vector8())
            .map(|formats| formats.iter().copied().map(u16::from).collect())
            .unwrap_or_default();
        let types: Vec<u16> = self.extensions.iter().map(|(kind, _)| *kind).collect();
        let lists = [&self.ciphers, &types, &self.word_list(SUPPORTED_GROUPS), &formats].map(|list| {
            list.iter()
                .copied()
                .filter(|word| !is_grease(*word))
                .map(|word| word.to_string())
                .collect::<Vec<_>>()
                .join("-")
        });
        let text = format!("{},{}", self.version, lists.join(","));
        hex(&Md5::digest(text))
    }

    fn ja4(&self) -> String {
        let real = |words: Vec<u16>| words.into_iter().filter(|word| !is_grease(*word)).collect::<Vec<_>>();
        let ciphers = real(self.ciphers.clone());
        let types = real(self.extensions.iter().map(|(kind, _)| *kind).collect());
        let destination = if self.extension(SERVER_NAME).is_some() { 'd' } else { 'i' };
        let version = self.newest_version();
        let (cipher_count, type_count) = (ciphers.len().min(99), types.len().min(99));
        let first = format!("t{version}{destination}{cipher_count:02}{type_count:02}{}", self.alpn_ends());
        let hashed = types.into_iter().filter(|kind| !matches!(*kind, SERVER_NAME | ALPN)).collect();
        let mut extensions = sorted_hex(hashed);
        let signatures = real(self.word_list(SIGNATURE_ALGORITHMS));
        if !signatures.is_empty() {
            extensions = format!("{extensions}_{}", hex_list(&signatures));
        }
        format!("{first}_{}_{}", short_sha256(&sorted_hex(ciphers)), short_sha256(&extensions))
    }

    fn newest_version(&self) -> &'static str {
        let offered = self.extension(SUPPORTED_VERSIONS).and_then(|mut content| content.vector8()).map(words);
        let newest = offered.unwrap_or_default().into_iter().filter(|version| !is_grease(*version)).max();
        match newest.unwrap_or(self.version) {
            0x0304 => "13",
            0x0303 => "12",
            0x0302 => "11",
            0x0301 => "10",
            0x0300 => "s3",
            _ => "00",
        }
    }

    /// First and last character of the first ALPN value; of its hexadecimal form if they are not alphanumeric.
    fn alpn_ends(&self) -> String {
        let value = self
            .extension(ALPN)
            .and_then(|mut content| Reader(content.vector16()?).vector8())
            .filter(|value| !value.is_empty())
            .unwrap_or_default();
        let (Some(first), Some(last)) = (value.first(), value.last()) else { return "00".to_owned() };
        if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
            [char::from(*first), char::from(*last)].iter().collect()
        } else {
            let digits = hex(value);
            digits.chars().next().into_iter().chain(digits.chars().last()).collect()
        }
    }
}

/// Values that clients send to keep servers tolerant (RFC 8701 §2).
const fn is_grease(word: u16) -> bool {
    word & 0x0f0f == 0x0a0a && word >> 8 == word & 0xff
}

fn sorted_hex(mut words: Vec<u16>) -> String {
    words.sort_unstable();
    hex_list(&words)
}

fn hex_list(words: &[u16]) -> String {
    words.iter().map(|word| format!("{word:04x}")).collect::<Vec<_>>().join(",")
}

/// The first 12 digits; zeros for nothing.
fn short_sha256(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    let mut digits = hex(digest::digest(&SHA256, text.as_bytes()).as_ref());
    digits.truncate(12);
    digits
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn words(bytes: &[u8]) -> Vec<u16> {
    let (pairs, _) = bytes.as_chunks();
    pairs.iter().copied().map(u16::from_be_bytes).collect()
}

/// Reads big-endian numbers and length-prefixed vectors (RFC 8446 §3).
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = *self.take(1)?.first()?;
        self.take(length.into())
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    fn vector16(content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap();
        [&length.to_be_bytes(), content].concat()
    }

    fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &vector16(content)].concat()
    }

    fn be(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// The ClientHello of the example in the JA4 specification (Chrome on TCP).
    fn chrome() -> Vec<u8> {
        let ciphers = [
            0x5a5a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
            0x009d, 0x002f, 0x0035,
        ];
        let signatures = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
        let versions = [&[6][..], &be(&[0x9a9a, 0x0304, 0x0303])].concat();
        let extensions = [
            extension(0x0a0a, b""),
            extension(0x001b, b""),
            extension(0x0000, b"\0\0"),
            extension(0x0033, b""),
            extension(0x0010, &vector16(b"\x02h2\x08http/1.1")),
            extension(0x4469, b""),
            extension(0x0017, b""),
            extension(0x002d, b""),
            extension(0x000d, &vector16(&be(&signatures))),
            extension(0x0005, b""),
            extension(0x0023, b""),
            extension(0x0012, b""),
            extension(0x002b, &versions),
            extension(0xff01, b""),
            extension(0x000b, b"\x01\0"),
            extension(0x000a, &vector16(&be(&[0x2a2a, 0x001d, 0x0017]))),
            extension(0x0015, b""),
            extension(0x3a3a, b""),
        ]
        .concat();
        [&[3, 3][..], &[7; 32], &[0], &vector16(&be(&ciphers)), &[1, 0], &vector16(&extensions)].concat()
    }

    #[test]
    fn ja4_of_the_specification() {
        // https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md, "Example"
        assert_eq!(Fingerprint::of(&chrome()).unwrap().ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }

    #[test]
    fn ja3_leaves_grease_out() {
        let ja3 = Fingerprint::of(&chrome()).unwrap().ja3;
        let text = "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,\
                    27-0-51-16-17513-23-45-13-5-35-18-43-65281-11-10-21,29-23,0";
        assert_eq!(ja3, super::hex(&<md5::Md5 as md5::Digest>::digest(text)));
    }

    #[test]
    fn a_hello_cut_anywhere_has_no_fingerprint_and_does_no_harm() {
        let whole = chrome();
        // A ClientHello may end before the extensions (RFC 5246 §7.4.1.2).
        let without_extensions = 2 + 32 + 1 + 2 + 32 + 2;
        for length in 0..whole.len() {
            let cut = &whole[..length];
            assert_eq!(Fingerprint::of(cut).is_some(), length == without_extensions, "{length} bytes");
        }
    }
}
