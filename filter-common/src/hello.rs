//! Finding the server name in a TLS ClientHello.
//!
//! One parser for both sides: the eBPF program drives [`Walk`] with `bpf_loop`, userspace with an ordinary loop
//! ([`server_name`]). It reads one TCP segment's worth of bytes, keeps its whole state in [`Walk`], and is careful in one
//! direction: whatever is not a plain ClientHello with one plain host name is reported as what it is, so that the caller can
//! leave it to TLS proper.
//!
//! Every access is an index below [`HELLO_MAX`] by a mask, which the kernel's verifier can follow; that it is also below the
//! number of bytes present is checked before.

use crate::{layout::NAME_MAX, opaque};

/// Most bytes of a ClientHello that are looked at: one segment, and a power of two for the masks.
pub const HELLO_MAX: usize = 2048;
/// Most extensions that are looked at.
pub const EXTENSIONS_MAX: u32 = 64;
/// How often [`Walk::step`] must be called at most: once for each extension, and once to see the end.
pub const STEPS_MAX: u32 = EXTENSIONS_MAX + 1;

/// A segment's first bytes, and room for reading eight at the last of them.
pub type Bytes = [u8; HELLO_MAX + 8];

/// What a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hello {
    /// Not the beginning of a TLS record with a ClientHello.
    Not,
    /// A ClientHello that goes on beyond these bytes, or beyond its record, with no name so far.
    Incomplete,
    /// Its lengths contradict each other, or its server_name is not a list of one host name.
    Malformed,
    /// Complete, without a name.
    NoName,
    /// More than [`EXTENSIONS_MAX`] extensions, the first of which have no name.
    TooManyExtensions,
    /// A name of more than [`NAME_MAX`] bytes.
    NameTooLong,
    /// A name of 1 to [`NAME_MAX`] bytes, all of them present.
    Name {
        /// Where it starts.
        at: u32,
        /// Its length.
        length: u32,
    },
}

const WALKING: u32 = 0;
const NOT: u32 = 1;
const INCOMPLETE: u32 = 2;
const MALFORMED: u32 = 3;
const NO_NAME: u32 = 4;
const TOO_MANY_EXTENSIONS: u32 = 5;
const NAME_TOO_LONG: u32 = 6;
const NAME: u32 = 7;

const RECORD_HANDSHAKE: u8 = 22;
const HANDSHAKE_CLIENT_HELLO: u8 = 1;
const EXTENSION_SERVER_NAME: u32 = 0;
const NAME_HOST: u8 = 0;
/// Record header, handshake header, version and random: where the session id's length is.
const SESSION_ID: u32 = 5 + 4 + 2 + 32;

/// The parser's state between two extensions. Plain integers: in the kernel it lives in a map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Walk {
    /// Where the next extension starts, or the name once it was found.
    at: u32,
    /// Where the extensions end according to their own length.
    end: u32,
    /// How many bytes may be read: those that are present and in the first record.
    available: u32,
    /// One of the constants above.
    state: u32,
    extensions: u32,
    name_length: u32,
}

impl Walk {
    /// Reads up to the first extension of a segment of which the first `present` bytes are in `bytes`.
    #[inline(always)]
    pub fn begin(&mut self, bytes: &Bytes, present: u32) {
        // The rest is written before it is read; all of it at once would be a call of memset.
        self.extensions = 0;
        self.state = self.head(bytes, present);
    }

    /// Looks at one extension; false when there is nothing more to do. A `Walk` that ended stays as it is.
    #[inline(always)]
    pub fn step(&mut self, bytes: &Bytes) -> bool {
        if self.state == WALKING {
            self.state = self.extension(bytes);
        }
        self.state == WALKING
    }

    /// What was found. A walk that was not driven to its end has found nothing, which is `Malformed`.
    #[inline(always)]
    #[must_use]
    pub fn hello(&self) -> Hello {
        match self.state {
            NOT => Hello::Not,
            INCOMPLETE => Hello::Incomplete,
            NO_NAME => Hello::NoName,
            TOO_MANY_EXTENSIONS => Hello::TooManyExtensions,
            NAME_TOO_LONG => Hello::NameTooLong,
            NAME => Hello::Name { at: self.at, length: self.name_length },
            _ => Hello::Malformed,
        }
    }

    #[inline(always)]
    fn head(&mut self, bytes: &Bytes, present: u32) -> u32 {
        if present < 6 {
            // Fewer bytes than tell what it is. A record of a few bytes is not worth a guess.
            return if present > 0 && u8_at(bytes, 0) != RECORD_HANDSHAKE { NOT } else { INCOMPLETE };
        }
        if u8_at(bytes, 0) != RECORD_HANDSHAKE || u8_at(bytes, 1) != 3 || u8_at(bytes, 5) != HANDSHAKE_CLIENT_HELLO {
            return NOT;
        }
        let record_end = 5 + u16_at(bytes, 3);
        self.available = smaller(record_end, smaller(present, HELLO_MAX as u32));
        if self.available <= SESSION_ID {
            return INCOMPLETE;
        }
        let hello_end = 9 + (u32::from(u8_at(bytes, 6)) << 16) + u16_at(bytes, 7);
        let suites = SESSION_ID + 1 + u32::from(u8_at(bytes, SESSION_ID));
        if suites + 2 > self.available {
            return self.short(suites + 2, hello_end);
        }
        let compression = suites + 2 + u16_at(bytes, suites);
        if compression + 1 > self.available {
            return self.short(compression + 1, hello_end);
        }
        let extensions = compression + 1 + u32::from(u8_at(bytes, compression));
        if extensions == hello_end {
            // TLS before extensions existed.
            return NO_NAME;
        }
        if extensions + 2 > self.available {
            return self.short(extensions + 2, hello_end);
        }
        self.at = extensions + 2;
        self.end = self.at + u16_at(bytes, extensions);
        if self.end == hello_end { WALKING } else { MALFORMED }
    }

    #[inline(always)]
    fn extension(&mut self, bytes: &Bytes) -> u32 {
        if self.at == self.end {
            return NO_NAME;
        }
        if self.extensions >= EXTENSIONS_MAX {
            return TOO_MANY_EXTENSIONS;
        }
        self.extensions += 1;
        if self.at + 4 > self.available {
            return self.short(self.at + 4, self.end);
        }
        let body = self.at + 4;
        let kind_and_length = u32_at(bytes, self.at);
        let next = body + (kind_and_length & 0xffff);
        if next > self.end {
            return MALFORMED;
        }
        if kind_and_length >> 16 == EXTENSION_SERVER_NAME {
            return self.server_name(bytes, body, next);
        }
        self.at = next;
        WALKING
    }

    #[inline(always)]
    fn server_name(&mut self, bytes: &Bytes, body: u32, end: u32) -> u32 {
        // A list of one host name: length of the list, type, length of the name.
        if body + 5 > self.available {
            return self.short(body + 5, end);
        }
        let name_length = u16_at(bytes, body + 3);
        let one_name = body + 5 + name_length == end && u16_at(bytes, body) == 3 + name_length;
        if !one_name || u8_at(bytes, body + 2) != NAME_HOST || name_length == 0 {
            return MALFORMED;
        }
        if name_length > NAME_MAX as u32 {
            return NAME_TOO_LONG;
        }
        if end > self.available {
            return INCOMPLETE;
        }
        self.at = body + 5;
        self.name_length = name_length;
        NAME
    }

    /// Something would end at `needed`, which is beyond what is present: incomplete, unless it is also beyond `limit`, the
    /// end of what it is part of.
    #[inline(always)]
    fn short(&self, needed: u32, limit: u32) -> u32 {
        if needed > limit { MALFORMED } else { INCOMPLETE }
    }
}

/// What the kernel's program finds in a segment with this payload.
#[must_use]
pub fn server_name(payload: &[u8]) -> Hello {
    let mut bytes = [0; HELLO_MAX + 8];
    let present = bytes.iter_mut().take(HELLO_MAX).zip(payload).map(|(to, from)| *to = *from).count();
    let mut walk = Walk::default();
    walk.begin(&bytes, present as u32);
    for _ in 0..STEPS_MAX {
        if !walk.step(&bytes) {
            break;
        }
    }
    walk.hello()
}

/// Whether userspace might understand this name as something else than the name of a host: an IPv4 address ends with a digit,
/// and a name with a final dot is written by some clients for the name without it. Looked at only if the name is not found.
#[inline(always)]
#[must_use]
pub fn last_byte_is_unusual(last: u8) -> bool {
    last == b'.' || last.is_ascii_digit()
}

#[inline(always)]
fn smaller(a: u32, b: u32) -> u32 {
    if a < b { a } else { b }
}

#[inline(always)]
fn u8_at(bytes: &Bytes, at: u32) -> u8 {
    #[expect(clippy::indexing_slicing, reason = "the mask is one less than the length, a power of two")]
    bytes[opaque(at) as usize & (HELLO_MAX - 1)]
}

#[inline(always)]
fn u16_at(bytes: &Bytes, at: u32) -> u32 {
    u32_at(bytes, at) >> 16
}

/// Four bytes, the first the most significant. The last may be behind those that are present, if the caller drops them.
#[inline(always)]
fn u32_at(bytes: &Bytes, at: u32) -> u32 {
    let place = bytes.as_ptr().wrapping_add(opaque(at) as usize & (HELLO_MAX - 1));
    // SAFETY: the mask is one less than HELLO_MAX, and there are eight bytes more than that. One read instead of four saves
    // a third of the time for an extension.
    u32::from_be(unsafe { place.cast::<u32>().read_unaligned() })
}

/// Eight bytes as they are in memory. The last may be behind those that are present, if the caller drops them.
#[inline(always)]
#[must_use]
pub fn u64_at(bytes: &Bytes, at: u32) -> u64 {
    let place = bytes.as_ptr().wrapping_add(opaque(at) as usize & (HELLO_MAX - 1));
    // SAFETY: as above.
    unsafe { place.cast::<u64>().read_unaligned() }
}

const _: () = assert!(HELLO_MAX.is_power_of_two());

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use std::{vec, vec::Vec};

    /// A ClientHello with these extensions, each of a type and a content.
    fn client_hello(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut list = Vec::new();
        for (kind, content) in extensions {
            list.extend(kind.to_be_bytes());
            list.extend((content.len() as u16).to_be_bytes());
            list.extend(content);
        }
        // Version, random, no session id, one suite, no compression.
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 1, 1, 0]);
        body.extend((list.len() as u16).to_be_bytes());
        body.extend(list);
        let mut record = vec![22, 3, 1];
        record.extend((body.len() as u16 + 4).to_be_bytes());
        record.extend([1, 0]);
        record.extend((body.len() as u16).to_be_bytes());
        record.extend(body);
        record
    }

    fn name(name: &[u8]) -> (u16, Vec<u8>) {
        let length = name.len() as u16;
        (0, [&(length + 3).to_be_bytes()[..], &[0], &length.to_be_bytes(), name].concat())
    }

    fn other(count: u16) -> Vec<(u16, Vec<u8>)> {
        (0..count).map(|n| (0x2a00 + n, vec![1, 2])).collect()
    }

    /// The name found in these bytes, or what was found instead.
    fn found(bytes: &[u8]) -> Result<&[u8], Hello> {
        match server_name(bytes) {
            Hello::Name { at, length } => Ok(&bytes[at as usize..(at + length) as usize]),
            hello => Err(hello),
        }
    }

    #[test]
    fn the_name_is_found_wherever_it_is() {
        for place in [0, 1, 63] {
            let mut extensions = other(63);
            extensions.insert(place, name(b"www.example.com"));
            assert_eq!(found(&client_hello(&extensions)), Ok(&b"www.example.com"[..]), "behind {place} extensions");
        }
    }

    #[test]
    fn limits_hold_at_the_limit_and_one_past_it() {
        let behind = |count| client_hello(&[other(count), vec![name(b"a")]].concat());
        assert_eq!(found(&behind(63)), Ok(&b"a"[..]));
        assert_eq!(found(&behind(64)), Err(Hello::TooManyExtensions));
        assert_eq!(found(&client_hello(&other(64))), Err(Hello::NoName));
        assert_eq!(found(&client_hello(&other(65))), Err(Hello::TooManyExtensions));
        assert_eq!(found(&client_hello(&[name(&[b'a'; 255])])), Ok(&[b'a'; 255][..]));
        assert_eq!(found(&client_hello(&[name(&[b'a'; 256])])), Err(Hello::NameTooLong));
        // The name ends with the last byte that is looked at, and one behind it.
        let padded = |length| client_hello(&[(21, vec![0; length]), name(b"abc")]);
        let most = HELLO_MAX - padded(0).len();
        assert_eq!(found(&padded(most)), Ok(&b"abc"[..]));
        assert_eq!(found(&padded(most + 1)), Err(Hello::Incomplete));
    }

    #[test]
    fn what_is_no_plain_hello_is_left_to_tls() {
        for (what, bytes, expected) in [
            ("nothing", &b""[..], Hello::Incomplete),
            ("half a record header", &[22, 3], Hello::Incomplete),
            ("a request without TLS", b"GET / HTTP/1.1\r\n\r\n", Hello::Not),
            ("an alert", &[21, 3, 3, 0, 2, 1, 0], Hello::Not),
            ("a server's hello", &[22, 3, 3, 0, 4, 2, 0, 0, 0], Hello::Not),
            ("application data", &[23, 3, 3, 0, 4, 1, 0, 0, 0], Hello::Not),
            ("SSL 2", &[0x80, 0x2e, 1, 3, 1, 0], Hello::Not),
        ] {
            assert_eq!(found(bytes), Err(expected), "{what}");
        }
        for (what, extension) in [
            ("no content", vec![]),
            ("an empty name", vec![0, 3, 0, 0, 0]),
            ("two names", b"\0\x08\0\0\x01a\0\0\x01b".to_vec()),
            ("a name that is no host's", vec![0, 4, 1, 0, 1, b'a']),
            ("bytes behind the list", vec![0, 4, 0, 0, 1, b'a', 0]),
        ] {
            assert_eq!(found(&client_hello(&[(0, extension)])), Err(Hello::Malformed), "{what}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_and_a_name_lies_within_them(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            if let Hello::Name { at, length } = server_name(&bytes) {
                prop_assert!((at + length) as usize <= bytes.len().min(HELLO_MAX));
            }
        }

        #[test]
        fn a_hello_that_is_cut_has_its_name_or_none(cut in 0_usize..200, extensions in 0_u16..9) {
            let hello = client_hello(&[other(extensions), vec![name(b"www.example.com")], other(3)].concat());
            let part = &hello[..cut.min(hello.len())];
            match server_name(part) {
                Hello::Name { at, length } => prop_assert_eq!(&part[at as usize..(at + length) as usize], b"www.example.com"),
                hello => prop_assert_eq!(hello, Hello::Incomplete),
            }
        }

        #[test]
        fn a_changed_byte_never_makes_a_name_out_of_bounds(at in 0_usize..110, byte in any::<u8>()) {
            let mut hello = client_hello(&[other(2), vec![name(b"www.example.com")]].concat());
            if let Some(place) = hello.get_mut(at) {
                *place = byte;
            }
            if let Hello::Name { at, length } = server_name(&hello) {
                prop_assert!((1..=255).contains(&length) && (at + length) as usize <= hello.len());
            }
        }
    }
}
