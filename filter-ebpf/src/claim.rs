//! Making a place for a spliced connection: a port of the edge towards the origin, and an entry for each direction.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::generated::{bpf_get_prandom_u32, bpf_get_smp_processor_id},
    programs::XdpContext,
};
use filter_common::{
    Reason,
    layout::{Config, ConnectionKey},
    splice::{FLOW_FROM_CLIENT, FLOW_HEADER_PENDING, FLOW_PROXY_PROTOCOL, Flow},
};

use crate::{answer, closing, flow, link, maps, opening, parse::Segment, sum::Sum};

/// How many ports are tried.
const ATTEMPTS: u32 = 8;
/// The kernel's number for an entry that is there already.
const E_EXIST: i32 = -17;
/// A step of the time to live, as it is in memory.
const LIFE_STEP: u16 = u16::from_ne_bytes([1, 0]);

/// Puts both directions into the map, for the direction from the client that is in the work area.
#[inline(always)]
pub(crate) fn port(ctx: &XdpContext, segment: &Segment) -> u32 {
    fill_back(ctx, segment);
    insert(segment)
}

#[inline(never)]
fn insert(segment: &Segment) -> u32 {
    opening::step(try_insert(segment))
}

#[inline(always)]
fn try_insert(segment: &Segment) -> Result<(), Reason> {
    let config: &Config = maps::CONFIG.get(0).ok_or(Reason::Internal)?;
    let scratch = maps::scratch().ok_or(Reason::Internal)?;
    let (flow, back, key) = (&mut scratch.flow, &mut scratch.back, &mut scratch.origin_key);
    let (sum, back_sum) = (Sum::from(flow.tcp_sum), Sum::from(back.tcp_sum));
    for _ in 0..ATTEMPTS {
        let port = next_port(&mut scratch.port_cursor, config).ok_or(Reason::SpliceNoRoom)?;
        (key.edge_port, back.key.edge_port) = (port, port);
        let back_hash = config.tuple_hash.of(key);
        back.tcp_sum = back_sum.replaced(port.into(), 0).folded();
        match maps::FLOWS.insert(back_hash, &*back, u64::from(BPF_NOEXIST)) {
            Ok(()) => {
                flow.source_port = port;
                flow.tcp_sum = sum.replaced(0, port.into()).folded();
                if maps::FLOWS.insert(segment.hash, &*flow, u64::from(BPF_NOEXIST)).is_err() {
                    let _ = maps::FLOWS.remove(back_hash);
                    // The same segment came twice, to two CPUs, and the other one was faster; else the table is full, or the place
                    // is another connection's with the same hash.
                    let is_there = flow::find(&segment.connection, segment.hash).is_some();
                    return Err(if is_there { Reason::SpliceHeld } else { Reason::SpliceNoRoom });
                }
                closing::count(flow.host, |counter| counter.opened = counter.opened.wrapping_add(1));
                return Ok(());
            }
            Err(E_EXIST) => {}
            Err(_) => return Err(Reason::SpliceNoRoom),
        }
    }
    Err(Reason::SpliceNoRoom)
}

/// The direction from the origin, as far as it is known before the origin answers, and what both have in common.
#[inline(never)]
fn fill_back(ctx: &XdpContext, segment: &Segment) -> u32 {
    u32::from(try_fill_back(ctx, segment).is_some())
}

#[inline(always)]
fn try_fill_back(ctx: &XdpContext, segment: &Segment) -> Option<()> {
    let link = link::back(ctx, segment.ip_at())?;
    let scratch = maps::scratch()?;
    let (flow, back, key) = (&mut scratch.flow, &mut scratch.back, &mut scratch.origin_key);
    let client = &segment.connection;
    // Of what the origin sends; the port is still missing, here and in the sums.
    flow.source_port = 0;
    *key = answer::reverse(&ends(flow));
    flow.ip_sum = ip_sum(client, &ends(flow));
    flow.tcp_sum = Sum::ZERO.replaced_ends(client, &ends(flow)).folded();
    copy_key(client, &mut flow.key);
    copy_key(key, &mut back.key);
    back.opened_ns = flow.opened_ns;
    back.seen_ns = flow.seen_ns;
    back.bytes = 0;
    back.source = client.edge;
    back.destination = client.client;
    back.source_port = client.edge_port;
    back.destination_port = client.client_port;
    back.link = link;
    back.ip_sum = ip_sum(key, &answer::reverse(client));
    back.tcp_sum = Sum::ZERO.replaced_ends(key, &answer::reverse(client)).folded();
    back.sequence_add = 0;
    back.acknowledgement_add = flow.sequence_add.wrapping_neg();
    back.timestamp_add = 0;
    back.echo_add = flow.timestamp_add.wrapping_neg();
    back.echo_floor = flow.first_timestamp;
    back.window_shift = 0;
    let pending = if flow.flags & FLOW_PROXY_PROTOCOL != 0 { FLOW_HEADER_PENDING } else { 0 };
    back.flags = flow.flags & !FLOW_FROM_CLIENT | pending;
    // The SYN's acknowledgement.
    back.acknowledged = opening::first_sequence(flow, segment.is_v4());
    back.fin_acknowledgement = 0;
    back.first_sequence = 0;
    back.peer_first_sequence = flow.first_sequence;
    back.first_timestamp = 0;
    back.offered = flow.offered;
    back.attempts = 0;
    back.host = flow.host;
    back.origin = flow.origin;
    Some(())
}

#[inline(always)]
fn copy_key(from: &ConnectionKey, to: &mut ConnectionKey) {
    opening::copy(&from.client.0, &mut to.client.0);
    opening::copy(&from.edge.0, &mut to.edge.0);
    (to.client_port, to.edge_port) = (from.client_port, from.edge_port);
}

/// What a flow's packets are sent from and to.
#[inline(always)]
pub(crate) fn ends(flow: &Flow) -> ConnectionKey {
    ConnectionKey {
        client: flow.source,
        edge: flow.destination,
        client_port: flow.source_port,
        edge_port: flow.destination_port,
    }
}

#[inline(always)]
fn ip_sum(old: &ConnectionKey, new: &ConnectionKey) -> u32 {
    Sum::ZERO
        .replaced_address(old.client, new.client)
        .replaced_address(old.edge, new.edge)
        // One less, where it is: a word that is taken away is its complement that is added.
        .word(!LIFE_STEP)
        .folded()
}

/// The next port of this CPU, in network order; the search begins anywhere.
#[inline(always)]
fn next_port(cursor: &mut u32, config: &Config) -> Option<u16> {
    if *cursor == 0 {
        // SAFETY: the helper takes nothing and touches nothing.
        *cursor = unsafe { bpf_get_prandom_u32() } >> 1;
    }
    *cursor = cursor.wrapping_add(1);
    // SAFETY: the helper takes nothing and touches nothing.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let offset = cursor.checked_rem(config.ports_per_cpu)?;
    let port = config.first_port + cpu * config.ports_per_cpu + offset;
    if port > u32::from(u16::MAX) { None } else { Some((port as u16).to_be()) }
}
