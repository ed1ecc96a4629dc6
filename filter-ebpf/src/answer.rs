//! Answering: a packet is rewritten in place into one that goes back where it came from.

use aya_ebpf::{EbpfContext as _, helpers::generated::bpf_xdp_adjust_tail, programs::XdpContext};
use filter_common::{Reason, layout::Address};

use crate::{
    packet::Packet,
    parse::{IpProtocol, Segment, TcpHeader},
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
    let packet = Packet::new(ctx);
    let transport_size = TcpHeader::SIZE + WORDS as u32 * 4;
    ethernet(&packet).ok_or(Reason::Internal)?;
    let ip_size = if to.is_v4() { ipv4(&packet, to, transport_size) } else { ipv6(&packet, to, transport_size) };
    let transport_at = to.ip_at() + ip_size.ok_or(Reason::Internal)?;
    let header = header(to, answer, options, transport_size);
    packet.write(transport_at, header).ok_or(Reason::Internal)?;
    packet.write(transport_at + TcpHeader::SIZE, options).ok_or(Reason::Internal)?;
    let shrink = (transport_at + transport_size) as i32 - packet.length() as i32;
    // SAFETY: `ctx` is the program's own context. No pointer into the packet is used after this.
    match unsafe { bpf_xdp_adjust_tail(ctx.as_ptr().cast(), shrink) } {
        0 => Ok(()),
        _ => Err(Reason::Internal),
    }
}

#[inline(always)]
fn header<const WORDS: usize>(to: &Segment, answer: &Answer, options: [u32; WORDS], size: u32) -> TcpHeader {
    let mut header = TcpHeader {
        source_port: to.connection.edge_port,
        destination_port: to.connection.client_port,
        sequence: answer.sequence,
        acknowledgement: answer.acknowledgement,
        data_offset: ((size / 4) << 4) as u8,
        flags: answer.flags,
        window: answer.window,
        checksum: 0,
        urgent: 0,
    };
    let sum = Sum(0)
        // The pseudo-header. An IPv4 address is mapped into IPv6 by a word of ones, which is zero in this arithmetic.
        .address(to.connection.client)
        .address(to.connection.edge)
        .word(u16::from(IpProtocol::TCP.number()).to_be())
        .word((size as u16).to_be())
        .word(header.source_port)
        .word(header.destination_port)
        .long(header.sequence)
        .long(header.acknowledgement)
        .word(u16::from_ne_bytes([header.data_offset, header.flags]))
        .word(header.window);
    header.checksum = options.into_iter().fold(sum, Sum::long).checksum();
    header
}

#[inline(always)]
fn ethernet(packet: &Packet) -> Option<()> {
    let [r0, r1, r2, s0, s1, s2]: [u16; 6] = packet.read(0)?;
    packet.write(0, [s0, s1, s2, r0, r1, r2])
}

/// Writes an IPv4 header and returns its size.
#[inline(always)]
fn ipv4(packet: &Packet, to: &Segment, transport_size: u32) -> Option<u32> {
    let (Address([.., source]), Address([.., destination])) = (to.connection.edge, to.connection.client);
    // Version 4, five words, the total length; no identification, "don't fragment".
    let first = (0x4500_0000 | (20 + transport_size)).to_be();
    let second = 0x4000_u32.to_be();
    let life = u16::from_ne_bytes([TIME_TO_LIVE, IpProtocol::TCP.number()]);
    let sum = Sum(0).long(first).long(second).word(life).long(source).long(destination).checksum();
    packet.write(to.ip_at(), [first, second])?;
    packet.write(to.ip_at() + 8, [life, sum])?;
    packet.write(to.ip_at() + 12, [source, destination])?;
    Some(20)
}

/// Writes an IPv6 header and returns its size.
#[inline(always)]
fn ipv6(packet: &Packet, to: &Segment, transport_size: u32) -> Option<u32> {
    let protocol = u32::from(IpProtocol::TCP.number()) << 8 | u32::from(TIME_TO_LIVE);
    packet.write(to.ip_at(), [0x6000_0000_u32.to_be(), (transport_size << 16 | protocol).to_be()])?;
    packet.write(to.ip_at() + 8, to.connection.edge.0)?;
    packet.write(to.ip_at() + 24, to.connection.client.0)?;
    Some(40)
}

/// The Internet checksum (RFC 1071), carries not yet folded. It does not depend on the order of bytes in words, so words are
/// added as they are in memory.
#[derive(Clone, Copy)]
struct Sum(u64);

impl Sum {
    #[inline(always)]
    fn word(self, word: u16) -> Self {
        Self(self.0 + u64::from(word))
    }

    #[inline(always)]
    fn long(self, long: u32) -> Self {
        Self(self.0 + u64::from(long))
    }

    #[inline(always)]
    fn address(self, address: Address) -> Self {
        let Address([a, b, c, d]) = address;
        self.long(a).long(b).long(c).long(d)
    }

    /// Folded to 16 bits and complemented. Sums here are far below 2^40, so these folds leave no carry.
    #[inline(always)]
    fn checksum(self) -> u16 {
        let sum = (self.0 >> 32) + (self.0 & 0xffff_ffff);
        let sum = (sum >> 16) + (sum & 0xffff);
        let sum = (sum >> 16) + (sum & 0xffff);
        let sum = (sum >> 16) + (sum & 0xffff);
        !(sum as u16)
    }
}
