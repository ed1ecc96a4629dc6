//! Keys and values of the maps.
//!
//! All are `repr(C)` with every byte named, so that what one side writes is what the other compares. Addresses and ports are
//! integers whose bytes in memory are in network order; an IPv4 address is mapped into IPv6.

use core::net::{IpAddr, Ipv6Addr};

use crate::hash::LISTEN_SLOT_BITS;
pub use crate::hash::{ListenHash, TupleHash};

/// Longest name in a server_name extension that is looked up; DNS allows 253.
pub const NAME_MAX: usize = 255;
/// Longest name in the table of short names. A key is hashed and compared whole, which takes a third of the time for these;
/// nearly all names are that short.
pub const SHORT_NAME_MAX: usize = 63;

/// An IP address. Four words, so that it is copied and compared by words; in memory they are its 16 bytes in network order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Address(pub [u32; 4]);

impl Address {
    /// An IPv6 address.
    #[must_use]
    pub const fn from_octets(octets: [u8; 16]) -> Self {
        let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3] = octets;
        Self([
            u32::from_ne_bytes([a0, a1, a2, a3]),
            u32::from_ne_bytes([b0, b1, b2, b3]),
            u32::from_ne_bytes([c0, c1, c2, c3]),
            u32::from_ne_bytes([d0, d1, d2, d3]),
        ])
    }

    /// An IPv4 address, as the word that its four bytes are in memory.
    #[inline(always)]
    #[must_use]
    pub const fn from_v4(word: u32) -> Self {
        Self([0, 0, u32::from_ne_bytes([0, 0, 0xff, 0xff]), word])
    }

    /// Its 16 bytes in network order.
    #[must_use]
    pub const fn octets(self) -> [u8; 16] {
        let Self([a, b, c, d]) = self;
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (a.to_ne_bytes(), b.to_ne_bytes());
        let ([c0, c1, c2, c3], [d0, d1, d2, d3]) = (c.to_ne_bytes(), d.to_ne_bytes());
        [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3]
    }

    /// The address as the standard library has it; an IPv4 address as one.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        Ipv6Addr::from(self.octets()).to_canonical()
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        Self::from_octets(match ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        })
    }
}

/// An address and port that the filter answers for.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenKey {
    /// IPv6, or IPv4 mapped into IPv6.
    pub address: Address,
    /// The two bytes of the port in network order.
    pub port: u16,
    /// Zero.
    pub padding: u16,
}

/// A listen address, in the slot of [`LISTENERS`](crate::maps::LISTENERS) that [`ListenHash::slot`] names.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listener {
    /// IPv6, or IPv4 mapped into IPv6.
    pub address: Address,
    /// The two bytes of the port in network order.
    pub port: u16,
    /// Zero.
    pub padding: u16,
    /// 1; 0 in a slot that no address is in.
    pub is_used: u32,
    /// When the listeners were last told that SYN cookies are in use, in the kernel's monotonic nanoseconds. Written by XDP.
    pub told_at_ns: u64,
}

/// Slots of the table of listen addresses: so many that a few hashes are tried until no two of
/// [`LISTEN_MAX`](crate::maps::LISTEN_MAX) addresses share one. One comparison tells whether a packet is for the filter.
pub const LISTEN_SLOTS: u32 = 1 << LISTEN_SLOT_BITS;

/// The denied networks among the 65,536 addresses that begin with the same two bytes, IPv4: one cache line. A bit for each third
/// byte; the words and their bits count from the least.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DenyBlock {
    /// All addresses that go on with this byte are denied.
    pub whole: [u64; 4],
    /// Some are: those of a [`DenyPart`].
    pub part: [u64; 4],
}

/// The denied addresses among 256 that begin with the same three bytes: a bit for each last byte.
pub type DenyPart = [u64; 4];

/// A TCP connection of a client.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConnectionKey {
    /// The client's address.
    pub client: Address,
    /// The listen address.
    pub edge: Address,
    /// The client's port, in network order.
    pub client_port: u16,
    /// The listen port, in network order.
    pub edge_port: u16,
}

impl ConnectionKey {
    /// Whether it is the same connection: one comparison at the end, where `==` is one for each word.
    #[inline(always)]
    #[must_use]
    pub const fn is(&self, other: &Self) -> bool {
        let (Address([a, b, c, d]), Address([e, f, g, h])) = (self.client, self.edge);
        let (Address([i, j, k, l]), Address([m, n, o, p])) = (other.client, other.edge);
        let addresses = (a ^ i) | (b ^ j) | (c ^ k) | (d ^ l) | (e ^ m) | (f ^ n) | (g ^ o) | (h ^ p);
        addresses | ((self.client_port ^ other.client_port) | (self.edge_port ^ other.edge_port)) as u32 == 0
    }
}

/// Connections that live in the kernel, of those that share a bucket: the last four of them, by what the bucket's number leaves of their
/// hash. Zero is none.
pub type PassedBucket = [u32; 4];

/// The bucket of [`PASSED`](crate::maps::PASSED) that a connection with this hash is in, and what stands for it there: never zero, and
/// that of another one in two billion. Such a one is passed to the kernel, which decides for itself.
#[inline(always)]
#[must_use]
pub const fn passed_place(hash: u64) -> (u32, u32) {
    ((hash >> 48) as u32, (hash >> 16) as u32 | 1)
}

/// A group of listeners on one address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupValue {
    /// Index of the socket for CPU 0 in [`SOCKETS`](crate::maps::SOCKETS); those of the other CPUs follow.
    pub first_socket: u32,
}

/// A host's name in lower case: an exact name, or what follows the asterisk of a wildcard (`.example.com`).
///
/// No host's name starts with a dot, so the two never meet; a name in a ClientHello that does must not be looked up.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Name<const MAX: usize> {
    /// The name, then zeros.
    pub name: [u8; MAX],
    /// Length of the name, so that a name that ends with zero bytes is another name.
    pub length: u8,
}

/// Key of a name that is short enough for the faster table.
pub type ShortName = Name<SHORT_NAME_MAX>;
/// Key of any other name.
pub type LongName = Name<NAME_MAX>;

impl<const MAX: usize> Name<MAX> {
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let length = u8::try_from(bytes.len()).ok().filter(|&length| length > 0 && usize::from(length) <= MAX)?;
        let mut name = [0; MAX];
        for (to, from) in name.iter_mut().zip(bytes) {
            *to = from.to_ascii_lowercase();
        }
        Some(Self { name, length })
    }
}

/// The key of a host, and with it the table that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostKey {
    /// In [`HOSTS`](crate::maps::HOSTS).
    Short(ShortName),
    /// In [`LONG_HOSTS`](crate::maps::LONG_HOSTS).
    Long(LongName),
}

impl HostKey {
    /// The key of a name as it was configured: `www.example.com`, or `*.example.com` for all names with one label more.
    /// `None` if the name is empty, too long, starts with a dot, or has an asterisk anywhere else.
    #[must_use]
    pub fn new(pattern: &str) -> Option<Self> {
        let name = match pattern.strip_prefix('*') {
            Some(rest) if rest.starts_with('.') && rest.len() > 1 => rest,
            Some(_) => return None,
            None if pattern.starts_with('.') => return None,
            None => pattern,
        };
        if name.contains('*') { None } else { Self::from_bytes(name.as_bytes()) }
    }

    /// The key under which the exact name of a ClientHello is looked up; `None` if it starts with a dot, is empty or too long.
    #[must_use]
    pub fn exact(name: &[u8]) -> Option<Self> {
        if name.first() == Some(&b'.') { None } else { Self::from_bytes(name) }
    }

    /// The key under which the wildcard that covers the name of a ClientHello is looked up; `None` if it has no dot
    /// behind its first byte.
    #[must_use]
    pub fn wildcard(name: &[u8]) -> Option<Self> {
        let dot = name.iter().position(|&byte| byte == b'.').filter(|&dot| dot > 0)?;
        Self::from_bytes(name.get(dot..)?)
    }

    /// The name, without zeros.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let (name, length) = match self {
            Self::Short(key) => (&key.name[..], key.length),
            Self::Long(key) => (&key.name[..], key.length),
        };
        name.get(..usize::from(length)).unwrap_or(name)
    }

    /// The name as it is configured, with the asterisk of a wildcard.
    #[cfg(feature = "user")]
    #[must_use]
    pub fn pattern(&self) -> std::string::String {
        let name = std::string::String::from_utf8_lossy(self.as_bytes());
        if name.starts_with('.') { std::format!("*{name}") } else { name.into_owned() }
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        ShortName::from_bytes(bytes).map(Self::Short).or_else(|| LongName::from_bytes(bytes).map(Self::Long))
    }
}

/// What was counted under one reason on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Their bytes, from the Ethernet header on, as they arrived.
    pub bytes: u64,
}

/// What can be changed while the program runs.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The kernel's monotonic clock as userspace read it last, once a second: to read it for every packet of a spliced connection
    /// would be a sixth of all that is done with the packet.
    pub clock_ns: u64,
    /// The [`ABI_VERSION`](crate::ABI_VERSION) of whoever filled the maps.
    pub abi_version: u32,
    /// One in so many packets for a listen address is logged; 0 logs none.
    pub log_sample: u32,
    /// 1: XDP answers SYNs with cookies. 0: the kernel does what it does.
    pub syn_cookies: u32,
    /// The window scale to announce: the one that the kernel chooses when it makes the socket.
    pub window_scale: u32,
    /// The segment size to announce to IPv4 clients.
    pub segment_size_v4: u32,
    /// The segment size to announce to IPv6 clients.
    pub segment_size_v6: u32,
    /// 1: some host is spliced, so SYNs are answered though no worker may be listening.
    pub splices: u32,
    /// 1: some address was punished, so SYNs are looked up.
    pub penalties: u32,
    /// The first port that splices use towards origins, in the machine's order.
    pub first_port: u32,
    /// How many ports each CPU takes from there on.
    pub ports_per_cpu: u32,
    /// 1: some host is a wildcard, so names that are not found are looked up as what a wildcard covers.
    pub wildcards: u32,
    /// Zero.
    pub padding: u32,
    /// Finds a listen address.
    pub listen_hash: ListenHash,
    /// Finds what is known of a connection.
    pub tuple_hash: TupleHash,
}

const _: () = {
    assert!(size_of::<Address>() == 16);
    assert!(size_of::<ListenKey>() == 20 && align_of::<ListenKey>() == 4);
    assert!(size_of::<Listener>() == 32 && align_of::<Listener>() == 8);
    assert!(size_of::<DenyBlock>() == 64);
    assert!(size_of::<ConnectionKey>() == 36 && align_of::<ConnectionKey>() == 4);
    assert!(size_of::<GroupValue>() == 4);
    assert!(size_of::<ShortName>() == 64 && align_of::<ShortName>() == 8);
    assert!(size_of::<LongName>() == 256 && align_of::<LongName>() == 8);
    assert!(size_of::<Counter>() == 16);
    assert!(size_of::<Config>() == 168);
    assert!(crate::maps::PASSED_BUCKETS == 1 << (64 - 48));
};

/// Userspace may hand these to the kernel as bytes.
#[cfg(feature = "user")]
mod pod {
    macro_rules! pod {
        ($($name:ident),+ $(,)?) => {$(
            // SAFETY: `repr(C)` of integers and arrays of integers, with no implicit padding: the assertions on sizes in
            // the parent module would fail with any. Every bit pattern is a value.
            unsafe impl aya::Pod for super::$name {}
        )+};
    }
    pod!(Address, ListenKey, Listener, DenyBlock, ConnectionKey, GroupValue, ShortName, LongName, Counter, Config);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(key: Option<HostKey>) -> Option<std::string::String> {
        key.map(|key| std::string::String::from_utf8_lossy(key.as_bytes()).into_owned())
    }

    #[test]
    fn patterns_become_keys() {
        for (pattern, expected) in [
            ("www.Example.com", Some("www.example.com")),
            ("*.EXAMPLE.com", Some(".example.com")),
            ("localhost", Some("localhost")),
            ("*.", None),
            ("*", None),
            ("*example.com", None),
            ("a.*.com", None),
            ("*.*.com", None),
            (".example.com", None),
            ("", None),
        ] {
            assert_eq!(name(HostKey::new(pattern)).as_deref(), expected, "{pattern}");
        }
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        for (sni, expected) in [
            ("www.example.com", Some(".example.com")),
            ("a.b.example.com", Some(".b.example.com")),
            ("localhost", None),
            (".example.com", None),
        ] {
            assert_eq!(name(HostKey::wildcard(sni.as_bytes())).as_deref(), expected, "{sni}");
        }
    }

    #[test]
    fn a_name_that_starts_with_a_dot_has_no_key() {
        assert!(HostKey::exact(b".example.com").is_none());
        assert!(HostKey::wildcard(b".example.com").is_none());
    }

    #[test]
    fn names_up_to_255_bytes_have_a_key() {
        assert!(matches!(HostKey::exact(&[b'a'; 63]), Some(HostKey::Short(_))));
        assert!(matches!(HostKey::exact(&[b'a'; 64]), Some(HostKey::Long(_))));
        assert!(HostKey::exact(&[b'a'; 255]).is_some());
        assert!(HostKey::exact(&[b'a'; 256]).is_none());
    }

    #[test]
    fn a_trailing_zero_byte_makes_another_name() {
        assert_ne!(HostKey::exact(b"a"), HostKey::exact(b"a\0"));
    }
}
