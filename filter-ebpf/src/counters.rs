//! Counting: one packet, one reason, on the CPU that handled it.

use crate::maps;

/// Counts a packet of `bytes` bytes under the reason of this number.
#[inline(always)]
pub(crate) fn count(reason: u32, bytes: u32) {
    let Some(counter) = maps::COUNTERS.get_ptr_mut(reason) else { return };
    // SAFETY: the entry is this CPU's own and lives as long as the map; XDP is not interrupted by another packet here.
    let counter = unsafe { &mut *counter };
    counter.packets = counter.packets.wrapping_add(1);
    counter.bytes = counter.bytes.wrapping_add(u64::from(bytes));
}
