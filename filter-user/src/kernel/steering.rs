//! Giving new connections to the worker of the CPU that handles them.

use std::{net::SocketAddr, os::fd::BorrowedFd};

use aya::{
    Ebpf,
    maps::{self, ReusePortSockArray},
    programs::SkReuseport,
};
use filter_common::{
    layout::{GroupValue, ListenKey},
    maps::{CPUS_MAX, GROUPS, LISTEN_MAX, PROGRAM_STEER, SOCKETS},
};

use super::{KernelError, host, listen, object};

/// The listeners of all workers on one address.
#[derive(Debug)]
pub struct Group<'a> {
    /// What they are bound to, with the real port.
    pub listen: SocketAddr,
    /// For each worker, the CPU it is pinned to and its listener, which has SO_REUSEPORT and listens already.
    pub workers: Vec<(u32, BorrowedFd<'a>)>,
}

/// The program that chooses workers. It stays with its listeners until they are closed, even when this is dropped.
///
/// On a CPU without a worker, and for whatever it does not know, the kernel chooses as it would without the program.
pub struct Steering {
    // Held so that the loaded program can be listed under the daemon for as long as it works.
    _ebpf: Ebpf,
}

impl Steering {
    /// Loads the program and attaches it to each group. Needs privilege, and works without XDP too.
    pub fn attach(groups: &[Group<'_>]) -> Result<Self, KernelError> {
        host::check(host::STEER)?;
        if groups.len() > LISTEN_MAX as usize {
            return Err(KernelError::TooManyAddresses { count: groups.len(), max: LISTEN_MAX });
        }
        let mut ebpf = object::load()?;
        fill_groups(&mut ebpf, groups)?;
        fill_sockets(&mut ebpf, groups)?;
        let program = object::program::<SkReuseport>(&mut ebpf, PROGRAM_STEER)?;
        program.load().map_err(KernelError::program(PROGRAM_STEER))?;
        for (_, listener) in groups.iter().filter_map(|group| group.workers.first()) {
            program.attach(listener).map_err(KernelError::program(PROGRAM_STEER))?;
        }
        Ok(Self { _ebpf: ebpf })
    }
}

impl std::fmt::Debug for Steering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Steering")
    }
}

fn fill_groups(ebpf: &mut Ebpf, groups: &[Group<'_>]) -> Result<(), KernelError> {
    let map = ebpf.map_mut(GROUPS).ok_or(KernelError::Missing { what: "map", name: GROUPS })?;
    let mut map = maps::HashMap::<_, ListenKey, GroupValue>::try_from(map).map_err(KernelError::reading(GROUPS))?;
    for (first_socket, group) in first_sockets().zip(groups) {
        map.insert(listen::key(group.listen), GroupValue { first_socket }, 0).map_err(KernelError::writing(GROUPS))?;
    }
    Ok(())
}

fn fill_sockets(ebpf: &mut Ebpf, groups: &[Group<'_>]) -> Result<(), KernelError> {
    let map = ebpf.map_mut(SOCKETS).ok_or(KernelError::Missing { what: "map", name: SOCKETS })?;
    let mut map = ReusePortSockArray::try_from(map).map_err(KernelError::reading(SOCKETS))?;
    for (first_socket, group) in first_sockets().zip(groups) {
        for (cpu, listener) in &group.workers {
            if *cpu >= CPUS_MAX {
                return Err(KernelError::Cpu { cpu: *cpu, max: CPUS_MAX });
            }
            map.set(first_socket + cpu, listener, 0).map_err(KernelError::writing(SOCKETS))?;
        }
    }
    Ok(())
}

/// Where each group's sockets start.
fn first_sockets() -> impl Iterator<Item = u32> {
    (0..LISTEN_MAX).map(|group| group * CPUS_MAX)
}
