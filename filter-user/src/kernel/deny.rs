//! Bringing the trie of denied networks to what a plan wants.

use std::collections::BTreeSet;

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
}

impl Deny {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let map = ebpf.take_map(DENY).ok_or(KernelError::Missing { what: "map", name: DENY })?;
        Ok(Self { map: LpmTrie::try_from(map).map_err(KernelError::reading(DENY))?, content: BTreeSet::new() })
    }

    /// Whether the plan's networks fit.
    pub(super) fn check(plan: &KernelPlan) -> Result<(), KernelError> {
        match plan.deny.len() {
            count if count > DENY_MAX as usize => Err(KernelError::TooManyNetworks { count, max: DENY_MAX }),
            _ => Ok(()),
        }
    }

    /// How many networks are denied.
    pub(super) fn count(&self) -> usize {
        self.content.len()
    }

    /// Removes what the plan does not deny.
    pub(super) fn relax(&mut self, plan: &KernelPlan) -> Result<(), KernelError> {
        let gone: Vec<_> = self.content.difference(&plan.deny).copied().collect();
        for network in &gone {
            self.map.remove(&key(*network)).map_err(KernelError::writing(DENY))?;
            self.content.remove(network);
        }
        Ok(())
    }

    /// Adds what the plan denies, and returns how many networks that were. If they would not fit beside those that are to go,
    /// these go first.
    pub(super) fn protect(&mut self, plan: &KernelPlan) -> Result<usize, KernelError> {
        let new: Vec<_> = plan.deny.difference(&self.content).copied().collect();
        if self.content.len() + new.len() > DENY_MAX as usize {
            self.relax(plan)?;
        }
        for network in &new {
            self.map.insert(&key(*network), 1, 0).map_err(KernelError::writing(DENY))?;
            self.content.insert(*network);
        }
        Ok(new.len())
    }
}

fn key(network: Network) -> Key<Address> {
    let (bits, address) = network.key();
    Key::new(bits, address)
}
