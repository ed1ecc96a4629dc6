//! The way to an origin, as the kernel's tables have it: route, neighbour, link, VLAN.
//!
//! XDP could ask the kernel itself, for each connection, but only on a host that forwards packets; an edge should not have to be
//! a router. So userspace asks, about once a second, and XDP reads the answer from the origin's entry.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use filter_common::splice::Link;
use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{InfoData, InfoVlan, LinkAttribute, LinkInfo, LinkMessage, VlanProtocol},
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState},
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteType},
};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};

use super::Path;

/// VLAN devices on VLAN devices that are followed: XDP takes two tags.
const TAGS_MAX: usize = 2;

/// The way to an origin, and what it says about the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) path: Path,
    /// Largest packet, from the IP header on.
    pub(super) mtu: u32,
}

/// A connection to the kernel's tables.
#[derive(Debug)]
pub(super) struct Routes {
    socket: Socket,
    sequence: u32,
}

/// What a link is.
struct Device {
    index: u32,
    mac: [u8; 6],
    mtu: u32,
    /// The tag that it adds and the device below it, for a VLAN.
    vlan: Option<([u8; 4], u32)>,
}

impl Routes {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        Ok(Self { socket, sequence: 0 })
    }

    /// The way to an origin. `None` if there is none: no route, the origin on this host, or a neighbour that has not answered
    /// yet; it is asked then, and may be known the next time.
    pub(super) fn way(&mut self, origin: SocketAddr) -> io::Result<Option<Way>> {
        let Some(route) = self.route(origin.ip())? else { return Ok(None) };
        let found = |find: fn(&RouteAttribute) -> Option<IpAddr>| route.attributes.iter().find_map(find);
        let interface = route.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Oif(index) => Some(*index),
            _ => None,
        });
        let source = found(|attribute| match attribute {
            RouteAttribute::PrefSource(address) => ip(address),
            _ => None,
        });
        let gateway = found(|attribute| match attribute {
            RouteAttribute::Gateway(address) => ip(address),
            _ => None,
        });
        let (Some(interface), Some(source), RouteType::Unicast) = (interface, source, route.header.kind) else {
            return Ok(None);
        };
        let Some(device) = self.device(interface)? else { return Ok(None) };
        let Some(receiver) = self.neighbour(interface, gateway.unwrap_or(origin.ip()))? else { return Ok(None) };
        let mtu = device.mtu;
        Ok(self.link(device, receiver)?.map(|link| Way { path: Path { source, link }, mtu }))
    }

    fn route(&mut self, to: IpAddr) -> io::Result<Option<RouteMessage>> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(to);
        message.header.destination_prefix_length = if to.is_ipv4() { 32 } else { 128 };
        message.attributes.push(RouteAttribute::Destination(to.into()));
        let answer = self.ask(RouteNetlinkMessage::GetRoute(message), 0)?;
        Ok(answer.and_then(|answer| match answer {
            RouteNetlinkMessage::NewRoute(route) => Some(route),
            _ => None,
        }))
    }

    fn device(&mut self, index: u32) -> io::Result<Option<Device>> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        let answer = self.ask(RouteNetlinkMessage::GetLink(message), 0)?;
        Ok(answer.and_then(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => device(&link),
            _ => None,
        }))
    }

    /// The MAC address of a neighbour; asks for it if it is not known.
    fn neighbour(&mut self, interface: u32, address: IpAddr) -> io::Result<Option<[u8; 6]>> {
        let mut message = NeighbourMessage::default();
        message.header.family = family(address);
        message.header.ifindex = interface;
        let destination = match address {
            IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
            IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
        };
        message.attributes.push(NeighbourAttribute::Destination(destination));
        let answer = self.ask(RouteNetlinkMessage::GetNeighbour(message.clone()), 0)?;
        let known = answer.and_then(|answer| match answer {
            RouteNetlinkMessage::NewNeighbour(neighbour) => mac(&neighbour),
            _ => None,
        });
        if known.is_none() {
            message.header.flags = NeighbourFlags::Use;
            self.ask(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_ACK)?;
        }
        Ok(known)
    }

    /// How frames leave for `receiver`, through the VLAN devices down to the one that XDP can send by.
    fn link(&mut self, mut device: Device, receiver: [u8; 6]) -> io::Result<Option<Link>> {
        let mac = device.mac;
        let mut tags = Vec::new();
        while let Some((tag, below)) = device.vlan {
            // The device below adds its tag in front of this one.
            tags.insert(0, u32::from_ne_bytes(tag));
            let Some(next) = self.device(below)?.filter(|_| tags.len() <= TAGS_MAX) else { return Ok(None) };
            device = next;
        }
        let ([a, b, c, d, e, f], [g, h, i, j, k, l]) = (receiver, mac);
        let macs = [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_ne_bytes);
        let mut tag = tags.iter().copied();
        let tags = [tag.next().unwrap_or(0), tag.next().unwrap_or(0)];
        let tag_count = tags.iter().filter(|tag| **tag != 0).count() as u32;
        Ok(Some(Link { interface: device.index, macs, tags, tag_count }))
    }

    /// Sends a request and returns the answer; `None` if the kernel has nothing to say, or that it knows of no such thing.
    fn ask(&mut self, request: RouteNetlinkMessage, flags: u16) -> io::Result<Option<RouteNetlinkMessage>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        loop {
            let (bytes, _) = self.socket.recv_from_full()?;
            let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            // What is left of an earlier question is none of this one's.
            if answer.header.sequence_number != self.sequence {
                continue;
            }
            return Ok(match answer.payload {
                NetlinkPayload::InnerMessage(answer) => Some(answer),
                _ => None,
            });
        }
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}

/// The MAC address of a neighbour that has one. A stale one is as good: the kernel uses it while it asks again.
fn mac(neighbour: &NeighbourMessage) -> Option<[u8; 6]> {
    if matches!(neighbour.header.state, NeighbourState::Failed | NeighbourState::Incomplete | NeighbourState::None) {
        return None;
    }
    neighbour.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(mac) => mac.as_slice().try_into().ok(),
        _ => None,
    })
}

fn device(link: &LinkMessage) -> Option<Device> {
    let mut device = Device { index: link.header.index, mac: [0; 6], mtu: 0, vlan: None };
    let (mut tag, mut below) = (None, None);
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::Address(mac) => device.mac = mac.as_slice().try_into().ok()?,
            LinkAttribute::Mtu(mtu) => device.mtu = *mtu,
            LinkAttribute::Link(index) => below = Some(*index),
            LinkAttribute::LinkInfo(infos) => tag = infos.iter().find_map(vlan_tag),
            _ => {}
        }
    }
    device.vlan = tag.zip(below);
    Some(device)
}

/// The tag that a VLAN device adds, as it is in a frame.
fn vlan_tag(info: &LinkInfo) -> Option<[u8; 4]> {
    let LinkInfo::Data(InfoData::Vlan(infos)) = info else { return None };
    let id = infos.iter().find_map(|info| match info {
        InfoVlan::Id(id) => Some(*id),
        _ => None,
    })?;
    let protocol = infos.iter().find_map(|info| match info {
        InfoVlan::Protocol(protocol) => Some(*protocol),
        _ => None,
    });
    let [a, b] = if protocol == Some(VlanProtocol::Ieee8021Ad) { [0x88, 0xa8] } else { [0x81, 0] };
    let [c, d] = id.to_be_bytes();
    Some([a, b, c, d])
}
