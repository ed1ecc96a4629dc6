//! Sampled debug lines about packets for listen addresses.

use aya_ebpf::{helpers::generated::bpf_get_prandom_u32, programs::XdpContext};
use aya_log_ebpf::debug;
use filter_common::Reason;

use crate::{maps, parse::Datagram};

/// Logs one in `log_sample` packets; when that is 0, all this costs is reading it.
#[inline(always)]
pub(crate) fn sampled(ctx: &XdpContext, datagram: &Datagram, reason: Reason) {
    let sample = maps::CONFIG.get(0).map_or(0, |config| config.log_sample);
    if sample != 0 {
        line(ctx, datagram, reason, sample);
    }
}

#[inline(never)]
fn line(ctx: &XdpContext, datagram: &Datagram, reason: Reason, sample: u32) {
    // SAFETY: the helper takes nothing and touches nothing.
    let random = unsafe { bpf_get_prandom_u32() };
    if random.checked_rem(sample) == Some(0) {
        debug!(ctx, "packet from {:i} to {:i}: reason {}", datagram.source, datagram.destination, u32::from(reason));
    }
}
