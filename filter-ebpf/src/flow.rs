//! Packets of spliced connections.

use aya_ebpf::{helpers::generated::bpf_ktime_get_coarse_ns, programs::XdpContext};
use filter_common::{
    Reason,
    layout::ConnectionKey,
    splice::{FLOW_FROM_CLIENT, FLOW_HEADER_PENDING, FLOW_OPENING, FLOW_TIMESTAMPS, Flow},
};

use crate::{
    closing, flags, link, maps, opening, options,
    packet::Packet,
    parse::{Segment, TcpHeader},
    sum::Sum,
};

/// Time to live, protocol and checksum are two words at this place of an IPv4 header.
const LIFE_V4: u32 = 8;
const HOP_LIMIT: u32 = 7;

/// The flow that a segment belongs to.
#[inline(always)]
pub(crate) fn of(connection: &ConnectionKey) -> Option<*mut Flow> {
    maps::FLOWS.get_ptr_mut(connection)
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
        closing::forget(&segment.connection, place);
    }
    Ok(if state & FLOW_FROM_CLIENT != 0 { Reason::SpliceFromClient } else { Reason::SpliceFromOrigin })
}

/// Writes down what is to be remembered of a segment.
#[inline(always)]
pub(crate) fn note(ctx: &XdpContext, segment: &Segment, place: *mut Flow) {
    let length = Packet::new(ctx).length();
    // SAFETY: as for `forward`; a direction is handled by one CPU at a time, or a count is lost.
    unsafe {
        let bytes = &raw mut (*place).bytes;
        bytes.write_volatile(bytes.read_volatile().wrapping_add(length.into()));
        // A SYN that asks whether the connection is still there is no sign that it is.
        if segment.has(TcpHeader::ACK) {
            (&raw mut (*place).seen_ns).write_volatile(bpf_ktime_get_coarse_ns());
            (&raw mut (*place).acknowledged).write_volatile(u32::from_be(segment.acknowledgement));
        }
    }
}

/// Replaces whatever differs between the two connections: ends, numbers, timestamps, window; and the checksums with it.
#[inline(always)]
fn translate(ctx: &XdpContext, segment: &Segment, flow: &Flow) -> Result<(), Reason> {
    let packet = Packet::new(ctx);
    let at = segment.transport_at();
    let old: TcpHeader = packet.read(at).ok_or(Reason::Internal)?;
    internet(&packet, segment, flow)?;
    let sum = Sum::covered_by(old.checksum).long(flow.tcp_sum);
    let has_options = segment.header_length() > TcpHeader::SIZE;
    let sum = if has_options { options::translate(ctx, segment, flow, sum)? } else { sum };
    let mut new = old;
    new.source_port = flow.source_port;
    new.destination_port = flow.destination_port;
    new.sequence = added(old.sequence, flow.sequence_add);
    if segment.has(TcpHeader::ACK) {
        new.acknowledgement = added(old.acknowledgement, flow.acknowledgement_add);
    }
    new.window = shifted(old.window, flow.window_shift);
    new.checksum = sum
        .replaced(old.sequence, new.sequence)
        .replaced(old.acknowledgement, new.acknowledgement)
        .replaced(old.window.into(), new.window.into())
        .checksum();
    Packet::new(ctx).write(at, new).ok_or(Reason::Internal)
}

/// Replaces what differs in the IP header.
#[inline(always)]
fn internet(packet: &Packet, segment: &Segment, flow: &Flow) -> Result<(), Reason> {
    let at = segment.ip_at();
    let life_at = at + if segment.is_v4() { LIFE_V4 } else { HOP_LIMIT };
    let life: u8 = packet.read(life_at).ok_or(Reason::Internal)?;
    if life <= 1 {
        return Err(Reason::SpliceExpired);
    }
    packet.write(life_at, life - 1).ok_or(Reason::Internal)?;
    if segment.is_v4() {
        let checksum: u16 = packet.read(at + 10).ok_or(Reason::Internal)?;
        let checksum = Sum::covered_by(checksum).long(flow.ip_sum).checksum();
        packet.write(at + 10, checksum).ok_or(Reason::Internal)?;
        let ([.., source], [.., destination]) = (flow.source.0, flow.destination.0);
        packet.write(at + 12, [source, destination]).ok_or(Reason::Internal)
    } else {
        packet.write(at + 8, flow.source.0).ok_or(Reason::Internal)?;
        packet.write(at + 24, flow.destination.0).ok_or(Reason::Internal)
    }
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
