//! What the packet plane is to do for a snapshot.

use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use filter_common::maps::{DENY_MAX, HOSTS_MAX, ORIGINS_MAX};
use filter_common::splice::ORIGINS_PER_TARGET_MAX;
use filter_rules::{AddressRange, NetworkSet};

use crate::config::{MAX_ALL_ORIGINS, MAX_HOSTS, MAX_ORIGINS};
use crate::kernel::{HostAction, KernelPlan, Network, SpliceTo};
use crate::origins::Origins;
use crate::snapshot::{HostPolicy, Snapshot};

/// Whatever the configuration allows can be planned.
const _: () = assert!(
    MAX_ALL_ORIGINS <= ORIGINS_MAX as usize && MAX_ORIGINS <= ORIGINS_PER_TARGET_MAX && MAX_HOSTS <= HOSTS_MAX as usize
);

/// The plan for `snapshot`, with those origins that answer.
pub(super) fn plan(snapshot: &Snapshot, origins: &Origins) -> KernelPlan {
    // Many hosts share few sets of origins.
    let mut targets = HashMap::new();
    let hosts = snapshot.hosts().map(|(name, host)| (name.to_owned(), action(host, origins, &mut targets)));
    KernelPlan { hosts: hosts.collect(), deny: denied(snapshot) }
}

/// What is done with the connections of a host.
///
/// Where rules block some clients by their address alone, workers pass the others on: XDP would ask for the address at the SYN, and what is
/// deployed between the SYN and the ClientHello must hold too.
fn action(host: &HostPolicy, origins: &Origins, targets: &mut HashMap<TargetKey, Arc<SpliceTo>>) -> HostAction {
    match &host.passthrough {
        Some(passthrough) if passthrough.blocked.is_empty() => {
            let key = (passthrough.origins.clone(), passthrough.proxy_protocol);
            let target = targets.entry(key).or_insert_with(|| {
                let up = passthrough.origins.iter().copied().filter(|origin| origins.is_up(*origin));
                Arc::new(SpliceTo { origins: up.collect(), proxy_protocol: passthrough.proxy_protocol })
            });
            HostAction::Splice(target.clone())
        }
        Some(_) | None => HostAction::Terminate,
    }
}

/// The origins of a host, and whether they expect a PROXY protocol header.
type TargetKey = (Arc<[SocketAddr]>, bool);

/// Denied networks that do not fit into the trie are left to the workers, all of them: which ones are fast must not depend on their order.
fn denied(snapshot: &Snapshot) -> BTreeSet<Network> {
    // The trie has IPv4 addresses as ::ffff:0:0/96: an IPv6 network around these would deny every one of them. Nobody comes from there by IPv6.
    let mapped = AddressRange::V6(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), Ipv4Addr::BROADCAST.to_ipv6_mapped());
    let denied = snapshot.denied().intersection(&NetworkSet::from_iter([mapped]).complement());
    let networks = denied.networks().filter_map(|(address, prefix)| Network::new(address, prefix));
    let networks: BTreeSet<_> = networks.take(DENY_MAX as usize + 1).collect();
    if networks.len() > DENY_MAX as usize {
        tracing::warn!(limit = DENY_MAX, "more networks are denied than XDP has room for; the workers refuse them");
        return BTreeSet::new();
    }
    networks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{also_passed, config, host, passed, rule, state};
    use crate::model::Change;
    use crate::snapshot::compile;

    fn planned(rules: &[Change], down: &[SocketAddr]) -> KernelPlan {
        let [one, two] = ["192.0.2.1:443", "192.0.2.2:443"].map(|origin| origin.parse().unwrap());
        let hosts = vec![
            also_passed(host("api.example.com", false), &[one]),
            passed("www.example.com", &[one, two]),
            host("old.example.com", false),
        ];
        let config = config(hosts);
        let origins = Origins::of(&config);
        down.iter().for_each(|origin| origins.set(*origin, false));
        plan(&compile(&config, &state(rules), 1, None).unwrap(), &origins)
    }

    /// Each host with the origins it is spliced to.
    fn spliced(plan: &KernelPlan) -> Vec<(&str, Option<String>)> {
        let origins = |action: &HostAction| match action {
            HostAction::Splice(target) => {
                Some(target.origins.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
            }
            _ => None,
        };
        plan.hosts.iter().map(|(name, action)| (name.as_str(), origins(action))).collect()
    }

    #[test]
    fn a_host_that_is_passed_through_is_spliced_to_the_origins_that_answer() {
        let [one, two] = ["192.0.2.1:443", "192.0.2.2:443"].map(|origin| origin.parse().unwrap());
        for (down, api, www) in [
            (&[][..], "192.0.2.1:443", "192.0.2.1:443 192.0.2.2:443"),
            (&[two], "192.0.2.1:443", "192.0.2.1:443"),
            (&[one], "", "192.0.2.2:443"),
            // A worker refuses the clients, who know better why.
            (&[one, two], "", ""),
        ] {
            let plan = planned(&[], down);
            let expected = [
                ("api.example.com", Some(api.to_owned())),
                ("old.example.com", None),
                ("www.example.com", Some(www.to_owned())),
            ];
            assert_eq!(spliced(&plan), expected, "{down:?} is down");
        }
    }

    #[test]
    fn a_rule_takes_its_host_off_the_fast_path_and_a_blocked_network_every_host() {
        let plan = planned(&[rule(r#"http.host == "api.example.com""#)], &[]);
        let on_fast_path = |plan: &KernelPlan| spliced(plan).iter().filter(|(_, to)| to.is_some()).count();
        assert_eq!(spliced(&plan).first(), Some(&("api.example.com", None)));
        assert_eq!((on_fast_path(&plan), plan.deny.len()), (1, 0));
        let plan = planned(&[rule("ip.src in {192.0.2.0/24}")], &[]);
        assert_eq!((on_fast_path(&plan), plan.deny.len()), (0, 1));
    }

    #[test]
    fn all_of_ipv6_is_denied_without_ipv4() {
        let plan = planned(&[rule("not ip.src in {0.0.0.0/1}")], &[]);
        let network = |address: &str, prefix| Network::new(address.parse().unwrap(), prefix).unwrap();
        assert!(plan.deny.contains(&network("128.0.0.0", 1)) && plan.deny.contains(&network("8000::", 1)));
        // 96 siblings on the way down to ::ffff:0:0/96, and the one IPv4 network.
        assert_eq!(plan.deny.len(), 97, "{:#?}", plan.deny);
        assert!(!plan.deny.contains(&network("::", 0)) && !plan.deny.contains(&network("::", 80)));
    }
}
