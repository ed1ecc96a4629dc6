//! Cloudflare's rule expression language: parse, check, compile, evaluate, and decide ahead of time.
//!
//! The language is wirefilter's, as Cloudflare's products speak it: the same syntax, the same errors word for word. The engine is
//! not: an expression becomes a list of checks that run without recursion or allocation, rules are indexed by host, facts are
//! asked for one at a time and only when a rule needs them, and partial evaluation tells what is certain before all facts are.
//!
//! # What is where
//!
//! | module | what it is |
//! |---|---|
//! | `scheme` | the table of fields: names, types, sources |
//! | `syntax` | source → typed tree ([`ast`]) |
//! | [`functions`] | signatures and bodies of the functions |
//! | `interpret` | the meaning of a tree, directly; over all facts or some of them |
//! | `program` | tree → checks, and running them |
//! | [`limits`] | every bound, by name |
//!
//! The crate does no I/O, reads no clock and has no global state.
#![forbid(unsafe_code)]

pub mod ast;
mod error;
mod expression;
mod fact_set;
mod facts;
pub mod functions;
mod host;
mod interpret;
pub mod limits;
mod lists;
mod networks;
mod pattern;
mod print;
mod program;
mod scheme;
mod span;
mod syntax;
mod template;
mod types;
mod value;

pub use error::{ParseError, ParseErrorKind};
pub use expression::{Expression, ListProblem, Matcher};
pub use fact_set::{FactError, FactSet};
pub use facts::{Facts, Visit, VisitEntry};
pub use host::normalise_host;
pub use limits::Limits;
pub use lists::{List, ListError, Lists};
pub use networks::{AddressRange, NetworkSet};
pub use pattern::{Regex, Wildcard};
pub use scheme::{ALIASES, Field, FieldSpec, Source};
pub use span::Span;
pub use template::mtls_rule_expression;
pub use types::Type;
pub use value::Value;
