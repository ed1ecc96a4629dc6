//! Three namespaces, joined by two veth pairs.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::namespace::Namespace;
use super::programs;

/// Where clients come from.
pub const CLIENT_IPV4: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
/// Where clients come from.
pub const CLIENT_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd77, 1, 0, 0, 0, 0, 0, 1);
/// Where the filter listens.
pub const EDGE_IPV4: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
/// Where the filter listens.
pub const EDGE_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd77, 1, 0, 0, 0, 0, 0, 2);
/// Where the origins listen.
pub const ORIGIN_IPV4: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 2);

/// Where the origin listens that terminates TLS itself: an address of its own, as the filter asks for.
pub const TLS_ORIGIN_IPV4: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 3);
/// Where the origin listens that terminates TLS itself.
pub const TLS_ORIGIN_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd77, 2, 0, 0, 0, 0, 0, 3);

/// One end of a veth pair and its addresses.
struct End<'a> {
    namespace: &'a Namespace,
    link: &'static str,
    ipv4: Ipv4Addr,
    ipv6: Ipv6Addr,
}

/// The three namespaces. Dropping it removes them, and the links with them.
#[derive(Debug)]
pub struct Network {
    /// Where the clients run.
    pub client: Namespace,
    /// Where the filter runs.
    pub edge: Namespace,
    /// Where the origins run.
    pub origin: Namespace,
}

impl Network {
    /// Makes the namespaces of the lab `name` and joins them.
    ///
    /// # Errors
    /// Without root, without `ip` or `ethtool`, or if the kernel refuses.
    pub fn create(name: &str) -> Result<Self> {
        let network = Self {
            client: Namespace::create(name, "client")?,
            edge: Namespace::create(name, "edge")?,
            origin: Namespace::create(name, "origin")?,
        };
        join(
            &End { namespace: &network.client, link: "client0", ipv4: CLIENT_IPV4, ipv6: CLIENT_IPV6 },
            &End { namespace: &network.edge, link: "edge0", ipv4: EDGE_IPV4, ipv6: EDGE_IPV6 },
        )?;
        join(
            &End {
                namespace: &network.edge,
                link: "edge1",
                ipv4: Ipv4Addr::new(10, 77, 2, 1),
                ipv6: Ipv6Addr::new(0xfd77, 2, 0, 0, 0, 0, 0, 1),
            },
            &End {
                namespace: &network.origin,
                link: "origin0",
                ipv4: ORIGIN_IPV4,
                ipv6: Ipv6Addr::new(0xfd77, 2, 0, 0, 0, 0, 0, 2),
            },
        )?;
        network.origin.ip(&["address", "add", &format!("{TLS_ORIGIN_IPV4}/24"), "dev", "origin0"])?;
        network.origin.ip(&["address", "add", &format!("{TLS_ORIGIN_IPV6}/64"), "dev", "origin0", "nodad"])?;
        // A machine at the edge routes.
        network.edge.enter(|| {
            for file in ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"] {
                fs::write(file, "1").with_context(|| format!("cannot write {file}"))?;
            }
            Ok(())
        })?;
        Ok(network)
    }

    /// Packets that have arrived at the edge's interface towards the clients.
    ///
    /// # Errors
    /// If `ip` does not say.
    pub fn edge_packets(&self) -> Result<u64> {
        let listed: Value = serde_json::from_str(&self.edge.ip(&["-json", "-stats", "link", "show", "edge0"])?)?;
        let packets = listed.pointer("/0/stats64/rx/packets").and_then(Value::as_u64);
        packets.context("`ip -stats link show` names no packets")
    }
}

/// Makes a veth pair right inside two namespaces: it never exists on the host.
fn join(one: &End<'_>, other: &End<'_>) -> Result<()> {
    let (a, b) = (one.namespace.name(), other.namespace.name());
    programs::ip(&["link", "add", one.link, "netns", a, "type", "veth", "peer", "name", other.link, "netns", b])?;
    for end in [one, other] {
        end.configure()?;
    }
    Ok(())
}

impl End<'_> {
    fn configure(&self) -> Result<()> {
        self.address(self.ipv4.into(), 24)?;
        self.address(self.ipv6.into(), 64)?;
        // A local sender leaves the checksum to a network card that a veth does not have: native XDP would hand out
        // packets with half a checksum. A card on a wire delivers whole ones.
        let ethtool = programs::find("ethtool")?;
        let mut command: Command = self.namespace.command(ethtool)?;
        programs::run(command.args(["-K", self.link, "tx", "off"]))?;
        self.namespace.ip(&["link", "set", self.link, "up"]).map(drop)
    }

    fn address(&self, address: IpAddr, prefix: u8) -> Result<()> {
        let address = format!("{address}/{prefix}");
        // Without duplicate detection an IPv6 address is of use at once.
        let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
        self.namespace.ip(&[&["address", "add", &address, "dev", self.link], nodad].concat()).map(drop)
    }
}
