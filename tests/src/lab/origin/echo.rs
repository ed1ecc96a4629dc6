//! The lab's own origin: an HTTP/1.1 server that tells what it was asked, and remembers it.
//!
//! | request | answer |
//! |---|---|
//! | any path | JSON: `connection`, `method`, `uri`, `headers` as `[name, value]` in the order they came, `trailers`, and of the body its `length` and `sha256` |
//! | `/bytes/N` | N bytes, each its offset modulo 251: no power of two, so that a lost or doubled block shows |

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, anyhow};
use aws_lc_rs::digest::{self, SHA256};
use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::super::namespace::Namespace;

/// How much of a generated body is handed over at a time.
const CHUNK: usize = 64 * 1024;

/// A request as it arrived at the origin.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// Number of the connection it came on.
    pub connection: u64,
    /// Its method.
    pub method: String,
    /// Its target.
    pub uri: String,
    /// Its header fields; names in lower case.
    pub headers: Vec<(String, String)>,
}

impl RecordedRequest {
    /// The values of a header field, whatever the case of its name.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Default)]
struct State {
    requests: Mutex<Vec<RecordedRequest>>,
    connections: AtomicU64,
}

/// The running origin; it ends when dropped.
#[derive(Debug)]
pub struct Echo {
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Echo {
    /// Serves `address` inside `namespace`.
    ///
    /// # Errors
    /// If it cannot be listened to.
    pub fn start(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        let state = Arc::new(State::default());
        let (stop, stopped) = oneshot::channel();
        let listener = namespace.enter(|| {
            let listener = std::net::TcpListener::bind(address).with_context(|| format!("echo origin on {address}"))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        })?;
        let shared = Arc::clone(&state);
        let thread = namespace.spawn(move || serve(listener, &shared, stopped));
        Ok(Self { state, stop: Some(stop), thread: Some(thread) })
    }

    /// Every request that has arrived, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The request that arrived last.
    ///
    /// # Errors
    /// If none has.
    pub fn last_request(&self) -> Result<RecordedRequest> {
        self.requests().pop().ok_or_else(|| anyhow!("no request has arrived at the origin"))
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            eprintln!("the echo origin panicked");
        }
    }
}

/// The byte at `offset` of a generated body.
fn pattern(offset: u64) -> u8 {
    u8::try_from(offset % 251).unwrap_or_default()
}

fn serve(listener: std::net::TcpListener, state: &Arc<State>, mut stopped: oneshot::Receiver<()>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => accepted?.0,
                _ = &mut stopped => return Ok(()),
            };
            let state = Arc::clone(state);
            tokio::spawn(async move {
                let connection = state.connections.fetch_add(1, Ordering::Relaxed);
                let service = service_fn(|request| answer(Arc::clone(&state), connection, request));
                let mut server = http1::Builder::new();
                // Far beyond the filter's limits, because it is those that are tested.
                server.max_buf_size(1 << 20).max_headers(1000);
                // A client that goes away is not the origin's concern.
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

async fn answer(
    state: Arc<State>,
    connection: u64,
    request: Request<Incoming>,
) -> Result<Response<Either<Full<Bytes>, Pattern>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let recorded = RecordedRequest {
        connection,
        method: head.method.to_string(),
        uri: head.uri.to_string(),
        headers: pairs(&head.headers),
    };
    state.requests.lock().unwrap_or_else(PoisonError::into_inner).push(recorded.clone());
    let (length, sha256, trailers) = consume(body).await?;
    if let Some(size) = head.uri.path().strip_prefix("/bytes/").and_then(|size| size.parse().ok()) {
        return Ok(Response::new(Either::Right(Pattern { size, sent: 0 })));
    }
    let seen = json!({
        "connection": recorded.connection,
        "method": recorded.method,
        "uri": recorded.uri,
        "headers": recorded.headers,
        "trailers": trailers,
        "body": { "length": length, "sha256": sha256 },
    });
    let mut response = Response::new(Either::Left(Full::from(format!("{seen}\n"))));
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Reads a body to its end: its length, its hash and its trailers.
async fn consume(mut body: Incoming) -> Result<(u64, String, Value), hyper::Error> {
    let mut hash = digest::Context::new(&SHA256);
    let mut length = 0u64;
    let mut trailers = json!([]);
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) => {
                hash.update(&data);
                length = length.saturating_add(data.len() as u64);
            }
            Err(frame) => trailers = json!(frame.trailers_ref().map(pairs)),
        }
    }
    Ok((length, hex(hash.finish().as_ref()), trailers))
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

/// Lower-case hexadecimal, as the origin writes hashes.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A generated body of `size` bytes.
struct Pattern {
    size: u64,
    sent: u64,
}

impl Body for Pattern {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let end = self.size.min(self.sent.saturating_add(CHUNK as u64));
        if end == self.sent {
            return Poll::Ready(None);
        }
        let chunk: Bytes = (self.sent..end).map(pattern).collect();
        self.sent = end;
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent == self.size
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.size - self.sent)
    }
}
