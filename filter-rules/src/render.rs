//! Errors and lints for people at a terminal: the place, what was expected there, and what may have been meant.

use std::fmt::Write as _;

use crate::error::{ParseError, ParseErrorKind, closest_name};
use crate::lint::Lint;
use crate::span::Span;

impl ParseError {
    /// The error with its place drawn (columns count characters here, so carets stand under what they mean) and, where
    /// there is one, a hint.
    #[must_use]
    pub fn render(&self) -> String {
        let start = self.column().saturating_sub(1);
        let mut text = format!("error: {}\n", self.kind().to_string().trim_end());
        draw(&mut text, self.line(), self.line_text(), Span::new(start, start.saturating_add(self.carets())));
        if let Some(hint) = self.hint() {
            // Writing to a string cannot fail.
            let _ok = writeln!(text, "   = help: {hint}");
        }
        text
    }

    /// What may have been meant, with an example.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let at = self.line_text().get(self.column().saturating_sub(1)..).unwrap_or_default();
        let before = self.line_text().get(..self.column().saturating_sub(1)).unwrap_or_default();
        Some(match self.kind() {
            ParseErrorKind::UnknownIdentifier => {
                let name = at.get(..self.carets()).unwrap_or(at);
                match closest_name(name) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "run `mtls-filter expr fields` for the list of fields".to_owned(),
                }
            }
            ParseErrorKind::Expected("ComparisonOp") => {
                "compare the value, for example `http.host eq \"example.com\"`; only Boolean fields stand by themselves".to_owned()
            }
            ParseErrorKind::Expected("identifier character") => "an expression such as `ssl` should stand here".to_owned(),
            ParseErrorKind::Expected("digit" | "IP address character") if at.starts_with(',') => comma_hint(),
            ParseErrorKind::Integer { .. } | ParseErrorKind::Characters { .. } if is_in_escape(before) => {
                "bytes are written as `\\x` and two hexadecimal digits, or as a backslash and three octal ones up to 377".to_owned()
            }
            ParseErrorKind::Integer { radix: 16, .. } if at.starts_with(',') => comma_hint(),
            ParseErrorKind::Integer { radix: 16, .. } | ParseErrorKind::Characters { .. } => {
                "strings stand in double quotes, for example `http.host eq \"example.com\"`".to_owned()
            }
            ParseErrorKind::Integer { radix: 8, .. } => "a number with a leading 0 is octal; leave the 0 out".to_owned(),
            ParseErrorKind::ExpectedLiteral("{") => {
                "`in` takes a set in braces, for example `{\"a\" \"b\"}`, or a list, for example `$name`".to_owned()
            }
            ParseErrorKind::ExpectedLiteral(")") => {
                "close the parenthesis; inside `any(…)`, `all(…)` and calls, put `and` and `or` in parentheses of their own".to_owned()
            }
            ParseErrorKind::Network(_) if before.trim_end().ends_with("==") || before.trim_end().ends_with("eq") => {
                "a network belongs in a set: `ip.src in {10.0.0.0/8}`".to_owned()
            }
            ParseErrorKind::Network(message) if message.starts_with("host part") => {
                "the bits after the prefix must be 0, for example `10.0.0.0/8`".to_owned()
            }
            ParseErrorKind::Unrecognised => unrecognised_hint(at.trim_start())?,
            ParseErrorKind::Escape => "escape a backslash as `\\\\`, or write a raw string: r\"…\"".to_owned(),
            ParseErrorKind::ArgumentCount { min, max } => match max {
                Some(max) if max == min => format!("it takes {min}"),
                Some(max) => format!("it takes {min} to {max}"),
                None => format!("it takes {min} or more"),
            },
            ParseErrorKind::ListName { .. } => "list names are made of a-z, 0-9 and `_`".to_owned(),
            _ => return None,
        })
    }
}

/// Whether a string literal's escape has begun just before.
fn is_in_escape(before: &str) -> bool {
    before.ends_with('\\') || before.ends_with("\\x")
}

fn comma_hint() -> String {
    "items of a set are separated by spaces, not commas: `{1 2}`".to_owned()
}

fn unrecognised_hint(at: &str) -> Option<String> {
    let word: String = at.chars().take_while(char::is_ascii_alphabetic).collect();
    let lower = word.to_ascii_lowercase();
    if matches!(lower.as_str(), "and" | "or" | "xor" | "not") && lower != word {
        return Some(format!("operators are in lower case: `{lower}`"));
    }
    if at.starts_with("==") || at.starts_with("!=") || at.starts_with("eq") || at.starts_with("ne") {
        return Some("a Boolean stands by itself: `ssl`, or `not ssl`".to_owned());
    }
    if at.starts_with(')') {
        return Some("there is no parenthesis open here".to_owned());
    }
    (!word.is_empty()).then(|| "put `and` or `or` between two comparisons".to_owned())
}

impl Lint {
    /// The warning with its place in the rule's source drawn.
    #[must_use]
    pub fn render(&self, source: &str) -> String {
        let mut text = format!("warning: {}\n", self.kind);
        if self.span != Span::default() {
            let before = source.get(..self.span.start).unwrap_or_default();
            let line_start = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
            let line_number = before.matches('\n').count().saturating_add(1);
            let line = source.get(line_start..).unwrap_or_default().split('\n').next().unwrap_or_default();
            let start = self.span.start.saturating_sub(line_start);
            let end = self.span.end.saturating_sub(line_start).min(line.len());
            draw(&mut text, line_number, line, Span::new(start, end));
        }
        text
    }
}

/// Draws a line and carets under a span of its bytes.
fn draw(text: &mut String, number: usize, line: &str, span: Span) {
    let margin = " ".repeat(number.to_string().len());
    let chars = |bytes: &str| bytes.chars().count();
    let indent: String =
        line.get(..span.start).unwrap_or(line).chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let carets = "^".repeat(chars(span.of(line)).max(1));
    // Writing to a string cannot fail.
    let _ok = write!(text, "{margin} |\n{number} | {line}\n{margin} | {indent}{carets}\n");
}
