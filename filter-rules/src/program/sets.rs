//! Sets of strings that are looked up but never changed.

use std::collections::HashSet;

use foldhash::fast::FixedState;

/// Up to this many strings are compared one by one: that beats hashing.
const LINEAR_MAX: usize = 8;

/// A set of strings.
#[derive(Clone, Debug)]
pub(super) enum StringSet {
    /// Compared one after the other, if one has the length at all: bit `n` of `lengths` is set when one has `n` bytes.
    Few { items: Box<[Box<[u8]>]>, lengths: u64 },
    /// Hashed. Who asks does not choose what is in it, so a fixed seed gives nothing away.
    Many(HashSet<Box<[u8]>, FixedState>),
}

impl StringSet {
    pub(super) fn new(mut items: Vec<Box<[u8]>>) -> Self {
        items.sort_unstable();
        items.dedup();
        if items.len() > LINEAR_MAX {
            return Self::Many(items.into_iter().collect());
        }
        let lengths = items.iter().fold(0, |lengths, item| lengths | length_bit(item));
        Self::Few { items: items.into(), lengths }
    }

    #[inline]
    pub(super) fn contains(&self, value: &[u8]) -> bool {
        match self {
            Self::Few { items, lengths } => {
                lengths & length_bit(value) != 0 && items.iter().any(|item| **item == *value)
            }
            Self::Many(items) => items.contains(value),
        }
    }

    pub(super) fn into_items(self) -> Vec<Box<[u8]>> {
        match self {
            Self::Few { items, .. } => items.into(),
            Self::Many(items) => items.into_iter().collect(),
        }
    }
}

/// The bit of a length; all lengths past 63 share the last.
fn length_bit(text: &[u8]) -> u64 {
    1 << text.len().min(63)
}
