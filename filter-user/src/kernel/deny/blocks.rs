//! The table of denied IPv4 networks: which bits a set of networks sets, and bringing the maps to them.

use std::collections::BTreeMap;

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData},
};
use filter_common::{
    layout::{DenyBlock, DenyPart},
    maps::{DENY_V4, DENY_V4_BLOCKS, DENY_V4_PARTS},
};

use super::super::{KernelError, error::is_absent};

/// What the maps hold, or are to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// By the first two bytes.
    blocks: BTreeMap<u32, DenyBlock>,
    /// By the first three.
    parts: BTreeMap<u32, DenyPart>,
}

impl Content {
    /// Of these networks: first addresses and prefixes.
    pub(super) fn of(networks: impl IntoIterator<Item = (u32, u8)>) -> Self {
        let mut content = Self::default();
        for (first, prefix) in networks {
            content.add(first, prefix);
        }
        content
    }

    fn add(&mut self, first: u32, prefix: u8) {
        // A network of less than 2^16 addresses is in one block, a larger one is all of some.
        let last = first | u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
        if prefix > 24 {
            set(&mut self.blocks.entry(first >> 16).or_default().part, third(first), third(first));
            set(self.parts.entry(first >> 8).or_default(), first & 0xff, last & 0xff);
            return;
        }
        for block in first >> 16..=last >> 16 {
            set(&mut self.blocks.entry(block).or_default().whole, third(first), third(last));
        }
    }
}

/// The third byte of an address.
fn third(address: u32) -> u32 {
    address >> 8 & 0xff
}

/// Sets the bits from `first` to `last` of 256.
fn set(words: &mut [u64; 4], first: u32, last: u32) {
    for (word, at) in words.iter_mut().zip([0, 64, 128, 192]) {
        let (from, to) = (first.max(at), last.min(at + 63));
        if from <= to {
            *word |= (u64::MAX >> (63 - (to - from))) << (from - at);
        }
    }
}

/// The two maps.
pub(super) struct Blocks {
    blocks: Array<MapData, DenyBlock>,
    parts: HashMap<MapData, u32, DenyPart>,
    content: Content,
}

impl Blocks {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let mut take = |name| ebpf.take_map(name).ok_or(KernelError::Missing { what: "map", name });
        Ok(Self {
            blocks: Array::try_from(take(DENY_V4)?).map_err(KernelError::reading(DENY_V4))?,
            parts: HashMap::try_from(take(DENY_V4_PARTS)?).map_err(KernelError::reading(DENY_V4_PARTS))?,
            content: Content::default(),
        })
    }

    /// Brings the maps to a content. What both contents deny is denied all the while: a block names its parts only while they are
    /// there, and a part that goes is named by nothing any more, or what goes of it was not to be denied.
    pub(super) fn write(&mut self, wanted: Content) -> Result<(), KernelError> {
        let is_new = |(key, part): &(&u32, &DenyPart)| self.content.parts.get(key) != Some(part);
        for (key, part) in wanted.parts.iter().filter(is_new) {
            self.parts.insert(key, part, 0).map_err(KernelError::writing(DENY_V4_PARTS))?;
        }
        for block in 0..DENY_V4_BLOCKS {
            let value = wanted.blocks.get(&block).copied().unwrap_or_default();
            if self.content.blocks.get(&block).copied().unwrap_or_default() != value {
                self.blocks.set(block, value, 0).map_err(KernelError::writing(DENY_V4))?;
            }
        }
        for key in self.content.parts.keys().filter(|key| !wanted.parts.contains_key(key)) {
            match self.parts.remove(key) {
                Ok(()) => {}
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(KernelError::writing(DENY_V4_PARTS)(error)),
            }
        }
        self.content = wanted;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    impl Content {
        /// As XDP looks an address up.
        fn covers(&self, address: Ipv4Addr) -> bool {
            let address = address.to_bits();
            let has = |words: &[u64; 4], bit: u32| words[bit as usize / 64] >> (bit % 64) & 1 != 0;
            let block = self.blocks.get(&(address >> 16)).copied().unwrap_or_default();
            has(&block.whole, third(address))
                || has(&block.part, third(address))
                    && self.parts.get(&(address >> 8)).is_some_and(|part| has(part, address & 0xff))
        }
    }

    #[test]
    fn every_prefix_covers_its_first_and_last_address_and_no_neighbour() {
        let address = u32::from_be_bytes([172, 21, 133, 77]);
        for prefix in 1..=32_u8 {
            let mask = u32::MAX << (32 - prefix);
            let (first, last) = (address & mask, address | !mask);
            let content = Content::of([(first, prefix)]);
            for (address, expected) in [
                (first, true),
                (address, true),
                (last, true),
                (first.wrapping_sub(1), false),
                (last.wrapping_add(1), false),
            ] {
                assert_eq!(content.covers(address.into()), expected, "{}/{prefix}", Ipv4Addr::from(address));
            }
        }
        let all = Content::of([(0, 0)]);
        assert!(["0.0.0.0", "127.255.255.255", "255.255.255.255"].iter().all(|ip| all.covers(ip.parse().unwrap())));
        assert_eq!(Content::of([]), Content::default());
    }

    #[test]
    fn networks_may_be_part_of_each_other() {
        let networks = [("10.1.2.0", 24), ("10.1.2.8", 29), ("10.1.0.0", 16), ("10.1.2.77", 32), ("10.1.3.200", 32)];
        let content =
            Content::of(networks.map(|(first, prefix)| (first.parse::<Ipv4Addr>().unwrap().to_bits(), prefix)));
        let without = Content::of([("10.1.3.200".parse::<Ipv4Addr>().unwrap().to_bits(), 32)]);
        for (address, expected, left) in [
            ("10.1.2.9", true, false),
            ("10.1.3.200", true, true),
            ("10.1.255.1", true, false),
            ("10.2.0.0", false, false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!((content.covers(address), without.covers(address)), (expected, left), "{address}");
        }
    }
}
