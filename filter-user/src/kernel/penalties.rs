//! Addresses whose SYNs are dropped for a while.

use std::{net::IpAddr, time::Duration};

use aya::{
    Ebpf,
    maps::{self, MapData},
};
use filter_common::{layout::Address, maps::PENALTIES};

use super::{KernelError, error::is_absent, flows::monotonic};

/// A punished address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Penalty {
    /// Whose SYNs are dropped.
    pub address: IpAddr,
    /// For how long still.
    pub left: Duration,
}

/// The map of punished addresses.
pub(super) struct Penalties(maps::HashMap<MapData, Address, u64>);

impl Penalties {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let map = ebpf.take_map(PENALTIES).ok_or(KernelError::Missing { what: "map", name: PENALTIES })?;
        Ok(Self(maps::HashMap::try_from(map).map_err(KernelError::reading(PENALTIES))?))
    }

    pub(super) fn punish(&mut self, address: IpAddr, duration: Duration) -> Result<(), KernelError> {
        let until = monotonic().saturating_add(duration);
        let until = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
        self.0.insert(Address::from(address), until, 0).map_err(KernelError::writing(PENALTIES))
    }

    pub(super) fn list(&self) -> Result<Vec<Penalty>, KernelError> {
        let now = monotonic();
        let mut list = Vec::new();
        for entry in self.0.iter() {
            let (address, until) = entry.map_err(KernelError::reading(PENALTIES))?;
            if let Some(left) = Duration::from_nanos(until).checked_sub(now).filter(|left| !left.is_zero()) {
                list.push(Penalty { address: address.ip(), left });
            }
        }
        Ok(list)
    }

    pub(super) fn pardon(&mut self, address: IpAddr) -> Result<bool, KernelError> {
        match self.0.remove(&Address::from(address)) {
            Ok(()) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(KernelError::writing(PENALTIES)(error)),
        }
    }
}
