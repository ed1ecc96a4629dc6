//! Who may do what.

use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::harness::{API, Api, OTHER_ZONE, WWW, etag};
use crate::control::attempts::FAILURES;
use crate::fixtures::ZONE;
use crate::model::{Scope, Timestamp};

#[tokio::test]
async fn every_way_to_send_a_token_is_taken_and_nothing_else_is() {
    let api = Api::start().await;
    let good = api.token(&[Scope::Read], None, None).await;
    let expired = api.token(&[Scope::Read], None, Some(Timestamp::from_unix_seconds(1))).await;
    let bearer = |secret: &str| format!("Bearer {secret}");
    let (good_bearer, bad_bearer, expired_bearer) = (bearer(&good), bearer("mtf_x"), bearer(&expired));
    let table = [
        (&[("authorization", good_bearer.as_str())][..], 200, 0),
        (&[("x-auth-email", "a@example.com"), ("x-auth-key", &good)], 200, 0),
        (&[("x-auth-user-service-key", &good)], 200, 0),
        (&[("authorization", &bad_bearer)], 401, 10_000),
        (&[("authorization", &expired_bearer)], 401, 10_000),
        (&[("authorization", "Basic eDp5")], 401, 9_106),
        (&[("x-auth-email", "a@example.com")], 401, 9_106),
        (&[("cookie", &good)], 401, 9_106),
        (&[], 401, 9_106),
    ];
    for (headers, status, code) in table {
        let answer = api.send(Method::GET, "/client/v4/zones", headers, Vec::new()).await;
        assert_eq!(answer.status.as_u16(), status, "{headers:?}");
        if status != 200 {
            assert_eq!(answer.refusal().1, code, "{headers:?}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn no_route_is_open_without_a_token_but_the_document_and_its_page() {
    let api = Api::start().await;
    let document = super::super::document();
    let mut closed = 0;
    for path in document.paths.paths.keys() {
        let path = path.replace(['{', '}'], "");
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let answer = api.send(method.clone(), &path, &[], Vec::new()).await;
            assert!(
                matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS),
                "{method} {path}: {}",
                answer.status
            );
            closed += 1;
        }
    }
    assert!(closed > 100, "{closed}");
    assert_eq!(api.send(Method::GET, "/", &[], Vec::new()).await.status, StatusCode::TOO_MANY_REQUESTS);
    for open in ["/api/openapi.json", "/api/docs/"] {
        assert_eq!(api.send(Method::GET, open, &[], Vec::new()).await.status, StatusCode::OK, "{open}");
    }
}

#[tokio::test]
async fn scopes_and_zones_bound_what_a_token_may_do() {
    let api = Api::start().await;
    let read = api.token(&[Scope::Read], None, None).await;
    let rules = api.token(&[Scope::Rules], None, None).await;
    let certificates = api.token(&[Scope::Certificates], None, None).await;
    let zone = api.token(&[Scope::Rules, Scope::Certificates], Some(&[ZONE]), None).await;
    let admin = api.token(&[Scope::Admin], None, None).await;
    let zone_admin = api.token(&[Scope::Admin], Some(&[ZONE]), None).await;
    let rule = json!({ "name": "r", "expression": "ssl", "action": "log" });
    let hosts = json!({ "hostnames": [API, WWW] });
    let (own, other) = (format!("/api/v1/zones/{ZONE}/rules"), format!("/api/v1/zones/{OTHER_ZONE}/rules"));
    let associations = format!("/client/v4/zones/{ZONE}/certificate_authorities/hostname_associations");
    let (post, put, get) = (Method::POST, Method::PUT, Method::GET);
    let table = [
        (&read, &get, &own, Value::Null, 200),
        (&read, &post, &own, rule.clone(), 403),
        (&read, &put, &associations, hosts.clone(), 403),
        (&rules, &post, &own, rule.clone(), 200),
        (&rules, &put, &associations, hosts.clone(), 403),
        (&certificates, &post, &own, rule.clone(), 403),
        (&certificates, &put, &associations, hosts.clone(), 200),
        (&zone, &post, &own, rule.clone(), 200),
        (&zone, &post, &other, rule.clone(), 403),
        (&zone, &get, &other, Value::Null, 403),
        (&zone, &get, &"/api/v1/status".to_owned(), Value::Null, 403),
        (&zone_admin, &get, &"/api/v1/tokens".to_owned(), Value::Null, 403),
        (&rules, &get, &"/api/v1/tokens".to_owned(), Value::Null, 403),
        (&rules, &get, &"/api/v1/store/export".to_owned(), Value::Null, 403),
        (&admin, &get, &"/api/v1/tokens".to_owned(), Value::Null, 200),
        (&admin, &post, &other, rule.clone(), 200),
    ];
    for (token, method, path, body, status) in table {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let answer = api.send(method.clone(), path, &headers, bytes).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.body);
    }
    let bearer = format!("Bearer {zone}");
    let zones = api.send(Method::GET, "/client/v4/zones", &[("authorization", &bearer)], Vec::new()).await.result();
    assert_eq!(zones.as_array().unwrap().len(), 1, "a token sees its own zones only");
}

#[tokio::test]
async fn failures_are_audited_up_to_a_limit_and_a_good_token_is_always_taken() {
    let api = Api::start().await;
    let generation = api.generation().await;
    let bad = [("authorization", "Bearer mtf_wrong")];
    for _ in 0..FAILURES {
        assert_eq!(api.send(Method::GET, "/client/v4/user", &bad, Vec::new()).await.status, StatusCode::UNAUTHORIZED);
    }
    for _ in 0..3 {
        let answer = api.send(Method::GET, "/client/v4/user", &bad, Vec::new()).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        let wait: u64 = answer.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
    }
    let refused = api.get("/api/v1/audit/refused?limit=1000").await.result();
    let refused = refused.as_array().unwrap();
    assert_eq!(refused.len(), FAILURES as usize + 1, "one more says that there are more");
    assert_eq!(refused[1]["request"], "GET /client/v4/user");
    assert_eq!(refused[1]["origin"], "127.0.0.1");
    assert!(
        !refused.iter().any(|refusal| refusal.to_string().contains("mtf_wrong")),
        "no secret is kept, not even a bad one"
    );
    assert_eq!(api.generation().await, generation, "the state is the same");
}

#[tokio::test]
async fn a_page_of_another_origin_gets_nothing() {
    let api = Api::start().await;
    let secret = api.token(&[Scope::Admin], None, None).await;
    let bearer = format!("Bearer {secret}");
    let token = ("authorization", bearer.as_str());
    let (json, form) = (("content-type", "application/json"), ("content-type", "text/plain"));
    let table: &[(&[(&str, &str)], u16)] = &[
        (&[token, json, ("host", "evil.example.com")], 403),
        (&[token, json, ("origin", "https://evil.example.com")], 403),
        (&[token, json, ("origin", "null")], 403),
        (&[token, form], 415),
        (&[token, ("content-type", "application/x-www-form-urlencoded")], 415),
        (&[token], 415),
        (&[token, ("content-type", "application/json; charset=utf-8")], 200),
    ];
    let rule = json!({ "name": "r", "expression": "ssl", "action": "log" }).to_string();
    for (headers, status) in table {
        let path = format!("/api/v1/zones/{ZONE}/rules");
        let answer = api.send(Method::POST, &path, headers, rule.clone().into_bytes()).await;
        assert_eq!(answer.status.as_u16(), *status, "{headers:?}: {}", answer.body);
    }
    let page = api.send(Method::GET, "/api/docs/", &[("host", "evil.example.com")], Vec::new()).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "the page is not rebound either");
}

#[tokio::test]
async fn a_stale_writer_is_refused_and_nothing_is_changed() {
    let api = Api::start().await;
    let secret = api.token(&[Scope::Admin], None, None).await;
    let bearer = format!("Bearer {secret}");
    let known = etag(&api.get(&format!("/client/v4/zones/{ZONE}/rulesets")).await).number();
    let rule = json!({ "name": "r", "expression": "ssl", "action": "log" }).to_string().into_bytes();
    let path = format!("/api/v1/zones/{ZONE}/rules");
    for (tag, status) in [
        (format!("\"{known}\""), 200),
        (format!("\"{known}\""), 409),
        (known.to_string(), 409),
        ((known + 1).to_string(), 200),
        ("*".to_owned(), 200),
        ("yesterday".to_owned(), 400),
    ] {
        let headers =
            [("authorization", bearer.as_str()), ("content-type", "application/json"), ("if-match", tag.as_str())];
        let before = api.generation().await;
        let answer = api.send(Method::POST, &path, &headers, rule.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{tag}: {}", answer.body);
        assert_eq!(api.generation().await, before + u64::from(status == 200), "{tag}");
        if status == 409 {
            assert_eq!(answer.headers["x-should-retry"], "false", "the SDKs must not try again");
            assert!(answer.refusal().2.contains("changed by somebody else"), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn the_audit_says_who_did_what_with_before_and_after() {
    let api = Api::start().await;
    let rule = json!({ "name": "r", "expression": "ssl", "action": "log" });
    let written = api.post(&format!("/api/v1/zones/{ZONE}/rules"), rule).await.result();
    let audit = api.get("/api/v1/audit?limit=1").await.result();
    let record = &audit[0];
    assert_eq!(record["generation"], written["generation"]);
    assert!(record["actor"].as_str().unwrap().starts_with("first token ("), "{record}");
    assert_eq!((&record["origin"], &record["action"]), (&json!("127.0.0.1"), &json!("rule create")));
    assert_eq!(record["changes"][0]["before"], Value::Null);
    assert_eq!(record["changes"][0]["after"]["rules"][0]["expression"], "ssl");
    let before = record["generation"].as_u64().unwrap();
    let earlier = api.get(&format!("/api/v1/audit?before={before}&limit=1")).await.result();
    assert!(earlier[0]["generation"].as_u64().unwrap() < before);
    assert!(!audit.to_string().contains("secret_sha256"));
}

#[tokio::test]
async fn a_token_that_was_revoked_counts_no_more() {
    let api = Api::start().await;
    let made = api.post("/api/v1/tokens", json!({ "name": "ci", "scopes": ["read"], "days": 1 })).await.result();
    let bearer = format!("Bearer {}", made["secret"].as_str().unwrap());
    let verify = "/client/v4/user/tokens/verify";
    let headers = [("authorization", bearer.as_str())];
    let answer = api.send(Method::GET, verify, &headers, Vec::new()).await;
    assert_eq!(answer.body["messages"][0]["code"], 10_000);
    let verified = answer.result();
    assert_eq!((&verified["id"], &verified["status"]), (&made["id"], &json!("active")));
    assert!(verified["expires_on"].is_string());
    let twice = api.post("/api/v1/tokens", json!({ "name": "ci", "scopes": ["read"] })).await;
    assert_eq!(twice.status, StatusCode::CONFLICT, "{}", twice.body);
    let listed = api.get("/api/v1/tokens").await.result();
    assert!(!listed.to_string().contains("secret"), "{listed}");
    api.delete(&format!("/api/v1/tokens/{}", made["id"].as_str().unwrap())).await.result();
    assert_eq!(api.send(Method::GET, verify, &headers, Vec::new()).await.status, StatusCode::UNAUTHORIZED);
}
