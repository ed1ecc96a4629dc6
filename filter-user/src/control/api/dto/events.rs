//! Events: requests that were blocked or logged.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use crate::telemetry;

/// A request that was blocked, or that a `log` rule matched.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Larger than that of every event before.
    pub number: u64,
    /// When the request came, RFC 3339.
    pub time: String,
    /// `block` or `log`.
    pub action: String,
    /// The id that the client was shown and the upstream was sent.
    pub ray_id: String,
    /// Address and port of the client.
    pub client: String,
    /// The zone.
    pub zone: String,
    /// The host of the connection.
    pub host: String,
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The `User-Agent` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Status of the response.
    pub status: u16,
    /// Why: `blocked` by a rule, or what was wrong with the request.
    pub reason: String,
    /// Id of the rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Ids of the `log` rules that matched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logged: Vec<String>,
    /// The client's certificate, if it presented one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<EventCertificate>,
    /// What the verdict was made from, as `explain` takes it; absent if it was too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<serde_json::Value>,
    /// Microseconds from the head of the request to the head of the response.
    pub duration_us: u64,
    /// The worker that served it.
    pub worker: usize,
    /// Generation of the rules that decided.
    pub generation: u64,
}

/// The certificate of an event.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EventCertificate {
    /// Issued by a CA of the host and within its validity.
    pub verified: bool,
    /// Revoked.
    pub revoked: bool,
    /// Why it was not verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Serial number, upper-case hexadecimal.
    pub serial: String,
    /// SHA-256 of the certificate, lower-case hexadecimal.
    pub fingerprint_sha256: String,
    /// The subject.
    pub subject: String,
}

/// What there is to say of the events as a whole.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct EventsStatus {
    /// Events since the start.
    pub recorded: u64,
    /// Events that were dropped because they came faster than they could be taken.
    pub dropped: u64,
    /// Events in memory.
    pub kept: usize,
    /// The file; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<EventsFile>,
}

/// The file of events.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EventsFile {
    /// Its path.
    pub path: String,
    /// Events that are not in it because it could not be written as fast as they came.
    pub dropped: u64,
    /// Events that are not in it because it could not be written.
    pub failed: u64,
    /// Why it cannot be written; absent while it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl From<&telemetry::Event> for Event {
    fn from(event: &telemetry::Event) -> Self {
        let record = event.record.clone();
        Self {
            number: event.number,
            time: moment(record.time),
            action: record.action.map_or("", telemetry::EventAction::name).to_owned(),
            ray_id: record.ray_id,
            client: record.client.to_string(),
            zone: record.zone.unwrap_or_default(),
            host: record.host,
            method: record.method,
            path: record.path,
            user_agent: record.user_agent,
            status: record.status,
            reason: record.reason.name().to_owned(),
            rule: record.rule,
            logged: record.logged,
            certificate: record.certificate.map(Into::into),
            facts: record.facts,
            duration_us: u64::try_from(record.duration.as_micros()).unwrap_or(u64::MAX),
            worker: record.worker,
            generation: record.generation,
        }
    }
}

impl From<telemetry::ClientCertificate> for EventCertificate {
    fn from(certificate: telemetry::ClientCertificate) -> Self {
        let telemetry::ClientCertificate { verified, revoked, failure, serial, fingerprint_sha256, subject } =
            certificate;
        Self { verified, revoked, failure, serial, fingerprint_sha256, subject }
    }
}

impl From<telemetry::EventsStatus> for EventsStatus {
    fn from(status: telemetry::EventsStatus) -> Self {
        let telemetry::EventsStatus { recorded, dropped, kept, file } = status;
        let file = file.map(|(rotation, losses)| EventsFile {
            path: rotation.path.display().to_string(),
            dropped: losses.dropped,
            failed: losses.failed,
            error: losses.error,
        });
        Self { recorded, dropped, kept, file }
    }
}

fn moment(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_default()
}
