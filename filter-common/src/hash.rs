//! Hashes for tables of the project's own: both sides of the maps compute the same.

use crate::layout::{Address, ConnectionKey};

/// Secret numbers for [`TupleHash::of`].
///
/// Multilinear hashing (Lemire and Kaser, "Strongly universal string hashing is fast", 2014): words times secret numbers, added up.
/// No multiplication waits for another, and words that are known when it is compiled cost nothing. Two connections have the same hash
/// with a probability of 2<sup>-33</sup> at most, 2<sup>-64</sup> mostly, whoever chose them without knowing the numbers.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TupleHash(pub [u64; 9]);

impl TupleHash {
    /// The hash of a connection.
    #[inline(always)]
    #[must_use]
    pub const fn of(&self, connection: &ConnectionKey) -> u64 {
        let Self([k0, k1, k2, k3, k4, k5, k6, k7, k8]) = *self;
        let (Address([a, b, c, d]), Address([e, f, g, h])) = (connection.client, connection.edge);
        let ports = (connection.client_port as u32) << 16 | connection.edge_port as u32;
        let client = times(a, k0).wrapping_add(times(b, k1)).wrapping_add(times(c, k2)).wrapping_add(times(d, k3));
        let edge = times(e, k4).wrapping_add(times(f, k5)).wrapping_add(times(g, k6)).wrapping_add(times(h, k7));
        client.wrapping_add(edge).wrapping_add(times(ports, k8))
    }
}

/// The same for a listen address. These numbers need not be secret: userspace chooses them so that no two addresses share a slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenHash(pub [u64; 5]);

impl ListenHash {
    /// The hash of an address and port in 12 bits.
    #[inline(always)]
    #[must_use]
    pub const fn slot(&self, address: Address, port: u16) -> u32 {
        let (Self([k0, k1, k2, k3, k4]), Address([a, b, c, d])) = (*self, address);
        let address = times(a, k0).wrapping_add(times(b, k1)).wrapping_add(times(c, k2)).wrapping_add(times(d, k3));
        (address.wrapping_add(times(port as u32, k4)) >> (u64::BITS - LISTEN_SLOT_BITS)) as u32
    }
}

/// Bits of a [`ListenHash::slot`].
pub(crate) const LISTEN_SLOT_BITS: u32 = 12;

#[inline(always)]
const fn times(word: u32, number: u64) -> u64 {
    (word as u64).wrapping_mul(number)
}

/// The hash of these words, MurmurHash3's steps and the first half of its end; the high bits are the better ones. Every edge computes the
/// same.
#[inline(always)]
pub(crate) fn murmur(seed: u32, words: impl IntoIterator<Item = u32>) -> u32 {
    let hash = words.into_iter().fold(seed, |hash, word| {
        let mixed = hash ^ word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
        mixed.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
    });
    (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: TupleHash = TupleHash([
        0x9e37_79b9_7f4a_7c15,
        0x3c6e_f372_fe94_f82b,
        0xdaa6_6d2c_7ddf_743f,
        0x78dd_e6e5_fd29_f055,
        0x1715_609f_7c74_6c69,
        0xb54c_da58_fbbe_e87f,
        0x5384_5412_7b09_6493,
        0xf1bb_cdcb_fa53_e0a9,
        0x8ff3_4785_799e_5cbf,
    ]);

    fn connection(client: [u32; 4], edge: [u32; 4], client_port: u16, edge_port: u16) -> ConnectionKey {
        ConnectionKey { client: Address(client), edge: Address(edge), client_port, edge_port }
    }

    #[test]
    fn every_part_of_a_connection_counts() {
        let one = connection([1, 2, 3, 4], [5, 6, 7, 8], 9, 10);
        let (ip, other) = ([1, 2, 3, 4], [5, 6, 7, 8]);
        let mut others =
            std::vec![connection(ip, other, 1, 10), connection(ip, other, 9, 1), connection(other, ip, 9, 10)];
        for word in 0..4 {
            let (mut client, mut edge) = (ip, other);
            client[word] = 99;
            edge[word] = 99;
            others.extend([connection(client, other, 9, 10), connection(ip, edge, 9, 10)]);
        }
        assert!(others.iter().all(|other| HASH.of(other) != HASH.of(&one)));
    }

    #[test]
    fn slots_are_below_their_number() {
        let hash = ListenHash([u64::MAX, u64::MAX - 6, 3, u64::MAX / 3, u64::MAX / 7]);
        for word in 0..1000 {
            assert!(hash.slot(Address([word, !word, word << 9, 7]), word as u16) < 1 << LISTEN_SLOT_BITS);
        }
    }
}
