//! Lists, `$name`: sets of items that rules share and that change without the rules.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::limits::{LIST_ITEMS_MAX, LIST_NAME_BYTES_MAX};
use crate::networks::{AddressRange, NetworkSet, Ranges};
use crate::types::Type;

/// Lists by name.
#[derive(Clone, Debug, Default)]
pub struct Lists(BTreeMap<Box<str>, Arc<List>>);

/// A list.
#[derive(Clone, Debug)]
pub struct List(Items);

#[derive(Clone, Debug)]
enum Items {
    Addresses(NetworkSet),
    Integers(Ranges<i64>),
    Hosts(Hosts),
}

/// Host names, exact or `*.example.com` for everything below `example.com`.
#[derive(Clone, Debug, Default)]
struct Hosts {
    exact: HashSet<Box<[u8]>, FixedState>,
    /// What follows the `*.`.
    below: HashSet<Box<[u8]>, FixedState>,
}

/// Why a list is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// The name could not be written in an expression.
    #[error("list name {0:?} is not made of 1 to {LIST_NAME_BYTES_MAX} of a-z, 0-9, `_` and inner dots")]
    Name(String),
    /// More items than the limit.
    #[error("list has {0} items, but the limit is {LIST_ITEMS_MAX}")]
    Items(usize),
    /// Not a host name.
    #[error("list item {0:?} is not a host name; `*.` may stand at the start only")]
    Host(String),
}

impl List {
    /// A list for `in` after an address such as `ip.src`.
    ///
    /// # Errors
    ///
    /// When there are more than [`LIST_ITEMS_MAX`] items.
    pub fn addresses(items: Vec<AddressRange>) -> Result<Self, ListError> {
        check_count(items.len())?;
        Ok(Self(Items::Addresses(items.into_iter().collect())))
    }

    /// A list for `in` after an integer such as `ip.src.asnum`.
    ///
    /// # Errors
    ///
    /// When there are more than [`LIST_ITEMS_MAX`] items.
    pub fn integers(items: Vec<i64>) -> Result<Self, ListError> {
        check_count(items.len())?;
        Ok(Self(Items::Integers(Ranges::new(items.into_iter().map(|item| (item, item)).collect()))))
    }

    /// A list for `in` after a string such as `http.host`. Items are hosts in any case, or `*.example.com`.
    ///
    /// # Errors
    ///
    /// When there are more than [`LIST_ITEMS_MAX`] items, or one is no host.
    pub fn hosts<'i>(items: impl IntoIterator<Item = &'i str>) -> Result<Self, ListError> {
        let mut hosts = Hosts::default();
        let mut count: usize = 0;
        for item in items {
            count = count.saturating_add(1);
            check_count(count)?;
            let (set, name) = match item.strip_prefix("*.") {
                Some(name) => (&mut hosts.below, name),
                None => (&mut hosts.exact, item),
            };
            let name = crate::host::normalise_host(name);
            if !crate::host::is_possible_host(name.as_bytes()) {
                return Err(ListError::Host(item.to_owned()));
            }
            set.insert(name.as_bytes().into());
        }
        Ok(Self(Items::Hosts(hosts)))
    }

    /// The type of the values that can be in it.
    #[must_use]
    pub const fn ty(&self) -> Type {
        match self.0 {
            Items::Addresses(_) => Type::Ip,
            Items::Integers(_) => Type::Int,
            Items::Hosts(_) => Type::Bytes,
        }
    }

    pub(crate) fn contains_address(&self, address: std::net::IpAddr) -> bool {
        matches!(&self.0, Items::Addresses(set) if set.contains(address))
    }

    pub(crate) fn contains_int(&self, value: i64) -> bool {
        matches!(&self.0, Items::Integers(set) if set.contains(value))
    }

    pub(crate) fn contains_bytes(&self, value: &[u8]) -> bool {
        let Items::Hosts(hosts) = &self.0 else { return false };
        hosts.exact.contains(value)
            || (!hosts.below.is_empty() && parents(value).any(|parent| hosts.below.contains(parent)))
    }

    /// The addresses, if it is a list of them.
    pub(crate) const fn network_set(&self) -> Option<&NetworkSet> {
        match &self.0 {
            Items::Addresses(set) => Some(set),
            Items::Integers(_) | Items::Hosts(_) => None,
        }
    }

    /// The hosts, if it is a list of exact hosts only.
    pub(crate) fn exact_hosts(&self) -> Option<impl Iterator<Item = &[u8]>> {
        match &self.0 {
            Items::Hosts(hosts) if hosts.below.is_empty() => Some(hosts.exact.iter().map(|host| &**host)),
            _ => None,
        }
    }
}

/// `b.c` and `c` for `a.b.c`.
fn parents(host: &[u8]) -> impl Iterator<Item = &[u8]> {
    host.iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'.')
        .map(|(dot, _)| host.get(dot.saturating_add(1)..).unwrap_or_default())
}

fn check_count(count: usize) -> Result<(), ListError> {
    if count > LIST_ITEMS_MAX { Err(ListError::Items(count)) } else { Ok(()) }
}

impl Lists {
    /// Adds a list, or replaces the one of that name. The name is without its `$`.
    ///
    /// # Errors
    ///
    /// When the name could not be written in an expression.
    pub fn insert(&mut self, name: &str, list: List) -> Result<(), ListError> {
        let is_name = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.');
        let is_fine = (1..=LIST_NAME_BYTES_MAX).contains(&name.len())
            && name.bytes().all(is_name)
            && !name.starts_with('.')
            && !name.ends_with('.');
        if !is_fine {
            return Err(ListError::Name(name.to_owned()));
        }
        self.0.insert(name.into(), Arc::new(list));
        Ok(())
    }

    /// The list of a name.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<&Arc<List>> {
        self.0.get(name)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_lists_hold_exact_names_and_everything_below_a_star() {
        let list = List::hosts(["API.example.com", "*.example.org"]).unwrap();
        for (host, expected) in [
            ("api.example.com", true),
            ("x.api.example.com", false),
            ("example.org", false),
            ("a.example.org", true),
            ("a.b.example.org", true),
            ("aexample.org", false),
        ] {
            assert_eq!(list.contains_bytes(host.as_bytes()), expected, "{host}");
        }
        assert_eq!(List::hosts(["a.*.b"]).unwrap_err(), ListError::Host("a.*.b".to_owned()));
    }

    #[test]
    #[cfg_attr(miri, ignore = "hundreds of thousands of strings take more than an hour interpreted")]
    fn lists_hold_as_many_items_as_the_limit_and_no_more() {
        let integers = |count: usize| List::integers((0..).take(count).collect());
        assert!(integers(LIST_ITEMS_MAX).is_ok());
        assert_eq!(integers(LIST_ITEMS_MAX + 1).unwrap_err(), ListError::Items(LIST_ITEMS_MAX + 1));
        let hosts: Vec<String> = (0..=LIST_ITEMS_MAX).map(|number| format!("h{number}")).collect();
        assert!(List::hosts(hosts.iter().take(LIST_ITEMS_MAX).map(String::as_str)).is_ok());
        assert!(List::hosts(hosts.iter().map(String::as_str)).is_err());
    }

    #[test]
    fn list_names_are_those_an_expression_can_hold() {
        let mut lists = Lists::default();
        let empty = List::integers(Vec::new()).unwrap();
        for name in ["office", "cf.malware", "a_1", &"x".repeat(LIST_NAME_BYTES_MAX)] {
            assert_eq!(lists.insert(name, empty.clone()), Ok(()), "{name}");
        }
        for name in ["", "Office", ".a", "a.", "a-b", &"x".repeat(LIST_NAME_BYTES_MAX + 1)] {
            assert_eq!(lists.insert(name, empty.clone()), Err(ListError::Name(name.to_owned())), "{name}");
        }
    }
}
