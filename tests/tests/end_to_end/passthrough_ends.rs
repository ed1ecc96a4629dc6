//! How connections that are passed on end, seen at the level of TCP: the test plays client and origin itself.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use filter_tests::lab::{EDGE_IPV4, EDGE_IPV6, Host, Lab, Setup, TLS_ORIGIN_IPV4, TLS_ORIGIN_IPV6, WWW, patience};
use filter_tests::on_every_datapath;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use socket2::{Domain, SockRef, Socket, Type};

use crate::waiting::{wait_for, wait_until_spliced};

on_every_datapath!(
    the_end_of_one_side_leaves_the_other_open,
    a_reset_of_one_side_reaches_the_other,
    a_client_that_uses_its_port_again_is_served,
);

/// Where the test's own origin listens, for clients of each family.
const ORIGINS: [SocketAddr; 2] =
    [SocketAddr::new(IpAddr::V4(TLS_ORIGIN_IPV4), 7443), SocketAddr::new(IpAddr::V6(TLS_ORIGIN_IPV6), 7443)];
/// Where clients connect to.
const EDGES: [SocketAddr; 2] =
    [SocketAddr::new(IpAddr::V4(EDGE_IPV4), 443), SocketAddr::new(IpAddr::V6(EDGE_IPV6), 443)];
/// Positions in these lists.
const FAMILIES: [usize; 2] = [0, 1];
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

/// Listens with room for the checks that come while the test is busy elsewhere.
fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// A filter in front of an origin that this test plays.
struct Stage {
    lab: Lab,
    origins: Vec<TcpListener>,
}

impl Stage {
    fn new(setup: Setup) -> Result<Self> {
        let lab = setup.hosts([Host::passed(WWW, &ORIGINS)]).start()?;
        let origins = lab.network.origin.enter(|| ORIGINS.into_iter().map(listen).collect())?;
        // Checks are connections too; they say nothing.
        let is_up = |origin| lab.filter.status()?.origin_is_up(origin);
        wait_for("both origins are up", || Ok(is_up(ORIGINS[0])? && is_up(ORIGINS[1])?))?;
        wait_until_spliced(&lab)?;
        Ok(Self { lab, origins })
    }

    /// Connects, from `port` if it is not 0, and says hello. Returns both ends once the hello has arrived whole.
    fn connect(&self, family: usize, port: u16) -> Result<(TcpStream, TcpStream)> {
        let hello = hello()?;
        let mut client: TcpStream = self.lab.network.client.enter(|| {
            let socket = Socket::new(Domain::for_address(EDGES[family]), Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            let own = if family == 0 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            socket.bind(&SocketAddr::new(own, port).into())?;
            socket.connect(&EDGES[family].into())?;
            Ok(socket.into())
        })?;
        client.set_read_timeout(Some(patience(SILENCE)))?;
        client.write_all(&hello)?;
        loop {
            let (mut origin, _) = self.origins[family].accept()?;
            origin.set_read_timeout(Some(patience(SILENCE)))?;
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
    for (family, client_ends_first) in FAMILIES.into_iter().flat_map(|family| [(family, true), (family, false)]) {
        let (mut client, mut origin) = stage.connect(family, 0)?;
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
    for (family, client_resets) in FAMILIES.into_iter().flat_map(|family| [(family, true), (family, false)]) {
        let (client, origin) = stage.connect(family, 0)?;
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
    for round in 0..40 {
        let family = round / 20;
        let (mut client, mut origin) = stage.connect(family, 41_000).with_context(|| format!("round {round}"))?;
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
