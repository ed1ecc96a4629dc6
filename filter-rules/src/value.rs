//! Values of facts and of sub-expressions.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use crate::print::write_quoted;
use crate::types::Type;

/// A value. A missing one is `None` wherever a value is optional.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'v> {
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An address.
    Ip(IpAddr),
    /// A string.
    Bytes(Cow<'v, [u8]>),
    /// Values of one type, in order.
    Array(Vec<Value<'v>>),
    /// Values of one type by key, in order of the keys.
    Map(BTreeMap<Cow<'v, [u8]>, Value<'v>>),
}

impl<'v> Value<'v> {
    /// Whether the value has this type, elements included.
    #[must_use]
    pub fn is_of(&self, ty: Type) -> bool {
        match (self, ty) {
            (Self::Bool(_), Type::Bool)
            | (Self::Int(_), Type::Int)
            | (Self::Ip(_), Type::Ip)
            | (Self::Bytes(_), Type::Bytes) => true,
            (Self::Array(items), Type::Array(element)) => items.iter().all(|item| item.is_of(*element)),
            (Self::Map(entries), Type::Map(element)) => entries.values().all(|entry| entry.is_of(*element)),
            _ => false,
        }
    }

    /// The same value, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Int(value),
            Self::Ip(value) => Value::Ip(value),
            Self::Bytes(value) => Value::Bytes(Cow::Owned(value.into_owned())),
            Self::Array(items) => Value::Array(items.into_iter().map(Value::into_owned).collect()),
            Self::Map(entries) => Value::Map(
                entries.into_iter().map(|(key, value)| (Cow::Owned(key.into_owned()), value.into_owned())).collect(),
            ),
        }
    }

    /// The same value, borrowing from this one.
    #[must_use]
    pub fn as_borrowed(&self) -> Value<'_> {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Ip(value) => Value::Ip(*value),
            Self::Bytes(value) => Value::Bytes(Cow::Borrowed(value)),
            Self::Array(items) => Value::Array(items.iter().map(Value::as_borrowed).collect()),
            Self::Map(entries) => Value::Map(
                entries.iter().map(|(key, value)| (Cow::Borrowed(key.as_ref()), value.as_borrowed())).collect(),
            ),
        }
    }

    /// The string, if it is one.
    pub(crate) fn into_bytes(self) -> Option<Cow<'v, [u8]>> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// Strings quoted, arrays in brackets, maps in braces.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Ip(value) => value.fmt(f),
            Self::Bytes(value) => write_quoted(f, value),
            Self::Array(items) => {
                f.write_str("[")?;
                for (position, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if position == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Map(entries) => {
                f.write_str("{")?;
                for (position, (key, value)) in entries.iter().enumerate() {
                    f.write_str(if position == 0 { "" } else { ", " })?;
                    write_quoted(f, key)?;
                    write!(f, ": {value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(text: &'v str) -> Self {
        Self::Bytes(Cow::Borrowed(text.as_bytes()))
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Cow::Owned(bytes))
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<IpAddr> for Value<'_> {
    fn from(value: IpAddr) -> Self {
        Self::Ip(value)
    }
}
