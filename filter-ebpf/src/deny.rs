//! Networks and addresses whose SYNs die here, before anything is spent on them.

use aya_ebpf::{helpers::generated::bpf_ktime_get_coarse_ns, maps::lpm_trie::Key};

use crate::{maps, parse::Segment};

/// Whether the segment's source is in a denied network.
#[inline(always)]
pub(crate) fn covers(segment: &Segment) -> bool {
    maps::DENY.get(Key::new(128, segment.connection.client)).is_some()
}

/// Whether the segment's source is punished.
#[inline(always)]
pub(crate) fn punishes(segment: &Segment) -> bool {
    let Some(until) = maps::PENALTIES.get_ptr(&segment.connection.client) else { return false };
    // SAFETY: an entry of the map, which stays readable while this program runs; the helper takes nothing.
    unsafe { bpf_ktime_get_coarse_ns() < until.read_volatile() }
}
