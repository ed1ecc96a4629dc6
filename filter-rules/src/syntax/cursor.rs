//! A position in the source and the smallest steps from it.

use crate::error::ParseErrorKind;
use crate::limits::Limits;
use crate::span::Span;

/// An error and where it is.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: ParseErrorKind,
    pub(super) span: Span,
}

/// The parser's state: how far it has read and how deep it is.
pub(super) struct Parser<'s> {
    /// The source without trailing white space.
    pub(super) source: &'s str,
    /// Offset of the next byte; always at a character boundary.
    pub(super) at: usize,
    pub(super) limits: &'s Limits,
    depth: u16,
}

impl<'s> Parser<'s> {
    pub(super) fn new(source: &'s str, limits: &'s Limits) -> Self {
        let end = source.trim_end().len();
        let at = source.len().saturating_sub(source.trim_start().len()).min(end);
        Self { source: source.get(..end).unwrap_or(source), at, limits, depth: 0 }
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    /// The span of what has not been read.
    pub(super) const fn rest_span(&self) -> Span {
        Span::new(self.at, self.source.len())
    }

    /// The span from `start` up to here.
    pub(super) const fn span_from(&self, start: usize) -> Span {
        Span::new(start, self.at)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Reads the next character.
    pub(super) fn next_char(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at = self.at.saturating_add(next.len_utf8());
        Some(next)
    }

    /// Reads `literal` if it is next.
    pub(super) fn eat(&mut self, literal: &str) -> bool {
        let is_next = self.rest().starts_with(literal);
        if is_next {
            self.at = self.at.saturating_add(literal.len());
        }
        is_next
    }

    /// Reads `literal`, which must be next.
    pub(super) fn expect(&mut self, literal: &'static str) -> Result<(), Fault> {
        if self.eat(literal) { Ok(()) } else { Err(self.fault_here(ParseErrorKind::ExpectedLiteral(literal))) }
    }

    /// Reads the characters `wanted` accepts; at least one, named `what` in the error.
    pub(super) fn take_while(&mut self, what: &'static str, wanted: impl Fn(char) -> bool) -> Result<&'s str, Fault> {
        let rest = self.rest();
        let taken = rest.find(|c| !wanted(c)).and_then(|end| rest.get(..end)).unwrap_or(rest);
        if taken.is_empty() {
            return Err(self.fault_here(ParseErrorKind::Expected(what)));
        }
        self.at = self.at.saturating_add(taken.len());
        Ok(taken)
    }

    /// Reads exactly this many characters.
    pub(super) fn take(&mut self, expected: usize) -> Result<&'s str, Fault> {
        let rest = self.rest();
        let mut ends = rest.char_indices().map(|(start, c)| start.saturating_add(c.len_utf8()));
        let mut end = 0;
        for found in 0..expected {
            end = ends.next().ok_or_else(|| self.fault_here(ParseErrorKind::Characters { expected, found }))?;
        }
        self.at = self.at.saturating_add(end);
        Ok(rest.get(..end).unwrap_or_default())
    }

    /// White space is SP, CR and LF as for wirefilter, and TAB too.
    pub(super) fn skip_space(&mut self) {
        let rest = self.rest();
        let trimmed = rest.trim_start_matches([' ', '\r', '\n', '\t']);
        self.at = self.at.saturating_add(rest.len().saturating_sub(trimmed.len()));
    }

    /// Runs `parse` one level deeper. `from` is where an error about the depth points to.
    pub(super) fn nested<T>(
        &mut self,
        from: usize,
        parse: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let limit = self.limits.nesting;
        if self.depth >= limit {
            return Err(Fault { kind: ParseErrorKind::Nesting { limit }, span: Span::new(from, self.source.len()) });
        }
        self.depth = self.depth.saturating_add(1);
        let parsed = parse(self);
        self.depth = self.depth.saturating_sub(1);
        parsed
    }

    /// Runs `parse` and goes back to where it started when it fails.
    pub(super) fn attempt<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let start = self.at;
        let parsed = parse(self);
        if parsed.is_err() {
            self.at = start;
        }
        parsed
    }

    /// An error about everything that has not been read.
    pub(super) const fn fault_here(&self, kind: ParseErrorKind) -> Fault {
        Fault { kind, span: self.rest_span() }
    }

    /// An error about what was read since `start`.
    pub(super) const fn fault_from(&self, start: usize, kind: ParseErrorKind) -> Fault {
        Fault { kind, span: self.span_from(start) }
    }
}
