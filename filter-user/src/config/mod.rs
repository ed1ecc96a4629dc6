//! The configuration file, checked as a whole.
//!
//! [`Config::load`] reads the TOML file and every file it names, and returns either a value with nothing left to check or *all*
//! problems with their places. Nothing is bound, created or changed before that.
//!
//! Zones and hosts stand in the file; what changes while the filter runs (rules, certificates, revocations) is kept in the store.

mod admin;
mod events;
mod host_name;
mod passthrough;
mod penalty;
mod problem;
mod read;
mod read_host;
mod server_identity;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::sign::CertifiedKey;

use crate::geo::Databases;
use crate::telemetry::Rotation;

pub use host_name::{HostName, MAX_HOST_NAME, MAX_LABEL};
pub use passthrough::{Check, MAX_ALL_ORIGINS, MAX_ORIGINS, Passthrough, PassthroughSettings};
pub use penalty::{MAX_BLOCKED, Penalty};
pub use problem::{Position, Problem, Problems};

/// Most hosts a configuration may have; the host table of the XDP program holds as many with room to spare.
pub const MAX_HOSTS: usize = 32_768;

/// Most addresses a configuration may listen on.
pub const MAX_LISTEN: usize = 64;

/// Most worker threads.
pub const MAX_WORKERS: u64 = 1_024;

/// Most memory for events, in MiB.
pub const MAX_EVENTS_MEMORY: u64 = 1_024;

/// Most bytes of a file of events, in MiB.
pub const MAX_EVENTS_FILE: u64 = 1_024;

/// Default of `edge.pin`.
pub const PIN_DIRECTORY: &str = "/sys/fs/bpf/mtls-filter/default";

/// Most names of the admin listener.
pub const MAX_ADMIN_NAMES: usize = 32;

/// A configuration with nothing left to check.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where traffic comes in.
    pub edge: Edge,
    /// Where the API is served.
    pub control: Control,
    /// Where state is kept.
    pub store: Store,
    /// What is written about requests.
    pub log: Log,
    /// Where blocked and logged requests are kept.
    pub events: Events,
    /// Where addresses are.
    pub geo: Arc<Databases>,
    /// How connections are passed through.
    pub passthrough: PassthroughSettings,
    /// The zones, at least one.
    pub zones: Vec<Zone>,
}

/// Where traffic comes in.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Addresses that clients connect to.
    pub listen: Vec<SocketAddr>,
    /// Interface that the XDP program is attached to; always present unless `datapath` is [`Datapath::Socket`].
    pub interface: Option<String>,
    /// How packets reach the workers.
    pub datapath: Datapath,
    /// Whether XDP answers SYNs with cookies, so that nothing is kept of a client before it has said hello.
    pub syn_cookies: bool,
    /// Directory of a BPF file system in which XDP is kept, so that spliced connections outlive the process.
    pub pin: PathBuf,
    /// Worker threads; `None` for one a CPU.
    pub workers: Option<NonZeroUsize>,
    /// When an address that is blocked again and again is dropped by XDP; `None` for never.
    pub penalty: Option<Penalty>,
}

/// How packets reach the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Datapath {
    /// Native XDP, else generic XDP, else the kernel's sockets alone: the first that this machine can do.
    #[default]
    Auto,
    /// XDP in the driver; an error where the driver has none.
    Native,
    /// XDP in the kernel's generic receive path.
    Generic,
    /// No XDP: same verdicts, no fast path, no privilege needed.
    Socket,
}

impl Datapath {
    /// Every value with its name in the file and on the command line.
    pub const NAMES: [(&'static str, Self); 4] =
        [("auto", Self::Auto), ("native", Self::Native), ("generic", Self::Generic), ("socket", Self::Socket)];
}

impl std::str::FromStr for Datapath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, datapath)| *datapath)
            .ok_or_else(|| format!("`{text}` is no datapath: it is auto, native, generic or socket"))
    }
}

impl fmt::Display for Datapath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Socket => "socket",
        })
    }
}

/// Where the API is served.
#[derive(Debug, Clone)]
pub struct Control {
    /// Path of the unix socket; created with mode 0600.
    pub socket: PathBuf,
    /// The listener for callers with tokens; `None` if there is none.
    pub admin: Option<Admin>,
}

/// Where the API is served over TCP.
#[derive(Debug, Clone)]
pub struct Admin {
    /// The address.
    pub listen: SocketAddr,
    /// Names under which it is reached, beside its address and `localhost`.
    pub names: Vec<String>,
    /// How tokens are protected on their way; never [`AdminTls::Plain`] unless the address is a loopback address.
    pub tls: AdminTls,
}

/// How tokens are protected on their way.
#[derive(Debug, Clone)]
pub enum AdminTls {
    /// Not at all: they do not leave the machine.
    Plain,
    /// By this certificate.
    Given(Arc<CertifiedKey>),
    /// By a certificate that the daemon makes.
    SelfSigned,
}

/// Where state is kept.
#[derive(Debug, Clone)]
pub struct Store {
    /// Directory of the database; created with mode 0700.
    pub directory: PathBuf,
    /// File of the key that seals private keys in the database.
    pub master_key: PathBuf,
}

/// What is written about requests.
#[derive(Debug, Clone)]
pub struct Log {
    /// Where access records go.
    pub access: AccessLog,
    /// The XDP program logs one in so many packets for listen addresses, at debug level; 0 for none.
    pub packets: u32,
}

/// Where access records go: one JSON object a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Appended to a file.
    File(PathBuf),
}

/// Where blocked and logged requests are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// Bytes for the newest ones, in memory.
    pub memory: usize,
    /// The file that all are written to; `None` for none.
    pub file: Option<Rotation>,
}

/// A zone: a domain with its own certificate authority and its own rules.
#[derive(Debug, Clone)]
pub struct Zone {
    /// The domain.
    pub name: HostName,
    /// Its hosts, at least one.
    pub hosts: Vec<Host>,
}

/// A host of a zone. Workers can terminate its TLS, or its connections can be passed on unopened to an origin that does, or both: then
/// the rules decide.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name.
    pub name: HostName,
    /// Whether clients are asked for a certificate. Asked, not required: what happens without one, a rule decides.
    pub mtls: bool,
    /// What workers need to terminate its TLS; always present unless `passthrough` is.
    pub termination: Option<Termination>,
    /// Where its connections go while no rule can touch them.
    pub passthrough: Option<Passthrough>,
}

/// What workers need to terminate the TLS of a host.
#[derive(Debug, Clone)]
pub struct Termination {
    /// The certificate it shows.
    pub certificate: Arc<CertifiedKey>,
    /// Where permitted requests go.
    pub upstream: Upstream,
    /// Whether permitted requests carry the client's certificate to the upstream in the `Client-Cert` header (RFC 9440).
    pub forward_client_cert: bool,
    /// What a revocation does to open connections.
    pub on_revoke: OnRevoke,
}

/// What a revocation does to the open connections of the certificate. Their next request is judged by the rules in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnRevoke {
    /// Nothing: a response that is on its way is finished.
    #[default]
    Block,
    /// It closes them.
    Close,
}

impl std::str::FromStr for OnRevoke {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "block" => Ok(Self::Block),
            "close" => Ok(Self::Close),
            _ => Err(format!("`{text}` is nothing that a revocation does: it is \"block\" or \"close\"")),
        }
    }
}

/// An HTTP server that requests are proxied to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// Its address.
    pub address: SocketAddr,
}

impl Config {
    /// Reads and checks `path` and the files it names. Relative paths are taken from the directory of `path`.
    ///
    /// # Errors
    /// All problems of the file, in its order; a file that cannot be read is one problem at its start.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let in_file = |problems| Problems { file: path.to_owned(), problems };
        let source = fs::read_to_string(path).map_err(|error| {
            let start = Position { line: 1, column: 1 };
            in_file(vec![Problem { position: start, message: format!("cannot read the file: {error}") }])
        })?;
        let directory = path.parent().unwrap_or(Path::new(""));
        read::config(&source, directory).map_err(in_file)
    }

    /// All hosts with their zones.
    pub fn hosts(&self) -> impl Iterator<Item = (&Zone, &Host)> {
        self.zones.iter().flat_map(|zone| zone.hosts.iter().map(move |host| (zone, host)))
    }
}
