//! Comparing and searching short strings, which is most of what rules do.
//!
//! Values of a request are tens of bytes long. At that length a call of `memcmp`, or of a searcher that first chooses among
//! instruction sets, costs more than the work, so both are done in place with chunks the compiler keeps in vector registers.

use memchr::arch::all::packedpair::Pair;
use memchr::memmem;

/// Whether two strings are equal.
#[inline]
pub(super) fn equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && equal_of_one_length(left, right)
}

#[inline(never)]
fn equal_of_one_length(left: &[u8], right: &[u8]) -> bool {
    // The first and the last N bytes cover up to 2 N; where they overlap, a byte is compared twice.
    match left.len() {
        0 => true,
        1 => ends_equal::<1>(left, right),
        2..=4 => ends_equal::<2>(left, right),
        5..=8 => ends_equal::<4>(left, right),
        9..=16 => ends_equal::<8>(left, right),
        17..=32 => ends_equal::<16>(left, right),
        33..=64 => halves_equal(left, right),
        _ => left == right,
    }
}

#[inline]
fn ends_equal<const N: usize>(left: &[u8], right: &[u8]) -> bool {
    left.first_chunk::<N>() == right.first_chunk::<N>() && left.last_chunk::<N>() == right.last_chunk::<N>()
}

/// As [`ends_equal`] of the first and the last 32 bytes.
#[inline]
fn halves_equal(left: &[u8], right: &[u8]) -> bool {
    let heads = left.first_chunk::<32>().zip(right.first_chunk::<32>());
    let tails = left.last_chunk::<32>().zip(right.last_chunk::<32>());
    heads.zip(tails).is_some_and(|((a, b), (c, d))| ends_equal::<16>(a, b) && ends_equal::<16>(c, d))
}

/// A string that is sought in others.
///
/// Places where two bytes of the needle stand at their distance are found many at once; the two are the rarest by `memchr`'s
/// guess. Most haystacks hold no such place. The rest of one that does is left to [`memmem`], which is linear whatever it
/// searches.
#[derive(Clone, Debug)]
pub(super) struct Needle {
    bytes: Box<[u8]>,
    /// Positions of the two bytes in the needle, and the bytes, as often as they are compared at a time.
    pair: [(usize, [u8; WIDTH]); 2],
    finder: memmem::Finder<'static>,
}

/// So many places are looked at at a time.
const WIDTH: usize = 32;

impl Needle {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let pair = Pair::new(bytes).map_or([0, 0], |pair| [pair.index1(), pair.index2()]);
        let pair = pair.map(|position| {
            let position = usize::from(position);
            (position, [bytes.get(position).copied().unwrap_or_default(); WIDTH])
        });
        Self { bytes: bytes.into(), pair, finder: memmem::Finder::new(bytes).into_owned() }
    }

    pub(super) fn into_bytes(self) -> Box<[u8]> {
        self.bytes
    }

    /// Whether the needle occurs in `haystack`.
    #[inline(never)]
    pub(super) fn is_in(&self, haystack: &[u8]) -> bool {
        let Some(last) = haystack.len().checked_sub(self.bytes.len()) else { return false };
        let places = last.saturating_add(1);
        let [first, second] = &self.pair;
        // What the two bytes are compared with, by place.
        let by_place = |position: usize| haystack.get(position..position.saturating_add(places));
        let (Some(firsts), Some(seconds)) = (by_place(first.0), by_place(second.0)) else { return true };
        let is_suspect = match places {
            0..4 => true,
            4..=8 => self.is_any_at_ends::<4>(firsts, seconds),
            9..=16 => self.is_any_at_ends::<8>(firsts, seconds),
            17..=32 => self.is_any_at_ends::<16>(firsts, seconds),
            _ => self.is_anywhere(firsts, seconds),
        };
        is_suspect && self.is_really_in(haystack)
    }

    /// Whether the two bytes stand at any place, of which there are at least [`WIDTH`].
    #[inline(never)]
    fn is_anywhere(&self, firsts: &[u8], seconds: &[u8]) -> bool {
        for (firsts, seconds) in firsts.as_chunks::<WIDTH>().0.iter().zip(seconds.as_chunks::<WIDTH>().0) {
            if self.is_any(firsts, seconds) {
                return true;
            }
        }
        let rest = firsts.last_chunk::<WIDTH>().zip(seconds.last_chunk::<WIDTH>());
        rest.is_none_or(|(firsts, seconds)| self.is_any(firsts, seconds))
    }

    /// Whether the two bytes stand at any of the first or the last N places.
    #[inline(always)]
    fn is_any_at_ends<const N: usize>(&self, firsts: &[u8], seconds: &[u8]) -> bool {
        let heads = firsts.first_chunk::<N>().zip(seconds.first_chunk::<N>());
        let tails = firsts.last_chunk::<N>().zip(seconds.last_chunk::<N>());
        heads.zip(tails).is_none_or(|(head, tail)| self.is_any(head.0, head.1) | self.is_any(tail.0, tail.1))
    }

    /// Whether the two bytes stand at any of these places.
    #[inline(always)]
    #[expect(
        clippy::indexing_slicing,
        reason = "N is the length of two of the arrays, and at most WIDTH; as iterators it is a call"
    )]
    fn is_any<const N: usize>(&self, firsts: &[u8; N], seconds: &[u8; N]) -> bool {
        let [(_, first), (_, second)] = &self.pair;
        let mut any = false;
        for place in 0..N {
            any |= (firsts[place] ^ first[place]) | (seconds[place] ^ second[place]) == 0;
        }
        any
    }

    /// The search in a haystack that seems to hold the needle.
    #[cold]
    #[inline(never)]
    fn is_really_in(&self, haystack: &[u8]) -> bool {
        self.finder.find(haystack).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two strings of the same letters, so that they often nearly match.
    fn texts(seed: u32, length: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
        let letter = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if state >> 31 == 0 { b'a' } else { b'b' }
        };
        std::iter::repeat_with(letter).take(length).collect()
    }

    #[test]
    fn equality_is_that_of_slices_at_every_length_and_difference() {
        for length in 0..140 {
            let left: Vec<u8> = (0..length).collect();
            assert!(equal(&left, &left.clone()), "{length}");
            for position in 0..left.len() {
                let mut right = left.clone();
                right[position] ^= 0x80;
                assert!(!equal(&left, &right), "{length} bytes that differ at {position}");
            }
            assert!(!equal(&left, &[&left[..], b"x"].concat()), "{length}");
        }
    }

    #[test]
    fn a_needle_is_found_where_and_only_where_it_is() {
        // Interpreted, all of them take a quarter of an hour.
        let seeds = if cfg!(miri) { 1 } else { 40 };
        for length in 0..80 {
            for seed in 0..seeds {
                let haystack = texts(seed, length);
                for needle_length in [0, 1, 2, 3, 5, 8, 17] {
                    let needle = texts(seed.wrapping_add(1_000), needle_length);
                    let expected = needle.is_empty() || haystack.windows(needle.len()).any(|window| window == needle);
                    assert_eq!(Needle::new(&needle).is_in(&haystack), expected, "{needle:?} in {haystack:?}");
                }
            }
        }
    }

    #[test]
    fn a_needle_is_found_at_every_place() {
        let needle = Needle::new(b"needle");
        for length in 6..70 {
            for place in 0..=length - 6 {
                let mut haystack = vec![b'.'; length];
                haystack[place..place + 6].copy_from_slice(b"needle");
                assert!(needle.is_in(&haystack), "at {place} of {length}");
                haystack[place + 5] = b'E';
                assert!(!needle.is_in(&haystack), "at {place} of {length}");
            }
        }
    }

    #[test]
    fn a_needle_is_found_behind_any_number_of_places_that_only_look_like_it() {
        let needle = Needle::new(b"aaaaaaaaaaaaaaaaaaaaaaaaab");
        for false_places in 0..40 {
            let mut haystack = b"aaaaaaaaab".repeat(false_places);
            assert!(!needle.is_in(&haystack), "{false_places}");
            haystack.extend_from_slice(b"aaaaaaaaaaaaaaaaaaaaaaaaab");
            assert!(needle.is_in(&haystack), "{false_places}");
        }
    }
}
