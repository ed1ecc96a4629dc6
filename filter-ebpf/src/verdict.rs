//! The decision: which reason a packet gets.

use aya_ebpf::programs::XdpContext;
use filter_common::{
    Reason,
    hello::Hello,
    layout::{Config, ListenValue},
};

use crate::{
    deny, front, hello, hosts, log, maps,
    packet::Packet,
    parse::{self, Datagram, IpProtocol, Segment, TcpHeader},
    reset,
};

/// Finds the reason of a packet, and rewrites the packet if the reason's action is to answer it.
#[inline(always)]
pub(crate) fn inspect(ctx: &XdpContext) -> Reason {
    match listened(ctx) {
        Ok(listen) => {
            let reason = match segment(ctx, listen) {
                Ok(reason) | Err(reason) => settled(reason),
            };
            log::sampled(ctx, reason);
            reason
        }
        Err(reason) => reason,
    }
}

/// The same reason, by way of memory: to the verifier, which would otherwise walk through all that follows once for each
/// reason, it is then any number.
#[inline(always)]
fn settled(reason: Reason) -> Reason {
    let Some(scratch) = maps::scratch() else { return Reason::Internal };
    let place = &raw mut scratch.reason;
    // SAFETY: the place is in this CPU's work area. Volatile, or LLVM keeps the number in a register.
    let number = unsafe {
        place.write_volatile(reason.into());
        place.read_volatile()
    };
    Reason::from_u32(number).unwrap_or(Reason::Internal)
}

/// Puts the headers of a TCP segment into the work area, if it is for an address the filter listens on.
#[inline(always)]
fn listened(ctx: &XdpContext) -> Result<*mut ListenValue, Reason> {
    let packet = Packet::new(ctx);
    let datagram: Datagram = parse::datagram(&packet)?;
    if datagram.protocol != IpProtocol::TCP && datagram.protocol != IpProtocol::UDP {
        return Err(Reason::OtherProtocol);
    }
    let key = parse::listen_key(&packet, &datagram)?;
    let listen = maps::LISTEN.get_ptr_mut(key).ok_or(Reason::OtherAddress)?;
    if datagram.protocol == IpProtocol::UDP {
        return Err(Reason::Udp);
    }
    maps::scratch().ok_or(Reason::Internal)?.segment.fill(&packet, &datagram)?;
    Ok(listen)
}

#[inline(always)]
fn segment(ctx: &XdpContext, listen: *mut ListenValue) -> Result<Reason, Reason> {
    let config: &Config = maps::CONFIG.get(0).ok_or(Reason::Internal)?;
    let segment = maps::segment()?;
    // Connections that are there already are the workers' to refuse.
    if segment.begins_connection() && deny::covers(segment) {
        return Ok(Reason::Denied);
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
    data(ctx, segment)
}

/// Decides about a segment with payload that may begin with a ClientHello.
#[inline(always)]
pub(crate) fn data(ctx: &XdpContext, segment: &Segment) -> Result<Reason, Reason> {
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
        hosts::Found::Unusual => Ok(Reason::HelloNameUnusual),
        hosts::Found::Nothing => {
            reset::answer(ctx, segment)?;
            Ok(Reason::HostUnknown)
        }
    }
}
