//! A router's message that a packet of a spliced connection is too big for the next link: its sender is not the edge, which only
//! rewrote the packet, so the message goes on to the sender, about the packet as it was sent.

use aya_ebpf::programs::XdpContext;
use filter_common::{
    Reason,
    layout::{Address, ConnectionKey},
};

use crate::{
    flow::{self, added},
    link,
    packet::Packet,
    parse::{Datagram, IpProtocol},
    sum::Sum,
};

/// Destination unreachable: fragmentation needed (RFC 792).
const FRAGMENTATION_NEEDED: [u8; 2] = [3, 4];
/// RFC 4443, 3.2.
const PACKET_TOO_BIG: [u8; 2] = [2, 0];
/// Bytes in front of the packet that a message is about.
const MESSAGE_HEADER: u32 = 8;
/// An IPv4 header without options, which is all that a packet of ours has.
const FIRST_BYTE_V4: u8 = 0x45;
const VERSION_V6: u8 = 6;
/// Where the checksum of an IPv4 header is.
const CHECKSUM_V4: u32 = 10;

/// What a message says, and where in the packet.
struct Message {
    /// The packet it is about: who sent it to whom.
    about: ConnectionKey,
    /// Of that packet, in network order.
    sequence: u32,
    /// Where the IP header of that packet is.
    ip_at: u32,
    /// Where its ports are.
    tcp_at: u32,
}

/// Sends a message about a spliced connection on to whom it is for. Everything else is the kernel's.
#[inline(always)]
pub(crate) fn forward(ctx: &XdpContext, datagram: &Datagram) -> Reason {
    match Reason::from_u32(apart(ctx, datagram.ip_at & 0x1f, datagram.transport_at & 0x3fff, datagram.is_v4.into())) {
        Some(reason) => reason,
        None => Reason::Internal,
    }
}

/// In a frame of its own: the stack is small.
#[inline(never)]
fn apart(ctx: &XdpContext, ip_at: u32, at: u32, is_v4: u32) -> u32 {
    match try_forward(ctx, ip_at, at, is_v4 != 0) {
        Some(Ok(())) => Reason::SpliceTooBig.into(),
        Some(Err(reason)) => reason.into(),
        None => Reason::OtherProtocol.into(),
    }
}

#[inline(always)]
fn try_forward(ctx: &XdpContext, ip_at: u32, at: u32, is_v4: bool) -> Option<Result<(), Reason>> {
    let packet = Packet::new(ctx);
    let message = if is_v4 { read_v4(&packet, at)? } else { read_v6(&packet, at)? };
    // The packet was sent by the other direction than the one that goes to its sender.
    let back = ConnectionKey {
        client: message.about.edge,
        edge: message.about.client,
        client_port: message.about.edge_port,
        edge_port: message.about.client_port,
    };
    let place = flow::of(&back)?;
    // SAFETY: an entry of the map of flows, which stays readable while this program runs.
    let flow = unsafe { &*place };
    let sequence = added(message.sequence, flow.acknowledgement_add);
    let ports = [flow.destination_port, flow.source_port];
    let checksum: u16 = packet.read(at + 2)?;
    let sum = Sum::covered_by(checksum)
        .replaced(message.about.client_port.into(), ports[0].into())
        .replaced(message.about.edge_port.into(), ports[1].into())
        .replaced(message.sequence, sequence);
    packet.write(message.tcp_at, ports)?;
    packet.write(message.tcp_at + 4, [sequence])?;
    let sum = if is_v4 {
        // The header that the message is about sums up to the same as before, with its checksum.
        write_v4(&packet, message.ip_at, flow.destination, flow.source)?;
        write_v4(&packet, ip_at, flow.source, flow.destination)?;
        sum
    } else {
        let sum = write_v6(&packet, message.ip_at, flow.destination, flow.source, sum)?;
        write_v6(&packet, ip_at, flow.source, flow.destination, sum)?
    };
    packet.write(at + 2, sum.checksum())?;
    Some(link::leave(ctx, ip_at, &flow.link))
}

#[inline(always)]
fn read_v4(packet: &Packet, at: u32) -> Option<Message> {
    let ip_at = at + MESSAGE_HEADER;
    let first: u8 = packet.read(ip_at)?;
    let protocol: u8 = packet.read(ip_at + 9)?;
    if kind(packet, at)? != FRAGMENTATION_NEEDED || first != FIRST_BYTE_V4 || protocol != IpProtocol::TCP.number() {
        return None;
    }
    let [source, destination]: [u32; 2] = packet.read(ip_at + 12)?;
    read_tcp(packet, ip_at, ip_at + 20, Address::from_v4(source), Address::from_v4(destination))
}

#[inline(always)]
fn read_v6(packet: &Packet, at: u32) -> Option<Message> {
    let ip_at = at + MESSAGE_HEADER;
    let version: u8 = packet.read(ip_at)?;
    let protocol: u8 = packet.read(ip_at + 6)?;
    if kind(packet, at)? != PACKET_TOO_BIG || version >> 4 != VERSION_V6 || protocol != IpProtocol::TCP.number() {
        return None;
    }
    let (source, destination) = (Address(packet.read(ip_at + 8)?), Address(packet.read(ip_at + 24)?));
    read_tcp(packet, ip_at, ip_at + 40, source, destination)
}

#[inline(always)]
fn kind(packet: &Packet, at: u32) -> Option<[u8; 2]> {
    Some([packet.read(at)?, packet.read(at + 1)?])
}

#[inline(always)]
fn read_tcp(packet: &Packet, ip_at: u32, tcp_at: u32, source: Address, destination: Address) -> Option<Message> {
    let [client_port, edge_port]: [u16; 2] = packet.read(tcp_at)?;
    let [sequence]: [u32; 1] = packet.read(tcp_at + 4)?;
    let about = ConnectionKey { client: source, edge: destination, client_port, edge_port };
    Some(Message { about, sequence, ip_at, tcp_at })
}

/// Replaces the addresses of an IPv4 header, and its checksum with them.
#[inline(always)]
fn write_v4(packet: &Packet, ip_at: u32, source: Address, destination: Address) -> Option<()> {
    let (Address([.., source]), Address([.., destination])) = (source, destination);
    let checksum: u16 = packet.read(ip_at + CHECKSUM_V4)?;
    let [old_source, old_destination]: [u32; 2] = packet.read(ip_at + 12)?;
    let sum = Sum::covered_by(checksum).replaced(old_source, source).replaced(old_destination, destination);
    packet.write(ip_at + CHECKSUM_V4, sum.checksum())?;
    packet.write(ip_at + 12, [source, destination])
}

/// Replaces the addresses of an IPv6 header; `sum` goes on with what changed.
#[inline(always)]
fn write_v6(packet: &Packet, ip_at: u32, source: Address, destination: Address, sum: Sum) -> Option<Sum> {
    let old: [Address; 2] = [Address(packet.read(ip_at + 8)?), Address(packet.read(ip_at + 24)?)];
    packet.write(ip_at + 8, source.0)?;
    packet.write(ip_at + 24, destination.0)?;
    Some(sum.replaced_address(old[0], source).replaced_address(old[1], destination))
}
