//! Maglev's table (Eisenbud et al., NSDI 2016, 3.4): which origin a client gets, so that taking one out moves hardly any
//! client of the others.

use std::net::SocketAddr;

use filter_common::splice::{NO_ORIGIN, SLOTS};

/// Fills a table with the indexes of these origins, in equal shares. An origin's preferences follow from its address alone,
/// so that every edge has the same table.
pub(super) fn table(origins: &[(SocketAddr, u16)]) -> [u16; SLOTS] {
    let mut table = [NO_ORIGIN; SLOTS];
    let mut sorted = origins.to_vec();
    sorted.sort_unstable();
    let mut wishes: Vec<_> = sorted.iter().map(|&(origin, index)| (wishes(origin), index)).collect();
    let mut free = SLOTS;
    'filled: while !wishes.is_empty() {
        for (wishes, index) in &mut wishes {
            let Some(slot) = wishes.find(|&slot| table.get(slot) == Some(&NO_ORIGIN)) else { break 'filled };
            if let Some(slot) = table.get_mut(slot) {
                *slot = *index;
            }
            free -= 1;
            if free == 0 {
                break 'filled;
            }
        }
    }
    table
}

/// All slots, in the order in which an origin wants them.
fn wishes(origin: SocketAddr) -> impl Iterator<Item = usize> {
    let hash = fnv(origin.to_string().as_bytes());
    let (first, step) = ((hash >> 32) as usize % SLOTS, hash as u32 as usize % (SLOTS - 1) + 1);
    // The number of slots is a prime, so every step comes by all of them.
    (0..SLOTS).map(move |round| (first + round * step) % SLOTS)
}

/// FNV-1a, finished as MurmurHash3 is, or its upper bits would hardly depend on the last bytes. It must never change.
fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, step);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(count: u16) -> Vec<(SocketAddr, u16)> {
        (0..count).map(|n| (SocketAddr::from(([10, 0, 0, n as u8], 443)), n)).collect()
    }

    fn share(table: &[u16], origin: u16) -> usize {
        table.iter().filter(|&&slot| slot == origin).count()
    }

    #[test]
    fn every_origin_gets_the_same_share() {
        assert_eq!(table(&[]), [NO_ORIGIN; SLOTS]);
        for count in 1..=16 {
            let table = table(&origins(count));
            let (least, most) = (SLOTS / usize::from(count), SLOTS.div_ceil(usize::from(count)));
            assert!((0..count).all(|n| (least..=most).contains(&share(&table, n))), "{count}: {table:?}");
        }
    }

    #[test]
    fn the_order_of_origins_does_not_matter() {
        let mut reversed = origins(7);
        reversed.reverse();
        assert_eq!(table(&origins(7)), table(&reversed));
    }

    #[test]
    fn clients_of_other_origins_stay_when_one_goes() {
        let all = origins(8);
        let before = table(&all);
        for gone in 0..8 {
            let rest: Vec<_> = all.iter().copied().filter(|&(_, index)| index != gone).collect();
            let after = table(&rest);
            let moved = before.iter().zip(&after).filter(|(before, after)| **before != gone && before != after).count();
            assert!(moved <= SLOTS / 8, "{moved} of {SLOTS} slots moved as {gone} went");
        }
    }
}
