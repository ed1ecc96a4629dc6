//! Logical expressions and comparisons.

use super::cursor::{Fault, Parser};
use crate::ast::{Comparison, Logical, LogicalOp, Operand, OrderOp, Quantifier, Test};
use crate::error::ParseErrorKind;
use crate::types::Type;

/// What stands between a value and a literal.
#[derive(Clone, Copy)]
enum ComparisonOp {
    In,
    Order(OrderOp),
    BitAnd,
    Contains,
    Matches,
    Wildcard { strict: bool },
}

/// In the order they are tried, which decides how text without word boundaries is read.
const COMPARISON_OPS: &[(&str, ComparisonOp)] = &[
    ("in", ComparisonOp::In),
    ("eq", ComparisonOp::Order(OrderOp::Equal)),
    ("==", ComparisonOp::Order(OrderOp::Equal)),
    ("ne", ComparisonOp::Order(OrderOp::NotEqual)),
    ("!=", ComparisonOp::Order(OrderOp::NotEqual)),
    ("ge", ComparisonOp::Order(OrderOp::GreaterOrEqual)),
    (">=", ComparisonOp::Order(OrderOp::GreaterOrEqual)),
    ("le", ComparisonOp::Order(OrderOp::LessOrEqual)),
    ("<=", ComparisonOp::Order(OrderOp::LessOrEqual)),
    ("gt", ComparisonOp::Order(OrderOp::Greater)),
    (">", ComparisonOp::Order(OrderOp::Greater)),
    ("lt", ComparisonOp::Order(OrderOp::Less)),
    ("<", ComparisonOp::Order(OrderOp::Less)),
    ("&", ComparisonOp::BitAnd),
    ("bitwise_and", ComparisonOp::BitAnd),
    ("contains", ComparisonOp::Contains),
    ("~", ComparisonOp::Matches),
    ("matches", ComparisonOp::Matches),
    ("wildcard", ComparisonOp::Wildcard { strict: false }),
    ("strict wildcard", ComparisonOp::Wildcard { strict: true }),
];

const LOGICAL_OPS: &[(&str, LogicalOp)] = &[
    ("or", LogicalOp::Or),
    ("||", LogicalOp::Or),
    ("xor", LogicalOp::Xor),
    ("^^", LogicalOp::Xor),
    ("and", LogicalOp::And),
    ("&&", LogicalOp::And),
];

impl Parser<'_> {
    /// A whole logical expression.
    pub(super) fn logical(&mut self) -> Result<Logical, Fault> {
        self.combination(LogicalOp::Or)
    }

    /// Operands joined by operators that bind at least as tightly as `weakest`.
    fn combination(&mut self, weakest: LogicalOp) -> Result<Logical, Fault> {
        let mut left = self.simple()?;
        loop {
            let before = self.at;
            let Some(op) = self.logical_op().filter(|op| *op >= weakest) else {
                self.at = before;
                return Ok(left);
            };
            let right = match op {
                LogicalOp::Or => self.combination(LogicalOp::Xor)?,
                LogicalOp::Xor => self.combination(LogicalOp::And)?,
                LogicalOp::And => self.simple()?,
            };
            self.check_operands(&left, &right)?;
            left = match left {
                Logical::Combine { op: same, mut items } if same == op => {
                    items.push(right);
                    Logical::Combine { op, items }
                }
                other => Logical::Combine { op, items: vec![other, right] },
            };
        }
    }

    /// Both sides are Booleans, or both are arrays of them.
    fn check_operands(&mut self, left: &Logical, right: &Logical) -> Result<(), Fault> {
        let (expected, actual) = (left.ty(), right.ty());
        match (expected, actual) {
            (Type::Bool, Type::Bool) | (Type::Array(_), Type::Array(_)) => Ok(()),
            _ => {
                // wirefilter notices after it has looked for the next operator, and points there.
                let before = self.at;
                if self.logical_op().is_none() {
                    self.at = before;
                }
                Err(self.fault_here(ParseErrorKind::TypeMismatch { expected, actual }))
            }
        }
    }

    /// A logical operator and the white space around it.
    fn logical_op(&mut self) -> Option<LogicalOp> {
        self.skip_space();
        let op = LOGICAL_OPS.iter().find(|(text, _)| self.eat(text)).map(|(_, op)| *op)?;
        self.skip_space();
        Some(op)
    }

    /// An expression no operator splits.
    fn simple(&mut self) -> Result<Logical, Fault> {
        let start = self.at;
        if self.eat("(") {
            return self.nested(start, |parser| {
                parser.skip_space();
                let inner = Box::new(parser.logical()?);
                parser.skip_space();
                parser.expect(")")?;
                Ok(Logical::Group { inner, span: parser.span_from(start) })
            });
        }
        if self.eat("not") || self.eat("!") {
            return self.nested(start, |parser| {
                parser.skip_space();
                let inner = Box::new(parser.simple()?);
                Ok(Logical::Not { inner, span: parser.span_from(start) })
            });
        }
        if let Some(quantifier) = self.quantifier() {
            return self.quantified(quantifier, start);
        }
        let left = self.operand()?;
        self.comparison(left).map(Logical::Compare)
    }

    /// `any` or `all`, when a parenthesis follows; what is read is the name and the white space after it.
    pub(super) fn quantifier(&mut self) -> Option<Quantifier> {
        let start = self.at;
        let quantifier = [("any", Quantifier::Any), ("all", Quantifier::All)]
            .into_iter()
            .find(|(text, _)| self.eat(text))
            .map(|(_, quantifier)| quantifier);
        self.skip_space();
        if quantifier.is_none() || !self.rest().starts_with('(') {
            self.at = start;
            return None;
        }
        quantifier
    }

    fn quantified(&mut self, quantifier: Quantifier, start: usize) -> Result<Logical, Fault> {
        self.nested(self.at, |parser| {
            parser.expect("(")?;
            parser.skip_space();
            let argument_start = parser.at;
            let argument = Box::new(parser.argument()?);
            let (expected, actual) = (Type::Array(&Type::Bool), argument.ty());
            if actual != expected {
                return Err(parser.fault_from(argument_start, ParseErrorKind::TypeMismatch { expected, actual }));
            }
            parser.skip_space();
            parser.expect(")")?;
            Ok(Logical::Quantify { quantifier, argument, span: parser.span_from(start) })
        })
    }

    /// Whether a comparison operator comes next, after white space.
    pub(super) fn is_comparison_next(&mut self) -> bool {
        let before = self.at;
        self.skip_space();
        let is_next = self.comparison_op().is_some();
        self.at = before;
        is_next
    }

    fn comparison_op(&mut self) -> Option<ComparisonOp> {
        COMPARISON_OPS.iter().find(|(text, _)| self.eat(text)).map(|(_, op)| *op)
    }

    /// What follows a value: an operator and a literal, or nothing for a Boolean.
    pub(super) fn comparison(&mut self, left: Operand) -> Result<Comparison, Fault> {
        let start = left.span.start;
        let test = match left.ty {
            Type::Bool => Test::IsTrue,
            Type::Array(Type::Bool) if left.is_mapped() => {
                // Each element would be an array of its own.
                let ty = Type::Array(&Type::Array(&Type::Bool));
                return Err(self.fault_from(self.at, ParseErrorKind::UnsupportedOperation { ty }));
            }
            Type::Array(Type::Bool) => Test::IsTrue,
            ty => self.test(ty)?,
        };
        Ok(Comparison { left, test, span: self.span_from(start) })
    }

    fn test(&mut self, ty: Type) -> Result<Test, Fault> {
        self.skip_space();
        let start = self.at;
        let op = self.comparison_op().ok_or_else(|| self.fault_here(ParseErrorKind::Expected("ComparisonOp")))?;
        let after_op = self.at;
        self.skip_space();
        match (ty, op) {
            (Type::Ip | Type::Bytes | Type::Int, ComparisonOp::In) => self.membership(ty),
            (Type::Ip | Type::Bytes | Type::Int, ComparisonOp::Order(op)) => {
                self.literal(ty).map(|literal| Test::Order { op, literal })
            }
            (Type::Int, ComparisonOp::BitAnd) => self.int().map(Test::BitAnd),
            (Type::Bytes, ComparisonOp::Contains) => self.bytes().map(Test::Contains),
            (Type::Bytes, ComparisonOp::Matches) => self.regex().map(Test::Matches),
            (Type::Bytes, ComparisonOp::Wildcard { strict }) => self.wildcard(strict).map(Test::Wildcard),
            _ => {
                self.at = after_op;
                Err(self.fault_from(start, ParseErrorKind::UnsupportedOperation { ty }))
            }
        }
    }

    /// What follows `in`.
    fn membership(&mut self, ty: Type) -> Result<Test, Fault> {
        if self.rest().starts_with('$') {
            let start = self.at;
            let name = self.list_name()?;
            return Ok(Test::InList { name, span: self.span_from(start) });
        }
        self.set(ty).map(Test::OneOf)
    }
}
