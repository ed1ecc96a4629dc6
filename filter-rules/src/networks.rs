//! Sets of addresses as sorted ranges.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cidr::IpCidr;

/// A range of addresses of one family, both ends included. `V4(first, last)` holds `first <= last`, likewise `V6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AddressRange {
    /// IPv4.
    V4(Ipv4Addr, Ipv4Addr),
    /// IPv6.
    V6(Ipv6Addr, Ipv6Addr),
}

impl AddressRange {
    /// The range from `first` to `last`; `None` when they are of two families or in the wrong order.
    #[must_use]
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => Some(Self::V4(first, last)),
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => Some(Self::V6(first, last)),
            _ => None,
        }
    }

    /// Whether the range holds `address`.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4(first, last), IpAddr::V4(address)) => (first..=last).contains(&address),
            (Self::V6(first, last), IpAddr::V6(address)) => (first..=last).contains(&address),
            _ => false,
        }
    }
}

impl From<IpAddr> for AddressRange {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address, address),
            IpAddr::V6(address) => Self::V6(address, address),
        }
    }
}

impl From<IpCidr> for AddressRange {
    fn from(network: IpCidr) -> Self {
        match network {
            IpCidr::V4(network) => Self::V4(network.first_address(), network.last_address()),
            IpCidr::V6(network) => Self::V6(network.first_address(), network.last_address()),
        }
    }
}

/// Prints as it may stand in a set: an address, a network where the range is one, else `first..last`.
impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4(first, last) => write_range(f, first, last, u32::from(first).into(), u32::from(last).into(), 32),
            Self::V6(first, last) => write_range(f, first, last, first.into(), last.into(), 128),
        }
    }
}

fn write_range<A: fmt::Display + PartialEq>(
    f: &mut fmt::Formatter<'_>,
    first: A,
    last: A,
    low: u128,
    high: u128,
    bits: u32,
) -> fmt::Result {
    if first == last {
        return write!(f, "{first}");
    }
    match prefix_length(low, high, bits) {
        Some(length) => write!(f, "{first}/{length}"),
        None => write!(f, "{first}..{last}"),
    }
}

/// The prefix length of the network that is exactly `low..=high`, if there is one.
fn prefix_length(low: u128, high: u128, bits: u32) -> Option<u32> {
    let differing = low ^ high;
    let host_bits = u128::BITS.saturating_sub(differing.leading_zeros());
    let is_block = differing == host_mask(host_bits) && low & differing == 0;
    is_block.then(|| bits.saturating_sub(host_bits))
}

/// A mask of this many low bits.
const fn host_mask(bits: u32) -> u128 {
    if bits >= u128::BITS { u128::MAX } else { (1 << bits) - 1 }
}

/// Up to this many ranges are looked at one by one: that beats bisecting.
const LINEAR_MAX: usize = 8;

/// A set of integers as sorted, disjoint, non-adjacent ranges. The addresses of one family are integers, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ranges<T>(Box<[(T, T)]>);

/// An integer that ranges can be made of.
pub(crate) trait Point: Copy + Ord {
    /// The next integer; `None` for the last.
    fn successor(self) -> Option<Self>;
    /// The integer before; `None` for the first.
    fn predecessor(self) -> Option<Self>;
    /// The first integer.
    const FIRST: Self;
    /// The last integer.
    const LAST: Self;
}

macro_rules! point {
    ($($ty:ty)*) => {$(
        impl Point for $ty {
            fn successor(self) -> Option<Self> {
                self.checked_add(1)
            }
            fn predecessor(self) -> Option<Self> {
                self.checked_sub(1)
            }
            const FIRST: Self = Self::MIN;
            const LAST: Self = Self::MAX;
        }
    )*};
}
point!(u32 u128 i64);

impl<T: Point> Ranges<T> {
    /// The union of ranges in any order. A range whose end is before its start holds nothing.
    pub(crate) fn new(mut ranges: Vec<(T, T)>) -> Self {
        ranges.retain(|(first, last)| first <= last);
        ranges.sort_unstable();
        let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some((_, end)) if end.successor().is_none_or(|next| first <= next) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Self(merged.into())
    }

    /// The set of nothing.
    pub(crate) fn none() -> Self {
        Self(Box::default())
    }

    /// The set of everything.
    pub(crate) fn all() -> Self {
        Self(Box::new([(T::FIRST, T::LAST)]))
    }

    /// Whether the set holds `point`.
    #[inline]
    pub(crate) fn contains(&self, point: T) -> bool {
        if self.0.len() <= LINEAR_MAX {
            return self.0.iter().any(|(first, last)| *first <= point && point <= *last);
        }
        let after = self.0.partition_point(|(first, _)| *first <= point);
        after.checked_sub(1).and_then(|position| self.0.get(position)).is_some_and(|(_, last)| point <= *last)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn is_all(&self) -> bool {
        matches!(*self.0, [(first, last)] if first == T::FIRST && last == T::LAST)
    }

    /// Everything this set does not hold.
    pub(crate) fn complement(&self) -> Self {
        let mut gaps = Vec::with_capacity(self.0.len().saturating_add(1));
        let mut next = Some(T::FIRST);
        for (first, last) in &self.0 {
            if let (Some(start), Some(end)) = (next, first.predecessor())
                && start <= end
            {
                gaps.push((start, end));
            }
            next = last.successor();
        }
        gaps.extend(next.map(|start| (start, T::LAST)));
        Self(gaps.into())
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        Self::new(self.0.iter().chain(&other.0).copied().collect())
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut common = Vec::new();
        while let (Some((first_a, last_a)), Some((first_b, last_b))) = (left.peek(), right.peek()) {
            let (first, last) = (first_a.max(first_b), last_a.min(last_b));
            if first <= last {
                common.push((*first, *last));
            }
            if last_a < last_b {
                left.next();
            } else {
                right.next();
            }
        }
        Self(common.into())
    }

    /// The ranges, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (T, T)> + '_ {
        self.0.iter().copied()
    }
}

/// A set of addresses. IPv4 and IPv6 are apart: an IPv4-mapped IPv6 address is an IPv6 address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl NetworkSet {
    /// The set of no address.
    #[must_use]
    pub fn none() -> Self {
        Self { v4: Ranges::none(), v6: Ranges::none() }
    }

    /// The set of every address.
    #[must_use]
    pub fn all() -> Self {
        Self { v4: Ranges::all(), v6: Ranges::all() }
    }

    /// Whether the set holds `address`.
    #[inline]
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contains(address.into()),
            IpAddr::V6(address) => self.v6.contains(address.into()),
        }
    }

    /// Whether the set holds no address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether the set holds every address.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.v4.is_all() && self.v6.is_all()
    }

    /// Every address this set does not hold.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self { v4: self.v4.complement(), v6: self.v6.complement() }
    }

    /// The addresses in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self { v4: self.v4.union(&other.v4), v6: self.v6.union(&other.v6) }
    }

    /// The addresses in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self { v4: self.v4.intersection(&other.v4), v6: self.v6.intersection(&other.v6) }
    }

    /// The set as ranges, IPv4 first, each family in order.
    pub fn ranges(&self) -> impl Iterator<Item = AddressRange> + '_ {
        let v4 = self.v4.iter().map(|(first, last)| AddressRange::V4(first.into(), last.into()));
        let v6 = self.v6.iter().map(|(first, last)| AddressRange::V6(first.into(), last.into()));
        v4.chain(v6)
    }

    /// The set as the fewest networks (address and prefix length), IPv4 first, each family in order: what a trie is filled with.
    pub fn networks(&self) -> impl Iterator<Item = (IpAddr, u8)> + '_ {
        let v4 =
            self.v4.iter().flat_map(|(first, last)| blocks(first.into(), last.into(), 32)).map(|(address, length)| {
                let address = u32::try_from(address).unwrap_or(u32::MAX);
                (IpAddr::V4(address.into()), length)
            });
        let v6 = self.v6.iter().flat_map(|(first, last)| blocks(first, last, 128));
        v4.chain(v6.map(|(address, length)| (IpAddr::V6(address.into()), length)))
    }
}

impl FromIterator<AddressRange> for NetworkSet {
    fn from_iter<I: IntoIterator<Item = AddressRange>>(ranges: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for range in ranges {
            match range {
                AddressRange::V4(first, last) => v4.push((first.into(), last.into())),
                AddressRange::V6(first, last) => v6.push((first.into(), last.into())),
            }
        }
        Self { v4: Ranges::new(v4), v6: Ranges::new(v6) }
    }
}

/// Prints as an inline set: `{10.0.0.0/8 ::1}`.
impl fmt::Display for NetworkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (position, range) in self.ranges().enumerate() {
            write!(f, "{}{range}", if position == 0 { "" } else { " " })?;
        }
        f.write_str("}")
    }
}

/// The fewest aligned power-of-two blocks that make up `first..=last`, as first address and prefix length.
fn blocks(first: u128, last: u128, bits: u32) -> impl Iterator<Item = (u128, u8)> {
    let mut next = Some(first);
    std::iter::from_fn(move || {
        let start = next.filter(|start| *start <= last)?;
        let aligned = if start == 0 { bits } else { start.trailing_zeros().min(bits) };
        // The largest block that starts here, is aligned, and does not pass the end.
        let host_bits =
            (0..=aligned).rev().find(|size| host_mask(*size) <= last.saturating_sub(start)).unwrap_or_default();
        next = start.checked_add(host_mask(host_bits)).and_then(|end| end.checked_add(1));
        Some((start, u8::try_from(bits.saturating_sub(host_bits)).unwrap_or(u8::MAX)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[&str]) -> NetworkSet {
        ranges
            .iter()
            .map(|text| match text.split_once("..") {
                Some((first, last)) => {
                    AddressRange::new(first.parse().unwrap(), last.parse().unwrap()).expect("one family, in order")
                }
                None => AddressRange::from(text.parse::<IpCidr>().unwrap()),
            })
            .collect()
    }

    #[test]
    fn overlapping_and_adjacent_ranges_become_one() {
        assert_eq!(set(&["10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16"]).to_string(), "{10.0.0.0/8}");
        assert_eq!(set(&["0.0.0.0/0", "255.255.255.255"]).to_string(), "{0.0.0.0/0}");
        assert_eq!(set(&["1.1.1.1", "1.1.1.3"]).to_string(), "{1.1.1.1 1.1.1.3}");
        assert_eq!(set(&["1.1.1.1", "1.1.1.2"]).to_string(), "{1.1.1.1..1.1.1.2}");
        assert_eq!(set(&["::/0"]).to_string(), "{::/0}");
    }

    #[test]
    fn membership_ends_at_the_bounds_of_a_range() {
        let set = set(&["10.0.0.4..10.0.0.9", "2001:db8::/32"]);
        for (address, expected) in [
            ("10.0.0.3", false),
            ("10.0.0.4", true),
            ("10.0.0.9", true),
            ("10.0.0.10", false),
            ("2001:db8::", true),
            ("2001:db9::", false),
            ("::ffff:10.0.0.4", false),
        ] {
            assert_eq!(set.contains(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn complement_of_the_complement_is_the_set() {
        for ranges in [&["0.0.0.0/0"][..], &["::/0"], &["10.0.0.0/8", "255.255.255.255", "::"], &[]] {
            let set = set(ranges);
            assert_eq!(set.complement().complement(), set);
            assert!(set.union(&set.complement()).is_all());
            assert!(set.intersection(&set.complement()).is_empty());
        }
    }

    #[test]
    fn networks_are_the_fewest_that_cover_exactly_the_set() {
        let networks = |ranges: &[&str]| -> Vec<String> {
            set(ranges).networks().map(|(address, length)| format!("{address}/{length}")).collect()
        };
        assert_eq!(networks(&["10.0.0.0/8"]), ["10.0.0.0/8"]);
        assert_eq!(networks(&["0.0.0.0/0", "::/0"]), ["0.0.0.0/0", "::/0"]);
        assert_eq!(networks(&["10.0.0.1..10.0.0.6"]), ["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/31", "10.0.0.6/32"]);
        assert_eq!(networks(&["255.255.255.254..255.255.255.255"]), ["255.255.255.254/31"]);
    }
}
