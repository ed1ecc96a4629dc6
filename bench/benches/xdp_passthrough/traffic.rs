//! What clients and origin do: a ClientHello one way, some bytes the other, and no TLS, which would cost more than what is measured.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use filter_tests::lab::Namespace;
use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::aws_lc_rs};

/// Bytes that the origin answers a short connection with.
pub(super) const SHORT: u64 = 200;
/// Bytes of a download.
pub(super) const LONG: u64 = 200 << 20;
const PATIENCE: Duration = Duration::from_secs(10);
/// What is written and read at a time. Made once: for each connection it would cost more than the connection.
const CHUNK: usize = 1 << 18;

/// A ClientHello for `name`, as rustls writes it. With X25519 alone it fits into a segment; with a post-quantum key share it takes two.
pub(super) fn client_hello(name: &'static str, post_quantum: bool) -> Result<Vec<u8>> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = match post_quantum {
        true => vec![aws_lc_rs::kx_group::X25519MLKEM768],
        false => vec![aws_lc_rs::kx_group::X25519],
    };
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), name.try_into()?)?;
    let mut hello = Vec::new();
    connection.write_tls(&mut hello)?;
    Ok(hello)
}

/// Starts an origin that answers each hello with so many bytes. It serves until the process ends.
pub(super) fn start_origin(namespace: &Namespace, address: SocketAddr, answer: u64) -> Result<()> {
    let listener = namespace.enter(|| Ok(TcpListener::bind(address)?))?;
    drop(thread::spawn(move || {
        let chunk = vec![0x17; CHUNK];
        for stream in listener.incoming().map_while(Result::ok) {
            // A client that went away is its own affair.
            let _ = serve(stream, &chunk, answer);
        }
    }));
    Ok(())
}

fn serve(mut stream: TcpStream, chunk: &[u8], mut answer: u64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    if stream.read(&mut [0; 4096])? == 0 {
        return Ok(());
    }
    while answer > 0 {
        let part = chunk.get(..usize::try_from(answer).unwrap_or(usize::MAX)).unwrap_or(chunk);
        stream.write_all(part)?;
        answer -= part.len() as u64;
    }
    Ok(())
}

/// Connections that were made in some time, and those that failed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Made {
    /// With the whole answer.
    pub(super) good: u64,
    /// Without it.
    pub(super) failed: u64,
    /// How long it took.
    pub(super) seconds: f64,
}

/// Makes connections for `time`, `clients` at once, each as soon as the last one is over.
pub(super) fn connections(
    namespace: &Namespace,
    target: SocketAddr,
    hello: &[u8],
    clients: usize,
    time: Duration,
) -> Result<Made> {
    let (good, failed, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let start = Instant::now();
    namespace.enter(|| {
        thread::scope(|scope| {
            for _ in 0..clients {
                // A thread that is started inside a namespace is in it from the beginning.
                scope.spawn(|| {
                    let mut buffer = vec![0; CHUNK];
                    while !stop.load(Ordering::Relaxed) {
                        let outcome = fetch(target, hello, &mut buffer);
                        let counter = if outcome.is_ok_and(|bytes| bytes == SHORT) { &good } else { &failed };
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            thread::sleep(time);
            stop.store(true, Ordering::Relaxed);
        });
        Ok(())
    })?;
    Ok(Made { good: good.into_inner(), failed: failed.into_inner(), seconds: start.elapsed().as_secs_f64() })
}

/// Downloads once, and returns how long it took.
pub(super) fn download(namespace: &Namespace, target: SocketAddr, hello: &[u8]) -> Result<f64> {
    let start = Instant::now();
    let mut buffer = vec![0; CHUNK];
    let bytes = namespace.enter(|| fetch(target, hello, &mut buffer).context("the download ended early"))?;
    ensure!(bytes == LONG, "a download has {LONG} bytes, and {bytes} came");
    Ok(start.elapsed().as_secs_f64())
}

/// Says hello, and returns how many bytes came before the end.
fn fetch(target: SocketAddr, hello: &[u8], buffer: &mut [u8]) -> std::io::Result<u64> {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(hello)?;
    let mut total = 0;
    loop {
        match stream.read(buffer) {
            Ok(0) => return Ok(total),
            Ok(read) => total += read as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
