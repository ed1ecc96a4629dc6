//! The RST that refuses a host: the packet is rewritten into its own answer.

use aya_ebpf::{EbpfContext as _, helpers::generated::bpf_xdp_adjust_tail, programs::XdpContext};
use filter_common::Reason;

use crate::{
    packet::Packet,
    parse::{Datagram, IpProtocol, TcpHeader, Version},
};

const TIME_TO_LIVE: u8 = 64;
const TCP: u8 = 6;

/// Rewrites the packet into a RST from its destination to its source (RFC 9293, 3.5.2: the sequence number is the one that
/// the segment acknowledges), without options or extension headers; VLAN tags stay.
#[inline(always)]
pub(crate) fn answer(ctx: &XdpContext, packet: &Packet, to: &Datagram, tcp: &TcpHeader) -> Result<(), Reason> {
    rewrite(packet, to, tcp).ok_or(Reason::Internal)?;
    let header_size = match to.version {
        Version::V4 => 20,
        Version::V6 => 40,
    };
    let wanted = to.ip_at + header_size + TcpHeader::SIZE;
    let shrink = wanted as i32 - packet.length() as i32;
    // SAFETY: `ctx` is the program's own context. No pointer into the packet is used after this.
    match unsafe { bpf_xdp_adjust_tail(ctx.as_ptr().cast(), shrink) } {
        0 => Ok(()),
        _ => Err(Reason::Internal),
    }
}

#[inline(always)]
fn rewrite(packet: &Packet, to: &Datagram, tcp: &TcpHeader) -> Option<()> {
    let receiver: [u8; 6] = packet.read(0)?;
    let sender: [u8; 6] = packet.read(6)?;
    packet.write(0, sender)?;
    packet.write(6, receiver)?;
    let transport_at = match to.version {
        Version::V4 => ipv4(packet, to)?,
        Version::V6 => ipv6(packet, to)?,
    };
    let mut reset = TcpHeader {
        source_port: tcp.destination_port,
        destination_port: tcp.source_port,
        sequence: tcp.acknowledgement,
        acknowledgement: [0; 4],
        data_offset: ((TcpHeader::SIZE / 4) << 4) as u8,
        flags: TcpHeader::RST,
        window: [0; 2],
        checksum: [0; 2],
        urgent: [0; 2],
    };
    reset.checksum = Sum(0)
        // The pseudo-header. An IPv4 address is mapped into IPv6 by a word of ones, which is zero in this arithmetic.
        .address(to.source)
        .address(to.destination)
        .add(u16::from(TCP))
        .add(TcpHeader::SIZE as u16)
        .word(reset.source_port)
        .word(reset.destination_port)
        .long(reset.sequence)
        .add(u16::from_be_bytes([reset.data_offset, reset.flags]))
        .checksum();
    packet.write(transport_at, reset)
}

#[inline(always)]
fn ipv4(packet: &Packet, to: &Datagram) -> Option<u32> {
    let ([.., s0, s1, s2, s3], [.., d0, d1, d2, d3]) = (to.destination, to.source);
    let total_length = 20 + TcpHeader::SIZE as u16;
    let [l0, l1] = total_length.to_be_bytes();
    // Version 4 and five words; don't fragment.
    let (first, dont_fragment) = (0x4500, 0x4000);
    let [c0, c1] = Sum(0)
        .add(first)
        .add(total_length)
        .add(dont_fragment)
        .add(u16::from_be_bytes([TIME_TO_LIVE, TCP]))
        .long([s0, s1, s2, s3])
        .long([d0, d1, d2, d3])
        .checksum();
    let header: [u8; 20] = [0x45, 0, l0, l1, 0, 0, 0x40, 0, TIME_TO_LIVE, TCP, c0, c1, s0, s1, s2, s3, d0, d1, d2, d3];
    packet.write(to.ip_at, header)?;
    Some(to.ip_at + 20)
}

#[inline(always)]
fn ipv6(packet: &Packet, to: &Datagram) -> Option<u32> {
    let [l0, l1] = (TcpHeader::SIZE as u16).to_be_bytes();
    packet.write(to.ip_at, [0x60, 0, 0, 0, l0, l1, TCP, TIME_TO_LIVE])?;
    packet.write(to.ip_at + 8, to.destination)?;
    packet.write(to.ip_at + 24, to.source)?;
    Some(to.ip_at + 40)
}

/// The Internet checksum (RFC 1071), carries not yet folded.
#[derive(Clone, Copy)]
struct Sum(u64);

impl Sum {
    #[inline(always)]
    fn add(self, word: u16) -> Self {
        Self(self.0 + u64::from(word))
    }

    #[inline(always)]
    fn word(self, word: [u8; 2]) -> Self {
        self.add(u16::from_be_bytes(word))
    }

    #[inline(always)]
    fn long(self, long: [u8; 4]) -> Self {
        Self(self.0 + u64::from(u32::from_be_bytes(long)))
    }

    #[inline(always)]
    fn address(self, address: [u8; 16]) -> Self {
        let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3] = address;
        self.long([a0, a1, a2, a3]).long([b0, b1, b2, b3]).long([c0, c1, c2, c3]).long([d0, d1, d2, d3])
    }

    /// Folded to 16 bits and complemented. Sums here have well below 2^40, so three folds leave no carry.
    #[inline(always)]
    fn checksum(self) -> [u8; 2] {
        let sum = (self.0 >> 32) + (self.0 & 0xffff_ffff);
        let sum = (sum >> 16) + (sum & 0xffff);
        let sum = (sum >> 16) + (sum & 0xffff);
        let sum = (sum >> 16) + (sum & 0xffff);
        (!(sum as u16)).to_be_bytes()
    }
}

const _: () = assert!(IpProtocol::TCP.is(TCP));
