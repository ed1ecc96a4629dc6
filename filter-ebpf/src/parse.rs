//! Headers: Ethernet, up to two VLAN tags, IPv4 with options, IPv6 with extension headers, TCP and UDP.

use filter_common::{
    Reason,
    layout::{Address, ConnectionKey},
};

use crate::{
    maps,
    packet::{Packet, Wire, put_words},
};

/// Bytes of an Ethernet header without tags.
pub(crate) const ETHERNET_SIZE: u32 = 14;
/// Most VLAN tags: one of the customer, one of the provider.
const TAGS_MAX: u32 = 2;
/// Most IPv6 extension headers that are followed.
const EXTENSION_HEADERS_MAX: u32 = 4;

/// What an Ethernet frame carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct EtherType(u16);

impl EtherType {
    pub(crate) const IPV4: Self = Self(0x0800);
    pub(crate) const IPV6: Self = Self(0x86dd);
    const VLAN: Self = Self(0x8100);
    const PROVIDER_VLAN: Self = Self(0x88a8);

    /// Of a frame, whatever it is.
    #[inline(always)]
    pub(crate) fn of(packet: &Packet) -> Option<Self> {
        Some(Self(u16::from_be(packet.read(12)?)))
    }
}

/// What an IP packet carries; for IPv6 also the kind of an extension header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct IpProtocol(u8);

impl IpProtocol {
    const HOP_BY_HOP: Self = Self(0);
    pub(crate) const ICMP: Self = Self(1);
    pub(crate) const TCP: Self = Self(6);
    pub(crate) const UDP: Self = Self(17);
    const ROUTING: Self = Self(43);
    const FRAGMENT: Self = Self(44);
    pub(crate) const ICMP_V6: Self = Self(58);
    const DESTINATION_OPTIONS: Self = Self(60);
    const MOBILITY: Self = Self(135);
    const HIP: Self = Self(139);
    const SHIM6: Self = Self(140);

    /// Its number.
    pub(crate) const fn number(self) -> u8 {
        self.0
    }
}

/// An IPv4 header without options.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub(crate) struct Ipv4Header {
    pub(crate) version_and_length: u8,
    service: u8,
    pub(crate) total_length: u16,
    identification: u16,
    pub(crate) fragment: u16,
    pub(crate) time_to_live: u8,
    pub(crate) protocol: u8,
    pub(crate) checksum: u16,
    pub(crate) source: u32,
    pub(crate) destination: u32,
}

// SAFETY: integers, without anything between them.
unsafe impl Wire for Ipv4Header {}

impl Ipv4Header {
    /// The bits that only a fragment has: more fragments, or not the first; beside "reserved" and "don't fragment".
    pub(crate) const FRAGMENT: u16 = 0x3fff_u16.to_be();
}

/// An IPv6 header without extension headers.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub(crate) struct Ipv6Header {
    pub(crate) version: u8,
    class_and_label: [u8; 3],
    pub(crate) payload_length: u16,
    pub(crate) next_header: u8,
    pub(crate) hop_limit: u8,
    pub(crate) source: Address,
    pub(crate) destination: Address,
}

// SAFETY: integers, without anything between them.
unsafe impl Wire for Ipv6Header {}

impl Ipv6Header {
    /// Replaces both addresses.
    #[inline(always)]
    pub(crate) fn set_ends(&mut self, source: &Address, destination: &Address) {
        // SAFETY: fields of the header.
        unsafe {
            put_words(&source.0, (&raw mut self.source).cast());
            put_words(&destination.0, (&raw mut self.destination).cast());
        }
    }
}

/// A TCP header without options.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub(crate) struct TcpHeader {
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) data_offset: u8,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) checksum: u16,
    pub(crate) urgent: u16,
}

// SAFETY: integers, without anything between them.
unsafe impl Wire for TcpHeader {}

impl TcpHeader {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const PSH: u8 = 0x08;
    pub(crate) const ACK: u8 = 0x10;
    /// Bytes of a header without options.
    pub(crate) const SIZE: u32 = 20;
}

/// An IP packet that is no fragment, with what it carries complete in this frame; and what its TCP header says, if it has one.
///
/// It lives in the work area, for two reasons: what is read from there is any number to the verifier, which then does not follow
/// each way of tagging, each version and each extension header to the end on its own; and the stack is small.
#[repr(C)]
pub(crate) struct Segment {
    ip_at: u32,
    transport_at: u32,
    payload_at: u32,
    /// Where the packet ends by its own length, which padding of short frames is behind.
    end: u32,
    is_v4: u32,
    flags: u32,
    /// In network order, as all below.
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    /// The connection it belongs to, its source being the client.
    pub(crate) connection: ConnectionKey,
    /// Its hash.
    pub(crate) hash: u64,
}

impl Segment {
    /// What the headers of a frame without tags say, if they were looked at already.
    #[inline(always)]
    pub(crate) fn fill(
        &mut self,
        connection: &ConnectionKey,
        hash: u64,
        tcp: &TcpHeader,
        is_v4: bool,
        transport_at: u32,
        end: u32,
    ) {
        self.ip_at = ETHERNET_SIZE;
        self.transport_at = transport_at;
        self.payload_at = transport_at + u32::from(tcp.data_offset >> 4) * 4;
        self.end = end;
        self.is_v4 = is_v4.into();
        self.flags = tcp.flags.into();
        self.sequence = tcp.sequence;
        self.acknowledgement = tcp.acknowledgement;
        self.connection.client = connection.client;
        self.connection.edge = connection.edge;
        self.connection.client_port = connection.client_port;
        self.connection.edge_port = connection.edge_port;
        self.hash = hash;
    }

    /// Reads the headers up to the transport header.
    #[inline(always)]
    pub(crate) fn read(&mut self, packet: &Packet) -> Result<IpProtocol, Reason> {
        let (ether_type, ip_at) = ethernet(packet).ok_or(Reason::NotIp)?;
        self.ip_at = ip_at;
        match ether_type {
            EtherType::IPV4 => self.read_ipv4(packet, ip_at),
            EtherType::IPV6 => self.read_ipv6(packet, ip_at),
            EtherType(_) => Err(Reason::NotIp),
        }
    }

    #[inline(always)]
    fn read_ipv4(&mut self, packet: &Packet, ip_at: u32) -> Result<IpProtocol, Reason> {
        let header: &mut Ipv4Header = packet.view(ip_at).ok_or(Reason::Malformed)?;
        let header_length = u32::from(header.version_and_length & 0x0f) * 4;
        let total_length = u32::from(u16::from_be(header.total_length));
        let end = ip_at + total_length;
        if header.version_and_length >> 4 != 4 || header_length < 20 || total_length < header_length {
            return Err(Reason::Malformed);
        }
        if end > packet.length() {
            return Err(Reason::Malformed);
        }
        if header.fragment & Ipv4Header::FRAGMENT != 0 {
            return Err(Reason::Fragment);
        }
        self.is_v4 = 1;
        self.transport_at = ip_at + header_length;
        self.end = end;
        self.connection.client = Address::from_v4(header.source);
        self.connection.edge = Address::from_v4(header.destination);
        Ok(IpProtocol(header.protocol))
    }

    #[inline(always)]
    fn read_ipv6(&mut self, packet: &Packet, ip_at: u32) -> Result<IpProtocol, Reason> {
        let header: &mut Ipv6Header = packet.view(ip_at).ok_or(Reason::Malformed)?;
        let end = ip_at + 40 + u32::from(u16::from_be(header.payload_length));
        if header.version >> 4 != 6 || end > packet.length() {
            return Err(Reason::Malformed);
        }
        let (source, destination) = (header.source, header.destination);
        // On no wire (RFC 4038, 4.2), and it must not be taken for the IPv4 packet that it is not.
        if is_mapped(source) || is_mapped(destination) {
            return Err(Reason::Malformed);
        }
        let (protocol, transport_at) = extension_headers(packet, IpProtocol(header.next_header), ip_at + 40)?;
        self.is_v4 = 0;
        self.transport_at = transport_at;
        self.end = end;
        self.connection.client = source;
        self.connection.edge = destination;
        Ok(protocol)
    }

    /// Reads the ports, which TCP and UDP have at the same place.
    #[inline(always)]
    pub(crate) fn read_ports(&mut self, packet: &Packet) -> Result<(), Reason> {
        let [client, edge]: [u16; 2] = packet.read(self.transport_at()).ok_or(Reason::Malformed)?;
        (self.connection.client_port, self.connection.edge_port) = (client, edge);
        self.hash = maps::hash(&self.connection);
        Ok(())
    }

    /// Reads the rest of a TCP header.
    #[inline(always)]
    pub(crate) fn read_tcp(&mut self, packet: &Packet) -> Result<(), Reason> {
        let at = self.transport_at();
        let tcp: &mut TcpHeader = packet.view(at).ok_or(Reason::Malformed)?;
        let header_length = u32::from(tcp.data_offset >> 4) * 4;
        let payload_at = at + header_length;
        if header_length < TcpHeader::SIZE || payload_at > self.end {
            return Err(Reason::Malformed);
        }
        self.payload_at = payload_at;
        self.flags = tcp.flags.into();
        self.sequence = tcp.sequence;
        self.acknowledgement = tcp.acknowledgement;
        Ok(())
    }

    /// Where the IP header starts. The masks here are for the verifier: above what the number can be.
    #[inline(always)]
    pub(crate) fn ip_at(&self) -> u32 {
        self.ip_at & 0x1f
    }

    /// Where the TCP header starts.
    #[inline(always)]
    pub(crate) fn transport_at(&self) -> u32 {
        self.transport_at & 0x3fff
    }

    /// Where the payload starts.
    #[inline(always)]
    pub(crate) fn payload_at(&self) -> u32 {
        self.payload_at & 0x3fff
    }

    /// Length of the TCP header with its options.
    #[inline(always)]
    pub(crate) fn header_length(&self) -> u32 {
        self.payload_at - self.transport_at
    }

    /// Length of the payload.
    #[inline(always)]
    pub(crate) fn payload_length(&self) -> u32 {
        self.end - self.payload_at
    }

    /// Whether it is IPv4, or else IPv6.
    #[inline(always)]
    pub(crate) fn is_v4(&self) -> bool {
        self.is_v4 != 0
    }

    /// Whether all of these flags are set.
    #[inline(always)]
    pub(crate) fn has(&self, flags: u8) -> bool {
        self.flags & u32::from(flags) == u32::from(flags)
    }

    /// Whether it is a SYN, and nothing else.
    #[inline(always)]
    pub(crate) fn begins_connection(&self) -> bool {
        self.flags(TcpHeader::SYN | TcpHeader::ACK | TcpHeader::FIN | TcpHeader::RST) == TcpHeader::SYN
    }

    /// Those of these flags that are set.
    #[inline(always)]
    pub(crate) fn flags(&self, mask: u8) -> u8 {
        self.flags as u8 & mask
    }
}

#[inline(always)]
fn ethernet(packet: &Packet) -> Option<(EtherType, u32)> {
    let mut ether_type = EtherType::of(packet)?;
    let mut at = ETHERNET_SIZE;
    for _ in 0..TAGS_MAX {
        if ether_type != EtherType::VLAN && ether_type != EtherType::PROVIDER_VLAN {
            break;
        }
        ether_type = EtherType(u16::from_be(packet.read(at + 2)?));
        at += 4;
    }
    Some((ether_type, at))
}

/// Whether this is an IPv4 address, as IPv6 writes them.
#[inline(always)]
pub(crate) fn is_mapped(Address([a, b, c, d]): Address) -> bool {
    Address([a, b, c, d]) == Address::from_v4(d)
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
        let next: u8 = packet.read(at).ok_or(Reason::Malformed)?;
        let eights: u8 = packet.read(at + 1).ok_or(Reason::Malformed)?;
        kind = IpProtocol(next);
        at += (u32::from(eights) + 1) * 8;
    }
    match kind {
        IpProtocol::TCP | IpProtocol::UDP => Ok((kind, at)),
        IpProtocol(_) => Err(Reason::ExtensionHeaders),
    }
}
