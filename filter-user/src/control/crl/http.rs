//! A client for lists: GET, conditional, within limits.
//!
//! **Who may be asked.** The URL is an operator's (scope `admin`), and what comes back is shown to nobody: it is a list signed by the
//! authority, or an error that names a status and no content. A server may send the daemon on, a few times, but never from TLS to
//! plain HTTP and never to something that is not HTTP. Private addresses are where authorities usually are, so they are allowed; link-local
//! ones, where clouds keep secrets for their machines, are not, and the address that was looked at is the one that is connected to.
//! No credentials, no cookies, no proxy.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::uri::Scheme;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::pki::CRL_BYTES;

/// How often a server may send the daemon on.
pub(super) const REDIRECTS: usize = 3;

/// How long a server may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For its name to be resolved, the connection and TLS.
    pub(super) connect: Duration,
    /// For the head of its answer, and between two parts of the body.
    pub(super) idle: Duration,
    /// For all of it.
    pub(super) total: Duration,
}

impl Patience {
    /// A list of the greatest size takes five minutes at 14 Mbit/s.
    const USUAL: Self =
        Self { connect: Duration::from_secs(10), idle: Duration::from_secs(20), total: Duration::from_secs(300) };
}

/// What a server said of its answer, to be asked next time whether it is still the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Validators {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

/// Why a server gave no list.
#[derive(Debug, Error)]
pub(super) enum HttpError {
    /// No address for the name.
    #[error("the name {0} cannot be resolved: {1}")]
    Resolve(String, #[source] io::Error),
    /// Every address is one that nothing is fetched from.
    #[error("{0} is at {1}, and nothing is fetched from link-local, multicast and unspecified addresses")]
    Address(String, IpAddr),
    /// No connection.
    #[error("cannot connect to {0}: {1}")]
    Connect(String, #[source] io::Error),
    /// TLS failed.
    #[error("TLS with {0} failed: {1}")]
    Tls(String, #[source] io::Error),
    /// It does not answer, or stopped to.
    #[error("{host} did not answer: no {what} within {} ms", waited.as_millis())]
    Slow {
        /// The server.
        host: String,
        /// What was waited for.
        what: &'static str,
        /// How long.
        waited: Duration,
    },
    /// What it says is not HTTP, or breaks off.
    #[error("{0} broke off or does not speak HTTP: {1}")]
    Protocol(String, #[source] hyper::Error),
    /// It has something else to say.
    #[error("{0} answered {1}")]
    Status(String, StatusCode),
    /// It sends the daemon where it does not go.
    #[error("{0} redirects to {1:?}, which is not followed: {2}")]
    Redirect(String, String, &'static str),
    /// More than anybody reads.
    #[error("{0} sends more than {CRL_BYTES} bytes")]
    TooLarge(String),
}

/// A client.
#[derive(Clone)]
pub(super) struct Http {
    tls: TlsConnector,
    patience: Patience,
    limit: usize,
}

impl Http {
    /// A client that believes the authorities of the system.
    pub(super) fn new() -> Self {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "certificate authorities of the system cannot be read; a CRL may not be fetched by https");
        }
        roots.add_parsable_certificates(found.certs);
        Self::with_roots(roots)
    }

    fn with_roots(roots: RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("the provider has the cipher suites of its own protocol versions");
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { tls: Arc::new(config).into(), patience: Patience::USUAL, limit: CRL_BYTES }
    }

    /// A client that believes nobody.
    #[cfg(test)]
    pub(super) fn without_roots() -> Self {
        Self::with_roots(RootCertStore::empty())
    }

    /// Gets what is at `url`; `None` when the server says that it is what `known` was said of.
    pub(super) async fn get(&self, url: &Uri, known: &Validators) -> Result<Option<(Vec<u8>, Validators)>, HttpError> {
        let host = place(url);
        let slow = || HttpError::Slow { host, what: "whole list", waited: self.patience.total };
        timeout(self.patience.total, self.follow(url, known)).await.unwrap_or_else(|_| Err(slow()))
    }

    async fn follow(&self, url: &Uri, known: &Validators) -> Result<Option<(Vec<u8>, Validators)>, HttpError> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS {
            let host = place(&url);
            let response = self.ask(&url, known).await?;
            match response.status() {
                StatusCode::OK => {
                    let validators = Validators::of(response.headers());
                    return Ok(Some((self.body(&host, response).await?, validators)));
                }
                StatusCode::NOT_MODIFIED if *known != Validators::default() => return Ok(None),
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => url = redirect(&url, response.headers())?,
                status => return Err(HttpError::Status(host, status)),
            }
        }
        Err(HttpError::Redirect(place(&url), url.to_string(), "it was sent on too often"))
    }

    async fn ask(&self, url: &Uri, known: &Validators) -> Result<Response<Incoming>, HttpError> {
        let host = place(url);
        let slow = |what, waited| HttpError::Slow { host: host.clone(), what, waited };
        let connected = timeout(self.patience.connect, connect(url)).await;
        let stream = connected.unwrap_or_else(|_| Err(slow("connection", self.patience.connect)))?;
        let answer = async {
            if url.scheme() == Some(&Scheme::HTTPS) {
                let name = ServerName::try_from(bare_host(url).to_owned());
                let name = name.map_err(|error| HttpError::Tls(host.clone(), io::Error::other(error)))?;
                let secured = timeout(self.patience.connect, self.tls.connect(name, stream)).await;
                let secured = secured.map_err(|_| slow("TLS", self.patience.connect))?;
                exchange(secured.map_err(|error| HttpError::Tls(host.clone(), error))?, url, known).await
            } else {
                exchange(stream, url, known).await
            }
        };
        timeout(self.patience.idle, answer).await.unwrap_or_else(|_| Err(slow("answer", self.patience.idle)))
    }

    async fn body(&self, host: &str, response: Response<Incoming>) -> Result<Vec<u8>, HttpError> {
        let too_large = || HttpError::TooLarge(host.to_owned());
        let mut body = response.into_body();
        let announced = hyper::body::Body::size_hint(&body).exact();
        let announced = announced.map_or(Ok(0), usize::try_from).map_err(|_| too_large())?;
        if announced > self.limit {
            return Err(too_large());
        }
        let mut bytes = Vec::with_capacity(announced);
        loop {
            let slow = |_| HttpError::Slow { host: host.to_owned(), what: "further bytes", waited: self.patience.idle };
            let Some(frame) = timeout(self.patience.idle, body.frame()).await.map_err(slow)? else { return Ok(bytes) };
            let frame = frame.map_err(|error| HttpError::Protocol(host.to_owned(), error))?;
            let data = frame.into_data().unwrap_or_default();
            if bytes.len().saturating_add(data.len()) > self.limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
        }
    }
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        let (etag, last_modified) = (headers.get(header::ETAG), headers.get(header::LAST_MODIFIED));
        Self { etag: etag.cloned(), last_modified: last_modified.cloned() }
    }

    fn conditions(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let etag = self.etag.clone().map(|value| (header::IF_NONE_MATCH, value));
        let since = self.last_modified.clone().map(|value| (header::IF_MODIFIED_SINCE, value));
        etag.into_iter().chain(since)
    }
}

/// Asks over a connection of its own; the connection ends with the body of the answer.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    url: &Uri,
    known: &Validators,
) -> Result<Response<Incoming>, HttpError> {
    let failed = |error| HttpError::Protocol(place(url), error);
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // It ends when the answer is read or dropped. What goes wrong with it, the reader of the answer hears too.
    tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut request =
        Request::get(path).body(Empty::<Bytes>::new()).expect("the path comes from a URL that was parsed");
    let headers = request.headers_mut();
    let authority = url.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    headers.insert(header::HOST, authority.unwrap_or_else(|| HeaderValue::from_static("")));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/pkix-crl, */*;q=0.5"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("mtls-filter/", env!("CARGO_PKG_VERSION"))));
    headers.extend(known.conditions());
    sender.send_request(request).await.map_err(failed)
}

/// Connects to the first address of the server that is allowed and answers.
async fn connect(url: &Uri) -> Result<TcpStream, HttpError> {
    let (host, name) = (place(url), bare_host(url));
    let port = url.port_u16().unwrap_or(if url.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 });
    let found = lookup_host((name, port)).await.map_err(|error| HttpError::Resolve(host.clone(), error))?;
    let mut last = HttpError::Resolve(host.clone(), io::ErrorKind::NotFound.into());
    for address in found {
        if !is_allowed(address.ip()) {
            last = HttpError::Address(host.clone(), address.ip());
            continue;
        }
        match TcpStream::connect::<SocketAddr>(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = HttpError::Connect(host.clone(), error),
        }
    }
    Err(last)
}

/// Whether lists are fetched from an address.
fn is_allowed(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => !(v4.is_link_local() || v4.is_multicast() || v4.is_unspecified() || v4.is_broadcast()),
        IpAddr::V6(v6) => !(v6.is_unicast_link_local() || v6.is_multicast() || v6.is_unspecified()),
    }
}

/// Where a server sends the daemon, if it goes there.
fn redirect(from: &Uri, headers: &HeaderMap) -> Result<Uri, HttpError> {
    let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let refused = |why| HttpError::Redirect(place(from), location.chars().take(200).collect(), why);
    let to: Uri = if location.starts_with('/') && !location.starts_with("//") {
        let mut parts = from.clone().into_parts();
        parts.path_and_query = Some(location.parse().map_err(|_| refused("it is no URL"))?);
        Uri::from_parts(parts).map_err(|_| refused("it is no URL"))?
    } else {
        location.parse().map_err(|_| refused("it is no URL"))?
    };
    if to.host().is_none_or(str::is_empty) || to.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(refused("it is no URL of a server"));
    }
    match (from.scheme_str(), to.scheme_str()) {
        (Some("https"), Some("http")) => Err(refused("it leaves TLS")),
        (_, Some("http" | "https")) => Ok(to),
        _ => Err(refused("it leaves HTTP")),
    }
}

/// The server of a URL, for people.
fn place(url: &Uri) -> String {
    url.authority().map_or_else(String::new, ToString::to_string)
}

/// The host of a URL without the brackets of an IPv6 address.
fn bare_host(url: &Uri) -> &str {
    let host = url.host().unwrap_or_default();
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
