//! Bringing the trie of denied networks to what a plan wants.

use std::{collections::BTreeSet, mem, net::IpAddr};

use aya::{
    Ebpf,
    maps::{
        MapData,
        lpm_trie::{Key, LpmTrie},
    },
};
use filter_common::{
    layout::Address,
    maps::{DENY, DENY_MAX},
};

use super::{KernelError, KernelPlan, Network};

/// The trie and what it holds.
pub(super) struct Deny {
    map: LpmTrie<MapData, Address, u32>,
    content: BTreeSet<Network>,
    /// How many networks were added and removed since somebody asked.
    changes: (usize, usize),
}

impl Deny {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let map = ebpf.take_map(DENY).ok_or(KernelError::Missing { what: "map", name: DENY })?;
        let map = LpmTrie::try_from(map).map_err(KernelError::reading(DENY))?;
        Ok(Self { map, content: BTreeSet::new(), changes: (0, 0) })
    }

    /// Whether the plan's networks fit.
    pub(super) fn check(plan: &KernelPlan) -> Result<(), KernelError> {
        match plan.deny.len() {
            count if count > DENY_MAX as usize => Err(KernelError::TooManyNetworks { count, max: DENY_MAX }),
            _ => Ok(()),
        }
    }

    /// How many networks were added and removed since this was asked last.
    pub(super) fn take_changes(&mut self) -> (usize, usize) {
        mem::take(&mut self.changes)
    }

    /// Removes what the plan does not deny.
    pub(super) fn relax(&mut self, plan: &KernelPlan) -> Result<(), KernelError> {
        let gone: Vec<_> = self.content.difference(&plan.deny).copied().collect();
        for network in &gone {
            self.map.remove(&key(*network)).map_err(KernelError::writing(DENY))?;
            self.content.remove(network);
            self.changes.1 += 1;
        }
        Ok(())
    }

    /// Adds what the plan denies, and returns what is new of it. If it would not fit beside what is to go, this goes first.
    pub(super) fn protect(&mut self, plan: &KernelPlan) -> Result<Denied, KernelError> {
        let new: BTreeSet<_> = plan.deny.difference(&self.content).copied().collect();
        if self.content.len() + new.len() > DENY_MAX as usize {
            self.relax(plan)?;
        }
        for network in &new {
            self.map.insert(&key(*network), 1, 0).map_err(KernelError::writing(DENY))?;
            self.content.insert(*network);
            self.changes.0 += 1;
        }
        Ok(Denied::new(new))
    }

    /// All that is denied.
    pub(super) fn all(&self) -> Denied {
        Denied::new(self.content.clone())
    }
}

/// Networks, to find addresses in.
#[derive(Debug, Default)]
pub(super) struct Denied {
    networks: BTreeSet<Network>,
    /// Those that some network has.
    prefixes: BTreeSet<u8>,
}

impl Denied {
    fn new(networks: BTreeSet<Network>) -> Self {
        let prefixes = networks.iter().map(|network| network.prefix()).collect();
        Self { networks, prefixes }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// Whether an address is in one of them.
    pub(super) fn covers(&self, address: IpAddr) -> bool {
        let network = |&prefix: &u8| Network::new(address, prefix);
        self.prefixes.iter().filter_map(network).any(|network| self.networks.contains(&network))
    }
}

fn key(network: Network) -> Key<Address> {
    let (bits, address) = network.key();
    Key::new(bits, address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_denied_by_the_networks_of_its_family() {
        let networks = [("203.0.113.0", 24), ("192.0.2.7", 32), ("2001:db8:bad::", 48)];
        let denied = Denied::new(networks.map(|(address, prefix)| network(address, prefix)).into());
        for (address, expected) in [
            ("203.0.113.255", true),
            ("203.0.114.0", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8:bad:ffff::1", true),
            ("2001:db8:bae::", false),
            ("::203.0.113.1", false),
        ] {
            assert_eq!(denied.covers(address.parse().unwrap()), expected, "{address}");
        }
        assert!(Denied::new([network("0.0.0.0", 0)].into()).covers("8.8.8.8".parse().unwrap()));
        assert!(!Denied::default().covers("8.8.8.8".parse().unwrap()));
    }

    fn network(address: &str, prefix: u8) -> Network {
        Network::new(address.parse().unwrap(), prefix).unwrap()
    }
}
