//! Which hosts the rules can reach: the decision between the fast path and a worker.
//!
//! The rules of a zone are looked at with only what is known of every request for a host. A host none of them can do anything to needs no
//! worker: its connections may be passed on unopened. What decides is what somebody could notice. A rule that may block or log needs a
//! worker to see the requests; one that may skip matters only through the rules behind it.

use std::collections::HashSet;

use filter_rules::{Action, FactSet, Field, NetworkSet, Residual, Rule, RuleSet};

/// What the rules can do to the requests for a host.
pub(super) enum Reach<'r> {
    /// They are refused for clients in these networks, whatever they ask for; all others are served.
    Networks(NetworkSet),
    /// It takes a worker to say. This is the first rule that is to blame.
    Requests(&'r Rule),
}

/// The rules of a zone, prepared for questions about hosts.
pub(super) struct ZoneReach<'r> {
    rules: &'r RuleSet,
    /// The enabled rules, each with the hosts outside of which it is certainly false. Made when a wildcard host is first asked about.
    bounded: Option<Vec<Bounded<'r>>>,
}

struct Bounded<'r> {
    rule: &'r Rule,
    hosts: Option<HashSet<Box<[u8]>>>,
}

impl<'r> ZoneReach<'r> {
    pub(super) fn new(rules: &'r RuleSet) -> Self {
        Self { rules, bounded: None }
    }

    /// What the rules can do to `host`, a name or a wildcard. `named` tells whether a name has an entry of its own, and is therefore not
    /// among those that a wildcard stands for.
    pub(super) fn of(&mut self, host: &str, named: impl Fn(&str) -> bool) -> Reach<'r> {
        match host.strip_prefix("*.") {
            None => {
                let known = known(FactSet::for_host(host));
                reach(self.rules.rules_for_host(host).map(|rule| (rule, rule.residual(&known))))
            }
            Some(parent) => {
                let rules = self.rules;
                let bounded = self.bounded.get_or_insert_with(|| {
                    let enabled = rules.rules().iter().filter(|rule| rule.is_enabled());
                    enabled.map(|rule| Bounded { rule, hosts: rule.hosts() }).collect()
                });
                let unknown = known(FactSet::default());
                reach(bounded.iter().map(|bounded| (bounded.rule, bounded.residual(parent, &named, &unknown))))
            }
        }
    }
}

impl Bounded<'_> {
    /// What is certain about the rule for each of the names that `*.parent` stands for.
    fn residual(&self, parent: &str, named: impl Fn(&str) -> bool, unknown: &FactSet) -> Residual {
        let Some(hosts) = &self.hosts else { return self.rule.residual(unknown) };
        let covered = hosts.iter().filter_map(|host| std::str::from_utf8(host).ok()).filter(|host| {
            let label = host.strip_suffix(parent).and_then(|rest| rest.strip_suffix('.'));
            label.is_some_and(|label| !label.is_empty() && !label.contains('.')) && !named(host)
        });
        // False outside of its hosts, so it takes one of them to make it anything else.
        let mut possible = covered.map(|host| self.rule.residual(&known(FactSet::for_host(host))));
        if possible.all(|residual| residual == Residual::False) { Residual::False } else { Residual::Unknown }
    }
}

/// Workers serve nothing but TLS; `ssl` is a Bool, so this is never refused.
fn known(mut facts: FactSet) -> FactSet {
    let _ = facts.insert(Field::Ssl, true.into());
    facts
}

fn reach<'r>(rules: impl Iterator<Item = (&'r Rule, Residual)>) -> Reach<'r> {
    // Clients who are blocked for certain; clients whom no further rule can concern; clients of whom that may be so.
    let [mut blocked, mut done, mut perhaps_done] = [NetworkSet::none(), NetworkSet::none(), NetworkSet::none()];
    for (rule, residual) in rules {
        let (networks, certain) = match residual {
            Residual::False => continue,
            Residual::Networks(networks) => (networks, true),
            Residual::True => (NetworkSet::all(), true),
            Residual::Unknown => (NetworkSet::all(), false),
        };
        let concerned = networks.intersection(&done.complement());
        if concerned.is_empty() {
            continue;
        }
        match rule.action() {
            Action::Skip if certain => done = done.union(&concerned),
            Action::Skip => perhaps_done = perhaps_done.union(&concerned),
            // A rule with a response of its own wants it to be seen, and a host that blocks everybody its page.
            Action::Block(None)
                if certain && !networks.is_all() && concerned.intersection(&perhaps_done).is_empty() =>
            {
                blocked = blocked.union(&concerned);
                done = done.union(&concerned);
            }
            // As may an action of a later version.
            _ => return Reach::Requests(rule),
        }
    }
    Reach::Networks(blocked)
}
