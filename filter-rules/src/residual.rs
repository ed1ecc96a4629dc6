//! Partial evaluation: what is certain about a rule before all facts are known.
//!
//! Logic here has a third value, unknown, and one fact may be known as a set of possibilities: the client's address. Every
//! expression is therefore a pair of address sets: where it is certainly true, and where it is certainly false. An expression
//! that does not look at the address has all addresses in one of the two sets, or in neither.

use std::borrow::Cow;
use std::fmt;

use crate::ast::{Comparison, Literal, Logical, LogicalOp, OrderOp, Set, Test};
use crate::expression::Expression;
use crate::fact_set::FactSet;
use crate::interpret::{self, Lookup};
use crate::lists::Lists;
use crate::networks::NetworkSet;
use crate::rules::Rule;
use crate::scheme::Field;
use crate::value::Value;

/// What is certain about an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Residual {
    /// It is false, whatever the other facts are.
    False,
    /// It is true, whatever the other facts are.
    True,
    /// It is true exactly for clients in this set, whatever the other facts are.
    Networks(NetworkSet),
    /// It depends on facts that are not known.
    Unknown,
}

/// `false`, `true`, `unknown`, or an expression: `ip.src in {10.0.0.0/8}`.
impl fmt::Display for Residual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::False => f.write_str("false"),
            Self::True => f.write_str("true"),
            Self::Networks(set) => write!(f, "{} in {set}", Field::IpSrc.name()),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl Rule {
    /// What is certain about the rule's expression when only these facts are known.
    ///
    /// Sound: `False`, `True` and `Networks` hold for every request that agrees with the known facts. It may be `Unknown` where
    /// a closer look would find one of the others. A known host is in its normal form, as in requests: see
    /// [`FactSet::for_host`].
    #[must_use]
    pub fn residual(&self, known: &FactSet) -> Residual {
        residual(self.expression().root(), known, self.lists())
    }
}

impl Expression {
    /// What is certain about the expression when only these facts are known. See [`Rule::residual`].
    #[must_use]
    pub fn residual(&self, known: &FactSet, lists: &Lists) -> Residual {
        residual(self.root(), known, lists)
    }
}

fn residual(root: &Logical, known: &FactSet, lists: &Lists) -> Residual {
    let certain = Partial { known, lists }.certain(root);
    if certain.false_for.is_all() {
        Residual::False
    } else if certain.true_for.is_all() {
        Residual::True
    } else if certain.true_for.union(&certain.false_for).is_all() {
        Residual::Networks(certain.true_for)
    } else {
        Residual::Unknown
    }
}

/// For which addresses an expression is certainly true and for which certainly false; unknown for the rest.
struct Certain {
    true_for: NetworkSet,
    false_for: NetworkSet,
}

impl Certain {
    fn always(value: bool) -> Self {
        let (all, none) = (NetworkSet::all(), NetworkSet::none());
        if value { Self { true_for: all, false_for: none } } else { Self { true_for: none, false_for: all } }
    }

    fn unknown() -> Self {
        Self { true_for: NetworkSet::none(), false_for: NetworkSet::none() }
    }

    fn exactly_for(addresses: NetworkSet) -> Self {
        Self { false_for: addresses.complement(), true_for: addresses }
    }

    fn not(self) -> Self {
        Self { true_for: self.false_for, false_for: self.true_for }
    }

    fn and(&self, other: &Self) -> Self {
        Self {
            true_for: self.true_for.intersection(&other.true_for),
            false_for: self.false_for.union(&other.false_for),
        }
    }

    fn xor(&self, other: &Self) -> Self {
        let both = |left: &NetworkSet, right: &NetworkSet| left.intersection(right);
        Self {
            true_for: both(&self.true_for, &other.false_for).union(&both(&self.false_for, &other.true_for)),
            false_for: both(&self.true_for, &other.true_for).union(&both(&self.false_for, &other.false_for)),
        }
    }
}

/// A fact is not known.
struct Unknown;

/// Some facts of a request.
struct Partial<'k> {
    known: &'k FactSet,
    lists: &'k Lists,
}

impl Lookup for Partial<'_> {
    type Unknown = Unknown;

    fn value(&self, field: Field) -> Result<Option<Value<'_>>, Unknown> {
        match self.known.known(field) {
            None => Err(Unknown),
            Some(value) => Ok(value.map(Value::as_borrowed)),
        }
    }

    fn under(&self, field: Field, key: &str) -> Result<Option<Value<'_>>, Unknown> {
        match self.known.known(field) {
            None => Err(Unknown),
            Some(Some(Value::Map(entries))) => Ok(entries.get(key.as_bytes()).map(Value::as_borrowed)),
            Some(_) => Ok(None),
        }
    }

    fn lists(&self) -> &Lists {
        self.lists
    }
}

impl Partial<'_> {
    fn certain(&self, logical: &Logical) -> Certain {
        match logical {
            Logical::Group { inner, .. } => self.certain(inner),
            Logical::Not { inner, .. } => self.certain(inner).not(),
            Logical::Combine { op: LogicalOp::And, items } => self.conjunction(items, false),
            // a or b = not (not a and not b)
            Logical::Combine { op: LogicalOp::Or, items } => self.conjunction(items, true).not(),
            Logical::Combine { op: LogicalOp::Xor, items } => {
                items.iter().fold(Certain::always(false), |parity, item| parity.xor(&self.certain(item)))
            }
            Logical::Compare(comparison) if self.known.known(Field::IpSrc).is_none() => {
                self.addresses(comparison).map_or_else(|| self.leaf(logical), Certain::exactly_for)
            }
            Logical::Quantify { .. } | Logical::Compare(_) => self.leaf(logical),
        }
    }

    /// The items, or their negations, joined by `and`. Stops at the first that makes the whole false.
    fn conjunction(&self, items: &[Logical], negated: bool) -> Certain {
        let mut joined = Certain::always(true);
        for item in items {
            let item = self.certain(item);
            joined = joined.and(&if negated { item.not() } else { item });
            if joined.false_for.is_all() {
                break;
            }
        }
        joined
    }

    fn leaf(&self, logical: &Logical) -> Certain {
        interpret::truth(logical, self).map_or_else(|Unknown| Certain::unknown(), Certain::always)
    }

    /// The addresses a comparison of the client's address is true for. The address is never missing.
    fn addresses(&self, comparison: &Comparison) -> Option<NetworkSet> {
        if comparison.left.plain_field() != Some(Field::IpSrc) {
            return None;
        }
        let set: Cow<'_, NetworkSet> = match &comparison.test {
            Test::Order { op, literal: Literal::Ip(address) } => {
                let one: NetworkSet = std::iter::once((*address).into()).collect();
                match op {
                    OrderOp::Equal => Cow::Owned(one),
                    OrderOp::NotEqual => Cow::Owned(one.complement()),
                    OrderOp::GreaterOrEqual | OrderOp::LessOrEqual | OrderOp::Greater | OrderOp::Less => return None,
                }
            }
            Test::OneOf(Set::Ip(ranges)) => Cow::Owned(ranges.iter().copied().collect()),
            Test::InList { name, .. } => Cow::Borrowed(self.lists.list(name)?.network_set()?),
            _ => return None,
        };
        Some(set.into_owned())
    }
}
