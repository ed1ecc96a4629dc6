//! The forms in which the API takes and gives things. Wire types are not domain types: each is converted, and checked, at the border.

mod crl;
mod events;
mod firewall;
mod graphql;
mod lists;
mod passed;
mod rulesets;
mod v1;
mod v4;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

pub use crl::{Crl, CrlCheck, LoadedCrl, SetCrl, UploadedAuthority};
pub use events::{Event, EventCertificate, EventsFile, EventsStatus};
pub use firewall::{
    DeletedFilter, DeletedFirewallRule, Filter, FilterBody, FirewallAction, FirewallRule, FirewallRuleBody, OneOrMany,
    ShownFilter,
};
pub use graphql::{GraphqlError, GraphqlExtensions, GraphqlLocation, GraphqlRequest, GraphqlResponse};
pub use lists::{
    CreateList, CreatedItem, DescribeList, Hostname, List, ListItem, NewItem, Operation, OperationState, RemoveItems,
};
pub use passed::{OriginHealth, PassedHost, PassedOn, PassedThrough, Penalty};
pub use rulesets::{
    ActionParameters, BlockResponse, CreateRuleset, Logging, Position, RuleBody, Ruleset, RulesetRule, UpdateRuleset,
};
pub use v1::{
    Audit, AuditChange, Authority, CheckExpression, CheckedExpression, CreateMtlsRule, CreateRule, CreateToken,
    CreatedToken, Datapath, Explain, ExplainedComparison, ExplainedRule, Host, Id, PacketCount, Refusal, Rule, SetHost,
    Snippet, Status, Token, UpdateRule, Warning, Worker, Written, Zone,
};
pub use v4::{
    AccessCertificate, AccessSetting, AccessSettings, Account, AccountReference, ClientCertificate, CloudflareZone,
    CreateAccessCertificate, CreateCertificate, CreateMtlsCertificate, HostnameAssociation, Issuer, ManagedHeader,
    ManagedHeaders, MtlsAssociation, MtlsCertificate, Named, Plan, Reactivate, SetSetting, Setting,
    UpdateAccessCertificate, User, VerifiedToken, ZoneMeta,
};

/// What went wrong with a call.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ErrorInfo {
    /// Number of the kind of error.
    pub code: u32,
    /// What was wrong and what to do, for people.
    pub message: String,
    /// Where in the request it was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ErrorSource>,
}

/// Where in a request an error lies.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ErrorSource {
    /// JSON pointer (RFC 6901) into the body, or the name of a parameter.
    pub pointer: String,
    /// The part of the text there, if it is one of an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<SourceSpan>,
}

/// A part of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceSpan {
    /// First byte, from 0.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// Line of the first byte, from 1.
    pub line: usize,
    /// Its column in bytes, from 1.
    pub column: usize,
}

/// Something to say beside a result.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Note {
    /// Number of the kind of note.
    pub code: u32,
    /// The text.
    pub message: String,
    /// Always null.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// The answer to a call that did what it was asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct Envelope<T> {
    /// Always true.
    pub success: bool,
    /// Always empty.
    pub errors: Vec<ErrorInfo>,
    /// Notes.
    pub messages: Vec<Note>,
    /// What was asked for.
    pub result: T,
    /// Place of a list's page in the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_info: Option<ResultInfo>,
}

/// The answer to a call that was refused or failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Failure {
    /// Always false.
    pub success: bool,
    /// What was wrong.
    pub errors: Vec<ErrorInfo>,
    /// Always empty.
    pub messages: Vec<Note>,
    /// Always null.
    #[schema(schema_with = null)]
    pub result: (),
}

/// The schema of what is always null; that of `()` allows everything.
pub(super) fn null() -> Object {
    ObjectBuilder::new().schema_type(Type::Null).build()
}

/// Place of a page in the whole list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ResultInfo {
    /// Number of the page, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<usize>,
    /// Most items of a page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_page: Option<usize>,
    /// Items of this page.
    pub count: usize,
    /// Items of all pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_count: Option<usize>,
    /// Pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_pages: Option<usize>,
    /// Where the next part of the list begins; absent at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursors: Option<Cursors>,
}

/// Where the next part of a list begins.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Cursors {
    /// Value for `cursor`.
    pub after: String,
}
