//! Packets of spliced connections.

use aya_ebpf::programs::XdpContext;
use filter_common::{
    Reason,
    layout::{Address, ConnectionKey},
    splice::{FLOW_FROM_CLIENT, FLOW_HEADER_PENDING, FLOW_OPENING, FLOW_TIMESTAMPS, Flow},
};

use crate::{
    closing, flags, link, maps, opening, options,
    packet::Packet,
    parse::{Ipv4Header, Ipv6Header, Segment, TcpHeader},
    sum::Sum,
};

/// The flow of a connection with this hash.
#[inline(always)]
pub(crate) fn find(connection: &ConnectionKey, hash: u64) -> Option<*mut Flow> {
    let place = maps::FLOWS.get_ptr_mut(hash)?;
    // SAFETY: an entry of the map, which stays readable while this program runs; its key never changes.
    let is_same = unsafe { (*place).key.is(connection) };
    if is_same { Some(place) } else { None }
}

/// The flow of a connection.
#[inline(always)]
pub(crate) fn of(connection: &ConnectionKey) -> Option<*mut Flow> {
    find(connection, maps::hash(connection))
}

/// Sends a segment of a flow on its way.
#[inline(always)]
pub(crate) fn forward(ctx: &XdpContext, segment: &Segment, place: *mut Flow) -> Result<Reason, Reason> {
    // SAFETY: an entry of the map, which stays readable while this program runs. Other CPUs change only fields that are read
    // and written by `flags` and volatile access below.
    let flow = unsafe { &*place };
    let state = flags::read(place);
    if state & FLOW_OPENING != 0 {
        return Reason::from_u32(opening::segment(ctx, segment, place)).ok_or(Reason::Internal);
    }
    if state & FLOW_FROM_CLIENT == 0 {
        let waits = state & FLOW_HEADER_PENDING != 0 && !opening::header_is_acknowledged(segment, place);
        if waits || segment.has(TcpHeader::SYN | TcpHeader::ACK) {
            return Ok(Reason::SpliceAnswered);
        }
    }
    let ends = closing::observe(segment, place, state);
    note(ctx, segment, place);
    translate(ctx, segment, flow)?;
    link::leave(ctx, segment.ip_at(), &flow.link)?;
    if ends {
        closing::forget(place);
    }
    Ok(if state & FLOW_FROM_CLIENT != 0 { Reason::SpliceFromClient } else { Reason::SpliceFromOrigin })
}

/// Writes down what is to be remembered of a segment.
#[inline(always)]
pub(crate) fn note(ctx: &XdpContext, segment: &Segment, place: *mut Flow) {
    let length = Packet::new(ctx).length();
    // A SYN that asks whether the connection is still there is no sign that it is.
    if segment.has(TcpHeader::ACK) {
        heard(length, segment.acknowledgement, place);
    } else {
        count(length, place);
    }
}

/// Writes down that a packet of so many bytes came, with an acknowledgement.
#[inline(always)]
pub(crate) fn heard(length: u32, acknowledgement: u32, place: *mut Flow) {
    count(length, place);
    // SAFETY: as for `forward`; a direction is handled by one CPU at a time, or the other one's word is the last.
    unsafe {
        (&raw mut (*place).seen_ns).write_volatile(maps::clock_ns());
        (&raw mut (*place).acknowledged).write_volatile(u32::from_be(acknowledgement));
    }
}

#[inline(always)]
fn count(length: u32, place: *mut Flow) {
    // SAFETY: as for `forward`; a direction is handled by one CPU at a time, or a count is lost.
    unsafe {
        let bytes = &raw mut (*place).bytes;
        bytes.write_volatile(bytes.read_volatile().wrapping_add(length.into()));
    }
}

/// Replaces whatever differs between the two connections: ends, numbers, timestamps, window; and the checksums with it. Where it
/// is, number by number: a header that is taken out whole and put back goes by way of the stack.
#[inline(always)]
fn translate(ctx: &XdpContext, segment: &Segment, flow: &Flow) -> Result<(), Reason> {
    let packet = Packet::new(ctx);
    internet(&packet, segment, flow)?;
    let tcp: &mut TcpHeader = packet.view(segment.transport_at()).ok_or(Reason::Internal)?;
    let sum = translate_header(tcp, segment.has(TcpHeader::ACK), flow);
    let has_options = segment.header_length() > TcpHeader::SIZE;
    let sum = if has_options { options::translate(ctx, segment, flow, sum)? } else { sum };
    let tcp: &mut TcpHeader = Packet::new(ctx).view(segment.transport_at()).ok_or(Reason::Internal)?;
    tcp.checksum = sum.checksum();
    Ok(())
}

/// Replaces what differs in a TCP header without its options; the sum of what the checksum covers now.
#[inline(always)]
pub(crate) fn translate_header(tcp: &mut TcpHeader, has_acknowledgement: bool, flow: &Flow) -> Sum {
    (tcp.source_port, tcp.destination_port) = (flow.source_port, flow.destination_port);
    let (sequence, acknowledgement, window) = (tcp.sequence, tcp.acknowledgement, tcp.window);
    tcp.sequence = added(sequence, flow.sequence_add);
    let mut sum = Sum::covered_by(tcp.checksum).long(flow.tcp_sum).replaced(sequence, tcp.sequence);
    if has_acknowledgement {
        tcp.acknowledgement = added(acknowledgement, flow.acknowledgement_add);
        sum = sum.replaced(acknowledgement, tcp.acknowledgement);
    }
    if flow.window_shift != 0 {
        tcp.window = shifted(window, flow.window_shift);
        sum = sum.replaced(window.into(), tcp.window.into());
    }
    sum
}

/// Replaces what differs in the IP header.
#[inline(always)]
fn internet(packet: &Packet, segment: &Segment, flow: &Flow) -> Result<(), Reason> {
    let at = segment.ip_at();
    let is_forwarded = if segment.is_v4() {
        forward_v4(packet.view(at).ok_or(Reason::Internal)?, flow)
    } else {
        forward_v6(packet.view(at).ok_or(Reason::Internal)?, flow)
    };
    is_forwarded.ok_or(Reason::SpliceExpired)
}

/// The same for IPv4; `None`, and nothing is changed, if the packet has been on the way for too long.
#[inline(always)]
pub(crate) fn forward_v4(ip: &mut Ipv4Header, flow: &Flow) -> Option<()> {
    if ip.time_to_live <= 1 {
        return None;
    }
    ip.time_to_live -= 1;
    ip.checksum = Sum::covered_by(ip.checksum).long(flow.ip_sum).checksum();
    let (Address([.., source]), Address([.., destination])) = (flow.source, flow.destination);
    (ip.source, ip.destination) = (source, destination);
    Some(())
}

/// The same for IPv6.
#[inline(always)]
pub(crate) fn forward_v6(ip: &mut Ipv6Header, flow: &Flow) -> Option<()> {
    if ip.hop_limit <= 1 {
        return None;
    }
    ip.hop_limit -= 1;
    ip.set_ends(&flow.source, &flow.destination);
    Some(())
}

/// A number in network order with something added to it.
#[inline(always)]
pub(crate) fn added(number: u32, add: u32) -> u32 {
    u32::from_be(number).wrapping_add(add).to_be()
}

/// A window in network order, in another scale; at most what the field can hold.
#[inline(always)]
pub(crate) fn shifted(window: u16, shift: i32) -> u16 {
    if shift == 0 {
        return window;
    }
    let window = u32::from(u16::from_be(window));
    let shifted = if shift > 0 { window << (shift & 15) } else { window >> (-shift & 15) };
    let largest = u32::from(u16::MAX);
    (if shifted > largest { largest } else { shifted } as u16).to_be()
}

/// Whether the client of this flow uses timestamps.
#[inline(always)]
pub(crate) fn has_timestamps(flow: &Flow) -> bool {
    flow.flags & FLOW_TIMESTAMPS != 0
}
