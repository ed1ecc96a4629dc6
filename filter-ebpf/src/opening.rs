//! The beginning of a spliced connection: from the ClientHello to the origin's SYN-ACK.
//!
//! The client's first segment is kept and turned into a SYN to the origin. What the client sends until the origin answers is
//! kept (the second segment of a long ClientHello) or dropped, and the client repeats it. There are no timers here: the
//! client's repetitions make the SYN's. Whatever fails before the origin has answered leaves the connection to a worker, whom
//! the client's next repetition reaches.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_csum_diff, bpf_get_prandom_u32, bpf_ktime_get_coarse_ns, bpf_xdp_load_bytes},
    maps::LruHashMap,
    programs::XdpContext,
};
use filter_common::{
    Reason,
    layout::ConnectionKey,
    opaque, opaque_address,
    splice::{
        FLOW_FROM_CLIENT, FLOW_HEADER_PENDING, FLOW_OPENING, FLOW_PROXY_PROTOCOL, FLOW_TIMESTAMPS, Flow, HostValue,
        NO_ORIGIN, OFFERED_SCALE_MASK, OFFERED_SCALE_SHIFT, OFFERED_SELECTIVE, OFFERED_TIMESTAMPS, ORIGIN_REACHABLE,
        ORIGIN_WITHOUT_TIMESTAMPS, Origin, SLOTS, STASH_BYTES, Stash, TARGET_PROXY_PROTOCOL, slot,
    },
};

use crate::{
    answer::{self, Answer},
    claim, closing, cookie, flags, flow, link, maps,
    packet::Packet,
    parse::{Segment, TcpHeader},
    passed, proxy, reset,
    sum::Sum,
    syn,
};

/// How many SYNs an origin is sent before its client is left to a worker.
const ATTEMPTS_MAX: u32 = 4;
/// No reason's number.
const DONE: u32 = u32::MAX;

/// Opens a connection for a client's first segment, whose payload was loaded; returns the number of the reason. Each step has
/// a frame of its own: the stack is small.
#[inline(never)]
pub(crate) fn open(ctx: &XdpContext, segment: &Segment, host: &HostValue) -> u32 {
    let step = read(ctx, segment);
    if step != DONE {
        return step;
    }
    let step = fill(ctx, segment, cookie_size(segment));
    if step != DONE {
        return step;
    }
    let step = route(segment, host);
    if step != DONE {
        return step;
    }
    let step = keep_first(segment);
    if step != DONE {
        return step;
    }
    let step = claim::port(ctx, segment);
    if step != DONE {
        return step;
    }
    match flow::find(&segment.connection, segment.hash) {
        Some(place) => send_syn(ctx, segment, place, Reason::SpliceOpened),
        None => Reason::Internal.into(),
    }
}

/// A step's result, as a number: a reason to stop, or [`DONE`].
#[inline(always)]
pub(crate) fn step(result: Result<(), Reason>) -> u32 {
    match result {
        Ok(()) => DONE,
        Err(reason) => reason.into(),
    }
}

/// Puts the way to an origin of the host into the direction from the client.
#[inline(never)]
fn route(segment: &Segment, host: &HostValue) -> u32 {
    step(try_route(segment, host))
}

#[inline(always)]
fn try_route(segment: &Segment, host: &HostValue) -> Result<(), Reason> {
    let (index, proxy_protocol) = choose(segment, host.target).ok_or(Reason::SpliceNoOrigin)?;
    let origin: &Origin = maps::ORIGINS.get(index).ok_or(Reason::SpliceNoOrigin)?;
    if origin.flags & ORIGIN_REACHABLE == 0 {
        return Err(Reason::SpliceNoOrigin);
    }
    let flow = &mut maps::scratch().ok_or(Reason::Internal)?.flow;
    if flow.flags & FLOW_TIMESTAMPS != 0 && origin.flags & ORIGIN_WITHOUT_TIMESTAMPS != 0 {
        return Err(Reason::SpliceUnfit);
    }
    flow.host = host.host;
    flow.origin = index;
    copy(&origin.source.0, &mut flow.source.0);
    copy(&origin.address.0, &mut flow.destination.0);
    flow.destination_port = origin.port;
    flow.link.interface = origin.link.interface;
    copy(&origin.link.macs, &mut flow.link.macs);
    copy(&origin.link.tags, &mut flow.link.tags);
    flow.link.tag_count = origin.link.tag_count;
    if proxy_protocol {
        flow.flags |= FLOW_PROXY_PROTOCOL;
        flow.sequence_add = flow.sequence_add.wrapping_add(proxy::header_size(segment.is_v4()));
    }
    Ok(())
}

/// Copies words one by one: LLVM would call memmove for all of them.
#[inline(always)]
pub(crate) fn copy<const N: usize>(from: &[u32; N], to: &mut [u32; N]) {
    for (from, to) in from.iter().zip(to) {
        // SAFETY: both are references. Volatile, or LLVM puts the loop together again.
        unsafe { (&raw mut *to).write_volatile((&raw const *from).read_volatile()) };
    }
}

/// The origin for a client: its index, and whether it expects a header.
#[inline(always)]
fn choose(segment: &Segment, target: u32) -> Option<(u32, bool)> {
    let target = maps::TARGETS.get_ptr(target)?;
    // For the verifier, which must see the very register compared that the place is computed from; LLVM knows.
    let slot = opaque_address(slot(&segment.connection) as usize);
    if slot >= SLOTS {
        return None;
    }
    // SAFETY: an entry of the map, which stays readable while this program runs; the slot was checked.
    let (index, flags) = unsafe {
        let table: *const u16 =
            if segment.is_v4() { (&raw const (*target).v4).cast() } else { (&raw const (*target).v6).cast() };
        (table.add(slot).read(), (*target).flags)
    };
    if index == NO_ORIGIN { None } else { Some((index.into(), flags & TARGET_PROXY_PROTOCOL != 0)) }
}

/// Reads the options of the client's segment.
#[inline(never)]
fn read(ctx: &XdpContext, segment: &Segment) -> u32 {
    if segment.payload_length() > STASH_BYTES as u32 {
        return Reason::SpliceUnfit.into();
    }
    step(cookie::load_headers(ctx, segment).and_then(|size| syn::read_offer(size).map(drop)))
}

/// The segment size that the client's SYN announced.
#[inline(never)]
fn cookie_size(segment: &Segment) -> u32 {
    maps::CONFIG.get(0).map_or(0, |config| cookie::segment_size(segment, config))
}

/// Puts into the work area what follows from the client's segment: the direction from the client, without origin and port.
#[inline(never)]
fn fill(ctx: &XdpContext, segment: &Segment, segment_size: u32) -> u32 {
    step(try_fill(ctx, segment, segment_size))
}

#[inline(always)]
fn try_fill(ctx: &XdpContext, segment: &Segment, segment_size: u32) -> Result<(), Reason> {
    let scratch = maps::scratch().ok_or(Reason::Internal)?;
    let offer = &scratch.offer;
    // SAFETY: the helpers take nothing and touch nothing.
    let (now, isn) = unsafe { (bpf_ktime_get_coarse_ns(), bpf_get_prandom_u32()) };
    let sequence = u32::from_be(segment.sequence);
    let timestamp = u32::from_be(offer.timestamp);
    let has_timestamps = offer.has_timestamp != 0;
    // What the SYN offered is in the timestamp that came back, where the SYN-ACK put it.
    let echo = if has_timestamps { u32::from_be(offer.echo) } else { syn::NO_WINDOW_SCALE };
    let scale = echo & OFFERED_SCALE_MASK;
    let scale =
        if scale == syn::NO_WINDOW_SCALE || scale <= syn::WINDOW_SCALE_MAX { scale } else { syn::WINDOW_SCALE_MAX };
    let selective = if echo & syn::SELECTIVE_ACKNOWLEDGEMENT != 0 { OFFERED_SELECTIVE } else { 0 };
    let (state, timestamps) = if has_timestamps { (FLOW_TIMESTAMPS, OFFERED_TIMESTAMPS) } else { (0, 0) };
    let flow = &mut scratch.flow;
    flow.opened_ns = now;
    flow.seen_ns = now;
    flow.bytes = Packet::new(ctx).length().into();
    flow.sequence_add = isn.wrapping_add(1).wrapping_sub(sequence);
    flow.acknowledgement_add = 0;
    // Our own clock, so that the origin does not take this for an old segment of the port's last connection.
    flow.timestamp_add = ((now / 1_000_000) as u32).wrapping_sub(timestamp);
    flow.echo_add = 0;
    flow.echo_floor = 0;
    flow.window_shift = 0;
    flow.flags = FLOW_FROM_CLIENT | FLOW_OPENING | state;
    flow.acknowledged = u32::from_be(segment.acknowledgement);
    flow.fin_acknowledgement = 0;
    flow.first_sequence = sequence;
    flow.peer_first_sequence = 0;
    flow.first_timestamp = timestamp;
    flow.offered = segment_size & 0xffff | scale << OFFERED_SCALE_SHIFT | selective | timestamps;
    flow.attempts = 1;
    Ok(())
}

#[inline(never)]
fn keep_first(segment: &Segment) -> u32 {
    step(stash(segment, &maps::STASH))
}

/// Keeps a segment's payload, which is in the work area, for the origin. So are its headers.
#[inline(always)]
fn stash(segment: &Segment, map: &LruHashMap<ConnectionKey, Stash>) -> Result<(), Reason> {
    let scratch = maps::scratch().ok_or(Reason::Internal)?;
    let header_size = (opaque(segment.header_length().wrapping_sub(TcpHeader::SIZE)) & 0x3c) + TcpHeader::SIZE;
    let header = scratch.tcp.as_mut_ptr();
    // SAFETY: the buffer holds the longest header, which the size does not exceed.
    let header_sum = unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, header.cast(), header_size, 0) };
    let window = maps::tcp_word(&scratch.tcp, 14).to_ne_bytes();
    let stash = &mut scratch.stash;
    stash.sequence = u32::from_be(segment.sequence);
    stash.length = segment.payload_length();
    // What is missing in a right checksum: payloads are never summed up, and one that was corrupted stays so.
    let transport_size = header_size + stash.length;
    let sum = Sum::of_pseudo_header(&segment.connection, transport_size).long(header_sum as u32);
    stash.sum = sum.checksum().into();
    stash.window = u16::from_be_bytes([window[0], window[1]]).into();
    map.insert(&segment.connection, &*stash, 0).map_err(|_| Reason::SpliceNoRoom)
}

/// Turns the client's segment into a SYN to the origin, and sends it. In a frame of its own: the stack is small.
#[inline(never)]
fn send_syn(ctx: &XdpContext, segment: &Segment, place: *mut Flow, reason: Reason) -> u32 {
    match try_send_syn(ctx, segment, place) {
        Ok(()) => reason.into(),
        Err(reason) => reason.into(),
    }
}

#[inline(always)]
fn try_send_syn(ctx: &XdpContext, segment: &Segment, place: *mut Flow) -> Result<(), Reason> {
    // SAFETY: an entry of the map of flows; what is read of it here does not change.
    let flow = unsafe { &*place };
    let header: TcpHeader = Packet::new(ctx).read(segment.transport_at()).ok_or(Reason::Internal)?;
    let scale = flow.offered >> OFFERED_SCALE_SHIFT & OFFERED_SCALE_MASK;
    let has_scale = scale != syn::NO_WINDOW_SCALE;
    let said = Answer {
        sequence: first_sequence(flow, segment.is_v4()).wrapping_sub(1).to_be(),
        acknowledgement: 0,
        flags: TcpHeader::SYN,
        // The one of a SYN has no scale.
        window: flow::shifted(header.window, if has_scale { scale as i32 } else { 0 }),
    };
    let ends = claim::ends(flow);
    let segment_size = (0x0204_0000 | flow.offered & 0xffff).to_be();
    if flow::has_timestamps(flow) {
        let options = [
            segment_size,
            u32::from_ne_bytes(syn::selective_acknowledgement_and_timestamp(flow.offered & OFFERED_SELECTIVE != 0)),
            flow.first_timestamp.wrapping_add(flow.timestamp_add).to_be(),
            0,
            u32::from_ne_bytes(if has_scale { [1, 3, 3, scale as u8] } else { [1; 4] }),
        ];
        answer::replace(ctx, segment, &ends, &said, options)?;
    } else {
        answer::replace(ctx, segment, &ends, &said, [segment_size])?;
    }
    link::leave(ctx, segment.ip_at(), &flow.link)
}

/// Whether the origin has not answered yet.
#[inline(always)]
pub(crate) fn is_opening(place: *mut Flow) -> bool {
    flags::read(place) & FLOW_OPENING != 0
}

/// The sequence number of the first byte to the origin: of the header, if it expects one.
#[inline(always)]
pub(crate) fn first_sequence(from_client: &Flow, is_v4: bool) -> u32 {
    let first = from_client.first_sequence.wrapping_add(from_client.sequence_add);
    let has_header = from_client.flags & FLOW_PROXY_PROTOCOL != 0;
    if has_header { first.wrapping_sub(proxy::header_size(is_v4)) } else { first }
}

/// Whether the origin has acknowledged its PROXY protocol header.
#[inline(always)]
pub(crate) fn header_is_acknowledged(segment: &Segment, from_origin: *mut Flow) -> bool {
    // SAFETY: an entry of the map of flows; these fields do not change.
    let (add, first) = unsafe { ((*from_origin).acknowledgement_add, (*from_origin).peer_first_sequence) };
    let acknowledged = u32::from_be(segment.acknowledgement).wrapping_add(add);
    let is = acknowledged.wrapping_sub(first) as i32 >= 0;
    if is {
        flags::clear(from_origin, FLOW_HEADER_PENDING);
    }
    is
}

/// Decides about a segment of a connection that the origin has not answered yet; returns the number of the reason. Steps have frames of
/// their own beside each other, not within each other: the stack is small.
#[inline(always)]
pub(crate) fn segment(ctx: &XdpContext, segment: &Segment, place: *mut Flow) -> u32 {
    let step = judge(ctx, segment, place);
    if step == DONE { send_syn(ctx, segment, place, Reason::SpliceRetried) } else { step }
}

/// The reason of a segment, or [`DONE`] if the origin is to be sent another SYN.
#[inline(never)]
fn judge(ctx: &XdpContext, segment: &Segment, place: *mut Flow) -> u32 {
    if flags::read(place) & FLOW_FROM_CLIENT != 0 {
        from_client(ctx, segment, place)
    } else {
        from_origin(ctx, segment, place).into()
    }
}

#[inline(always)]
fn from_client(ctx: &XdpContext, segment: &Segment, place: *mut Flow) -> u32 {
    // SAFETY: an entry of the map of flows; a direction is handled by one CPU at a time.
    let (first, attempts) = unsafe { ((*place).first_sequence, (&raw const (*place).attempts).read_volatile()) };
    let offset = u32::from_be(segment.sequence).wrapping_sub(first);
    if segment.has(TcpHeader::RST) {
        if offset <= STASH_BYTES as u32 * 2 {
            closing::forget(place);
        }
        return Reason::SpliceHeld.into();
    }
    if segment.payload_length() == 0 || segment.has(TcpHeader::SYN) {
        return Reason::SpliceHeld.into();
    }
    if offset != 0 {
        // What comes too early and is not kept, the client repeats.
        keep_second(ctx, segment, offset);
        return Reason::SpliceHeld.into();
    }
    if attempts >= ATTEMPTS_MAX {
        give_up(segment.hash, place);
        return Reason::SpliceNoOrigin.into();
    }
    // SAFETY: as above.
    unsafe { (&raw mut (*place).attempts).write_volatile(attempts + 1) };
    flow::note(ctx, segment, place);
    DONE
}

/// Keeps the second segment, if it follows the first; in a frame of its own.
#[inline(never)]
fn keep_second(ctx: &XdpContext, segment: &Segment, offset: u32) -> u32 {
    u32::from(try_keep_second(ctx, segment, offset).is_ok())
}

#[inline(always)]
fn try_keep_second(ctx: &XdpContext, segment: &Segment, offset: u32) -> Result<(), Reason> {
    let first = maps::STASH.get_ptr(&segment.connection).ok_or(Reason::Internal)?;
    // SAFETY: an entry of the map, which stays readable while this program runs.
    let length = unsafe { (*first).length };
    if offset != length || segment.payload_length() > STASH_BYTES as u32 {
        return Err(Reason::SpliceHeld);
    }
    cookie::load_headers(ctx, segment)?;
    let scratch = maps::scratch().ok_or(Reason::Internal)?;
    // For the verifier: between 1 and the size of the buffer.
    let length = (opaque(segment.payload_length().wrapping_sub(1)) & (STASH_BYTES as u32 - 1)) + 1;
    let bytes = scratch.stash.bytes.as_mut_ptr();
    // SAFETY: `ctx` is the program's own context, and the buffer holds `length` bytes.
    if unsafe { bpf_xdp_load_bytes(ctx.as_ptr().cast(), segment.payload_at(), bytes.cast(), length) } != 0 {
        return Err(Reason::Internal);
    }
    stash(segment, &maps::STASH_SECOND)
}

#[inline(always)]
fn from_origin(ctx: &XdpContext, segment: &Segment, place: *mut Flow) -> Reason {
    // SAFETY: an entry of the map of flows; what was acknowledged does not change before the origin has answered.
    let expected = unsafe { (&raw const (*place).acknowledged).read_volatile() };
    let answers = segment.has(TcpHeader::ACK) && u32::from_be(segment.acknowledgement) == expected;
    if segment.has(TcpHeader::RST) {
        if answers {
            give_up(maps::hash(&closing::peer_key(place)), place);
        }
        return Reason::SpliceRefused;
    }
    if answers && segment.has(TcpHeader::SYN) {
        return Reason::SpliceAnswered;
    }
    if !segment.has(TcpHeader::ACK) {
        return Reason::SpliceHeld;
    }
    // The port's last connection is still there at the origin: a reset ends it, and the next SYN finds it gone.
    Reason::from_u32(reset::answer_unverified(ctx, segment)).unwrap_or(Reason::Internal)
}

/// Leaves the connection, by the hash of what its client sends, to a worker.
#[inline(always)]
pub(crate) fn give_up(from_client: u64, place: *mut Flow) {
    closing::forget(place);
    passed::remember(from_client);
}
