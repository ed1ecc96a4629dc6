//! One part of the table behind the set: open addressing over cache lines.
//!
//! A look-up knows the address of the one cache line that it needs before any memory has answered, and compares all that is in it without a
//! branch; so the look-ups of a busy worker wait for memory side by side. One in six that finds its key goes on to the next line.

use std::sync::Arc;

/// The part of a key that a slot stores: 96 bits, as three numbers. Never zero: that is a free slot.
pub(super) type Tail = [u32; 3];

/// Keys in a block.
const SLOTS: usize = 5;
/// Keys for which ten blocks are made: 15.6 bytes each.
const KEYS_PER_TEN: usize = 41;
/// Keys to which ten blocks may fill up before there are more of them. Less than all slots, so that a search for a free one ends.
const KEYS_PER_TEN_MAX: usize = 44;

const _: () = assert!(KEYS_PER_TEN < KEYS_PER_TEN_MAX && KEYS_PER_TEN_MAX < 10 * SLOTS);

/// A cache line of keys.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
struct Block {
    /// The first numbers of all tails, the second ones, the third ones.
    words: [[u32; SLOTS]; 3],
    /// The [`mark`]s of keys that belong here and did not find a slot: these are in one of the next blocks.
    passed: u32,
}

impl Block {
    /// Which slots hold this tail, as bits; for zero, which slots are free.
    #[inline]
    fn slots(&self, &[one, two, three]: &Tail) -> u32 {
        let [ones, twos, threes] = &self.words;
        let differences = ones.iter().zip(twos).zip(threes).map(|((a, b), c)| (a ^ one) | (b ^ two) | (c ^ three));
        differences.zip(0..).fold(0, |found, (difference, slot)| found | u32::from(difference == 0) << slot)
    }

    /// Writes a tail over the first slot that holds another one. Whether there was one.
    fn replace(&mut self, old: &Tail, new: &Tail) -> bool {
        let Some(slot) = usize::try_from(self.slots(old).trailing_zeros()).ok().filter(|&slot| slot < SLOTS) else {
            return false;
        };
        for (words, new) in self.words.iter_mut().zip(new) {
            if let Some(word) = words.get_mut(slot) {
                *word = *new;
            }
        }
        true
    }

    fn tails(&self) -> impl Iterator<Item = Tail> {
        let [ones, twos, threes] = self.words;
        let tails = ones.into_iter().zip(twos).zip(threes).map(|((one, two), three)| [one, two, three]);
        tails.filter(|tail| *tail != FREE)
    }
}

/// What is in a slot without a key.
const FREE: Tail = [0; 3];

/// An immutable set of tails. Copies share their memory.
#[derive(Clone, Default)]
pub(super) struct Shard {
    blocks: Option<Arc<[Block]>>,
    len: usize,
}

impl Shard {
    /// A shard of these tails, which are all different.
    pub(super) fn of(tails: &[Tail], seed: u64) -> Self {
        if tails.is_empty() {
            return Self::default();
        }
        let count = tails.len().saturating_mul(10).div_ceil(KEYS_PER_TEN);
        let mut blocks: Arc<[Block]> = std::iter::repeat_n(Block::default(), count).collect();
        let places = Arc::make_mut(&mut blocks);
        tails.iter().for_each(|tail| insert(places, tail, seed));
        Self { blocks: Some(blocks), len: tails.len() }
    }

    /// How many tails it holds.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        // An `Arc` has two counters in front, and is aligned as what follows.
        self.blocks.as_ref().map_or(0, |blocks| align_of::<Block>().saturating_add(size_of_val(&**blocks)))
    }

    /// Whether it holds this tail.
    #[inline]
    pub(super) fn contains(&self, tail: &Tail, seed: u64) -> bool {
        let Some(blocks) = &self.blocks else { return false };
        let mut at = home(tail, seed, blocks.len());
        // The bound is for the proof that it ends: each round but the last one ends at a key that went past the block.
        for _ in 0..blocks.len() {
            let Some(block) = blocks.get(at) else { return false };
            if block.slots(tail) != 0 {
                return true;
            }
            if block.passed & mark(tail) == 0 {
                return false;
            }
            at = next(at, blocks.len());
        }
        false
    }

    /// This shard with edits made to it: tails in order, each of them once, and whether it shall be there.
    pub(super) fn with(&self, edits: &[(Tail, bool)], seed: u64) -> Self {
        let new = edits.iter().filter(|(tail, present)| *present && !self.contains(tail, seed)).map(|(tail, _)| *tail);
        let new: Vec<_> = new.collect();
        let is_removed = |tail: &Tail| {
            let edit = edits.binary_search_by_key(tail, |(edited, _)| *edited).ok().and_then(|place| edits.get(place));
            edit.is_some_and(|(_, present)| !present)
        };
        let len = self.len.saturating_add(new.len());
        // Where only keys come and there is room, they are put where they belong. Anything else is made anew: a key that is taken away
        // would leave marks behind that send look-ups on for nothing.
        if let Some(blocks) = self.blocks.as_ref().filter(|blocks| len <= room(blocks.len()))
            && !edits.iter().any(|(tail, present)| !present && self.contains(tail, seed))
        {
            let mut blocks = Arc::clone(blocks);
            let places = Arc::make_mut(&mut blocks);
            new.iter().for_each(|tail| insert(places, tail, seed));
            return Self { blocks: Some(blocks), len };
        }
        let kept = self.blocks.iter().flat_map(|blocks| blocks.iter()).flat_map(Block::tails);
        let tails: Vec<_> = kept.filter(|tail| !is_removed(tail)).chain(new).collect();
        Self::of(&tails, seed)
    }
}

/// How many keys so many blocks take before there must be more.
const fn room(blocks: usize) -> usize {
    blocks.saturating_mul(KEYS_PER_TEN_MAX) / 10
}

/// Puts a tail that is not there yet into the first free slot from its home on.
fn insert(blocks: &mut [Block], tail: &Tail, seed: u64) {
    let mut at = home(tail, seed, blocks.len());
    for _ in 0..blocks.len() {
        let Some(block) = blocks.get_mut(at) else { return };
        if block.replace(&FREE, tail) {
            return;
        }
        block.passed |= mark(tail);
        at = next(at, blocks.len());
    }
}

/// The block that a tail belongs to, among so many. Nobody who does not know the seed, which is odd, can choose serial numbers that crowd.
#[inline]
fn home(&[one, two, _]: &Tail, seed: u64, blocks: usize) -> usize {
    let mixed = (u64::from(one) << 32 | u64::from(two)).wrapping_mul(seed) >> 32;
    let blocks = u64::from(u32::try_from(blocks).unwrap_or(u32::MAX));
    usize::try_from(mixed.saturating_mul(blocks) >> 32).unwrap_or(0)
}

/// The block after this one.
#[inline]
const fn next(at: usize, blocks: usize) -> usize {
    let next = at.saturating_add(1);
    if next < blocks { next } else { 0 }
}

/// The bit of a tail among those that were sent on: by a number that its home does not depend on.
#[inline]
const fn mark(&[_, _, three]: &Tail) -> u32 {
    1 << (three & 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

    fn tails(count: u32) -> Vec<Tail> {
        (1..=count).map(|number| [number.wrapping_mul(0x9e37_79b1), number, number.wrapping_mul(0x85eb_ca6b)]).collect()
    }

    fn edits(tails: &[Tail], present: bool) -> Vec<(Tail, bool)> {
        let mut edits: Vec<_> = tails.iter().map(|tail| (*tail, present)).collect();
        edits.sort_unstable();
        edits
    }

    #[test]
    fn a_shard_finds_what_it_holds_and_nothing_else_at_every_size() {
        for count in (0..60).chain([1_000, 10_000]) {
            let all = tails(2 * count);
            let (present, absent) = all.split_at(all.len() / 2);
            let shard = Shard::of(present, SEED);
            assert_eq!(shard.len(), present.len());
            assert!(present.iter().all(|tail| shard.contains(tail, SEED)), "{count}");
            assert!(!absent.iter().any(|tail| shard.contains(tail, SEED)), "{count}");
        }
    }

    #[test]
    fn a_shard_grows_one_by_one_and_never_fills_up() {
        let all = tails(1_000);
        let mut shard = Shard::default();
        for (place, tail) in all.iter().enumerate() {
            shard = shard.with(&[(*tail, true)], SEED);
            let slots = shard.blocks.as_ref().map_or(0, |blocks| blocks.len() * SLOTS);
            assert!(shard.len() == place + 1 && shard.len() < slots, "{} keys in {slots} slots", shard.len());
            assert!(shard.contains(tail, SEED));
        }
        assert!(all.iter().all(|tail| shard.contains(tail, SEED)));
    }

    #[test]
    fn keys_that_all_belong_to_one_block_are_found() {
        // The home is made of the first two numbers alone, so these all have the same.
        let crowd: Vec<Tail> = (1..500).map(|number| [0, 0, number]).collect();
        let (present, absent) = crowd.split_at(250);
        let shard = Shard::of(present, SEED);
        assert!(present.iter().all(|tail| shard.contains(tail, SEED)));
        assert!(!absent.iter().any(|tail| shard.contains(tail, SEED)));
    }

    #[test]
    fn what_is_taken_away_leaves_no_marks() {
        let all = tails(1_000);
        let shard = Shard::of(&all, SEED).with(&edits(&all[1..], false), SEED);
        assert_eq!(shard.len(), 1);
        assert!(shard.contains(&all[0], SEED) && !shard.contains(&all[1], SEED));
        assert_eq!(shard.blocks.unwrap().iter().map(|block| block.passed).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn the_last_key_that_goes_frees_the_memory() {
        let all = tails(7);
        let shard = Shard::of(&all, SEED).with(&edits(&all, false), SEED);
        assert_eq!((shard.len(), shard.heap_bytes()), (0, 0));
    }

    #[test]
    fn a_block_is_a_cache_line() {
        assert_eq!((size_of::<Block>(), align_of::<Block>()), (64, 64));
    }
}
