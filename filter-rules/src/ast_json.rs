//! A tree as JSON, in the shape wirefilter gives its own.

use serde_json::{Value as Json, json};

use crate::ast::{
    Argument, Base, BytesLiteral, Comparison, Index, Literal, Logical, LogicalOp, Notation, Operand, OrderOp,
    Quantifier, Set, Test,
};
use crate::expression::Expression;
use crate::networks::AddressRange;

impl Expression {
    /// The tree as JSON, in the shape wirefilter gives its own: parentheses are left out, because the tree has them in it.
    #[must_use]
    pub fn to_json(&self) -> Json {
        logical(self.root())
    }
}

fn logical(node: &Logical) -> Json {
    match node {
        Logical::Combine { op, items } => {
            let op = match op {
                LogicalOp::Or => "Or",
                LogicalOp::Xor => "Xor",
                LogicalOp::And => "And",
            };
            json!({ "op": op, "items": items.iter().map(logical).collect::<Vec<_>>() })
        }
        Logical::Not { inner, .. } => json!({ "op": "Not", "arg": logical(inner) }),
        Logical::Group { inner, .. } => logical(inner),
        Logical::Quantify { quantifier, argument: inner, .. } => {
            let op = match quantifier {
                Quantifier::Any => "Any",
                Quantifier::All => "All",
            };
            json!({ "op": op, "arg": argument(inner) })
        }
        Logical::Compare(node) => comparison(node),
    }
}

fn comparison(node: &Comparison) -> Json {
    let lhs = operand(&node.left);
    let (op, rhs) = match &node.test {
        Test::IsTrue => return json!({ "lhs": lhs, "op": "IsTrue" }),
        Test::Order { op, literal: node } => (order(*op), literal(node)),
        Test::OneOf(items) => ("OneOf", set(items)),
        Test::InList { name, .. } => ("InList", json!(name)),
        Test::BitAnd(mask) => ("BitwiseAnd", json!(mask)),
        Test::Contains(needle) => ("Contains", bytes(needle)),
        Test::Matches(regex) => ("Matches", json!(regex.pattern())),
        Test::Wildcard(wildcard) if wildcard.strict => ("Strict Wildcard", bytes(&wildcard.literal)),
        Test::Wildcard(wildcard) => ("Wildcard", bytes(&wildcard.literal)),
    };
    json!({ "lhs": lhs, "op": op, "rhs": rhs })
}

const fn order(op: OrderOp) -> &'static str {
    match op {
        OrderOp::Equal => "Equal",
        OrderOp::NotEqual => "NotEqual",
        OrderOp::GreaterOrEqual => "GreaterThanEqual",
        OrderOp::LessOrEqual => "LessThanEqual",
        OrderOp::Greater => "GreaterThan",
        OrderOp::Less => "LessThan",
    }
}

/// The base alone, or an array of the base and its indexes.
fn operand(node: &Operand) -> Json {
    let base = match &node.base {
        Base::Field(field) => json!(field.name()),
        Base::Constant(value) => json!(value.to_string()),
        Base::Call(call) => {
            json!({ "name": call.function.name, "args": call.arguments.iter().map(argument).collect::<Vec<_>>() })
        }
    };
    if node.path.is_empty() {
        return base;
    }
    let path = node.path.iter().map(|index| match index {
        Index::Position(position) => json!({ "kind": "ArrayIndex", "value": position }),
        Index::Key(key) => json!({ "kind": "MapKey", "value": key }),
        Index::Each => json!({ "kind": "MapEach" }),
    });
    std::iter::once(base).chain(path).collect()
}

fn argument(node: &Argument) -> Json {
    match node {
        Argument::Operand(node) => json!({ "kind": "IndexExpr", "value": operand(node) }),
        Argument::Literal(node, _) => json!({ "kind": "Literal", "value": literal(node) }),
        Argument::Logical(node) => json!({ "kind": "SimpleExpr", "value": logical(node) }),
    }
}

fn literal(node: &Literal) -> Json {
    match node {
        Literal::Bytes(node) => bytes(node),
        Literal::Int(value) => json!(value),
        Literal::Ip(address) => json!(address.to_string()),
    }
}

/// Text as a string; what is no text, or was written as bytes, as an array of numbers.
fn bytes(node: &BytesLiteral) -> Json {
    match std::str::from_utf8(&node.bytes) {
        Ok(text) if node.notation != Notation::Hex => json!(text),
        _ => json!(node.bytes),
    }
}

fn set(node: &Set) -> Json {
    match node {
        Set::Bytes(items) => items.iter().map(bytes).collect(),
        Set::Int(ranges) => ranges.iter().map(|(first, last)| json!({ "start": first, "end": last })).collect(),
        Set::Ip(ranges) => ranges.iter().map(|range| address_range(*range)).collect(),
    }
}

fn address_range(range: AddressRange) -> Json {
    let text = range.to_string();
    match text.split_once("..") {
        Some((first, last)) => json!({ "start": first, "end": last }),
        None => json!(text),
    }
}
