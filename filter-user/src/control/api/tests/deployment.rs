//! Deployed means enforced, by real workers, while requests flow.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsConnector;

use super::harness::{Api, WWW};

/// Changes, and how often one is made.
const CHANGES: u64 = 300;
const EACH: Duration = Duration::from_millis(10);

/// Clients at each worker.
const CLIENTS: usize = 2;

/// Requests on one connection before the next is opened.
const KEPT: u64 = 20;

/// How far the changes have come.
#[derive(Default)]
struct Changes {
    /// The newest that was asked for.
    asked: AtomicU64,
    /// The newest whose call has returned.
    returned: AtomicU64,
    over: AtomicBool,
}

/// A rule that answers every request with the number of the change that deployed it.
fn rule(change: u64) -> Value {
    json!({ "status_code": 451, "content_type": "text/plain", "content": change.to_string() })
}

async fn connect(edge: SocketAddr, tls: &Arc<ClientConfig>) -> SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(edge).await.unwrap();
    let name = WWW.try_into().unwrap();
    let stream = TlsConnector::from(tls.clone()).connect(name, stream).await.unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Asks until the changes are over; each answer must be by the rule that was in force when it was asked, or by one that came since. Says
/// how many answers there were.
async fn client(edge: SocketAddr, tls: Arc<ClientConfig>, changes: Arc<Changes>) -> u64 {
    let mut answers = 0;
    let mut connection = connect(edge, &tls).await;
    while !changes.over.load(Ordering::SeqCst) {
        answers += 1;
        if answers % KEPT == 0 {
            connection = connect(edge, &tls).await;
        }
        let oldest = changes.returned.load(Ordering::SeqCst);
        connection.ready().await.unwrap();
        let request = Request::get("/").header("host", WWW).body(Empty::new()).unwrap();
        let response = connection.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let newest = changes.asked.load(Ordering::SeqCst);
        let judged_by: u64 = str::from_utf8(&body).unwrap().parse().unwrap();
        assert!((oldest..=newest).contains(&judged_by), "{judged_by} is not of {oldest} to {newest}");
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_changes_a_second_lose_no_request_and_each_is_in_force_when_it_returns() {
    let api = Api::with_workers(2).await;
    let body = json!({ "name": "number", "expression": "ssl", "action": "block", "response": rule(0) });
    let made = api.post("/api/v1/zones/example.com/rules", body).await.result();
    let path = format!("/api/v1/zones/example.com/rules/{}", made["id"].as_str().unwrap());

    let mut roots = RootCertStore::empty();
    let host = api.control.config.hosts().map(|(_, host)| host).find(|host| host.name.as_str() == WWW).unwrap();
    roots.add(host.termination.as_ref().unwrap().certificate.cert[0].clone()).unwrap();
    let tls = Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
    let changes = Arc::new(Changes::default());
    let start = |edge: &SocketAddr| tokio::spawn(client(*edge, tls.clone(), changes.clone()));
    let clients: Vec<_> = api.edges.iter().flat_map(|edge| [edge; CLIENTS]).map(start).collect();

    let mut tick = tokio::time::interval(EACH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for change in 1..=CHANGES {
        tick.tick().await;
        changes.asked.store(change, Ordering::SeqCst);
        api.patch(&path, json!({ "response": rule(change) })).await.result();
        changes.returned.store(change, Ordering::SeqCst);
    }
    changes.over.store(true, Ordering::SeqCst);
    for client in clients {
        let answers = client.await.unwrap();
        assert!(answers > 0, "requests flowed");
    }
    let status = api.get("/api/v1/status").await.result();
    let workers = status["workers"].as_array().unwrap().iter().map(|worker| &worker["generation"]);
    assert_eq!(workers.collect::<Vec<_>>(), [&status["generation"]; 2], "{status}");
}
