//! Clients and origins behind VLANs, on real links: the tags are the kernel's.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    process::Command,
    sync::Arc,
};

use filter_common::Reason;
use filter_tests::lab::{Namespace, Network};
use filter_user::kernel::{HostAction, Kernel, KernelConfig, KernelPlan, Mode, SpliceTo};

use crate::{
    splice_lab::{HOST, World, echo, network, noise},
    splicing::exchange,
};

/// Numbers of the VLANs towards clients and towards origins, and of the networks in them.
const CLIENTS: u8 = 7;
const ORIGINS: u8 = 8;

/// The address of one end in a VLAN, in each family.
fn addresses(vlan: u8, end: u8, port: u16) -> Vec<SocketAddr> {
    let v6 = format!("fd77:{vlan}::{end}").parse().unwrap();
    vec![SocketAddr::from(([10, 77, vlan, end], port)), SocketAddr::new(v6, port)]
}

fn add(namespace: &Namespace, link: &str, vlan: u8, end: u8) {
    let name = format!("{link}.{vlan}");
    namespace.ip(&["link", "add", "link", link, "name", &name, "type", "vlan", "id", &vlan.to_string()]).unwrap();
    for address in addresses(vlan, end, 0) {
        let (prefix, nodad) = if address.is_ipv4() { (24, None) } else { (64, Some("nodad")) };
        let address = format!("{}/{prefix}", address.ip());
        let arguments = ["address", "add", &address, "dev", &name].into_iter().chain(nodad);
        namespace.ip(&arguments.collect::<Vec<_>>()).unwrap();
    }
    namespace.ip(&["link", "set", &name, "up"]).unwrap();
    // A veth hands tags over beside its packets, unless it is told not to; a wire has them inside.
    let mut ethtool: Command = namespace.command("ethtool").unwrap();
    assert!(ethtool.args(["-K", link, "txvlan", "off", "rxvlan", "off"]).status().unwrap().success(), "{link}");
}

/// A world whose clients and origins are behind VLANs.
fn world(network: Network, plan: &KernelPlan) -> World {
    let load = |config: &KernelConfig| {
        let listen = addresses(CLIENTS, 2, 443);
        Kernel::load(&KernelConfig { listen, ..config.clone() }, plan)
    };
    World::loaded(network, load, Mode::Native)
}

#[test]
#[ignore = "needs 8021q, which guests of `cargo xtask vm` have"]
fn clients_and_origins_may_be_behind_vlans() {
    let network = network("vlan");
    for (namespace, link, vlan, end) in [
        (&network.client, "client0", CLIENTS, 1),
        (&network.edge, "edge0", CLIENTS, 2),
        (&network.edge, "edge1", ORIGINS, 1),
        (&network.origin, "origin0", ORIGINS, 2),
    ] {
        add(namespace, link, vlan, end);
    }
    let origins = addresses(ORIGINS, 2, 8443);
    let to = SpliceTo { origins: origins.iter().copied().collect(), proxy_protocol: false };
    let hosts = BTreeMap::from([(HOST.to_owned(), HostAction::Splice(Arc::new(to)))]);
    let world = world(network, &KernelPlan { hosts, deny: BTreeSet::new() });
    world.serve(&origins, echo);
    for to in addresses(CLIENTS, 2, 443) {
        let result = world.connect(to).and_then(|stream| exchange(stream, &noise(1 << 20)));
        result.unwrap_or_else(|error| panic!("{to}: {error}: {:?}", world.counts()));
    }
    world.wait_until_no_flows();
    assert_eq!(world.packets(Reason::SpliceOpened), 2, "{:?}", world.counts());
}
