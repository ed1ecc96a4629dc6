//! What answers most look-ups: whether a set *may* hold a key.
//!
//! Most certificates are not revoked, and a set of ten million is far bigger than any cache. A split-block Bloom filter of 6.7 bits a key
//! says "no" to 19 of 20 keys that are not there, from one half of one cache line, and all of it fits where the tree does not. With the
//! tree's 15 bytes a key, more bits would be more than the 16 bytes that a revocation may take.

use std::sync::Arc;

use super::key::RevocationKey;

/// Keys a block is made for.
const KEYS_PER_BLOCK: usize = 38;

/// How many times as many keys may be added to a filter before it is made anew; it says "maybe" more often with each.
const OVERFILL: usize = 2;

/// Half a cache line: a key sets one bit in each word. Four bits of 6.7 a key are about as good as can be; with more words of fewer bits
/// a key would set more bits than there is room for.
#[derive(Clone, Copy, Default)]
#[repr(align(32))]
struct Block([u64; 4]);

/// A filter of the keys that have one first byte.
#[derive(Clone, Default)]
pub(super) struct Filter {
    blocks: Option<Arc<[Block]>>,
    /// Keys that were added since it was made.
    keys: usize,
}

impl Filter {
    /// The filter of no keys.
    pub(super) const EMPTY: Self = Self { blocks: None, keys: 0 };

    /// A filter of these keys.
    pub(super) fn of(count: usize, keys: impl Iterator<Item = RevocationKey>) -> Self {
        if count == 0 {
            return Self::EMPTY;
        }
        let blocks = std::iter::repeat_n(Block::default(), count.div_ceil(KEYS_PER_BLOCK)).collect();
        let mut filter = Self { blocks: Some(blocks), keys: 0 };
        filter.add(keys);
        filter
    }

    /// This filter with more keys; `None` if it would hold too many for its size.
    pub(super) fn with(&self, count: usize, keys: impl Iterator<Item = RevocationKey>) -> Option<Self> {
        let blocks = self.blocks.as_ref().map_or(0, |blocks| blocks.len());
        let room = blocks.saturating_mul(KEYS_PER_BLOCK).saturating_mul(OVERFILL);
        if self.keys.saturating_add(count) > room {
            return None;
        }
        let mut filter = self.clone();
        filter.add(keys);
        Some(filter)
    }

    fn add(&mut self, keys: impl Iterator<Item = RevocationKey>) {
        let Some(blocks) = self.blocks.as_mut().map(Arc::make_mut) else { return };
        for key in keys {
            let (place, bits) = place(blocks.len(), &key);
            if let Some(Block(words)) = blocks.get_mut(place) {
                words.iter_mut().zip(bits).for_each(|(word, bit)| *word |= bit);
            }
            self.keys = self.keys.saturating_add(1);
        }
    }

    /// Whether the key may be there; if not, it is not.
    pub(super) fn may_hold(&self, key: &RevocationKey) -> bool {
        let Some(blocks) = &self.blocks else { return false };
        let (place, bits) = place(blocks.len(), key);
        // All words, without a branch: the answer is one comparison.
        let missing =
            |Block(words): &Block| words.iter().zip(bits).fold(0, |missing, (word, bit)| missing | (!word & bit));
        blocks.get(place).is_some_and(|block| missing(block) == 0)
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.blocks.as_ref().map_or(0, |blocks| size_of::<Block>().saturating_add(size_of_val(&**blocks)))
    }
}

/// The block of a key, and its bit in each word: by bytes that its place in the tree does not depend on. They are those of a hash, so that
/// any six bits are as good as others.
fn place(blocks: usize, key: &RevocationKey) -> (usize, [u64; 4]) {
    let [.., a, b, c, d, e, f, g, h] = *key.as_bytes();
    let blocks = u64::try_from(blocks).unwrap_or(u64::from(u32::MAX));
    let place = u64::from(u32::from_be_bytes([a, b, c, d])).saturating_mul(blocks) >> 32;
    let bits = u32::from_be_bytes([e, f, g, h]);
    (usize::try_from(place).unwrap_or(0), [0, 6, 12, 18].map(|at| 1 << (bits >> at & 63)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::IssuerKeyHash;

    fn keys(count: u32) -> Vec<RevocationKey> {
        let issuer = IssuerKeyHash::of_spki(b"issuer");
        (1..=count).map(|serial| RevocationKey::new(&issuer, &serial.to_be_bytes())).collect()
    }

    #[test]
    fn what_was_added_is_never_denied() {
        for count in [1, KEYS_PER_BLOCK as u32 - 1, KEYS_PER_BLOCK as u32, KEYS_PER_BLOCK as u32 + 1, 1_000] {
            let (first, all) = (keys(count), keys(2 * count));
            let filter = Filter::of(first.len(), first.iter().copied());
            assert!(first.iter().all(|key| filter.may_hold(key)), "{count}");
            let more = all.iter().skip(first.len()).copied();
            let grown = filter.with(first.len(), more).expect("a filter takes as many again");
            assert!(all.iter().all(|key| grown.may_hold(key)), "{count}");
        }
        assert!(!keys(100).iter().any(|key| Filter::EMPTY.may_hold(key)));
    }

    #[test]
    fn most_of_what_is_not_there_is_denied() {
        let all = keys(40_000);
        let (present, absent) = all.split_at(20_000);
        let filter = Filter::of(present.len(), present.iter().copied());
        let wrong = absent.iter().filter(|key| filter.may_hold(key)).count();
        assert!(wrong * 20 < absent.len(), "{wrong} of {} are taken for possible", absent.len());
    }

    #[test]
    fn a_filter_that_would_hold_too_many_must_be_made_anew() {
        let all = keys(2 * KEYS_PER_BLOCK as u32 + 1);
        let filter = Filter::of(KEYS_PER_BLOCK, all.iter().take(KEYS_PER_BLOCK).copied());
        let room = KEYS_PER_BLOCK * OVERFILL - KEYS_PER_BLOCK;
        assert!(filter.with(room, all.iter().skip(KEYS_PER_BLOCK).take(room).copied()).is_some());
        assert!(filter.with(room + 1, all.iter().skip(KEYS_PER_BLOCK).copied()).is_none());
        assert!(Filter::EMPTY.with(1, all.iter().take(1).copied()).is_none());
        assert!(Filter::EMPTY.with(0, std::iter::empty()).is_some());
    }
}
