//! Spliced connections on real links, with real TCP at both ends.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{IpAddr, Shutdown, TcpStream},
    process::Command,
    thread,
    time::Duration,
};

use filter_common::Reason;
use filter_tests::lab::CLIENT_IPV4;
use filter_user::kernel::{KernelPlan, Mode, Network};
use socket2::SockRef;

use crate::{
    corpus::{Extension, client_hello, server_name},
    splice_lab::{HOST, World, echo, hello, listen, noise, plan},
};

/// Sends `bytes` behind the hello, ends that direction, and expects all of it back.
pub(crate) fn exchange(stream: TcpStream, bytes: &[u8]) -> io::Result<()> {
    let mut reader = stream.try_clone()?;
    let mut writer = stream;
    let back = thread::scope(|scope| {
        let written = scope.spawn(|| {
            writer.write_all(bytes)?;
            writer.shutdown(Shutdown::Write)
        });
        let mut back = Vec::new();
        let read = reader.read_to_end(&mut back);
        written.join().unwrap().and(read).map(|_| back)
    })?;
    let expected = [&hello()[..], bytes].concat();
    assert_eq!(back.len(), expected.len());
    assert!(back == expected, "the bytes are not those that were sent");
    Ok(())
}

fn exchanges_by_both_families(name: &str, mode: Mode, bytes: &[u8]) {
    let world = World::new(name, mode);
    world.origin(echo);
    for to in listen() {
        let result = world.connect(to).and_then(|stream| exchange(stream, bytes));
        result.unwrap_or_else(|error| panic!("{to}: {error}: {:?}", world.counts()));
    }
    world.wait_until_no_flows();
    assert_eq!(world.packets(Reason::SpliceOpened), 2, "{:?}", world.counts());
    assert_eq!(world.packets(Reason::Internal), 0, "{:?}", world.counts());
}

#[test]
fn bytes_go_both_ways_unchanged_and_half_closes_are_kept_in_native_mode() {
    exchanges_by_both_families("native", Mode::Native, &noise(1 << 20));
}

#[test]
fn bytes_go_both_ways_unchanged_and_half_closes_are_kept_in_generic_mode() {
    exchanges_by_both_families("generic", Mode::Generic, &noise(1 << 20));
}

/// A world whose kernels have these settings: namespace (`client`, `origin`), name below `net/ipv4`, value.
fn world_with(name: &str, settings: &[(&str, &str, &str)]) -> World {
    let world = World::new(name, Mode::Native);
    for (role, setting, value) in settings {
        let namespace = if *role == "client" { &world.network.client } else { &world.network.origin };
        namespace.enter(|| Ok(fs::write(format!("/proc/sys/net/ipv4/{setting}"), value)?)).unwrap();
    }
    world
}

fn exchange_all(world: &World, bytes: &[u8]) {
    for to in listen() {
        let result = world.connect(to).and_then(|stream| exchange(stream, bytes));
        result.unwrap_or_else(|error| panic!("{to}: {error}: {:?}\n{:#?}", world.counts(), world.kernel.flows()));
    }
}

#[test]
fn whatever_the_kernels_of_client_and_origin_can_is_translated() {
    for (name, settings) in [
        ("nosack", &[("origin", "tcp_sack", "0")][..]),
        ("noscale", &[("origin", "tcp_window_scaling", "0")]),
        ("plain", &[("client", "tcp_timestamps", "0")]),
        ("cnoscale", &[("client", "tcp_window_scaling", "0")]),
        ("cnosack", &[("client", "tcp_sack", "0"), ("origin", "tcp_window_scaling", "0")]),
        ("neither", &[("client", "tcp_timestamps", "0"), ("origin", "tcp_timestamps", "0")]),
    ] {
        let world = world_with(name, settings);
        world.origin(echo);
        exchange_all(&world, &noise(1 << 20));
        world.wait_until_no_flows();
        assert_eq!(world.packets(Reason::SpliceOpened), 2, "{name}: {:?}", world.counts());
    }
}

#[test]
fn an_origin_without_timestamps_is_left_to_workers_for_clients_with_them() {
    let world = world_with("nots", &[("origin", "tcp_timestamps", "0")]);
    world.origin(echo);
    world.worker();
    for to in listen() {
        for round in 0..2 {
            assert_eq!(world.connect(to).and_then(answer).unwrap(), b"worker", "{to}, {round}: {:?}", world.counts());
        }
    }
    // What was found out at the first connection is known at the second.
    assert_eq!(world.packets(Reason::SpliceOpened), 2, "{:?}", world.counts());
    assert_eq!(world.packets(Reason::SpliceUnfit), 2, "{:?}", world.counts());
    assert!(world.kernel.flows().unwrap().is_empty());
}

fn answer(mut stream: TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 6];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn a_connection_that_the_origin_refuses_is_a_workers() {
    let world = World::new("refused", Mode::Native);
    world.worker();
    for to in listen() {
        assert_eq!(world.connect(to).and_then(answer).unwrap(), b"worker", "{to}: {:?}", world.counts());
    }
    assert_eq!(world.packets(Reason::SpliceRefused), 2, "{:?}", world.counts());
    assert!(world.kernel.flows().unwrap().is_empty());
}

#[test]
fn a_connection_that_the_origin_does_not_answer_is_a_workers_after_some_syns() {
    let world = World::new("silent", Mode::Native);
    world.network.origin.ip(&["link", "set", "origin0", "down"]).unwrap();
    world.worker();
    for to in listen() {
        assert_eq!(world.connect(to).and_then(answer).unwrap(), b"worker", "{to}: {:?}", world.counts());
    }
    assert_eq!(world.packets(Reason::SpliceRetried), 6, "{:?}", world.counts());
    assert_eq!(world.packets(Reason::SpliceNoOrigin), 2, "{:?}", world.counts());
    assert!(world.kernel.flows().unwrap().is_empty());
}

#[test]
fn a_host_that_is_protected_has_no_spliced_connection_any_more() {
    let mut world = World::new("protect", Mode::Native);
    world.origin(echo);
    world.worker();
    let mut streams: Vec<_> = listen().into_iter().map(|to| world.connect(to).unwrap()).collect();
    for stream in &mut streams {
        stream.read_exact(&mut vec![0; hello().len()]).unwrap();
    }
    let flows = world.kernel.flows().unwrap();
    assert_eq!(flows.len(), 2);
    assert!(flows.iter().all(|flow| flow.host == HOST && flow.from_client > 0 && !flow.opening), "{flows:#?}");
    let protected = KernelPlan::terminating([HOST]);
    assert_eq!(world.edge(|kernel| kernel.protect(&protected)).unwrap(), 2);
    assert!(world.kernel.flows().unwrap().is_empty());
    for stream in &mut streams {
        // Without a byte from here: both ends were told.
        let error = stream.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    let connections = world.network.origin.enter(|| Ok(established())).unwrap();
    assert_eq!(connections, "", "the origin was not told");
    for to in listen() {
        assert_eq!(world.connect(to).and_then(answer).unwrap(), b"worker");
    }
    world.edge(|kernel| kernel.apply(&plan(false))).unwrap();
    exchange_all(&world, b"spliced again");
    let counts = world.kernel.host_counters().unwrap();
    assert_eq!((counts[0].host.as_str(), counts[0].opened), (HOST, 4));
}

#[test]
fn a_network_that_is_denied_has_no_spliced_connection_any_more() {
    let mut world = World::new("denied", Mode::Native);
    world.origin(echo);
    let mut streams: Vec<_> = listen().into_iter().map(|to| world.connect(to).unwrap()).collect();
    for stream in &mut streams {
        stream.read_exact(&mut vec![0; hello().len()]).unwrap();
    }
    let network = Network::new(CLIENT_IPV4.into(), 24).unwrap();
    let denied = KernelPlan { deny: [network].into(), ..plan(false) };
    assert_eq!(world.edge(|kernel| kernel.protect(&denied)).unwrap(), 1);
    assert_eq!(streams[0].read(&mut [0; 1]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    let changes = world.edge(|kernel| kernel.apply(&denied)).unwrap();
    assert_eq!((changes.denied, changes.allowed), (1, 0));
    let flows = world.kernel.flows().unwrap();
    assert!(matches!(flows.as_slice(), [flow] if flow.client.is_ipv6()), "{flows:#?}");
    // The other family is not concerned.
    streams[1].write_all(b"still").unwrap();
    streams[1].read_exact(&mut [0; 5]).unwrap();
    let changes = world.edge(|kernel| kernel.apply(&plan(false))).unwrap();
    assert_eq!((changes.denied, changes.allowed), (0, 1));
    world.connect(listen()[0]).and_then(|stream| exchange(stream, b"allowed again")).unwrap();
}

fn established() -> String {
    let output = Command::new("ss").args(["-tnH", "state", "established"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_client_that_resets_takes_its_flow_along() {
    let world = World::new("reset", Mode::Native);
    world.origin(echo);
    for to in listen() {
        let mut stream = world.connect(to).unwrap();
        stream.read_exact(&mut vec![0; hello().len()]).unwrap();
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        drop(stream);
    }
    world.wait_until_no_flows();
    assert_eq!(world.network.origin.enter(|| Ok(established())).unwrap(), "");
}

#[test]
fn silent_connections_are_swept_away() {
    let mut world = World::new("idle", Mode::Native);
    world.origin(echo);
    let mut stream = world.connect(listen()[0]).unwrap();
    stream.read_exact(&mut vec![0; hello().len()]).unwrap();
    assert_eq!(world.sweep(Duration::from_secs(30)), 0);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(world.sweep(Duration::from_millis(200)), 1);
    assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn an_origin_is_told_who_the_client_is() {
    fn serve(mut stream: TcpStream) {
        let size = if stream.peer_addr().unwrap().is_ipv4() { 28 } else { 52 };
        let mut header = vec![0; size];
        stream.read_exact(&mut header).unwrap();
        stream.write_all(&header).unwrap();
        echo(stream);
    }
    let world = World::with("proxy", Mode::Native, &plan(true));
    world.origin(serve);
    for to in listen() {
        let mut stream = world.connect(to).unwrap();
        let client = stream.local_addr().unwrap();
        let (family, length) = if to.is_ipv4() { (0x11, 12) } else { (0x21, 36) };
        let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
        header.extend([family, 0, length]);
        for ip in [client.ip(), to.ip()] {
            match ip {
                IpAddr::V4(v4) => header.extend(v4.octets()),
                IpAddr::V6(v6) => header.extend(v6.octets()),
            }
        }
        header.extend(client.port().to_be_bytes().into_iter().chain(to.port().to_be_bytes()));
        let mut found = vec![0; header.len()];
        stream.read_exact(&mut found).unwrap();
        assert_eq!(found, header);
        exchange(stream, &noise(1 << 20)).unwrap();
    }
    world.wait_until_no_flows();
}

#[test]
fn a_hello_in_two_segments_is_spliced() {
    let world = World::new("long", Mode::Native);
    world.origin(echo);
    for to in listen() {
        let padding = Extension(21, vec![0; 1600]);
        let long = client_hello(&[server_name(HOST.as_bytes()), padding]);
        let mut stream = world.open(to).unwrap();
        stream.write_all(&long).unwrap();
        let mut back = vec![0; long.len()];
        stream.read_exact(&mut back).unwrap_or_else(|error| panic!("{to}: {error}: {:?}", world.counts()));
        assert_eq!(back, long);
    }
    assert_eq!(world.packets(Reason::SpliceOpened), 2, "{:?}", world.counts());
}

#[test]
fn a_lossy_link_slows_down_but_changes_nothing() {
    for (name, proxy_protocol) in [("lossy", false), ("lossyp", true)] {
        let mut world = World::with(name, Mode::Native, &plan(proxy_protocol));
        world.lose_frames();
        world.origin(if proxy_protocol { behind_header } else { echo });
        thread::scope(|scope| {
            for to in listen().into_iter().cycle().take(20) {
                let world = &world;
                scope.spawn(move || {
                    let result = world.connect(to).and_then(|stream| exchange(stream, &noise(50_000)));
                    result.unwrap_or_else(|error| panic!("{name}, {to}: {error}: {:?}", world.counts()));
                });
            }
        });
        assert_eq!(world.packets(Reason::Internal), 0);
        assert!(world.lost_frames() > 0, "nothing was lost: {:?}", world.counts());
    }
}

fn behind_header(mut stream: TcpStream) {
    let size = if stream.peer_addr().unwrap().is_ipv4() { 28 } else { 52 };
    stream.read_exact(&mut vec![0; size]).unwrap();
    echo(stream);
}
