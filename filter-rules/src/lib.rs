//! Cloudflare's rule expression language: parse, check, compile, evaluate, and decide ahead of time.
//!
//! The language is wirefilter's, as Cloudflare's products speak it: the same syntax, the same errors word for word. The engine is
//! not: an expression becomes a list of checks that run without recursion or allocation, rules are indexed by host, facts are
//! asked for one at a time and only when a rule needs them, and partial evaluation tells what is certain before all facts are.
//!
//! ```
//! use filter_rules::{Action, Expression, FactSet, Field, Lists, RuleSet, RuleSpec, mtls_rule_expression};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let rule = RuleSpec {
//!     id: "r1".to_owned(),
//!     name: "mTLS for the API".to_owned(),
//!     expression: mtls_rule_expression(&["api.example.com"], true),
//!     action: Action::Block(None),
//!     enabled: true,
//! };
//! let rules = RuleSet::compile(vec![rule], &Lists::default())?;
//!
//! let mut facts = FactSet::default();
//! facts.insert(Field::HttpHost, "api.example.com".into())?;
//! facts.insert(Field::CertVerified, false.into())?;
//! assert_eq!(rules.evaluate(&facts).decided_by.map(|rule| rule.id()), Some("r1"));
//!
//! let error = Expression::parse("http.host == foo").unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "Filter parsing error (1:14):\n\
//!      http.host == foo\n\
//!      \x20            ^^ invalid digit found in string while parsing with radix 16\n"
//! );
//! # Ok(())
//! # }
//! ```
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
//! | `residual` | partial evaluation |
//! | `explain` | why an expression is true or false |
//! | `lint` | correct, and probably not what was meant |
//! | `rules` | rule sets: order, actions, the host index |
//! | [`limits`] | every bound, by name |
//!
//! The crate does no I/O, reads no clock and has no global state.
#![forbid(unsafe_code)]

pub mod ast;
mod ast_json;
mod error;
mod explain;
mod expression;
mod fact_set;
mod facts;
pub mod functions;
mod host;
mod interpret;
pub mod limits;
mod lint;
mod lists;
mod networks;
mod pattern;
mod print;
mod program;
mod reference;
mod render;
mod residual;
mod rules;
mod scheme;
mod span;
mod syntax;
mod template;
mod types;
mod value;

pub use error::{ParseError, ParseErrorKind};
pub use explain::{ExplainedComparison, ExplainedRule, Explanation, Fate};
pub use expression::{Expression, ListProblem, Matcher};
pub use fact_set::{FactError, FactSet};
pub use facts::{Facts, Visit, VisitEntry};
pub use host::normalise_host;
pub use limits::Limits;
pub use lint::{Lint, LintContext, LintKind};
pub use lists::{List, ListError, Lists};
pub use networks::{AddressRange, NetworkSet};
pub use pattern::{Regex, Wildcard};
pub use reference::{fields_markdown, fields_table, functions_markdown};
pub use residual::Residual;
pub use rules::{
    Action, ActionError, BlockResponse, CompileError, ContentType, LegacyError, LegacyRule, Outcome, Rule, RuleProblem,
    RuleSet, RuleSpec, SetProblem, convert_legacy,
};
pub use scheme::{ALIASES, Field, FieldSpec, Source};
pub use span::Span;
pub use template::mtls_rule_expression;
pub use types::Type;
pub use value::Value;
