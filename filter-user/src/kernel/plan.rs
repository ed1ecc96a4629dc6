//! What a snapshot wants the packet plane to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use filter_common::layout::{Address, HOST_TERMINATE, HostValue};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostAction {
    /// Pass them: a worker terminates TLS.
    Terminate,
}

impl From<HostAction> for HostValue {
    fn from(action: HostAction) -> Self {
        match action {
            HostAction::Terminate => Self { action: HOST_TERMINATE },
        }
    }
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

    /// Its bits and first address as the kernel's trie has them.
    pub(super) fn key(self) -> (u32, Address) {
        match self.address {
            IpAddr::V4(v4) => (u32::from(self.prefix) + 96, Address::from_octets(v4.to_ipv6_mapped().octets())),
            IpAddr::V6(v6) => (self.prefix.into(), Address::from_octets(v6.octets())),
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
