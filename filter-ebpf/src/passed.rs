//! Connections that live in the kernel, so that their packets are passed to it without a question.
//!
//! A cache of hashes. What it takes for such a connection by mistake, the kernel decides about; what it forgot, the kernel is asked for.
//! So CPUs may race to write a bucket, and a connection be lost by that.

use filter_common::layout::{PassedBucket, passed_place};

use crate::maps;

/// Whether a connection with this hash lives in the kernel.
#[inline(always)]
pub(crate) fn has(hash: u64) -> bool {
    let (bucket, tag) = passed_place(hash);
    maps::PASSED.get(bucket).is_some_and(|tags| {
        let differences = tags.map(|other| other ^ tag);
        differences.contains(&0)
    })
}

/// Notes one that it does not know; the one of its bucket that was noted the longest ago is forgotten.
#[inline(always)]
pub(crate) fn remember(hash: u64) {
    let (bucket, tag) = passed_place(hash);
    change(bucket, |[first, second, third, _]| [tag, first, second, third]);
}

/// It is over.
#[inline(always)]
pub(crate) fn forget(hash: u64) {
    let (bucket, tag) = passed_place(hash);
    change(bucket, |tags| tags.map(|other| if other == tag { 0 } else { other }));
}

#[inline(always)]
fn change(bucket: u32, change: impl FnOnce(PassedBucket) -> PassedBucket) {
    let Some(tags) = maps::PASSED.get_ptr_mut(bucket) else { return };
    // SAFETY: an entry of the array; its words are numbers, whoever writes them.
    unsafe { tags.write(change(tags.read())) };
}
