//! Serves the API over TCP, to whoever has a token.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum_server::accept::{Accept, DefaultAcceptor};
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use thiserror::Error;

use super::self_signed::{self, SelfSignedError};
use super::{Control, api};
use crate::config::{Admin, AdminTls};

/// Connections that are served at a time; more are closed at once.
pub const MAX_CONNECTIONS: usize = 256;

/// How long a client may take for its TLS handshake, its first request and the head of each.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long requests at hand may take to end when the daemon does.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// The admin listener.
pub struct AdminServer {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<RustlsConfig>,
    names: Arc<[String]>,
}

/// Why the admin listener cannot be opened.
#[derive(Debug, Error)]
pub enum AdminError {
    /// The kernel refused.
    #[error("cannot open the admin listener {0}: {1}; set `control.listen` to another address, or to \"off\"")]
    Bind(SocketAddr, #[source] io::Error),
    /// The certificate that is made here cannot be made or read.
    #[error(transparent)]
    SelfSigned(#[from] SelfSignedError),
    /// TLS cannot be set up.
    #[error("TLS of the admin listener cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl AdminServer {
    /// Opens the listener. A certificate that is made here is kept in `directory`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn bind(admin: &Admin, directory: &Path) -> Result<Self, AdminError> {
        let certificate = match &admin.tls {
            AdminTls::Plain => None,
            AdminTls::Given(certificate) => Some(certificate.clone()),
            AdminTls::SelfSigned => Some(self_signed::load_or_create(directory, admin)?),
        };
        let tls = certificate.map(|certificate| server_config(&certificate)).transpose()?;
        let listener = TcpListener::bind(admin.listen).map_err(|error| AdminError::Bind(admin.listen, error))?;
        let address = listener.local_addr().map_err(|error| AdminError::Bind(admin.listen, error))?;
        Ok(Self { listener, address, tls, names: admin.names.clone().into() })
    }

    /// Where it listens, as a URL.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Answers until `stop` is ready.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, control: Arc<Control>, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let router = api::router(control, api::Door::Network(self.names));
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let handle = Handle::new();
        let ending = handle.clone();
        tokio::spawn(async move {
            stop.await;
            ending.graceful_shutdown(Some(LAST_REQUESTS));
        });
        let mut server = Server::from_listener(tokio_listener(self.listener)?)
            .handle(handle.clone())
            .http1_only()
            .first_request_timeout(PATIENCE);
        server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
        match self.tls {
            None => server.acceptor(Limited { inner: DefaultAcceptor, handle }).serve(service).await,
            Some(config) => {
                let inner = RustlsAcceptor::new(config).handshake_timeout(PATIENCE);
                server.acceptor(Limited { inner, handle }).serve(service).await
            }
        }
    }
}

fn tokio_listener(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

fn server_config(certificate: &Arc<CertifiedKey>) -> Result<RustlsConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::clone(certificate))));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(RustlsConfig::from_config(Arc::new(config)))
}

/// Turns connections away when there are [`MAX_CONNECTIONS`].
#[derive(Clone)]
struct Limited<A> {
    inner: A,
    handle: Handle<SocketAddr>,
}

impl<A, I, S> Accept<I, S> for Limited<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = A::Stream;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(A::Stream, A::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        // This one is counted already.
        if self.handle.connection_count() > MAX_CONNECTIONS {
            let full =
                || io::Error::other(format!("there are {MAX_CONNECTIONS} connections to the admin listener already"));
            return Box::pin(async move { Err(full()) });
        }
        Box::pin(self.inner.accept(stream, service))
    }
}
