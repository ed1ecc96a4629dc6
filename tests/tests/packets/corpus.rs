//! ClientHellos: built by hand, and said by real programs.

use std::{
    io::Read as _,
    net::TcpListener,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion, version};

/// Type and content of an extension.
#[derive(Clone, Debug)]
pub(crate) struct Extension(pub(crate) u16, pub(crate) Vec<u8>);

/// A server_name extension with one host name.
pub(crate) fn server_name(name: &[u8]) -> Extension {
    let length = name.len() as u16;
    let content = [&(length + 3).to_be_bytes()[..], &[0], &length.to_be_bytes(), name].concat();
    Extension(0, content)
}

/// A ClientHello in one record.
pub(crate) fn client_hello(extensions: &[Extension]) -> Vec<u8> {
    let mut list = Vec::new();
    for Extension(kind, content) in extensions {
        list.extend(kind.to_be_bytes());
        list.extend((content.len() as u16).to_be_bytes());
        list.extend(content);
    }
    let mut body = vec![3, 3];
    body.extend([0x5a; 32]);
    body.push(32);
    body.extend([0xa5; 32]);
    // Two cipher suites, one compression method.
    body.extend([0, 4, 0x13, 0x01, 0x13, 0x02, 1, 0]);
    if !extensions.is_empty() {
        body.extend((list.len() as u16).to_be_bytes());
        body.extend(list);
    }
    let mut message = vec![1];
    message.extend(&(body.len() as u32).to_be_bytes()[1..]);
    message.extend(body);
    let mut record = vec![0x16, 3, 1];
    record.extend((message.len() as u16).to_be_bytes());
    record.extend(message);
    record
}

/// A hello and who said it.
pub(crate) struct Specimen {
    pub(crate) from: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// Hellos with `name`, from real programs and in the style of those that cannot run here.
pub(crate) fn specimens(name: &str) -> Vec<Specimen> {
    let mut specimens = vec![
        Specimen { from: "rustls, post-quantum", bytes: rustls_hello(name, &[&version::TLS13, &version::TLS12]) },
        Specimen { from: "rustls, TLS 1.2", bytes: rustls_hello(name, &[&version::TLS12]) },
        Specimen { from: "like Chromium: GREASE, ECH, padding", bytes: like_chromium(name) },
        Specimen { from: "like Go: server_name first, no session id", bytes: like_go(name) },
    ];
    for (from, arguments) in [
        ("openssl", &["-servername", name][..]),
        ("openssl, TLS 1.2", &["-servername", name, "-tls1_2"]),
        ("openssl without server_name", &["-noservername"]),
        ("openssl with ALPN", &["-servername", name, "-alpn", "h2,http/1.1"]),
    ] {
        specimens.push(Specimen { from, bytes: openssl_hello(arguments) });
    }
    specimens.push(Specimen { from: "curl", bytes: curl_hello(name) });
    specimens
}

/// Hellos with `www.example.com`, recorded from programs that are not on every machine.
pub(crate) fn recorded() -> impl Iterator<Item = Specimen> {
    [
        ("Chromium: GREASE, ECH, post-quantum", &include_bytes!("../../corpus/hello/chromium.bin")[..]),
        ("Firefox: ECH, post-quantum", include_bytes!("../../corpus/hello/firefox.bin")),
        ("Go", include_bytes!("../../corpus/hello/go.bin")),
    ]
    .into_iter()
    .map(|(from, bytes)| Specimen { from, bytes: bytes.to_vec() })
}

fn rustls_hello(name: &str, versions: &[&'static SupportedProtocolVersion]) -> Vec<u8> {
    let config = ClientConfig::builder_with_protocol_versions(versions)
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), name.to_owned().try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

fn like_chromium(name: &str) -> Vec<u8> {
    let key_share = [&[0x0a, 0x0a, 0, 1, 0, 0x00, 0x1d, 0, 32][..], &[7; 32]].concat();
    let ech = [&[0, 0, 1, 0, 1, 0x42, 0, 32][..], &[9; 32], &[0, 144], &[3; 144]].concat();
    client_hello(&[
        Extension(0x4a4a, vec![]),
        Extension(0xfe0d, ech),
        Extension(0x002d, vec![1, 1]),
        Extension(0x0033, [&(key_share.len() as u16).to_be_bytes()[..], &key_share].concat()),
        server_name(name.as_bytes()),
        Extension(0x0010, b"\x00\x0c\x02h2\x08http/1.1".to_vec()),
        Extension(0xdada, vec![0]),
        Extension(0x0015, vec![0; 200]),
    ])
}

fn like_go(name: &str) -> Vec<u8> {
    let mut hello =
        client_hello(&[server_name(name.as_bytes()), Extension(5, vec![1, 0, 0, 0, 0]), Extension(43, vec![2, 3, 4])]);
    // The session id goes; every length around it shrinks by as much.
    hello.drain(44..76);
    hello[43] = 0;
    for at in [3, 7] {
        let length = u16::from_be_bytes([hello[at], hello[at + 1]]) - 32;
        hello[at..at + 2].copy_from_slice(&length.to_be_bytes());
    }
    hello
}

fn openssl_hello(arguments: &[&str]) -> Vec<u8> {
    said_to(|port| {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", &format!("127.0.0.1:{port}")]).args(arguments);
        openssl
    })
}

fn curl_hello(name: &str) -> Vec<u8> {
    said_to(|port| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--max-time", "5", "--resolve", &format!("{name}:{port}:127.0.0.1")])
            .arg(format!("https://{name}:{port}/"));
        curl
    })
}

/// The first flight of a program that is given a port to connect to.
fn said_to(program: impl FnOnce(u16) -> Command) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = program(listener.local_addr().unwrap().port());
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap_or_else(|error| {
            panic!("{:?} cannot be started: {error}", command.get_program());
        });
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut head = [0; 5];
    stream.read_exact(&mut head).unwrap();
    let mut bytes = head.to_vec();
    bytes.resize(5 + usize::from(u16::from_be_bytes([head[3], head[4]])), 0);
    stream.read_exact(&mut bytes[5..]).unwrap();
    drop(stream);
    child.wait().unwrap();
    bytes
}
