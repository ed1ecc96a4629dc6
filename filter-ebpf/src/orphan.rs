//! Segments that belong to nothing: no cookie, no flow, no connection of the kernel.
//!
//! The first is dropped, as it may be the second segment of a ClientHello whose first was lost. When segments still come three
//! seconds later, their sender has a connection that nobody here knows of, and a reset tells it so.

use aya_ebpf::{helpers::generated::bpf_ktime_get_coarse_ns, programs::XdpContext};
use filter_common::Reason;

use crate::{
    maps,
    parse::{Segment, TcpHeader},
    reset,
};

const PATIENCE_NS: u64 = 3_000_000_000;
/// What was seen this long ago is forgotten: the next segment is the first again.
const MEMORY_NS: u64 = 120_000_000_000;

/// Decides about a segment that nothing knows of.
#[inline(always)]
pub(crate) fn decide(ctx: &XdpContext, segment: &Segment) -> Result<Reason, Reason> {
    // Only a segment that acknowledges something shows where a reset would have to be.
    if segment.flags(TcpHeader::ACK | TcpHeader::RST | TcpHeader::SYN) != TcpHeader::ACK {
        return Ok(Reason::CookieInvalid);
    }
    // SAFETY: the helper takes nothing and touches nothing.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    // SAFETY: a number, whichever segment wrote it last.
    let seen = maps::ORPHANS.get_ptr(&segment.connection).map(|seen| unsafe { seen.read_volatile() });
    let waited = seen.map(|seen| now.wrapping_sub(seen));
    match waited {
        Some(waited) if waited < PATIENCE_NS => return Ok(Reason::CookieInvalid),
        Some(waited) if waited < MEMORY_NS => {}
        Some(_) | None => {
            let _ = maps::ORPHANS.insert(&segment.connection, now, 0);
            return Ok(Reason::CookieInvalid);
        }
    }
    if !reset::may_answer()? {
        return Ok(Reason::CookieInvalid);
    }
    reset::answer(ctx, segment)?;
    Ok(Reason::FlowUnknown)
}
