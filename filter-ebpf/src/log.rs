//! Sampled debug lines about TCP segments for listen addresses.

use aya_ebpf::{helpers::generated::bpf_get_prandom_u32, programs::XdpContext};
use aya_log_ebpf::debug;
use filter_common::Reason;

use crate::maps;

/// Logs one in `log_sample` packets; when that is 0, all this costs is reading it.
#[inline(always)]
pub(crate) fn sampled(ctx: &XdpContext, reason: Reason) {
    let sample = maps::CONFIG.get(0).map_or(0, |config| config.log_sample);
    if sample != 0 {
        line(ctx, reason, sample);
    }
}

#[inline(never)]
fn line(ctx: &XdpContext, reason: Reason, sample: u32) {
    // SAFETY: the helper takes nothing and touches nothing.
    let random = unsafe { bpf_get_prandom_u32() };
    let Ok(segment) = maps::segment() else { return };
    if random.checked_rem(sample) == Some(0) {
        let (client, edge) = (segment.connection.client.octets(), segment.connection.edge.octets());
        let port = u16::from_be(segment.connection.client_port);
        debug!(ctx, "segment from [{:i}]:{} to {:i}: reason {}", client, port, edge, u32::from(reason));
    }
}
