//! The form between tree and program: `and` and `or` of checks, negation only at the checks.

use super::Program;
use super::check::Check;

/// A node. Made with [`Node::all`] and [`Node::any`], which fold constants, flatten, merge and order.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Constant(bool),
    Leaf {
        check: Check,
        negated: bool,
    },
    All(Vec<Node>),
    Any(Vec<Node>),
    /// True when an odd number of items is, or when `negated` an even number.
    Odd {
        items: Vec<Node>,
        negated: bool,
    },
}

/// A parity with more checks than this becomes programs of its own instead of being laid out twice.
const ODD_CHECKS_MAX: usize = 32;

impl Node {
    pub(super) const fn leaf(check: Check, negated: bool) -> Self {
        Self::Leaf { check, negated }
    }

    /// True when every item is.
    pub(super) fn all(items: Vec<Self>) -> Self {
        combine(items, true)
    }

    /// True when any item is.
    pub(super) fn any(items: Vec<Self>) -> Self {
        combine(items, false)
    }

    /// True when an odd number of items is, or when `negated` an even number.
    pub(super) fn odd(items: Vec<Self>, negated: bool) -> Self {
        let (constants, items): (Vec<_>, Vec<_>) =
            items.into_iter().partition(|item| matches!(item, Self::Constant(_)));
        let flips = constants.iter().filter(|item| matches!(item, Self::Constant(true))).count();
        let negated = negated ^ (flips % 2 == 1);
        let node = Self::Odd { items, negated };
        match node {
            Self::Odd { items, .. } if items.is_empty() => Self::Constant(negated),
            node if node.checks() <= ODD_CHECKS_MAX => node,
            Self::Odd { items, negated } => {
                Self::leaf(Check::Parity(items.into_iter().map(Program::from_node).collect()), negated)
            }
            node => node,
        }
    }

    /// How many checks it is laid out as.
    fn checks(&self) -> usize {
        let sum = |items: &[Self]| items.iter().map(Self::checks).fold(0, usize::saturating_add);
        match self {
            Self::Constant(_) => 0,
            Self::Leaf { .. } => 1,
            Self::All(items) | Self::Any(items) => sum(items),
            // Each but the first for either parity before it.
            Self::Odd { items, .. } => sum(items).saturating_mul(2),
        }
    }

    /// What it costs to have it decide: its cost by how likely its value is the one that matters. The cheapest goes first. The
    /// order of evaluation is not observable: nothing has effects.
    fn price(&self, neutral: bool) -> u32 {
        let likelihood = self.likelihood();
        let decides = if neutral { 1_000_u32.saturating_sub(likelihood) } else { likelihood };
        self.cost().saturating_mul(1_000) / decides.max(1)
    }

    /// A guess at how often of a thousand times it is true, as if its items had nothing to do with each other.
    fn likelihood(&self) -> u32 {
        let all = |items: &[Self], of: &dyn Fn(&Self) -> u32| {
            items.iter().fold(1_000_u32, |product, item| product.saturating_mul(of(item)) / 1_000)
        };
        match self {
            Self::Constant(value) => u32::from(*value).saturating_mul(1_000),
            Self::Leaf { check, negated: false } => check.likelihood(),
            Self::Leaf { check, negated: true } => 1_000_u32.saturating_sub(check.likelihood()),
            Self::All(items) => all(items, &Self::likelihood),
            Self::Any(items) => {
                1_000_u32.saturating_sub(all(items, &|item| 1_000_u32.saturating_sub(item.likelihood())))
            }
            Self::Odd { .. } => 500,
        }
    }

    /// A rough cost.
    fn cost(&self) -> u32 {
        match self {
            Self::Constant(_) => 0,
            Self::Leaf { check, .. } => check.cost(),
            Self::All(items) | Self::Any(items) | Self::Odd { items, .. } => {
                items.iter().map(Self::cost).fold(0, u32::saturating_add)
            }
        }
    }
}

/// `neutral` is the value that does not matter among the items: true for all, false for any.
fn combine(items: Vec<Node>, neutral: bool) -> Node {
    let mut flat = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Node::Constant(value) if value == neutral => {}
            Node::Constant(value) => return Node::Constant(value),
            Node::All(inner) if neutral => flat.extend(inner),
            Node::Any(inner) if !neutral => flat.extend(inner),
            other => flat.push(other),
        }
    }
    let mut merged = merge(flat, neutral);
    merged.sort_by_key(|item| item.price(neutral));
    match merged.len() {
        0 => Node::Constant(neutral),
        1 => merged.pop().unwrap_or(Node::Constant(neutral)),
        _ if neutral => Node::All(merged),
        _ => Node::Any(merged),
    }
}

/// Makes one check of several that ask the same value whether it is one of some: `a or b` of plain checks, and `not a and
/// not b`, which is `not (a or b)`.
fn merge(items: Vec<Node>, negated_ones: bool) -> Vec<Node> {
    let mut merged: Vec<Node> = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Node::Leaf { check, negated } if negated == negated_ones => {
                let partner = merged.iter_mut().find_map(|other| match other {
                    Node::Leaf { check: other, negated } if *negated == negated_ones && other.can_merge(&check) => {
                        Some(other)
                    }
                    _ => None,
                });
                match partner {
                    Some(partner) => partner.merge(check),
                    None => merged.push(Node::Leaf { check, negated }),
                }
            }
            other => merged.push(other),
        }
    }
    merged
}
