//! Values: fields, constants, calls, and their indexes.

use super::cursor::{Fault, Parser};
use crate::ast::{Argument, Base, Call, CallPattern, Index, Literal, Logical, Operand};
use crate::error::ParseErrorKind;
use crate::functions::{self, Function, PatternKind};
use crate::pattern::{Regex, Wildcard};
use crate::scheme::{Field, why_unavailable};
use crate::types::Type;

impl<'s> Parser<'s> {
    /// A value and its indexes.
    pub(super) fn operand(&mut self) -> Result<Operand, Fault> {
        let start = self.at;
        let (base, mut ty) = self.base()?;
        let mut path = Vec::new();
        loop {
            let bracket = self.at;
            if !self.eat("[") {
                break;
            }
            self.skip_space();
            let index = self.index()?;
            self.skip_space();
            self.expect("]")?;
            ty = match (&index, ty) {
                (Index::Position(_) | Index::Each, Type::Array(element)) => *element,
                (Index::Key(_) | Index::Each, Type::Map(element)) => *element,
                _ => return Err(self.fault_from(bracket, ParseErrorKind::IndexAccess { index, ty })),
            };
            path.push(index);
        }
        Ok(Operand { base, path, ty, span: self.span_from(start) })
    }

    fn base(&mut self) -> Result<(Base, Type), Fault> {
        let start = self.at;
        let name = self.name()?;
        if let Some(field) = Field::from_name(name) {
            return Ok((Base::Field(field), field.ty()));
        }
        if let Some(function) = functions::lookup(name) {
            let call = self.call(function)?;
            let ty = call.ty;
            return Ok((Base::Call(Box::new(call)), ty));
        }
        match (name, why_unavailable(name)) {
            ("true", _) => Ok((Base::Constant(true), Type::Bool)),
            ("false", _) => Ok((Base::Constant(false), Type::Bool)),
            (_, Some(why)) => Err(self.fault_from(start, ParseErrorKind::UnavailableField { why })),
            (_, None) => Err(self.fault_from(start, ParseErrorKind::UnknownIdentifier)),
        }
    }

    /// Words of letters, digits and `_`, joined by dots.
    fn name(&mut self) -> Result<&'s str, Fault> {
        let start = self.at;
        loop {
            self.take_while("identifier character", |c| c.is_ascii_alphanumeric() || c == '_')?;
            if !self.eat(".") {
                return Ok(self.span_from(start).of(self.source));
            }
        }
    }

    fn index(&mut self) -> Result<Index, Fault> {
        if self.eat("*") {
            return Ok(Index::Each);
        }
        let all = self.rest_span();
        let literal_fault = |text| Fault { kind: ParseErrorKind::ExpectedLiteral(text), span: all };
        if self.rest().starts_with('"') {
            let literal = self.text()?;
            return String::from_utf8(literal.bytes.into())
                .map(|key| Index::Key(key.into()))
                .map_err(|_| literal_fault("expected utf8 string"));
        }
        let position = self.int().map_err(|_| literal_fault("expected quoted utf8 string or positive integer"))?;
        u32::try_from(position).map(Index::Position).map_err(|_| literal_fault("expected positive integer as index"))
    }

    /// A call from after the function's name.
    fn call(&mut self, function: &'static Function) -> Result<Call, Fault> {
        self.skip_space();
        self.nested(self.at, |parser| {
            parser.expect("(")?;
            parser.skip_space();
            let mut arguments: Vec<Argument> = Vec::new();
            while parser.peek().is_some_and(|next| next != ')') {
                let index = arguments.len();
                if index > 0 {
                    parser.expect(",")?;
                }
                parser.skip_space();
                let start = parser.at;
                let argument = parser.argument()?;
                if argument.is_mapped() && index > 0 {
                    return Err(parser.fault_from(start, ParseErrorKind::MapEach));
                }
                if let Err(kind) = function.check_argument(&arguments, &argument) {
                    let is_count = matches!(kind, ParseErrorKind::ArgumentCount { .. });
                    parser.at = if is_count { start } else { parser.at };
                    return Err(if is_count { parser.fault_here(kind) } else { parser.fault_from(start, kind) });
                }
                arguments.push(argument);
                parser.skip_space();
            }
            if let Err(kind) = function.check_count(arguments.len()) {
                return Err(parser.fault_here(kind));
            }
            parser.expect(")")?;
            let pattern = parser.call_pattern(function, &arguments)?;
            let ty = function.return_type(&arguments).ok_or_else(|| parser.fault_here(ParseErrorKind::MapEach))?;
            Ok(Call { function, arguments, pattern, ty })
        })
    }

    /// Compiles the pattern of a replacing function: its second argument.
    fn call_pattern(&self, function: &Function, arguments: &[Argument]) -> Result<Option<CallPattern>, Fault> {
        let Some(Argument::Literal(Literal::Bytes(literal), span)) = arguments.get(1) else { return Ok(None) };
        let compiled = match function.pattern {
            PatternKind::None => return Ok(None),
            PatternKind::Wildcard => {
                let flags = arguments.get(3);
                let strict =
                    matches!(flags, Some(Argument::Literal(Literal::Bytes(flags), _)) if *flags.bytes == *b"s");
                Wildcard::new(literal.clone(), strict, self.limits.wildcard_stars).map(CallPattern::Wildcard)
            }
            PatternKind::Regex => std::str::from_utf8(&literal.bytes)
                .map_err(|error| ParseErrorKind::Regex(error.to_string()))
                .and_then(|text| Regex::new(text, literal.notation, *span, self.limits.regex_bytes))
                .map(CallPattern::Regex),
        };
        compiled.map(Some).map_err(|kind| Fault { kind, span: *span })
    }

    /// An argument. The grammar is ambiguous here (`ab` may be a name or the start of a byte string); like wirefilter, look at
    /// up to three characters, and only when they do not decide try one reading after the other.
    pub(super) fn argument(&mut self) -> Result<Argument, Fault> {
        let rest = self.rest();
        let mut next = rest.chars();
        let (first, second, third) = (next.next(), next.next(), next.next());
        let is_raw_string = first == Some('r') && matches!(second, Some('#' | '"'));
        if first == Some('"') || is_raw_string {
            return self.literal_argument(Type::Bytes);
        }
        if first == Some('(') || rest.starts_with("not") || rest.starts_with('!') || self.is_quantifier_next() {
            return self.logical().map(Argument::Logical);
        }
        let is_name = |c: Option<char>| c.is_some_and(is_name_only);
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        if is_name(first) || is_word(first) && (is_name(second) || is_word(second) && is_name(third)) {
            let operand = self.operand()?;
            return self.operand_argument(operand);
        }
        if let Ok(operand) = self.attempt(Self::operand) {
            return self.operand_argument(operand);
        }
        // Bytes come after integers because two digits would be read as one byte.
        for ty in [Type::Ip, Type::Int, Type::Bytes] {
            if let Ok(argument) = self.attempt(|parser| parser.literal_argument(ty)) {
                return Ok(argument);
            }
        }
        Err(self.fault_here(ParseErrorKind::Unrecognised))
    }

    fn is_quantifier_next(&mut self) -> bool {
        let before = self.at;
        let is_next = self.quantifier().is_some();
        self.at = before;
        is_next
    }

    fn literal_argument(&mut self, ty: Type) -> Result<Argument, Fault> {
        let start = self.at;
        let literal = self.literal(ty)?;
        Ok(Argument::Literal(literal, self.span_from(start)))
    }

    fn operand_argument(&mut self, operand: Operand) -> Result<Argument, Fault> {
        if self.is_comparison_next() {
            return self.comparison(operand).map(|comparison| Argument::Logical(Logical::Compare(comparison)));
        }
        Ok(Argument::Operand(operand))
    }
}

/// A character that names may hold and hexadecimal numbers may not.
const fn is_name_only(c: char) -> bool {
    (c.is_ascii_alphanumeric() && !c.is_ascii_hexdigit()) || c == '_'
}
