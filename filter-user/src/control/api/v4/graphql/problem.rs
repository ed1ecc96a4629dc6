//! What can be wrong with a query.

use graphql_parser::Pos;

use crate::control::api::dto::{GraphqlError, GraphqlExtensions, GraphqlLocation};
use crate::control::api::error::ApiError;

/// Why a query is not answered.
#[derive(Debug)]
pub(super) struct Problem {
    message: String,
    code: &'static str,
    place: Option<Pos>,
    /// From the inside out.
    path: Vec<String>,
}

impl Problem {
    /// The document cannot be read.
    pub(super) fn parser(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: "parser", place: None, path: Vec::new() }
    }

    /// It asks for what there is not.
    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self { code: "validation", ..Self::parser(message) }
    }

    /// The caller may not see it.
    pub(super) fn unauthorized(error: &ApiError) -> Self {
        Self { code: "authz", ..Self::parser(error.reason()) }
    }

    /// It could not be looked up.
    pub(super) fn internal(error: &ApiError) -> Self {
        Self { code: "internal", ..Self::parser(error.reason()) }
    }

    /// The same problem, with its place unless it has one.
    pub(super) fn at(self, place: Pos) -> Self {
        Self { place: self.place.or(Some(place)), ..self }
    }

    /// The same problem, in a field of this name.
    pub(super) fn within(mut self, key: &str) -> Self {
        self.path.push(key.to_owned());
        self
    }
}

impl From<Problem> for GraphqlError {
    fn from(problem: Problem) -> Self {
        let Problem { message, code, place, mut path } = problem;
        path.reverse();
        let locations = place.map(|place| GraphqlLocation { line: place.line, column: place.column });
        Self { message, locations: locations.into_iter().collect(), path, extensions: GraphqlExtensions { code } }
    }
}
