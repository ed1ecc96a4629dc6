//! The filter's configuration file, as scenarios describe it.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::datapath::Datapath;
use super::network::{EDGE_IPV4, EDGE_IPV6, ORIGIN_IPV4, TLS_ORIGIN_IPV4, TLS_ORIGIN_IPV6};
use super::patience::patience;
use super::pki::Authority;
use super::registry::PINS;

/// How long a check of an origin may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// Port of the echo origin.
pub(super) const ECHO_PORT: u16 = 8080;
/// Port of nginx.
pub(super) const NGINX_PORT: u16 = 8081;

/// Port of nginx where it terminates TLS.
const TLS_PORT: u16 = 443;
/// Port of nginx where it terminates TLS behind a PROXY protocol header.
const PROXY_PORT: u16 = 8443;

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

/// Origins that terminate TLS themselves: nginx, for clients of both families.
pub const TLS_ORIGINS: [SocketAddr; 2] =
    [SocketAddr::new(IpAddr::V4(TLS_ORIGIN_IPV4), TLS_PORT), SocketAddr::new(IpAddr::V6(TLS_ORIGIN_IPV6), TLS_PORT)];
/// The same where a connection must begin with a PROXY protocol header.
pub const PROXY_ORIGINS: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(TLS_ORIGIN_IPV4), PROXY_PORT),
    SocketAddr::new(IpAddr::V6(TLS_ORIGIN_IPV6), PROXY_PORT),
];
/// Where nobody listens.
pub const DEAD_ORIGINS: [SocketAddr; 2] =
    [SocketAddr::new(IpAddr::V4(TLS_ORIGIN_IPV4), 9), SocketAddr::new(IpAddr::V6(TLS_ORIGIN_IPV6), 9)];

/// A host of a zone.
#[derive(Clone, Debug)]
pub struct Host {
    name: String,
    mtls: bool,
    forwards_certificate: bool,
    closes_on_revoke: bool,
    upstream: Option<Upstream>,
    origins: Vec<SocketAddr>,
}

impl Host {
    /// A host that asks its clients for a certificate.
    #[must_use]
    pub fn mtls(name: &str) -> Self {
        let upstream = Some(Upstream::Echo);
        Self {
            name: name.to_owned(),
            mtls: true,
            forwards_certificate: false,
            closes_on_revoke: false,
            upstream,
            origins: Vec::new(),
        }
    }

    /// A host that does not.
    #[must_use]
    pub fn plain(name: &str) -> Self {
        Self { mtls: false, ..Self::mtls(name) }
    }

    /// A host that is passed through to these origins, and that workers could not terminate.
    #[must_use]
    pub fn passed(name: &str, origins: &[SocketAddr]) -> Self {
        Self { upstream: None, ..Self::plain(name).also_passed(origins) }
    }

    /// The same host, passed through to these origins while no rule can reach it.
    #[must_use]
    pub fn also_passed(self, origins: &[SocketAddr]) -> Self {
        Self { origins: origins.to_vec(), ..self }
    }

    /// Its name, if an origin shows a certificate for it.
    pub(super) fn passed_name(&self) -> Option<&str> {
        (!self.origins.is_empty()).then_some(&self.name)
    }

    fn write(&self, text: &mut String, authority: &Authority) -> Result<()> {
        writeln!(text, "[[zone.host]]\nname = {:?}", self.name)?;
        if let Some(upstream) = self.upstream {
            let (certificate, key) = authority.server(&[&self.name])?;
            writeln!(text, "certificate = {certificate:?}\nprivate_key = {key:?}")?;
            writeln!(text, "upstream = \"http://{}\"", upstream.address())?;
        }
        if self.mtls {
            writeln!(text, "mtls = true")?;
        }
        if self.forwards_certificate {
            writeln!(text, "forward_client_cert = true")?;
        }
        if self.closes_on_revoke {
            writeln!(text, "on_revoke = \"close\"")?;
        }
        if !self.origins.is_empty() {
            let origins: Vec<_> = self.origins.iter().map(|origin| format!("\"{origin}\"")).collect();
            let expects_header = self.origins.iter().any(|origin| PROXY_ORIGINS.contains(origin));
            writeln!(text, "passthrough = [{}]\nproxy_protocol = {expects_header}", origins.join(", "))?;
            // The TLS origin serves several hosts of some scenarios.
            writeln!(text, "allow_shared_origin = true")?;
        }
        Ok(())
    }

    /// The same host, telling its upstream about verified certificates in the `Client-Cert` header.
    #[must_use]
    pub fn forwards_certificate(self) -> Self {
        Self { forwards_certificate: true, ..self }
    }

    /// The same host, closing the connections of certificates when they are revoked.
    #[must_use]
    pub fn closes_on_revoke(self) -> Self {
        Self { closes_on_revoke: true, ..self }
    }

    pub(super) fn is_on(&self, upstream: Upstream) -> bool {
        self.upstream == Some(upstream)
    }

    /// The same host with another upstream; it is [`Upstream::Echo`] otherwise.
    #[must_use]
    pub fn upstream(self, upstream: Upstream) -> Self {
        Self { upstream: Some(upstream), ..self }
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
    /// Lines of `[edge.penalty]`, if it is there.
    pub penalty: Option<String>,
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
                host.write(&mut text, authority)?;
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
        writeln!(text, "pin = {:?}", pins(directory))?;
        if let Some(penalty) = &self.penalty {
            writeln!(text, "\n[edge.penalty]\n{penalty}")?;
        }
        // A lab is over before the usual settings would find out that an origin is gone.
        let timeout = patience(CHECK_TIMEOUT).as_secs();
        writeln!(text, "\n[passthrough]\ncheck_interval = \"100ms\"\ncheck_timeout = \"{timeout}s\"")?;
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

/// Directory of a BPF file system for its XDP program: named like the lab, as `directory` is.
pub(super) fn pins(directory: &Path) -> PathBuf {
    Path::new(PINS).join(directory.file_name().unwrap_or_default())
}

/// Path of its access log.
pub(super) fn access_log(directory: &Path) -> PathBuf {
    directory.join("access.log")
}
