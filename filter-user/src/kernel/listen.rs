//! The addresses that the packet plane looks at.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use aya::{Ebpf, maps};
use filter_common::{
    layout::{ListenHash, ListenKey, Listener},
    maps::{LISTEN_MAX, LISTENERS},
};

use super::KernelError;

/// The key of an address.
pub(super) fn key(address: SocketAddr) -> ListenKey {
    ListenKey { address: address.ip().into(), port: address.port().to_be(), padding: 0 }
}

/// Writes the listen addresses, and returns the hash that finds them.
///
/// An unspecified address stands for those that the host has now: packets that this host only forwards are none of the
/// filter's business. An address that the host gets later is served by the workers, without the packet plane in front.
pub(super) fn fill(ebpf: &mut Ebpf, addresses: &[SocketAddr]) -> Result<ListenHash, KernelError> {
    let addresses = expand(addresses, &local_addresses()?);
    if addresses.len() > LISTEN_MAX as usize {
        return Err(KernelError::TooManyAddresses { count: addresses.len(), max: LISTEN_MAX });
    }
    let (hash, slots) = place(&addresses);
    let map = ebpf.map_mut(LISTENERS).ok_or(KernelError::Missing { what: "map", name: LISTENERS })?;
    let mut map = maps::Array::<_, Listener>::try_from(map).map_err(KernelError::reading(LISTENERS))?;
    for (slot, address) in slots {
        let ListenKey { address, port, padding } = key(address);
        let listener = Listener { address, port, padding, is_used: 1, told_at_ns: 0 };
        map.set(slot, listener, 0).map_err(KernelError::writing(LISTENERS))?;
    }
    Ok(hash)
}

/// A hash by which no two addresses share a slot, and the slots. Three hashes of five are such with as many addresses as there
/// may be, so one is found.
fn place(addresses: &BTreeSet<SocketAddr>) -> (ListenHash, BTreeMap<u32, SocketAddr>) {
    let slots = |hash: ListenHash| -> BTreeMap<u32, SocketAddr> {
        let slot = |&address: &SocketAddr| hash.slot(address.ip().into(), address.port().to_be());
        addresses.iter().map(|address| (slot(address), *address)).collect()
    };
    let hashes =
        (1..=u64::MAX).map(|number| ListenHash([1, 2, 3, 4, 5].map(|word| scattered(number.wrapping_mul(word)))));
    hashes.map(|hash| (hash, slots(hash))).find(|(_, slots)| slots.len() == addresses.len()).unwrap_or_default()
}

/// The number of that number in the sequence of SplitMix64.
fn scattered(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

fn expand(addresses: &[SocketAddr], local: &[IpAddr]) -> BTreeSet<SocketAddr> {
    let each = |&address: &SocketAddr| -> Vec<SocketAddr> {
        if !address.ip().is_unspecified() {
            return vec![address];
        }
        // A socket on :: takes IPv4 as well.
        local
            .iter()
            .filter(|ip| address.is_ipv6() || ip.is_ipv4())
            .map(|&ip| SocketAddr::new(ip, address.port()))
            .collect()
    };
    addresses.iter().flat_map(each).collect()
}

fn local_addresses() -> Result<Vec<IpAddr>, KernelError> {
    let interfaces = nix::ifaddrs::getifaddrs().map_err(|errno| KernelError::Addresses(errno.into()))?;
    let ip = |address: nix::sys::socket::SockaddrStorage| {
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    Ok(interfaces.filter_map(|interface| interface.address.and_then(ip)).filter(|ip| !ip.is_loopback()).collect())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use filter_common::layout::LISTEN_SLOTS;

    use super::*;

    #[test]
    fn unspecified_addresses_stand_for_those_of_the_host() {
        let local = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        for (listen, expected) in [
            ("0.0.0.0:443", &["192.0.2.1:443"][..]),
            ("[::]:443", &["192.0.2.1:443", "[2001:db8::1]:443"]),
            ("198.51.100.7:8443", &["198.51.100.7:8443"]),
        ] {
            let expanded = expand(&[listen.parse().unwrap()], &local);
            assert_eq!(expanded, expected.iter().map(|address| address.parse().unwrap()).collect(), "{listen}");
        }
    }

    #[test]
    fn as_many_addresses_as_may_be_have_a_slot_each() {
        let address =
            |number: u32| SocketAddr::from((Ipv4Addr::from_bits(0xc000_0200 + number / 2), 443 + (number % 2) as u16));
        for count in [0, 1, LISTEN_MAX] {
            let addresses: BTreeSet<_> = (0..count).map(address).collect();
            let (_, slots) = place(&addresses);
            assert_eq!(slots.values().copied().collect::<BTreeSet<_>>(), addresses);
            assert!(slots.keys().all(|&slot| slot < LISTEN_SLOTS));
        }
    }

    #[test]
    fn keys_are_in_network_order() {
        let v4 = key("192.0.2.1:443".parse().unwrap());
        assert_eq!(v4.address.octets(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1]);
        assert_eq!(v4.port.to_ne_bytes(), [1, 187]);
        let v6 = key("[2001:db8::1]:443".parse().unwrap());
        assert_eq!(v6.address.octets(), [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
}
