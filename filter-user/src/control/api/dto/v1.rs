//! `/api/v1`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{BlockResponse, Crl, ErrorInfo, EventsStatus, Position};

/// A zone.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Zone {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The domain.
    pub name: String,
    /// Its hosts.
    pub hosts: Vec<Host>,
}

/// A host of a zone.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Whether clients are asked for a certificate.
    pub mtls: bool,
    /// Whether that is so because the configuration file says `mtls = true`.
    #[serde(default)]
    pub configured: bool,
}

/// Changes a host.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetHost {
    /// Whether clients are asked for a certificate of the zone's managed CA.
    pub mtls: bool,
}

/// How a program uses a certificate.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Snippet {
    /// `curl`, `python`, `android`, `ios` or `iot`.
    pub target: String,
    /// The same for people.
    pub title: String,
    /// The language of the text.
    pub language: String,
    /// The text to copy. The certificate and its key are in files named by the common name, `.crt` and `.key`.
    pub text: String,
}

/// A CA of a zone.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Authority {
    /// UUID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// PEM.
    pub certificate: String,
    /// `issuing`; `retired` when it only verifies what it issued before.
    pub state: String,
    /// Last moment of its life, RFC 3339.
    pub expires_on: String,
}

/// A rule.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Rule {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its expression.
    pub expression: String,
    /// `block`, `log` or `skip`.
    pub action: String,
    /// What a blocked client gets in place of the block page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<BlockResponse>,
    /// Whether it is evaluated.
    pub enabled: bool,
    /// RFC 3339.
    pub last_updated: String,
}

/// Changes a rule; what is left out stays.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateRule {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// `block`, `log` or `skip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// What a blocked client gets in place of the block page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<BlockResponse>,
    /// Whether it is evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Where it goes in the order of evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}

/// Asks for a rule.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRule {
    /// Its name.
    pub name: String,
    /// Its expression.
    pub expression: String,
    /// `block`, `log` or `skip`.
    pub action: String,
    /// What a blocked client gets in place of the block page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<BlockResponse>,
    /// Whether it is evaluated.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Where it goes in the order of evaluation; last by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}

fn enabled() -> bool {
    true
}

/// Asks for a rule that requires client certificates.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateMtlsRule {
    /// Its name.
    pub name: String,
    /// The hosts; all mTLS-enabled ones of the zone by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,
    /// Whether revoked certificates are blocked too; true by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reject_revoked: Option<bool>,
    /// Where it goes in the order of evaluation; last by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}

/// What is left of something that was deleted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Id {
    /// Its id.
    pub id: String,
}

/// The result of a write to `/api/v1`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Written<T> {
    /// What was written.
    #[serde(flatten)]
    pub value: T,
    /// The generation that every worker enforced before this answer was made.
    pub generation: u64,
    /// What the operator should know of it.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

/// Something that is right, and probably not what was meant.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// What, and why.
    pub message: String,
    /// Where in the expression it begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// Asks whether an expression could be deployed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckExpression {
    /// The expression.
    pub expression: String,
}

/// What there is to say of an expression.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CheckedExpression {
    /// Whether it parses.
    pub valid: bool,
    /// What is wrong with it, and where.
    pub errors: Vec<ErrorInfo>,
    /// Its canonical source, if it parses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canonical: Option<String>,
    /// What is right, and probably not what was meant.
    pub warnings: Vec<Warning>,
}

/// An API token; its secret is not known to anybody but its holder.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `read`, `certificates`, `rules`, `admin`.
    pub scopes: Vec<String>,
    /// The zones it is for; absent if it is for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zones: Option<Vec<String>>,
    /// `active`, `disabled` or `expired`.
    pub status: String,
    /// RFC 3339.
    pub created: String,
    /// RFC 3339; absent if it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// Asks for a token.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Its name.
    pub name: String,
    /// What it may do: `read`, `certificates`, `rules`, `admin`.
    pub scopes: Vec<String>,
    /// The zones it is for, by name or id; all if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zones: Option<Vec<String>>,
    /// Days until it expires; never if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

/// A token that was just made: the only time its secret is seen.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// The token.
    #[serde(flatten)]
    pub token: Token,
    /// What to send as `Authorization: Bearer`.
    pub secret: String,
}

/// A change that was made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Audit {
    /// The generation that it made.
    pub generation: u64,
    /// RFC 3339.
    pub at: String,
    /// The name of a token, or `local`.
    pub actor: String,
    /// An address, or the control socket.
    pub origin: String,
    /// What was done: `rule create`.
    pub action: String,
    /// Every record that changed, before and after.
    pub changes: Vec<AuditChange>,
    /// How many more changed.
    pub omitted: usize,
}

/// A record before and after a change.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditChange {
    /// Its name.
    pub key: String,
    /// As it was; null if it is new.
    pub before: Option<serde_json::Value>,
    /// As it is; null if it is gone.
    pub after: Option<serde_json::Value>,
}

/// An attempt to use the API with bad credentials.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// RFC 3339.
    pub at: String,
    /// The address it came from.
    pub origin: String,
    /// Method and path.
    pub request: String,
    /// Why it was refused.
    pub reason: String,
}

/// Asks why a verdict comes out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// Facts by name of the field; one that is not given is missing.
    pub facts: serde_json::Value,
}

/// What became of a rule, and why.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ExplainedRule {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `block`, `log` or `skip`.
    pub action: String,
    /// `decided`, `logged`, `false`, `not reached` or `disabled`.
    pub fate: String,
    /// Its comparisons, in the order of the source; none if it was not looked at.
    pub comparisons: Vec<ExplainedComparison>,
}

/// A comparison of a rule.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ExplainedComparison {
    /// Its canonical source.
    pub text: String,
    /// The value it saw, or `missing`.
    pub value: String,
    /// What came out; for a comparison over several values, once for each.
    pub results: String,
    /// Where it stands in the expression, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// What the daemon does.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// Generation that was asked for last.
    pub generation: u64,
    /// How packets reach the workers, and why not better.
    pub datapath: Datapath,
    /// Addresses that clients connect to.
    pub listen: Vec<String>,
    /// The zones.
    pub zones: Vec<Zone>,
    /// Hosts that are passed through unopened, and their origins.
    #[serde(default)]
    pub passed_through: super::PassedThrough,
    /// Certificates that are revoked here.
    pub revoked: usize,
    /// Certificates that CRLs of uploaded CAs revoke.
    #[serde(default)]
    pub listed: usize,
    /// Those CRLs.
    #[serde(default)]
    pub crls: Vec<Crl>,
    /// The workers.
    pub workers: Vec<Worker>,
    /// Requests, and connections that ended before one, by reason; all workers together.
    pub requests: BTreeMap<String, u64>,
    /// Packets by reason; empty without XDP.
    pub packets: BTreeMap<String, PacketCount>,
    /// Access records that were dropped because the log could not keep up.
    pub access_records_dropped: u64,
    /// Access records that could not be written.
    #[serde(default)]
    pub access_records_failed: u64,
    /// Why the access log cannot be written; absent while it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_log_error: Option<String>,
    /// Events: requests that were blocked or logged.
    #[serde(default)]
    pub events: EventsStatus,
}

/// How packets reach the workers.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Datapath {
    /// `native`, `generic` or `socket`.
    pub mode: String,
    /// What was tried before and why it failed.
    pub notes: Vec<String>,
    /// Kernel settings that were changed, and are changed back at the end.
    #[serde(default)]
    pub settings: Vec<String>,
    /// Where XDP is kept when the daemon ends, so that what it splices goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// Generation of the rules that the XDP maps agree with; absent without XDP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

/// A worker.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Worker {
    /// Its number.
    pub index: usize,
    /// Generation it enforces.
    pub generation: u64,
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Connections open now.
    pub open: u64,
}

/// Packets that ended under one reason.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PacketCount {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}
