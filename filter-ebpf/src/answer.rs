//! Answering: a packet is rewritten in place into one that goes back where it came from.

use aya_ebpf::{EbpfContext as _, helpers::generated::bpf_xdp_adjust_tail, programs::XdpContext};
use filter_common::{
    Reason,
    layout::{Address, ConnectionKey},
};

use crate::{
    packet::Packet,
    parse::{IpProtocol, Segment, TcpHeader},
    sum::Sum,
};

const TIME_TO_LIVE: u8 = 64;

/// What is said; the rest of the answer follows from what it answers. All in network order.
pub(crate) struct Answer {
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
}

/// Rewrites the packet into an answer with `WORDS` words of TCP options. VLAN tags stay; IP options and extension headers go.
///
/// The answer is never longer than what it answers: nobody gets more bytes by forging a source address than they sent.
#[inline(always)]
pub(crate) fn transmit<const WORDS: usize>(
    ctx: &XdpContext,
    to: &Segment,
    answer: &Answer,
    options: [u32; WORDS],
) -> Result<(), Reason> {
    ethernet(&Packet::new(ctx)).ok_or(Reason::Internal)?;
    replace(ctx, to, &reverse(&to.connection), answer, options)
}

/// Replaces everything in the packet from the IP header on by a segment from `ends.client` to `ends.edge`, no longer than what
/// was there.
#[inline(always)]
pub(crate) fn replace<const WORDS: usize>(
    ctx: &XdpContext,
    what: &Segment,
    ends: &ConnectionKey,
    answer: &Answer,
    options: [u32; WORDS],
) -> Result<(), Reason> {
    let packet = Packet::new(ctx);
    let place = Place { ip_at: what.ip_at(), is_v4: what.is_v4() };
    let end = write(&packet, &place, ends, answer, options, &Payload::NONE).ok_or(Reason::Internal)?;
    let shrink = end as i32 - packet.length() as i32;
    if shrink == 0 {
        return Ok(());
    }
    // SAFETY: `ctx` is the program's own context. No pointer into the packet is used after this.
    match unsafe { bpf_xdp_adjust_tail(ctx.as_ptr().cast(), shrink) } {
        0 => Ok(()),
        _ => Err(Reason::Internal),
    }
}

/// Where a segment is written.
pub(crate) struct Place {
    pub(crate) ip_at: u32,
    pub(crate) is_v4: bool,
}

/// What follows the headers.
pub(crate) struct Payload {
    pub(crate) length: u32,
    /// For the checksum.
    pub(crate) sum: u32,
}

impl Payload {
    pub(crate) const NONE: Self = Self { length: 0, sum: 0 };
}

/// Writes the headers of a segment from `ends.client` to `ends.edge` and returns where its payload begins.
#[inline(always)]
pub(crate) fn write<const WORDS: usize>(
    packet: &Packet,
    place: &Place,
    ends: &ConnectionKey,
    answer: &Answer,
    options: [u32; WORDS],
    payload: &Payload,
) -> Option<u32> {
    let header_size = TcpHeader::SIZE + WORDS as u32 * 4;
    let transport_size = header_size + payload.length;
    let ip_size = if place.is_v4 {
        ipv4(packet, place.ip_at, ends, transport_size)
    } else {
        ipv6(packet, place.ip_at, ends, transport_size)
    };
    let transport_at = place.ip_at + ip_size?;
    let mut header = TcpHeader {
        source_port: ends.client_port,
        destination_port: ends.edge_port,
        sequence: answer.sequence,
        acknowledgement: answer.acknowledgement,
        data_offset: ((header_size / 4) << 4) as u8,
        flags: answer.flags,
        window: answer.window,
        checksum: 0,
        urgent: 0,
    };
    let sum = Sum::of_pseudo_header(ends, transport_size).header(&header).long(payload.sum);
    header.checksum = options.into_iter().fold(sum, Sum::long).checksum();
    packet.write(transport_at, header)?;
    packet.write(transport_at + TcpHeader::SIZE, options)?;
    Some(transport_at + header_size)
}

/// The other direction of a connection.
#[inline(always)]
pub(crate) fn reverse(connection: &ConnectionKey) -> ConnectionKey {
    ConnectionKey {
        client: connection.edge,
        edge: connection.client,
        client_port: connection.edge_port,
        edge_port: connection.client_port,
    }
}

/// Sends the frame back to where it came from.
#[inline(always)]
pub(crate) fn ethernet(packet: &Packet) -> Option<()> {
    let [r0, r1, r2, s0, s1, s2]: [u16; 6] = packet.read(0)?;
    packet.write(0, [s0, s1, s2, r0, r1, r2])
}

/// Writes an IPv4 header and returns its size.
#[inline(always)]
fn ipv4(packet: &Packet, ip_at: u32, ends: &ConnectionKey, transport_size: u32) -> Option<u32> {
    let (Address([.., source]), Address([.., destination])) = (ends.client, ends.edge);
    // Version 4, five words, the total length; no identification, "don't fragment".
    let first = (0x4500_0000 | (20 + transport_size)).to_be();
    let second = 0x4000_u32.to_be();
    let life = u16::from_ne_bytes([TIME_TO_LIVE, IpProtocol::TCP.number()]);
    let sum = Sum::ZERO.long(first).long(second).word(life).long(source).long(destination).checksum();
    packet.write(ip_at, [first, second])?;
    packet.write(ip_at + 8, [life, sum])?;
    packet.write(ip_at + 12, [source, destination])?;
    Some(20)
}

/// Writes an IPv6 header and returns its size.
#[inline(always)]
fn ipv6(packet: &Packet, ip_at: u32, ends: &ConnectionKey, transport_size: u32) -> Option<u32> {
    let protocol = u32::from(IpProtocol::TCP.number()) << 8 | u32::from(TIME_TO_LIVE);
    packet.write(ip_at, [0x6000_0000_u32.to_be(), (transport_size << 16 | protocol).to_be()])?;
    packet.write(ip_at + 8, ends.client.0)?;
    packet.write(ip_at + 24, ends.edge.0)?;
    Some(40)
}
