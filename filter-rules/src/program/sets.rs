//! Sets of strings that are looked up but never changed.

use std::collections::HashSet;

use foldhash::fast::FixedState;

/// Up to this many strings are compared one by one: that beats hashing.
const LINEAR_MAX: usize = 8;

/// A set of strings.
#[derive(Debug)]
pub(super) enum StringSet {
    /// Compared one after the other.
    Few(Box<[Box<[u8]>]>),
    /// Hashed. Who asks does not choose what is in it, so a fixed seed gives nothing away.
    Many(HashSet<Box<[u8]>, FixedState>),
}

impl StringSet {
    pub(super) fn new(mut items: Vec<Box<[u8]>>) -> Self {
        items.sort_unstable();
        items.dedup();
        if items.len() <= LINEAR_MAX { Self::Few(items.into()) } else { Self::Many(items.into_iter().collect()) }
    }

    #[inline]
    pub(super) fn contains(&self, value: &[u8]) -> bool {
        match self {
            Self::Few(items) => items.iter().any(|item| **item == *value),
            Self::Many(items) => items.contains(value),
        }
    }

    pub(super) fn into_items(self) -> Vec<Box<[u8]>> {
        match self {
            Self::Few(items) => items.into(),
            Self::Many(items) => items.into_iter().collect(),
        }
    }
}
