//! Packets, as far as the program looks at them: it never checks a checksum.

use std::net::{IpAddr, SocketAddr};

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

const ETHERNET: usize = 14;

/// A TCP segment.
pub(crate) struct Segment<'a> {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) options: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl Segment<'_> {
    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut tcp = [self.from.port().to_be_bytes(), self.to.port().to_be_bytes()].concat();
        tcp.extend(self.sequence.to_be_bytes());
        tcp.extend(self.acknowledgement.to_be_bytes());
        tcp.extend([((20 + self.options.len()) / 4 * 16) as u8, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(self.options);
        tcp.extend(self.payload);
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9];
        match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let [a, b] = ((20 + tcp.len()) as u16).to_be_bytes();
                frame.extend([0x08, 0x00, 0x45, 0, a, b, 0, 0, 0x40, 0, 64, 6, 0, 0]);
                frame.extend(from.octets().into_iter().chain(to.octets()));
            }
            (from, to) => {
                let [a, b] = (tcp.len() as u16).to_be_bytes();
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, a, b, 6, 64]);
                frame.extend([from, to].into_iter().flat_map(|ip| match ip {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                    IpAddr::V6(v6) => v6.octets(),
                }));
            }
        }
        frame.extend(tcp);
        frame
    }
}

/// Where the TCP header of a frame without tags and IP options is.
pub(crate) fn tcp_at(frame: &[u8]) -> usize {
    ETHERNET + if frame[ETHERNET] >> 4 == 4 { 20 } else { 40 }
}

/// Four bytes of a frame.
pub(crate) fn word(frame: &[u8], at: usize) -> u32 {
    frame[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// Timestamps, as everybody writes them.
pub(crate) fn timestamps(value: u32, echo: u32) -> Vec<u8> {
    [&[1, 1, 8, 10][..], &value.to_be_bytes(), &echo.to_be_bytes()].concat()
}

/// So many blocks of selective acknowledgement behind them.
pub(crate) fn with_blocks(timestamps: &[u8], count: u8) -> Vec<u8> {
    let blocks = (0..count).flat_map(|block| [0, 0, block, 1, 0, 0, block, 9]);
    timestamps.iter().copied().chain([1, 1, 5, 2 + 8 * count]).chain(blocks).collect()
}

/// A ClientHello of one record with so many other extensions in front of the name.
pub(crate) fn client_hello(name: &str, in_front: u16) -> Vec<u8> {
    let mut extensions: Vec<u8> = (0..in_front).flat_map(|n| [0x2a, n as u8, 0, 4, 1, 2, 3, 4]).collect();
    let length = name.len() as u16;
    for number in [0, length + 5, length + 3] {
        extensions.extend(number.to_be_bytes());
    }
    extensions.push(0);
    extensions.extend(length.to_be_bytes());
    extensions.extend(name.bytes());
    let mut body = vec![3, 3];
    body.extend([0x5a; 32]);
    body.push(32);
    body.extend([0xa5; 32]);
    body.extend([0, 6, 0x13, 1, 0x13, 2, 0x13, 3, 1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut record = vec![22, 3, 1];
    record.extend((body.len() as u16 + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    record
}
