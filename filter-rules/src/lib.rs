//! The rule language of mtls-filter.
#![forbid(unsafe_code)]

mod host;
pub mod limits;
mod scheme;
mod span;
mod template;
mod types;

pub use host::normalise_host;
pub use limits::Limits;
pub use scheme::{ALIASES, Field, FieldSpec, Source};
pub use span::Span;
pub use template::mtls_rule_expression;
pub use types::Type;
