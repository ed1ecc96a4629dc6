//! Identifiers of requests.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// Makes the ray ids of one worker: 16 hexadecimal digits that do not repeat within 2^64 requests, do not collide between workers and
/// restarts but by chance, and tell nobody how many requests there were.
#[derive(Debug)]
pub(super) struct RayIds(Cell<u64>);

impl RayIds {
    /// Starts at a random place.
    pub(super) fn new() -> Self {
        Self(Cell::new(RandomState::new().hash_one(std::thread::current().id())))
    }

    /// The next id.
    pub(super) fn next(&self) -> String {
        let counter = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(counter);
        format!("{:016x}", mix(counter))
    }
}

/// The output function of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): a bijection.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::RayIds;

    #[test]
    fn ids_have_sixteen_digits_and_do_not_repeat() {
        let (one, other) = (RayIds::new(), RayIds::new());
        let ids: HashSet<_> = (0..1000).flat_map(|_| [one.next(), other.next()]).collect();
        assert_eq!(ids.len(), 2000);
        assert!(ids.iter().all(|id| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    }
}
