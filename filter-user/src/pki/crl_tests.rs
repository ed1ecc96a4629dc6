//! Which lists count, and what they say.

use proptest::prelude::*;
use rcgen::SigningKey as _;

use super::*;
use crate::pki::test_support::{Ca, at, authority, ca, ca_params, ca_with};

/// ecdsa-with-SHA256.
const ALGORITHM: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

pub(in crate::pki) fn now() -> Timestamp {
    at(0).into()
}

fn wrap(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => vec![short],
        _ => [vec![0x84], u32::try_from(content.len()).unwrap().to_be_bytes().to_vec()].concat(),
    };
    // DER wants the shortest form; strip what the four bytes have too much.
    let length = match length.as_slice() {
        [0x84, 0, 0, 0, last] => vec![0x81, *last],
        [0x84, 0, 0, rest @ ..] => [vec![0x82], rest.to_vec()].concat(),
        [0x84, 0, rest @ ..] => [vec![0x83], rest.to_vec()].concat(),
        other => other.to_vec(),
    };
    [vec![tag], length, content].concat()
}

fn extension(last: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    wrap(SEQUENCE, &[&[6, 3, 0x55, 0x1d, last], critical, &wrap(OCTET_STRING, &[value])])
}

fn integer(value: u8) -> Vec<u8> {
    vec![INTEGER, 1, value]
}

fn date(offset: i64) -> Vec<u8> {
    let moment = Timestamp::from(at(offset)).rfc3339_seconds();
    let digits: String = moment.chars().filter(char::is_ascii_digit).collect();
    wrap(GENERALIZED_TIME, &[digits.as_bytes(), b"Z"])
}

fn entry(serial: u8, extensions: &[Vec<u8>]) -> Vec<u8> {
    let extensions = extensions.concat();
    let extensions = if extensions.is_empty() { Vec::new() } else { wrap(SEQUENCE, &[&extensions]) };
    wrap(SEQUENCE, &[&integer(serial), &date(-10), &extensions])
}

/// A list built by hand, so that it can be wrong.
struct Draft {
    version: Vec<u8>,
    algorithm: Vec<u8>,
    this_update: Vec<u8>,
    next_update: Vec<u8>,
    entries: Vec<Vec<u8>>,
    extensions: Vec<Vec<u8>>,
}

impl Draft {
    fn new(number: u8, serials: &[u8]) -> Self {
        Self {
            version: integer(1),
            algorithm: ALGORITHM.to_vec(),
            this_update: date(-1),
            next_update: date(100),
            entries: serials.iter().map(|serial| entry(*serial, &[])).collect(),
            extensions: vec![extension(CRL_NUMBER, false, &integer(number))],
        }
    }

    fn delta(number: u8, base: u8, serials: &[u8], removed: &[u8]) -> Self {
        let mut draft = Self::new(number, serials);
        draft.extensions.push(extension(DELTA_INDICATOR, true, &integer(base)));
        let reason = extension(REASON_CODE, false, &[ENUMERATED, 1, REMOVE_FROM_CRL]);
        draft.entries.extend(removed.iter().map(|serial| entry(*serial, std::slice::from_ref(&reason))));
        draft
    }

    fn sign(&self, ca: &Ca) -> Vec<u8> {
        let subject = authority(ca).anchor().subject.to_vec();
        let entries = self.entries.concat();
        let entries = if entries.is_empty() { Vec::new() } else { wrap(SEQUENCE, &[&entries]) };
        let extensions = self.extensions.concat();
        let extensions =
            if extensions.is_empty() { Vec::new() } else { wrap(EXTENSIONS, &[&wrap(SEQUENCE, &[&extensions])]) };
        let body = wrap(
            SEQUENCE,
            &[
                &self.version,
                &self.algorithm,
                &wrap(SEQUENCE, &[&subject]),
                &self.this_update,
                &self.next_update,
                &entries,
                &extensions,
            ],
        );
        let signature = ca.key().sign(&body).unwrap();
        wrap(SEQUENCE, &[&body, ALGORITHM, &wrap(0x03, &[&[0], &signature])])
    }
}

/// A complete list, signed.
pub(in crate::pki) fn complete(ca: &Ca, number: u8, serials: &[u8]) -> Vec<u8> {
    Draft::new(number, serials).sign(ca)
}

fn parse(draft: &Draft, ca: &Ca) -> Result<Crl, CrlError> {
    Crl::parse(&draft.sign(ca), &authority(ca), now())
}

fn keys(ca: &Ca, serials: &[u8]) -> Vec<RevocationKey> {
    let mut keys: Vec<_> =
        serials.iter().map(|serial| RevocationKey::new(authority(ca).key_hash(), &[*serial])).collect();
    keys.sort();
    keys
}

#[test]
fn a_list_is_turned_into_revocation_keys() {
    let root = ca("root");
    let crl = parse(&Draft::new(7, &[1, 2, 3, 2]), &root).unwrap();
    assert_eq!(crl.revoked(), keys(&root, &[1, 2, 3]));
    assert_eq!((crl.number().to_string().as_str(), crl.is_delta()), ("0x07", false));
    assert_eq!((crl.this_update(), crl.next_update()), (at(-1).into(), Some(at(100).into())));
    assert_eq!(crl.issuer(), authority(&root).key_hash());
}

#[test]
fn a_list_may_be_empty_old_fashioned_or_for_a_part() {
    let root = ca("root");
    assert!(parse(&Draft::new(1, &[]), &root).unwrap().revoked().is_empty());
    let bare = Draft { version: Vec::new(), next_update: Vec::new(), extensions: Vec::new(), ..Draft::new(1, &[1]) };
    let bare = parse(&bare, &root).unwrap();
    assert_eq!((bare.revoked(), bare.next_update()), (keys(&root, &[1]).as_slice(), None));
    let mut part = Draft::new(1, &[1]);
    // onlyContainsUserCerts, indirectCRL FALSE.
    part.extensions.push(extension(ISSUING_DISTRIBUTION_POINT, true, &wrap(SEQUENCE, &[&[0x81, 1, 0xff, 0x84, 1, 0]])));
    part.extensions.push(extension(AUTHORITY_KEY_ID, false, &wrap(SEQUENCE, &[])));
    part.extensions.push(extension(99, false, b"whatever"));
    assert_eq!(parse(&part, &root).unwrap().revoked(), keys(&root, &[1]));
}

#[test]
fn an_entry_counts_whatever_its_reason() {
    let root = ca("root");
    let mut draft = Draft::new(1, &[]);
    for (serial, reason) in [(1, 0), (2, 6), (3, REMOVE_FROM_CRL)] {
        draft.entries.push(entry(serial, &[extension(REASON_CODE, false, &[ENUMERATED, 1, reason])]));
    }
    draft.entries.push(entry(4, &[extension(99, true, b"unknown and critical")]));
    assert_eq!(parse(&draft, &root).unwrap().revoked(), keys(&root, &[1, 2, 3, 4]));
}

#[test]
fn pem_is_read_like_der() {
    use base64::Engine as _;
    let root = ca("root");
    let der = Draft::new(1, &[1]).sign(&root);
    let body = base64::engine::general_purpose::STANDARD.encode(&der);
    let pem = format!("comment\n-----BEGIN X509 CRL-----\n{body}\n-----END X509 CRL-----\n");
    let parsed = Crl::parse(pem.as_bytes(), &authority(&root), now()).unwrap();
    assert_eq!(parsed, Crl::parse(&der, &authority(&root), now()).unwrap());
}

#[test]
fn a_list_that_does_not_count_is_refused_with_its_reason() {
    let (root, other) = (ca("root"), ca("other"));
    let same_name = ca("root");
    let mut no_crls = ca_params("root");
    no_crls.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let no_crls = ca_with(no_crls);
    let edit = |edit: &dyn Fn(&mut Draft)| {
        let mut draft = Draft::new(1, &[1, 2]);
        edit(&mut draft);
        draft.sign(&root)
    };
    let good = Draft::new(1, &[1]).sign(&root);
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    let table = [
        (other_bytes(&other), "issuer names differ"),
        (Draft::new(1, &[1]).sign(&same_name), "does not belong to CN=root"),
        (forged, "does not belong to CN=root"),
        (good[..good.len() - 1].to_vec(), "not a signed object"),
        ([good.clone(), vec![0]].concat(), "not a signed object"),
        (b"garbage".to_vec(), "neither DER nor PEM"),
        (edit(&|draft| draft.version = integer(2)), "a version other than 2"),
        (edit(&|draft| draft.algorithm[11] = 3), "two different signature algorithms"),
        (edit(&|draft| draft.this_update = date(CRL_CLOCK_SKEW_SECONDS + 1)), "of the future"),
        (edit(&|draft| draft.entries[1] = integer(1)), "malformed at entry 1"),
        (edit(&|draft| draft.entries[1] = wrap(SEQUENCE, &[&integer(1)])), "malformed at entry 1"),
        (edit(&|draft| draft.extensions.push(extension(99, true, b""))), "critical extension"),
        (edit(&|draft| draft.entries.push(entry(3, &[extension(CERTIFICATE_ISSUER, true, b"")]))), "other issuers"),
        (
            edit(&|draft| {
                let indirect = wrap(SEQUENCE, &[&[0x84, 1, 0xff]]);
                draft.extensions.push(extension(ISSUING_DISTRIBUTION_POINT, true, &indirect));
            }),
            "indirect CRL",
        ),
    ];
    for (bytes, reason) in table {
        let error = Crl::parse(&bytes, &authority(&root), now()).expect_err(reason).to_string();
        assert!(error.contains(reason), "{error:?} instead of {reason:?}");
    }
    let error = Crl::parse(&Draft::new(1, &[1]).sign(&no_crls), &authority(&no_crls), now()).unwrap_err();
    assert!(matches!(error, CrlError::NoCrlSigning(_)));
    assert!(
        Crl::parse(&edit(&|draft| draft.this_update = date(CRL_CLOCK_SKEW_SECONDS)), &authority(&root), now()).is_ok()
    );
}

fn other_bytes(other: &Ca) -> Vec<u8> {
    Draft::new(1, &[1]).sign(other)
}

#[test]
fn a_list_has_as_many_bytes_and_entries_as_its_limits_and_not_one_more() {
    let root = ca("root");
    // Zeros that nobody writes take no memory.
    let parse = |bytes: usize| Crl::parse(&vec![0; bytes], &authority(&root), now()).unwrap_err();
    assert_eq!(parse(CRL_BYTES), CrlError::NotPem, "it is looked at");
    assert_eq!(parse(CRL_BYTES + 1), CrlError::TooLarge(CRL_BYTES + 1));
    // Ten million entries take too long for a test: the same code with a smaller limit.
    let content: Vec<u8> = (1..=3).flat_map(|serial| entry(serial, &[])).collect();
    let with_limit =
        |limit| entries(&content, &IssuerKeyHash::of_spki(b""), false, limit).map(|(revoked, _)| revoked.len());
    assert_eq!((with_limit(3), with_limit(2)), (Ok(3), Err(CrlError::TooManyEntries)));
}

#[test]
fn a_delta_adds_and_takes_away() {
    let root = ca("root");
    let base = parse(&Draft::new(5, &[1, 2, 3]), &root).unwrap();
    let delta = parse(&Draft::delta(6, 5, &[4], &[2, 9]), &root).unwrap();
    assert!(delta.is_delta());
    let next = base.with_delta(&delta).unwrap();
    assert_eq!((next.revoked(), next.is_delta()), (keys(&root, &[1, 3, 4]).as_slice(), false));
    assert_eq!(next.number(), delta.number());
    // A delta is against its base, not against the deltas since.
    let second = parse(&Draft::delta(7, 5, &[4, 5], &[2]), &root).unwrap();
    assert_eq!(next.with_delta(&second).unwrap().revoked(), keys(&root, &[1, 3, 4, 5]));
}

#[test]
fn a_delta_that_does_not_fit_is_refused() {
    let (root, other) = (ca("root"), ca("other"));
    let base = parse(&Draft::new(5, &[1]), &root).unwrap();
    let delta = |number, base| parse(&Draft::delta(number, base, &[], &[]), &root).unwrap();
    assert!(matches!(base.with_delta(&delta(7, 6)), Err(CrlError::Gap { .. })));
    assert!(matches!(base.with_delta(&delta(4, 3)), Err(CrlError::Older { .. })));
    assert_eq!(base.with_delta(&base), Err(CrlError::WrongKind("delta")));
    assert_eq!(delta(7, 5).with_delta(&delta(7, 5)), Err(CrlError::WrongKind("delta")));
    let foreign = parse(&Draft::delta(7, 5, &[], &[]), &other).unwrap();
    assert_eq!(base.with_delta(&foreign), Err(CrlError::WrongKind("delta")));
    assert!(base.with_delta(&delta(5, 5)).is_ok());
}

#[test]
fn a_list_does_not_go_back_in_time() {
    let root = ca("root");
    let loaded = parse(&Draft::new(5, &[1]), &root).unwrap();
    let older = parse(&Draft::new(4, &[]), &root).unwrap();
    assert!(matches!(older.check_replaces(&loaded), Err(CrlError::Older { .. })));
    let same_number = parse(&Draft { this_update: date(-2), ..Draft::new(5, &[]) }, &root).unwrap();
    assert!(matches!(same_number.check_replaces(&loaded), Err(CrlError::Older { .. })));
    assert_eq!(loaded.check_replaces(&loaded), Ok(()));
    assert_eq!(parse(&Draft::new(6, &[]), &root).unwrap().check_replaces(&loaded), Ok(()));
    let delta = parse(&Draft::delta(6, 5, &[], &[]), &root).unwrap();
    assert_eq!(delta.check_replaces(&loaded), Err(CrlError::WrongKind("complete")));
}

#[test]
fn numbers_of_lists_are_compared_as_numbers() {
    let number = |bytes: &[u8]| CrlNumber::from_integer(bytes).unwrap();
    assert!(number(&[0x02]) < number(&[0x01, 0x00]) && number(&[0, 0xff]) < number(&[0x01, 0x00]));
    assert_eq!(number(&[0, 7]), number(&[7]));
    assert!(CrlNumber::from_integer(&[0x80]).is_none(), "negative");
    assert!(CrlNumber::from_integer(&[1; 20]).is_some() && CrlNumber::from_integer(&[1; 21]).is_none());
}

#[test]
fn what_changed_between_two_lists_is_found() {
    let root = ca("root");
    let (before, after) =
        (parse(&Draft::new(1, &[1, 2, 3]), &root).unwrap(), parse(&Draft::new(2, &[2, 4]), &root).unwrap());
    assert_eq!(after.changes_since(&before), (keys(&root, &[4]), keys(&root, &[1, 3])));
    assert_eq!(after.changes_since(&after), (vec![], vec![]));
}

proptest! {
    #[test]
    fn no_change_of_a_byte_makes_the_parser_panic_or_the_list_count(place in 0_usize..1_000, bit in 0_u8..8) {
        let root = ca("root");
        let mut bytes = Draft::delta(6, 5, &[1, 2], &[3]).sign(&root);
        let place = place % bytes.len();
        bytes[place] ^= 1 << bit;
        prop_assert!(Crl::parse(&bytes, &authority(&root), now()).is_err());
    }

    #[test]
    fn no_bytes_make_the_parts_of_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = entry_parts(&bytes, 0);
        let _ = entries(&bytes, &IssuerKeyHash::of_spki(b""), true, CRL_ENTRIES);
        let _ = ListExtensions::parse(&bytes);
        let _ = check_distribution_point(&bytes);
        let body = Signed { message: &bytes, body: &bytes, algorithm: &[], signature: &[] };
        let _ = List::parse(&body);
    }
}
