//! An event by the names that Cloudflare gives its parts.

use serde_json::Value as Json;

use crate::geo::Databases;
use crate::telemetry::{AccessRecord, EventAction};

/// The fields that are text of the record itself: by them events can be filtered.
const TEXTS: [&str; 13] = [
    "action",
    "clientIP",
    "clientRequestHTTPHost",
    "clientRequestHTTPMethodName",
    "clientRequestPath",
    "clientRequestScheme",
    "datetime",
    "edgeResponseStatus",
    "kind",
    "rayName",
    "ruleId",
    "source",
    "userAgent",
];

/// Whether a name is one of a field that [`text`] knows.
pub(super) fn is_field(name: &str) -> bool {
    TEXTS.contains(&name)
}

/// A field of the record, if there is one of that name; `Some(None)` if this record lacks it.
pub(super) fn text(name: &str, record: &AccessRecord) -> Option<Option<String>> {
    Some(match name {
        "action" => record.action.map(|action| action.name().to_owned()),
        "clientIP" => Some(record.client.ip().to_string()),
        "clientRequestHTTPHost" => Some(record.host.clone()),
        "clientRequestHTTPMethodName" => Some(record.method.clone()),
        "clientRequestPath" => Some(record.path.clone()),
        "clientRequestScheme" => Some("https".to_owned()),
        "datetime" => Some(crate::model::Timestamp::from(record.time).rfc3339_seconds()),
        "edgeResponseStatus" => Some(record.status.to_string()),
        "kind" => Some("firewall".to_owned()),
        "rayName" => Some(record.ray_id.clone()),
        "ruleId" => record.rule.as_ref().or(record.logged.first()).cloned(),
        "source" => Some(source(record).to_owned()),
        "userAgent" => record.user_agent.clone(),
        _ => return None,
    })
}

/// What of the firewall it was: a rule, or what every request must be.
fn source(record: &AccessRecord) -> &'static str {
    let by_rule = record.rule.is_some() || record.action == Some(EventAction::Log);
    if by_rule { "firewallCustom" } else { "validation" }
}

/// A field as it is answered; `None` if there is none of that name. What is not known is null, and the query of a request is not known.
pub(super) fn value(name: &str, record: &AccessRecord, geo: &Databases) -> Option<Json> {
    let place = || geo.locate(record.client.ip());
    Some(match name {
        "clientAsn" => place().asn.map(|asn| asn.to_string()).into(),
        "clientCountryName" => place().country.into(),
        "clientRequestQuery" => Json::Null,
        "edgeResponseStatus" => record.status.into(),
        "matchIndex" => 0.into(),
        "__typename" => "ZoneFirewallEventsAdaptive".into(),
        _ => text(name, record)?.into(),
    })
}
