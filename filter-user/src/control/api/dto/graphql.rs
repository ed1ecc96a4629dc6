//! GraphQL, as far as Cloudflare's analytics speak it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A query.
#[derive(Debug, Deserialize, ToSchema)]
pub struct GraphqlRequest {
    /// The document.
    pub query: String,
    /// Values of its variables.
    #[serde(default)]
    pub variables: Option<Map<String, Value>>,
    /// Which of its operations, if there are several.
    #[serde(default, rename = "operationName")]
    pub operation_name: Option<String>,
}

/// What came of a query.
#[derive(Debug, Serialize, ToSchema)]
pub struct GraphqlResponse {
    /// What was asked for; null if anything was wrong.
    pub data: Option<Value>,
    /// What was wrong; null if nothing was.
    pub errors: Option<Vec<GraphqlError>>,
}

/// What was wrong with a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct GraphqlError {
    /// What, and what to do.
    pub message: String,
    /// Where in the document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<GraphqlLocation>,
    /// Which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// What kind of error.
    pub extensions: GraphqlExtensions,
}

/// A place in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct GraphqlLocation {
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
}

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct GraphqlExtensions {
    /// `parser`, `validation`, `authz` or `internal`.
    pub code: &'static str,
}
