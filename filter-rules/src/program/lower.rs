//! From tree to nodes: every construct that has a check of its own gets it, the rest is interpreted.

use super::Builder;
use super::check::{AddressTest, Case, Check, Each, Elements, Int, IntTest, Text, TextTest};
use super::node::Node;
use super::search::Needle;
use super::sets::{AddressSet, IntSet, StringSet};
use crate::ast::{
    Argument, Base, BytesLiteral, Call, Comparison, Index, Literal, Logical, LogicalOp, Operand, OrderOp, Quantifier,
    Set, Test,
};
use crate::interpret::comparable;
use crate::networks::Ranges;
use crate::scheme::Field;
use crate::types::Type;

pub(super) struct Compiler<'b> {
    builder: &'b mut Builder,
}

impl<'b> Compiler<'b> {
    pub(super) const fn new(builder: &'b mut Builder) -> Self {
        Self { builder }
    }

    /// The node of an expression of type Bool, or of its negation.
    pub(super) fn lower(&mut self, logical: &Logical, negated: bool) -> Node {
        match logical {
            Logical::Group { inner, .. } => self.lower(inner, negated),
            Logical::Not { inner, .. } => self.lower(inner, !negated),
            Logical::Combine { op: LogicalOp::Xor, items } => {
                Node::odd(items.iter().map(|item| self.lower(item, false)).collect(), negated)
            }
            Logical::Combine { op, items } => {
                let items = items.iter().map(|item| self.lower(item, negated)).collect();
                // De Morgan: the negation of an `and` is the `or` of the negations.
                if (*op == LogicalOp::And) ^ negated { Node::all(items) } else { Node::any(items) }
            }
            Logical::Quantify { quantifier, argument, .. } => {
                let each = self.each(*quantifier, argument);
                let check = each.map_or_else(|| interpreted(logical), |each| Check::Each(Box::new(each)));
                Node::leaf(check, negated)
            }
            Logical::Compare(comparison) => self.comparison(comparison, negated, logical),
        }
    }

    fn comparison(&mut self, comparison: &Comparison, negated: bool, whole: &Logical) -> Node {
        let Comparison { left, test, .. } = comparison;
        if let Some(constant) = constant(comparison) {
            return Node::Constant(constant ^ negated);
        }
        let check = match left.ty {
            Type::Bool => self.boolean(left),
            Type::Bytes => text(left).zip(self.text_test(test, left)).map(|(text, test)| Check::Text(text, test)),
            Type::Int => int(left).zip(self.int_test(test)).map(|(int, test)| Check::Int(int, test)),
            Type::Ip => {
                left.plain_field().zip(self.address_test(test)).map(|(field, test)| Check::Address(field, test))
            }
            Type::Array(_) | Type::Map(_) => None,
        };
        Node::leaf(check.unwrap_or_else(|| interpreted(whole)), negated)
    }

    /// A Boolean by itself: a field, or a call that has a check.
    fn boolean(&self, operand: &Operand) -> Option<Check> {
        match &operand.base {
            Base::Field(field) if operand.path.is_empty() => Some(Check::Flag(*field)),
            Base::Call(call) if operand.path.is_empty() => {
                let [Argument::Operand(source), Argument::Literal(Literal::Bytes(literal), _)] = &*call.arguments
                else {
                    return None;
                };
                let test = affix_test(call, literal)?;
                text(source).map(|text| Check::Text(text, test))
            }
            _ => None,
        }
    }

    fn text_test(&mut self, test: &Test, left: &Operand) -> Option<TextTest> {
        let field = left.plain_field();
        Some(match test {
            Test::Order { op: OrderOp::Equal, literal: Literal::Bytes(literal) } => {
                TextTest::Equal(comparable(&literal.bytes, OrderOp::Equal, field).into())
            }
            Test::Order { op, literal: Literal::Bytes(literal) } => {
                TextTest::Order(*op, comparable(&literal.bytes, *op, field).into())
            }
            Test::OneOf(Set::Bytes(items)) => {
                let items = items.iter().map(|item| comparable(&item.bytes, OrderOp::Equal, field).into());
                TextTest::OneOf(Box::new(StringSet::new(items.collect())))
            }
            Test::InList { name, .. } => TextTest::InList(self.builder.shared.lists.list(name)?.clone()),
            Test::Contains(needle) => TextTest::Contains(Box::new(Needle::new(&needle.bytes))),
            Test::Matches(regex) => TextTest::Matches(self.builder.regex(regex)),
            Test::Wildcard(wildcard) => TextTest::Wildcard(Box::new(wildcard.clone())),
            Test::IsTrue | Test::Order { .. } | Test::OneOf(_) | Test::BitAnd(_) => return None,
        })
    }

    fn int_test(&self, test: &Test) -> Option<IntTest> {
        Some(match test {
            Test::Order { op: OrderOp::Equal, literal: Literal::Int(value) } => {
                IntTest::OneOf(Box::new(IntSet::new(Ranges::new(vec![(*value, *value)]))))
            }
            Test::Order { op, literal: Literal::Int(value) } => IntTest::Order(*op, *value),
            Test::OneOf(Set::Int(ranges)) => IntTest::OneOf(Box::new(IntSet::new(Ranges::new(ranges.clone())))),
            Test::InList { name, .. } => IntTest::InList(self.builder.shared.lists.list(name)?.clone()),
            Test::BitAnd(mask) => IntTest::AnyBit(*mask),
            _ => return None,
        })
    }

    fn address_test(&self, test: &Test) -> Option<AddressTest> {
        Some(match test {
            Test::Order { op: OrderOp::Equal, literal: Literal::Ip(address) } => {
                AddressTest::OneOf(Box::new(AddressSet::new([(*address).into()].into_iter().collect())))
            }
            Test::Order { op, literal: Literal::Ip(address) } => AddressTest::Order(*op, *address),
            Test::OneOf(Set::Ip(ranges)) => {
                AddressTest::OneOf(Box::new(AddressSet::new(ranges.iter().copied().collect())))
            }
            Test::InList { name, .. } => AddressTest::InList(self.builder.shared.lists.list(name)?.clone()),
            _ => return None,
        })
    }

    /// A quantifier over the strings of a field, with one test.
    fn each(&mut self, quantifier: Quantifier, argument: &Argument) -> Option<Each> {
        match argument {
            Argument::Logical(logical) => {
                let (comparison, negated) = single_comparison(logical)?;
                let (elements, case) = elements(&comparison.left)?;
                let test = self.text_test(&comparison.test, &comparison.left)?;
                Some(Each { quantifier, elements, case, test, negated })
            }
            // `any(starts_with(field[*], "…"))`: unlike a comparison, false for a missing array even under `all`.
            Argument::Operand(Operand { base: Base::Call(call), path, .. })
                if path.is_empty() && quantifier == Quantifier::Any =>
            {
                let [Argument::Operand(source), Argument::Literal(Literal::Bytes(literal), _)] = &*call.arguments
                else {
                    return None;
                };
                let test = affix_test(call, literal)?;
                let (elements, case) = elements(source)?;
                Some(Each { quantifier, elements, case, test, negated: false })
            }
            Argument::Operand(_) | Argument::Literal(..) => None,
        }
    }
}

fn interpreted(logical: &Logical) -> Check {
    Check::Interpreted(Box::new(logical.clone()))
}

/// The value of a comparison that does not depend on facts.
fn constant(comparison: &Comparison) -> Option<bool> {
    match (&comparison.left.base, &comparison.test) {
        (Base::Constant(value), _) => Some(*value),
        (_, Test::OneOf(set)) if set.is_empty() => Some(false),
        (_, Test::BitAnd(0)) => Some(false),
        _ => None,
    }
}

/// The test of `starts_with` and `ends_with`.
fn affix_test(call: &Call, literal: &BytesLiteral) -> Option<TextTest> {
    match call.function.name {
        "starts_with" => Some(TextTest::StartsWith(literal.bytes.clone())),
        "ends_with" => Some(TextTest::EndsWith(literal.bytes.clone())),
        _ => None,
    }
}

/// The source of a string, if it has a form of its own.
fn text(operand: &Operand) -> Option<Text> {
    match (&operand.base, &*operand.path) {
        (Base::Field(field), []) => Some(Text::Field(*field)),
        (Base::Field(field), [Index::Key(key), Index::Position(position)]) => {
            Some(Text::Under { field: *field, key: key.as_bytes().into(), position: *position })
        }
        (Base::Call(call), []) => {
            let (field, case) = folded_field(call)?;
            Some(Text::Folded(field, case))
        }
        _ => None,
    }
}

/// `lower(field)` and `upper(field)`.
fn folded_field(call: &Call) -> Option<(Field, Case)> {
    let [Argument::Operand(source)] = &*call.arguments else { return None };
    Some((source.plain_field()?, case(call)?))
}

fn case(call: &Call) -> Option<Case> {
    match call.function.name {
        "lower" => Some(Case::Lower),
        "upper" => Some(Case::Upper),
        _ => None,
    }
}

/// The source of an integer, if it has a form of its own.
fn int(operand: &Operand) -> Option<Int> {
    match (&operand.base, &*operand.path) {
        (Base::Field(field), []) => Some(Int::Field(*field)),
        (Base::Call(call), []) if call.function.name == "len" => match &*call.arguments {
            [Argument::Operand(source)] if source.ty == Type::Bytes => source.plain_field().map(Int::Length),
            _ => None,
        },
        _ => None,
    }
}

/// The strings a mapped operand stands for, if they are those of a field, perhaps folded.
fn elements(operand: &Operand) -> Option<(Elements, Option<Case>)> {
    if operand.ty != Type::Bytes {
        return None;
    }
    match (&operand.base, &*operand.path) {
        (Base::Field(field), [Index::Each]) => Some((Elements::Items(*field), None)),
        (Base::Field(field), [Index::Key(key), Index::Each]) => {
            Some((Elements::Under(*field, key.as_bytes().into()), None))
        }
        (Base::Field(field), [Index::Each, Index::Each]) => Some((Elements::Entries(*field), None)),
        (Base::Call(call), [Index::Each]) => {
            let case = case(call)?;
            let [Argument::Operand(source)] = &*call.arguments else { return None };
            match elements(source)? {
                (elements, None) => Some((elements, Some(case))),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The comparison a mapped expression is, through parentheses and negations.
fn single_comparison(logical: &Logical) -> Option<(&Comparison, bool)> {
    match logical {
        Logical::Compare(comparison) if comparison.left.is_mapped() => Some((comparison, false)),
        Logical::Group { inner, .. } => single_comparison(inner),
        Logical::Not { inner, .. } => single_comparison(inner).map(|(comparison, negated)| (comparison, !negated)),
        _ => None,
    }
}
