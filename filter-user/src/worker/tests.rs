//! Behaviour of a worker: real sockets, real TLS, a real upstream, all on loopback.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsConnector;

use super::{Spawn, Worker, bind_listener};
use crate::config::{Config, Host};
use crate::datapath::Datapath;
use crate::fixtures::{add_authority, config, host, managed_authority, rule, state};
use crate::model::{CertificateRecord, Change, RuleAction, State, SubjectParts, Timestamp};
use crate::penalty::Offences;
use crate::pki::{CertificateRequest, ManagedAuthority, Validity};
use crate::revocation::RevocationSet;
use crate::snapshot::{Publisher, compile};
use crate::telemetry::{AccessLog, Event, EventAction, Events, Reason};

#[path = "revoke_tests.rs"]
mod revocation;

const HOST: &str = "api.example.com";
const MTLS_RULE: &str =
    r#"http.host == "api.example.com" and (not cf.tls_client_auth.cert_verified or cf.tls_client_auth.cert_revoked)"#;

/// A worker that serves [`HOST`], and its upstream.
pub(super) struct Fixture {
    pub(super) worker: Worker,
    address: SocketAddr,
    pub(super) config: Config,
    pub(super) state: State,
    authority: ManagedAuthority,
    revocations: RevocationSet,
    events: Events,
    generation: u64,
    pub(super) drain: watch::Sender<bool>,
    /// Addresses that were blocked.
    reported: mpsc::Receiver<IpAddr>,
}

/// A client certificate with its key.
struct Identity {
    record: CertificateRecord,
    key: PrivateKeyDer<'static>,
}

/// A path whose answer does not end.
const ENDLESS: &str = "/endless";

/// An upstream that answers every request with the names of its header fields, but for [`ENDLESS`].
async fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|request: Request<Incoming>| async move {
                let names: Vec<_> = request.headers().keys().map(|name| name.as_str().to_owned()).collect();
                let endless = || Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0; 16 * 1024])));
                Ok::<_, Infallible>(Response::new(if request.uri().path() == ENDLESS {
                    Either::Right(StreamBody::new(stream::repeat_with(endless)))
                } else {
                    Either::Left(Full::new(Bytes::from(names.join(" "))))
                }))
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

impl Fixture {
    pub(super) async fn new(rules: &[&str]) -> Self {
        Self::with(rules, |_| {}).await
    }

    /// With another configuration of the host.
    async fn with(rules: &[&str], configure: impl FnOnce(&mut Host)) -> Self {
        let mut host = host(HOST, true);
        configure(&mut host);
        host.termination.as_mut().unwrap().upstream.address = upstream().await;
        let config = config(vec![host]);
        let authority = managed_authority();
        let changes: Vec<_> =
            [add_authority(&authority)].into_iter().chain(rules.iter().map(|expression| rule(expression))).collect();
        let state = state(&changes);
        let revocations = RevocationSet::new();
        let listener = bind_listener("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (drain, draining) = watch::channel(false);
        let (recorder, events, _) = Events::start(AccessLog::off(), config.events.memory, None).unwrap();
        let (offences, reported) = Offences::queue();
        let (worker, _thread) = Worker::spawn(Spawn {
            index: 0,
            cpu: None,
            listeners: vec![listener],
            snapshot: Arc::new(compile(&config, &state, 1, None).unwrap()),
            revocations: revocations.reader(),
            geo: Arc::default(),
            origins: Arc::default(),
            relay_idle_timeout: Duration::from_secs(60),
            offences,
            recorder,
            draining,
        })
        .unwrap();
        Self { worker, address, config, state, authority, revocations, events, generation: 1, drain, reported }
    }

    /// Lets the worker end.
    pub(super) async fn end(&self) {
        self.drain.send_replace(true);
        while self.worker.fence().await.is_ok() {
            tokio::task::yield_now().await;
        }
    }

    fn identity(&self) -> Identity {
        let (request, key) = CertificateRequest::with_new_key(SubjectParts::default()).unwrap();
        let now = Timestamp::now().unix_time();
        let record = self.authority.issue(&request, Validity::days(1).unwrap(), now).unwrap();
        Identity { record, key: key.der().into() }
    }

    async fn deploy(&mut self, expression: &str) {
        self.deploy_change(rule(expression)).await;
    }

    async fn deploy_change(&mut self, change: Change) {
        self.state = self.state.apply(&[change]).unwrap().state;
        self.generation += 1;
        let snapshot = compile(&self.config, &self.state, self.generation, None).unwrap();
        self.worker.publish(Arc::new(snapshot)).await.unwrap();
    }

    /// How often `reason` was counted. A worker counts a connection in the poll that closes it, so a fence after the end of the
    /// connection comes after the count.
    async fn counted(&self, reason: Reason) -> u64 {
        self.worker.fence().await.unwrap();
        self.worker.counters().of(reason)
    }

    async fn connect(&self, sni: &str, identity: Option<&Identity>) -> std::io::Result<Client> {
        let mut roots = RootCertStore::empty();
        let (_, host) = self.config.hosts().next().unwrap();
        roots.add(host.termination.as_ref().unwrap().certificate.cert[0].clone()).unwrap();
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let tls = match identity {
            Some(Identity { record, key }) => {
                let chain = vec![CertificateDer::from_pem_slice(record.certificate.as_bytes()).unwrap()];
                builder.with_client_auth_cert(chain, key.clone_key()).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(sni.to_owned()).unwrap();
        let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Ok(Client(sender))
    }
}

struct Client(hyper::client::conn::http1::SendRequest<Empty<Bytes>>);

impl Client {
    async fn get(&mut self, host: &str) -> (StatusCode, String) {
        let request = Request::get("/").header("host", host).header("cf_cert_verified", "true");
        self.0.ready().await.unwrap();
        let response = self.0.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }
}

#[tokio::test]
async fn only_a_verified_certificate_gets_past_the_rule() {
    let fixture = Fixture::new(&[MTLS_RULE]).await;
    let other = Fixture::new(&[]).await;
    let (mine, foreign) = (fixture.identity(), other.identity());
    for (identity, expected) in
        [(None, StatusCode::FORBIDDEN), (Some(&mine), StatusCode::OK), (Some(&foreign), StatusCode::FORBIDDEN)]
    {
        let (status, _) = fixture.connect(HOST, identity).await.unwrap().get(HOST).await;
        assert_eq!(status, expected);
    }
    assert_eq!((fixture.counted(Reason::Blocked).await, fixture.counted(Reason::Proxied).await), (2, 1));
}

#[tokio::test]
async fn the_address_of_every_blocked_request_is_reported() {
    let mut fixture = Fixture::new(&["http.request.uri.path == \"/\" and http.host == \"api.example.com\""]).await;
    let mut client = fixture.connect(HOST, None).await.unwrap();
    for _ in 0..2 {
        assert_eq!(client.get(HOST).await.0, StatusCode::FORBIDDEN);
        assert_eq!(fixture.reported.recv().await, Some(IpAddr::from([127, 0, 0, 1])));
    }
    assert_eq!(client.get("www.example.com").await.0, StatusCode::MISDIRECTED_REQUEST);
    assert!(fixture.reported.try_recv().is_err(), "what no rule blocks");
}

#[tokio::test]
async fn a_revocation_and_its_end_hold_for_an_open_connection() {
    let fixture = Fixture::new(&[MTLS_RULE]).await;
    let identity = fixture.identity();
    let mut client = fixture.connect(HOST, Some(&identity)).await.unwrap();
    assert_eq!(client.get(HOST).await.0, StatusCode::OK);
    fixture.revocations.insert(identity.record.revocation_key);
    assert_eq!(client.get(HOST).await.0, StatusCode::FORBIDDEN);
    fixture.revocations.remove(&identity.record.revocation_key);
    assert_eq!(client.get(HOST).await.0, StatusCode::OK);
}

/// The events, oldest first, once there are so many.
async fn events(fixture: &Fixture, count: usize) -> Vec<Arc<Event>> {
    let mut tail = fixture.events.tail();
    loop {
        let events = fixture.events.after(0, count).events;
        if events.len() == count {
            return events;
        }
        tail.changed().await.unwrap();
    }
}

#[tokio::test]
async fn blocked_and_logged_requests_are_events_and_permitted_ones_are_not() {
    let mut fixture = Fixture::new(&[]).await;
    let identity = fixture.identity();
    fixture.connect(HOST, None).await.unwrap().get(HOST).await;
    let Change::AddRule { zone, rule: mut log, position } = rule("ssl") else { unreachable!() };
    log.action = RuleAction::Log;
    let log_id = log.id.to_string();
    fixture.deploy_change(Change::AddRule { zone, rule: log, position }).await;
    fixture.connect(HOST, Some(&identity)).await.unwrap().get(HOST).await;
    fixture.deploy(MTLS_RULE).await;
    fixture.connect(HOST, None).await.unwrap().get(HOST).await;
    fixture.connect(HOST, None).await.unwrap().get("www.example.com").await;
    let events = events(&fixture, 3).await;
    let [logged, blocked, misdirected] = [0, 1, 2].map(|index| &events[index].record);
    assert_eq!((logged.action, logged.reason, logged.status), (Some(EventAction::Log), Reason::Proxied, 200));
    assert_eq!((&logged.rule, &logged.logged, logged.generation), (&None, &vec![log_id.clone()], 2));
    let certificate = logged.certificate.as_ref().unwrap();
    assert_eq!(certificate.fingerprint_sha256, identity.record.fingerprint_sha256);
    assert!(certificate.verified && !certificate.revoked);
    assert_eq!((blocked.action, blocked.reason, blocked.status), (Some(EventAction::Block), Reason::Blocked, 403));
    assert_eq!(
        (&blocked.zone, &blocked.host, &blocked.method, &blocked.path),
        (&Some("example.com".into()), &HOST.into(), &"GET".into(), &"/".into())
    );
    assert!(blocked.rule.is_some() && blocked.certificate.is_none() && blocked.logged == [log_id]);
    let facts = blocked.facts.as_ref().unwrap();
    assert_eq!(facts["cf.tls_client_auth.cert_verified"], false);
    assert_eq!((misdirected.action, misdirected.reason), (Some(EventAction::Block), Reason::Misdirected));
    assert_eq!((&misdirected.zone, &misdirected.rule), (&Some("example.com".into()), &None));
}

#[tokio::test]
async fn a_published_rule_holds_for_an_open_connection() {
    let mut fixture = Fixture::new(&[]).await;
    let mut client = fixture.connect(HOST, None).await.unwrap();
    assert_eq!(client.get(HOST).await.0, StatusCode::OK);
    fixture.deploy(MTLS_RULE).await;
    assert_eq!(fixture.worker.counters().generation(), 2);
    assert_eq!(client.get(HOST).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_worker_that_has_ended_does_not_keep_the_others_from_a_new_rule() {
    let (dead, mut alive) = (Fixture::new(&[]).await, Fixture::new(&[]).await);
    let mut client = alive.connect(HOST, None).await.unwrap();
    dead.end().await;
    alive.state = alive.state.apply(&[rule(MTLS_RULE)]).unwrap().state;
    let snapshot = Arc::new(compile(&alive.config, &alive.state, 2, None).unwrap());
    let datapath = Datapath::open(&alive.config.edge, 0, &[], &snapshot, Arc::default()).unwrap();
    let publisher = Publisher::new(vec![dead.worker, alive.worker], datapath);
    let error = publisher.publish(&snapshot).await.unwrap_err();
    assert_eq!(error.to_string(), "worker 0 has ended");
    assert_eq!(client.get(HOST).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_host_of_a_request_is_the_host_of_its_connection() {
    let fixture = Fixture::new(&[]).await;
    for (host, expected) in [
        ("API.example.com:443", StatusCode::OK),
        ("api.example.com.", StatusCode::OK),
        ("www.example.com", StatusCode::MISDIRECTED_REQUEST),
        ("api.example.com/", StatusCode::BAD_REQUEST),
        ("", StatusCode::BAD_REQUEST),
    ] {
        let (status, _) = fixture.connect(HOST, None).await.unwrap().get(host).await;
        assert_eq!(status, expected, "{host:?}");
    }
}

#[tokio::test]
async fn an_upstream_sees_no_forged_names() {
    let fixture = Fixture::new(&[]).await;
    let (_, names) = fixture.connect(HOST, None).await.unwrap().get(HOST).await;
    let mut names: Vec<_> = names.split(' ').collect();
    names.sort_unstable();
    assert_eq!(names, ["host", "x-forwarded-for", "x-forwarded-proto", "x-ray-id"]);
}

#[tokio::test]
async fn an_unknown_name_is_refused_before_any_certificate_is_shown() {
    let fixture = Fixture::new(&[]).await;
    let error = fixture.connect("other.example.com", None).await.err().unwrap();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    assert_eq!(fixture.counted(Reason::UnknownHost).await, 1);
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_is_closed() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let fixture = Fixture::new(&[]).await;
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // The end may come as a reset, since the worker has not read what follows the first bytes.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty(), "{answer:?}");
    assert_eq!(fixture.counted(Reason::NotTls).await, 1);
}
