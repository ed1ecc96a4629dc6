//! What is written of one request: a line of the access log, and an event if the request was blocked or logged.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Reason;
use super::limits::{RECORD_FACTS, RECORD_LOGGED, RECORD_METHOD, RECORD_PATH, RECORD_SUBJECT, RECORD_USER_AGENT};

/// What is written of one request. Its JSON is the line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessRecord {
    /// When the request head was complete.
    #[serde(with = "rfc3339")]
    pub time: SystemTime,
    /// Identifier that the client was shown and the upstream was sent.
    pub ray_id: String,
    /// The client's address.
    pub client: SocketAddr,
    /// Zone of the host; absent if the host is not served any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Host of the connection's SNI.
    pub host: String,
    /// Request method.
    pub method: String,
    /// Path without the query, which may hold secrets.
    pub path: String,
    /// The `User-Agent` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Status of the response.
    pub status: u16,
    /// Why.
    pub reason: Reason,
    /// Why the record is an event, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<EventAction>,
    /// Id of the rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Ids of the `log` rules that matched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logged: Vec<String>,
    /// The client's certificate, if it presented one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<ClientCertificate>,
    /// What the verdict on an event was made from, as `mtls-filter explain` takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Value>,
    /// From the request head to the response head.
    #[serde(rename = "duration_us", with = "microseconds")]
    pub duration: Duration,
    /// Worker that served it.
    pub worker: usize,
    /// Generation of the rules that decided.
    pub generation: u64,
}

/// Why a request is an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventAction {
    /// It was refused: by a rule, or because it cannot be served safely.
    Block,
    /// A `log` rule matched, and the request was permitted.
    Log,
}

impl EventAction {
    /// Every action.
    pub const ALL: [Self; 2] = [Self::Block, Self::Log];

    /// The name in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Log => "log",
        }
    }
}

/// What is written of a client's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCertificate {
    /// Issued by a CA of the host and within its validity.
    pub verified: bool,
    /// Revoked.
    pub revoked: bool,
    /// Why it was not verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Serial number in upper-case hexadecimal.
    pub serial: String,
    /// SHA-256 of the certificate in lower-case hexadecimal.
    pub fingerprint_sha256: String,
    /// Subject, escaped.
    pub subject: String,
}

impl AccessRecord {
    /// The same record without what is too long to keep: a client chooses most of it.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        cut(&mut self.method, RECORD_METHOD);
        cut(&mut self.path, RECORD_PATH);
        if let Some(user_agent) = &mut self.user_agent {
            cut(user_agent, RECORD_USER_AGENT);
        }
        if let Some(certificate) = &mut self.certificate {
            cut(&mut certificate.subject, RECORD_SUBJECT);
        }
        self.logged.truncate(RECORD_LOGGED);
        self.facts = self.facts.filter(|facts| json_size(facts) <= RECORD_FACTS);
        self
    }

    /// About how much memory the record takes.
    pub(super) fn size(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let certificate = self.certificate.as_ref().map_or(0, |certificate| {
            let ClientCertificate { failure, serial, fingerprint_sha256, subject, .. } = certificate;
            text(failure) + serial.len() + fingerprint_sha256.len() + subject.len()
        });
        let logged: usize = self.logged.iter().map(|rule| size_of::<String>() + rule.len()).sum();
        let texts = [&self.ray_id, &self.host, &self.method, &self.path].map(String::len).iter().sum::<usize>();
        let optional = text(&self.zone) + text(&self.user_agent) + text(&self.rule);
        size_of::<Self>() + texts + optional + certificate + logged + self.facts.as_ref().map_or(0, json_size)
    }
}

/// About how much memory a JSON value takes.
fn json_size(value: &Value) -> usize {
    let content = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(json_size).sum(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| size_of::<String>() + name.len() + json_size(value)).sum()
        }
    };
    size_of::<Value>() + content
}

/// Cuts a text that is too long, and marks that it was.
fn cut(text: &mut String, limit: usize) {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
        text.push('…');
    }
}

mod rfc3339 {
    use std::time::SystemTime;

    use serde::{Deserialize as _, Deserializer, Serializer, de, ser};
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    pub(super) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        let text = OffsetDateTime::from(*time).format(&Rfc3339).map_err(ser::Error::custom)?;
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339).map(SystemTime::from).map_err(de::Error::custom)
    }
}

mod microseconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_micros)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A request that a rule blocked.
    pub(crate) fn blocked(ray_id: &str) -> AccessRecord {
        AccessRecord {
            time: SystemTime::UNIX_EPOCH + Duration::new(1_795_000_000, 123_000),
            ray_id: ray_id.to_owned(),
            client: "192.0.2.7:4711".parse().unwrap(),
            zone: Some("example.com".to_owned()),
            host: "api.example.com".to_owned(),
            method: "GET".to_owned(),
            path: "/".to_owned(),
            user_agent: Some("curl/8".to_owned()),
            status: 403,
            reason: Reason::Blocked,
            action: Some(EventAction::Block),
            rule: Some("0123456789abcdef0123456789abcdef".to_owned()),
            logged: Vec::new(),
            certificate: Some(ClientCertificate {
                verified: true,
                revoked: true,
                failure: None,
                serial: "0A1B".to_owned(),
                fingerprint_sha256: "ab".repeat(32),
                subject: "CN=phone".to_owned(),
            }),
            facts: Some(json!({ "http.host": "api.example.com" })),
            duration: Duration::from_micros(42),
            worker: 1,
            generation: 3,
        }
    }

    #[test]
    fn a_record_survives_its_line() {
        let record = blocked("0123456789abcdef");
        let line = serde_json::to_string(&record).unwrap();
        assert!(line.starts_with(r#"{"time":"2026-11-18T"#), "{line}");
        assert!(line.contains(r#""status":403,"reason":"blocked","action":"block""#), "{line}");
        assert_eq!(serde_json::from_str::<AccessRecord>(&line).unwrap(), record);
    }

    #[test]
    fn each_part_is_kept_at_its_limit_and_cut_one_past_it() {
        let facts = |size: usize| {
            let empty = json!({ "http.host": "" });
            json!({ "http.host": "x".repeat(size - json_size(&empty)) })
        };
        let long = |extra: usize| AccessRecord {
            method: "m".repeat(RECORD_METHOD + extra),
            path: "p".repeat(RECORD_PATH + extra),
            user_agent: Some("u".repeat(RECORD_USER_AGENT + extra)),
            logged: vec![String::new(); RECORD_LOGGED + extra],
            certificate: blocked("")
                .certificate
                .map(|certificate| ClientCertificate { subject: "s".repeat(RECORD_SUBJECT + extra), ..certificate }),
            facts: Some(facts(RECORD_FACTS + extra)),
            ..blocked("")
        };
        let at_the_limit = long(0);
        assert_eq!(at_the_limit.clone().bounded(), at_the_limit);
        let past = long(1).bounded();
        assert_eq!(past.method, at_the_limit.method + "…");
        assert_eq!(past.path, at_the_limit.path + "…");
        assert_eq!(past.user_agent, at_the_limit.user_agent.map(|text| text + "…"));
        let subject = |certificate: Option<ClientCertificate>| certificate.unwrap().subject;
        assert_eq!(subject(past.certificate), subject(at_the_limit.certificate) + "…");
        assert_eq!((past.logged.len(), past.facts), (RECORD_LOGGED, None));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let mut text = "äöü".to_owned();
        cut(&mut text, 3);
        assert_eq!(text, "ä…");
    }
}
