//! The program on a real link: a veth pair, the edge at one end, a client in a namespace of its own at the other.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};

use aya::{
    Ebpf,
    programs::{Xdp, XdpMode},
};
use filter_common::{Reason, maps::PROGRAM_PASS};
use filter_user::kernel::{Kernel, KernelConfig, KernelPlan, Mode};

use crate::{
    corpus::{client_hello, server_name},
    loader::{in_namespace, ip},
};

const HOST: &str = "www.example.com";

fn ethtool(arguments: &str) {
    let status = Command::new("ethtool").args(arguments.split(' ')).status().expect("ethtool");
    assert!(status.success(), "ethtool {arguments}");
}

/// Passes what the edge sends by XDP_TX on to the client's kernel, which veth does for interfaces with a program only.
fn receive_on(interface: &str) -> Ebpf {
    let object = std::env::var_os("MTLS_FILTER_BPF_OBJECT").expect("`cargo xtask test` names the eBPF object");
    let mut ebpf = Ebpf::load_file(object).unwrap();
    let program: &mut Xdp = ebpf.program_mut(PROGRAM_PASS).unwrap().try_into().unwrap();
    program.load().unwrap();
    program.attach(interface, XdpMode::Driver).unwrap();
    ebpf
}

/// What a client got after its hello: some bytes, or a reset.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Bytes(Vec<u8>),
    Reset,
}

fn say_hello(to: SocketAddr, name: &str) -> Got {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(&client_hello(&[server_name(name.as_bytes())])).unwrap();
    let mut bytes = vec![0; 100];
    match stream.read(&mut bytes) {
        Ok(count) => Got::Bytes(bytes[..count].to_vec()),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Got::Reset,
        Err(error) => panic!("{name} at {to}: {error}"),
    }
}

/// Runs the edge with `mode` and, in another namespace, the client; then compares the counters.
fn on_a_link(mode: Mode) {
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
                for address in addresses {
                    assert_eq!(say_hello(address, HOST), Got::Bytes(b"served".to_vec()), "{address}");
                    assert_eq!(say_hello(address, "unknown.example"), Got::Reset, "{address}");
                }
            });
        });
        ip(&format!("link set client netns {}", client_was_moved.recv().unwrap()));
        ip("link set edge up");
        for address in &listen {
            let listener = TcpListener::bind(address).unwrap();
            thread::spawn(move || serve(&listener));
        }
        let config = KernelConfig { interface: "edge".to_owned(), listen, mode, log_sample: 0 };
        let kernel = Kernel::load(&config, &KernelPlan::terminating([HOST])).unwrap();
        go.send(()).unwrap();
        client.join().unwrap();
        let packets = |reason| kernel.counters().unwrap().iter().find(|count| count.reason == reason).unwrap().packets;
        assert_eq!((packets(Reason::HostTerminate), packets(Reason::HostUnknown)), (2, 2));
    });
}

fn serve(listener: &TcpListener) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            if stream.read(&mut bytes).is_ok_and(|count| count > 0) {
                stream.write_all(b"served").unwrap();
            }
        });
    }
}

#[test]
fn an_unknown_host_is_reset_and_a_known_one_served_in_native_mode() {
    on_a_link(Mode::Native);
}

#[test]
fn an_unknown_host_is_reset_and_a_known_one_served_in_generic_mode() {
    on_a_link(Mode::Generic);
}
