//! Clients: real `curl` and `openssl s_client`, and a small rustls client for what those cannot do.

mod connection;
mod curl;
mod load;
mod openssl;
mod outcome;
mod response;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

pub use connection::Connection;
pub use curl::{Curl, CurlAnswer};
pub use load::{Load, Sample};
pub use openssl::{Exchange, Openssl};
pub use outcome::Outcome;
pub use response::Response;
pub use tls::{Tls, TlsClient};

use super::network::EDGE_IPV4;
use super::pki::ClientCertificate;

/// What every client has to know: whom to ask for, where, and what to show.
#[derive(Clone, Debug)]
struct Target {
    /// Name in the SNI, and in the Host header unless a request says otherwise.
    host: String,
    address: IpAddr,
    port: u16,
    /// The authority that servers' certificates come from.
    authority: PathBuf,
    certificate: Option<ClientCertificate>,
}

impl Target {
    fn new(host: &str, port: u16, authority: PathBuf) -> Self {
        Self { host: host.to_owned(), address: EDGE_IPV4.into(), port, authority, certificate: None }
    }

    fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// What belongs into the Host header.
    fn authority_name(&self) -> String {
        if self.port == 443 { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}
