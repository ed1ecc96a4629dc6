//! What a snapshot wants the packet plane to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use filter_common::layout::Address;

/// The desired content of the maps. A host that is not in the plan is reset by XDP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelPlan {
    /// Host names, exact or with `*` as the whole first label, in any case.
    pub hosts: BTreeMap<String, HostAction>,
    /// Networks whose SYNs are dropped: those that a rule blocks whatever the host and the request.
    pub deny: BTreeSet<Network>,
}

impl KernelPlan {
    /// A plan in which workers terminate all these hosts.
    pub fn terminating<S: Into<String>>(hosts: impl IntoIterator<Item = S>) -> Self {
        Self { hosts: hosts.into_iter().map(|host| (host.into(), HostAction::Terminate)).collect(), ..Self::default() }
    }
}

/// What the packet plane does with a host's connections.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostAction {
    /// Pass them: a worker terminates TLS.
    Terminate,
    /// Splice them to an origin, without a worker. Whatever cannot be spliced is passed to a worker, which relays it.
    Splice(Arc<SpliceTo>),
}

/// Where a host's connections are spliced to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpliceTo {
    /// The origins that can be used now, in any order; a client gets one of its own address family. None at all: workers get
    /// every connection. Those that are here already stay with their origin when it is taken out.
    pub origins: BTreeSet<SocketAddr>,
    /// They expect a PROXY protocol header (version 2).
    pub proxy_protocol: bool,
}

/// An IP network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The network of the addresses that begin with the first `prefix` bits of `address`; `None` if it has not so many.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let network = match address {
            IpAddr::V4(v4) if prefix <= 32 => IpAddr::V4((v4.to_bits() & mask(prefix, 32) as u32).into()),
            IpAddr::V6(v6) if prefix <= 128 => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask(prefix, 128))),
            IpAddr::V4(_) | IpAddr::V6(_) => return None,
        };
        Some(Self { address: network, prefix })
    }

    /// How many bits of its addresses are the same.
    pub(super) fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether it is one of IPv4.
    pub(super) fn is_v4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Its first address and prefix, if it is one of IPv4.
    pub(super) fn v4(self) -> Option<(u32, u8)> {
        match self.address {
            IpAddr::V4(v4) => Some((v4.to_bits(), self.prefix)),
            IpAddr::V6(_) => None,
        }
    }

    /// Its first address and prefix, if it is one of IPv6.
    pub(super) fn v6(self) -> Option<(Address, u8)> {
        match self.address {
            IpAddr::V4(_) => None,
            IpAddr::V6(_) => Some((self.address.into(), self.prefix)),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The highest `prefix` of `width` bits.
fn mask(prefix: u8, width: u32) -> u128 {
    let all = u128::MAX >> (128 - width);
    all & !all.checked_shr(prefix.into()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_begins_with_its_prefix() {
        for (address, prefix, expected) in [
            ("192.0.2.77", 24, Some("192.0.2.0/24")),
            ("192.0.2.77", 32, Some("192.0.2.77/32")),
            ("192.0.2.77", 0, Some("0.0.0.0/0")),
            ("192.0.2.77", 33, None),
            ("2001:db8:1:2::3", 48, Some("2001:db8:1::/48")),
            ("2001:db8::3", 128, Some("2001:db8::3/128")),
            ("2001:db8::3", 0, Some("::/0")),
            ("2001:db8::3", 129, None),
        ] {
            let network = Network::new(address.parse().unwrap(), prefix).map(|network| network.to_string());
            assert_eq!(network.as_deref(), expected, "{address}/{prefix}");
        }
    }
}
