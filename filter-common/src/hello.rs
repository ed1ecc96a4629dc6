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

/// A segment's first bytes, and room for reading a word at the last of them.
pub type Bytes = [u8; HELLO_MAX + 4];

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
        *self = Self::default();
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
    let mut bytes = [0; HELLO_MAX + 4];
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
    // SAFETY: the mask is one less than HELLO_MAX, and there are four bytes more than that. One read instead of four saves
    // a third of the time for an extension.
    u32::from_be(unsafe { place.cast::<u32>().read_unaligned() })
}

const _: () = assert!(HELLO_MAX.is_power_of_two());
