//! The filter's configuration file, as scenarios describe it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::datapath::Datapath;
use super::network::{EDGE_IPV4, EDGE_IPV6, ORIGIN_IPV4};
use super::pki::Authority;

/// Port of the echo origin.
pub(super) const ECHO_PORT: u16 = 8080;
/// Port of nginx.
pub(super) const NGINX_PORT: u16 = 8081;

/// Where permitted requests of a host go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// The lab's own origin, which answers with what it was asked.
    Echo,
    /// A real nginx.
    Nginx,
    /// A port of the origin's machine where nothing listens.
    Nowhere,
}

impl Upstream {
    fn address(self) -> SocketAddr {
        let port = match self {
            Self::Echo => ECHO_PORT,
            Self::Nginx => NGINX_PORT,
            Self::Nowhere => 9,
        };
        SocketAddr::new(ORIGIN_IPV4.into(), port)
    }
}

/// A host of a zone.
#[derive(Clone, Debug)]
pub struct Host {
    name: String,
    mtls: bool,
    upstream: Upstream,
}

impl Host {
    /// A host that asks its clients for a certificate.
    #[must_use]
    pub fn mtls(name: &str) -> Self {
        Self { name: name.to_owned(), mtls: true, upstream: Upstream::Echo }
    }

    /// A host that does not.
    #[must_use]
    pub fn plain(name: &str) -> Self {
        Self { mtls: false, ..Self::mtls(name) }
    }

    pub(super) fn is_on(&self, upstream: Upstream) -> bool {
        self.upstream == upstream
    }

    /// The same host with another upstream; it is [`Upstream::Echo`] otherwise.
    #[must_use]
    pub fn upstream(self, upstream: Upstream) -> Self {
        Self { upstream, ..self }
    }
}

/// A zone.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its domain.
    pub name: String,
    /// Its hosts.
    pub hosts: Vec<Host>,
}

impl Zone {
    /// A zone with these hosts.
    #[must_use]
    pub fn new(name: &str, hosts: impl IntoIterator<Item = Host>) -> Self {
        Self { name: name.to_owned(), hosts: hosts.into_iter().collect() }
    }
}

/// Everything that the file says.
#[derive(Clone, Debug)]
pub struct Config {
    /// How packets reach the workers.
    pub datapath: Datapath,
    /// Port that the filter listens on.
    pub port: u16,
    /// Worker threads.
    pub workers: usize,
    /// The zones.
    pub zones: Vec<Zone>,
}

impl Config {
    /// Writes the file and the servers' certificates into `directory`. Returns the path of the file.
    pub(super) fn write(&self, directory: &Path, authority: &Authority) -> Result<PathBuf> {
        let mut text = self.head(directory)?;
        for zone in &self.zones {
            writeln!(text, "\n[[zone]]\nname = {:?}", zone.name)?;
            for host in &zone.hosts {
                let (certificate, key) = authority.server(&[&host.name])?;
                writeln!(text, "[[zone.host]]\nname = {:?}", host.name)?;
                writeln!(text, "certificate = {certificate:?}\nprivate_key = {key:?}")?;
                writeln!(text, "upstream = \"http://{}\"", host.upstream.address())?;
                if host.mtls {
                    writeln!(text, "mtls = true")?;
                }
            }
        }
        let file = directory.join("mtls-filter.toml");
        std::fs::write(&file, text)?;
        Ok(file)
    }

    fn head(&self, directory: &Path) -> Result<String> {
        let mut text = String::new();
        let port = self.port;
        writeln!(text, "[edge]\nlisten = [\"{EDGE_IPV4}:{port}\", \"[{EDGE_IPV6}]:{port}\"]")?;
        writeln!(text, "interface = \"edge0\"\ndatapath = \"{}\"\nworkers = {}", self.datapath, self.workers)?;
        writeln!(text, "\n[control]\nsocket = {:?}", control_socket(directory))?;
        writeln!(text, "\n[store]\ndirectory = {:?}", store(directory))?;
        writeln!(text, "\n[log]\naccess = {:?}", access_log(directory))?;
        Ok(text)
    }
}

/// Path of the control socket of a filter whose files are in `directory`.
pub(super) fn control_socket(directory: &Path) -> PathBuf {
    directory.join("control.sock")
}

/// Directory of its store.
pub(super) fn store(directory: &Path) -> PathBuf {
    directory.join("store")
}

/// Path of its access log.
pub(super) fn access_log(directory: &Path) -> PathBuf {
    directory.join("access.log")
}
