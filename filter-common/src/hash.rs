//! A hash for tables of the project's own: every edge and both sides of the maps compute the same.

/// The hash of these words, MurmurHash3's steps and the first half of its end; the high bits are the better ones.
#[inline(always)]
pub(crate) fn murmur(seed: u32, words: impl IntoIterator<Item = u32>) -> u32 {
    let hash = words.into_iter().fold(seed, |hash, word| {
        let mixed = hash ^ word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
        mixed.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
    });
    (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b)
}
