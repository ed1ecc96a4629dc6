//! Keys and values of the maps for spliced connections.
//!
//! A splice is two [`Flow`]s, one for each direction: what a packet of that direction becomes. Which origin a connection goes
//! to is looked up in three steps: the host's name gives a [`HostValue`], its target a [`Target`], and the [`Target`]'s slot
//! for the client an index of an [`Origin`].

use crate::{
    hash::murmur,
    hello,
    layout::{Address, ConnectionKey},
};

/// What the packet plane does for a host.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostValue {
    /// [`HOST_TERMINATE`] or [`HOST_SPLICE`].
    pub action: u32,
    /// The host's number, under which its flows are counted; 0 for hosts that never were spliced.
    pub host: u32,
    /// Key of the host's [`Target`], if it is spliced.
    pub target: u32,
}

/// A worker terminates the host's connections.
pub const HOST_TERMINATE: u32 = 0;
/// The host's connections are spliced to an origin.
pub const HOST_SPLICE: u32 = 1;

/// Slots of a Maglev table: a prime, and large enough that [`ORIGINS_PER_TARGET_MAX`] origins get equal shares to a few
/// percent.
pub const SLOTS: usize = 251;
/// Most origins of a host, of each family.
pub const ORIGINS_PER_TARGET_MAX: usize = 16;
/// A slot without an origin.
pub const NO_ORIGIN: u16 = u16::MAX;

/// The origins of one or more hosts. Which of them a client gets is a hash of its address and port: the same as long as that
/// origin is there, whatever others come and go (Maglev).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// [`TARGET_PROXY_PROTOCOL`].
    pub flags: u32,
    /// Indexes in [`ORIGINS`](crate::maps::ORIGINS) for IPv4 clients; [`NO_ORIGIN`] throughout if there is none.
    pub v4: [u16; SLOTS],
    /// The same for IPv6 clients.
    pub v6: [u16; SLOTS],
}

/// The origins expect a PROXY protocol header in front of the connection's bytes.
pub const TARGET_PROXY_PROTOCOL: u32 = 1;

/// An origin, and the way to it as userspace found it: packets are sent without asking the kernel for routes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Its address.
    pub address: Address,
    /// The edge's address towards it.
    pub source: Address,
    /// Its port, in network order.
    pub port: u16,
    /// Zero.
    pub padding: u16,
    /// [`ORIGIN_REACHABLE`] and [`ORIGIN_WITHOUT_TIMESTAMPS`].
    pub flags: u32,
    /// The way to it.
    pub link: Link,
}

/// The way to it is known.
pub const ORIGIN_REACHABLE: u32 = 1;
/// It answered a SYN that offered timestamps without any. Written by XDP: clients with timestamps are a worker's then.
pub const ORIGIN_WITHOUT_TIMESTAMPS: u32 = 2;

/// How a frame leaves.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Index of the interface.
    pub interface: u32,
    /// The two MAC addresses as they are in a frame: receiver, then sender.
    pub macs: [u32; 3],
    /// VLAN tags as they are in a frame, the outer first.
    pub tags: [u32; 2],
    /// How many of them there are.
    pub tag_count: u32,
}

/// One direction of a spliced connection: what its packets become.
///
/// Numbers of TCP are in the machine's order here. All adding is modulo 2^32.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// When the connection was opened, in the kernel's monotonic nanoseconds.
    pub opened_ns: u64,
    /// When its last packet came, by [`Config::clock_ns`](crate::layout::Config::clock_ns).
    pub seen_ns: u64,
    /// Bytes of its packets, from the Ethernet header on, as they arrived.
    pub bytes: u64,
    /// `FLOW_*`. Two CPUs may change them at a time, and eight bytes are the least that is changed atomically in XDP.
    pub flags: u64,
    /// Its packets as they arrive, their sender in the place of the client.
    pub key: ConnectionKey,
    /// The sender of what its packets become.
    pub source: Address,
    /// The receiver.
    pub destination: Address,
    /// The sender's port, in network order.
    pub source_port: u16,
    /// The receiver's port, in network order.
    pub destination_port: u16,
    /// How its packets leave.
    pub link: Link,
    /// The sum, for checksums, of what is replaced in every IPv4 header: addresses and the step of the time to live.
    pub ip_sum: u32,
    /// The same for what is replaced in every TCP header: ports and the addresses of the pseudo-header.
    pub tcp_sum: u32,
    /// Added to sequence numbers.
    pub sequence_add: u32,
    /// Added to acknowledgements, and to selective ones.
    pub acknowledgement_add: u32,
    /// Added to the sender's timestamps.
    pub timestamp_add: u32,
    /// Added to the timestamps that it echoes.
    pub echo_add: u32,
    /// The least timestamp to echo: none from before the receiver's first is one that it sent.
    pub echo_floor: u32,
    /// How far windows are shifted: the scale that the sender uses, less the one that the receiver believes it uses.
    pub window_shift: i32,
    /// The last acknowledgement that passed, as the sender wrote it.
    pub acknowledged: u32,
    /// The acknowledgement that covers the peer's FIN, as the sender writes it, if [`FLOW_PEER_FIN`].
    pub fin_acknowledgement: u32,
    /// Sequence number of the first byte that the sender sent.
    pub first_sequence: u32,
    /// Sequence number of the first byte that the receiver sent, as it wrote it; of the origin only once it has answered.
    pub peer_first_sequence: u32,
    /// The first timestamp that the sender sent.
    pub first_timestamp: u32,
    /// What the client offered in its SYN, for [`FLOW_OPENING`]: segment size, window scale, `OFFERED_*`.
    pub offered: u32,
    /// How many SYNs the origin was sent, for [`FLOW_OPENING`].
    pub attempts: u32,
    /// The host's number.
    pub host: u32,
    /// The origin's index.
    pub origin: u32,
}

/// From the client to the origin, and not the other way.
pub const FLOW_FROM_CLIENT: u64 = 1;
/// The origin has not answered the SYN yet.
pub const FLOW_OPENING: u64 = 2;
/// The client uses timestamps.
pub const FLOW_TIMESTAMPS: u64 = 4;
/// The receiver has sent a FIN.
pub const FLOW_PEER_FIN: u64 = 8;
/// The sender has acknowledged it.
pub const FLOW_PEER_FIN_ACKNOWLEDGED: u64 = 16;
/// A FIN or RST has passed: a SYN with the same addresses begins another connection.
pub const FLOW_CLOSING: u64 = 32;
/// The origin has not acknowledged its PROXY protocol header yet.
pub const FLOW_HEADER_PENDING: u64 = 64;
/// The receiver cannot selectively acknowledge: blocks are taken out.
pub const FLOW_STRIP_SELECTIVE: u64 = 128;
/// The origin expects a PROXY protocol header.
pub const FLOW_PROXY_PROTOCOL: u64 = 256;

/// The window scale's place in [`Flow::offered`], above the segment size.
pub const OFFERED_SCALE_SHIFT: u32 = 16;
/// The window scale's bits in [`Flow::offered`]; all ones: none was offered.
pub const OFFERED_SCALE_MASK: u32 = 0xf;
/// The client can selectively acknowledge.
pub const OFFERED_SELECTIVE: u32 = 1 << 20;
/// The client uses timestamps.
pub const OFFERED_TIMESTAMPS: u32 = 1 << 21;

/// Most bytes of a payload that is kept until the origin can take it.
pub const STASH_BYTES: usize = hello::HELLO_MAX;

/// What a client said before the origin could hear it: one segment.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Stash {
    /// Its sequence number, as the client wrote it.
    pub sequence: u32,
    /// Length of its payload.
    pub length: u32,
    /// The sum of the payload, as checksums are made of it.
    pub sum: u32,
    /// Its window, in the machine's order.
    pub window: u32,
    /// The payload, and room for the parser's reading a word at its last byte.
    pub bytes: hello::Bytes,
}

/// What became of a host's flows on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCounter {
    /// Flows that were opened.
    pub opened: u64,
    /// Flows that ended.
    pub closed: u64,
    /// Bytes from clients, in flows that ended.
    pub from_clients: u64,
    /// Bytes from origins, in flows that ended.
    pub from_origins: u64,
}

/// The slot of a [`Target`]'s table for a client: a hash of its address and port, the same on every edge.
#[inline(always)]
#[must_use]
pub fn slot(connection: &ConnectionKey) -> u32 {
    let Address([a, b, c, d]) = connection.client;
    let hash = murmur(0x9e37_79b9, [a ^ b.rotate_left(11), c ^ d, connection.client_port.into()]);
    (hash ^ hash >> 13) % SLOTS as u32
}

const _: () = {
    assert!(size_of::<HostValue>() == 12);
    assert!(size_of::<Target>() == 1008 && align_of::<Target>() == 4);
    assert!(size_of::<Link>() == 28);
    assert!(size_of::<Origin>() == 68);
    assert!(size_of::<Flow>() == 200 && align_of::<Flow>() == 8);
    assert!(size_of::<Stash>() == 24 + STASH_BYTES);
    assert!(size_of::<HostCounter>() == 32);
};

/// Userspace may hand these to the kernel as bytes.
#[cfg(feature = "user")]
mod pod {
    macro_rules! pod {
        ($($name:ident),+ $(,)?) => {$(
            // SAFETY: `repr(C)` of integers, arrays of integers and other such structures, with no implicit padding: the
            // assertions on sizes in the parent module would fail with any. Every bit pattern is a value.
            unsafe impl aya::Pod for super::$name {}
        )+};
    }
    pod!(HostValue, Target, Origin, Link, Flow, Stash, HostCounter);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::Ipv4Addr, vec};

    #[test]
    fn clients_spread_evenly_over_the_slots() {
        let mut counts = vec![0_u32; SLOTS];
        let clients = 200 * SLOTS as u32;
        for client in 0..clients {
            let (address, port) = (client / 16, 30_000 + (client % 16) as u16);
            let connection = ConnectionKey {
                client: Address::from(core::net::IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + address))),
                edge: Address::default(),
                client_port: port.to_be(),
                edge_port: 0,
            };
            counts[slot(&connection) as usize] += 1;
        }
        assert!(counts.iter().all(|&count| (130..270).contains(&count)), "{counts:?}");
    }
}
