//! Sets that are looked up but never changed.

use std::collections::HashSet;
use std::net::IpAddr;

use foldhash::fast::FixedState;

use super::search::equal;
use crate::networks::{AddressRange, NetworkSet, Ranges};

/// Up to this many strings are compared one by one: that beats hashing.
const LINEAR_MAX: usize = 8;

/// A set of strings.
#[derive(Clone, Debug)]
pub(super) enum StringSet {
    /// Compared one after the other, if one has the length at all: bit `n` of `lengths` is set when one has `n` bytes.
    Few { items: Box<[Box<[u8]>]>, lengths: u64 },
    /// Hashed. Who asks does not choose what is in it, so a fixed seed gives nothing away.
    Many(HashSet<Box<[u8]>, FixedState>),
}

impl StringSet {
    pub(super) fn new(mut items: Vec<Box<[u8]>>) -> Self {
        items.sort_unstable();
        items.dedup();
        if items.len() > LINEAR_MAX {
            return Self::Many(items.into_iter().collect());
        }
        let lengths = items.iter().fold(0, |lengths, item| lengths | length_bit(item));
        Self::Few { items: items.into(), lengths }
    }

    #[inline]
    pub(super) fn contains(&self, value: &[u8]) -> bool {
        match self {
            Self::Few { items, lengths } => lengths & length_bit(value) != 0 && is_one_of(value, items),
            Self::Many(items) => is_among(value, items),
        }
    }

    pub(super) fn into_items(self) -> Vec<Box<[u8]>> {
        match self {
            Self::Few { items, .. } => items.into(),
            Self::Many(items) => items.into_iter().collect(),
        }
    }
}

#[inline(never)]
fn is_one_of(value: &[u8], items: &[Box<[u8]>]) -> bool {
    // The ends tell most strings apart: of hosts the first byte, of paths the last.
    let ends = (value.first(), value.last());
    items.iter().any(|item| (item.first(), item.last()) == ends && equal(item, value))
}

#[inline(never)]
fn is_among(value: &[u8], items: &HashSet<Box<[u8]>, FixedState>) -> bool {
    items.contains(value)
}

/// The bit of a length; all lengths past 63 share the last.
fn length_bit(text: &[u8]) -> u64 {
    1 << text.len().min(63)
}

/// A set of addresses.
#[derive(Clone, Debug)]
pub(super) struct AddressSet {
    all: NetworkSet,
    /// The ranges of IPv4, if they are few.
    few_v4: Option<FewRanges>,
}

/// A set of integers.
#[derive(Clone, Debug)]
pub(super) struct IntSet {
    all: Ranges<i64>,
    /// The ranges, if they are few and hold nothing but what has 32 bits: ports, numbers of networks, lengths.
    few: Option<FewRanges>,
}

/// Up to [`FewRanges::MAX`] ranges, all of which are compared at once: that beats looking for the right one. What is left over
/// holds nothing.
#[derive(Clone, Debug)]
struct FewRanges {
    firsts: [u32; Self::MAX],
    lasts: [u32; Self::MAX],
}

impl AddressSet {
    pub(super) fn new(all: NetworkSet) -> Self {
        let v4 = all.ranges().filter_map(|range| match range {
            AddressRange::V4(first, last) => Some(Some((first.into(), last.into()))),
            AddressRange::V6(..) => None,
        });
        Self { few_v4: FewRanges::new(v4), all }
    }

    #[inline]
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (address, &self.few_v4) {
            (IpAddr::V4(address), Some(few)) => few.contains(address.into()),
            _ => self.contains_among_many(address),
        }
    }

    #[inline(never)]
    fn contains_among_many(&self, address: IpAddr) -> bool {
        self.all.contains(address)
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        Self::new(self.all.union(&other.all))
    }
}

impl IntSet {
    pub(super) fn new(all: Ranges<i64>) -> Self {
        let narrow = |(first, last)| Some((u32::try_from(first).ok()?, u32::try_from(last).ok()?));
        Self { few: FewRanges::new(all.iter().map(narrow)), all }
    }

    #[inline]
    pub(super) fn contains(&self, value: i64) -> bool {
        match &self.few {
            Some(few) => u32::try_from(value).is_ok_and(|value| few.contains(value)),
            None => self.contains_among_many(value),
        }
    }

    #[inline(never)]
    fn contains_among_many(&self, value: i64) -> bool {
        self.all.contains(value)
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        Self::new(self.all.union(&other.all))
    }
}

impl FewRanges {
    const MAX: usize = 8;

    /// `None` when there are too many ranges or one has no such form.
    fn new(mut ranges: impl Iterator<Item = Option<(u32, u32)>>) -> Option<Self> {
        let mut few = Self { firsts: [u32::MAX; Self::MAX], lasts: [u32::MIN; Self::MAX] };
        for ((first, last), range) in few.firsts.iter_mut().zip(&mut few.lasts).zip(&mut ranges) {
            (*first, *last) = range?;
        }
        ranges.next().is_none().then_some(few)
    }

    #[inline]
    fn contains(&self, value: u32) -> bool {
        let ranges = self.firsts.iter().zip(&self.lasts);
        ranges.fold(false, |is_in, (first, last)| is_in | ((*first <= value) & (value <= *last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_sets_hold_what_their_ranges_do_however_many_they_are() {
        for count in 0..=FewRanges::MAX + 1 {
            let networks =
                (0..count).map(|number| format!("10.{}.0.0/16", 2 * number).parse::<cidr::IpCidr>().unwrap());
            let set = AddressSet::new(networks.map(AddressRange::from).collect());
            assert_eq!(set.few_v4.is_some(), count <= FewRanges::MAX, "{count}");
            for number in 0..20 {
                let address = |low: &str| format!("10.{number}.{low}").parse().unwrap();
                let expected = number % 2 == 0 && number < 2 * count;
                assert_eq!(set.contains(address("0.0")), expected, "{number} of {count}");
                assert_eq!(set.contains(address("255.255")), expected, "{number} of {count}");
            }
            assert!(!set.contains("::".parse().unwrap()) && !set.contains("255.255.255.255".parse().unwrap()));
        }
        let ends: NetworkSet =
            ["0.0.0.0", "255.255.255.255", "::"].map(|end| end.parse::<IpAddr>().unwrap().into()).into_iter().collect();
        let set = AddressSet::new(ends);
        for (address, expected) in
            [("0.0.0.0", true), ("0.0.0.1", false), ("255.255.255.255", true), ("::", true), ("::1", false)]
        {
            assert_eq!(set.contains(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn integer_sets_hold_what_their_ranges_do_of_whatever_width() {
        let narrow = vec![(0, 0), (7, 9), (u32::MAX.into(), u32::MAX.into())];
        let wide = vec![(0, 0), (7, 9), (u32::MAX.into(), i64::from(u32::MAX) + 1)];
        let negative = vec![(i64::MIN, -1), (7, 9)];
        let many = (0..=8).map(|number| (2 * number, 2 * number)).collect::<Vec<_>>();
        for (ranges, is_few) in [(narrow, true), (wide, false), (negative, false), (many, false)] {
            let set = IntSet::new(Ranges::new(ranges.clone()));
            assert_eq!(set.few.is_some(), is_few, "{ranges:?}");
            let max = i64::from(u32::MAX);
            for value in [i64::MIN, -(max + 1), -1, 0, 1, 6, 7, 9, 10, 16, 18, max - 1, max, max + 1, max + 8, i64::MAX]
            {
                let expected = ranges.iter().any(|(first, last)| (*first..=*last).contains(&value));
                assert_eq!(set.contains(value), expected, "{value} in {ranges:?}");
            }
        }
    }
}
