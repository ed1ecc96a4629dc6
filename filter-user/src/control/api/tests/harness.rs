//! The API over real HTTP: a real control plane, store and admin listener, without workers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::config::{Admin, AdminTls, Config};
use crate::control::crl::Crls;
use crate::control::tokens::{self, Grant, Secret};
use crate::control::{AdminServer, Author, Control, Current, Parts};
use crate::datapath::Datapath;
use crate::fixtures;
use crate::model::{Change, Scope, Timestamp, ZoneId};
use crate::origins::Origins;
use crate::penalty::Offences;
use crate::revocation::RevocationSet;
use crate::snapshot::{Publisher, compile};
use crate::store::{MasterKey, RedbStore, Revision};
use crate::telemetry::{AccessLog, Events, Recorder};
use crate::worker::{Spawn, Worker, bind_listener};

/// A host whose mTLS is enabled by the configuration.
pub(super) const API: &str = "api.example.com";
/// Hosts of which the configuration says nothing.
pub(super) const WWW: &str = "www.example.com";
pub(super) const SHOP: &str = "shop.example.com";
/// The second zone, with one host.
pub(super) const OTHER_ZONE: &str = "example.org";
pub(super) const OTHER_HOST: &str = "www.example.org";

/// A running API.
pub(super) struct Api {
    address: SocketAddr,
    /// Of a token that may do everything.
    pub(super) secret: String,
    pub(super) control: Arc<Control>,
    /// Of the state, and for files of tests.
    pub(super) directory: tempfile::TempDir,
    /// Where events come from, in place of workers.
    pub(super) recorder: Recorder,
    /// Where the workers listen.
    pub(super) edges: Vec<SocketAddr>,
    _drain: watch::Sender<bool>,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Null for a body that is no JSON.
    pub(super) body: Value,
    /// The body as it came.
    pub(super) bytes: Vec<u8>,
}

impl Answer {
    /// The result of a call that did what it was asked.
    #[track_caller]
    pub(super) fn result(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        assert_eq!(self.body["success"], true, "{}", self.body);
        self.body["result"].clone()
    }

    /// Status, and code, message and pointer of the first error, of a call that was refused.
    #[track_caller]
    pub(super) fn refusal(&self) -> (u16, u64, &str, &str) {
        let body = &self.body;
        assert_eq!((&body["success"], &body["result"]), (&json!(false), &Value::Null), "{} {body}", self.status);
        let error = &body["errors"][0];
        let text = |value: &'static str| error.pointer(value).and_then(Value::as_str).unwrap_or_default();
        let code = error["code"].as_u64().unwrap_or_default();
        (self.status.as_u16(), code, text("/message"), text("/source/pointer"))
    }
}

impl Api {
    /// Starts it, without workers.
    pub(super) async fn start() -> Self {
        Self::with_workers(0).await
    }

    /// Starts it, and so many workers, each with a listener.
    pub(super) async fn with_workers(count: usize) -> Self {
        let mut config =
            fixtures::config(vec![fixtures::host(API, true), fixtures::host(WWW, false), fixtures::host(SHOP, false)]);
        config.zones.extend(second_zone());
        let config = Arc::new(config);
        let store = RedbStore::in_memory().unwrap();
        let secret = tokens::first(&store).unwrap().unwrap();
        let master_key = MasterKey::from_bytes(&[7; 32]).unwrap();
        let (revision, state) = crate::control::authorities::ensure(&config, &store, &master_key).unwrap();
        let snapshot = Arc::new(compile(&config, &state, revision.number(), None).unwrap());
        let datapath = Datapath::open(&config.edge, 0, &[], &snapshot, Arc::default()).unwrap();
        let (recorder, events, _) = Events::start(AccessLog::off(), config.events.memory, None).unwrap();
        let revocations = RevocationSet::new();
        let listeners: Vec<_> = (0..count).map(|_| bind_listener(([127, 0, 0, 1], 0).into()).unwrap()).collect();
        let edges = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        let (drain, draining) = watch::channel(false);
        let worker = |(index, listener)| {
            let spawn = Spawn {
                index,
                cpu: None,
                listeners: vec![listener],
                snapshot: snapshot.clone(),
                revocations: revocations.reader(),
                geo: Arc::default(),
                origins: Arc::default(),
                relay_idle_timeout: Duration::from_secs(60),
                offences: Offences::default(),
                recorder: recorder.clone(),
                draining: draining.clone(),
            };
            Worker::spawn(spawn).unwrap().0
        };
        let workers = listeners.into_iter().enumerate().map(worker).collect();
        let directory = tempfile::tempdir().unwrap();
        let control = Control::new(Parts {
            origins: Origins::of(&config),
            config,
            access: AccessLog::off(),
            events,
            publisher: Publisher::new(workers, datapath),
            crls: Crls::open(directory.path(), &state, revocations.clone()).unwrap(),
            revocations,
            store: Arc::new(store),
            master_key,
            current: Current { revision, state, snapshot },
        });
        let admin = Admin { listen: ([127, 0, 0, 1], 0).into(), names: Vec::new(), tls: AdminTls::Plain };
        let server = AdminServer::bind(&admin, std::path::Path::new("unused")).unwrap();
        let address = server.url().strip_prefix("http://").unwrap().parse().unwrap();
        tokio::spawn(server.serve(control.clone(), std::future::pending()));
        Self { address, secret: secret.expose().to_owned(), control, directory, recorder, edges, _drain: drain }
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A secret that may do less.
    pub(super) async fn token(&self, scopes: &[Scope], zones: Option<&[&str]>, expires: Option<Timestamp>) -> String {
        let secret = Secret::generate();
        let grant = Grant {
            name: format!("{scopes:?} {zones:?}"),
            scopes: scopes.to_vec(),
            zones: zones.map(|zones| zones.iter().map(|zone| ZoneId::of_name(zone)).collect()),
            expires,
        };
        self.apply(vec![Change::AddToken(tokens::record(grant, &secret))]).await;
        secret.expose().to_owned()
    }

    /// Makes changes that no call could make.
    pub(super) async fn apply(&self, changes: Vec<Change>) {
        let intent = crate::control::Intent { author: Author::local(), action: "test", expected: None, dry_run: false };
        let plan = move |_: &crate::model::State| Ok::<_, crate::control::ControlError>((changes, ()));
        self.control.change(intent, plan).await.unwrap();
    }

    /// The revision of the store.
    pub(super) async fn generation(&self) -> u64 {
        self.control.state().await.1
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Value::Null).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    pub(super) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, body).await
    }

    pub(super) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, body).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, Value::Null).await
    }

    /// A call with the token that may do everything, and a body of any type.
    pub(super) async fn send_as_admin(&self, method: Method, path: &str, media_type: &str, body: Vec<u8>) -> Answer {
        let bearer = format!("Bearer {}", self.secret);
        self.send(method, path, &[("authorization", &bearer), ("content-type", media_type)], body).await
    }

    /// A call with the token that may do everything, and an `Accept` header.
    pub(super) async fn get_accepting(&self, path: &str, accept: &str) -> Answer {
        let bearer = format!("Bearer {}", self.secret);
        self.send(Method::GET, path, &[("authorization", &bearer), ("accept", accept)], Vec::new()).await
    }

    /// A call with the token that may do everything; no body for null.
    pub(super) async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(&body).unwrap() };
        let bearer = format!("Bearer {}", self.secret);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        self.send(method, path, &headers, bytes).await
    }

    /// A call with these headers, and a Host header unless there is one.
    pub(super) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header(header::HOST, self.address.to_string());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        connection.abort();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: head.status, headers: head.headers, body, bytes: bytes.to_vec() }
    }
}

fn second_zone() -> Vec<crate::config::Zone> {
    let Config { zones, .. } = fixtures::config(vec![fixtures::host(OTHER_HOST, false)]);
    let name = crate::config::HostName::parse(OTHER_ZONE).unwrap();
    zones.into_iter().map(|zone| crate::config::Zone { name: name.clone(), ..zone }).collect()
}

/// A certificate signing request of a new key, PEM.
pub(super) fn signing_request(common_name: &str) -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.serialize_request(&key).unwrap().pem().unwrap()
}

/// A self-signed certificate authority, PEM.
pub(super) fn authority(edit: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "corporate");
    edit(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

/// `Revision` is what `If-Match` names.
pub(super) fn etag(answer: &Answer) -> Revision {
    let tag = answer.headers.get(header::ETAG).unwrap().to_str().unwrap();
    Revision::new(tag.trim_matches('"').parse().unwrap())
}
