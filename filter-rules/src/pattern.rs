//! Patterns: regular expressions and wildcards, compiled when they are parsed.

use std::fmt;

use aho_corasick::AhoCorasick;
use memchr::memmem;
use regex_automata::meta;
use regex_automata::util::syntax;

use crate::ast::{BytesLiteral, Notation};
use crate::error::ParseErrorKind;
use crate::limits::REGEX_CACHE_BYTES_MAX;
use crate::span::Span;

/// A regular expression: bytes, not Unicode, unanchored, in time linear in what it searches.
#[derive(Clone)]
pub struct Regex {
    pattern: Box<str>,
    engine: meta::Regex,
    pub(crate) notation: Notation,
    span: Span,
}

impl Regex {
    /// Compiles `pattern`, refusing what would take more than `limit` bytes.
    pub(crate) fn new(pattern: &str, notation: Notation, span: Span, limit: usize) -> Result<Self, ParseErrorKind> {
        // As the `regex` crate sets it up, without the automata that cost memory up front: they were measured to bring nothing.
        let config = meta::Config::new()
            .utf8_empty(false)
            .dfa(false)
            .onepass(false)
            .nfa_size_limit(Some(limit))
            .hybrid_cache_capacity(REGEX_CACHE_BYTES_MAX);
        let syntax = syntax::Config::new().unicode(false).utf8(false);
        let built = meta::Regex::builder().configure(config).syntax(syntax).build(pattern);
        let engine = built.map_err(|error| {
            ParseErrorKind::Regex(match (error.size_limit(), error.syntax_error()) {
                (Some(limit), _) => format!("Compiled regex exceeds size limit of {limit} bytes."),
                (None, Some(syntax)) => syntax.to_string(),
                (None, None) => error.to_string(),
            })
        })?;
        Ok(Self { pattern: pattern.into(), engine, notation, span })
    }

    /// The pattern as the regex engine reads it.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The literal in the source, its quotes included.
    #[must_use]
    pub const fn span(&self) -> Span {
        self.span
    }

    /// Whether the pattern occurs in `haystack`.
    #[must_use]
    pub fn is_match(&self, haystack: &[u8]) -> bool {
        self.engine.is_match(haystack)
    }

    pub(crate) const fn engine(&self) -> &meta::Regex {
        &self.engine
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Regex").field(&self.pattern).finish()
    }
}

/// A wildcard pattern: `*` stands for any bytes, the rest for itself, and the whole value must match.
#[derive(Clone, Debug)]
pub struct Wildcard {
    /// The pattern as written.
    pub literal: BytesLiteral,
    /// `strict wildcard`: case matters.
    pub strict: bool,
    /// The literal parts between stars; one part when there is no star.
    parts: Vec<Part>,
}

/// A literal part of a wildcard.
#[derive(Clone, Debug)]
struct Part {
    bytes: Box<[u8]>,
    searcher: Searcher,
}

/// Finds a part in time linear in the haystack, whatever both hold.
#[derive(Clone, Debug)]
enum Searcher {
    Exact(Box<memmem::Finder<'static>>),
    IgnoringCase(AhoCorasick),
}

impl Wildcard {
    /// Compiles a pattern with at most `stars_max` stars.
    pub(crate) fn new(literal: BytesLiteral, strict: bool, stars_max: usize) -> Result<Self, ParseErrorKind> {
        let pieces = split_at_stars(&literal.bytes)?;
        let count = pieces.len().saturating_sub(1);
        if count > stars_max {
            return Err(ParseErrorKind::WildcardStars { count, limit: stars_max });
        }
        let inner = pieces.get(1..count).unwrap_or_default();
        if inner.iter().any(Vec::is_empty) {
            return Err(ParseErrorKind::WildcardDoubleStar);
        }
        let parts = pieces.into_iter().map(|bytes| Part::new(bytes, strict)).collect::<Result<_, _>>()?;
        Ok(Self { literal, strict, parts })
    }

    /// Whether the whole of `value` matches.
    #[must_use]
    pub fn is_match(&self, value: &[u8]) -> bool {
        self.walk(value, &mut |_, _| {})
    }

    /// What each star stands for in `value`, earlier stars as short as possible; `None` when it does not match.
    #[must_use]
    pub fn captures<'v>(&self, value: &'v [u8]) -> Option<Vec<&'v [u8]>> {
        let mut captures = Vec::with_capacity(self.parts.len());
        let matched = self.walk(value, &mut |start, end| captures.push(value.get(start..end).unwrap_or_default()));
        matched.then_some(captures)
    }

    /// Matches, telling `star` the range each star takes.
    fn walk(&self, value: &[u8], star: &mut dyn FnMut(usize, usize)) -> bool {
        let Some((first, rest)) = self.parts.split_first() else { return value.is_empty() };
        let Some((last, middle)) = rest.split_last() else { return first.is_equal(value, self.strict) };
        let tail_start = value.len().saturating_sub(last.bytes.len());
        let mut at = first.bytes.len();
        let has_ends = at <= tail_start
            && value.get(..at).is_some_and(|head| first.is_equal(head, self.strict))
            && value.get(tail_start..).is_some_and(|tail| last.is_equal(tail, self.strict));
        if !has_ends {
            return false;
        }
        for part in middle {
            let Some(found) = value.get(at..tail_start).and_then(|rest| part.find(rest)) else { return false };
            star(at, at.saturating_add(found));
            at = at.saturating_add(found).saturating_add(part.bytes.len());
        }
        star(at, tail_start);
        true
    }
}

impl Part {
    fn new(bytes: Vec<u8>, strict: bool) -> Result<Self, ParseErrorKind> {
        let searcher = if strict {
            Searcher::Exact(Box::new(memmem::Finder::new(&bytes).into_owned()))
        } else {
            let built = AhoCorasick::builder().ascii_case_insensitive(true).build([&bytes]);
            Searcher::IgnoringCase(built.map_err(|error| ParseErrorKind::Regex(error.to_string()))?)
        };
        Ok(Self { bytes: bytes.into(), searcher })
    }

    fn is_equal(&self, value: &[u8], strict: bool) -> bool {
        if strict { *self.bytes == *value } else { self.bytes.eq_ignore_ascii_case(value) }
    }

    fn find(&self, value: &[u8]) -> Option<usize> {
        match &self.searcher {
            Searcher::Exact(finder) => finder.find(value),
            Searcher::IgnoringCase(automaton) => automaton.find(value).map(|found| found.start()),
        }
    }
}

/// The unescaped text before, between and after the stars of a pattern.
fn split_at_stars(pattern: &[u8]) -> Result<Vec<Vec<u8>>, ParseErrorKind> {
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    let mut bytes = pattern.iter().enumerate();
    while let Some((position, byte)) = bytes.next() {
        match byte {
            b'*' => pieces.push(std::mem::take(&mut piece)),
            b'\\' => match bytes.next() {
                Some((_, escaped @ (b'*' | b'\\'))) => piece.push(*escaped),
                Some(_) => return Err(ParseErrorKind::WildcardSyntax { position, message: "invalid escape sequence" }),
                None => {
                    let message = "incomplete escape sequence at the end of the wildcard";
                    return Err(ParseErrorKind::WildcardSyntax { position, message });
                }
            },
            other => piece.push(*other),
        }
    }
    pieces.push(piece);
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wildcard(pattern: &str, strict: bool) -> Result<Wildcard, ParseErrorKind> {
        let literal =
            BytesLiteral { bytes: pattern.as_bytes().into(), notation: Notation::Quoted, span: Span::default() };
        Wildcard::new(literal, strict, 4)
    }

    #[test]
    fn wildcards_match_the_whole_value() {
        for (pattern, value, expected) in [
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("a", "A", true),
            ("a", "ab", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "a", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*b*", "abc", true),
            ("*b*", "ac", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*bc*c", "abc", false),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
            (r"a\\*", r"a\b", true),
            ("/API/*", "/api/users", true),
        ] {
            assert_eq!(wildcard(pattern, false).unwrap().is_match(value.as_bytes()), expected, "{pattern} {value}");
        }
        assert!(!wildcard("/API/*", true).unwrap().is_match(b"/api/users"));
        assert!(wildcard("/api/*/x", true).unwrap().is_match(b"/api/users/x"));
    }

    #[test]
    fn earlier_stars_capture_as_little_as_possible() {
        let captures =
            |pattern: &str, value: &'static str| wildcard(pattern, false).unwrap().captures(value.as_bytes());
        assert_eq!(captures("*/*", "a/b/c"), Some(vec![&b"a"[..], b"b/c"]));
        assert_eq!(captures("a", "a"), Some(vec![]));
        assert_eq!(captures("a*", "b"), None);
    }

    #[test]
    fn bad_wildcards_are_refused() {
        assert_eq!(wildcard("a**b", false).unwrap_err(), ParseErrorKind::WildcardDoubleStar);
        assert!(wildcard("*a*b*c*", false).is_ok(), "at the limit");
        assert_eq!(wildcard("*a*b*c*d*", false).unwrap_err(), ParseErrorKind::WildcardStars { count: 5, limit: 4 });
        assert!(matches!(wildcard(r"a\b", false), Err(ParseErrorKind::WildcardSyntax { position: 1, .. })));
        assert!(matches!(wildcard(r"a\", false), Err(ParseErrorKind::WildcardSyntax { position: 1, .. })));
    }

    #[test]
    fn regexes_are_of_bytes_and_bounded() {
        let regex = |pattern: &str| Regex::new(pattern, Notation::Quoted, Span::default(), 1 << 16);
        assert!(regex("^/a").unwrap().is_match(b"/ab"));
        assert!(regex(r"\xff").unwrap().is_match(b"a\xffb"), "not Unicode");
        assert_eq!(
            regex("a{1000}{1000}").unwrap_err(),
            ParseErrorKind::Regex("Compiled regex exceeds size limit of 65536 bytes.".to_owned())
        );
        assert!(matches!(regex("("), Err(ParseErrorKind::Regex(_))));
    }
}
