//! Networks and addresses whose SYNs die here, before anything is spent on them.

use aya_ebpf::{helpers::generated::bpf_ktime_get_coarse_ns, maps::lpm_trie::Key};

use filter_common::{
    layout::{Address, DenyPart},
    opaque,
};

use crate::{maps, parse::Segment};

/// Whether the segment's source is in a denied network.
#[inline(always)]
pub(crate) fn covers(segment: &Segment) -> bool {
    let Address([.., v4]) = segment.connection.client;
    if segment.is_v4() {
        covers_v4(u32::from_be(v4))
    } else {
        maps::DENY_V6.get(Key::new(128, segment.connection.client)).is_some()
    }
}

/// The kernel's trie would take a step for each bit that the networks have in common; this is one cache line, and a second one
/// for networks of less than 256 addresses.
#[inline(always)]
fn covers_v4(address: u32) -> bool {
    let Some(block) = maps::DENY_V4.get(address >> 16) else { return false };
    let third = address >> 8 & 0xff;
    if has(&block.whole, third) {
        return true;
    }
    if !has(&block.part, third) {
        return false;
    }
    // SAFETY: the map is not preallocated, so the entry is not reused while this program looks at it.
    let part: Option<&DenyPart> = unsafe { maps::DENY_V4_PARTS.get(&(address >> 8)) };
    part.is_some_and(|part| has(part, address & 0xff))
}

/// Whether a bit of 256 is set.
#[inline(always)]
fn has(words: &[u64; 4], bit: u32) -> bool {
    let word = words.as_ptr().wrapping_add(opaque(bit >> 6) as usize & 3);
    // SAFETY: the mask keeps the word within the array. Userspace may write it at this time: it is there or it is not.
    unsafe { word.read_volatile() >> (bit & 63) & 1 != 0 }
}

/// Whether the segment's source is punished.
#[inline(always)]
pub(crate) fn punishes(segment: &Segment) -> bool {
    let Some(until) = maps::PENALTIES.get_ptr(&segment.connection.client) else { return false };
    // SAFETY: an entry of the map, which stays readable while this program runs; the helper takes nothing.
    unsafe { bpf_ktime_get_coarse_ns() < until.read_volatile() }
}
