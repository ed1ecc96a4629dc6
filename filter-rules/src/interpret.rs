//! The meaning of a tree, said directly: one function per kind of node, no compilation.
//!
//! This is what a compiled program must agree with. It also evaluates what the compiler has no special form for, and, over
//! facts of which some are unknown, it is the base of partial evaluation and of `explain`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::ControlFlow;

use crate::ast::{
    Argument, Base, Call, Comparison, Index, Literal, Logical, LogicalOp, Operand, OrderOp, Quantifier, Set, Test,
};
use crate::facts::Facts;
use crate::functions::Arguments;
use crate::host::normalise_host_bytes;
use crate::lists::Lists;
use crate::scheme::Field;
use crate::types::Type;
use crate::value::Value;

/// Where the interpreter looks facts up.
pub(crate) trait Lookup {
    /// Says that a fact is not known; cannot be made where all are.
    type Unknown;

    /// The value of a field; `None` when it is missing.
    fn value(&self, field: Field) -> Result<Option<Value<'_>>, Self::Unknown>;

    /// The value under a key of a field of type Map; `None` when it is missing.
    fn under(&self, field: Field, key: &str) -> Result<Option<Value<'_>>, Self::Unknown>;

    /// The lists `in $name` means.
    fn lists(&self) -> &Lists;
}

/// All facts of a request.
pub(crate) struct AllFacts<'f, F: ?Sized> {
    pub(crate) facts: &'f F,
    pub(crate) lists: &'f Lists,
}

impl<F: Facts + ?Sized> Lookup for AllFacts<'_, F> {
    type Unknown = Infallible;

    fn value(&self, field: Field) -> Result<Option<Value<'_>>, Infallible> {
        let facts = self.facts;
        Ok(match field.ty() {
            Type::Bool => facts.bool(field).map(Value::Bool),
            Type::Int => facts.int(field).map(Value::Int),
            Type::Ip => facts.ip(field).map(Value::Ip),
            Type::Bytes => facts.bytes(field).map(|bytes| Value::Bytes(Cow::Borrowed(bytes))),
            Type::Array(_) => {
                let mut items = Vec::new();
                let is_there = facts.each_item(field, &mut |item| {
                    items.push(Value::Bytes(Cow::Borrowed(item)));
                    ControlFlow::Continue(())
                });
                is_there.then_some(Value::Array(items))
            }
            Type::Map(_) => {
                let mut entries: BTreeMap<Cow<'_, [u8]>, Vec<Value<'_>>> = BTreeMap::new();
                let is_there = facts.each_entry(field, &mut |key, value| {
                    entries.entry(Cow::Borrowed(key)).or_default().push(Value::Bytes(Cow::Borrowed(value)));
                    ControlFlow::Continue(())
                });
                let entries = entries.into_iter().map(|(key, values)| (key, Value::Array(values)));
                is_there.then(|| Value::Map(entries.collect()))
            }
        })
    }

    fn under(&self, field: Field, key: &str) -> Result<Option<Value<'_>>, Infallible> {
        let mut items = Vec::new();
        let is_there = self.facts.each_under(field, key.as_bytes(), &mut |item| {
            items.push(Value::Bytes(Cow::Borrowed(item)));
            ControlFlow::Continue(())
        });
        Ok(is_there.then_some(Value::Array(items)))
    }

    fn lists(&self) -> &Lists {
        self.lists
    }
}

/// Whether a logical expression of type Bool is true. What is certain in spite of an unknown part is certain (Kleene).
pub(crate) fn truth<L: Lookup>(logical: &Logical, lookup: &L) -> Result<bool, L::Unknown> {
    match logical {
        Logical::Group { inner, .. } => truth(inner, lookup),
        Logical::Not { inner, .. } => Ok(!truth(inner, lookup)?),
        Logical::Combine { op: LogicalOp::And, items } => decide(items, lookup, false),
        Logical::Combine { op: LogicalOp::Or, items } => decide(items, lookup, true),
        Logical::Combine { op: LogicalOp::Xor, items } => {
            items.iter().try_fold(false, |parity, item| Ok(parity ^ truth(item, lookup)?))
        }
        Logical::Quantify { quantifier, argument, .. } => quantify(*quantifier, argument, lookup),
        Logical::Compare(comparison) => compare(comparison, lookup),
    }
}

/// `deciding` when any item is; else the opposite, unless an unknown item could have decided.
fn decide<L: Lookup>(items: &[Logical], lookup: &L, deciding: bool) -> Result<bool, L::Unknown> {
    let mut unknown = None;
    for item in items {
        match truth(item, lookup) {
            Ok(value) if value == deciding => return Ok(deciding),
            Ok(_) => {}
            Err(cause) => unknown = Some(cause),
        }
    }
    unknown.map_or(Ok(!deciding), Err)
}

fn quantify<L: Lookup>(quantifier: Quantifier, argument: &Argument, lookup: &L) -> Result<bool, L::Unknown> {
    let values = match argument {
        Argument::Logical(logical) => truths(logical, lookup)?,
        // A missing array is neither any nor all; a missing value that is mapped is no values at all.
        Argument::Operand(operand) => match self::operand(operand, lookup)? {
            Some(value) => booleans(value),
            None => return Ok(false),
        },
        Argument::Literal(..) => return Ok(false),
    };
    Ok(match quantifier {
        Quantifier::Any => values.into_iter().any(|value| value),
        Quantifier::All => values.into_iter().all(|value| value),
    })
}

/// The Booleans of a logical expression of type `Array<Bool>`.
fn truths<L: Lookup>(logical: &Logical, lookup: &L) -> Result<Vec<bool>, L::Unknown> {
    match logical {
        Logical::Group { inner, .. } => truths(inner, lookup),
        Logical::Not { inner, .. } => Ok(truths(inner, lookup)?.into_iter().map(|value| !value).collect()),
        Logical::Combine { op, items } => {
            let mut items = items.iter();
            let first = items.next().map_or(Ok(Vec::new()), |item| truths(item, lookup))?;
            // Element by element, as far as the shortest goes.
            items.try_fold(first, |joined, item| {
                let values = truths(item, lookup)?;
                Ok(joined.into_iter().zip(values).map(|(left, right)| apply(*op, left, right)).collect())
            })
        }
        Logical::Quantify { .. } => Ok(vec![truth(logical, lookup)?]),
        Logical::Compare(comparison) if comparison.left.is_mapped() => {
            let field = comparison.left.plain_field();
            let values = each(&comparison.left, lookup)?.unwrap_or_default();
            Ok(values.iter().map(|value| holds(&comparison.test, value, field, lookup.lists())).collect())
        }
        Logical::Compare(comparison) => Ok(operand(&comparison.left, lookup)?.map(booleans).unwrap_or_default()),
    }
}

const fn apply(op: LogicalOp, left: bool, right: bool) -> bool {
    match op {
        LogicalOp::And => left && right,
        LogicalOp::Or => left || right,
        LogicalOp::Xor => left ^ right,
    }
}

fn booleans(value: Value<'_>) -> Vec<bool> {
    match value {
        Value::Array(items) => items.iter().map(|item| *item == Value::Bool(true)).collect(),
        _ => Vec::new(),
    }
}

/// Whether a comparison of type Bool holds; false when its value is missing.
pub(crate) fn compare<L: Lookup>(comparison: &Comparison, lookup: &L) -> Result<bool, L::Unknown> {
    let value = operand(&comparison.left, lookup)?;
    let field = comparison.left.plain_field();
    Ok(value.is_some_and(|value| holds(&comparison.test, &value, field, lookup.lists())))
}

/// Whether a test holds of a value that is there. `field` is the field it is the value of, if it is one.
pub(crate) fn holds(test: &Test, value: &Value<'_>, field: Option<Field>, lists: &Lists) -> bool {
    match (test, value) {
        (Test::IsTrue, Value::Bool(value)) => *value,
        (Test::Order { op, literal: Literal::Int(literal) }, Value::Int(value)) => op.accepts(Some(value.cmp(literal))),
        (Test::Order { op, literal: Literal::Ip(literal) }, Value::Ip(value)) => {
            let same_family = value.is_ipv4() == literal.is_ipv4();
            op.accepts(same_family.then(|| value.cmp(literal)))
        }
        (Test::Order { op, literal: Literal::Bytes(literal) }, Value::Bytes(value)) => {
            let literal = comparable(&literal.bytes, *op, field);
            op.accepts(Some((**value).cmp(&*literal)))
        }
        (Test::OneOf(Set::Int(ranges)), Value::Int(value)) => {
            ranges.iter().any(|(first, last)| (first..=last).contains(&value))
        }
        (Test::OneOf(Set::Ip(ranges)), Value::Ip(value)) => ranges.iter().any(|range| range.contains(*value)),
        (Test::OneOf(Set::Bytes(items)), Value::Bytes(value)) => {
            items.iter().any(|item| *comparable(&item.bytes, OrderOp::Equal, field) == **value)
        }
        (Test::InList { name, .. }, value) => lists.list(name).is_some_and(|list| match value {
            Value::Ip(value) => list.contains_address(*value),
            Value::Int(value) => list.contains_int(*value),
            Value::Bytes(value) => list.contains_bytes(value),
            Value::Bool(_) | Value::Array(_) | Value::Map(_) => false,
        }),
        (Test::BitAnd(mask), Value::Int(value)) => value & mask != 0,
        (Test::Contains(needle), Value::Bytes(value)) => memchr::memmem::find(value, &needle.bytes).is_some(),
        (Test::Matches(regex), Value::Bytes(value)) => regex.is_match(value),
        (Test::Wildcard(wildcard), Value::Bytes(value)) => wildcard.is_match(value),
        // The parser lets only tests through that fit the type.
        _ => false,
    }
}

/// A string literal as it is compared with a value: hosts are compared in their normal form.
pub(crate) fn comparable(literal: &[u8], op: OrderOp, field: Option<Field>) -> Cow<'_, [u8]> {
    match (field, op) {
        (Some(Field::HttpHost), OrderOp::Equal | OrderOp::NotEqual) => normalise_host_bytes(literal),
        _ => Cow::Borrowed(literal),
    }
}

/// The value of an operand without `[*]`; `None` when it is missing.
pub(crate) fn operand<'v, L: Lookup>(operand: &'v Operand, lookup: &'v L) -> Result<Option<Value<'v>>, L::Unknown> {
    let (base, path) = base(operand, lookup)?;
    Ok(base.and_then(|base| path.iter().try_fold(base, step)))
}

/// The values an operand with `[*]` stands for; `None` when what it maps is missing.
pub(crate) fn each<'v, L: Lookup>(operand: &'v Operand, lookup: &'v L) -> Result<Option<Vec<Value<'v>>>, L::Unknown> {
    let (base, path) = base(operand, lookup)?;
    let first_star = path.iter().position(|index| *index == Index::Each).unwrap_or(path.len());
    let (plain, mapped) = path.split_at(first_star);
    let Some(start) = base.and_then(|base| plain.iter().try_fold(base, step)) else { return Ok(None) };
    Ok(Some(mapped.iter().fold(vec![start], |values, index| match index {
        Index::Each => values.into_iter().flat_map(elements).collect(),
        Index::Position(_) | Index::Key(_) => values.into_iter().filter_map(|value| step(value, index)).collect(),
    })))
}

/// What a path starts from, and the part of the path that is still to be walked.
fn base<'v, L: Lookup>(operand: &'v Operand, lookup: &'v L) -> Result<(Option<Value<'v>>, &'v [Index]), L::Unknown> {
    match (&operand.base, operand.path.split_first()) {
        (Base::Constant(value), _) => Ok((Some(Value::Bool(*value)), &operand.path)),
        (Base::Field(field), Some((Index::Key(key), rest))) => Ok((lookup.under(*field, key)?, rest)),
        (Base::Field(field), _) => Ok((lookup.value(*field)?, &operand.path)),
        (Base::Call(call), _) => Ok((self::call(call, lookup)?, &operand.path)),
    }
}

fn step<'v>(value: Value<'v>, index: &Index) -> Option<Value<'v>> {
    match (value, index) {
        (Value::Array(mut items), Index::Position(position)) => {
            let position = usize::try_from(*position).ok().filter(|position| *position < items.len())?;
            Some(items.swap_remove(position))
        }
        (Value::Map(mut entries), Index::Key(key)) => entries.remove(key.as_bytes()),
        _ => None,
    }
}

fn elements(value: Value<'_>) -> Vec<Value<'_>> {
    match value {
        Value::Array(items) => items,
        Value::Map(entries) => entries.into_values().collect(),
        _ => Vec::new(),
    }
}

/// The value of a call. With a mapped first argument, the calls' values in an array, missing ones left out.
fn call<'v, L: Lookup>(call: &'v Call, lookup: &'v L) -> Result<Option<Value<'v>>, L::Unknown> {
    let Some((first, others)) = call.arguments.split_first() else { return Ok(None) };
    let others = others.iter().map(|other| argument(other, lookup)).collect::<Result<Vec<_>, _>>()?;
    let apply = |first: Option<Value<'v>>, others: Vec<Option<Value<'v>>>| {
        let values = std::iter::once(first).chain(others).collect();
        call.function.call(Arguments { values, pattern: call.pattern.as_ref() })
    };
    match first {
        Argument::Operand(operand) if operand.is_mapped() => Ok(each(operand, lookup)?.map(|values| {
            Value::Array(values.into_iter().filter_map(|value| apply(Some(value), others.clone())).collect())
        })),
        _ => Ok(apply(argument(first, lookup)?, others)),
    }
}

fn argument<'v, L: Lookup>(argument: &'v Argument, lookup: &'v L) -> Result<Option<Value<'v>>, L::Unknown> {
    match argument {
        Argument::Operand(operand) => self::operand(operand, lookup),
        Argument::Literal(Literal::Bytes(literal), _) => Ok(Some(Value::Bytes(Cow::Borrowed(&literal.bytes)))),
        Argument::Literal(Literal::Int(value), _) => Ok(Some(Value::Int(*value))),
        Argument::Literal(Literal::Ip(value), _) => Ok(Some(Value::Ip(*value))),
        Argument::Logical(logical) if logical.ty() == Type::Bool => Ok(Some(Value::Bool(truth(logical, lookup)?))),
        Argument::Logical(logical) => {
            Ok(Some(Value::Array(truths(logical, lookup)?.into_iter().map(Value::Bool).collect())))
        }
    }
}

impl OrderOp {
    /// Whether the operator accepts an ordering; values of two address families have none, and only differ.
    #[inline]
    pub(crate) fn accepts(self, ordering: Option<std::cmp::Ordering>) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        matches!(
            (self, ordering),
            (Self::Equal, Some(Equal))
                | (Self::GreaterOrEqual, Some(Equal | Greater))
                | (Self::LessOrEqual, Some(Equal | Less))
                | (Self::Greater, Some(Greater))
                | (Self::Less, Some(Less))
                | (Self::NotEqual, Some(Greater | Less) | None)
        )
    }
}
