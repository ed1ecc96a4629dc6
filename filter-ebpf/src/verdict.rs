//! The decision: which reason a packet gets.

use aya_ebpf::programs::XdpContext;
use filter_common::{
    Reason,
    hello::Hello,
    layout::{Config, ListenValue},
    splice::HostValue,
};

use crate::{
    closing, deny, flow, front, hello, hosts, log, maps, opening,
    packet::Packet,
    parse::{self, Datagram, IpProtocol, Segment, TcpHeader},
    reset, too_big,
};

/// Finds the reason of a packet, and rewrites the packet if the reason's action is to answer it or to send it on.
#[inline(always)]
pub(crate) fn inspect(ctx: &XdpContext) -> Reason {
    if decide(ctx) != 0 {
        log::sampled(ctx, reason());
    }
    reason()
}

/// In a frame of its own, that of the log line's being as large: the stack is small. Leaves the reason in the work area, and
/// returns 1 for a TCP segment for a listen address.
#[inline(never)]
fn decide(ctx: &XdpContext) -> u32 {
    let (reason, is_listened) = match listened(ctx) {
        Ok(listen) => match segment(ctx, listen) {
            Ok(reason) | Err(reason) => (reason, 1),
        },
        Err(reason) => (reason, 0),
    };
    if let Some(scratch) = maps::scratch() {
        scratch.reason = reason.into();
    }
    is_listened
}

/// The reason that was found. By way of memory: to the verifier, which would otherwise walk through all that follows once for
/// each reason, it is then any number.
#[inline(always)]
fn reason() -> Reason {
    let number = maps::scratch().map_or(u32::MAX, |scratch| scratch.reason);
    Reason::from_u32(number).unwrap_or(Reason::Internal)
}

/// Decides about a packet as far as its headers tell, and finds the listen address of a segment that it takes more for.
#[inline(always)]
fn listened(ctx: &XdpContext) -> Result<*mut ListenValue, Reason> {
    let packet = Packet::new(ctx);
    let datagram: Datagram = parse::datagram(&packet)?;
    if datagram.protocol != IpProtocol::TCP && datagram.protocol != IpProtocol::UDP {
        let is_message = datagram.protocol == IpProtocol::ICMP || datagram.protocol == IpProtocol::ICMP_V6;
        return Err(if is_message { too_big::forward(ctx, &datagram) } else { Reason::OtherProtocol });
    }
    let key = parse::listen_key(&packet, &datagram)?;
    if datagram.protocol == IpProtocol::UDP {
        return Err(if maps::LISTEN.get_ptr(key).is_some() { Reason::Udp } else { Reason::OtherAddress });
    }
    maps::scratch().ok_or(Reason::Internal)?.segment.fill(&packet, &datagram)?;
    let segment = maps::segment()?;
    if !segment.begins_connection()
        && let Some(flow) = flow::of(&segment.connection)
    {
        return Err(match flow::forward(ctx, segment, flow) {
            Ok(reason) | Err(reason) => reason,
        });
    }
    maps::LISTEN.get_ptr_mut(key).ok_or(Reason::OtherAddress)
}

#[inline(always)]
fn segment(ctx: &XdpContext, listen: *mut ListenValue) -> Result<Reason, Reason> {
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
        if let Some(flow) = flow::of(&segment.connection) {
            if !opening::is_opening(flow) {
                // The origin says what a SYN is to the connection that it has; its answer makes the client end that one.
                return flow::forward(ctx, segment, flow);
            }
            // There is nobody to ask yet, and a client that begins again means it.
            closing::forget(&segment.connection, flow);
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
        Hello::Name { at, length } => (segment.payload_at() + at, length),
        Hello::Not => return Ok(Reason::Data),
        Hello::Incomplete => return Ok(Reason::HelloIncomplete),
        Hello::Malformed => return Ok(Reason::HelloMalformed),
        Hello::NoName => return Ok(Reason::HelloNoName),
        Hello::TooManyExtensions => return Ok(Reason::HelloTooManyExtensions),
        Hello::NameTooLong => return Ok(Reason::HelloNameTooLong),
    };
    match hosts::find(ctx, at, length)? {
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
