//! The functions: their signatures, which the parser checks, and what they compute.

mod address;
mod encoding;
mod json;
mod replace;
mod table;
mod text;

pub use table::ALL;

use std::fmt;

use crate::ast::{Argument, CallPattern, Literal};
use crate::error::ParseErrorKind;
use crate::types::Type;
use crate::value::Value;

/// A function of the language.
pub struct Function {
    /// The name in expressions.
    pub name: &'static str,
    /// How it is called, for people.
    pub usage: &'static str,
    /// One line for people.
    pub doc: &'static str,
    /// Parameters that must be given, then those that may be.
    params: &'static [Param],
    /// How many of `params` must be given.
    required: usize,
    /// Whether the last of `params` may be repeated.
    repeats: bool,
    returns: Returns,
    /// Which kind of pattern the second argument is.
    pub(crate) pattern: PatternKind,
    /// Whether a literal argument has a value the function can use; the text says what it asks for.
    check: fn(usize, &Literal) -> Result<(), String>,
    body: Body,
}

/// Computes a call; `None` is a missing value.
type Body = for<'v> fn(Arguments<'_, 'v>) -> Option<Value<'v>>;

/// The values a function is called with.
pub(crate) struct Arguments<'c, 'v> {
    /// The arguments in order; `None` is a missing value.
    pub(crate) values: Vec<Option<Value<'v>>>,
    /// The compiled pattern of a replacing function.
    pub(crate) pattern: Option<&'c CallPattern>,
}

impl<'v> Arguments<'_, 'v> {
    /// Takes argument `index`.
    fn take(&mut self, index: usize) -> Option<Value<'v>> {
        self.values.get_mut(index).and_then(Option::take)
    }

    fn bytes(&mut self, index: usize) -> Option<std::borrow::Cow<'v, [u8]>> {
        self.take(index)?.into_bytes()
    }

    fn int(&mut self, index: usize) -> Option<i64> {
        match self.take(index)? {
            Value::Int(value) => Some(value),
            _ => None,
        }
    }

    fn ip(&mut self, index: usize) -> Option<std::net::IpAddr> {
        match self.take(index)? {
            Value::Ip(value) => Some(value),
            _ => None,
        }
    }
}

/// A parameter.
struct Param {
    kind: ArgumentKind,
    accepts: Accepts,
}

/// Whether an argument must be a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentKind {
    /// A literal.
    Literal,
    /// Anything but a literal.
    Field,
    /// Either.
    Any,
}

impl fmt::Display for ArgumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Literal => "Literal",
            Self::Field => "Field",
            Self::Any => "Any",
        })
    }
}

/// The types a parameter takes.
#[derive(Clone, Copy)]
enum Accepts {
    /// One type.
    Only(Type),
    /// A string or an integer.
    BytesOrInt,
    /// A string or an array.
    BytesOrArray,
    /// A Boolean, an integer or an address.
    Printable,
    /// The type of the first argument, which is a string or an array.
    LikeFirst,
}

/// What a function returns.
#[derive(Clone, Copy)]
enum Returns {
    Type(Type),
    FirstArgument,
}

/// The pattern a function's second argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatternKind {
    None,
    Regex,
    Wildcard,
}

/// The function of a name.
pub(crate) fn lookup(name: &str) -> Option<&'static Function> {
    ALL.iter().find(|function| function.name == name)
}

impl Function {
    /// Checks the next argument of a call that has `previous` ones.
    pub(crate) fn check_argument(&self, previous: &[Argument], next: &Argument) -> Result<(), ParseErrorKind> {
        let index = previous.len();
        let last = if self.repeats { self.params.last() } else { None };
        let Some(param) = self.params.get(index).or(last) else {
            return Err(ParseErrorKind::ArgumentCount { min: self.required, max: Some(self.params.len()) });
        };
        let is_literal = matches!(next, Argument::Literal(..));
        let actual = if is_literal { ArgumentKind::Literal } else { ArgumentKind::Field };
        if param.kind != ArgumentKind::Any && param.kind != actual {
            return Err(ParseErrorKind::ArgumentKind { index, expected: param.kind, actual });
        }
        if let Some(expected) = param.accepts.refuses(next.ty(), previous.first().map(Argument::ty)) {
            return Err(ParseErrorKind::ArgumentType { index, expected, actual: next.ty() });
        }
        match next {
            Argument::Literal(literal, _) => {
                (self.check)(index, literal).map_err(|message| ParseErrorKind::ArgumentValue { index, message })
            }
            Argument::Operand(_) | Argument::Logical(_) => Ok(()),
        }
    }

    /// Checks that a call with this many arguments has enough.
    pub(crate) fn check_count(&self, count: usize) -> Result<(), ParseErrorKind> {
        if count >= self.required {
            return Ok(());
        }
        let max = if self.repeats { None } else { Some(self.params.len()) };
        Err(ParseErrorKind::ArgumentCount { min: self.required, max })
    }

    /// The type of a call; `None` when it would be nested too deep.
    pub(crate) fn return_type(&self, arguments: &[Argument]) -> Option<Type> {
        let ty = match (self.returns, arguments.first()) {
            (Returns::Type(ty), _) => ty,
            (Returns::FirstArgument, first) => first?.ty(),
        };
        if arguments.first().is_some_and(Argument::is_mapped) { ty.array_of() } else { Some(ty) }
    }

    /// Computes a call.
    pub(crate) fn call<'v>(&self, arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
        (self.body)(arguments)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Accepts {
    /// What to expect instead of `actual`; `None` when it is fine.
    fn refuses(self, actual: Type, first: Option<Type>) -> Option<String> {
        let is_array = matches!(actual, Type::Array(_));
        let (is_fine, expected) = match (self, first) {
            (Self::Only(ty), _) => (actual == ty, ty.to_string()),
            (Self::BytesOrInt, _) => (matches!(actual, Type::Bytes | Type::Int), "Bytes or Int".to_owned()),
            (Self::LikeFirst, Some(first)) => (actual == first, first.to_string()),
            (Self::BytesOrArray | Self::LikeFirst, _) => {
                (is_array || actual == Type::Bytes, "Bytes or Array<_>".to_owned())
            }
            (Self::Printable, _) => (matches!(actual, Type::Bool | Type::Int | Type::Ip), "{Bool, Int, Ip}".to_owned()),
        };
        (!is_fine).then_some(expected)
    }
}
