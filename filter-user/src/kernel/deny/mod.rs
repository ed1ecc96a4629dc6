//! Bringing the tables of denied networks to what a plan wants.

mod blocks;

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
    maps::{DENY_MAX, DENY_V6},
};

use self::blocks::{Blocks, Content};
use super::{KernelError, KernelPlan, Network};

/// The tables and what they hold.
pub(super) struct Deny {
    v4: Blocks,
    v6: LpmTrie<MapData, Address, u32>,
    content: BTreeSet<Network>,
    /// How many networks were added and removed since somebody asked.
    changes: (usize, usize),
}

impl Deny {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let v4 = Blocks::take(ebpf)?;
        let v6 = ebpf.take_map(DENY_V6).ok_or(KernelError::Missing { what: "map", name: DENY_V6 })?;
        let v6 = LpmTrie::try_from(v6).map_err(KernelError::reading(DENY_V6))?;
        Ok(Self { v4, v6, content: BTreeSet::new(), changes: (0, 0) })
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
        if gone.iter().any(Network::is_v4) {
            let stays = self.content.intersection(&plan.deny);
            self.v4.write(Content::of(stays.filter_map(|network| network.v4())))?;
        }
        for network in &gone {
            if let Some(key) = key_v6(*network) {
                self.v6.remove(&key).map_err(KernelError::writing(DENY_V6))?;
            }
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
        if new.iter().any(Network::is_v4) {
            self.v4.write(Content::of(self.content.union(&new).filter_map(|network| network.v4())))?;
        }
        for network in &new {
            if let Some(key) = key_v6(*network) {
                self.v6.insert(&key, 1, 0).map_err(KernelError::writing(DENY_V6))?;
            }
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

/// What the trie has for a network of IPv6.
fn key_v6(network: Network) -> Option<Key<Address>> {
    network.v6().map(|(address, prefix)| Key::new(prefix.into(), address))
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
