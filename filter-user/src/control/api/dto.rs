//! The forms in which the API takes and gives things. Wire types are not domain types: each is converted, and checked, at the border.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What went wrong with a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorSource {
    /// JSON pointer (RFC 6901) into the body.
    pub pointer: String,
}

/// The envelope of every answer.
#[derive(Debug, Serialize)]
pub struct Envelope<T> {
    /// Whether the call did what it was asked.
    pub success: bool,
    /// Why not.
    pub errors: Vec<ErrorInfo>,
    /// Notes.
    pub messages: Vec<ErrorInfo>,
    /// What was asked for.
    pub result: Option<T>,
    /// Place of a list's page in the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_info: Option<ResultInfo>,
}

/// Place of a page in the whole list.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ResultInfo {
    /// Number of the page, from 1.
    pub page: usize,
    /// Most items of a page.
    pub per_page: usize,
    /// Items of this page.
    pub count: usize,
    /// Items of all pages.
    pub total_count: usize,
    /// Pages.
    pub total_pages: usize,
}

/// A zone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Zone {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The domain.
    pub name: String,
    /// Its hosts.
    pub hosts: Vec<Host>,
}

/// A host of a zone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Whether clients are asked for a certificate.
    pub mtls: bool,
}

/// The managed CA of a zone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Authority {
    /// UUID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// PEM.
    pub certificate: String,
}

/// A client certificate, in the form of Cloudflare's API.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientCertificate {
    /// UUID.
    pub id: String,
    /// PEM.
    pub certificate: String,
    /// The request it was issued for, as it came.
    pub csr: Option<String>,
    /// Who issued it.
    pub certificate_authority: Issuer,
    /// Subject: CN.
    pub common_name: Option<String>,
    /// Subject: O.
    pub organization: Option<String>,
    /// Subject: OU.
    pub organizational_unit: Option<String>,
    /// Subject: C.
    pub country: Option<String>,
    /// Subject: ST.
    pub state: Option<String>,
    /// Subject: L.
    pub location: Option<String>,
    /// Decimal.
    pub serial_number: String,
    /// Lower-case hexadecimal.
    pub ski: String,
    /// Lower-case hexadecimal.
    pub fingerprint_sha256: String,
    /// Such as `ECDSAWithSHA256`.
    pub signature: String,
    /// RFC 3339.
    pub issued_on: String,
    /// RFC 3339.
    pub expires_on: String,
    /// Days from `issued_on` to `expires_on`.
    pub validity_days: u32,
    /// `active` or `revoked`.
    pub status: String,
}

/// Who issued a certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Issuer {
    /// UUID.
    pub id: String,
    /// Name.
    pub name: String,
}

/// Asks for a certificate.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateCertificate {
    /// PEM.
    pub csr: String,
    /// Days of validity.
    pub validity_days: u32,
}

/// Takes a revocation back. The SDKs send `{}` where a caller leaves the field out, which means the same.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reactivate {
    /// `false` is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reactivate: Option<bool>,
}

/// A rule.
#[derive(Debug, Clone, Serialize, Deserialize)]
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

/// Asks for a rule.
#[derive(Debug, Serialize, Deserialize)]
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
}

/// A response of its own for what a rule blocks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockResponse {
    /// 400 to 499.
    pub status_code: u16,
    /// `text/html`, `text/plain`, `application/json` or `text/xml`.
    pub content_type: String,
    /// The body, at most 2 KB.
    pub content: String,
}

fn enabled() -> bool {
    true
}

/// Asks for a rule that requires client certificates.
#[derive(Debug, Serialize, Deserialize)]
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
}

/// What is left of something that was deleted.
#[derive(Debug, Serialize, Deserialize)]
pub struct Id {
    /// Its id.
    pub id: String,
}

/// The result of a write to `/api/v1`.
#[derive(Debug, Serialize, Deserialize)]
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
#[derive(Debug, Serialize, Deserialize)]
pub struct Warning {
    /// What, and why.
    pub message: String,
    /// Where in the expression it begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// Asks why a verdict comes out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// Facts by name of the field; one that is not given is missing.
    pub facts: serde_json::Value,
}

/// What became of a rule, and why.
#[derive(Debug, Serialize, Deserialize)]
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
#[derive(Debug, Serialize, Deserialize)]
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
#[derive(Debug, Serialize, Deserialize)]
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
    /// Revoked certificates in the set.
    pub revoked: usize,
    /// The workers.
    pub workers: Vec<Worker>,
    /// Requests, and connections that ended before one, by reason; all workers together.
    pub requests: BTreeMap<String, u64>,
    /// Packets by reason; empty without XDP.
    pub packets: BTreeMap<String, PacketCount>,
    /// Access records that were dropped because the log could not keep up.
    pub access_records_dropped: u64,
}

/// How packets reach the workers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Datapath {
    /// `native`, `generic` or `socket`.
    pub mode: String,
    /// What was tried before and why it failed.
    pub notes: Vec<String>,
    /// Kernel settings that were changed, and are changed back at the end.
    #[serde(default)]
    pub settings: Vec<String>,
}

/// A worker.
#[derive(Debug, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PacketCount {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}
