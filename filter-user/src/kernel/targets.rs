//! Where hosts are spliced to: the tables of origins, and of the targets that choose between them.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use aya::{
    Ebpf,
    maps::{self, MapData},
};
use filter_common::{
    layout::Address,
    maps::{ORIGINS, ORIGINS_MAX, TARGETS},
    splice::{
        Link, ORIGIN_REACHABLE, ORIGIN_WITHOUT_TIMESTAMPS, ORIGINS_PER_TARGET_MAX, Origin, TARGET_PROXY_PROTOCOL,
        Target,
    },
};

use super::{HostAction, KernelError, KernelPlan, SpliceTo, maglev};

/// The way to an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The edge's address towards it.
    pub source: IpAddr,
    /// The interface, MAC addresses and VLAN tags of a frame to it.
    pub link: Link,
}

/// The maps of targets and origins, and what they hold.
pub(super) struct Targets {
    targets: maps::HashMap<MapData, u32, Target>,
    origins: maps::Array<MapData, Origin>,
    numbers: HashMap<Arc<SpliceTo>, u32>,
    indexes: HashMap<SocketAddr, u16>,
    paths: HashMap<SocketAddr, Path>,
}

impl Targets {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let mut take = |name| ebpf.take_map(name).ok_or(KernelError::Missing { what: "map", name });
        Ok(Self {
            targets: maps::HashMap::try_from(take(TARGETS)?).map_err(KernelError::reading(TARGETS))?,
            origins: maps::Array::try_from(take(ORIGINS)?).map_err(KernelError::reading(ORIGINS))?,
            numbers: HashMap::new(),
            indexes: HashMap::new(),
            paths: HashMap::new(),
        })
    }

    /// Whether the plan's origins fit.
    pub(super) fn check(plan: &KernelPlan) -> Result<(), KernelError> {
        for (host, action) in &plan.hosts {
            let HostAction::Splice(to) = action else { continue };
            let v4 = to.origins.iter().filter(|origin| origin.is_ipv4()).count();
            let count = v4.max(to.origins.len() - v4);
            if count > ORIGINS_PER_TARGET_MAX {
                let (host, max) = (host.clone(), ORIGINS_PER_TARGET_MAX);
                return Err(KernelError::TooManyOriginsOfHost { host, count, max });
            }
        }
        match origins_of(plan).len() {
            count if count > ORIGINS_MAX as usize => Err(KernelError::TooManyOrigins { count, max: ORIGINS_MAX }),
            _ => Ok(()),
        }
    }

    /// The origins that are in the table.
    pub(super) fn origins(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.indexes.keys().copied()
    }

    /// Those of them that nobody knows the way to.
    pub(super) fn unreachable(&self) -> Vec<SocketAddr> {
        let mut unreachable: Vec<_> = self.origins().filter(|origin| !self.paths.contains_key(origin)).collect();
        unreachable.sort_unstable();
        unreachable
    }

    /// Number of a target of the last plan that was written.
    pub(super) fn number(&self, to: &SpliceTo) -> Option<u32> {
        self.numbers.get(to).copied()
    }

    /// Writes the targets of a plan that fits, and their origins. What it does not have stays, for hosts that point to it.
    pub(super) fn write(&mut self, plan: &KernelPlan) -> Result<(), KernelError> {
        let wanted = origins_of(plan);
        let new: Vec<_> = wanted.iter().filter(|origin| !self.indexes.contains_key(origin)).copied().collect();
        if self.indexes.len() + new.len() > ORIGINS_MAX as usize {
            self.forget_origins(&wanted)?;
        }
        for origin in new {
            self.add_origin(origin)?;
        }
        for to in splices(plan) {
            if !self.numbers.contains_key(to) {
                let number = free(&self.numbers.values().copied().collect());
                self.targets.insert(number, self.target(to), 0).map_err(KernelError::writing(TARGETS))?;
                self.numbers.insert(to.clone(), number);
            }
        }
        Ok(())
    }

    /// Removes what the plan does not have.
    pub(super) fn retain(&mut self, plan: &KernelPlan) -> Result<(), KernelError> {
        let wanted: BTreeSet<_> = splices(plan).collect();
        let gone: Vec<_> =
            self.numbers.iter().filter(|(to, _)| !wanted.contains(to)).map(|(to, _)| to.clone()).collect();
        for to in gone {
            if let Some(number) = self.numbers.remove(&to) {
                self.targets.remove(&number).map_err(KernelError::writing(TARGETS))?;
            }
        }
        self.forget_origins(&origins_of(plan))
    }

    /// Writes the way to each origin as `find` knows it; an origin without one is not spliced to.
    pub(super) fn route(&mut self, mut find: impl FnMut(SocketAddr) -> Option<Path>) -> Result<(), KernelError> {
        let origins: Vec<_> = self.indexes.iter().map(|(origin, index)| (*origin, *index)).collect();
        for (origin, index) in origins {
            let path = find(origin);
            if path != self.paths.get(&origin).copied() {
                self.write_origin(origin, index, path)?;
            }
        }
        Ok(())
    }

    fn add_origin(&mut self, origin: SocketAddr) -> Result<(), KernelError> {
        let index = free(&self.indexes.values().copied().map(u32::from).collect());
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        self.write_origin(origin, index, None)?;
        self.indexes.insert(origin, index);
        Ok(())
    }

    fn write_origin(&mut self, origin: SocketAddr, index: u16, path: Option<Path>) -> Result<(), KernelError> {
        let known = self.origins.get(&index.into(), 0).map_err(KernelError::reading(ORIGINS))?;
        let address = Address::from(origin.ip());
        let port = origin.port().to_be();
        // What XDP found out stays as long as it is the same origin.
        let same = (known.address, known.port) == (address, port);
        let found = if same { known.flags & ORIGIN_WITHOUT_TIMESTAMPS } else { 0 };
        let value = match path {
            Some(Path { source, link }) => {
                let flags = ORIGIN_REACHABLE | found;
                Origin { address, source: source.into(), port, padding: 0, flags, link }
            }
            None => Origin { address, port, flags: found, ..Origin::default() },
        };
        self.origins.set(index.into(), value, 0).map_err(KernelError::writing(ORIGINS))?;
        match path {
            Some(path) => self.paths.insert(origin, path),
            None => self.paths.remove(&origin),
        };
        Ok(())
    }

    fn forget_origins(&mut self, wanted: &BTreeSet<SocketAddr>) -> Result<(), KernelError> {
        let gone: Vec<_> =
            self.indexes.iter().filter(|(origin, _)| !wanted.contains(origin)).map(|(&o, &i)| (o, i)).collect();
        for (origin, index) in gone {
            self.origins.set(index.into(), Origin::default(), 0).map_err(KernelError::writing(ORIGINS))?;
            self.indexes.remove(&origin);
            self.paths.remove(&origin);
        }
        Ok(())
    }

    fn target(&self, to: &SpliceTo) -> Target {
        let of_family = |is_v4: bool| -> Vec<_> {
            let family = to.origins.iter().filter(|origin| origin.is_ipv4() == is_v4);
            family.filter_map(|origin| Some((*origin, *self.indexes.get(origin)?))).collect()
        };
        Target {
            flags: if to.proxy_protocol { TARGET_PROXY_PROTOCOL } else { 0 },
            v4: maglev::table(&of_family(true)),
            v6: maglev::table(&of_family(false)),
        }
    }
}

/// The different targets of a plan.
fn splices(plan: &KernelPlan) -> impl Iterator<Item = &Arc<SpliceTo>> {
    plan.hosts.values().filter_map(|action| match action {
        HostAction::Splice(to) => Some(to),
        HostAction::Terminate => None,
    })
}

fn origins_of(plan: &KernelPlan) -> BTreeSet<SocketAddr> {
    splices(plan).flat_map(|to| to.origins.iter().copied()).collect()
}

/// The least number that is not taken.
fn free(taken: &BTreeSet<u32>) -> u32 {
    (0..).zip(taken).find(|&(number, &taken)| number != taken).map_or(taken.len() as u32, |(number, _)| number)
}
