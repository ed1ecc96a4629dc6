//! What is this program's own: `/api/v1`.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::harness::{API, Api, OTHER_HOST, SHOP, WWW};
use crate::fixtures::ZONE;

fn path(rest: &str) -> String {
    format!("/api/v1/zones/{ZONE}{rest}")
}

#[tokio::test]
async fn a_mtls_rule_protects_the_hosts_that_are_named_or_all() {
    let api = Api::start().await;
    let make = |body: Value| api.post("/api/v1/zones/example.com/mtls-rules", body);
    let all = make(json!({ "name": "all" })).await.result();
    assert_eq!(
        all["expression"],
        format!(
            "(http.host in {{\"{API}\"}} and (not cf.tls_client_auth.cert_verified or cf.tls_client_auth.cert_revoked))"
        )
    );
    let refused = make(json!({ "name": "shop", "hosts": [SHOP] })).await;
    assert!(refused.refusal().2.contains(SHOP), "{}", refused.body);
    api.patch(&path(&format!("/hosts/{SHOP}")), json!({ "mtls": true })).await.result();
    let shop = make(json!({ "name": "shop", "hosts": [SHOP], "reject_revoked": false })).await.result();
    assert_eq!(shop["expression"], format!("(http.host in {{\"{SHOP}\"}} and not cf.tls_client_auth.cert_verified)"));
    let entry_point = "/client/v4/zones/example.com/rulesets/phases/http_request_firewall_custom/entrypoint";
    let seen = api.get(entry_point).await.result();
    assert_eq!(
        (&seen["rules"][1]["id"], &seen["rules"][1]["description"]),
        (&shop["id"], &json!("shop")),
        "seen elsewhere too"
    );
    for (body, status, pointer) in [
        (json!({ "name": "shop" }), 409, "/name"),
        (json!({ "name": " " }), 400, "/name"),
        (json!({ "name": "x", "hosts": [] }), 400, "/hosts"),
        (json!({ "name": "x", "hosts": [WWW] }), 400, "/hosts"),
        (json!({ "name": "x", "hosts": [OTHER_HOST] }), 400, "/hosts"),
    ] {
        let answer = make(body.clone()).await;
        assert_eq!((answer.refusal().0, answer.refusal().3), (status, pointer), "{body}: {}", answer.body);
    }
}

#[tokio::test]
async fn mtls_is_enabled_and_disabled_host_by_host() {
    let api = Api::start().await;
    let host = |name: &str| path(&format!("/hosts/{name}"));
    for (name, mtls, status) in [
        (WWW, true, 200),
        (WWW, true, 200),
        (WWW, false, 200),
        (WWW, false, 200),
        (API, true, 200),
        (API, false, 409),
        ("x", true, 400),
    ] {
        let answer = api.patch(&host(name), json!({ "mtls": mtls })).await;
        assert_eq!(answer.status.as_u16(), status, "{name} {mtls}: {}", answer.body);
        if status == 200 {
            assert_eq!(answer.result()["mtls"], mtls);
        }
    }
    let zone = api.get(&path("")).await.result();
    let expected = json!({ "name": API, "mtls": true, "configured": true });
    assert_eq!(zone["hosts"][0], expected);
}

#[tokio::test]
async fn a_rule_is_shown_changed_moved_and_deleted() {
    let api = Api::start().await;
    let make = |name: &str| {
        api.call(
            Method::POST,
            "/api/v1/zones/example.com/rules",
            json!({ "name": name, "expression": "ssl", "action": "block" }),
        )
    };
    let first = make("first").await.result();
    let second = make("second").await.result();
    let one = path(&format!("/rules/{}", second["id"].as_str().unwrap()));
    let response = json!({ "status_code": 451, "content_type": "text/plain", "content": "no" });
    for (body, field, expected) in [
        (json!({ "name": "renamed" }), "name", json!("renamed")),
        (json!({ "enabled": false }), "enabled", json!(false)),
        (json!({ "expression": "not ssl" }), "expression", json!("not ssl")),
        (json!({ "response": response }), "response", response.clone()),
        (json!({ "name": "again" }), "response", response.clone()),
        (json!({ "action": "log" }), "action", json!("log")),
    ] {
        assert_eq!(api.patch(&one, body.clone()).await.result()[field], expected, "{body}");
    }
    let shown = api.get(&one).await.result();
    assert_eq!((&shown["name"], &shown["enabled"], &shown["response"]), (&json!("again"), &json!(false), &Value::Null));
    api.patch(&one, json!({ "position": { "before": first["id"] } })).await.result();
    let order = api.get(&path("/rules")).await.result();
    assert_eq!((&order[0]["id"], &order[1]["id"]), (&second["id"], &first["id"]));
    assert_eq!(api.delete(&format!("{one}?dry_run=true")).await.status, StatusCode::OK);
    assert_eq!(api.get(&one).await.status, StatusCode::OK);
    api.delete(&one).await.result();
    assert_eq!(api.delete(&one).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_expression_is_checked_with_spans_and_warnings() {
    let api = Api::start().await;
    let check = |expression: &str| {
        api.call(Method::POST, "/api/v1/zones/example.com/expressions/check", json!({ "expression": expression }))
    };
    let wrong = check("http.host == foo").await.result();
    assert_eq!((&wrong["valid"], &wrong["errors"][0]["source"]["span"]["start"]), (&json!(false), &json!(13)));
    let right = check("http.host == \"api.example.com\" && ssl").await.result();
    assert_eq!((&right["valid"], &right["errors"]), (&json!(true), &json!([])));
    assert!(right["canonical"].as_str().unwrap().contains("and"), "{right}");
    let warned = check("not cf.tls_client_auth.cert_verified").await.result();
    assert!(!warned["warnings"].as_array().unwrap().is_empty(), "{warned}");
}

#[tokio::test]
async fn a_certificate_authority_is_rotated_with_overlap() {
    let api = Api::start().await;
    let before = api.get(&path("/ca")).await.result();
    let retired = path(&format!("/cas/{}", before["id"].as_str().unwrap()));
    assert_eq!(api.delete(&retired).await.status, StatusCode::CONFLICT, "it issues");
    let after = api.post(&path("/ca/rotate"), Value::Null).await.result();
    assert_ne!(after["id"], before["id"]);
    let states: Vec<_> =
        api.get(&path("/cas")).await.result().as_array().unwrap().iter().map(|ca| ca["state"].clone()).collect();
    assert_eq!(states.iter().filter(|state| *state == "issuing").count(), 1, "{states:?}");
    assert_eq!(states.len(), 2);
    api.delete(&retired).await.result();
    assert_eq!(api.get(&path("/cas")).await.result().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_export_is_whole_and_holds_no_open_secret() {
    let api = Api::start().await;
    let bearer = format!("Bearer {}", api.token(&[crate::model::Scope::Admin], None, None).await);
    let answer = api.send(Method::GET, "/api/v1/store/export", &[("authorization", &bearer)], Vec::new()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let (revision, state) = crate::store::import(&mut answer.bytes.as_slice()).unwrap();
    assert_eq!((state, revision.number()), api.control.state().await);
    assert!(!String::from_utf8_lossy(&answer.bytes).contains("PRIVATE KEY"));
}

#[tokio::test]
async fn zones_and_their_settings_are_told_as_they_are() {
    let api = Api::start().await;
    let named = api.get(&format!("/client/v4/zones?name={ZONE}&status=active&page=1")).await.result();
    assert_eq!(named[0]["name"], ZONE);
    for query in ["name=unknown.example", "status=pending", "account.id=x", "page=2"] {
        assert_eq!(api.get(&format!("/client/v4/zones?{query}")).await.result(), json!([]), "{query}");
    }
    let setting = |name: &str| format!("/client/v4/zones/{}/settings/{name}", named[0]["id"].as_str().unwrap());
    for (name, value) in [("min_tls_version", json!("1.2")), ("tls_1_3", json!("on")), ("0rtt", json!("off"))] {
        let shown = api.get(&setting(name)).await.result();
        assert_eq!((&shown["value"], &shown["editable"]), (&value, &json!(false)));
        assert_eq!(api.patch(&setting(name), json!({ "value": value })).await.result(), shown, "as it is");
        let refused = api.patch(&setting(name), json!({ "value": "x" })).await;
        assert_eq!(refused.refusal().3, "/value");
    }
    assert_eq!(api.get(&setting("tls_client_auth")).await.status, StatusCode::NOT_FOUND, "it is another feature");
    let headers = format!("/client/v4/zones/{ZONE}/managed_headers");
    let shown = api.get(&headers).await.result();
    assert_eq!(shown["managed_request_headers"][0]["enabled"], false);
    let body = |enabled: bool| json!({ "managed_request_headers": [{ "id": "add_client_certificate_headers", "enabled": enabled }], "managed_response_headers": [] });
    assert_eq!(api.patch(&headers, body(false)).await.result(), shown);
    assert!(api.patch(&headers, body(true)).await.refusal().2.contains("forward_client_cert"));
}

#[tokio::test]
async fn metrics_and_what_passes_the_workers_are_shown_to_whoever_may_read() {
    let api = Api::start().await;
    for path in ["/api/v1/flows", "/api/v1/penalties"] {
        assert_eq!(api.get(path).await.result(), json!([]), "{path}");
    }
    let answer = api.get("/metrics").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["content-type"], crate::telemetry::METRICS_TYPE);
    let text = String::from_utf8(answer.bytes).unwrap();
    for expected in ["# TYPE mtls_filter_requests counter", "mtls_filter_generation{} ", "# EOF"] {
        assert!(text.lines().any(|line| line.starts_with(expected)), "{expected} is not in\n{text}");
    }
    for path in ["/metrics", "/api/v1/flows", "/api/v1/penalties"] {
        let answer = api.send(Method::GET, path, &[], Vec::new()).await;
        assert!(answer.status.is_client_error(), "{path} without a token: {}", answer.status);
    }
    let absent = api.delete("/api/v1/penalties/192.0.2.1").await;
    assert_eq!((absent.refusal().0, absent.refusal().2), (404, "192.0.2.1 is not in the penalty box"));
    assert_eq!(api.delete("/api/v1/penalties/nobody").await.refusal().0, 404);
}

#[tokio::test]
async fn the_document_is_the_one_that_is_checked_in() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    let current = super::super::document().to_pretty_json().unwrap() + "\n";
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        checked_in == current,
        "docs/openapi.json is out of date: run `mtls-filter openapi > docs/openapi.json`, and look at what changed"
    );
}
