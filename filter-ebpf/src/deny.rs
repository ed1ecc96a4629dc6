//! Networks whose packets die here, before anything is spent on them.

use aya_ebpf::maps::lpm_trie::Key;

use crate::{maps, parse::Segment};

/// Whether the segment's source is in a denied network.
#[inline(always)]
pub(crate) fn covers(segment: &Segment) -> bool {
    maps::DENY.get(Key::new(128, segment.connection.client)).is_some()
}
