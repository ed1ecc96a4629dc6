//! Which rules a host can concern at all.
//!
//! A rule that can only be true for certain hosts is looked at for those hosts only, so that a thousand rules about other hosts
//! cost one look-up.

use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;

use super::Rule;
use crate::ast::{Literal, Logical, LogicalOp, OrderOp, Set, Test};
use crate::facts::Facts;
use crate::host::normalise_host_bytes;
use crate::lists::Lists;
use crate::scheme::Field;

/// With fewer rules than this, evaluating them is cheaper than the look-up.
const INDEX_MIN_RULES: usize = 8;
/// A rule about more hosts than this is looked at for every host, to bound the memory of the index.
const INDEXED_HOSTS_MAX: usize = 10_000;

/// The rules by host.
#[derive(Debug)]
pub(super) struct HostIndex {
    /// Positions of the enabled rules that may be true for any host, in order.
    general: Box<[u32]>,
    /// Positions of the enabled rules that may be true for one host, in order.
    by_host: HashMap<Box<[u8]>, Vec<u32>, FixedState>,
}

impl HostIndex {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut general = Vec::new();
        let mut by_host: HashMap<Box<[u8]>, Vec<u32>, FixedState> = HashMap::default();
        let enabled = rules.iter().filter(|rule| rule.enabled && rule.program.constant() != Some(false));
        let is_worth_it = rules.len() >= INDEX_MIN_RULES;
        for rule in enabled {
            let position = u32::try_from(rule.index).unwrap_or(u32::MAX);
            match rule.hosts().filter(|_| is_worth_it) {
                Some(hosts) => hosts.into_iter().for_each(|host| by_host.entry(host).or_default().push(position)),
                None => general.push(position),
            }
        }
        Self { general: general.into(), by_host }
    }

    /// Positions of the rules that may be true of these facts, in order.
    #[inline]
    pub(super) fn candidates<F: Facts + ?Sized>(&self, facts: &F) -> Candidates<'_> {
        if self.by_host.is_empty() {
            return Candidates { general: &self.general, special: &[] };
        }
        self.candidates_for(facts.bytes(Field::HttpHost))
    }

    /// Positions of the rules that may be true for a host, or for a request without one, in order.
    #[inline]
    pub(super) fn candidates_for(&self, host: Option<&[u8]>) -> Candidates<'_> {
        let special = host.and_then(|host| self.by_host.get(host)).map(Vec::as_slice).unwrap_or_default();
        Candidates { general: &self.general, special }
    }
}

/// Two ordered lists merged.
pub(super) struct Candidates<'i> {
    general: &'i [u32],
    special: &'i [u32],
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let from = match (self.general.first(), self.special.first()) {
            (Some(general), Some(special)) if special < general => &mut self.special,
            (None, Some(_)) => &mut self.special,
            _ => &mut self.general,
        };
        let (first, rest) = from.split_first()?;
        *from = rest;
        Some(*first as usize)
    }
}

impl Rule {
    /// The hosts outside of which the rule is certainly false; `None` when there is no such bound, or too many.
    #[must_use]
    pub fn hosts(&self) -> Option<HashSet<Box<[u8]>>> {
        hosts(self.expression.root(), false, self.lists())
    }
}

/// The hosts outside of which an expression (or its negation) is certainly false; `None` when there is no such bound.
fn hosts(logical: &Logical, negated: bool, lists: &Lists) -> Option<HashSet<Box<[u8]>>> {
    let found = match logical {
        Logical::Group { inner, .. } => hosts(inner, negated, lists),
        Logical::Not { inner, .. } => hosts(inner, !negated, lists),
        Logical::Combine { op: LogicalOp::Xor, .. } | Logical::Quantify { .. } => None,
        Logical::Combine { op, items } => {
            let mut bounds = items.iter().map(|item| hosts(item, negated, lists));
            // All of them must be true, or (by De Morgan) one of them.
            if (*op == LogicalOp::And) ^ negated {
                bounds.flatten().reduce(|left, right| &left & &right)
            } else {
                bounds.try_fold(HashSet::new(), |all, bound| Some(&all | &bound?))
            }
        }
        Logical::Compare(comparison) if comparison.left.plain_field() == Some(Field::HttpHost) && !negated => {
            match &comparison.test {
                Test::Order { op: OrderOp::Equal, literal: Literal::Bytes(literal) } => {
                    Some(HashSet::from([normalise_host_bytes(&literal.bytes).into()]))
                }
                Test::OneOf(Set::Bytes(items)) => {
                    Some(items.iter().map(|item| normalise_host_bytes(&item.bytes).into()).collect())
                }
                Test::InList { name, .. } => {
                    lists.list(name).and_then(|list| list.exact_hosts().map(|hosts| hosts.map(Into::into).collect()))
                }
                _ => None,
            }
        }
        Logical::Compare(_) => None,
    };
    found.filter(|hosts| hosts.len() <= INDEXED_HOSTS_MAX)
}
