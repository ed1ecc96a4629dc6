//! Canonical source of a tree: parsing it gives the same tree.

use std::fmt::{self, Display, Formatter, Write as _};

use crate::ast::{
    Argument, Base, BytesLiteral, Call, Comparison, Index, Literal, Logical, LogicalOp, Notation, Operand, OrderOp,
    Quantifier, Set, Test,
};
use crate::expression::Expression;
use crate::pattern::Regex;

impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.root().fmt(f)
    }
}

impl Display for Logical {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Combine { op, items } => {
                for (position, item) in items.iter().enumerate() {
                    if position > 0 {
                        write!(f, " {op} ")?;
                    }
                    item.fmt(f)?;
                }
                Ok(())
            }
            Self::Not { inner, .. } => write!(f, "not {inner}"),
            Self::Group { inner, .. } => write!(f, "({inner})"),
            Self::Quantify { quantifier, argument, .. } => write!(f, "{quantifier}({argument})"),
            Self::Compare(comparison) => comparison.fmt(f),
        }
    }
}

impl Display for LogicalOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Or => "or",
            Self::Xor => "xor",
            Self::And => "and",
        })
    }
}

impl Display for Quantifier {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any",
            Self::All => "all",
        })
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { left, test, .. } = self;
        match test {
            Test::IsTrue => left.fmt(f),
            Test::Order { op, literal } => write!(f, "{left} {op} {literal}"),
            Test::OneOf(set) => write!(f, "{left} in {set}"),
            Test::InList { name, .. } => write!(f, "{left} in ${name}"),
            Test::BitAnd(mask) => write!(f, "{left} bitwise_and {mask}"),
            Test::Contains(needle) => write!(f, "{left} contains {needle}"),
            Test::Matches(regex) => write!(f, "{left} matches {regex}"),
            Test::Wildcard(wildcard) => {
                let strict = if wildcard.strict { "strict " } else { "" };
                write!(f, "{left} {strict}wildcard {}", wildcard.literal)
            }
        }
    }
}

impl Display for OrderOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "eq",
            Self::NotEqual => "ne",
            Self::GreaterOrEqual => "ge",
            Self::LessOrEqual => "le",
            Self::Greater => "gt",
            Self::Less => "lt",
        })
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.base {
            Base::Field(field) => f.write_str(field.name())?,
            Base::Constant(value) => value.fmt(f)?,
            Base::Call(call) => call.fmt(f)?,
        }
        self.path.iter().try_for_each(|index| match index {
            Index::Position(position) => write!(f, "[{position}]"),
            Index::Key(key) => {
                f.write_str("[")?;
                write_quoted(f, key.as_bytes())?;
                f.write_str("]")
            }
            Index::Each => f.write_str("[*]"),
        })
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.function.name)?;
        for (position, argument) in self.arguments.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{argument}")?;
        }
        f.write_str(")")
    }
}

impl Display for Argument {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operand(operand) => operand.fmt(f),
            Self::Literal(literal, _) => literal.fmt(f),
            Self::Logical(logical) => logical.fmt(f),
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(literal) => literal.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Ip(value) => value.fmt(f),
        }
    }
}

impl Display for Set {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        match self {
            Self::Bytes(items) => write_items(f, items.iter(), |f, item| item.fmt(f))?,
            Self::Ip(ranges) => write_items(f, ranges.iter(), |f, range| range.fmt(f))?,
            Self::Int(ranges) => write_items(f, ranges.iter(), write_int_range)?,
        }
        f.write_str("}")
    }
}

fn write_int_range(f: &mut Formatter<'_>, (first, last): &(i64, i64)) -> fmt::Result {
    if first == last { first.fmt(f) } else { write!(f, "{first}..{last}") }
}

fn write_items<T>(
    f: &mut Formatter<'_>,
    items: impl Iterator<Item = T>,
    write: impl Fn(&mut Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    for (position, item) in items.enumerate() {
        if position > 0 {
            f.write_char(' ')?;
        }
        write(f, item)?;
    }
    Ok(())
}

impl Display for BytesLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.notation {
            Notation::Quoted => write_quoted(f, &self.bytes),
            Notation::Raw(hashes) => write_raw(f, &String::from_utf8_lossy(&self.bytes), hashes),
            Notation::Hex => self
                .bytes
                .iter()
                .enumerate()
                .try_for_each(|(position, byte)| write!(f, "{}{byte:02x}", if position == 0 { "" } else { ":" })),
        }
    }
}

impl Display for Regex {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Notation::Raw(hashes) = self.notation {
            return write_raw(f, self.pattern(), hashes);
        }
        // The reverse of how a quoted pattern is read: backslashes stand for themselves and only a quote outside a class
        // needs one.
        f.write_char('"')?;
        let (mut in_class, mut escaped) = (false, false);
        for c in self.pattern().chars() {
            match c {
                '"' if !in_class && !escaped => f.write_str("\\\"")?,
                other => f.write_char(other)?,
            }
            if !escaped {
                match c {
                    '[' => in_class = true,
                    ']' => in_class = false,
                    _ => {}
                }
            }
            escaped = c == '\\' && !escaped;
        }
        f.write_char('"')
    }
}

fn write_raw(f: &mut Formatter<'_>, text: &str, hashes: u8) -> fmt::Result {
    let hashes = "#".repeat(hashes.into());
    write!(f, "r{hashes}\"{text}\"{hashes}")
}

/// A quoted string: text as it is, quotes and backslashes escaped, control characters and what is no UTF-8 as `\xHH`.
pub(crate) fn write_quoted(f: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_char('"')?;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                control if control.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(control))?,
                other => f.write_char(other)?,
            }
        }
        chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
    }
    f.write_char('"')
}
