//! The SYN-cookie front: until a client has said hello, nothing in the kernel knows of its connection.
//!
//! | segment | answer |
//! |---|---|
//! | SYN | SYN-ACK with a cookie; nothing is kept |
//! | ACK with a valid cookie | none: the cookie comes again with the first data |
//! | data with a valid cookie | the verdict on its ClientHello; if it is passed, the kernel makes the socket from the cookie |
//! | FIN with a valid cookie | RST |
//! | of a connection that the kernel has | passed |
//! | anything else | dropped; reset if it goes on for a while |

use aya_ebpf::programs::XdpContext;
use filter_common::{
    Action, Reason,
    layout::{Config, Listener},
};

use crate::{
    cookie, maps, orphan,
    parse::{Segment, TcpHeader},
    passed, reset, sockets, syn, verdict,
};

const SYN_ACK_FIN_RST: u8 = TcpHeader::SYN | TcpHeader::ACK | TcpHeader::FIN | TcpHeader::RST;

/// Decides about a segment for a listen address.
#[inline(always)]
pub(crate) fn decide(
    ctx: &XdpContext,
    segment: &Segment,
    listen: *mut Listener,
    config: &Config,
) -> Result<Reason, Reason> {
    let is_passed = passed::has(segment.hash);
    if segment.begins_connection() {
        // The last connection of these addresses and ports may still be in the kernel, which then knows what a SYN is to it.
        if is_passed {
            if sockets::has_connection(ctx, segment) {
                return Ok(Reason::Established);
            }
            passed::forget(segment.hash);
        }
        return syn::answer(ctx, segment, listen, config);
    }
    if is_passed {
        return Ok(Reason::Established);
    }
    if segment.flags(SYN_ACK_FIN_RST) & !TcpHeader::FIN == TcpHeader::ACK && cookie::is_valid(ctx, segment)? {
        return greeted(ctx, segment);
    }
    // The cache may have forgotten it, or this program is newer than the connection.
    if sockets::has_connection(ctx, segment) {
        passed::remember(segment.hash);
        return Ok(Reason::Established);
    }
    orphan::decide(ctx, segment)
}

/// Decides about a segment with a valid cookie: its sender has our SYN-ACK, and nothing else knows of it yet.
#[inline(always)]
fn greeted(ctx: &XdpContext, segment: &Segment) -> Result<Reason, Reason> {
    if segment.payload_length() == 0 {
        if !segment.has(TcpHeader::FIN) {
            return Ok(Reason::HandshakeAck);
        }
        reset::answer(ctx, segment)?;
        return Ok(Reason::ClosedEarly);
    }
    let reason = verdict::data(ctx, segment, true)?;
    if reason.action() == Action::Pass {
        passed::remember(maps::segment()?.hash);
    }
    Ok(reason)
}
