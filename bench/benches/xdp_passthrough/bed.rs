//! Networks with what is measured in them.
//!
//! The filter has one of its own: with XDP on an interface the kernel no longer hands packets of 64 KB to it, and every packet passes the
//! program first, so that a peer beside it would be measured with the filter's cost.

use std::{
    env, fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};
use filter_tests::lab::{EDGE_IPV4, Namespace, Network, ORIGIN_IPV4, Process, Receiver, find_nginx, unique_name};

use super::traffic;

/// Where the origin for short connections is.
pub(super) const SHORT_PORT: u16 = 9000;
/// Where the origin for downloads is.
pub(super) const LONG_PORT: u16 = 9001;
/// Ports of the edge, as in the configurations of `bench/peers`.
const FILTER_PORT: u16 = 443;
const NGINX_PORT: u16 = 8441;
const HAPROXY_PORT: u16 = 8442;

/// A network `client — edge — origin`, and what routes in its edge.
pub(super) struct Bed {
    // Before the network that they run in.
    _processes: Vec<Process>,
    _receivers: Vec<Receiver>,
    /// The namespaces.
    pub(super) network: Network,
    _directory: tempfile::TempDir,
}

/// How packets arrive at the edge.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// As they are on a wire.
    Mtu,
    /// As a network card hands them over that merges them: up to 64 KB each.
    Offloaded,
}

impl Bed {
    /// The filter, with XDP in the driver.
    pub(super) fn filter() -> Result<Self> {
        let (network, directory) = network()?;
        let receivers =
            vec![Receiver::attach(&network.client, "client0")?, Receiver::attach(&network.origin, "origin0")?];
        let template = fs::read_to_string(peers().join("mtls-filter.toml"))?;
        let file = directory.path().join("mtls-filter.toml");
        fs::write(&file, template.replace("DIRECTORY", &directory.path().to_string_lossy()))?;
        let mut command = network.edge.command(variable("MTLS_FILTER_LAB_BINARY")?)?;
        command.arg("run").arg("--config").arg(&file);
        let process = start("mtls-filter", &mut command, &directory, &network, FILTER_PORT)?;
        Ok(Self { _processes: vec![process], _receivers: receivers, network, _directory: directory })
    }

    /// The peers.
    pub(super) fn peers(arrival: Arrival) -> Result<Self> {
        let (network, directory) = network()?;
        if arrival == Arrival::Offloaded {
            let ends = [
                (&network.client, &["client0"][..]),
                (&network.edge, &["edge0", "edge1"]),
                (&network.origin, &["origin0"]),
            ];
            for (namespace, links) in ends {
                for link in links {
                    let status = namespace.command("ethtool")?.args(["-K", link, "tx", "on", "tso", "on"]).status()?;
                    anyhow::ensure!(status.success(), "ethtool cannot turn the offloads of {link} on");
                }
            }
        }
        let mut nginx = network.edge.command(find_nginx()?)?;
        nginx.arg("-e").arg("stderr").arg("-p").arg(directory.path()).arg("-c").arg(peers().join("nginx.conf"));
        nginx.arg("-g").arg(format!("load_module {};", variable("MTLS_FILTER_BENCH_STREAM_MODULE")?.display()));
        libraries(&mut nginx, "MTLS_FILTER_LAB_LIBRARIES");
        let mut haproxy = network.edge.command(variable("MTLS_FILTER_BENCH_HAPROXY")?)?;
        haproxy.arg("-db").arg("-f").arg(peers().join("haproxy.cfg"));
        libraries(&mut haproxy, "MTLS_FILTER_BENCH_HAPROXY_LIBRARIES");
        let processes = vec![
            start("nginx", &mut nginx, &directory, &network, NGINX_PORT)?,
            start("haproxy", &mut haproxy, &directory, &network, HAPROXY_PORT)?,
        ];
        Ok(Self { _processes: processes, _receivers: Vec::new(), network, _directory: directory })
    }
}

/// Who takes connections from the client to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contender {
    /// The kernel: the client asks for the origin itself. What the others cost above this is theirs.
    Routing,
    /// The kernel, on the links of the filter, whose program passes what is not for it. A pair of virtual interfaces copies every packet for
    /// XDP and makes it anew behind it, which a network card does not: that much of the splice is the lab's.
    RoutingBehindXdp,
    /// The filter.
    Splice,
    /// nginx with `ssl_preread`.
    Nginx,
    /// HAProxy with `req.ssl_sni`.
    Haproxy,
}

impl Contender {
    /// All of them.
    pub(super) const ALL: [Self; 5] = [Self::Routing, Self::RoutingBehindXdp, Self::Splice, Self::Nginx, Self::Haproxy];

    /// Its name in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Routing => "plain routing",
            Self::RoutingBehindXdp => "routing behind XDP",
            Self::Splice => "mtls-filter splice",
            Self::Nginx => "nginx ssl_preread",
            Self::Haproxy => "haproxy req.ssl_sni",
        }
    }

    /// Whether it is in the network with the filter.
    pub(super) fn has_xdp(self) -> bool {
        matches!(self, Self::RoutingBehindXdp | Self::Splice)
    }

    /// What a client connects to that wants the origin on `port`.
    pub(super) fn target(self, port: u16) -> SocketAddr {
        match self {
            Self::Routing | Self::RoutingBehindXdp => (ORIGIN_IPV4, port).into(),
            Self::Splice => (EDGE_IPV4, FILTER_PORT).into(),
            Self::Nginx => (EDGE_IPV4, NGINX_PORT).into(),
            Self::Haproxy => (EDGE_IPV4, HAPROXY_PORT).into(),
        }
    }
}

/// The network with its origins; clients find their way to the origin by the edge.
fn network() -> Result<(Network, tempfile::TempDir)> {
    let network = Network::create(&unique_name())?;
    network.client.ip(&["route", "add", "default", "via", &EDGE_IPV4.to_string()])?;
    network.origin.ip(&["route", "add", "default", "via", "10.77.2.1"])?;
    for (port, answer) in [(SHORT_PORT, traffic::SHORT), (LONG_PORT, traffic::LONG)] {
        traffic::start_origin(&network.origin, (ORIGIN_IPV4, port).into(), answer)?;
    }
    // Clients that open thousands of connections a second use a port again soon.
    for namespace in [&network.client, &network.edge] {
        setting(namespace, "/proc/sys/net/ipv4/ip_local_port_range", "10000 65000")?;
    }
    Ok((network, tempfile::tempdir()?))
}

fn setting(namespace: &Namespace, file: &str, value: &str) -> Result<()> {
    namespace.enter(|| fs::write(file, value).with_context(|| format!("cannot write {file}")))
}

fn start(
    name: &str,
    command: &mut Command,
    directory: &tempfile::TempDir,
    network: &Network,
    port: u16,
) -> Result<Process> {
    let mut process = Process::start(name, command, &directory.path().join(format!("{name}.log")))?;
    let listens = || Ok(TcpStream::connect_timeout(&(EDGE_IPV4, port).into(), Duration::from_secs(1))?);
    process.wait_until("listening", || network.client.enter(listens).is_ok())?;
    Ok(process)
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

fn variable(name: &str) -> Result<PathBuf> {
    env::var_os(name).map(PathBuf::from).with_context(|| format!("{name} is not set: `cargo xtask bench xdp`"))
}

fn libraries(command: &mut Command, name: &str) {
    if let Some(libraries) = env::var_os(name) {
        command.env("LD_LIBRARY_PATH", libraries);
    }
}
