//! Distinguished names as text that cannot lie.
//!
//! A client chooses its subject, so every byte that could end a header, a log line or a name is escaped; the result is
//! printable ASCII.

use std::fmt::Write as _;

use x509_parser::asn1_rs::{Any, Tag, ToDer};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::model::SubjectParts;

/// Short names of attributes, as RFC 4514 and OpenSSL have them.
const SHORT_NAMES: [(&str, &str); 18] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.97", "organizationIdentifier"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

fn short_name(oid: &str) -> Option<&'static str> {
    SHORT_NAMES.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name)
}

/// `CN=James Royal,OU=Access Admins,O=Access,L=Austin,ST=Texas,C=US`: last part first, escaped as RFC 4514 says, with
/// everything outside printable ASCII as `\XX`.
pub(super) fn rfc2253(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for (place, part) in parts.into_iter().rev().enumerate() {
        for (other, attribute) in part.iter().enumerate() {
            if other > 0 {
                text.push('+');
            } else if place > 0 {
                text.push(',');
            }
            push_rfc2253(&mut text, attribute);
        }
    }
    text
}

fn push_rfc2253(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let oid = attribute.attr_type().to_id_string();
    match (short_name(&oid), value_text(attribute.attr_value())) {
        (Some(name), Some(value)) => {
            text.push_str(name);
            text.push('=');
            push_rfc2253_value(text, &value);
        }
        // What has no name, or is no text, is shown as it is encoded; nothing else is unambiguous.
        (name, _) => {
            text.push_str(name.unwrap_or(&oid));
            text.push_str("=#");
            let encoded = attribute.attr_value().to_der_vec().unwrap_or_default();
            encoded.iter().for_each(|byte| push_hex(text, *byte));
        }
    }
}

fn push_rfc2253_value(text: &mut String, value: &str) {
    let last = value.len().saturating_sub(1);
    for (place, byte) in value.bytes().enumerate() {
        let special = matches!(byte, b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' | b'=')
            || (place == 0 && matches!(byte, b' ' | b'#'))
            || (place == last && byte == b' ');
        match byte {
            _ if special => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                text.push('\\');
                push_hex(text, byte);
            }
        }
    }
}

/// `/C=US/ST=Texas/L=Austin/O=Access/OU=Access Admins/CN=James Royal`: OpenSSL's one-line form. `/`, `+` and `\` in a
/// value are preceded by `\`, everything outside printable ASCII is `\xXX`.
pub(super) fn legacy(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    for part in name.iter_rdn() {
        for (other, attribute) in part.iter().enumerate() {
            text.push(if other > 0 { '+' } else { '/' });
            let oid = attribute.attr_type().to_id_string();
            text.push_str(short_name(&oid).unwrap_or(&oid));
            text.push('=');
            match value_text(attribute.attr_value()) {
                Some(value) => push_legacy_value(&mut text, value.as_bytes()),
                None => push_legacy_value(&mut text, attribute.as_slice()),
            }
        }
    }
    text
}

fn push_legacy_value(text: &mut String, value: &[u8]) {
    for &byte in value {
        match byte {
            b'/' | b'+' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                text.push_str("\\x");
                push_hex(text, byte);
            }
        }
    }
}

fn push_hex(text: &mut String, byte: u8) {
    // Writing to a `String` does not fail.
    let _ = write!(text, "{byte:02X}");
}

/// The characters of any of the string types that names are made of.
pub(super) fn value_text(value: &Any<'_>) -> Option<String> {
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            std::str::from_utf8(value.data).ok().map(str::to_owned)
        }
        // T.61 as everybody uses it: Latin-1.
        Tag::T61String => Some(value.data.iter().copied().map(char::from).collect()),
        Tag::BmpString => {
            let (units, rest) = value.data.as_chunks::<2>();
            let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
            let text: Result<String, _> = char::decode_utf16(units).collect();
            text.ok().filter(|_| rest.is_empty())
        }
        Tag::UniversalString => {
            let (units, rest) = value.data.as_chunks::<4>();
            let text: Option<String> = units.iter().map(|unit| char::from_u32(u32::from_be_bytes(*unit))).collect();
            text.filter(|_| rest.is_empty())
        }
        _ => None,
    }
}

/// The labels of a subject; of several values of one kind the first.
pub(super) fn subject_parts(name: &X509Name<'_>) -> SubjectParts {
    let first = |oid: &str| {
        let mut attributes = name.iter_attributes().filter(|attribute| attribute.attr_type().to_id_string() == oid);
        attributes.next().and_then(|attribute| value_text(attribute.attr_value())).unwrap_or_default()
    };
    SubjectParts {
        common_name: first("2.5.4.3"),
        organization: first("2.5.4.10"),
        organizational_unit: first("2.5.4.11"),
        country: first("2.5.4.6"),
        state: first("2.5.4.8"),
        location: first("2.5.4.7"),
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::asn1_rs::FromDer as _;

    use super::*;

    /// A name of one part, built by hand so that it can hold what no library would write.
    fn name_of(attributes: &[(u8, u8, &[u8])]) -> Vec<u8> {
        let wrap = |tag: u8, content: Vec<u8>| [vec![tag, u8::try_from(content.len()).unwrap()], content].concat();
        let parts = attributes.iter().map(|(kind, tag, value)| {
            let oid = vec![0x06, 3, 0x55, 4, *kind];
            wrap(0x31, wrap(0x30, [oid, wrap(*tag, value.to_vec())].concat()))
        });
        wrap(0x30, parts.flatten().collect())
    }

    fn forms(attributes: &[(u8, u8, &[u8])]) -> (String, String) {
        let der = name_of(attributes);
        let (_, name) = X509Name::from_der(&der).unwrap();
        (rfc2253(&name), legacy(&name))
    }

    #[test]
    fn a_name_has_the_forms_the_fields_are_documented_with() {
        let attributes: [(u8, u8, &[u8]); 6] = [
            (6, 0x13, b"US"),
            (8, 0x0c, b"Texas"),
            (7, 0x0c, b"Austin"),
            (10, 0x0c, b"Access"),
            (11, 0x0c, b"Access Admins"),
            (3, 0x0c, b"James Royal"),
        ];
        let (rfc, old) = forms(&attributes);
        assert_eq!(rfc, "CN=James Royal,OU=Access Admins,O=Access,L=Austin,ST=Texas,C=US");
        assert_eq!(old, "/C=US/ST=Texas/L=Austin/O=Access/OU=Access Admins/CN=James Royal");
    }

    #[test]
    fn a_value_cannot_pretend_to_be_more_than_a_value() {
        let table: [(u8, &[u8], &str, &str); 9] = [
            (0x0c, b"a,O=evil", r"CN=a\,O\=evil", "/CN=a,O=evil"),
            (0x0c, b"a/O=evil", r"CN=a/O\=evil", r"/CN=a\/O=evil"),
            (0x0c, b"a+b\\", r"CN=a\+b\\", r"/CN=a\+b\\"),
            (0x0c, b" #a ", r"CN=\ #a\ ", "/CN= #a "),
            (0x0c, b"#a", r"CN=\#a", "/CN=#a"),
            (0x0c, b"a\r\nX: y\0", r"CN=a\0D\0AX: y\00", r"/CN=a\x0D\x0AX: y\x00"),
            (0x0c, "ä".as_bytes(), r"CN=\C3\A4", r"/CN=\xC3\xA4"),
            (0x1e, &[0, 0xe4, 0, b'b'], r"CN=\C3\A4b", r"/CN=\xC3\xA4b"),
            (0x0c, &[0xff], "CN=#0C01FF", r"/CN=\xFF"),
        ];
        for (tag, value, rfc, old) in table {
            assert_eq!(forms(&[(3, tag, value)]), (rfc.to_owned(), old.to_owned()), "{value:x?}");
        }
    }

    #[test]
    fn an_attribute_without_a_name_is_shown_by_its_number() {
        assert_eq!(forms(&[(99, 0x0c, b"a")]).0, "2.5.4.99=#0C0161");
    }
}
