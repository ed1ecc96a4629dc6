//! Bringing the host table to what a plan wants, with as few writes as possible.

use std::collections::HashMap;

use aya::{
    Ebpf,
    maps::{self, MapData},
};
use filter_common::{
    layout::{HostKey, LongName, ShortName},
    maps::{HOSTS, HOSTS_MAX, LONG_HOSTS},
    splice::{HOST_SPLICE, HOST_TERMINATE, HostValue},
};

use super::{HostAction, KernelError, KernelPlan, targets::Targets};

/// What a plan changed in the tables of hosts and denied networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Hosts that were added, or whose action is another now.
    pub written: usize,
    /// Hosts that are gone.
    pub removed: usize,
    /// Networks that are denied now and were not.
    pub denied: usize,
    /// Networks that are not denied any more.
    pub allowed: usize,
}

/// The host tables and what they hold, so that nothing has to be read back to know what to write.
pub(super) struct Hosts {
    short: maps::HashMap<MapData, ShortName, HostValue>,
    long: maps::HashMap<MapData, LongName, HostValue>,
    content: HashMap<HostKey, HostValue>,
    targets: Targets,
    /// Hosts that are or were spliced, by number. Numbers start at 1 and are never given twice.
    numbers: HashMap<HostKey, u32>,
}

impl Hosts {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let targets = Targets::take(ebpf)?;
        let mut take = |name| ebpf.take_map(name).ok_or(KernelError::Missing { what: "map", name });
        let short = maps::HashMap::try_from(take(HOSTS)?).map_err(KernelError::reading(HOSTS))?;
        let long = maps::HashMap::try_from(take(LONG_HOSTS)?).map_err(KernelError::reading(LONG_HOSTS))?;
        Ok(Self { short, long, content: HashMap::new(), targets, numbers: HashMap::new() })
    }

    /// Whether the plan's hosts and origins can be in the tables.
    pub(super) fn check(plan: &KernelPlan) -> Result<(), KernelError> {
        Targets::check(plan)?;
        wanted(plan).map(drop)
    }

    /// Gives every host to the workers that is spliced and is not to be. Returns their numbers.
    pub(super) fn protect(&mut self, plan: &KernelPlan) -> Result<Vec<u32>, KernelError> {
        let wanted = wanted(plan)?;
        let is_splice = |key: &HostKey| matches!(wanted.get(key), Some(HostAction::Splice(_)));
        let spliced = |(key, value): &(&HostKey, &HostValue)| value.action == HOST_SPLICE && !is_splice(key);
        let lose: Vec<_> = self.content.iter().filter(spliced).map(|(key, value)| (*key, *value)).collect();
        for (key, value) in &lose {
            self.insert(*key, HostValue { action: HOST_TERMINATE, target: 0, ..*value })?;
        }
        Ok(lose.iter().map(|(_, value)| value.host).collect())
    }

    /// Writes what differs from the plan. Hosts are added before others are removed, so a renamed host is never gone.
    ///
    /// # Errors
    ///
    /// A plan with a bad name or too many hosts changes nothing.
    pub(super) fn apply(&mut self, plan: &KernelPlan) -> Result<Changes, KernelError> {
        let wanted = wanted(plan)?;
        self.targets.write(plan)?;
        let mut changes = Changes::default();
        for (key, action) in &wanted {
            let value = self.value(*key, action);
            if self.content.get(key) == Some(&value) {
                continue;
            }
            // A full table may have room once what is not wanted is gone.
            if self.content.len() >= HOSTS_MAX as usize {
                changes.removed += self.retain(&wanted)?;
            }
            self.insert(*key, value)?;
            changes.written += 1;
        }
        changes.removed += self.retain(&wanted)?;
        self.targets.retain(plan)?;
        Ok(changes)
    }

    /// Where hosts are spliced to.
    pub(super) fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The same, to be changed.
    pub(super) fn targets_mut(&mut self) -> &mut Targets {
        &mut self.targets
    }

    /// Goes on with numbers that flows know their hosts by.
    pub(super) fn adopt(&mut self, numbers: HashMap<HostKey, u32>) {
        self.numbers = numbers;
    }

    /// The numbers of the hosts that are spliced.
    pub(super) fn spliced(&self) -> Vec<u32> {
        let spliced = self.content.values().filter(|value| value.action == HOST_SPLICE);
        spliced.map(|value| value.host).collect()
    }

    /// Whether any host is spliced.
    pub(super) fn splices(&self) -> bool {
        self.content.values().any(|value| value.action == HOST_SPLICE)
    }

    /// The number of a host that is or was spliced.
    pub(super) fn number(&self, host: &str) -> Option<u32> {
        HostKey::new(host).and_then(|key| self.numbers.get(&key).copied())
    }

    /// The names of hosts that are or were spliced, by number.
    pub(super) fn names(&self) -> HashMap<u32, String> {
        self.numbers.iter().map(|(key, number)| (*number, key.pattern())).collect()
    }

    fn value(&mut self, key: HostKey, action: &HostAction) -> HostValue {
        let target = match action {
            HostAction::Terminate => None,
            HostAction::Splice(to) => self.targets.number(to),
        };
        match target {
            Some(target) => {
                let next = self.numbers.values().max().map_or(1, |last| last.wrapping_add(1));
                HostValue { action: HOST_SPLICE, host: *self.numbers.entry(key).or_insert(next), target }
            }
            None => {
                let host = self.numbers.get(&key).copied().unwrap_or(0);
                HostValue { action: HOST_TERMINATE, host, target: 0 }
            }
        }
    }

    fn insert(&mut self, key: HostKey, value: HostValue) -> Result<(), KernelError> {
        match key {
            HostKey::Short(key) => self.short.insert(key, value, 0).map_err(KernelError::writing(HOSTS)),
            HostKey::Long(key) => self.long.insert(key, value, 0).map_err(KernelError::writing(LONG_HOSTS)),
        }?;
        self.content.insert(key, value);
        Ok(())
    }

    fn remove(&mut self, key: &HostKey) -> Result<(), KernelError> {
        match key {
            HostKey::Short(key) => self.short.remove(key).map_err(KernelError::writing(HOSTS)),
            HostKey::Long(key) => self.long.remove(key).map_err(KernelError::writing(LONG_HOSTS)),
        }
    }

    fn retain(&mut self, wanted: &HashMap<HostKey, HostAction>) -> Result<usize, KernelError> {
        let gone: Vec<_> = self.content.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
        for key in &gone {
            self.remove(key)?;
            self.content.remove(key);
        }
        Ok(gone.len())
    }
}

fn wanted(plan: &KernelPlan) -> Result<HashMap<HostKey, HostAction>, KernelError> {
    if plan.hosts.len() > HOSTS_MAX as usize {
        return Err(KernelError::TooManyHosts { count: plan.hosts.len(), max: HOSTS_MAX });
    }
    let entry = |(name, action): (&String, &HostAction)| match HostKey::new(name) {
        Some(key) => Ok((key, action.clone())),
        None => Err(KernelError::HostName { name: name.clone() }),
    };
    plan.hosts.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_up_to_65536_hosts() {
        let names = |count: u32| (0..count).map(|n| format!("h{n}.example"));
        assert!(wanted(&KernelPlan::terminating(names(HOSTS_MAX))).is_ok());
        assert!(matches!(
            wanted(&KernelPlan::terminating(names(HOSTS_MAX + 1))),
            Err(KernelError::TooManyHosts { count: 65_537, max: 65_536 })
        ));
    }

    #[test]
    fn a_plan_with_a_bad_name_is_refused_by_name() {
        for name in ["", "*", "a.*.b", &"a".repeat(256)] {
            let error = wanted(&KernelPlan::terminating(["good.example", name])).unwrap_err();
            assert!(matches!(error, KernelError::HostName { name: ref bad } if bad == name), "{error}");
        }
    }
}
