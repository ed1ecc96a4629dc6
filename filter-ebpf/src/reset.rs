//! The RST that refuses a connection.

use aya_ebpf::programs::XdpContext;
use filter_common::Reason;

use crate::{
    answer::{self, Answer},
    parse::{Segment, TcpHeader},
};

/// Answers a segment that has ACK with a RST (RFC 9293, 3.5.2: its sequence number is the one that the segment acknowledges).
#[inline(always)]
pub(crate) fn answer(ctx: &XdpContext, to: &Segment) -> Result<(), Reason> {
    let reset = Answer { sequence: to.acknowledgement, acknowledgement: 0, flags: TcpHeader::RST, window: 0 };
    answer::transmit(ctx, to, &reset, [])
}

/// The same in a frame of its own, for callers that are deep in the stack already; `reason`, or what went wrong.
#[inline(always)]
pub(crate) fn answer_apart(ctx: &XdpContext, to: &Segment, reason: Reason) -> Reason {
    if apart(ctx, to) == 0 { reason } else { Reason::Internal }
}

#[inline(never)]
fn apart(ctx: &XdpContext, to: &Segment) -> u32 {
    u32::from(answer(ctx, to).is_err())
}
