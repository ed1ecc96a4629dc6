//! Events: looked up, and followed.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::harness::{API, Api, OTHER_ZONE, signing_request};
use crate::control::MAX_FOLLOWERS;
use crate::fixtures::ZONE;
use crate::model::{Change, Scope};
use crate::telemetry::{AccessRecord, ClientCertificate, EventAction, Reason, blocked};

const EVENTS: &str = "/api/v1/zones/example.com/events";

/// Makes events happen, and waits until they can be seen.
pub(super) async fn record(api: &Api, records: impl IntoIterator<Item = AccessRecord>) {
    let mut tail = api.control.events.tail();
    let mut newest = tail.borrow_and_update().newest;
    for record in records {
        api.recorder.write(record);
        newest += 1;
    }
    tail.wait_for(|tail| tail.newest == newest).await.unwrap();
}

pub(super) fn logged(ray_id: &str) -> AccessRecord {
    AccessRecord {
        action: Some(EventAction::Log),
        reason: Reason::Proxied,
        rule: None,
        logged: vec!["f".repeat(32)],
        ..blocked(ray_id)
    }
}

fn rays(events: &Value) -> Vec<&str> {
    events.as_array().unwrap().iter().map(|event| event["ray_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn events_are_found_by_each_of_their_parts() {
    let api = Api::start().await;
    let created = json!({ "csr": signing_request("phone"), "validity_days": 1 });
    let certificate = api.post("/client/v4/zones/example.com/client_certificates", created).await.result();
    let fingerprint = certificate["fingerprint_sha256"].as_str().unwrap().to_owned();
    let of_certificate =
        blocked("cert").certificate.map(|known| ClientCertificate { fingerprint_sha256: fingerprint.clone(), ..known });
    let late = blocked("late").time + Duration::from_secs(3600);
    record(
        &api,
        [
            blocked("plain"),
            logged("logged"),
            AccessRecord { certificate: of_certificate, ..blocked("cert") },
            AccessRecord { host: "www.example.com".to_owned(), ..blocked("host") },
            AccessRecord { time: late, ..blocked("late") },
            AccessRecord { zone: Some(OTHER_ZONE.to_owned()), ..blocked("other") },
            AccessRecord { zone: None, ..blocked("none") },
        ],
    )
    .await;
    let rule = blocked("").rule.unwrap();
    let log_rule = "f".repeat(32);
    let id = certificate["id"].as_str().unwrap();
    for (query, expected) in [
        (String::new(), &["late", "host", "cert", "logged", "plain"][..]),
        ("host=WWW.example.com.".to_owned(), &["host"]),
        ("action=log".to_owned(), &["logged"]),
        ("action=block&host=api.example.com".to_owned(), &["late", "cert", "plain"]),
        (format!("rule={log_rule}"), &["logged"]),
        (format!("rule={rule}&limit=1"), &["late"]),
        (format!("certificate={id}"), &["cert"]),
        (format!("certificate={fingerprint}"), &["cert"]),
        ("certificate=a1b&limit=2".to_owned(), &["late", "host"]),
        ("ray_id=plain".to_owned(), &["plain"]),
        (
            "since=2026-11-18T12:00:00%2B01:00&until=2027-01-01T00:00:00Z".to_owned(),
            &["late", "host", "cert", "logged", "plain"],
        ),
        ("since=2027-01-01T00:00:00Z".to_owned(), &[]),
        ("until=2000-01-01T00:00:00Z".to_owned(), &[]),
    ] {
        let events = api.get(&format!("{EVENTS}?{query}")).await.result();
        assert_eq!(rays(&events), expected, "{query}");
    }
    let one = api.get(&format!("{EVENTS}/cert")).await.result();
    assert_eq!((&one["action"], &one["status"], &one["zone"]), (&json!("block"), &json!(403), &json!(ZONE)));
    assert_eq!((&one["rule"], &one["generation"]), (&json!(rule), &json!(3)));
    assert_eq!(one["certificate"]["fingerprint_sha256"], fingerprint);
    assert_eq!(one["facts"], json!({ "http.host": API }));
    for ray in ["other", "unknown"] {
        assert_eq!(api.get(&format!("{EVENTS}/{ray}")).await.refusal().0, 404, "{ray}");
    }
}

#[tokio::test]
async fn pages_join_without_gap_while_events_come() {
    let api = Api::start().await;
    record(&api, (0..5).map(|number| blocked(&number.to_string()))).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("{EVENTS}?limit=2&cursor={cursor}")).await;
        let after = page.body["result_info"]["cursors"]["after"].clone();
        seen.extend(rays(&page.result()).into_iter().map(str::to_owned));
        record(&api, [blocked("new")]).await;
        match after {
            Value::String(after) => cursor = after,
            _ => break,
        }
    }
    assert_eq!(seen, ["4", "3", "2", "1", "0"]);
}

#[tokio::test]
async fn a_query_that_makes_no_sense_is_refused_with_its_place() {
    let api = Api::start().await;
    for (query, pointer) in [
        ("since=yesterday", "/since"),
        ("until=1", "/until"),
        ("action=allow", "/action"),
        ("rule=1", "/rule"),
        ("certificate=phone", "/certificate"),
        ("limit=0", "/limit"),
        ("limit=1001", "/limit"),
        ("cursor=x", "/cursor"),
    ] {
        let answer = api.get(&format!("{EVENTS}?{query}")).await;
        assert_eq!((answer.refusal().0, answer.refusal().3), (400, pointer), "{query}: {}", answer.body);
    }
    assert_eq!(api.get(&format!("{EVENTS}?limit=1000")).await.status, StatusCode::OK);
    let unknown = format!("{EVENTS}?certificate=00000000-0000-4000-8000-000000000000");
    assert_eq!(api.get(&unknown).await.refusal().0, 404);
    let follow = [("last-event-id", "x")];
    let answer = api.send(Method::GET, &format!("{EVENTS}/follow"), &follow, Vec::new()).await;
    assert_eq!(answer.refusal().0, 401, "first of all, who asks");
}

#[tokio::test]
async fn a_token_sees_the_events_of_its_zones_only() {
    let api = Api::start().await;
    let secret = api.token(&[Scope::Read], Some(&[OTHER_ZONE]), None).await;
    let bearer = format!("Bearer {secret}");
    for (zone, status) in [(ZONE, 403), (OTHER_ZONE, 200)] {
        for rest in ["events", "events/follow"] {
            if rest == "events/follow" && status == 200 {
                continue;
            }
            let path = format!("/api/v1/zones/{zone}/{rest}");
            let answer = api.send(Method::GET, &path, &[("authorization", &bearer)], Vec::new()).await;
            assert_eq!(answer.status.as_u16(), status, "{path}");
        }
    }
}

/// Somebody who follows.
struct Follower(BufReader<TcpStream>);

impl Follower {
    async fn start(api: &Api, secret: &str, query: &str, header: &str) -> Self {
        let mut stream = TcpStream::connect(api.address()).await.unwrap();
        let request = format!(
            "GET {EVENTS}/follow{query} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {secret}\r\n{header}\r\n",
            api.address()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        Self(BufReader::new(stream))
    }

    /// The next line that begins with `prefix`, without it; `None` at the end.
    async fn next(&mut self, prefix: &str) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await.unwrap() == 0 {
                return None;
            }
            if let Some(rest) = line.strip_prefix(prefix) {
                return Some(rest.trim_end().to_owned());
            }
        }
    }

    async fn ray(&mut self) -> String {
        let data: Value = serde_json::from_str(&self.next("data: ").await.unwrap()).unwrap();
        data["ray_id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_follower_gets_what_he_asked_for_as_it_happens_and_goes_on_where_he_was() {
    let api = Api::start().await;
    record(&api, [blocked("before")]).await;
    let mut follower = Follower::start(&api, &api.secret, "?action=block", "").await;
    assert_eq!(follower.next("HTTP/1.1 ").await.unwrap(), "200 OK");
    assert_eq!(follower.next("content-type: ").await.unwrap(), "text/event-stream");
    follower.next("\r").await;
    record(&api, [blocked("one"), logged("passed over"), blocked("two")]).await;
    let id = follower.next("id: ").await;
    let first = id.unwrap_or_default();
    assert!(follower.next("data: ").await.is_some());
    assert_eq!(follower.ray().await, "two");
    let mut again = Follower::start(&api, &api.secret, "", &format!("last-event-id: {first}\r\n")).await;
    assert_eq!([again.ray().await, again.ray().await], ["passed over", "two"]);
    let mut all = Follower::start(&api, &api.secret, "", "last-event-id: 0\r\n").await;
    assert_eq!(all.ray().await, "before");
}

#[tokio::test]
async fn a_follower_goes_when_his_token_is_revoked_and_when_the_daemon_stops() {
    let api = Api::start().await;
    let secret = api.token(&[Scope::Read], None, None).await;
    let mut revoked = Follower::start(&api, &secret, "", "").await;
    let mut other = Follower::start(&api, &api.secret, "", "").await;
    for follower in [&mut revoked, &mut other] {
        assert_eq!(follower.next("HTTP/1.1 ").await.unwrap(), "200 OK");
    }
    let (state, _) = api.control.state().await;
    let token = crate::control::tokens::of_secret(&state, &secret).unwrap().id;
    api.apply(vec![Change::RemoveToken(token)]).await;
    record(&api, [blocked("secret")]).await;
    assert_eq!(revoked.next("data: ").await, None);
    assert_eq!(other.ray().await, "secret");
    api.control.events.end();
    assert_eq!(other.next("data: ").await, None);
}

#[tokio::test]
async fn as_many_may_follow_as_the_limit_says_and_one_more_when_one_goes() {
    let api = Api::start().await;
    let mut followers = Vec::new();
    for _ in 0..MAX_FOLLOWERS {
        let mut follower = Follower::start(&api, &api.secret, "", "").await;
        assert_eq!(follower.next("HTTP/1.1 ").await.unwrap(), "200 OK");
        followers.push(follower);
    }
    let mut refused = Follower::start(&api, &api.secret, "", "").await;
    assert_eq!(refused.next("HTTP/1.1 ").await.unwrap(), "429 Too Many Requests");
    drop(followers.pop());
    while api.control.followers.available_permits() == 0 {
        record(&api, [blocked("wakes whose client is gone")]).await;
        tokio::task::yield_now().await;
    }
    let mut follower = Follower::start(&api, &api.secret, "", "").await;
    assert_eq!(follower.next("HTTP/1.1 ").await.unwrap(), "200 OK");
}

#[tokio::test]
async fn a_follower_who_is_too_slow_is_told_what_he_missed() {
    let api = Api::start().await;
    let begin = api.control.events.tail().borrow().newest;
    // More than fits into the memory of the test's configuration.
    let size = 2_048;
    let count = api.control.config.events.memory / size + 1;
    for part in 0..count / 1_000 + 1 {
        let path = "p".repeat(size);
        record(&api, (0..1_000).map(|_| AccessRecord { path: path.clone(), ..blocked(&part.to_string()) })).await;
    }
    let header = format!("last-event-id: {}\r\n", begin + 1);
    let mut follower = Follower::start(&api, &api.secret, "", &header).await;
    assert_eq!(follower.next("event: ").await.unwrap(), "lost");
    assert!(follower.next("id: ").await.is_some());
}

#[tokio::test]
async fn status_tells_of_events() {
    let api = Api::start().await;
    record(&api, [blocked("one")]).await;
    let events = api.get("/api/v1/status").await.result()["events"].clone();
    assert_eq!(events, json!({ "recorded": 1, "dropped": 0, "kept": 1 }));
}
