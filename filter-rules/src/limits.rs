//! Every bound of the language, by name. Nothing an operator writes can grow past one of these.

/// Bytes of an expression (Cloudflare's own limit).
pub const EXPRESSION_BYTES_MAX: usize = 4_096;
/// Parentheses, `not`, quantifiers and calls around one another (wirefilter's default).
pub const NESTING_MAX: u16 = 128;
/// Distinct regular expressions of a rule set.
pub const REGEXES_MAX: usize = 64;
/// Bytes one compiled regular expression may take, and all of a rule set together.
pub const REGEX_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Bytes a regular expression's lazily built automaton may cache, per worker.
pub const REGEX_CACHE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Unescaped `*` of a wildcard pattern.
pub const WILDCARD_STARS_MAX: usize = 16;
/// Items of an inline set, `{…}`.
pub const SET_ITEMS_MAX: usize = 10_000;
/// Rules of a rule set.
pub const RULES_MAX: usize = 1_000;
/// Items of a list, `$name`.
pub const LIST_ITEMS_MAX: usize = 100_000;
/// Bytes of a list's name.
pub const LIST_NAME_BYTES_MAX: usize = 50;
/// Bytes of a custom block body.
pub const BLOCK_BODY_BYTES_MAX: usize = 2_048;
/// The lowest and highest status of a custom block response.
pub const BLOCK_STATUS_RANGE: std::ops::RangeInclusive<u16> = 400..=499;
/// Pieces `split` may make.
pub const SPLIT_PIECES_MAX: i64 = 128;
/// `${n}` references in a replacement of `regex_replace` or `wildcard_replace`.
pub const REPLACEMENT_REFERENCES_MAX: usize = 8;
/// Times `url_decode(…, "r")` decodes again before it gives up and keeps what it has.
pub const URL_DECODE_ROUNDS_MAX: usize = 16;

/// The bounds a parser enforces. [`Limits::default`] is what the product uses; a caller with expressions of its own origin
/// (a test, a bench, a migration) may widen them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See [`EXPRESSION_BYTES_MAX`].
    pub expression_bytes: usize,
    /// See [`NESTING_MAX`].
    pub nesting: u16,
    /// See [`REGEX_BYTES_MAX`].
    pub regex_bytes: usize,
    /// See [`WILDCARD_STARS_MAX`].
    pub wildcard_stars: usize,
    /// See [`SET_ITEMS_MAX`].
    pub set_items: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            expression_bytes: EXPRESSION_BYTES_MAX,
            nesting: NESTING_MAX,
            regex_bytes: REGEX_BYTES_MAX,
            wildcard_stars: WILDCARD_STARS_MAX,
            set_items: SET_ITEMS_MAX,
        }
    }
}
