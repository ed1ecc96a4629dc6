//! Headers: Ethernet, up to two VLAN tags, IPv4 with options, IPv6 with extension headers, TCP and UDP.

use filter_common::{Reason, layout::ListenKey};

use crate::packet::{Packet, Wire};

/// Most VLAN tags: one of the customer, one of the provider.
const TAGS_MAX: u32 = 2;
/// Most IPv6 extension headers that are followed.
const EXTENSION_HEADERS_MAX: u32 = 4;
/// `::ffff:0:0/96`, in front of an IPv4 address.
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// What an Ethernet frame carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct EtherType(u16);

impl EtherType {
    const IPV4: Self = Self(0x0800);
    const IPV6: Self = Self(0x86dd);
    const VLAN: Self = Self(0x8100);
    const PROVIDER_VLAN: Self = Self(0x88a8);
}

/// What an IP packet carries; for IPv6 also the kind of an extension header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct IpProtocol(u8);

impl IpProtocol {
    /// Whether this is the protocol with that number.
    pub(crate) const fn is(self, number: u8) -> bool {
        self.0 == number
    }

    const HOP_BY_HOP: Self = Self(0);
    pub(crate) const TCP: Self = Self(6);
    pub(crate) const UDP: Self = Self(17);
    const ROUTING: Self = Self(43);
    const FRAGMENT: Self = Self(44);
    const DESTINATION_OPTIONS: Self = Self(60);
    const MOBILITY: Self = Self(135);
    const HIP: Self = Self(139);
    const SHIM6: Self = Self(140);
}

/// Version of the Internet Protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// An IP packet that is no fragment, with what it carries complete in this frame.
#[derive(Clone, Copy)]
pub(crate) struct Datagram {
    pub(crate) version: Version,
    /// Where the IP header starts: behind Ethernet and VLAN.
    pub(crate) ip_at: u32,
    /// Where the transport header starts.
    pub(crate) transport_at: u32,
    /// Where the packet ends by its own length, which padding of short frames is behind.
    pub(crate) end: u32,
    pub(crate) protocol: IpProtocol,
    pub(crate) source: [u8; 16],
    pub(crate) destination: [u8; 16],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Ipv4Header {
    version_and_length: u8,
    service: u8,
    total_length: [u8; 2],
    identification: [u8; 2],
    fragment: [u8; 2],
    time_to_live: u8,
    protocol: u8,
    checksum: [u8; 2],
    source: [u8; 4],
    destination: [u8; 4],
}

// SAFETY: bytes only.
unsafe impl Wire for Ipv4Header {}

#[repr(C)]
#[derive(Clone, Copy)]
struct Ipv6Header {
    version_class_label: [u8; 4],
    payload_length: [u8; 2],
    next_header: u8,
    hop_limit: u8,
    source: [u8; 16],
    destination: [u8; 16],
}

// SAFETY: bytes only.
unsafe impl Wire for Ipv6Header {}

/// A TCP header without options.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct TcpHeader {
    pub(crate) source_port: [u8; 2],
    pub(crate) destination_port: [u8; 2],
    pub(crate) sequence: [u8; 4],
    pub(crate) acknowledgement: [u8; 4],
    pub(crate) data_offset: u8,
    pub(crate) flags: u8,
    pub(crate) window: [u8; 2],
    pub(crate) checksum: [u8; 2],
    pub(crate) urgent: [u8; 2],
}

// SAFETY: bytes only.
unsafe impl Wire for TcpHeader {}

impl TcpHeader {
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const ACK: u8 = 0x10;
    /// Bytes of a header without options.
    pub(crate) const SIZE: u32 = 20;

    /// Its length with options; less than [`Self::SIZE`] is nonsense.
    #[inline(always)]
    pub(crate) fn length(&self) -> u32 {
        u32::from(self.data_offset >> 4) * 4
    }
}

/// Reads the headers up to the transport header.
#[inline(always)]
pub(crate) fn datagram(packet: &Packet) -> Result<Datagram, Reason> {
    let (ether_type, ip_at) = ethernet(packet).ok_or(Reason::NotIp)?;
    match ether_type {
        EtherType::IPV4 => ipv4(packet, ip_at),
        EtherType::IPV6 => ipv6(packet, ip_at),
        EtherType(_) => Err(Reason::NotIp),
    }
}

/// Source and destination port, which TCP and UDP have at the same place.
#[inline(always)]
pub(crate) fn ports(packet: &Packet, datagram: &Datagram) -> Result<([u8; 2], [u8; 2]), Reason> {
    let [s0, s1, d0, d1]: [u8; 4] = packet.read(datagram.transport_at).ok_or(Reason::Malformed)?;
    Ok(([s0, s1], [d0, d1]))
}

/// What a packet's destination is looked up by.
#[inline(always)]
pub(crate) fn listen_key(datagram: &Datagram, port: [u8; 2]) -> ListenKey {
    ListenKey { address: datagram.destination, port, padding: [0; 2] }
}

#[inline(always)]
fn ethernet(packet: &Packet) -> Option<(EtherType, u32)> {
    let mut ether_type = EtherType(u16::from_be_bytes(packet.read(12)?));
    let mut at = 14;
    for _ in 0..TAGS_MAX {
        if ether_type != EtherType::VLAN && ether_type != EtherType::PROVIDER_VLAN {
            break;
        }
        ether_type = EtherType(u16::from_be_bytes(packet.read(at + 2)?));
        at += 4;
    }
    Some((ether_type, at))
}

#[inline(always)]
fn ipv4(packet: &Packet, ip_at: u32) -> Result<Datagram, Reason> {
    let header: Ipv4Header = packet.read(ip_at).ok_or(Reason::Malformed)?;
    let header_length = u32::from(header.version_and_length & 0x0f) * 4;
    let total_length = u32::from(u16::from_be_bytes(header.total_length));
    let end = ip_at + total_length;
    if header.version_and_length >> 4 != 4 || header_length < 20 || total_length < header_length {
        return Err(Reason::Malformed);
    }
    if end > packet.length() {
        return Err(Reason::Malformed);
    }
    // More fragments, or not the first: bits beside "reserved" and "don't fragment".
    if u16::from_be_bytes(header.fragment) & 0x3fff != 0 {
        return Err(Reason::Fragment);
    }
    Ok(Datagram {
        version: Version::V4,
        ip_at,
        transport_at: ip_at + header_length,
        end,
        protocol: IpProtocol(header.protocol),
        source: mapped(header.source),
        destination: mapped(header.destination),
    })
}

#[inline(always)]
fn ipv6(packet: &Packet, ip_at: u32) -> Result<Datagram, Reason> {
    let header: Ipv6Header = packet.read(ip_at).ok_or(Reason::Malformed)?;
    let end = ip_at + 40 + u32::from(u16::from_be_bytes(header.payload_length));
    let [version, ..] = header.version_class_label;
    if version >> 4 != 6 || end > packet.length() {
        return Err(Reason::Malformed);
    }
    let (protocol, transport_at) = extension_headers(packet, IpProtocol(header.next_header), ip_at + 40)?;
    Ok(Datagram {
        version: Version::V6,
        ip_at,
        transport_at,
        end,
        protocol,
        source: header.source,
        destination: header.destination,
    })
}

/// Follows extension headers to the transport header.
#[inline(always)]
fn extension_headers(packet: &Packet, first: IpProtocol, first_at: u32) -> Result<(IpProtocol, u32), Reason> {
    let (mut kind, mut at) = (first, first_at);
    for _ in 0..EXTENSION_HEADERS_MAX {
        match kind {
            IpProtocol::HOP_BY_HOP | IpProtocol::ROUTING | IpProtocol::DESTINATION_OPTIONS => {}
            IpProtocol::FRAGMENT => return Err(Reason::Fragment),
            IpProtocol::MOBILITY | IpProtocol::HIP | IpProtocol::SHIM6 => return Err(Reason::ExtensionHeaders),
            IpProtocol(_) => return Ok((kind, at)),
        }
        let [next, eights]: [u8; 2] = packet.read(at).ok_or(Reason::Malformed)?;
        kind = IpProtocol(next);
        at += (u32::from(eights) + 1) * 8;
    }
    match kind {
        IpProtocol::TCP | IpProtocol::UDP => Ok((kind, at)),
        IpProtocol(_) => Err(Reason::ExtensionHeaders),
    }
}

#[inline(always)]
pub(crate) fn mapped(address: [u8; 4]) -> [u8; 16] {
    let ([m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, ma, mb], [a, b, c, d]) = (MAPPED, address);
    [m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, ma, mb, a, b, c, d]
}
