//! What can be wrong with a source, and the text that says so.
//!
//! `Display` is wirefilter's, byte for byte, because people search for that text and tools match on it. A friendlier text for
//! terminals is [`ParseError::render`].

use std::fmt;
use std::num::ParseIntError;

use crate::ast::Index;
use crate::functions::ArgumentKind;
use crate::scheme::Field;
use crate::span::Span;
use crate::types::Type;

/// Why a source is not an expression, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct ParseError {
    kind: ParseErrorKind,
    span: Span,
    line: usize,
    column: usize,
    line_text: Box<str>,
    carets: usize,
}

impl ParseError {
    pub(crate) fn new(source: &str, kind: ParseErrorKind, span: Span) -> Self {
        let before = source.get(..span.start).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
        let line_text = source.get(line_start..).unwrap_or_default().split('\n').next().unwrap_or_default();
        let column = span.start.saturating_sub(line_start);
        let carets = span.end.saturating_sub(span.start).min(line_text.len().saturating_sub(column)).max(1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count();
        Self { kind, span, line, column, line_text: line_text.into(), carets }
    }

    /// A source too long to be looked at; only its beginning is kept for the message.
    pub(crate) fn too_long(source: &str, limit: usize) -> Self {
        const SHOWN_CHARS: usize = 64;
        let kind = ParseErrorKind::ExpressionTooLong { actual: source.len(), limit };
        let line = source.split('\n').next().unwrap_or_default();
        let shown = line.char_indices().nth(SHOWN_CHARS).and_then(|(end, _)| line.get(..end)).unwrap_or(line);
        let span = Span::new(0, source.len());
        Self { kind, span, line: 0, column: 0, line_text: shown.into(), carets: shown.len().max(1) }
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> &ParseErrorKind {
        &self.kind
    }

    /// The bytes of the source it is about.
    #[must_use]
    pub const fn span(&self) -> Span {
        self.span
    }

    /// Line, counted from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line.saturating_add(1)
    }

    /// Column in bytes, counted from 1.
    #[must_use]
    pub const fn column(&self) -> usize {
        self.column.saturating_add(1)
    }

    /// The text of the line it is on.
    #[must_use]
    pub fn line_text(&self) -> &str {
        &self.line_text
    }

    /// How many bytes of that line it covers, at least one.
    pub(crate) const fn carets(&self) -> usize {
        self.carets
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Filter parsing error ({}:{}):", self.line(), self.column())?;
        writeln!(f, "{}", self.line_text)?;
        writeln!(f, "{:column$}{:^<carets$} {}", "", "", self.kind, column = self.column, carets = self.carets)
    }
}

impl std::error::Error for ParseError {}

/// What is wrong with a source.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Something of a kind, such as a digit or an operator, should stand here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// This very text should stand here.
    #[error("expected literal {0:?}")]
    ExpectedLiteral(&'static str),
    /// Digits that are no integer of the radix.
    #[error("{error} while parsing with radix {radix}")]
    Integer {
        /// What the number parser says.
        error: ParseIntError,
        /// 8, 10 or 16.
        radix: u32,
    },
    /// Not an address or network.
    #[error("{0}")]
    Network(String),
    /// A regular expression that does not compile.
    #[error("{0}")]
    Regex(String),
    /// A wildcard pattern with an escape other than `\*` and `\\`.
    #[error("invalid wildcard: wildcard syntax error at position {position}: {message}")]
    WildcardSyntax {
        /// Offset in the pattern.
        position: usize,
        /// What is wrong there.
        message: &'static str,
    },
    /// A wildcard pattern with more stars than the limit.
    #[error("wildcard has {count} star metacharacters, but the limit is {limit}")]
    WildcardStars {
        /// Unescaped stars of the pattern.
        count: usize,
        /// [`crate::limits::WILDCARD_STARS_MAX`]
        limit: usize,
    },
    /// A wildcard pattern with `**`.
    #[error("wildcard contains a double star")]
    WildcardDoubleStar,
    /// A backslash in a quoted string before something that cannot be escaped.
    #[error("expected \", xHH or OOO after \\")]
    Escape,
    /// A raw string with too many `#`.
    #[error("invalid raw string hash count, there can't be more than 255 #s")]
    RawStringHashes,
    /// A string that does not end.
    #[error("could not find an ending quote")]
    EndingQuote,
    /// The source ends inside an escape or a byte.
    #[error("expected {expected} characters, but found {found}")]
    Characters {
        /// How many are needed.
        expected: usize,
        /// How many are left.
        found: usize,
    },
    /// Neither a field nor a function.
    #[error("unknown identifier")]
    UnknownIdentifier,
    /// A field Cloudflare has and this filter cannot know.
    #[error("field is not available here: {why}")]
    UnavailableField {
        /// The reason.
        why: &'static str,
    },
    /// An operator that does not fit the type of the value before it.
    #[error("cannot perform this operation on type {ty}")]
    UnsupportedOperation {
        /// The type of the value.
        ty: Type,
    },
    /// A range whose end is before its start, or of both address families.
    #[error("incompatible range bounds")]
    RangeBounds,
    /// Something after the end of the expression.
    #[error("unrecognised input")]
    Unrecognised,
    /// A call with too few or too many arguments.
    #[error("invalid number of arguments")]
    ArgumentCount {
        /// The fewest it takes.
        min: usize,
        /// The most it takes; `None` for any number.
        max: Option<usize>,
    },
    /// A literal where a field must stand, or the reverse.
    #[error("invalid kind of argument #{index}: expected argument of kind {expected}, but got {actual}")]
    ArgumentKind {
        /// Position of the argument, counted from 0.
        index: usize,
        /// What must stand there.
        expected: ArgumentKind,
        /// What stands there.
        actual: ArgumentKind,
    },
    /// An argument of another type than the function takes.
    #[error("invalid type of argument #{index}: expected value of type {expected}, but got {actual}")]
    ArgumentType {
        /// Position of the argument, counted from 0.
        index: usize,
        /// The types it may have.
        expected: String,
        /// The type it has.
        actual: Type,
    },
    /// A literal argument with a value the function cannot use.
    #[error("invalid value of argument #{index}: invalid argument: {message:?}")]
    ArgumentValue {
        /// Position of the argument, counted from 0.
        index: usize,
        /// What the function asks for.
        message: String,
    },
    /// An index that does not fit the type before it.
    #[error("cannot access index {} for type {ty}", describe_index(.index))]
    IndexAccess {
        /// The index.
        index: Index,
        /// The type it was applied to.
        ty: Type,
    },
    /// An expression of one type where another must stand.
    #[error("expected value of type {expected}, but got {actual}")]
    TypeMismatch {
        /// The type that must stand there.
        expected: Type,
        /// The type that stands there.
        actual: Type,
    },
    /// `[*]` where it cannot stand: only the first argument of a call may be mapped.
    #[error("invalid use of map each access operator")]
    MapEach,
    /// Not the name of a list.
    #[error("invalid list name {name:?}")]
    ListName {
        /// The name as far as it was read.
        name: String,
    },
    /// Too many levels of parentheses, `not` and calls.
    #[error("maximum nesting depth exceeded (limit: {limit})")]
    Nesting {
        /// [`crate::limits::NESTING_MAX`]
        limit: u16,
    },
    /// A longer source than the limit.
    #[error("expression is {actual} bytes long, but the limit is {limit}")]
    ExpressionTooLong {
        /// Bytes of the source.
        actual: usize,
        /// [`crate::limits::EXPRESSION_BYTES_MAX`]
        limit: usize,
    },
    /// More items in a set than the limit.
    #[error("set has more items than the limit of {limit}")]
    SetItems {
        /// [`crate::limits::SET_ITEMS_MAX`]
        limit: usize,
    },
}

/// An index in plain words.
fn describe_index(index: &Index) -> String {
    match index {
        Index::Position(position) => position.to_string(),
        Index::Key(key) => format!("{key:?}"),
        Index::Each => "*".to_owned(),
    }
}

/// The name closest to `name` among fields and functions, when one is close enough to be meant.
pub(crate) fn closest_name(name: &str) -> Option<&'static str> {
    // Nothing longer is close to any name, and comparing it would take long.
    const NAME_BYTES_MAX: usize = 64;
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let names =
        Field::ALL.iter().map(|spec| spec.name).chain(crate::functions::ALL.iter().map(|function| function.name));
    let allowed = (name.len() / 4).clamp(1, 6);
    names
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in bytes; names are ASCII.
fn edit_distance(left: &str, right: &str) -> usize {
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.bytes().enumerate() {
        let mut current = vec![row.saturating_add(1)];
        let steps = right.bytes().zip(previous.iter().zip(previous.iter().skip(1)));
        for (b, (diagonal, above)) in steps {
            let substituted = diagonal.saturating_add(usize::from(a != b));
            let inserted = current.last().copied().unwrap_or_default().saturating_add(1);
            current.push(substituted.min(inserted).min(above.saturating_add(1)));
        }
        previous = current;
    }
    previous.last().copied().unwrap_or_default()
}
