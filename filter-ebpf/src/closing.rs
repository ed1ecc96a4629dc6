//! The end of spliced connections: two FINs that are acknowledged, or a RST that the receiver would believe.

use filter_common::{
    layout::ConnectionKey,
    splice::{FLOW_CLOSING, FLOW_FROM_CLIENT, FLOW_PEER_FIN, FLOW_PEER_FIN_ACKNOWLEDGED, Flow, HostCounter},
};

use crate::{
    flags, flow, maps,
    parse::{Segment, TcpHeader},
};

/// How far in front of what the receiver has acknowledged a RST may be. Receivers take one at exactly that place (RFC 5961);
/// older ones take it anywhere in their window.
const RESET_WINDOW: u32 = 65_536;

/// Notes what a segment means for the end of its connection. True: with this segment it is over.
#[inline(always)]
pub(crate) fn observe(segment: &Segment, place: *mut Flow, state: u64) -> bool {
    if segment.flags(TcpHeader::FIN | TcpHeader::RST) == 0 {
        // Most segments end here.
        return state & FLOW_PEER_FIN != 0 && acknowledges_fin(segment, place, state);
    }
    if segment.has(TcpHeader::RST) {
        return is_believed(segment, place);
    }
    note_fin(segment, place);
    state & FLOW_PEER_FIN != 0 && acknowledges_fin(segment, place, state)
}

/// Key of the other direction.
#[inline(always)]
pub(crate) fn peer_key(place: *mut Flow) -> ConnectionKey {
    // SAFETY: an entry of the map of flows; its ends never change.
    let flow = unsafe { &*place };
    ConnectionKey {
        client: flow.destination,
        edge: flow.source,
        client_port: flow.destination_port,
        edge_port: flow.source_port,
    }
}

/// The other direction.
#[inline(always)]
pub(crate) fn peer(place: *mut Flow) -> Option<*mut Flow> {
    flow::of(&peer_key(place))
}

/// Takes both directions out of the table and counts what went over them. One CPU at a time gets to do so.
#[inline(never)]
pub(crate) fn forget(place: *mut Flow) {
    let peer_key = peer_key(place);
    let peer_hash = maps::hash(&peer_key);
    let peer = flow::find(&peer_key, peer_hash);
    // SAFETY: entries of the map of flows, which stay readable while this program runs.
    let (hash, host, bytes, peer_bytes, is_client) = unsafe {
        let flow = &*place;
        let peer_bytes = peer.map_or(0, |peer| (&raw const (*peer).bytes).read_volatile());
        let hash = maps::hash(&flow.key);
        (hash, flow.host, (&raw const (*place).bytes).read_volatile(), peer_bytes, flow.flags & FLOW_FROM_CLIENT != 0)
    };
    if maps::FLOWS.remove(hash).is_err() {
        return;
    }
    if peer.is_some() {
        let _ = maps::FLOWS.remove(peer_hash);
    }
    let (from_client, from_origin) = if is_client { (bytes, peer_bytes) } else { (peer_bytes, bytes) };
    count(host, |counter| {
        counter.closed = counter.closed.wrapping_add(1);
        counter.from_clients = counter.from_clients.wrapping_add(from_client);
        counter.from_origins = counter.from_origins.wrapping_add(from_origin);
    });
}

/// Changes the counter of a host on this CPU.
#[inline(always)]
pub(crate) fn count(host: u32, change: impl FnOnce(&mut HostCounter)) {
    let counter = maps::HOST_COUNTERS.get_ptr_mut(host).or_else(|| {
        let nothing = &maps::scratch()?.no_counter;
        let _ = maps::HOST_COUNTERS.insert(host, nothing, 0);
        maps::HOST_COUNTERS.get_ptr_mut(host)
    });
    if let Some(counter) = counter {
        // SAFETY: this CPU's own value, and XDP is not interrupted by another packet here.
        change(unsafe { &mut *counter });
    }
}

/// Tells the other direction where this one's FIN is.
#[inline(never)]
fn note_fin(segment: &Segment, place: *mut Flow) {
    let Some(peer) = peer(place) else { return };
    let end = u32::from_be(segment.sequence).wrapping_add(segment.payload_length()).wrapping_add(1);
    // SAFETY: entries of the map of flows.
    unsafe {
        let end = end.wrapping_add((*place).sequence_add);
        (&raw mut (*peer).fin_acknowledgement).write_volatile(end);
    }
    flags::set(peer, FLOW_PEER_FIN);
}

/// Whether both ends' FINs are acknowledged now.
#[inline(always)]
fn acknowledges_fin(segment: &Segment, place: *mut Flow, state: u64) -> bool {
    // SAFETY: an entry of the map of flows.
    let fin = unsafe { (&raw const (*place).fin_acknowledgement).read_volatile() };
    let acknowledged = u32::from_be(segment.acknowledgement);
    if !segment.has(TcpHeader::ACK) || acknowledged.wrapping_sub(fin) > RESET_WINDOW {
        return false;
    }
    if state & FLOW_PEER_FIN_ACKNOWLEDGED == 0 {
        flags::set(place, FLOW_PEER_FIN_ACKNOWLEDGED | FLOW_CLOSING);
    }
    peer(place).is_none_or(|peer| flags::read(peer) & FLOW_PEER_FIN_ACKNOWLEDGED != 0)
}

/// Whether the receiver of a RST takes it for one.
#[inline(never)]
fn is_believed(segment: &Segment, place: *mut Flow) -> bool {
    let Some(peer) = peer(place) else { return true };
    // SAFETY: entries of the map of flows.
    let (expected, sequence) = unsafe {
        let expected = (&raw const (*peer).acknowledged).read_volatile();
        (expected, u32::from_be(segment.sequence).wrapping_add((*place).sequence_add))
    };
    sequence.wrapping_sub(expected) < RESET_WINDOW
}
