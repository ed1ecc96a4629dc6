//! The one pointer that readers follow.
//!
//! A trait only so that the model checker can run the set over atomics of its own; there is one real implementation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Cache, cache::Access};
use crossbeam::utils::CachePadded;

use super::set::Layers;

/// A pointer that is read without waiting and replaced by one writer at a time.
pub(super) trait Cell: Sized {
    /// A reader's copy of the pointer, valid until the pointer changes.
    type Reader;

    /// A cell that holds this value.
    fn new(layers: Layers) -> Self;

    /// Reads the value that is current now.
    fn read<R>(&self, ask: impl FnOnce(&Layers) -> R) -> R;

    /// Replaces the value by one made from it; replacements happen one after the other.
    fn replace(&self, make: impl FnOnce(&Layers) -> Layers);

    /// Frees replaced values that nobody holds any more; how many are still held.
    fn reclaim(&self) -> usize;

    /// A reader that keeps a copy of the pointer.
    fn reader(cell: &Arc<Self>) -> Self::Reader;

    /// Reads the current value, and takes a new copy of the pointer only when it changed.
    fn read_with<R>(reader: &mut Self::Reader, ask: impl FnOnce(&Layers) -> R) -> R;
}

/// The cell of the running program.
///
/// `arc-swap` and not bare epochs: following an epoch pointer is `unsafe`, which this crate forbids, and a reader that
/// caches the `Arc` pays one plain load where pinning an epoch pays a fence. Padded, because writes are rare and the line
/// should stay shared in every core's cache.
pub(super) struct SwapCell {
    current: CachePadded<ArcSwap<Layers>>,
    /// Taken by whoever writes. Holds the replaced values, so that it is a writer who frees them.
    retired: Mutex<Vec<Arc<Layers>>>,
}

impl SwapCell {
    /// A writer that panicked left the old value in place, which is whole.
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Layers>>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets `arc_swap::Cache` own a share of the whole cell.
pub(super) struct SharedCell(Arc<SwapCell>);

impl std::ops::Deref for SharedCell {
    type Target = ArcSwap<Layers>;

    fn deref(&self) -> &Self::Target {
        &self.0.current
    }
}

impl Cell for SwapCell {
    type Reader = Cache<SharedCell, Arc<Layers>>;

    fn new(layers: Layers) -> Self {
        Self { current: CachePadded::new(ArcSwap::from_pointee(layers)), retired: Mutex::new(Vec::new()) }
    }

    fn read<R>(&self, ask: impl FnOnce(&Layers) -> R) -> R {
        ask(&self.current.load())
    }

    fn replace(&self, make: impl FnOnce(&Layers) -> Layers) {
        let mut retired = self.lock();
        let next = make(&self.current.load());
        let previous = self.current.swap(Arc::new(next));
        retired.push(previous);
        retired.retain(|version| Arc::strong_count(version) > 1);
    }

    fn reclaim(&self) -> usize {
        let mut retired = self.lock();
        retired.retain(|version| Arc::strong_count(version) > 1);
        retired.len()
    }

    fn reader(cell: &Arc<Self>) -> Self::Reader {
        Cache::new(SharedCell(Arc::clone(cell)))
    }

    fn read_with<R>(reader: &mut Self::Reader, ask: impl FnOnce(&Layers) -> R) -> R {
        ask(Access::load(reader))
    }
}
