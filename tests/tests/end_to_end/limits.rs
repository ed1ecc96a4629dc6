//! Limits that a peer can run into.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use filter_tests::lab::{EDGE_IPV4, Setup, WWW, patience};
use filter_tests::on_every_datapath;

on_every_datapath!(
    a_head_at_the_limit_is_served_and_one_past_it_is_too_large,
    as_many_fields_as_allowed_are_served_and_one_more_is_too_many,
    a_handshake_that_does_not_go_on_is_ended,
    bytes_that_are_not_tls_harm_nobody,
);

/// Longest request head: `MAX_HEAD` of the worker.
const MAX_HEAD: usize = 64 * 1024;
/// Most header fields: `MAX_HEADERS` of the worker.
const MAX_FIELDS: usize = 100;
/// The worker gives a client this long for its ClientHello (`HELLO_TIMEOUT`); the kernel's and the test's own slowness comes on top.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// A request whose head is `length` bytes long.
fn head_of(length: usize) -> String {
    let bare = format!("GET / HTTP/1.1\r\nHost: {WWW}\r\nX-Fill: \r\n\r\n").len();
    format!("GET / HTTP/1.1\r\nHost: {WWW}\r\nX-Fill: {}\r\n\r\n", "x".repeat(length - bare))
}

fn a_head_at_the_limit_is_served_and_one_past_it_is_too_large(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    for (length, expected) in [(MAX_HEAD / 2, 200), (MAX_HEAD, 200), (MAX_HEAD + 1, 431)] {
        let mut connection = lab.connect(WWW).open()?;
        connection.send(head_of(length).as_bytes())?;
        let response = connection.response().with_context(|| format!("{length} bytes"))?;
        assert_eq!(response.status, expected, "{length} bytes");
    }
    // A client that sends much more than that may be cut off while it still sends, and then sees no answer.
    let mut connection = lab.connect(WWW).open()?;
    let answer = connection.send(head_of(4 * MAX_HEAD).as_bytes()).and_then(|()| connection.response());
    assert!(answer.as_ref().map_or(true, |response| response.status == 431), "{answer:?}");
    assert_eq!(lab.echo.requests().len(), 2);
    Ok(())
}

fn as_many_fields_as_allowed_are_served_and_one_more_is_too_many(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    for (fields, expected) in [(MAX_FIELDS, 200), (MAX_FIELDS + 1, 431)] {
        // Host is one of them.
        let others: Vec<String> = (1..fields).map(|number| format!("X-{number}: y")).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let status = lab.connect(WWW).open()?.request("GET", "/", &others)?.status;
        assert_eq!(status, expected, "{fields} fields");
    }
    Ok(())
}

/// What the filter does to a client that sends `bytes` and then nothing: how long until the connection ends.
fn time_until_closed(lab: &filter_tests::lab::Lab, bytes: &[u8]) -> Result<Duration> {
    lab.network.client.enter(|| {
        let mut stream = TcpStream::connect(SocketAddr::new(EDGE_IPV4.into(), 443))?;
        stream.set_read_timeout(Some(HELLO_TIMEOUT + patience(2 * HELLO_TIMEOUT)))?;
        let start = Instant::now();
        stream.write_all(bytes)?;
        // An alert may come first; an end by reset is an end as well.
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                anyhow::bail!("still open after {:?}", start.elapsed())
            }
            _ => Ok(start.elapsed()),
        }
    })
}

fn a_handshake_that_does_not_go_on_is_ended(setup: Setup) -> Result<()> {
    let has_xdp = setup.datapath().has_xdp();
    let lab = setup.start()?;
    // The header of a record that is to hold 512 bytes, and the beginning of a ClientHello.
    let beginning = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    std::thread::scope(|scope| -> Result<()> {
        // Behind SYN cookies a client that says nothing has a connection in its own mind only: there is nothing to end.
        let silent = (!has_xdp).then(|| scope.spawn(|| time_until_closed(&lab, &[])));
        let begun = scope.spawn(|| time_until_closed(&lab, &beginning));
        for client in silent.into_iter().chain([begun]) {
            let took = client.join().expect("the client does not panic")?;
            assert!(took < HELLO_TIMEOUT + patience(HELLO_TIMEOUT), "ended after {took:?}");
        }
        Ok(())
    })?;
    assert_eq!(lab.curl(WWW).run()?.status()?, 200);
    Ok(())
}

fn bytes_that_are_not_tls_harm_nobody(setup: Setup) -> Result<()> {
    let mut lab = setup.start()?;
    let table: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        &[0; 4096],
        &[0xff; 4096],
        // SSLv2's ClientHello.
        &[0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10],
        // A record of no bytes, of the greatest length, of a length too great.
        &[0x16, 3, 1, 0, 0],
        &[0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff],
        &[0x16, 3, 1, 0xff, 0xff, 1],
    ];
    std::thread::scope(|scope| {
        let clients: Vec<_> = table.iter().map(|bytes| scope.spawn(|| time_until_closed(&lab, bytes))).collect();
        clients.into_iter().try_for_each(|client| client.join().expect("the client does not panic").map(drop))
    })?;
    assert!(lab.filter.is_running()?);
    assert_eq!(lab.curl(WWW).run()?.status()?, 200);
    Ok(())
}
