//! Building frames by hand, correct unless a field says otherwise, and reading them back.

use std::net::{IpAddr, SocketAddr};

/// The filter's addresses, one of each family; the peer's are `CLIENT_V4` and `CLIENT_V6`.
pub(crate) const EDGE_V4: &str = "192.0.2.1:443";
pub(crate) const EDGE_V6: &str = "[2001:db8::1]:443";
pub(crate) const CLIENT_V4: &str = "198.51.100.9:50000";
pub(crate) const CLIENT_V6: &str = "[2001:db8:1::9]:50000";

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

pub(crate) const SEQUENCE: u32 = 0x1234_5678;
pub(crate) const ACKNOWLEDGEMENT: u32 = 0xfedc_ba98;
const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// What is around the IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) family: Family,
    /// EtherTypes of the VLAN tags.
    pub(crate) tags: &'static [u16],
}

/// Every family with every way of tagging.
pub(crate) fn shapes() -> impl Iterator<Item = Shape> {
    const TAGS: [&[u16]; 4] = [&[], &[0x8100], &[0x88a8], &[0x88a8, 0x8100]];
    [Family::V4, Family::V6].into_iter().flat_map(|family| TAGS.map(|tags| Shape { family, tags }))
}

/// A TCP (or UDP) packet from the client to the filter.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Another client, for families that have one.
    pub(crate) client: Option<IpAddr>,
    /// Another sender and receiver altogether.
    pub(crate) ends: Option<(SocketAddr, SocketAddr)>,
    /// Type of service, or traffic class: with it the marks of congestion.
    pub(crate) service: u8,
    /// IPv4's identification.
    pub(crate) identification: u16,
    /// Time to live, or hop limit.
    pub(crate) life: u8,
    pub(crate) window: u16,
    pub(crate) client_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) other_address: bool,
    pub(crate) protocol: u8,
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) tcp_options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    /// IPv4 options, a multiple of four bytes.
    pub(crate) ip_options: Vec<u8>,
    /// IPv6 extension headers: kind and content, whose first two bytes are filled in.
    pub(crate) extension_headers: Vec<(u8, Vec<u8>)>,
    /// The IPv4 fragment field.
    pub(crate) fragment: u16,
    /// Bytes behind the IP packet.
    pub(crate) padding: usize,
    /// How many of the frame's last bytes are cut off after all lengths were written.
    pub(crate) cut: usize,
}

impl Frame {
    pub(crate) fn tcp(flags: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            client: None,
            ends: None,
            service: 0,
            identification: 0x1234,
            life: 57,
            window: 0xffff,
            client_port: 50_000,
            destination_port: 443,
            other_address: false,
            protocol: 6,
            flags,
            sequence: SEQUENCE,
            acknowledgement: ACKNOWLEDGEMENT,
            tcp_options: Vec::new(),
            payload: payload.into(),
            ip_options: Vec::new(),
            extension_headers: Vec::new(),
            fragment: 0x4000,
            padding: 0,
            cut: 0,
        }
    }

    pub(crate) fn data(payload: impl Into<Vec<u8>>) -> Self {
        Self::tcp(ACK | PSH, payload)
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn build(&self, shape: Shape) -> Vec<u8> {
        let mut frame = ethernet(shape);
        let (client, mut edge) = match shape.family {
            Family::V4 => (CLIENT_V4, EDGE_V4.parse::<SocketAddr>().unwrap()),
            Family::V6 => (CLIENT_V6, EDGE_V6.parse().unwrap()),
        };
        let mut client: SocketAddr = client.parse().unwrap();
        client.set_port(self.client_port);
        if let Some(ip) = self.client {
            client.set_ip(ip);
        }
        edge.set_port(self.destination_port);
        if self.other_address {
            edge.set_ip(match shape.family {
                Family::V4 => "192.0.2.77".parse().unwrap(),
                Family::V6 => "2001:db8::77".parse().unwrap(),
            });
        }
        let (client, edge) = self.ends.unwrap_or((client, edge));
        let transport = self.transport(client, edge);
        frame.extend(match (client.ip(), edge.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.ipv4(&source.octets(), &destination.octets(), transport.len())
            }
            _ => self.ipv6(&octets(client.ip()), &octets(edge.ip()), transport.len()),
        });
        frame.extend(transport);
        frame.resize(frame.len() + self.padding, 0xee);
        frame.truncate(frame.len() - self.cut);
        frame
    }

    fn ipv4(&self, source: &[u8], destination: &[u8], transport: usize) -> Vec<u8> {
        let header = 20 + self.ip_options.len();
        let mut ip = vec![0x40 | (header / 4) as u8, self.service];
        ip.extend(((header + transport) as u16).to_be_bytes());
        ip.extend(self.identification.to_be_bytes());
        ip.extend(self.fragment.to_be_bytes());
        ip.extend([self.life, self.protocol, 0, 0]);
        ip.extend(source.iter().chain(destination).chain(&self.ip_options));
        let sum = checksum(&ip);
        ip[10..12].copy_from_slice(&sum);
        ip
    }

    fn ipv6(&self, source: &[u8], destination: &[u8], transport: usize) -> Vec<u8> {
        let mut headers = Vec::new();
        for (index, (_, content)) in self.extension_headers.iter().enumerate() {
            let next = self.extension_headers.get(index + 1).map_or(self.protocol, |(kind, _)| *kind);
            let start = headers.len();
            headers.extend(content);
            headers[start] = next;
            headers[start + 1] = (content.len() / 8 - 1) as u8;
        }
        let first = self.extension_headers.first().map_or(self.protocol, |(kind, _)| *kind);
        let mut ip = vec![0x60 | self.service >> 4, self.service << 4, 0, 0];
        ip.extend(((headers.len() + transport) as u16).to_be_bytes());
        ip.extend([first, self.life]);
        ip.extend(source.iter().chain(destination).chain(&headers));
        ip
    }

    fn transport(&self, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(source.port().to_be_bytes());
        bytes.extend(destination.port().to_be_bytes());
        let checksum_at = if self.protocol == 17 {
            bytes.extend(((8 + self.payload.len()) as u16).to_be_bytes());
            bytes.extend([0, 0]);
            6
        } else {
            bytes.extend(self.sequence.to_be_bytes());
            bytes.extend(self.acknowledgement.to_be_bytes());
            bytes.extend([((20 + self.tcp_options.len()) / 4 * 16) as u8, self.flags]);
            bytes.extend(self.window.to_be_bytes());
            bytes.extend([0, 0, 0, 0]);
            bytes.extend(&self.tcp_options);
            16
        };
        bytes.extend(&self.payload);
        let sum = transport_checksum(source.ip(), destination.ip(), self.protocol, &bytes);
        if let Some(place) = bytes.get_mut(checksum_at..checksum_at + 2) {
            place.copy_from_slice(&sum);
        }
        bytes
    }
}

/// The RST that answers `frame`, byte by byte.
pub(crate) fn expected_reset(frame: &Frame, shape: Shape) -> Vec<u8> {
    let reset = Answer { sequence: frame.acknowledgement, acknowledgement: 0, flags: RST, window: 0, options: &[] };
    expected_answer(frame, shape, &reset)
}

/// What an answer says.
pub(crate) struct Answer<'a> {
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) options: &'a [u8],
}

/// An answer to `frame`, byte by byte.
pub(crate) fn expected_answer(frame: &Frame, shape: Shape, said: &Answer<'_>) -> Vec<u8> {
    let packet = frame.build(shape);
    let ip_at = 14 + 4 * shape.tags.len();
    let mut answer = [&packet[6..12], &packet[0..6], &packet[12..ip_at]].concat();
    let (source, destination) = addresses(&packet[ip_at..]);
    let mut tcp = Vec::new();
    tcp.extend(frame.destination_port.to_be_bytes());
    tcp.extend(frame.client_port.to_be_bytes());
    tcp.extend(said.sequence.to_be_bytes());
    tcp.extend(said.acknowledgement.to_be_bytes());
    tcp.extend([((20 + said.options.len()) / 4 * 16) as u8, said.flags]);
    tcp.extend(said.window.to_be_bytes());
    tcp.extend([0, 0, 0, 0]);
    tcp.extend(said.options);
    let sum = transport_checksum(destination, source, 6, &tcp);
    tcp[16..18].copy_from_slice(&sum);
    match shape.family {
        Family::V4 => {
            let mut ip = vec![0x45, 0, 0, 20 + tcp.len() as u8, 0, 0, 0x40, 0, 64, 6, 0, 0];
            ip.extend(octets(destination).into_iter().chain(octets(source)));
            let sum = checksum(&ip);
            ip[10..12].copy_from_slice(&sum);
            answer.extend(ip);
        }
        Family::V6 => {
            answer.extend([0x60, 0, 0, 0, 0, tcp.len() as u8, 6, 64]);
            answer.extend(octets(destination).into_iter().chain(octets(source)));
        }
    }
    answer.extend(tcp);
    answer
}

/// Where the TCP header of an answer starts: it has neither IP options nor extension headers.
pub(crate) fn answer_transport_at(shape: Shape) -> usize {
    let ip_size = match shape.family {
        Family::V4 => 20,
        Family::V6 => 40,
    };
    14 + 4 * shape.tags.len() + ip_size
}

fn ethernet(shape: Shape) -> Vec<u8> {
    let mut frame = MACS.to_vec();
    for (id, tag) in (100_u16..).zip(shape.tags) {
        frame.extend(tag.to_be_bytes());
        frame.extend(id.to_be_bytes());
    }
    frame.extend(match shape.family {
        Family::V4 => [0x08, 0x00],
        Family::V6 => [0x86, 0xdd],
    });
    frame
}

fn addresses(ip: &[u8]) -> (IpAddr, IpAddr) {
    if ip[0] >> 4 == 4 {
        let address = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&ip[at..at + 4]).unwrap());
        (address(12), address(16))
    } else {
        let address = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&ip[at..at + 16]).unwrap());
        (address(8), address(24))
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

pub(crate) fn transport_checksum(source: IpAddr, destination: IpAddr, protocol: u8, segment: &[u8]) -> [u8; 2] {
    let mut pseudo = [octets(source), octets(destination)].concat();
    pseudo.extend((segment.len() as u32).to_be_bytes());
    pseudo.extend([0, 0, 0, protocol]);
    pseudo.extend(segment);
    checksum(&pseudo)
}

pub(crate) fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}
