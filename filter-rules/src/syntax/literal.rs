//! Literals: strings, integers, addresses, sets, list names and patterns.

use std::net::{AddrParseError, IpAddr};
use std::str::FromStr;

use cidr::IpCidr;
use cidr::errors::NetworkParseError;

use super::cursor::{Fault, Parser};
use crate::ast::{BytesLiteral, Literal, Notation, Set};
use crate::error::ParseErrorKind;
use crate::networks::AddressRange;
use crate::pattern::{Regex, Wildcard};
use crate::span::Span;
use crate::types::Type;

impl<'s> Parser<'s> {
    /// A literal of a scalar type other than Bool, which has none.
    pub(super) fn literal(&mut self, ty: Type) -> Result<Literal, Fault> {
        let start = self.at;
        match ty {
            Type::Bytes => self.bytes().map(Literal::Bytes),
            Type::Int => self.int().map(Literal::Int),
            Type::Ip => self.ip().map(Literal::Ip),
            Type::Bool | Type::Array(_) | Type::Map(_) => {
                Err(self.fault_from(start, ParseErrorKind::UnsupportedOperation { ty }))
            }
        }
    }

    /// `{ … }` with items of a scalar type other than Bool.
    pub(super) fn set(&mut self, ty: Type) -> Result<Set, Fault> {
        match ty {
            Type::Bytes => self.items(Self::bytes).map(Set::Bytes),
            Type::Int => self.items(Self::int_range).map(Set::Int),
            Type::Ip => self.items(Self::ip_range).map(Set::Ip),
            Type::Bool | Type::Array(_) | Type::Map(_) => {
                Err(self.fault_here(ParseErrorKind::UnsupportedOperation { ty }))
            }
        }
    }

    fn items<T>(&mut self, item: impl Fn(&mut Self) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
        self.expect("{")?;
        let mut items = Vec::new();
        loop {
            self.skip_space();
            if self.eat("}") {
                return Ok(items);
            }
            let start = self.at;
            items.push(item(self)?);
            let limit = self.limits.set_items;
            if items.len() > limit {
                return Err(self.fault_from(start, ParseErrorKind::SetItems { limit }));
            }
        }
    }

    /// A string in any notation.
    pub(super) fn bytes(&mut self) -> Result<BytesLiteral, Fault> {
        match self.peek() {
            Some('"' | 'r') => self.text(),
            Some(_) => self.hex_bytes(),
            None => Err(self.fault_here(ParseErrorKind::Unrecognised)),
        }
    }

    /// A quoted or raw string.
    pub(super) fn text(&mut self) -> Result<BytesLiteral, Fault> {
        let start = self.at;
        match self.peek() {
            Some('"') => {
                self.next_char();
                let bytes = self.quoted()?;
                Ok(BytesLiteral { bytes: bytes.into(), notation: Notation::Quoted, span: self.span_from(start) })
            }
            Some('r') => {
                self.next_char();
                let (text, hashes) = self.raw()?;
                Ok(BytesLiteral {
                    bytes: text.as_bytes().into(),
                    notation: Notation::Raw(hashes),
                    span: self.span_from(start),
                })
            }
            Some(_) => Err(self.fault_here(ParseErrorKind::Expected("\" or r"))),
            None => Err(self.fault_here(ParseErrorKind::Unrecognised)),
        }
    }

    /// A quoted string from after its opening quote.
    fn quoted(&mut self) -> Result<Vec<u8>, Fault> {
        let all = self.rest_span();
        let unterminated = || Fault { kind: ParseErrorKind::EndingQuote, span: all };
        let mut bytes = Vec::new();
        loop {
            match self.next_char().ok_or_else(unterminated)? {
                '"' => return Ok(bytes),
                '\\' => {
                    let start = self.at;
                    match self.next_char().ok_or_else(unterminated)? {
                        quote @ ('"' | '\\') => push_char(&mut bytes, quote),
                        'x' => bytes.push(self.byte(2, 16)?),
                        '0'..='7' => {
                            self.at = start;
                            bytes.push(self.byte(3, 8)?);
                        }
                        _ => return Err(self.fault_from(start, ParseErrorKind::Escape)),
                    }
                }
                other => push_char(&mut bytes, other),
            }
        }
    }

    /// A raw string from after its `r`, and the number of its `#`.
    fn raw(&mut self) -> Result<(&'s str, u8), Fault> {
        let all = self.rest_span();
        let rest = self.rest();
        let hashes = rest.len().saturating_sub(rest.trim_start_matches('#').len());
        let Ok(count) = u8::try_from(hashes) else {
            return Err(Fault { kind: ParseErrorKind::RawStringHashes, span: all });
        };
        self.at = self.at.saturating_add(hashes);
        if !self.eat("\"") {
            return Err(self.fault_here(ParseErrorKind::Expected("\" or #")));
        }
        let text = self.rest();
        let terminator = format!("\"{}", "#".repeat(hashes));
        let Some(end) = text.find(&terminator) else {
            return Err(Fault { kind: ParseErrorKind::EndingQuote, span: all });
        };
        self.at = self.at.saturating_add(end).saturating_add(terminator.len());
        Ok((text.get(..end).unwrap_or_default(), count))
    }

    /// `61:62:63`: at least two bytes in hex.
    fn hex_bytes(&mut self) -> Result<BytesLiteral, Fault> {
        let start = self.at;
        let mut bytes = vec![self.byte(2, 16)?];
        let separator = self.take(1)?;
        if !is_byte_separator(separator) {
            return Err(
                self.fault_from(self.at.saturating_sub(separator.len()), ParseErrorKind::Expected("byte separator"))
            );
        }
        loop {
            bytes.push(self.byte(2, 16)?);
            if !self.peek().is_some_and(|c| is_byte_separator(c.encode_utf8(&mut [0; 4]))) {
                return Ok(BytesLiteral { bytes: bytes.into(), notation: Notation::Hex, span: self.span_from(start) });
            }
            self.next_char();
        }
    }

    /// A byte of exactly this many digits.
    fn byte(&mut self, digits: usize, radix: u32) -> Result<u8, Fault> {
        let start = self.at;
        let digits = self.take(digits)?;
        u8::from_str_radix(digits, radix)
            .map_err(|error| self.fault_from(start, ParseErrorKind::Integer { error, radix }))
    }

    /// An integer: decimal, `0x…` hexadecimal, or octal with a leading `0`.
    pub(super) fn int(&mut self) -> Result<i64, Fault> {
        let is_hex = self.eat("0x");
        let start = self.at;
        let radix = if is_hex {
            16
        } else if self.peek() == Some('0') {
            8
        } else {
            self.eat("-");
            10
        };
        // Hexadecimal digits are read whatever the radix, so that the error covers all of what was meant as a number.
        self.take_while("digit", |c| c.is_ascii_hexdigit())?;
        i64::from_str_radix(self.span_from(start).of(self.source), radix)
            .map_err(|error| self.fault_from(start, ParseErrorKind::Integer { error, radix }))
    }

    fn int_range(&mut self) -> Result<(i64, i64), Fault> {
        let start = self.at;
        let first = self.int()?;
        let last = if self.eat("..") { self.int()? } else { first };
        if last < first {
            return Err(self.fault_from(start, ParseErrorKind::RangeBounds));
        }
        Ok((first, last))
    }

    fn ip(&mut self) -> Result<IpAddr, Fault> {
        let start = self.at;
        let text = self.address_text()?;
        parse_address(text, Span::new(start, self.at))
    }

    fn ip_range(&mut self) -> Result<AddressRange, Fault> {
        let start = self.at;
        let text = self.address_text()?;
        let span = self.span_from(start);
        let Some((first, last)) = text.split_once("..") else { return parse_network(text, span) };
        let first_end = start.saturating_add(first.len());
        let first = parse_address(first, Span::new(start, first_end))?;
        let last = parse_address(last, Span::new(first_end.saturating_add(2), span.end))?;
        AddressRange::new(first, last).ok_or(Fault { kind: ParseErrorKind::RangeBounds, span })
    }

    fn address_text(&mut self) -> Result<&'s str, Fault> {
        self.take_while("IP address character", |c| c.is_ascii_hexdigit() || matches!(c, ':' | '.' | '/'))
    }

    /// `$name`; the name without its `$`.
    pub(super) fn list_name(&mut self) -> Result<Box<str>, Fault> {
        self.expect("$")?;
        let all = self.rest_span();
        let rest = self.rest();
        let is_name = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '.');
        let name = rest.find(|c| !is_name(c)).and_then(|end| rest.get(..end)).unwrap_or(rest);
        if name.is_empty() || name.starts_with('.') || name.ends_with('.') {
            let shown = if name.is_empty() { rest.chars().take(1).collect() } else { name.to_owned() };
            return Err(Fault { kind: ParseErrorKind::ListName { name: shown }, span: all });
        }
        self.at = self.at.saturating_add(name.len());
        Ok(name.into())
    }

    /// The pattern after `matches`.
    pub(super) fn regex(&mut self) -> Result<Regex, Fault> {
        let start = self.at;
        let limit = self.limits.regex_bytes;
        match self.peek() {
            Some('"') => {
                self.next_char();
                let text_start = self.at;
                let pattern = self.quoted_regex()?;
                let text_span = Span::new(text_start, self.at.saturating_sub(1));
                Regex::new(&pattern, Notation::Quoted, self.span_from(start), limit)
                    .map_err(|kind| Fault { kind, span: text_span })
            }
            Some('r') => {
                self.next_char();
                let (pattern, hashes) = self.raw()?;
                Regex::new(pattern, Notation::Raw(hashes), self.span_from(start), limit)
                    .map_err(|kind| self.fault_here(kind))
            }
            Some(_) => Err(self.fault_here(ParseErrorKind::Expected("\" or r"))),
            None => Err(self.fault_here(ParseErrorKind::Unrecognised)),
        }
    }

    /// A quoted regular expression from after its opening quote. Backslashes are kept for the regex engine; only `\"` outside
    /// a class means `"`, and a `"` inside a class does not end the literal.
    fn quoted_regex(&mut self) -> Result<String, Fault> {
        let all = self.rest_span();
        let mut pattern = String::new();
        let mut in_class = false;
        loop {
            match self.next_char().ok_or(Fault { kind: ParseErrorKind::EndingQuote, span: all })? {
                '\\' => {
                    if let Some(escaped) = self.next_char() {
                        if in_class || escaped != '"' {
                            pattern.push('\\');
                        }
                        pattern.push(escaped);
                    }
                }
                '"' if !in_class => return Ok(pattern),
                other => {
                    match other {
                        '[' => in_class = true,
                        ']' => in_class = false,
                        _ => {}
                    }
                    pattern.push(other);
                }
            }
        }
    }

    /// The pattern after `wildcard`.
    pub(super) fn wildcard(&mut self, strict: bool) -> Result<Wildcard, Fault> {
        let all = self.rest_span();
        let literal = self.text()?;
        Wildcard::new(literal, strict, self.limits.wildcard_stars).map_err(|kind| Fault { kind, span: all })
    }
}

fn push_char(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn is_byte_separator(text: &str) -> bool {
    matches!(text, ":" | "-" | ".")
}

fn parse_address(text: &str, span: Span) -> Result<IpAddr, Fault> {
    IpAddr::from_str(text).map_err(|error| Fault {
        kind: ParseErrorKind::Network(NetworkParseError::AddrParseError(error).to_string()),
        span,
    })
}

fn parse_network(text: &str, span: Span) -> Result<AddressRange, Fault> {
    cidr::parsers::parse_cidr::<IpCidr, _>(text, short_address).map(AddressRange::from).map_err(|error| {
        let slash = span.start.saturating_add(text.find('/').unwrap_or(text.len()));
        let span = match error {
            NetworkParseError::AddrParseError(_) | NetworkParseError::InvalidHostPart => Span::new(span.start, slash),
            NetworkParseError::NetworkLengthParseError(_) => Span::new(slash.saturating_add(1), span.end),
            NetworkParseError::NetworkLengthTooLongError(_) => span,
        };
        Fault { kind: ParseErrorKind::Network(error.to_string()), span }
    })
}

/// An address, or as wirefilter has it one with trailing octets left out: `10` is the single address 10.0.0.0, and `10.1/16` is
/// 10.1.0.0/16.
fn short_address(text: &str) -> Result<IpAddr, AddrParseError> {
    IpAddr::from_str(text).or_else(|error| {
        let short = cidr::parsers::parse_short_ipv4_address_as_cidr(text);
        short.map(|network| IpAddr::V4(network.first_address())).map_err(|_| error)
    })
}
