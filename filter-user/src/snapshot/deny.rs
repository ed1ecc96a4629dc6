//! Networks that need no worker to be refused.
//!
//! A rule that blocks by nothing but the client's address can be enforced before there is a connection. What is dropped there must be
//! what every worker would block: on each host, whatever the request, and not after a rule that may let it pass.

use filter_rules::{Action, FactSet, Field, NetworkSet, Residual, Rule, RuleSet};

use super::Snapshot;

/// The networks that are blocked on every host of every zone. A host without such a rule leaves none.
pub(super) fn denied(snapshot: &Snapshot) -> NetworkSet {
    let mut denied = NetworkSet::all();
    for (name, host) in &snapshot.hosts {
        if denied.is_empty() {
            break;
        }
        let rules = snapshot.zones.get(host.zone).map(|zone| &zone.rules);
        denied = denied.intersection(&rules.map_or_else(NetworkSet::none, |rules| denied_on(rules, name)));
    }
    // No host: nothing is known of what would be blocked.
    if snapshot.hosts.is_empty() { NetworkSet::none() } else { denied }
}

fn denied_on(rules: &RuleSet, host: &str) -> NetworkSet {
    if host.starts_with("*.") {
        // One of many names: only the rules that do not ask for it can be certain.
        return denied_by(rules.rules().iter().filter(|rule| rule.is_enabled()), FactSet::default());
    }
    denied_by(rules.rules_for_host(host), FactSet::for_host(host))
}

fn denied_by<'r>(rules: impl Iterator<Item = &'r Rule>, mut known: FactSet) -> NetworkSet {
    // Workers serve nothing else; `ssl` is a Bool, so this is never refused.
    let _ = known.insert(Field::Ssl, true.into());
    let (mut denied, mut skipped) = (NetworkSet::none(), NetworkSet::none());
    for rule in rules {
        match (rule.action(), rule.residual(&known)) {
            (_, Residual::False) | (Action::Log, _) => {}
            // A rule with a response of its own wants it to be seen.
            (Action::Block(None), Residual::Networks(networks)) => {
                denied = denied.union(&networks.intersection(&skipped.complement()));
            }
            // Blocks, but not for the address alone.
            (Action::Block(_), _) => {}
            (Action::Skip, Residual::Networks(networks)) => skipped = skipped.union(&networks),
            // May let anybody pass, as may an action of a later version.
            (_, Residual::True | Residual::Unknown | Residual::Networks(_)) => break,
        }
    }
    denied
}
