//! The admin listener of a real daemon: the first token, and TLS with a certificate that the daemon makes.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

const TOKEN: &str = "first API token, shown this once: ";

/// A configuration in a directory of its own, on a loopback address of its own.
struct Setup {
    directory: tempfile::TempDir,
    address: Ipv4Addr,
}

impl Setup {
    /// `number` tells the tests of this process apart.
    fn new(number: u8, control: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 100 + number, high, low.max(1));
        let made = rcgen::generate_simple_self_signed(["www.example.com".to_owned()]).unwrap();
        fs::write(directory.path().join("www.crt"), made.cert.pem()).unwrap();
        fs::write(directory.path().join("www.key"), made.signing_key.serialize_pem()).unwrap();
        let at = directory.path().display();
        let text = format!(
            "[edge]\nlisten = [\"{address}:8443\"]\ndatapath = \"socket\"\nworkers = 1\n\
             [control]\nsocket = \"{at}/control.sock\"\nlisten = \"{address}:8080\"\n{control}\n\
             [store]\ndirectory = \"{at}/store\"\nmaster_key = \"{at}/master.key\"\n\
             [log]\naccess = \"off\"\n\
             [[zone]]\nname = \"example.com\"\n[[zone.host]]\nname = \"www.example.com\"\n\
             certificate = \"www.crt\"\nprivate_key = \"www.key\"\nupstream = \"http://127.0.0.1:9\"\n"
        );
        fs::write(directory.path().join("mtls-filter.toml"), text).unwrap();
        Self { directory, address }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn admin(&self) -> SocketAddr {
        (self.address, 8080).into()
    }

    /// Starts the daemon, and returns what it printed until it was ready or ended.
    fn start(&self) -> (Daemon, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mtls-filter"));
        command.arg("run").arg("--config").arg(self.path().join("mtls-filter.toml"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut printed = String::new();
        for line in lines {
            printed += &format!("{line}\n");
            if line.starts_with("ready:") {
                break;
            }
        }
        (Daemon(child), printed)
    }
}

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn token(printed: &str) -> Option<&str> {
    printed.lines().find_map(|line| line.strip_prefix(TOKEN))
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// The status line of an answer to a question whether the token is good.
fn verify(mut stream: impl Read + Write, token: &str) -> std::io::Result<String> {
    let head = "GET /client/v4/user/tokens/verify HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    write!(stream, "{head}Authorization: Bearer {token}\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

#[test]
fn a_start_that_fails_has_shown_the_token_that_it_made() {
    let setup = Setup::new(1, "");
    let occupied = TcpListener::bind((setup.address, 8443)).unwrap();
    let (failed, printed) = setup.start();
    drop(failed);
    assert!(!printed.contains("ready:"), "{printed}");
    let token = token(&printed).unwrap_or_else(|| panic!("no token: {printed}")).to_owned();
    drop(occupied);

    let (_daemon, printed) = setup.start();
    assert!(printed.contains("ready:") && self::token(&printed).is_none(), "{printed}");
    assert_eq!(verify(connect(setup.admin()), &token).unwrap(), "HTTP/1.1 200 OK");
    assert_eq!(verify(connect(setup.admin()), "mtf_wrong").unwrap(), "HTTP/1.1 401 Unauthorized");
}

#[test]
fn tokens_travel_by_tls_with_a_certificate_that_the_daemon_made_and_keeps() {
    let setup = Setup::new(2, "self_signed = true");
    let (daemon, printed) = setup.start();
    let token = token(&printed).unwrap_or_else(|| panic!("no token: {printed}")).to_owned();
    let store = setup.path().join("store");
    let certificate = CertificateDer::from_pem_file(store.join("admin.crt")).unwrap();
    assert_eq!(fs::metadata(store.join("admin.key")).unwrap().permissions().mode() & 0o777, 0o600);

    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let ask = || {
        let client = ClientConnection::new(config.clone(), "localhost".try_into().unwrap()).unwrap();
        verify(StreamOwned::new(client, connect(setup.admin())), &token).unwrap()
    };
    assert_eq!(ask(), "HTTP/1.1 200 OK");
    let plain = verify(connect(setup.admin()), &token);
    assert!(plain.as_ref().map_or(true, |line| !line.contains(" 200 ")), "in plain text: {plain:?}");

    drop(daemon);
    let _again = setup.start();
    assert_eq!(ask(), "HTTP/1.1 200 OK", "the same certificate after a restart");
}
