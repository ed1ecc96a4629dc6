//! The immutable table behind the set.
//!
//! Keys are cryptographic hashes, so they are spread evenly: the first ten bits pick a shard, and the next 96 are stored there. Two versions
//! of a table share every shard that did not change.

use std::hash::{BuildHasher, RandomState};

use super::key::RevocationKey;
use super::shard::{Shard, Tail};

/// Bits of a key that pick its shard.
///
/// Few, because the list of shards is to stay in the cache; enough that to copy one, which a revocation does, takes microseconds: with ten
/// million keys, one of 149 KB.
const SHARD_BITS: u32 = 10;
/// Bits of a key that its shard stores. With those that picked it, 106 of 128 count: that a certificate in a billion is taken for one of ten
/// million others is as likely as 10^-16, and nobody can look for such a pair.
const TAIL_BITS: u32 = 96;

/// An immutable set of keys.
#[derive(Clone)]
pub(super) struct Table {
    /// None at all, or one for each value of the first bits.
    shards: Vec<Shard>,
    /// Where keys are in their shards depends on this, which nobody outside knows. Odd.
    seed: u64,
    len: usize,
}

impl Table {
    /// The set without keys.
    pub(super) fn empty() -> Self {
        Self { shards: Vec::new(), seed: RandomState::new().hash_one(()) | 1, len: 0 }
    }

    /// A set of the given keys, which need neither be sorted nor distinct.
    pub(super) fn from_keys(mut keys: Vec<RevocationKey>) -> Self {
        keys.sort_unstable();
        keys.dedup_by_key(|key| place(key));
        let mut table = Self::empty();
        table.len = keys.len();
        for group in keys.chunk_by(|one, two| place(one).0 == place(two).0) {
            let tails: Vec<_> = group.iter().map(|key| place(key).1).collect();
            let seed = table.seed;
            if let Some(shard) = group.first().and_then(|key| table.shard_mut(place(key).0)) {
                *shard = Shard::of(&tails, seed);
            }
        }
        table
    }

    /// How many keys the set holds.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes on the heap, those included that other versions share.
    pub(super) fn heap_bytes(&self) -> usize {
        let shards: usize = self.shards.iter().map(Shard::heap_bytes).sum();
        shards.saturating_add(size_of_val(&*self.shards))
    }

    /// Whether the set holds this key.
    #[inline]
    pub(super) fn contains(&self, key: &RevocationKey) -> bool {
        let (shard, tail) = place(key);
        self.shards.get(shard).is_some_and(|shard| shard.contains(&tail, self.seed))
    }

    /// This set with `added` and without `removed`; a key in both is removed.
    pub(super) fn with(&self, added: &[RevocationKey], removed: &[RevocationKey]) -> Self {
        let added = added.iter().map(|key| (place(key), true));
        let removed = removed.iter().map(|key| (place(key), false));
        let mut edits: Vec<((usize, Tail), bool)> = added.chain(removed).collect();
        // `false` sorts first, and the first of equal keys survives: a removal wins over an addition.
        edits.sort_unstable();
        edits.dedup_by_key(|(place, _)| *place);
        let mut table = self.clone();
        for group in edits.chunk_by(|((one, _), _), ((two, _), _)| one == two) {
            let edits: Vec<_> = group.iter().map(|((_, tail), present)| (*tail, *present)).collect();
            let Some(shard) = group.first().and_then(|((shard, _), _)| table.shard_mut(*shard)) else { continue };
            let before = shard.len();
            *shard = shard.with(&edits, self.seed);
            let after = shard.len();
            table.len = table.len.saturating_sub(before).saturating_add(after);
        }
        table
    }

    fn shard_mut(&mut self, shard: usize) -> Option<&mut Shard> {
        if self.shards.is_empty() {
            self.shards.resize_with(1 << SHARD_BITS, Shard::default);
        }
        self.shards.get_mut(shard)
    }
}

/// The shard of a key, and what is stored there.
#[inline]
fn place(key: &RevocationKey) -> (usize, Tail) {
    let key = u128::from_be_bytes(*key.as_bytes());
    let shard = usize::try_from(key >> (u128::BITS - SHARD_BITS)).unwrap_or(0);
    let tail = key << SHARD_BITS >> (u128::BITS - TAIL_BITS);
    // Zero is a free slot. The one hash in 2^96 that is zero here is taken for its neighbour.
    let [.., a, b, c, d, e, f, g, h, i, j, k, l] = tail.max(1).to_be_bytes();
    (shard, [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_be_bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Keys that crowd a few shards and differ in few bits, so that collisions and neighbours happen.
    fn crowded_key() -> impl Strategy<Value = RevocationKey> {
        let byte = prop_oneof![Just(0_u8), Just(1), Just(254), Just(255)];
        (byte.clone(), byte.clone(), byte.clone(), byte, any::<[u8; 2]>()).prop_map(|(a, b, c, d, [e, f])| {
            RevocationKey::from_bytes([a, b, c, d, d, d, c, c, 0, 0, 0, e & 3, f & 7, 0, 0, 0])
        })
    }

    fn spread_keys(count: u64) -> Vec<RevocationKey> {
        let issuer = super::super::IssuerKeyHash::of_spki(b"issuer");
        (1..=count).map(|serial| RevocationKey::new(&issuer, &serial.to_be_bytes())).collect()
    }

    proptest! {
        #[test]
        fn a_built_table_answers_like_a_hash_set(keys in vec(crowded_key(), 0..600), asked in vec(crowded_key(), 100)) {
            let oracle: HashSet<_> = keys.iter().copied().collect();
            let table = Table::from_keys(keys);
            prop_assert_eq!(table.len(), oracle.len());
            prop_assert!(oracle.iter().all(|key| table.contains(key)));
            for key in asked {
                prop_assert_eq!(table.contains(&key), oracle.contains(&key));
            }
        }

        #[test]
        fn edits_answer_like_a_hash_set(batches in vec((vec(crowded_key(), 0..40), vec(crowded_key(), 0..40)), 0..12)) {
            let mut oracle = HashSet::new();
            let mut table = Table::empty();
            for (added, removed) in batches {
                table = table.with(&added, &removed);
                oracle.extend(added.iter().copied());
                removed.iter().for_each(|key| { oracle.remove(key); });
                prop_assert_eq!(table.len(), oracle.len());
                prop_assert!(oracle.iter().all(|key| table.contains(key)));
                prop_assert!(removed.iter().all(|key| !table.contains(key)));
            }
        }
    }

    #[test]
    fn keys_that_differ_in_the_last_bits_that_count_are_told_apart() {
        let keys: Vec<_> = (0..100)
            .map(|last: u8| RevocationKey::from_bytes([7, 7, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, last >> 2, last << 6, 0, 0]))
            .collect();
        let table = Table::from_keys(keys[..99].to_vec());
        assert!(keys[..99].iter().all(|key| table.contains(key)) && !table.contains(&keys[99]));
    }

    #[test]
    fn spread_keys_are_found_and_others_are_not() {
        let keys = spread_keys(200_000);
        let (present, absent) = keys.split_at(100_000);
        let table = Table::from_keys(present.to_vec());
        assert_eq!(table.len(), 100_000);
        assert!(present.iter().all(|key| table.contains(key)));
        assert!(!absent.iter().any(|key| table.contains(key)));
    }

    #[test]
    fn a_key_is_found_however_the_table_grew_and_shrank() {
        let keys = spread_keys(6_000);
        let mut table = Table::empty();
        // One by one, so that shards fill up and are made anew; a third goes again.
        for (place, key) in keys.iter().enumerate() {
            table = table.with(&[*key], &[]);
            if place % 3 == 2 {
                table = table.with(&[], &[*key]);
            }
        }
        for (place, key) in keys.iter().enumerate() {
            assert_eq!(table.contains(key), place % 3 != 2);
        }
        assert_eq!(table.len(), 4_000);
    }

    #[test]
    fn an_entry_takes_less_than_sixteen_bytes_in_a_big_table() {
        let keys: Vec<_> = spread_keys(4_000_000);
        let table = Table::from_keys(keys);
        assert!(table.heap_bytes() < 16 * table.len(), "{} bytes an entry", table.heap_bytes() / table.len());
    }

    #[test]
    fn a_version_is_not_changed_by_its_successors() {
        let keys = spread_keys(3);
        let before = Table::from_keys(keys[..2].to_vec());
        let after = before.with(&keys[2..], &keys[..1]);
        assert_eq!(keys.iter().map(|key| before.contains(key)).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(keys.iter().map(|key| after.contains(key)).collect::<Vec<_>>(), [false, true, true]);
    }

    #[test]
    fn a_key_that_is_added_and_removed_at_once_is_absent() {
        let keys = spread_keys(1);
        assert!(!Table::empty().with(&keys, &keys).contains(&keys[0]));
    }

    #[test]
    fn a_key_of_zeros_is_a_key() {
        let zeros = RevocationKey::from_bytes([0; 16]);
        let table = Table::from_keys(spread_keys(10));
        assert!(!table.contains(&zeros));
        let table = table.with(&[zeros], &[]);
        assert!(table.contains(&zeros) && table.len() == 11);
        assert!(!table.with(&[], &[zeros]).contains(&zeros));
    }
}
