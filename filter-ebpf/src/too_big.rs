//! A router's message that a packet of a spliced connection is too big for the next link: its sender is not the edge, which only
//! rewrote the packet, so the message goes on to the sender, about the packet as it was sent.

use aya_ebpf::programs::XdpContext;
use filter_common::{
    Reason,
    layout::{Address, ConnectionKey},
    splice::Flow,
};

use crate::{
    flow::{self, added},
    link, maps,
    packet::Packet,
    parse::{IpProtocol, Segment},
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
/// For the verifier: above what a place can be.
const PLACE_MASK: u32 = 0x3fff;
/// Where the checksum of an IPv4 header is.
const CHECKSUM_V4: u32 = 10;

/// What a message says, and where in the packet.
#[repr(C)]
pub(crate) struct Message {
    /// The direction that goes to the sender of the packet it is about: the other one than sent it.
    back: ConnectionKey,
    /// Of that packet, in network order.
    sequence: u32,
    /// Where the IP header of that packet is.
    ip_at: u32,
    /// Where its ports are.
    tcp_at: u32,
}

/// Sends a message about a spliced connection on to whom it is for. Everything else is the kernel's. Each step has a frame of
/// its own: the stack is small.
#[inline(always)]
pub(crate) fn forward(ctx: &XdpContext, datagram: &Segment) -> Reason {
    let (ip_at, at) = (datagram.ip_at(), datagram.transport_at());
    let is_read = if datagram.is_v4() { read_v4(ctx, at) } else { read_v6(ctx, at) };
    let Some(message) = maps::scratch().map(|scratch| &scratch.message).filter(|_| is_read != 0) else {
        return Reason::OtherProtocol;
    };
    let Some(place) = flow::of(&message.back) else { return Reason::OtherProtocol };
    let is_written = transport(ctx, at, message, place) != 0
        && if datagram.is_v4() {
            internet_v4(ctx, ip_at, message, place)
        } else {
            internet_v6(ctx, ip_at, at, message, place)
        } != 0;
    // SAFETY: an entry of the map of flows, which stays readable while this program runs.
    let link = unsafe { &(*place).link };
    if is_written && link::leave(ctx, ip_at, link).is_ok() { Reason::SpliceTooBig } else { Reason::Internal }
}

#[inline(never)]
fn read_v4(ctx: &XdpContext, at: u32) -> u32 {
    u32::from(try_read_v4(&Packet::of_argument(ctx), at).is_some())
}

#[inline(always)]
fn try_read_v4(packet: &Packet, at: u32) -> Option<()> {
    let ip_at = at + MESSAGE_HEADER;
    let first: u8 = packet.read(ip_at)?;
    let protocol: u8 = packet.read(ip_at + 9)?;
    if kind(packet, at)? != FRAGMENTATION_NEEDED || first != FIRST_BYTE_V4 || protocol != IpProtocol::TCP.number() {
        return None;
    }
    let [source, destination]: [u32; 2] = packet.read(ip_at + 12)?;
    read_tcp(packet, ip_at, ip_at + 20, Address::from_v4(source), Address::from_v4(destination))
}

#[inline(never)]
fn read_v6(ctx: &XdpContext, at: u32) -> u32 {
    u32::from(try_read_v6(&Packet::of_argument(ctx), at).is_some())
}

#[inline(always)]
fn try_read_v6(packet: &Packet, at: u32) -> Option<()> {
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
fn read_tcp(packet: &Packet, ip_at: u32, tcp_at: u32, source: Address, destination: Address) -> Option<()> {
    let [source_port, destination_port]: [u16; 2] = packet.read(tcp_at)?;
    let [sequence]: [u32; 1] = packet.read(tcp_at + 4)?;
    let back =
        ConnectionKey { client: destination, edge: source, client_port: destination_port, edge_port: source_port };
    maps::scratch()?.message = Message { back, sequence, ip_at, tcp_at };
    Some(())
}

/// Replaces ports and sequence number of the packet that a message is about, and the checksum of the message with them.
#[inline(never)]
fn transport(ctx: &XdpContext, at: u32, message: &Message, place: *mut Flow) -> u32 {
    // SAFETY: an entry of the map of flows, which stays readable while this program runs.
    u32::from(try_transport(&Packet::of_argument(ctx), at, message, unsafe { &*place }).is_some())
}

#[inline(always)]
fn try_transport(packet: &Packet, at: u32, message: &Message, flow: &Flow) -> Option<()> {
    // Of the sender, who counts as the acknowledgements of the other direction do.
    let sequence = added(message.sequence, flow.acknowledgement_add);
    let checksum: u16 = packet.read(at + 2)?;
    let sum = Sum::covered_by(checksum)
        .replaced(message.back.edge_port.into(), flow.destination_port.into())
        .replaced(message.back.client_port.into(), flow.source_port.into())
        .replaced(message.sequence, sequence);
    packet.write(at + 2, sum.checksum())?;
    let tcp_at = message.tcp_at & PLACE_MASK;
    packet.write(tcp_at, [flow.destination_port, flow.source_port])?;
    packet.write(tcp_at + 4, [sequence])
}

/// Replaces the addresses of the message and of the packet that it is about. The header of that packet sums up to the same as
/// before, with its own checksum, and so the checksum of the message stays.
#[inline(never)]
fn internet_v4(ctx: &XdpContext, ip_at: u32, message: &Message, place: *mut Flow) -> u32 {
    let packet = Packet::of_argument(ctx);
    // SAFETY: an entry of the map of flows, which stays readable while this program runs.
    let flow = unsafe { &*place };
    let written = write_v4(&packet, message.ip_at & PLACE_MASK, flow.destination, flow.source)
        .and_then(|()| write_v4(&packet, ip_at, flow.source, flow.destination));
    u32::from(written.is_some())
}

#[inline(always)]
fn write_v4(packet: &Packet, ip_at: u32, source: Address, destination: Address) -> Option<()> {
    let (Address([.., source]), Address([.., destination])) = (source, destination);
    let checksum: u16 = packet.read(ip_at + CHECKSUM_V4)?;
    let [old_source, old_destination]: [u32; 2] = packet.read(ip_at + 12)?;
    let sum = Sum::covered_by(checksum).replaced(old_source, source).replaced(old_destination, destination);
    packet.write(ip_at + CHECKSUM_V4, sum.checksum())?;
    packet.write(ip_at + 12, [source, destination])
}

/// The same for IPv6, where there are no checksums but that of the message, which covers all four addresses.
#[inline(never)]
fn internet_v6(ctx: &XdpContext, ip_at: u32, at: u32, message: &Message, place: *mut Flow) -> u32 {
    let packet = Packet::of_argument(ctx);
    // SAFETY: an entry of the map of flows, which stays readable while this program runs.
    let flow = unsafe { &*place };
    let about_at = message.ip_at & PLACE_MASK;
    let written = replace_v6(&packet, at, about_at + 8, flow.destination)
        .and_then(|()| replace_v6(&packet, at, about_at + 24, flow.source))
        .and_then(|()| replace_v6(&packet, at, ip_at + 8, flow.source))
        .and_then(|()| replace_v6(&packet, at, ip_at + 24, flow.destination));
    u32::from(written.is_some())
}

#[inline(always)]
fn replace_v6(packet: &Packet, message_at: u32, at: u32, address: Address) -> Option<()> {
    let old = Address(packet.read(at)?);
    let checksum: u16 = packet.read(message_at + 2)?;
    packet.write(at, address.0)?;
    packet.write(message_at + 2, Sum::covered_by(checksum).replaced_address(old, address).checksum())
}
