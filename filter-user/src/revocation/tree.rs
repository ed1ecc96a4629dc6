//! The immutable radix tree behind the set.
//!
//! Keys are cryptographic hashes, so they are spread evenly: the first byte picks a node, the second a leaf, and the
//! remaining 14 bytes are stored there in order, found by interpolation. Two versions of a tree share every node and
//! leaf that did not change.

use std::sync::Arc;

use super::filter::Filter;
use super::key::RevocationKey;

/// The part of a key that its place in the tree does not tell: what a leaf stores.
type Tail = [u8; HEAD + REST];
/// Bytes of a tail that are compared first.
const HEAD: usize = 4;
/// Bytes of a tail that are compared when the first ones are equal.
const REST: usize = 10;

/// Heads that are counted around the interpolated place, all of them, without a branch: a loop that stopped when it knew
/// would have to be predicted, and a wrong prediction waits for memory.
///
/// With 10 million keys a leaf holds 153, a guess is off by 5 on average, and by more than half of this once in 200 times.
const WINDOW: usize = 32;

/// Keys whose first two bytes are the same, sorted: all heads, then all rests.
type Leaf = Option<Arc<[u8]>>;

/// Keys whose first byte is the same.
#[derive(Clone)]
struct Node {
    leaves: [Leaf; 256],
}

impl Node {
    fn empty() -> Arc<Self> {
        Arc::new(Self { leaves: [const { None }; 256] })
    }
}

/// An immutable set of keys.
#[derive(Clone)]
pub(super) struct Tree {
    nodes: [Option<Arc<Node>>; 256],
    /// Of the keys under each node. Beside the nodes and not in them: one step less to the answer that most look-ups get.
    filters: Box<[Filter; 256]>,
    len: usize,
}

impl Tree {
    /// The set without keys.
    pub(super) fn empty() -> Self {
        Self { nodes: [const { None }; 256], filters: Box::new([const { Filter::EMPTY }; 256]), len: 0 }
    }

    /// A set of the given keys, which need neither be sorted nor distinct.
    pub(super) fn from_keys(mut keys: Vec<RevocationKey>) -> Self {
        keys.sort_unstable();
        keys.dedup();
        let mut tree = Self::empty();
        for group in keys.chunk_by(same_leaf) {
            let Some(first) = group.first() else { continue };
            *tree.leaf_mut(first) = encode(&group.iter().map(tail).collect::<Vec<_>>());
        }
        for group in keys.chunk_by(same_node) {
            let Some(filter) = group.first().and_then(|first| tree.filter_mut(first)) else { continue };
            *filter = Filter::of(group.len(), group.iter().copied());
        }
        tree.len = keys.len();
        tree
    }

    /// How many keys the set holds.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes on the heap, those included that other versions share.
    pub(super) fn heap_bytes(&self) -> usize {
        /// Two counters in front of what an `Arc` shares.
        const ARC: usize = 2 * size_of::<usize>();
        let nodes = self.nodes.iter().flatten();
        let filters: usize = self.filters.iter().map(Filter::heap_bytes).sum();
        let nodes: usize = nodes
            .map(|node| {
                let leaves = node.leaves.iter().flatten();
                let bytes: usize = leaves.map(|tails| ARC.saturating_add(tails.len())).sum();
                bytes.saturating_add(ARC).saturating_add(size_of::<Node>())
            })
            .sum();
        nodes.saturating_add(filters)
    }

    /// Whether the set holds this key.
    pub(super) fn contains(&self, key: &RevocationKey) -> bool {
        let [first, second, ..] = *key.as_bytes();
        if !self.filters.get(usize::from(first)).is_some_and(|filter| filter.may_hold(key)) {
            return false;
        }
        let leaf = self.nodes.get(usize::from(first)).and_then(Option::as_ref);
        match leaf.and_then(|node| node.leaves.get(usize::from(second))) {
            Some(Some(leaf)) => holds(leaf, &tail(key)),
            _ => false,
        }
    }

    /// This set with `added` and without `removed`; a key in both is removed.
    pub(super) fn with(&self, added: &[RevocationKey], removed: &[RevocationKey]) -> Self {
        let mut edits: Vec<(RevocationKey, bool)> = Vec::with_capacity(added.len().saturating_add(removed.len()));
        edits.extend(added.iter().map(|key| (*key, true)));
        edits.extend(removed.iter().map(|key| (*key, false)));
        // `false` sorts first, and the first of equal keys survives: a removal wins over an addition.
        edits.sort_unstable();
        edits.dedup_by_key(|(key, _)| *key);
        let mut tree = self.clone();
        for group in edits.chunk_by(|(one, _), (two, _)| same_leaf(one, two)) {
            let Some((first, _)) = group.first() else { continue };
            let leaf = tree.leaf_mut(first);
            let before = decode(leaf.as_deref().unwrap_or_default());
            let after = merge(&before, group);
            *leaf = encode(&after);
            tree.len = tree.len.saturating_sub(before.len()).saturating_add(after.len());
        }
        for group in edits.chunk_by(|(one, _), (two, _)| same_node(one, two)) {
            tree.filter(group);
        }
        tree
    }

    /// Brings the filter of a node to a group of edits that was made to it. A key that is gone stays in the filter until it is made
    /// anew: it costs a look into the tree.
    fn filter(&mut self, edits: &[(RevocationKey, bool)]) {
        let Some((first, _)) = edits.first() else { return };
        let added = edits.iter().filter(|(_, present)| *present).map(|(key, _)| *key);
        let Some(filter) = self.filter_mut(first) else { return };
        if let Some(more) = filter.with(added.clone().count(), added) {
            *filter = more;
            return;
        }
        let keys = self.keys_under(first);
        if let Some(filter) = self.filter_mut(first) {
            *filter = Filter::of(keys.len(), keys.into_iter());
        }
    }

    fn filter_mut(&mut self, key: &RevocationKey) -> Option<&mut Filter> {
        let [first, ..] = *key.as_bytes();
        self.filters.get_mut(usize::from(first))
    }

    /// All keys that have the first byte of this one.
    fn keys_under(&self, key: &RevocationKey) -> Vec<RevocationKey> {
        let [first, ..] = *key.as_bytes();
        let Some(node) = self.nodes.get(usize::from(first)).and_then(Option::as_ref) else { return Vec::new() };
        let leaves = (0..=u8::MAX).zip(&node.leaves).filter_map(|(second, leaf)| Some((second, leaf.as_ref()?)));
        let keys =
            leaves.flat_map(|(second, leaf)| decode(leaf).into_iter().map(move |tail| whole(first, second, tail)));
        keys.collect()
    }

    /// The leaf a key belongs to, with a path to it that no other version of the tree shares.
    fn leaf_mut(&mut self, key: &RevocationKey) -> &mut Leaf {
        let [first, second, ..] = *key.as_bytes();
        let node = self.nodes.get_mut(usize::from(first)).expect("a byte indexes 256 places");
        let node = Arc::make_mut(node.get_or_insert_with(Node::empty));
        node.leaves.get_mut(usize::from(second)).expect("a byte indexes 256 places")
    }
}

fn same_leaf(one: &RevocationKey, two: &RevocationKey) -> bool {
    one.as_bytes().first_chunk::<2>() == two.as_bytes().first_chunk::<2>()
}

fn same_node(one: &RevocationKey, two: &RevocationKey) -> bool {
    one.as_bytes().first() == two.as_bytes().first()
}

/// A key of its place in the tree and its tail.
fn whole(first: u8, second: u8, tail: Tail) -> RevocationKey {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = tail;
    RevocationKey::from_bytes([first, second, a, b, c, d, e, f, g, h, i, j, k, l, m, n])
}

fn tail(key: &RevocationKey) -> Tail {
    let [_, _, tail @ ..] = *key.as_bytes();
    tail
}

/// The sorted tails of a leaf with a sorted group of edits applied.
fn merge(tails: &[Tail], edits: &[(RevocationKey, bool)]) -> Vec<Tail> {
    let mut merged = Vec::with_capacity(tails.len().saturating_add(edits.len()));
    let mut rest = tails;
    for (key, present) in edits {
        let wanted = tail(key);
        let (below, from) = rest.split_at(rest.binary_search(&wanted).unwrap_or_else(|place| place));
        merged.extend_from_slice(below);
        rest = match from.split_first() {
            Some((same, after)) if *same == wanted => after,
            _ => from,
        };
        if *present {
            merged.push(wanted);
        }
    }
    merged.extend_from_slice(rest);
    merged
}

/// A leaf of sorted tails; none if there are none.
fn encode(tails: &[Tail]) -> Leaf {
    let mut bytes = Vec::with_capacity(size_of_val(tails));
    tails.iter().for_each(|tail| bytes.extend(head(tail).to_ne_bytes()));
    tails.iter().for_each(|tail| bytes.extend(rest(tail)));
    (!bytes.is_empty()).then(|| bytes.into())
}

/// The tails of a leaf.
fn decode(leaf: &[u8]) -> Vec<Tail> {
    let (heads, rests) = split(leaf);
    let join = |(head, rest): (&[u8; HEAD], &[u8; REST])| {
        let [a, b, c, d] = u32::from_ne_bytes(*head).to_be_bytes();
        let [e, f, g, h, i, j, k, l, m, n] = *rest;
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n]
    };
    heads.iter().zip(rests).map(join).collect()
}

/// Heads and rests of a leaf, as many of the one as of the other.
fn split(leaf: &[u8]) -> (&[[u8; HEAD]], &[[u8; REST]]) {
    let heads = leaf.len() / size_of::<Tail>() * HEAD;
    let (heads, rests) = leaf.split_at(heads);
    (heads.as_chunks().0, rests.as_chunks().0)
}

/// The first bytes of a tail as a number of the same order.
fn head(tail: &Tail) -> u32 {
    let [a, b, c, d, ..] = *tail;
    u32::from_be_bytes([a, b, c, d])
}

fn rest(tail: &Tail) -> [u8; REST] {
    let [_, _, _, _, rest @ ..] = *tail;
    rest
}

/// Whether a leaf holds a tail.
fn holds(leaf: &[u8], wanted: &Tail) -> bool {
    let (heads, rests) = split(leaf);
    let (wanted_head, wanted_rest) = (head(wanted), rest(wanted));
    let place = rank(heads, wanted_head);
    let candidates = heads.iter().zip(rests).skip(place);
    // Two keys have the same head once in 2^48 pairs, unless somebody works for it.
    let mut same_head = candidates.take_while(|(head, _)| u32::from_ne_bytes(**head) == wanted_head);
    same_head.any(|(_, rest)| *rest == wanted_rest)
}

/// How many heads are smaller than the wanted one.
///
/// The heads are looked at where they would be if hashes were spread with a ruler: a run of cache lines whose addresses
/// are known before any of them arrives. Where hashes crowd, by rare chance or by somebody's work, it is a binary search.
fn rank(heads: &[[u8; HEAD]], wanted: u32) -> usize {
    let count = heads.len();
    let is_below = |head: &[u8; HEAD]| u32::from_ne_bytes(*head) < wanted;
    // 32-bit sums: they are what the compiler adds several of at once.
    let below = |heads: &[[u8; HEAD]]| heads.iter().map(|head| u32::from(is_below(head))).sum::<u32>();
    let start = interpolate(wanted, count).saturating_sub(WINDOW / 2).min(count.saturating_sub(WINDOW));
    let Some(window) = heads.get(start..).and_then(<[_]>::first_chunk::<WINDOW>) else {
        return usize::try_from(below(heads)).unwrap_or(count);
    };
    let found = usize::try_from(below(window)).unwrap_or(WINDOW);
    let from_left = found > 0 || start == 0;
    let to_right = found < WINDOW || start.saturating_add(WINDOW) == count;
    if from_left && to_right { start.saturating_add(found) } else { heads.partition_point(is_below) }
}

/// The place of a head among `count` evenly spread ones; less than `count`, except when there is none.
fn interpolate(head: u32, count: usize) -> usize {
    let count = u64::from(u32::try_from(count).unwrap_or(u32::MAX));
    usize::try_from(u64::from(head).saturating_mul(count) >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Keys that crowd a few leaves and a few places of a leaf, so that collisions and neighbours happen.
    fn crowded_key() -> impl Strategy<Value = RevocationKey> {
        let byte = prop_oneof![Just(0_u8), Just(1), Just(254), Just(255)];
        (byte.clone(), byte.clone(), byte.clone(), byte, any::<[u8; 2]>()).prop_map(|(a, b, c, d, [e, f])| {
            RevocationKey::from_bytes([a, b, c, d, d, d, c, c, 0, 0, 0, 0, 0, 0, e & 3, f & 7])
        })
    }

    fn spread_keys(count: u64) -> Vec<RevocationKey> {
        let issuer = super::super::IssuerKeyHash::of_spki(b"issuer");
        (1..=count).map(|serial| RevocationKey::new(&issuer, &serial.to_be_bytes())).collect()
    }

    proptest! {
        #[test]
        fn a_built_tree_answers_like_a_hash_set(keys in vec(crowded_key(), 0..600), asked in vec(crowded_key(), 100)) {
            let oracle: HashSet<_> = keys.iter().copied().collect();
            let tree = Tree::from_keys(keys);
            prop_assert_eq!(tree.len(), oracle.len());
            prop_assert!(oracle.iter().all(|key| tree.contains(key)));
            for key in asked {
                prop_assert_eq!(tree.contains(&key), oracle.contains(&key));
            }
        }

        #[test]
        fn edits_answer_like_a_hash_set(batches in vec((vec(crowded_key(), 0..40), vec(crowded_key(), 0..40)), 0..12)) {
            let mut oracle = HashSet::new();
            let mut tree = Tree::empty();
            for (added, removed) in batches {
                tree = tree.with(&added, &removed);
                oracle.extend(added.iter().copied());
                removed.iter().for_each(|key| { oracle.remove(key); });
                prop_assert_eq!(tree.len(), oracle.len());
                prop_assert!(oracle.iter().all(|key| tree.contains(key)));
                prop_assert!(removed.iter().all(|key| !tree.contains(key)));
            }
        }
    }

    #[test]
    fn a_head_is_ranked_wherever_heads_crowd() {
        let crowd = |place: u32| (0..300).map(move |offset| place.saturating_add(offset * 3));
        for place in [0, 1 << 31, u32::MAX - 1_000] {
            let sorted: Vec<u32> = crowd(place).collect();
            let tails: Vec<Tail> = sorted
                .iter()
                .map(|head| {
                    let [a, b, c, d] = head.to_be_bytes();
                    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
                })
                .collect();
            for count in [0, 1, 9, 10, WINDOW - 1, WINDOW, WINDOW + 1, 300] {
                let leaf = encode(&tails[..count]).unwrap_or_else(|| [].into());
                let (heads, _) = split(&leaf);
                let asked = sorted.iter().flat_map(|head| [head.saturating_sub(1), *head, head.saturating_add(1)]);
                for wanted in asked.chain([0, u32::MAX]) {
                    let expected = sorted[..count].partition_point(|head| *head < wanted);
                    assert_eq!(rank(heads, wanted), expected, "{wanted} among {count} from {place}");
                }
            }
        }
    }

    #[test]
    fn keys_of_the_same_head_are_told_apart() {
        let keys: Vec<_> = (0..100)
            .map(|last| RevocationKey::from_bytes([7, 7, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]))
            .collect();
        let tree = Tree::from_keys(keys[..99].to_vec());
        assert!(keys[..99].iter().all(|key| tree.contains(key)) && !tree.contains(&keys[99]));
    }

    #[test]
    fn spread_keys_are_found_and_others_are_not() {
        let keys = spread_keys(200_000);
        let (present, absent) = keys.split_at(100_000);
        let tree = Tree::from_keys(present.to_vec());
        assert_eq!(tree.len(), 100_000);
        assert!(present.iter().all(|key| tree.contains(key)));
        assert!(!absent.iter().any(|key| tree.contains(key)));
    }

    #[test]
    fn a_key_is_found_however_the_tree_grew_and_shrank() {
        let keys = spread_keys(6_000);
        let mut tree = Tree::empty();
        // One by one, so that filters fill up and are made anew; a third goes again.
        for (place, key) in keys.iter().enumerate() {
            tree = tree.with(&[*key], &[]);
            if place % 3 == 2 {
                tree = tree.with(&[], &[*key]);
            }
        }
        for (place, key) in keys.iter().enumerate() {
            assert_eq!(tree.contains(key), place % 3 != 2);
        }
        assert_eq!(tree.len(), 4_000);
    }

    #[test]
    fn an_entry_takes_less_than_sixteen_bytes_in_a_big_tree() {
        let keys: Vec<_> = spread_keys(4_000_000);
        let tree = Tree::from_keys(keys);
        assert!(tree.heap_bytes() < 16 * tree.len(), "{} bytes an entry", tree.heap_bytes() / tree.len());
    }

    #[test]
    fn a_version_is_not_changed_by_its_successors() {
        let keys = spread_keys(3);
        let before = Tree::from_keys(keys[..2].to_vec());
        let after = before.with(&keys[2..], &keys[..1]);
        assert_eq!(keys.iter().map(|key| before.contains(key)).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(keys.iter().map(|key| after.contains(key)).collect::<Vec<_>>(), [false, true, true]);
    }

    #[test]
    fn a_key_that_is_added_and_removed_at_once_is_absent() {
        let keys = spread_keys(1);
        assert!(!Tree::empty().with(&keys, &keys).contains(&keys[0]));
    }

    #[test]
    fn a_removed_last_key_of_a_leaf_frees_the_leaf() {
        let keys = spread_keys(1);
        let tree = Tree::from_keys(keys.clone()).with(&[], &keys);
        assert_eq!(tree.len(), 0);
        assert!(tree.nodes.iter().flatten().all(|node| node.leaves.iter().all(Option::is_none)));
    }
}
