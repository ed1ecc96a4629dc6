//! How connections that are passed on end, seen at the level of TCP: the test plays client and origin itself.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use filter_tests::lab::{EDGE_IPV4, Host, Lab, Setup, TLS_ORIGIN_IPV4, WWW};
use filter_tests::on_every_datapath;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use socket2::{Domain, SockRef, Socket, Type};

on_every_datapath!(
    the_end_of_one_side_leaves_the_other_open,
    a_reset_of_one_side_reaches_the_other,
    a_client_that_uses_its_port_again_is_served,
);

/// Where the test's own origin listens.
const ORIGIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(TLS_ORIGIN_IPV4), 7443);
/// How long a peer may stay silent.
const SILENCE: Duration = Duration::from_secs(20);

/// What a client says first.
fn hello() -> Result<Vec<u8>> {
    let config = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(config), WWW.try_into()?)?;
    let mut hello = Vec::new();
    client.write_tls(&mut hello)?;
    Ok(hello)
}

/// A filter in front of an origin that this test plays.
struct Stage {
    lab: Lab,
    origin: TcpListener,
}

impl Stage {
    fn new(setup: Setup) -> Result<Self> {
        let lab = setup.hosts([Host::passed(WWW, &[ORIGIN])]).start()?;
        let origin = lab.network.origin.enter(|| Ok(TcpListener::bind(ORIGIN)?))?;
        // Checks are connections too; they say nothing.
        while !lab.filter.status()?.origin_is_up(ORIGIN)? {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { lab, origin })
    }

    /// Connects, from `port` if it is not 0, and says hello. Returns both ends once the hello has arrived whole.
    fn connect(&self, port: u16) -> Result<(TcpStream, TcpStream)> {
        let hello = hello()?;
        let mut client: TcpStream = self.lab.network.client.enter(|| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.bind(&SocketAddr::from(([0, 0, 0, 0], port)).into())?;
            socket.connect(&SocketAddr::from((EDGE_IPV4, 443)).into())?;
            Ok(socket.into())
        })?;
        client.set_read_timeout(Some(SILENCE))?;
        client.write_all(&hello)?;
        loop {
            let (mut origin, _) = self.origin.accept()?;
            origin.set_read_timeout(Some(SILENCE))?;
            let mut received = vec![0; hello.len()];
            match origin.read_exact(&mut received) {
                Ok(()) => {
                    assert_eq!(received, hello);
                    return Ok((client, origin));
                }
                // A check.
                Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {}
                Err(error) => return Err(error).context("the hello did not arrive"),
            }
        }
    }
}

fn the_end_of_one_side_leaves_the_other_open(setup: Setup) -> Result<()> {
    let stage = Stage::new(setup)?;
    for client_ends_first in [true, false] {
        let (mut client, mut origin) = stage.connect(0)?;
        let (first, second) = if client_ends_first { (&mut client, &mut origin) } else { (&mut origin, &mut client) };
        first.write_all(b"the last of mine")?;
        first.shutdown(Shutdown::Write)?;
        let mut received = Vec::new();
        second.read_to_end(&mut received)?;
        assert_eq!(received, b"the last of mine");
        // Time for whoever is in between to think it is over.
        std::thread::sleep(Duration::from_millis(300));
        let long: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut other = second.try_clone()?;
        let content = long.clone();
        let writer =
            std::thread::spawn(move || other.write_all(&content).and_then(|()| other.shutdown(Shutdown::Write)));
        received.clear();
        first.read_to_end(&mut received)?;
        assert!(received == long, "{} of {} bytes came", received.len(), long.len());
        writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    }
    Ok(())
}

fn a_reset_of_one_side_reaches_the_other(setup: Setup) -> Result<()> {
    let stage = Stage::new(setup)?;
    for client_resets in [true, false] {
        let (client, origin) = stage.connect(0)?;
        let (resetting, mut other) = if client_resets { (client, origin) } else { (origin, client) };
        SockRef::from(&resetting).set_linger(Some(Duration::ZERO))?;
        drop(resetting);
        let error = other.read(&mut [0; 100]).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the client resets: {client_resets}");
    }
    Ok(())
}

fn a_client_that_uses_its_port_again_is_served(setup: Setup) -> Result<()> {
    let stage = Stage::new(setup)?;
    for round in 0..20 {
        let (mut client, mut origin) = stage.connect(41_000).with_context(|| format!("round {round}"))?;
        origin.write_all(b"welcome")?;
        let mut received = [0; 7];
        client.read_exact(&mut received)?;
        assert_eq!(&received, b"welcome");
        // Every other time the origin ends first, so that a client's and an origin's TIME_WAIT are both met.
        let (first, second) = if round % 2 == 0 { (&mut client, &mut origin) } else { (&mut origin, &mut client) };
        first.shutdown(Shutdown::Write)?;
        second.read_to_end(&mut Vec::new())?;
        second.shutdown(Shutdown::Write)?;
        first.read_to_end(&mut Vec::new())?;
        if round % 2 == 0 {
            // A client cannot use a port while it is in TIME_WAIT itself.
            SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
        }
    }
    Ok(())
}
