//! Events by GraphQL, as Cloudflare's documentation asks for them.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::v4::graphql::{MAX_CONDITIONS, MAX_DEPTH, MAX_FIELDS, MAX_LIMIT, MAX_LISTS, MAX_QUERY};
use super::events::{logged, record};
use super::harness::{Api, OTHER_ZONE};
use crate::fixtures::ZONE;
use crate::model::{Scope, ZoneId};
use crate::telemetry::{AccessRecord, Reason, blocked};

/// The query of Cloudflare's documentation of firewall events.
const DOCUMENTED: &str = "
query ListFirewallEvents($zoneTag: string, $filter: FirewallEventsAdaptiveFilter_InputObject) {
  viewer {
    zones(filter: { zoneTag: $zoneTag }) {
      firewallEventsAdaptive(
        filter: $filter
        limit: 10
        orderBy: [datetime_DESC]
      ) {
        action
        clientAsn
        clientCountryName
        clientIP
        clientRequestPath
        clientRequestQuery
        datetime
        source
        userAgent
      }
    }
  }
}";

async fn ask(api: &Api, query: &str, variables: Value) -> Value {
    let answer = api.post("/client/v4/graphql", json!({ "query": query, "variables": variables })).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.body
}

/// The first error of a query that is not answered.
async fn refusal(api: &Api, query: &str) -> Value {
    let body = ask(api, query, json!({})).await;
    assert_eq!(body["data"], Value::Null, "{query}: {body}");
    body["errors"][0].clone()
}

/// The ray names that a list of events with these arguments has.
async fn rays(api: &Api, arguments: &str) -> Vec<String> {
    let query = format!(
        "{{ viewer {{ zones(filter: {{ zoneTag: \"{ZONE}\" }}) {{ firewallEventsAdaptive({arguments}) {{ rayName }} }} }} }}"
    );
    let body = ask(api, &query, Value::Null).await;
    assert_eq!(body["errors"], Value::Null, "{arguments}: {body}");
    let events = body.pointer("/data/viewer/zones/0/firewallEventsAdaptive").unwrap().as_array().unwrap();
    events.iter().map(|event| event["rayName"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_documented_query_is_answered_as_documented() {
    let api = Api::start().await;
    let other = AccessRecord { zone: Some(OTHER_ZONE.to_owned()), ..blocked("other") };
    let odd = AccessRecord { rule: None, reason: Reason::BadHost, user_agent: None, ..blocked("odd") };
    record(&api, [blocked("one"), odd, other]).await;
    let filter = json!({ "datetime_geq": "2026-01-01T00:00:00Z", "datetime_leq": "2027-01-01T00:00:00Z" });
    let tag = ZoneId::of_name(ZONE).to_string();
    let body = ask(&api, DOCUMENTED, json!({ "zoneTag": tag, "filter": filter })).await;
    let event = |source: &str, user_agent: Value| {
        json!({
            "action": "block", "clientAsn": null, "clientCountryName": null, "clientIP": "192.0.2.7",
            "clientRequestPath": "/", "clientRequestQuery": null, "datetime": "2026-11-18T11:06:40Z",
            "source": source, "userAgent": user_agent,
        })
    };
    let events = [event("validation", Value::Null), event("firewallCustom", json!("curl/8"))];
    assert_eq!(
        body,
        json!({ "data": { "viewer": { "zones": [{ "firewallEventsAdaptive": events }] } }, "errors": null })
    );
}

#[tokio::test]
async fn events_are_filtered_ordered_and_limited() {
    let api = Api::start().await;
    let late = blocked("").time + Duration::from_secs(60);
    let www = AccessRecord { host: "www.example.com".to_owned(), status: 421, ..blocked("www") };
    record(&api, [blocked("one"), logged("log"), www, AccessRecord { time: late, ..blocked("late") }]).await;
    for (arguments, expected) in [
        ("limit: 10", &["late", "www", "log", "one"][..]),
        ("limit: 2, orderBy: [datetime_DESC]", &["late", "www"]),
        ("limit: 2, orderBy: [datetime_ASC]", &["one", "log"]),
        ("orderBy: datetime_ASC, limit: 1", &["one"]),
        ("filter: { action: \"log\" }", &["log"]),
        ("filter: { action_neq: \"log\", datetime_gt: \"2026-11-18T11:07:00Z\" }", &["late"]),
        ("filter: { datetime_lt: \"2026-11-18T11:07:00Z\" }", &["www", "log", "one"]),
        ("filter: { rayName_in: [\"one\", \"late\"] }", &["late", "one"]),
        ("filter: { rayName_notin: [\"one\", \"late\"] }", &["www", "log"]),
        ("filter: { edgeResponseStatus: 421 }", &["www"]),
        ("filter: { OR: [{ rayName: \"one\" }, { clientRequestHTTPHost: \"www.example.com\" }] }", &["www", "one"]),
        ("filter: { AND: [{ action: \"block\" }, { rayName: \"log\" }] }", &[]),
        ("filter: { ruleId: \"ffffffffffffffffffffffffffffffff\" }", &["log"]),
    ] {
        assert_eq!(rays(&api, arguments).await, expected, "{arguments}");
    }
}

#[tokio::test]
async fn names_fragments_variables_and_directives_do_what_they_say() {
    let api = Api::start().await;
    record(&api, [blocked("one")]).await;
    let query = "
        query Other { viewer { __typename } }
        query Wanted($tags: [string!], $yes: Boolean = true, $no: Boolean!) {
          viewer {
            ... on viewer { named: zones(filter: { zoneTag_in: $tags }) { ...Zone, ...Zone } }
          }
        }
        fragment Zone on zone {
          zoneTag
          events: firewallEventsAdaptive(limit: 1) { ray: rayName @include(if: $yes) }
          events: firewallEventsAdaptive(limit: 1) {
            method: clientRequestHTTPMethodName @skip(if: $no)
            ... @skip(if: $yes) { userAgent }
          }
        }";
    let request = json!({
        "query": query, "operationName": "Wanted",
        "variables": { "tags": [ZONE, OTHER_ZONE], "no": false },
    });
    let body = api.post("/client/v4/graphql", request).await.body;
    let zone = |name: &str, events: Value| json!({ "zoneTag": ZoneId::of_name(name).to_string(), "events": events });
    let zones = [zone(ZONE, json!([{ "ray": "one", "method": "GET" }])), zone(OTHER_ZONE, json!([]))];
    assert_eq!(body, json!({ "data": { "viewer": { "named": zones } }, "errors": null }));
}

#[tokio::test]
async fn a_query_that_cannot_be_answered_says_what_is_wrong_and_where() {
    let api = Api::start().await;
    let zone = |inner: &str| format!("{{ viewer {{ zones(filter: {{ zoneTag: \"{ZONE}\" }}) {{ {inner} }} }} }}");
    let events = |arguments: &str| zone(&format!("firewallEventsAdaptive({arguments}) {{ rayName }}"));
    let nested = format!("{}{}{}", "{ viewer ".repeat(60), "{ x }", "}".repeat(60));
    for (query, code, message) in [
        ("{ viewer".to_owned(), "parser", "query parse error"),
        (nested, "parser", "Recursion limit exceeded"),
        ("mutation { viewer }".to_owned(), "validation", "only queries"),
        ("query A { viewer { __typename } } query B { viewer { __typename } }".to_owned(), "validation", "several"),
        ("{ __schema { types } }".to_owned(), "validation", "no field `__schema`"),
        ("{ viewer { accounts } }".to_owned(), "validation", "no field `accounts` of `viewer`"),
        ("{ viewer { zones { zoneTag } } }".to_owned(), "validation", "say which zone"),
        ("{ viewer { zones(filter: $x) { zoneTag } } }".to_owned(), "validation", "does not declare"),
        ("{ viewer { ...None } }".to_owned(), "validation", "no fragment `None`"),
        ("{ viewer { zones @live { zoneTag } } }".to_owned(), "validation", "no directive `@live`"),
        (
            "{ viewer { x: zones(filter: { zoneTag: \"a\" }) { zoneTag } x: __typename } }".to_owned(),
            "validation",
            "two different fields",
        ),
        ("{ viewer { ...A } } fragment A on viewer { ...A }".to_owned(), "validation", "nested more than"),
        (zone("httpRequestsAdaptive { count }"), "validation", "no field `httpRequestsAdaptive`"),
        (events("limit: 0"), "validation", "`limit` is a number from 1"),
        (events(&format!("limit: {}", MAX_LIMIT + 1)), "validation", "`limit` is a number from 1"),
        (events("orderBy: [clientIP_ASC]"), "validation", "ordered by [datetime_DESC]"),
        (events("filter: { color: \"red\" }"), "validation", "cannot be filtered by `color`"),
        (events("filter: { datetime_geq: \"yesterday\" }"), "validation", "must be a moment"),
        (events("filter: { datetime_like: \"2\" }"), "validation", "moments are compared"),
        (events("filter: { rayName_gt: \"2\" }"), "validation", "fields of text are compared"),
        (events("filter: { OR: { rayName: \"1\" } }"), "validation", "must be a list"),
        (events("first: 3"), "validation", "takes no argument `first`"),
        ("{ viewer { zones(filter: { zoneTag: \"none\" }) { zoneTag } } }".to_owned(), "authz", "no zone"),
    ] {
        let error = refusal(&api, &query).await;
        assert_eq!(error["extensions"]["code"], code, "{query}: {error}");
        assert!(error["message"].as_str().unwrap().contains(message), "{query}: {error}");
    }
    record(&api, [blocked("one")]).await;
    let error = refusal(&api, &zone("firewallEventsAdaptive { ray }")).await;
    assert_eq!(error["path"], json!(["viewer", "zones", "firewallEventsAdaptive"]));
    assert_eq!(error["locations"][0]["line"], 1);
    let bearer = format!("Bearer {}", api.secret);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let broken = api.send(Method::POST, "/client/v4/graphql", &headers, b"{".to_vec()).await;
    assert_eq!(
        (broken.refusal().0, broken.refusal().1),
        (400, 6_007),
        "what is no request at all is told as elsewhere"
    );
}

#[tokio::test]
async fn a_query_is_answered_at_its_limits_and_refused_one_past_them() {
    let api = Api::start().await;
    let fields =
        |count: usize| format!("{{ {} }}", (0..count).map(|n| format!("a{n}: __typename ")).collect::<String>());
    let lists = |count: usize| {
        let lists: String = (0..count).map(|n| format!("e{n}: firewallEventsAdaptive {{ rayName }} ")).collect();
        format!("{{ viewer {{ zones(filter: {{ zoneTag: \"{ZONE}\" }}) {{ {lists} }} }} }}")
    };
    // The operation itself is one level, and each fragment another.
    let deep = |levels: usize| format!("{{ {} __typename {} }}", "... { ".repeat(levels - 1), "}".repeat(levels - 1));
    // `AND` is one of them.
    let conditions = |count: usize| {
        let filter = vec!["{ action: \"block\" }"; count - 1].join(", ");
        let list = format!("firewallEventsAdaptive(filter: {{ AND: [{filter}] }}) {{ rayName }}");
        format!("{{ viewer {{ zones(filter: {{ zoneTag: \"{ZONE}\" }}) {{ {list} }} }} }}")
    };
    let long = |bytes: usize| format!("{{ __typename }}{}", " ".repeat(bytes - "{ __typename }".len()));
    for (query, past) in [
        (fields(MAX_FIELDS), fields(MAX_FIELDS + 1)),
        (lists(MAX_LISTS), lists(MAX_LISTS + 1)),
        (deep(MAX_DEPTH), deep(MAX_DEPTH + 1)),
        (conditions(MAX_CONDITIONS), conditions(MAX_CONDITIONS + 1)),
        (long(MAX_QUERY), long(MAX_QUERY + 1)),
    ] {
        let body = ask(&api, &query, json!({})).await;
        assert_eq!(body["errors"], Value::Null, "{body}");
        assert_eq!(ask(&api, &past, json!({})).await["data"], Value::Null);
    }
    let limit = format!("limit: {MAX_LIMIT}");
    assert_eq!(rays(&api, &limit).await, [""; 0]);
    // Fragments that name each other twice would select 2^20 fields.
    let bomb: String = (0..14).map(|n| format!("fragment F{n} on Q {{ ...F{0} ...F{0} }} ", n + 1)).collect();
    let error = refusal(&api, &format!("{{ ...F0 }} {bomb} fragment F14 on Q {{ a: __typename }}")).await;
    assert!(error["message"].as_str().unwrap().contains("fields are selected"), "{error}");
}

#[tokio::test]
async fn a_token_asks_for_its_zones_only() {
    let api = Api::start().await;
    let secret = api.token(&[Scope::Read], Some(&[OTHER_ZONE]), None).await;
    let bearer = format!("Bearer {secret}");
    for (zone, code) in [(ZONE, json!("authz")), (OTHER_ZONE, Value::Null)] {
        let query = format!("{{ viewer {{ zones(filter: {{ zoneTag: \"{zone}\" }}) {{ zoneTag }} }} }}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = serde_json::to_vec(&json!({ "query": query })).unwrap();
        let answer = api.send(Method::POST, "/client/v4/graphql", &headers, body).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["extensions"]["code"]), (StatusCode::OK, &code), "{zone}");
    }
    let nobody = api.send(Method::POST, "/client/v4/graphql", &[], Vec::new()).await;
    assert_eq!(nobody.refusal().0, 401);
}
