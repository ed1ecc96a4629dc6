//! The decision: which reason a packet gets.

use aya_ebpf::programs::XdpContext;
use filter_common::{Reason, hello::Hello};

use crate::{
    hello, hosts, log, maps,
    packet::Packet,
    parse::{self, Datagram, IpProtocol, TcpHeader},
    reset,
};

/// Finds the reason of a packet, and rewrites the packet if the reason's action is to answer it.
#[inline(always)]
pub(crate) fn inspect(ctx: &XdpContext) -> Reason {
    match listened(ctx) {
        Ok((packet, datagram)) => {
            let reason = match transport(ctx, &packet, &datagram) {
                Ok(reason) | Err(reason) => reason,
            };
            log::sampled(ctx, &datagram, reason);
            reason
        }
        Err(reason) => reason,
    }
}

/// The packet's headers, if it is for an address the filter listens on.
#[inline(always)]
fn listened(ctx: &XdpContext) -> Result<(Packet, Datagram), Reason> {
    let packet = Packet::new(ctx);
    let datagram = parse::datagram(&packet)?;
    if datagram.protocol != IpProtocol::TCP && datagram.protocol != IpProtocol::UDP {
        return Err(Reason::OtherProtocol);
    }
    let (_, port) = parse::ports(&packet, &datagram)?;
    if maps::LISTEN.get_ptr(parse::listen_key(&datagram, port)).is_none() {
        return Err(Reason::OtherAddress);
    }
    Ok((packet, datagram))
}

#[inline(always)]
fn transport(ctx: &XdpContext, packet: &Packet, datagram: &Datagram) -> Result<Reason, Reason> {
    if datagram.protocol == IpProtocol::UDP {
        return Ok(Reason::Udp);
    }
    let tcp: TcpHeader = packet.read(datagram.transport_at).ok_or(Reason::Malformed)?;
    let payload_at = datagram.transport_at + tcp.length();
    if tcp.length() < TcpHeader::SIZE || payload_at > datagram.end {
        return Err(Reason::Malformed);
    }
    if payload_at == datagram.end {
        return Ok(Reason::Control);
    }
    // A segment without ACK belongs to no connection: data in a SYN, or nonsense. The kernel knows what to do with it.
    if tcp.flags & TcpHeader::ACK == 0 || !hello::could_begin(packet, payload_at) {
        return Ok(Reason::Data);
    }
    let (at, length) = match hello::find(ctx, payload_at, datagram.end - payload_at)? {
        Hello::Name { at, length } => (payload_at + at, length),
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
            reset::answer(ctx, packet, datagram, &tcp)?;
            Ok(Reason::HostUnknown)
        }
    }
}
