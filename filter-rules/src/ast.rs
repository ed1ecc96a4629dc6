//! The typed syntax tree. What a tree holds has been checked: operators fit types, calls fit signatures, patterns compile.

use std::net::IpAddr;

use crate::functions::Function;
use crate::networks::AddressRange;
use crate::pattern::{Regex, Wildcard};
use crate::scheme::Field;
use crate::span::Span;
use crate::types::Type;

/// An expression of type Bool, or of `Array<Bool>` inside `any(…)` and `all(…)`.
#[derive(Clone, Debug)]
pub enum Logical {
    /// Two or more operands joined by the same operator.
    Combine {
        /// The operator between all of them.
        op: LogicalOp,
        /// The operands, in source order.
        items: Vec<Logical>,
    },
    /// `not …`
    Not {
        /// What is negated.
        inner: Box<Logical>,
        /// From the operator to the end of what it negates.
        span: Span,
    },
    /// `( … )`
    Group {
        /// What the parentheses enclose.
        inner: Box<Logical>,
        /// From parenthesis to parenthesis.
        span: Span,
    },
    /// `any( … )` or `all( … )`
    Quantify {
        /// Which of the two.
        quantifier: Quantifier,
        /// What yields the array of Booleans.
        argument: Box<Argument>,
        /// From the name to the closing parenthesis.
        span: Span,
    },
    /// A comparison, or a Boolean value standing by itself.
    Compare(Comparison),
}

impl Logical {
    /// Bool, or `Array<Bool>` for a mapped comparison.
    #[must_use]
    pub fn ty(&self) -> Type {
        match self {
            Self::Combine { items, .. } => items.first().map_or(Type::Bool, Self::ty),
            Self::Not { inner, .. } | Self::Group { inner, .. } => inner.ty(),
            Self::Quantify { .. } => Type::Bool,
            Self::Compare(comparison) => comparison.ty(),
        }
    }

    /// Where it stands in the source.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Combine { items, .. } => match (items.first(), items.last()) {
                (Some(first), Some(last)) => first.span().to(last.span()),
                _ => Span::default(),
            },
            Self::Not { span, .. } | Self::Group { span, .. } | Self::Quantify { span, .. } => *span,
            Self::Compare(comparison) => comparison.span,
        }
    }
}

/// An operator between logical expressions, weakest binding first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogicalOp {
    /// `or`, `||`
    Or,
    /// `xor`, `^^`: true when an odd number of its operands is.
    Xor,
    /// `and`, `&&`
    And,
}

/// What reduces an array of Booleans to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// True when at least one is true; false for none at all.
    Any,
    /// True when none is false; true for none at all.
    All,
}

/// A value and what is asked of it.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The value.
    pub left: Operand,
    /// The question.
    pub test: Test,
    /// From the value to the end of the literal.
    pub span: Span,
}

impl Comparison {
    /// Bool, or `Array<Bool>` when the value is mapped with `[*]` or is an array of Booleans.
    #[must_use]
    pub fn ty(&self) -> Type {
        if self.left.is_mapped() {
            Type::Array(&Type::Bool)
        } else if matches!(self.test, Test::IsTrue) {
            self.left.ty
        } else {
            Type::Bool
        }
    }
}

/// What is asked of a value.
#[derive(Clone, Debug)]
pub enum Test {
    /// A Boolean by itself.
    IsTrue,
    /// `eq ne lt le gt ge`
    Order {
        /// The operator.
        op: OrderOp,
        /// What the value is compared with; of the value's type.
        literal: Literal,
    },
    /// `in { … }`
    OneOf(Set),
    /// `in $name`
    InList {
        /// The name, without the `$`.
        name: Box<str>,
        /// The name with its `$`.
        span: Span,
    },
    /// `bitwise_and n`, `& n`: whether any bit of `n` is set.
    BitAnd(i64),
    /// `contains "…"`
    Contains(BytesLiteral),
    /// `matches "…"`, `~ "…"`
    Matches(Regex),
    /// `wildcard "…"` and `strict wildcard "…"`
    Wildcard(Wildcard),
}

/// An ordering operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderOp {
    /// `eq`, `==`
    Equal,
    /// `ne`, `!=`
    NotEqual,
    /// `ge`, `>=`
    GreaterOrEqual,
    /// `le`, `<=`
    LessOrEqual,
    /// `gt`, `>`
    Greater,
    /// `lt`, `<`
    Less,
}

/// A value: a field, a constant or a call, and the indexes applied to it.
#[derive(Clone, Debug)]
pub struct Operand {
    /// What is indexed.
    pub base: Base,
    /// The indexes, left to right.
    pub path: Vec<Index>,
    /// The type after all indexes; for a mapped operand, of one element.
    pub ty: Type,
    /// From the name to the last bracket.
    pub span: Span,
}

impl Operand {
    /// Whether the path holds `[*]`, so that the operand stands for many values.
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        self.path.contains(&Index::Each)
    }

    /// The field this operand is, when it is a field and nothing else.
    #[must_use]
    pub fn plain_field(&self) -> Option<Field> {
        match self.base {
            Base::Field(field) if self.path.is_empty() => Some(field),
            _ => None,
        }
    }
}

/// What an [`Operand`] starts from.
#[derive(Clone, Debug)]
pub enum Base {
    /// A field of the scheme.
    Field(Field),
    /// `true` or `false`.
    Constant(bool),
    /// A call.
    Call(Box<Call>),
}

/// One index of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Index {
    /// `[0]`: an element of an array.
    Position(u32),
    /// `["name"]`: the value under a key.
    Key(Box<str>),
    /// `[*]`: every element or value.
    Each,
}

/// A call.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is called.
    pub function: &'static Function,
    /// The arguments; their number and types fit the function.
    pub arguments: Vec<Argument>,
    /// The pattern argument of the functions that have one, compiled.
    pub pattern: Option<CallPattern>,
    /// What the call returns; an array when the first argument is mapped.
    pub ty: Type,
}

/// The compiled pattern of a call.
#[derive(Clone, Debug)]
pub enum CallPattern {
    /// Of `regex_replace`.
    Regex(Regex),
    /// Of `wildcard_replace`.
    Wildcard(Wildcard),
}

/// An argument of a call or a quantifier.
#[derive(Clone, Debug)]
pub enum Argument {
    /// A field, constant or call.
    Operand(Operand),
    /// A literal and where it stands.
    Literal(Literal, Span),
    /// A comparison, a negation, a group, a quantifier.
    Logical(Logical),
}

impl Argument {
    /// The type of the value; of one element when it is mapped.
    #[must_use]
    pub fn ty(&self) -> Type {
        match self {
            Self::Operand(operand) => operand.ty,
            Self::Literal(literal, _) => literal.ty(),
            Self::Logical(logical) => logical.ty(),
        }
    }

    /// Whether it is an operand with `[*]`, so that a call is made for each element.
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        matches!(self, Self::Operand(operand) if operand.is_mapped())
    }
}

/// A literal value.
#[derive(Clone, Debug)]
pub enum Literal {
    /// A string.
    Bytes(BytesLiteral),
    /// An integer.
    Int(i64),
    /// An address.
    Ip(IpAddr),
}

impl Literal {
    /// The type of the value.
    #[must_use]
    pub const fn ty(&self) -> Type {
        match self {
            Self::Bytes(_) => Type::Bytes,
            Self::Int(_) => Type::Int,
            Self::Ip(_) => Type::Ip,
        }
    }
}

/// A string literal: its bytes and the notation it came in, which printing keeps.
#[derive(Clone, Debug)]
pub struct BytesLiteral {
    /// The value.
    pub bytes: Box<[u8]>,
    /// How it was written.
    pub notation: Notation,
    /// The literal in the source, its quotes included.
    pub span: Span,
}

/// A notation of string literals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// `"…"` with escapes.
    Quoted,
    /// `r#"…"#` with this many `#`.
    Raw(u8),
    /// `61:62:63`
    Hex,
}

/// An inline set.
#[derive(Clone, Debug)]
pub enum Set {
    /// Strings.
    Bytes(Vec<BytesLiteral>),
    /// Integers and ranges of them, both ends included.
    Int(Vec<(i64, i64)>),
    /// Addresses, networks and ranges.
    Ip(Vec<AddressRange>),
}

impl Set {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Bytes(items) => items.is_empty(),
            Self::Int(ranges) => ranges.is_empty(),
            Self::Ip(ranges) => ranges.is_empty(),
        }
    }
}
