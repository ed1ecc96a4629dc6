//! The types of the language.

use std::fmt;

/// The type of a field, a value or an expression.
///
/// Elements are named by `'static` references so that a type is `Copy` and the field table can be a constant. No expression
/// types deeper than an array of arrays: [`Type::array_of`] says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A string of any bytes. Cloudflare's documentation calls it String.
    Bytes,
    /// A signed 64-bit integer.
    Int,
    /// An IPv4 or IPv6 address.
    Ip,
    /// A sequence of values of one type.
    Array(&'static Type),
    /// Values of one type under string keys.
    Map(&'static Type),
}

impl Type {
    /// What indexing or `[*]` yields; `None` for a scalar.
    #[must_use]
    pub const fn element(self) -> Option<Self> {
        match self {
            Self::Array(element) | Self::Map(element) => Some(*element),
            Self::Bool | Self::Bytes | Self::Int | Self::Ip => None,
        }
    }

    /// The type of an array of these, as a mapped call returns; `None` when that would nest deeper than any expression needs.
    #[must_use]
    pub const fn array_of(self) -> Option<Self> {
        Some(Self::Array(match self {
            Self::Bool => &Self::Bool,
            Self::Bytes => &Self::Bytes,
            Self::Int => &Self::Int,
            Self::Ip => &Self::Ip,
            Self::Array(Self::Bool) => &Self::Array(&Self::Bool),
            Self::Array(Self::Bytes) => &Self::Array(&Self::Bytes),
            Self::Array(Self::Int) => &Self::Array(&Self::Int),
            Self::Array(Self::Ip) => &Self::Array(&Self::Ip),
            Self::Array(_) | Self::Map(_) => return None,
        }))
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("Bool"),
            Self::Bytes => f.write_str("Bytes"),
            Self::Int => f.write_str("Int"),
            Self::Ip => f.write_str("Ip"),
            Self::Array(element) => write!(f, "Array<{element}>"),
            Self::Map(element) => write!(f, "Map<{element}>"),
        }
    }
}
