//! Lists that rules can name, as Cloudflare's API has them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A list.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct List {
    /// 32 hexadecimal digits.
    pub id: String,
    /// `ip`, `hostname` or `asn`.
    pub kind: String,
    /// Its name in expressions, without `$`.
    pub name: String,
    /// Text for people.
    pub description: String,
    /// How many items it has.
    pub num_items: usize,
    /// How many rules name it.
    pub num_referencing_filters: usize,
    /// RFC 3339.
    pub created_on: String,
    /// RFC 3339.
    pub modified_on: String,
}

/// Makes a list.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateList {
    /// `ip`, `hostname` or `asn`.
    pub kind: String,
    /// Its name in expressions, without `$`.
    pub name: String,
    /// Text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Describes a list.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DescribeList {
    /// Text for people.
    #[serde(default)]
    pub description: String,
}

/// A host name of a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hostname {
    /// The name; `*.example.com` stands for every name below.
    pub url_hostname: String,
    /// Is refused: `*.example.com` says whether the name itself is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_exact_hostname: Option<bool>,
}

/// An item to put into a list: one of `ip`, `asn` and `hostname`, by the kind of the list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewItem {
    /// An address or a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The number of an autonomous system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// A host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// Text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// An item of a list.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ListItem {
    /// 32 hexadecimal digits.
    pub id: String,
    /// An address or a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The number of an autonomous system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// A host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// Text for people.
    pub comment: String,
    /// RFC 3339.
    pub created_on: String,
    /// RFC 3339.
    pub modified_on: String,
}

/// Names an item.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatedItem {
    /// 32 hexadecimal digits.
    pub id: String,
}

/// Takes items out of a list.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveItems {
    /// The items.
    pub items: Vec<CreatedItem>,
}

/// Names the operation that changed items. It is over when the answer is sent.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// 32 hexadecimal digits.
    pub operation_id: String,
}

/// What became of an operation.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct OperationState {
    /// 32 hexadecimal digits.
    pub id: String,
    /// `completed`: a change is in force when its call returns, or it is refused.
    pub status: String,
    /// RFC 3339.
    pub completed: String,
}
