//! Behaviour of relayed connections: real sockets on loopback, an origin that the test plays itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::{Config, Host};
use crate::fixtures::{also_passed, config, host, passed, rule, state};
use crate::origins::Origins;
use crate::penalty::Offences;
use crate::revocation::RevocationSet;
use crate::snapshot::compile;
use crate::telemetry::{AccessLog, Events, Reason};
use crate::worker::{Spawn, Worker, bind_listener};

const HOST: &str = "www.example.com";
const PATIENCE: Duration = Duration::from_secs(20);

/// A worker that relays.
struct Fixture {
    worker: Worker,
    address: SocketAddr,
    config: Config,
    _drain: watch::Sender<bool>,
}

impl Fixture {
    fn new(host: Host) -> Self {
        Self::with_idle_timeout(host, Duration::from_secs(60))
    }

    fn with_idle_timeout(host: Host, relay_idle_timeout: Duration) -> Self {
        Self::on(bind_listener("127.0.0.1:0".parse().unwrap()).unwrap(), host, relay_idle_timeout)
    }

    fn on(listener: std::net::TcpListener, host: Host, relay_idle_timeout: Duration) -> Self {
        let config = config(vec![host]);
        let address = listener.local_addr().unwrap();
        let (drain, draining) = watch::channel(false);
        let (worker, _thread) = Worker::spawn(Spawn {
            index: 0,
            cpu: None,
            listeners: vec![listener],
            snapshot: Arc::new(compile(&config, &state(&[]), 1, None).unwrap()),
            revocations: RevocationSet::new().reader(),
            geo: Arc::default(),
            origins: Origins::of(&config),
            relay_idle_timeout,
            offences: Offences::default(),
            recorder: Events::start(AccessLog::off(), config.events.memory, None).unwrap().0,
            draining,
        })
        .unwrap();
        Self { worker, address, config, _drain: drain }
    }

    async fn deploy(&self, expression: &str) {
        let snapshot = compile(&self.config, &state(&[rule(expression)]), 2, None).unwrap();
        self.worker.publish(Arc::new(snapshot)).await.unwrap();
    }

    /// Waits until `reason` was counted `count` times.
    async fn counted(&self, reason: Reason, count: u64) {
        let wait = async {
            while self.worker.counters().of(reason) != count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{reason:?} was not counted {count} times"));
    }

    /// A client that has sent `hello`.
    async fn client(&self, hello: &[u8]) -> TcpStream {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        client.write_all(hello).await.unwrap();
        client
    }
}

async fn origin() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn accept(listener: &TcpListener) -> TcpStream {
    timeout(PATIENCE, listener.accept()).await.expect("a connection comes").unwrap().0
}

/// What a client says first.
fn hello() -> Vec<u8> {
    let config = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(config), HOST.try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

async fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    timeout(PATIENCE, stream.read_exact(&mut bytes)).await.expect("bytes come").unwrap();
    bytes
}

/// Reads on to the end: `Ok` is an orderly one, `Err` a reset.
async fn end(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("an end comes").map(|_| rest)
}

#[tokio::test]
async fn every_byte_arrives_as_it_was_sent_and_the_end_of_one_side_leaves_the_other_open() {
    let (listener, address) = origin().await;
    let fixture = Fixture::new(passed(HOST, &[address]));
    let hello = hello();
    // Enough for the pipe, and more than all socket buffers.
    let [up, down] =
        [3_000_001, 30_000_003].map(|length| (0..length).map(|n: u32| n.to_le_bytes()[1]).collect::<Vec<_>>());
    let mut client = fixture.client(&hello).await;
    let mut origin = accept(&listener).await;
    assert_eq!(read(&mut origin, hello.len()).await, hello);
    client.write_all(&up).await.unwrap();
    client.shutdown().await.unwrap();
    assert!(end(&mut origin).await.unwrap() == up, "to the origin, and then its end");
    let (sent, received) = tokio::join!(
        async {
            origin.write_all(&down).await.unwrap();
            origin.shutdown().await
        },
        end(&mut client)
    );
    sent.unwrap();
    assert!(received.unwrap() == down, "to the client, whose side is closed");
    fixture.counted(Reason::Relayed, 1).await;
    let report = fixture.worker.relays().await.unwrap();
    let totals = report.totals[HOST];
    assert_eq!((totals.opened, totals.closed, report.open.len()), (1, 1, 0));
    assert_eq!(totals.bytes, [hello.len() as u64 + 3_000_001, 30_000_003]);
}

#[tokio::test]
async fn an_origin_that_is_the_filter_itself_is_left_out() {
    let listener = bind_listener("127.0.0.1:0".parse().unwrap()).unwrap();
    let itself = listener.local_addr().unwrap();
    let fixture = Fixture::on(listener, passed(HOST, &[itself]), PATIENCE);
    let mut client = fixture.client(&hello()).await;
    assert!(end(&mut client).await.is_err());
    fixture.counted(Reason::OriginUnreachable, 1).await;
    assert_eq!(fixture.worker.counters().accepted(), 1);
}

#[tokio::test]
async fn a_hello_in_pieces_arrives_whole() {
    let (listener, address) = origin().await;
    let fixture = Fixture::new(passed(HOST, &[address]));
    let hello = hello();
    let mut client = fixture.client(&hello[..7]).await;
    for piece in [&hello[7..100], &hello[100..]] {
        tokio::task::yield_now().await;
        client.write_all(piece).await.unwrap();
    }
    assert_eq!(read(&mut accept(&listener).await, hello.len()).await, hello);
}

#[tokio::test]
async fn a_proxy_protocol_header_comes_first_if_the_host_has_it() {
    let (listener, address) = origin().await;
    let mut host = passed(HOST, &[address]);
    host.passthrough.as_mut().unwrap().proxy_protocol = true;
    let fixture = Fixture::new(host);
    let hello = hello();
    let client = fixture.client(&hello).await;
    let received = read(&mut accept(&listener).await, 28 + hello.len()).await;
    let header = super::proxy_protocol::header(client.local_addr().unwrap(), fixture.address);
    assert_eq!(received, [header, hello].concat());
}

#[tokio::test]
async fn a_reset_of_one_side_reaches_the_other() {
    let (listener, address) = origin().await;
    let fixture = Fixture::new(passed(HOST, &[address]));
    for client_resets in [true, false] {
        let mut client = fixture.client(&hello()).await;
        let mut origin = accept(&listener).await;
        read(&mut origin, 1).await;
        let (resetting, other) = if client_resets { (client, &mut origin) } else { (origin, &mut client) };
        resetting.set_zero_linger().unwrap();
        drop(resetting);
        end(other).await.map(|rest| rest.len()).expect_err("a reset");
    }
    fixture.counted(Reason::Relayed, 2).await;
}

#[tokio::test]
async fn the_next_origin_is_tried_and_without_any_the_client_is_reset() {
    let (listener, address) = origin().await;
    let (gone, refused) = origin().await;
    drop(gone);
    for order in [[address, refused], [refused, address]] {
        let fixture = Fixture::new(passed(HOST, &order));
        let _client = fixture.client(&hello()).await;
        accept(&listener).await;
    }
    let fixture = Fixture::new(passed(HOST, &[refused]));
    end(&mut fixture.client(&hello()).await).await.map(|rest| rest.len()).expect_err("a reset");
    fixture.counted(Reason::OriginUnreachable, 1).await;
}

#[tokio::test]
async fn a_connection_on_which_nothing_moves_is_closed() {
    let (listener, address) = origin().await;
    let fixture = Fixture::with_idle_timeout(passed(HOST, &[address]), Duration::from_millis(100));
    let mut client = fixture.client(&hello()).await;
    let mut origin = accept(&listener).await;
    end(&mut client).await.map(|rest| rest.len()).expect_err("a reset");
    end(&mut origin).await.map(|rest| rest.len()).expect_err("a reset");
    fixture.counted(Reason::RelayIdle, 1).await;
}

#[tokio::test]
async fn a_rule_ends_relayed_connections_before_its_deployment_returns() {
    let (listener, address) = origin().await;
    let fixture = Fixture::new(also_passed(host(HOST, false), &[address]));
    let mut client = fixture.client(&hello()).await;
    let mut origin = accept(&listener).await;
    read(&mut origin, 1).await;
    fixture.deploy(r#"http.host == "other.example.com""#).await;
    assert_eq!(fixture.worker.relays().await.unwrap().open.len(), 1, "not a rule about another host");
    fixture.deploy("http.request.method == \"PUT\"").await;
    assert_eq!(fixture.worker.relays().await.unwrap().open.len(), 0);
    end(&mut client).await.map(|rest| rest.len()).expect_err("a reset");
    end(&mut origin).await.map(|rest| rest.len()).expect_err("a reset");
    fixture.counted(Reason::RelayWithdrawn, 1).await;
    // And the next connection is terminated.
    let mut client = fixture.client(&hello()).await;
    assert_eq!(read(&mut client, 1).await, [22], "a ServerHello");
}

#[tokio::test]
async fn a_blocked_address_is_reset_on_new_and_on_open_connections() {
    let (listener, address) = origin().await;
    let fixture = Fixture::new(passed(HOST, &[address]));
    let mut open = fixture.client(&hello()).await;
    let mut origin = accept(&listener).await;
    read(&mut origin, 1).await;
    fixture.deploy("ip.src in {127.0.0.0/8}").await;
    end(&mut open).await.map(|rest| rest.len()).expect_err("a reset");
    end(&mut fixture.client(&hello()).await).await.map(|rest| rest.len()).expect_err("a reset");
    fixture.counted(Reason::RelayWithdrawn, 1).await;
    fixture.counted(Reason::Blocked, 1).await;
}
