//! The decision: which reason a packet gets.

use aya_ebpf::programs::XdpContext;
use filter_common::{
    Reason,
    hello::Hello,
    layout::{Config, ConnectionKey, Listener},
    opaque_mut,
    splice::HostValue,
};

use crate::{
    closing, deny, flow, front, hello, hosts, log, maps, opening,
    packet::Packet,
    parse::{IpProtocol, Segment, TcpHeader},
    reset, too_big,
};

/// In what [`decide`] returns: a TCP segment for a listen address.
const LISTENED: u32 = 1 << 31;

/// Finds the reason of a packet, and rewrites the packet if the reason's action is to answer it or to send it on. Of a segment that
/// was read, the express lane has found that it belongs to no spliced connection, or is a SYN.
#[inline(always)]
pub(crate) fn inspect(ctx: &XdpContext, is_read: bool) -> Reason {
    let found = decide(ctx, is_read.into());
    let reason = Reason::from_u32(found & !LISTENED).unwrap_or(Reason::Internal);
    if found & LISTENED != 0 {
        log::sampled(ctx, reason);
    }
    reason
}

/// In a frame of its own, that of the log line's being as large: the stack is small. Returns the number of the reason, with
/// [`LISTENED`]; by way of memory, so that to the verifier, which would otherwise walk through all that follows once for each
/// reason, it is any number.
#[inline(never)]
fn decide(ctx: &XdpContext, is_read: u32) -> u32 {
    let Some(scratch) = maps::scratch() else { return Reason::Internal.into() };
    let place = &raw mut scratch.found;
    let listen = if is_read == 0 { listened(ctx, &mut scratch.segment) } else { listener(&scratch.segment.connection) };
    let found = match listen {
        Ok(listen) => match segment(ctx, listen) {
            Ok(reason) | Err(reason) => u32::from(reason) | LISTENED,
        },
        Err(reason) => reason.into(),
    };
    // SAFETY: a field of the work area, which nobody else writes.
    unsafe {
        place.write_volatile(found);
        place.read_volatile()
    }
}

/// Decides about a packet as far as its headers tell, and finds the listen address of a segment that it takes more for.
#[inline(always)]
fn listened(ctx: &XdpContext, segment: &mut Segment) -> Result<*mut Listener, Reason> {
    let packet = Packet::new(ctx);
    let protocol = segment.read(&packet)?;
    // Here and below: the verifier is not to follow each way to write the same headers on its own.
    let segment = opaque_mut(segment);
    if protocol != IpProtocol::TCP {
        return Err(datagram(ctx, segment, protocol));
    }
    segment.read_ports(&packet)?;
    segment.read_tcp(&packet)?;
    let segment: &Segment = opaque_mut(segment);
    if !segment.begins_connection()
        && let Some(flow) = flow::find(&segment.connection, segment.hash)
    {
        return Err(match flow::forward(ctx, segment, flow) {
            Ok(reason) | Err(reason) => reason,
        });
    }
    listener(&segment.connection)
}

/// Decides about a packet that is not TCP.
#[inline(always)]
fn datagram(ctx: &XdpContext, datagram: &mut Segment, protocol: IpProtocol) -> Reason {
    if protocol == IpProtocol::ICMP || protocol == IpProtocol::ICMP_V6 {
        return too_big::forward(ctx, datagram);
    }
    if protocol != IpProtocol::UDP {
        return Reason::OtherProtocol;
    }
    if let Err(reason) = datagram.read_ports(&Packet::new(ctx)) {
        return reason;
    }
    match listener(&datagram.connection) {
        Ok(_) => Reason::Udp,
        Err(reason) => reason,
    }
}

/// The listen address that a packet is for.
#[inline(always)]
fn listener(connection: &ConnectionKey) -> Result<*mut Listener, Reason> {
    let config: &Config = maps::CONFIG.get(0).ok_or(Reason::Internal)?;
    let slot = config.listen_hash.slot(connection.edge, connection.edge_port);
    let place = maps::LISTENERS.get_ptr_mut(slot).ok_or(Reason::Internal)?;
    // SAFETY: an entry of the array, of which only the time changes while the program is attached.
    let (address, port, is_used) = unsafe { ((*place).address, (*place).port, (*place).is_used) };
    if address == connection.edge && port == connection.edge_port && is_used != 0 {
        Ok(place)
    } else {
        Err(Reason::OtherAddress)
    }
}

#[inline(always)]
fn segment(ctx: &XdpContext, listen: *mut Listener) -> Result<Reason, Reason> {
    let config: &Config = maps::CONFIG.get(0).ok_or(Reason::Internal)?;
    let segment = maps::segment()?;
    // Connections that are there already are the workers' to refuse.
    if segment.begins_connection() {
        if deny::covers(segment) {
            return Ok(Reason::Denied);
        }
        if config.penalties != 0 && deny::punishes(segment) {
            return Ok(Reason::Punished);
        }
        if let Some(flow) = flow::find(&segment.connection, segment.hash) {
            if !opening::is_opening(flow) {
                // The origin says what a SYN is to the connection that it has; its answer makes the client end that one.
                return flow::forward(ctx, segment, flow);
            }
            // There is nobody to ask yet, and a client that begins again means it.
            closing::forget(flow);
        }
    }
    if config.syn_cookies != 0 {
        return front::decide(ctx, segment, listen, config);
    }
    if segment.payload_length() == 0 {
        return Ok(Reason::Control);
    }
    // A segment without ACK belongs to no connection: data in a SYN, or nonsense. The kernel knows what to do with it.
    if !segment.has(TcpHeader::ACK) {
        return Ok(Reason::Data);
    }
    data(ctx, segment, false)
}

/// Decides about a segment with payload that may begin with a ClientHello. Its sender is verified if it has shown a cookie.
#[inline(always)]
pub(crate) fn data(ctx: &XdpContext, segment: &Segment, is_verified: bool) -> Result<Reason, Reason> {
    if !hello::could_begin(&Packet::new(ctx), segment.payload_at()) {
        return Ok(Reason::Data);
    }
    let (at, length) = match hello::find(ctx, segment)? {
        Hello::Name { at, length } => (at, length),
        Hello::Not => return Ok(Reason::Data),
        Hello::Incomplete => return Ok(Reason::HelloIncomplete),
        Hello::Malformed => return Ok(Reason::HelloMalformed),
        Hello::NoName => return Ok(Reason::HelloNoName),
        Hello::TooManyExtensions => return Ok(Reason::HelloTooManyExtensions),
        Hello::NameTooLong => return Ok(Reason::HelloNameTooLong),
    };
    let config: &Config = maps::CONFIG.get(0).ok_or(Reason::Internal)?;
    match hosts::find(at, length, config)? {
        hosts::Found::Terminate => Ok(Reason::HostTerminate),
        hosts::Found::Splice(host) => splice(ctx, segment, host),
        hosts::Found::Unusual => Ok(Reason::HelloNameUnusual),
        hosts::Found::Nothing if !is_verified && !reset::may_answer()? => Ok(Reason::ResetLimited),
        hosts::Found::Nothing => {
            reset::answer(ctx, segment)?;
            Ok(Reason::HostUnknown)
        }
    }
}

#[inline(always)]
fn splice(ctx: &XdpContext, segment: &Segment, host: *const HostValue) -> Result<Reason, Reason> {
    let config: &Config = maps::CONFIG.get(0).ok_or(Reason::Internal)?;
    if config.syn_cookies == 0 {
        // The kernel has the connection already.
        return Ok(Reason::SpliceUnfit);
    }
    // SAFETY: an entry of the map of hosts, which stays readable while this program runs.
    let host = unsafe { &*host };
    Reason::from_u32(opening::open(ctx, segment, host)).ok_or(Reason::Internal)
}
