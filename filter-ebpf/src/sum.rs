//! The Internet checksum (RFC 1071).

use filter_common::layout::{Address, ConnectionKey};

use crate::parse::{IpProtocol, TcpHeader};

/// A sum whose carries are not folded yet. It does not depend on the order of bytes in words, so words are added as they are in
/// memory.
#[derive(Clone, Copy)]
pub(crate) struct Sum(u64);

impl Sum {
    pub(crate) const ZERO: Self = Self(0);

    /// Goes on from a sum that was folded to 32 bits.
    #[inline(always)]
    pub(crate) fn from(folded: u32) -> Self {
        Self(folded.into())
    }

    /// What a checksum covers, to be changed: the sum of everything but the checksum itself.
    #[inline(always)]
    pub(crate) fn covered_by(checksum: u16) -> Self {
        Self(u64::from(!checksum))
    }

    /// Of the pseudo-header of a segment of `size` bytes. An IPv4 address is mapped into IPv6 by a word of ones, which is zero
    /// in this arithmetic.
    #[inline(always)]
    pub(crate) fn of_pseudo_header(ends: &ConnectionKey, size: u32) -> Self {
        let protocol = u16::from(IpProtocol::TCP.number()).to_be();
        Self::ZERO.address(ends.client).address(ends.edge).word(protocol).word((size as u16).to_be())
    }

    /// Adds a TCP header.
    #[inline(always)]
    pub(crate) fn header(self, header: &TcpHeader) -> Self {
        self.word(header.source_port)
            .word(header.destination_port)
            .long(header.sequence)
            .long(header.acknowledgement)
            .word(u16::from_ne_bytes([header.data_offset, header.flags]))
            .word(header.window)
            .word(header.checksum)
            .word(header.urgent)
    }

    #[inline(always)]
    pub(crate) fn word(self, word: u16) -> Self {
        Self(self.0 + u64::from(word))
    }

    #[inline(always)]
    pub(crate) fn long(self, long: u32) -> Self {
        Self(self.0 + u64::from(long))
    }

    #[inline(always)]
    pub(crate) fn address(self, address: Address) -> Self {
        let Address([a, b, c, d]) = address;
        self.long(a).long(b).long(c).long(d)
    }

    /// A word that was `old` is `new`.
    #[inline(always)]
    pub(crate) fn replaced(self, old: u32, new: u32) -> Self {
        self.long(!old).long(new)
    }

    /// The ends of a connection that were `old` are `new`, in the TCP header and its pseudo-header.
    #[inline(always)]
    pub(crate) fn replaced_ends(self, old: &ConnectionKey, new: &ConnectionKey) -> Self {
        self.replaced_address(old.client, new.client)
            .replaced_address(old.edge, new.edge)
            .replaced(old.client_port.into(), new.client_port.into())
            .replaced(old.edge_port.into(), new.edge_port.into())
    }

    #[inline(always)]
    pub(crate) fn replaced_address(self, old: Address, new: Address) -> Self {
        let (Address([a, b, c, d]), Address([e, f, g, h])) = (old, new);
        self.replaced(a, e).replaced(b, f).replaced(c, g).replaced(d, h)
    }

    /// Folded to 32 bits.
    #[inline(always)]
    pub(crate) fn folded(self) -> u32 {
        let sum = (self.0 >> 32) + (self.0 & 0xffff_ffff);
        ((sum >> 32) + (sum & 0xffff_ffff)) as u32
    }

    /// Folded to 16 bits and complemented. Sums here are far below 2^40: the first fold leaves less than 2^25, the second less
    /// than 2^17, the third no carry.
    #[inline(always)]
    pub(crate) fn checksum(self) -> u16 {
        let sum = (self.0 >> 16) + (self.0 & 0xffff);
        let sum = (sum >> 16) + (sum & 0xffff);
        let sum = (sum >> 16) + (sum & 0xffff);
        !(sum as u16)
    }
}
