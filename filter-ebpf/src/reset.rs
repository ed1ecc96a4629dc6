//! The RST that refuses a connection.
//!
//! One to an address that nobody has verified is a packet that somebody else may have asked for: there are at most a thousand of
//! those in a second, on each CPU.

use aya_ebpf::{helpers::generated::bpf_ktime_get_coarse_ns, programs::XdpContext};
use filter_common::Reason;

use crate::{
    answer::{self, Answer},
    maps,
    parse::{Segment, TcpHeader},
};

const UNVERIFIED_MAX: u32 = 1000;
const UNVERIFIED_EVERY_NS: u64 = 1_000_000_000;

/// Answers a segment that has ACK with a RST (RFC 9293, 3.5.2: its sequence number is the one that the segment acknowledges).
#[inline(always)]
pub(crate) fn answer(ctx: &XdpContext, to: &Segment) -> Result<(), Reason> {
    let reset = Answer { sequence: to.acknowledgement, acknowledgement: 0, flags: TcpHeader::RST, window: 0 };
    answer::transmit(ctx, to, &reset, [])
}

/// Whether there may be another reset to an unverified address in this second.
#[inline(always)]
pub(crate) fn may_answer() -> Result<bool, Reason> {
    // SAFETY: the helper takes nothing and touches nothing.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let scratch = maps::scratch().ok_or(Reason::Internal)?;
    if now.wrapping_sub(scratch.resets_counted_ns) >= UNVERIFIED_EVERY_NS {
        scratch.resets_counted_ns = now;
        scratch.resets_left = UNVERIFIED_MAX;
    }
    if scratch.resets_left == 0 {
        return Ok(false);
    }
    scratch.resets_left -= 1;
    Ok(true)
}

/// Answers an unverified address, if that may be, in a frame of its own: for callers that are deep in the stack already.
#[inline(never)]
pub(crate) fn answer_unverified(ctx: &XdpContext, to: &Segment) -> u32 {
    let reason = match may_answer() {
        Ok(true) => answer(ctx, to).map(|()| Reason::FlowUnknown),
        Ok(false) => Ok(Reason::CookieInvalid),
        Err(reason) => Err(reason),
    };
    match reason {
        Ok(reason) | Err(reason) => reason.into(),
    }
}
