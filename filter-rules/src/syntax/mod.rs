//! From source to typed tree: a parser without a separate lexer, because wirefilter's grammar has none. There are no word
//! boundaries (`nota` is `not a`), and what a literal looks like depends on the type of the value before its operator.

mod cursor;
mod literal;
mod logical;
mod operand;

use cursor::Parser;

use crate::ast::Logical;
use crate::error::{ParseError, ParseErrorKind};
use crate::limits::Limits;
use crate::types::Type;

/// Parses and checks a whole source.
pub(crate) fn parse(source: &str, limits: &Limits) -> Result<Logical, ParseError> {
    if source.len() > limits.expression_bytes {
        return Err(ParseError::too_long(source, limits.expression_bytes));
    }
    let mut parser = Parser::new(source, limits);
    let parsed = parser.logical().and_then(|root| match root.ty() {
        Type::Bool if parser.is_at_end() => Ok(root),
        Type::Bool => Err(parser.fault_here(ParseErrorKind::Unrecognised)),
        actual => Err(parser.fault_here(ParseErrorKind::TypeMismatch { expected: Type::Bool, actual })),
    });
    parsed.map_err(|fault| ParseError::new(source, fault.kind, fault.span))
}
