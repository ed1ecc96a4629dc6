//! Every route refuses what it cannot take with a 4xx in the envelope, and changes nothing. The routes are those of the OpenAPI document,
//! so that a new one is tried as well.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use utoipa::openapi::path::Operation;

use super::harness::Api;
use crate::fixtures::ZONE;

/// Every operation: method, path, and whether it takes a body.
pub(super) fn operations() -> Vec<(Method, String, bool)> {
    let document = super::super::document();
    let mut found = Vec::new();
    for (path, item) in document.paths.paths {
        let of = |method: Method, operation: Option<Operation>| {
            operation.map(|operation| (method, path.clone(), operation.request_body.is_some()))
        };
        found.extend(of(Method::GET, item.get));
        found.extend(of(Method::POST, item.post));
        found.extend(of(Method::PUT, item.put));
        found.extend(of(Method::PATCH, item.patch));
        found.extend(of(Method::DELETE, item.delete));
    }
    found
}

/// A path that leads somewhere: the parts that must exist do, the last ones may not.
async fn filled(api: &Api, path: &str) -> String {
    let account = api.get("/client/v4/accounts").await.result()[0]["id"].as_str().unwrap().to_owned();
    path.replace("{zone}", ZONE)
        .replace("{account}", &account)
        .replace("{scope}", "zones")
        .replace("{scope_id}", ZONE)
        .replace("{phase}", "http_request_firewall_custom")
        .replace("{host}", super::harness::WWW)
        .replace("{version}", "1")
        .replace("{setting}", "ssl")
        .replace("{certificate}", "023e105f-4ece-48ad-9ca3-1a8372d0c353")
        .replace("{authority}", "023e105f-4ece-48ad-9ca3-1a8372d0c353")
        .split('/')
        .map(|part| if part.starts_with('{') { "0".repeat(32) } else { part.to_owned() })
        .collect::<Vec<_>>()
        .join("/")
}

#[tokio::test]
async fn bodies_that_cannot_be_are_refused_on_every_route() {
    let api = Api::start().await;
    let secret = api.token(&[crate::model::Scope::Admin], None, None).await;
    let bearer = format!("Bearer {secret}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let generation = api.generation().await;
    let unknown = json!({ "nonsense": 1 }).to_string();
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let bodies: [&[u8]; 9] =
        [b"{", b"1", b"\"x\"", b"[1]", b"[[]]", b"null", b"{\"\xff\":1}", unknown.as_bytes(), deep.as_bytes()];
    let mut tried = 0;
    for (method, path, _) in operations().into_iter().filter(|(_, _, has_body)| *has_body) {
        let path = filled(&api, &path).await;
        for body in bodies {
            let answer = api.send(method.clone(), &path, &headers, body.to_vec()).await;
            let shown = String::from_utf8_lossy(body.get(..40.min(body.len())).unwrap()).into_owned();
            assert!(answer.status.is_client_error(), "{method} {path} {shown}: {} {}", answer.status, answer.body);
            let (_, code, message, _) = answer.refusal();
            assert!(code >= 1_000 && !message.is_empty(), "{method} {path} {shown}: {}", answer.body);
            tried += 1;
        }
    }
    assert!(tried > 200, "{tried}");
    assert_eq!(api.generation().await, generation, "nothing was changed");
}

#[tokio::test]
async fn bodies_that_are_too_long_are_refused_on_every_route() {
    let api = Api::start().await;
    let secret = api.token(&[crate::model::Scope::Admin], None, None).await;
    let bearer = format!("Bearer {secret}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let generation = api.generation().await;
    let long = format!("\"{}\"", "x".repeat(10 * 1024 * 1024)).into_bytes();
    // A list may be longer than that: it has a limit and a test of its own.
    let has_usual_limit = |path: &str| !path.ends_with("/crl/upload");
    let operations = operations().into_iter().filter(|(_, path, has_body)| *has_body && has_usual_limit(path));
    for (method, path, _) in operations {
        let path = filled(&api, &path).await;
        let answer = api.send(method.clone(), &path, &headers, long.clone()).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{method} {path}: {}", answer.body);
        assert_eq!(answer.refusal().1, 6_007);
    }
    assert_eq!(api.generation().await, generation);
}

#[tokio::test]
async fn names_of_what_is_not_there_are_refused_on_every_route() {
    let api = Api::start().await;
    let generation = api.generation().await;
    let long = "x".repeat(5_000);
    let names = ["x", "%00", "%ff", "..%2f..", "%22%3Cscript%3E", &long, "0", "-1", "00000000000000000000000000000000"];
    let mut tried = 0;
    for (method, path, has_body) in operations() {
        let Some(start) = path.rfind('{') else { continue };
        let (before, after) = path.split_at(start);
        let after = after.split_once('}').map_or("", |(_, after)| after);
        for name in names {
            let path = filled(&api, before).await + name + &filled(&api, after).await;
            let body = if has_body { json!({}) } else { Value::Null };
            let answer = api.call(method.clone(), &path, body).await;
            // A query for versions of a phase that has no rules finds none, and a setting of another zone is one.
            let is_empty = answer.status == StatusCode::OK && answer.body["result"] == json!([]);
            assert!(answer.status.is_client_error() || is_empty, "{method} {path}: {} {}", answer.status, answer.body);
            if !is_empty {
                let (_, code, message, _) = answer.refusal();
                assert!(code >= 1_000 && !message.is_empty(), "{method} {path}: {}", answer.body);
            }
            tried += 1;
        }
    }
    assert!(tried > 300, "{tried}");
    assert_eq!(api.generation().await, generation, "nothing was changed");
}

#[tokio::test]
async fn routes_that_are_not_there_say_so_as_cloudflare_does() {
    let api = Api::start().await;
    for (method, path) in [
        (Method::GET, "/client/v4/zones/example.com/dns_records"),
        (Method::GET, "/client/v4/zones/example.com/waiting_rooms"),
        (Method::POST, "/client/v4/zones"),
        (Method::PUT, "/client/v4/user"),
        (Method::GET, "/client/v4/things/x/access/certificates"),
        (Method::GET, "/nonsense"),
        (Method::GET, "/"),
    ] {
        let answer = api.call(method.clone(), path, Value::Null).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
        let codes: Vec<_> =
            answer.body["errors"].as_array().unwrap().iter().map(|error| error["code"].clone()).collect();
        assert_eq!(codes, [7_003, 7_000], "{method} {path}: {}", answer.body);
    }
}
