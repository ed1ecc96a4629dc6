//! What can go wrong between the daemon and the kernel, in the operator's terms.

use std::path::PathBuf;

use aya::{EbpfError, maps::MapError, programs::ProgramError};

use super::AttachedMode;

/// The packet plane cannot do what was asked. The daemon can always go on in socket mode.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// The daemon was built without the eBPF object.
    #[error("this daemon was built without its eBPF program; build it with `cargo xtask build`")]
    Stub,
    /// The process may not load eBPF programs.
    #[error("missing {}: run as root, or grant the capabilities (systemd: AmbientCapabilities=)", .missing.join(", "))]
    Privilege {
        /// Names of the capabilities.
        missing: Vec<&'static str>,
    },
    /// The kernel lacks helpers that the program needs.
    #[error("kernel {release} is too old for the XDP program, which needs 6.1 or newer")]
    KernelTooOld {
        /// `uname -r`.
        release: String,
    },
    /// The kernel cannot load the object's maps.
    #[error("the eBPF object cannot be loaded")]
    Object(#[source] Box<EbpfError>),
    /// The kernel refused a program.
    #[error("the kernel refused the program {program}")]
    Program {
        /// Its name in the object.
        program: &'static str,
        /// Why; holds the verifier's log if there is one.
        #[source]
        source: Box<ProgramError>,
    },
    /// The object and the daemon were built from different sources.
    #[error("the eBPF object has ABI version {object}, the daemon {daemon}; build both with one `cargo xtask build`")]
    Abi {
        /// Of the object.
        object: u32,
        /// Of the daemon.
        daemon: u32,
    },
    /// The object lacks a map or program that the daemon expects.
    #[error("the eBPF object has no {what} {name}; build object and daemon with one `cargo xtask build`")]
    Missing {
        /// "map" or "program".
        what: &'static str,
        /// Its name.
        name: &'static str,
    },
    /// There is no such interface.
    #[error("there is no network interface {interface:?} in this network namespace; `ip link` lists them")]
    NoInterface {
        /// As it was configured.
        interface: String,
    },
    /// No mode that was to be tried could be attached.
    #[error("XDP cannot be attached to {interface}: {}", list(.tried))]
    Attach {
        /// The interface.
        interface: String,
        /// What was tried, and why it failed.
        tried: Vec<(AttachedMode, String)>,
    },
    /// The kernel gives no random numbers.
    #[error(
        "the kernel gives no random numbers, which the tables of XDP need to be safe from whoever chooses his addresses"
    )]
    Random,
    /// The addresses of the host cannot be listed, which a listen address of 0.0.0.0 or :: needs.
    #[error("the addresses of this host cannot be listed")]
    Addresses(#[source] std::io::Error),
    /// More listen addresses than the program can hold.
    #[error("{count} listen addresses (0.0.0.0 and :: count once for each address of the host); {max} is the limit")]
    TooManyAddresses {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: u32,
    },
    /// More hosts than the table can hold.
    #[error("{count} host names; {max} is the limit of the XDP host table")]
    TooManyHosts {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: u32,
    },
    /// More denied networks than the trie can hold.
    #[error("{count} networks to deny; {max} is the limit of XDP's table")]
    TooManyNetworks {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: u32,
    },
    /// More origins than the table can hold.
    #[error("{count} origins; {max} is the limit of XDP's table")]
    TooManyOrigins {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: u32,
    },
    /// More origins than one host can have.
    #[error("host {host:?} has {count} origins of one address family; {max} is the limit")]
    TooManyOriginsOfHost {
        /// Its name.
        host: String,
        /// How many it has.
        count: usize,
        /// How many it may have.
        max: usize,
    },
    /// A name that cannot be in the host table.
    #[error("{name:?} is no host name: 1 to 255 bytes, an asterisk only as the whole first label")]
    HostName {
        /// As it was configured.
        name: String,
    },
    /// A worker runs on a CPU that connections cannot be steered to.
    #[error("a worker is pinned to CPU {cpu}; connections can be steered to CPUs below {max}")]
    Cpu {
        /// Its number.
        cpu: u32,
        /// One more than the highest number.
        max: u32,
    },
    /// SYN cookies need a kernel setting that cannot be changed.
    #[error("SYN cookies in XDP need {name} = {value}, which cannot be set (turn SYN cookies off to do without)")]
    Setting {
        /// Its name as `sysctl` writes it.
        name: String,
        /// What it should be.
        value: &'static str,
        /// Why it cannot.
        #[source]
        source: std::io::Error,
    },
    /// What is to outlive the process cannot be kept.
    #[error(
        "maps and programs cannot be pinned in {directory:?}: is it in a BPF file system? (mount -t bpf bpf /sys/fs/bpf)"
    )]
    Pin {
        /// Where they should be.
        directory: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The kernel's tables of routes cannot be read.
    #[error("the routes of this host cannot be read")]
    Routes(#[source] std::io::Error),
    /// Connections that are ended cannot be reset.
    #[error("raw sockets, to reset spliced connections by, cannot be opened (CAP_NET_RAW is needed)")]
    Resets(#[source] std::io::Error),
    /// The kernel does not say when it is through with what it was doing.
    #[error("the kernel cannot be waited for (membarrier)")]
    Fence(#[source] std::io::Error),
    /// The spliced connections cannot be listed.
    #[error("the spliced connections cannot be listed (BPF_MAP_LOOKUP_BATCH)")]
    List(#[source] std::io::Error),
    /// A map cannot be read or written.
    #[error("the map {map} cannot be {operation}")]
    Map {
        /// Its name.
        map: &'static str,
        /// "read" or "written".
        operation: &'static str,
        /// Why.
        #[source]
        source: Box<MapError>,
    },
}

impl KernelError {
    pub(super) fn program(program: &'static str) -> impl FnOnce(ProgramError) -> Self {
        move |source| Self::Program { program, source: Box::new(source) }
    }

    pub(super) fn reading(map: &'static str) -> impl Fn(MapError) -> Self {
        move |source| Self::Map { map, operation: "read", source: Box::new(source) }
    }

    pub(super) fn writing(map: &'static str) -> impl Fn(MapError) -> Self {
        move |source| Self::Map { map, operation: "written", source: Box::new(source) }
    }
}

/// Whether all that is wrong is that the map has no such key. aya says so in one way when it looks up, and in another when it removes.
pub(super) fn is_absent(error: &MapError) -> bool {
    match error {
        MapError::KeyNotFound => true,
        MapError::SyscallError(error) => error.io_error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// An error with all its causes, in one line: libraries name only the last in what they display.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

fn list(tried: &[(AttachedMode, String)]) -> String {
    tried.iter().map(|(mode, why)| format!("{mode}: {why}")).collect::<Vec<_>>().join("; ")
}
