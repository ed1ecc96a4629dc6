//! Resets to both ends of a spliced connection that was ended from here. Whoever does not get it finds out with the next packet.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Raw: packets with their IP headers.
const RAW: i32 = 255;
const TCP: u8 = 6;
const TIME_TO_LIVE: u8 = 64;
const RST: u8 = 0x04;

/// Sockets for packets of either family.
#[derive(Debug)]
pub(super) struct Resets {
    v4: Socket,
    v6: Socket,
}

impl Resets {
    pub(super) fn open() -> io::Result<Self> {
        let socket = |domain| Socket::new(domain, Type::RAW, Some(Protocol::from(RAW)));
        Ok(Self { v4: socket(Domain::IPV4)?, v6: socket(Domain::IPV6)? })
    }

    /// Sends a reset that its receiver takes for its peer's: at the place in the stream that it waits for.
    pub(super) fn send(&self, from: SocketAddr, to: SocketAddr, sequence: u32) -> io::Result<()> {
        let socket = if to.is_ipv4() { &self.v4 } else { &self.v6 };
        // A port would be taken for a protocol.
        socket.send_to(&packet(from, to, sequence), &SocketAddr::new(to.ip(), 0).into()).map(drop)
    }
}

/// An IP packet with a RST. The kernel fills in the checksum of an IPv4 header.
fn packet(from: SocketAddr, to: SocketAddr, sequence: u32) -> Vec<u8> {
    let mut tcp = Vec::with_capacity(20);
    tcp.extend(from.port().to_be_bytes());
    tcp.extend(to.port().to_be_bytes());
    tcp.extend(sequence.to_be_bytes());
    tcp.extend([0, 0, 0, 0, 5 << 4, RST, 0, 0]);
    let (source, destination) = (octets(from.ip()), octets(to.ip()));
    let pseudo = [&source[..], &destination, &[0, TCP, 0, 20], &tcp, &[0; 4]].concat();
    tcp.extend(checksum(&pseudo));
    tcp.extend([0, 0]);
    let header = if to.is_ipv4() {
        vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, TIME_TO_LIVE, TCP, 0, 0]
    } else {
        vec![0x60, 0, 0, 0, 0, 20, TCP, TIME_TO_LIVE]
    };
    [header, source, destination, tcp].concat()
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// RFC 1071, of an even number of bytes.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks_exact(2).map(|pair| pair.iter().fold(0, |word: u32, byte| word << 8 | u32::from(*byte)));
    let sum: u32 = words.sum();
    let sum = (sum >> 16) + (sum & 0xffff);
    (!((sum >> 16) + sum) as u16).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_one_byte_by_byte() {
        let reset = packet("192.0.2.1:443".parse().unwrap(), "198.51.100.9:50000".parse().unwrap(), 0x1234_5678);
        let expected = [
            0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 9, // IP
            1, 187, 0xc3, 0x50, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, 0x50, 4, 0, 0, 0x95, 0xea, 0, 0,
        ];
        assert_eq!(reset, expected);
    }

    #[test]
    fn a_reset_over_ipv6_has_a_right_checksum() {
        let (from, to) = ("[2001:db8::1]:443", "[2001:db8:1::9]:50000");
        let reset = packet(from.parse().unwrap(), to.parse().unwrap(), 7);
        assert_eq!(reset.len(), 60);
        let pseudo = [&reset[8..40], &[0, 6, 0, 20], &reset[40..]].concat();
        assert_eq!(checksum(&pseudo), [0, 0]);
    }
}
