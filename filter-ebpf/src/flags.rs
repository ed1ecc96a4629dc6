//! The state of a flow, which two CPUs may change at a time: one handles the client's packets, another the origin's.

use core::arch::asm;

use filter_common::splice::Flow;

/// The flags of a flow as they are now.
#[inline(always)]
pub(crate) fn read(place: *mut Flow) -> u64 {
    // SAFETY: an entry of the map of flows, which stays while this program runs.
    unsafe { (&raw const (*place).flags).read_volatile() }
}

/// Sets these flags.
#[inline(always)]
pub(crate) fn set(place: *mut Flow, flags: u64) {
    // SAFETY: an entry of the map of flows, which stays while this program runs; the field is aligned, and all its changes go
    // through here once the flow is in the map. Rust has no atomic operations for this target.
    unsafe { asm!("lock *(u64 *)({0} + 0) |= {1}", in(reg) &raw mut (*place).flags, in(reg) flags) };
}

/// Clears these flags. Whatever was written to the flow before is seen by whoever sees them cleared.
#[inline(always)]
pub(crate) fn clear(place: *mut Flow, flags: u64) {
    // SAFETY: as above.
    unsafe { asm!("lock *(u64 *)({0} + 0) &= {1}", in(reg) &raw mut (*place).flags, in(reg) !flags) };
}
