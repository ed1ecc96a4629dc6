//! The program on a real link: a veth pair, the edge at one end, a client in a namespace of its own at the other.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    programs::{Xdp, XdpMode},
};
use filter_common::{Reason, maps::PROGRAM_PASS};
use filter_user::kernel::{Count, Kernel, KernelConfig, KernelPlan, Mode, Steering};
use socket2::{Domain, Socket, Type};

use crate::{
    corpus::{client_hello, server_name},
    loader::{in_namespace, ip},
    steering::{group, listeners},
};

const HOST: &str = "www.example.com";

fn ethtool(arguments: &str) {
    let status = Command::new("ethtool").args(arguments.split(' ')).status().expect("ethtool");
    assert!(status.success(), "ethtool {arguments}");
}

/// Passes what the edge sends by XDP_TX on to the client's kernel, which veth does for interfaces with a program only.
pub(crate) fn receive_on(interface: &str) -> Ebpf {
    receive_with(PROGRAM_PASS, interface)
}

/// The same with another program.
pub(crate) fn receive_with(name: &str, interface: &str) -> Ebpf {
    let object = std::env::var_os("MTLS_FILTER_BPF_OBJECT").expect("`cargo xtask test` names the eBPF object");
    let mut ebpf = Ebpf::load_file(object).unwrap();
    let program: &mut Xdp = ebpf.program_mut(name).unwrap().try_into().unwrap();
    program.load().unwrap();
    program.attach(interface, XdpMode::Driver).unwrap();
    ebpf
}

/// What a client got after its hello: some bytes, or a reset.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Bytes(String),
    Reset,
}

/// Says hello; what is got is followed by how the connection looks from here.
fn say_hello(to: SocketAddr, name: &str) -> (Got, String) {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(&client_hello(&[server_name(name.as_bytes())])).unwrap();
    let mut bytes = vec![0; 100];
    match stream.read(&mut bytes) {
        Ok(count) => {
            let port = stream.local_addr().unwrap().port();
            (Got::Bytes(String::from_utf8_lossy(&bytes[..count]).into_owned()), negotiated(port))
        }
        Err(error) if error.kind() == ErrorKind::ConnectionReset => (Got::Reset, String::new()),
        Err(error) => panic!("{name} at {to}: {error}"),
    }
}

/// The options of the client's connection from `port`, as this side has them: timestamps, selective acknowledgement, and the window scales, of the
/// peer and of this side.
fn negotiated(port: u16) -> String {
    let filter = format!("( sport = :{port} or dport = :{port} )");
    let output = Command::new("ss").args(["-tinoH", "state", "established", &filter]).output().expect("iproute2");
    let output = String::from_utf8(output.stdout).unwrap();
    let options = output.split_whitespace().filter(|word| ["ts", "sack"].contains(word) || word.starts_with("wscale:"));
    options.collect::<Vec<_>>().join(" ")
}

/// The same connection seen from the other end.
fn mirrored(options: &str) -> String {
    let (rest, scales) = options.split_once("wscale:").unwrap_or_else(|| panic!("no window scale: {options:?}"));
    let (theirs, ours) = scales.split_once(',').unwrap();
    format!("{rest}wscale:{ours},{theirs}")
}

/// Runs the edge with `mode`, with the SYN-cookie front or without, and `client` in another namespace; returns the counters.
fn on_a_link(mode: Mode, syn_cookies: bool, client: fn(&[SocketAddr])) -> Vec<Count> {
    in_namespace(move || {
        ip("link add edge type veth peer name client");
        let listen: Vec<SocketAddr> =
            ["192.0.2.1:443", "[2001:db8::1]:443"].map(|address| address.parse().unwrap()).into();
        ip("addr add 192.0.2.1/24 dev edge");
        ip("addr add 2001:db8::1/64 dev edge nodad");
        ethtool("-K edge tx off");
        ethtool("-K client tx off tso off");
        let (client_is_there, client_was_moved) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let addresses = listen.clone();
        let client = thread::spawn(move || {
            in_namespace(move || {
                client_is_there.send(nix::unistd::gettid()).unwrap();
                may_go.recv().unwrap();
                ip("addr add 192.0.2.9/24 dev client");
                ip("addr add 2001:db8::9/64 dev client nodad");
                ip("link set client up");
                let _receiver = receive_on("client");
                client(&addresses);
            });
        });
        ip(&format!("link set client netns {}", client_was_moved.recv().unwrap()));
        ip("link set edge up");
        // As the daemon has them: some listeners on each address, one of which the program for workers chooses.
        let groups: Vec<_> = listen.iter().map(|&address| listeners(address, 2)).collect();
        let _steering =
            Steering::attach(&groups.iter().map(|members| group(members, &[0, 1])).collect::<Vec<_>>()).unwrap();
        for listener in groups.into_iter().flatten() {
            listener.set_nonblocking(false).unwrap();
            thread::spawn(move || serve(&listener));
        }
        let config = KernelConfig { interface: "edge".to_owned(), listen, mode, log_sample: 0, syn_cookies };
        let kernel = Kernel::load(&config, &KernelPlan::terminating([HOST])).unwrap();
        go.send(()).unwrap();
        client.join().unwrap();
        kernel.counters().unwrap()
    })
}

fn packets(counts: &[Count], reason: Reason) -> u64 {
    counts.iter().find(|count| count.reason == reason).unwrap().packets
}

/// A known host and an unknown one, on each address.
fn greet(addresses: &[SocketAddr]) {
    for &address in addresses {
        let (got, options) = say_hello(address, HOST);
        assert!(options.starts_with("ts sack wscale:"), "{address}: {options}");
        // What the client was told is what the socket of the edge was made with.
        assert_eq!(got, Got::Bytes(mirrored(&options)), "{address}");
        assert_eq!(say_hello(address, "unknown.example").0, Got::Reset, "{address}");
    }
}

/// Connections from one port, each closed by the edge, which keeps them in TIME_WAIT.
fn come_again(addresses: &[SocketAddr]) {
    for &address in addresses {
        for round in 0..10 {
            let mut stream = connect_again(address);
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            stream.write_all(&client_hello(&[server_name(HOST.as_bytes())])).unwrap();
            let mut bytes = Vec::new();
            // The second byte makes the edge close first.
            assert!(stream.read(&mut [0; 100]).is_ok_and(|count| count > 0), "{address}, round {round}");
            stream.write_all(b"x").unwrap();
            stream.read_to_end(&mut bytes).unwrap_or_else(|error| panic!("{address}, round {round}: {error}"));
        }
    }
}

/// Connects from the one port. Until the edge has acknowledged the end of the last connection, which is a matter of its softirq, this
/// side's own kernel still has it and lends the port to no other.
fn connect_again(address: SocketAddr) -> TcpStream {
    let own = if address.is_ipv4() { "192.0.2.9:45000" } else { "[2001:db8::9]:45000" };
    let own: SocketAddr = own.parse().unwrap();
    let patience = Instant::now() + Duration::from_secs(5);
    loop {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&own.into()).unwrap();
        match socket.connect_timeout(&address.into(), Duration::from_secs(5)) {
            Ok(()) => return TcpStream::from(socket),
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable && Instant::now() < patience => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("{address}: {error}"),
        }
    }
}

fn serve(listener: &TcpListener) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            if stream.read(&mut bytes).is_ok_and(|count| count > 0) {
                let port = stream.peer_addr().unwrap().port();
                stream.write_all(negotiated(port).as_bytes()).unwrap();
                // Until the client has looked at its end.
                let _ = stream.read(&mut bytes);
            }
        });
    }
}

#[test]
fn an_unknown_host_is_reset_and_a_known_one_served_in_native_mode() {
    check_greetings(&on_a_link(Mode::Native, false, greet), 0);
}

#[test]
fn an_unknown_host_is_reset_and_a_known_one_served_in_generic_mode() {
    check_greetings(&on_a_link(Mode::Generic, false, greet), 0);
}

// The listeners are new and never had a full queue: that they take cookies shows that they were told.

#[test]
fn a_new_listener_takes_connections_from_cookies_in_native_mode() {
    check_greetings(&on_a_link(Mode::Native, true, greet), 4);
}

#[test]
fn a_new_listener_takes_connections_from_cookies_in_generic_mode() {
    check_greetings(&on_a_link(Mode::Generic, true, greet), 4);
}

/// That each client got what it should, `greet` has seen; here, that it was this program who gave it.
fn check_greetings(counts: &[Count], handshakes: u64) {
    // Each as often as it was caused, or more often: a client repeats what is not answered soon, as on a busy machine.
    let least = [
        (Reason::HostTerminate, 2),
        (Reason::HostUnknown, 2),
        (Reason::SynAnswered, handshakes),
        (Reason::HandshakeAck, handshakes),
    ];
    for (reason, least) in least {
        assert!(packets(counts, reason) >= least, "{}: {counts:#?}", reason.name());
    }
    let never: &[_] = if handshakes == 0 {
        &[Reason::SynAnswered, Reason::HandshakeAck, Reason::CookieInvalid, Reason::Internal]
    } else {
        &[Reason::CookieInvalid, Reason::Internal]
    };
    for reason in never {
        assert_eq!(packets(counts, *reason), 0, "{}: {counts:#?}", reason.name());
    }
}

#[test]
fn a_port_serves_again_while_its_last_connection_is_in_time_wait() {
    let counts = on_a_link(Mode::Native, true, come_again);
    // The front answers the first on each address, and again if a SYN is repeated; to the others the kernel knows what a SYN is.
    let (answered, connections) = (packets(&counts, Reason::SynAnswered), 20);
    assert!((2..connections / 2).contains(&answered), "{counts:#?}");
    assert_eq!(packets(&counts, Reason::CookieInvalid), 0, "{counts:#?}");
}
