//! A small TLS client on rustls, for what curl and openssl cannot do: many connections at once, resumption under control, a
//! client that lies.

use std::net::{IpAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, SignatureScheme, StreamOwned};

use super::super::namespace::Namespace;
use super::super::patience::patience;
use super::super::pki::ClientCertificate;
use super::Target;
use super::connection::Connection;

/// How long a peer may stay silent, unless a scenario says otherwise.
const SILENCE: Duration = Duration::from_secs(30);

/// A connection to be opened.
#[derive(Clone, Debug)]
pub struct Tls<'a> {
    namespace: &'a Namespace,
    target: Target,
    key: Option<PathBuf>,
    host_header: Option<String>,
    patience: Duration,
}

impl<'a> Tls<'a> {
    pub(in super::super) fn new(namespace: &'a Namespace, host: &str, port: u16, authority: PathBuf) -> Self {
        Self { namespace, target: Target::new(host, port, authority), key: None, host_header: None, patience: SILENCE }
    }

    /// Shows this certificate when asked for one.
    #[must_use]
    pub fn certificate(mut self, certificate: &ClientCertificate) -> Self {
        self.target.certificate = Some(certificate.clone());
        self
    }

    /// Signs with the key of `other` instead of the one that belongs to the certificate, as a thief of a certificate would.
    #[must_use]
    pub fn signing_as(mut self, other: &ClientCertificate) -> Self {
        self.key = Some(other.key.clone());
        self
    }

    /// Connects to this address of the edge; it is the IPv4 one otherwise.
    #[must_use]
    pub fn address(mut self, address: impl Into<IpAddr>) -> Self {
        self.target.address = address.into();
        self
    }

    /// Puts this into the Host header of its requests instead of the name in the SNI.
    #[must_use]
    pub fn host_header(mut self, host: &str) -> Self {
        self.host_header = Some(host.to_owned());
        self
    }

    /// Waits only so long for an answer.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// A client that keeps its sessions, so that its second connection may resume the first.
    ///
    /// # Errors
    /// If a certificate cannot be read.
    pub fn client(&self) -> Result<TlsClient<'a>> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&self.target.authority)? {
            roots.add(certificate?)?;
        }
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let config = match &self.target.certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => {
                let chain = CertificateDer::pem_file_iter(&certificate.certificate)?.collect::<Result<Vec<_>, _>>()?;
                let key = PrivateKeyDer::from_pem_file(self.key.as_ref().unwrap_or(&certificate.key))?;
                let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)?;
                // Not `with_client_auth_cert`, which refuses a key that does not fit its certificate.
                builder.with_client_cert_resolver(Arc::new(Show(Arc::new(CertifiedKey::new(chain, key)))))
            }
        };
        let dialer = Dialer {
            target: self.target.clone(),
            host_header: self.host_header.clone(),
            patience: self.patience,
            config: Arc::new(config),
        };
        Ok(TlsClient { namespace: self.namespace, dialer })
    }

    /// What threads inside the namespace open connections with.
    pub(super) fn dialer(&self) -> Result<(&'a Namespace, Dialer)> {
        self.client().map(|client| (client.namespace, client.dialer))
    }

    /// Opens one connection.
    ///
    /// # Errors
    /// If the peer cannot be reached or the handshake fails.
    pub fn open(&self) -> Result<Connection> {
        self.client()?.open()
    }
}

/// A client that keeps its sessions.
#[derive(Clone, Debug)]
pub struct TlsClient<'a> {
    namespace: &'a Namespace,
    dialer: Dialer,
}

impl TlsClient<'_> {
    /// Opens a connection from the client's namespace.
    ///
    /// # Errors
    /// If the peer cannot be reached or the handshake fails.
    pub fn open(&self) -> Result<Connection> {
        self.namespace.enter(|| self.dialer.open())
    }
}

/// Opens connections from whatever namespace the calling thread is in.
#[derive(Clone, Debug)]
pub(super) struct Dialer {
    target: Target,
    host_header: Option<String>,
    patience: Duration,
    config: Arc<ClientConfig>,
}

impl Dialer {
    pub(super) fn open(&self) -> Result<Connection> {
        let target = &self.target;
        let silence = patience(self.patience);
        let mut socket = TcpStream::connect_timeout(&target.socket(), silence)?;
        socket.set_read_timeout(Some(silence))?;
        socket.set_write_timeout(Some(silence))?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(target.host.clone())?;
        let mut connection = ClientConnection::new(Arc::clone(&self.config), name)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).context("TLS handshake")?;
        }
        let host = self.host_header.clone().unwrap_or_else(|| target.authority_name());
        let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        Ok(Connection::new(StreamOwned::new(connection, socket), host, resumed))
    }
}

/// Shows one certificate to whoever asks.
#[derive(Debug)]
struct Show(Arc<CertifiedKey>);

impl ResolvesClientCert for Show {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
