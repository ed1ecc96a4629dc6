//! The origin's SYN-ACK, turned into what the client said to it.
//!
//! XDP passes those answers on to here, because a packet of XDP can rarely grow: the few bytes of a SYN-ACK become the PROXY
//! protocol header, the ClientHello and the segment behind it, each in a copy of its own. The answer itself goes no further.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{
        bpf_clone_redirect, bpf_csum_diff, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_pull_data,
        bpf_skb_store_bytes,
    },
    maps::LruHashMap,
    programs::TcContext,
};
use filter_common::{
    hello,
    layout::{Config, ConnectionKey},
    opaque, opaque_mut,
    splice::{
        FLOW_FROM_CLIENT, FLOW_HEADER_PENDING, FLOW_OPENING, FLOW_PROXY_PROTOCOL, FLOW_STRIP_SELECTIVE, Flow,
        OFFERED_SCALE_MASK, OFFERED_SCALE_SHIFT, OFFERED_SELECTIVE, ORIGIN_WITHOUT_TIMESTAMPS, STASH_BYTES, Stash,
    },
};

use crate::{
    answer::{self, Answer, Payload, Place},
    closing, flags, flow, maps, opening,
    packet::Packet,
    parse::{IpProtocol, Segment, TcpHeader},
    proxy, syn,
};

/// Announced with what is said for a client whose own words were lost meanwhile: enough to go on with.
const WINDOW: u32 = 0x1000;
const NOTHING_AND_TIMESTAMPS: u32 = u32::from_ne_bytes([1, 1, 8, 10]);

/// Answers an origin for its client. `None`: not an answer that is waited for.
#[inline(always)]
pub(crate) fn answer(ctx: &TcContext) -> Option<()> {
    let packet = linear(ctx, 0)?;
    let segment = &mut maps::scratch()?.segment;
    if segment.read(&packet).ok()? != IpProtocol::TCP {
        return None;
    }
    let segment = opaque_mut(segment);
    segment.read_ports(&packet).ok()?;
    segment.read_tcp(&packet).ok()?;
    let segment: &Segment = opaque_mut(segment);
    let from_origin = flow::find(&segment.connection, segment.hash)?;
    let from_client = closing::peer(from_origin)?;
    let state = flags::read(from_origin);
    if state & FLOW_FROM_CLIENT != 0 || !segment.has(TcpHeader::ACK) {
        return None;
    }
    if segment.has(TcpHeader::SYN) {
        learn(ctx, segment, from_client, from_origin, state)?;
    } else if state & FLOW_HEADER_PENDING == 0 || state & FLOW_OPENING != 0 {
        return None;
    }
    answer::ethernet(&linear(ctx, 0)?)?;
    say(ctx, from_client, from_origin, segment.has(TcpHeader::SYN))
}

/// The packet, of which at least so many bytes can be read and written.
#[inline(always)]
fn linear(ctx: &TcContext, size: u32) -> Option<Packet> {
    // SAFETY: the program's own context. Pointers into the packet are made after this.
    if unsafe { bpf_skb_pull_data(ctx.skb.skb, size) } != 0 {
        return None;
    }
    Some(Packet::between(ctx.data(), ctx.data_end()))
}

/// Takes from a SYN-ACK what both directions need to know.
#[inline(always)]
fn learn(ctx: &TcContext, segment: &Segment, from_client: *mut Flow, from_origin: *mut Flow, state: u64) -> Option<()> {
    let first = u32::from_be(segment.sequence).wrapping_add(1);
    // SAFETY: entries of the map of flows; nobody else writes these fields while the flows are opening.
    let (client, origin) = unsafe { (&mut *from_client, &mut *from_origin) };
    if state & FLOW_OPENING == 0 {
        // Our answer was lost; the origin repeats itself.
        return if first == origin.first_sequence { Some(()) } else { None };
    }
    if u32::from_be(segment.acknowledgement) != origin.acknowledged {
        return None;
    }
    let offer = offered(ctx, segment)?;
    if flow::has_timestamps(client) && offer.has_timestamp == 0 {
        unfit(client, from_origin);
        return None;
    }
    let config: &Config = maps::CONFIG.get(0)?;
    let timestamp = u32::from_be(offer.timestamp);
    client.acknowledgement_add = first.wrapping_sub(client.acknowledged);
    origin.sequence_add = client.acknowledgement_add.wrapping_neg();
    origin.first_sequence = first;
    client.peer_first_sequence = first;
    origin.first_timestamp = timestamp;
    // The client's clock of us goes on from the SYN-ACK that it got: it is the same clock.
    origin.timestamp_add = syn::milliseconds(syn::now_ns()).wrapping_sub(timestamp);
    client.echo_add = origin.timestamp_add.wrapping_neg();
    client.echo_floor = timestamp;
    let scale = client.offered >> OFFERED_SCALE_SHIFT & OFFERED_SCALE_MASK;
    if scale != syn::NO_WINDOW_SCALE {
        let has_scale = offer.window_scale != syn::NO_WINDOW_SCALE;
        let theirs = if has_scale { offer.window_scale } else { 0 };
        origin.window_shift = theirs as i32 - config.window_scale as i32;
        client.window_shift = if has_scale { 0 } else { scale as i32 };
    }
    if client.offered & OFFERED_SELECTIVE != 0 && offer.has_selective_acknowledgement == 0 {
        flags::set(from_client, FLOW_STRIP_SELECTIVE);
    }
    flags::clear(from_origin, FLOW_OPENING);
    flags::clear(from_client, FLOW_OPENING);
    Some(())
}

/// The options of a SYN-ACK.
#[inline(always)]
fn offered(ctx: &TcContext, segment: &Segment) -> Option<&'static syn::Offer> {
    let tcp = maps::scratch()?.tcp.as_mut_ptr();
    // For the verifier: between 20 and the size of the buffer.
    let size = (opaque(segment.header_length().wrapping_sub(TcpHeader::SIZE)) & 0x3c) + TcpHeader::SIZE;
    // SAFETY: the program's own context; the buffer holds the longest header.
    if unsafe { bpf_skb_load_bytes(ctx.as_ptr(), segment.transport_at(), tcp.cast(), size) } != 0 {
        return None;
    }
    syn::read_offer(size).ok()
}

/// The client has timestamps and its origin has not: remembered of the origin, and the connection is a worker's. The SYN-ACK
/// goes on to the kernel, which knows of no such connection and resets it.
#[inline(always)]
fn unfit(client: &Flow, from_origin: *mut Flow) {
    if let Some(origin) = maps::ORIGINS.get_ptr_mut(client.origin) {
        // SAFETY: an entry of the array; userspace and this program write the same flag.
        unsafe {
            // Not another one that has its index since.
            if (*origin).address == client.destination && (*origin).port == client.destination_port {
                (*origin).flags |= ORIGIN_WITHOUT_TIMESTAMPS;
            }
        }
    }
    opening::give_up(maps::hash(&closing::peer_key(from_origin)), from_origin);
}

/// Sends to the origin what is kept for it: everything after a SYN-ACK, else the header.
#[inline(always)]
fn say(ctx: &TcContext, from_client: *mut Flow, from_origin: *mut Flow, everything: bool) -> Option<()> {
    // SAFETY: an entry of the map of flows; what is read of it here does not change any more.
    let client = unsafe { &*from_client };
    let is_v4 = maps::segment().ok()?.is_v4();
    let key = closing::peer_key(from_origin);
    if client.flags & FLOW_PROXY_PROTOCOL != 0 {
        let stash = &mut maps::scratch()?.stash;
        proxy::write(&mut stash.bytes, &key, is_v4);
        let size = proxy::header_size(is_v4);
        // SAFETY: the buffer is far longer than the header.
        let sum = unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, stash.bytes.as_mut_ptr().cast(), size, 0) };
        stash.sequence = client.first_sequence.wrapping_sub(size);
        stash.length = size;
        stash.sum = sum as u32;
        stash.window = WINDOW;
        send(ctx, from_client, &raw mut maps::scratch()?.stash);
    }
    if !everything {
        return Some(());
    }
    if replay(ctx, from_client, &key, &maps::STASH).is_none() {
        let stash = &mut maps::scratch()?.stash;
        stash.sequence = client.first_sequence;
        stash.length = 0;
        stash.sum = 0;
        stash.window = WINDOW;
        send(ctx, from_client, &raw mut maps::scratch()?.stash);
        return Some(());
    }
    let _ = replay(ctx, from_client, &key, &maps::STASH_SECOND);
    Some(())
}

#[inline(always)]
fn replay(
    ctx: &TcContext,
    from_client: *mut Flow,
    client: &ConnectionKey,
    map: &LruHashMap<ConnectionKey, Stash>,
) -> Option<()> {
    let stash = map.get_ptr_mut(client)?;
    // SAFETY: an entry of the map, which stays readable while this program runs.
    let (sequence, first) = unsafe { ((*stash).sequence, (*from_client).first_sequence) };
    // What is kept of the last connection from the same port is not this one's.
    if sequence.wrapping_sub(first) > STASH_BYTES as u32 {
        return None;
    }
    send(ctx, from_client, stash);
    Some(())
}

/// Sends one segment to the origin, in a copy of this packet.
#[inline(never)]
fn send(ctx: &TcContext, from_client: *mut Flow, stash: *mut Stash) -> u32 {
    // SAFETY: entries of maps, which stay readable while this program runs.
    u32::from(unsafe { try_send(ctx, &*from_client, &mut *stash) }.is_some())
}

#[inline(always)]
fn try_send(ctx: &TcContext, client: &Flow, stash: &mut Stash) -> Option<()> {
    let segment = maps::segment().ok()?;
    let place = Place { ip_at: segment.ip_at(), is_v4: segment.is_v4() };
    let length = stash.length;
    if length > STASH_BYTES as u32 {
        return None;
    }
    let said = Answer {
        sequence: stash.sequence.wrapping_add(client.sequence_add).to_be(),
        acknowledgement: client.peer_first_sequence.to_be(),
        flags: TcpHeader::ACK | if length > 0 { TcpHeader::PSH } else { 0 },
        window: flow::shifted((stash.window as u16).to_be(), client.window_shift),
    };
    let ends = ConnectionKey {
        client: client.source,
        edge: client.destination,
        client_port: client.source_port,
        edge_port: client.destination_port,
    };
    let payload = Payload { length, sum: stash.sum };
    let ip_size = if place.is_v4 { 20 } else { 40 };
    let options_size = if flow::has_timestamps(client) { 12 } else { 0 };
    let header_size = place.ip_at + ip_size + TcpHeader::SIZE + options_size;
    // SAFETY: the program's own context. Pointers into the packet are made after this.
    if unsafe { bpf_skb_change_tail(ctx.skb.skb, header_size + length, 0) } != 0 {
        return None;
    }
    let packet = linear(ctx, header_size + length)?;
    let payload_at = if flow::has_timestamps(client) {
        let timestamp = client.first_timestamp.wrapping_add(client.timestamp_add);
        let options = [NOTHING_AND_TIMESTAMPS, timestamp.to_be(), client.echo_floor.to_be()];
        answer::write(&packet, &place, &ends, &said, options, &payload)?
    } else {
        answer::write(&packet, &place, &ends, &said, [], &payload)?
    };
    if length > 0 {
        put(ctx, payload_at, &mut stash.bytes, length)?;
    }
    // SAFETY: the program's own context; the interface is the one that the answer came by.
    let sent = unsafe { bpf_clone_redirect(ctx.skb.skb, (*ctx.skb.skb).ifindex, 0) };
    if sent == 0 { Some(()) } else { None }
}

#[inline(always)]
fn put(ctx: &TcContext, at: u32, bytes: &mut hello::Bytes, length: u32) -> Option<()> {
    // For the verifier: between 1 and the size of the buffer.
    let length = (opaque(length.wrapping_sub(1)) & (STASH_BYTES as u32 - 1)) + 1;
    // SAFETY: the program's own context; the buffer holds `length` bytes.
    let put = unsafe { bpf_skb_store_bytes(ctx.skb.skb, at, bytes.as_mut_ptr().cast(), length, 0) };
    if put == 0 { Some(()) } else { None }
}
