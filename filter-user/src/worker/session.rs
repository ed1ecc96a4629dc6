//! What is known of the client of one TLS connection.

use std::cell::{OnceCell, RefCell};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConnection;
use rustls_pki_types::{CertificateDer, UnixTime};

use super::context::Context;
use super::fingerprint::Fingerprint;
use crate::config::OnRevoke;
use crate::pki::{ClientIdentity, TrustAnchors};
use crate::snapshot::{HostPolicy, Snapshot, Termination};

/// The client's end of one TLS connection.
pub(super) struct Session {
    /// The client's address, IPv4 addresses in their own form.
    pub(super) client: SocketAddr,
    /// The address that the client connected to.
    pub(super) server: SocketAddr,
    /// The host of the SNI, lower-cased; every request of the connection must be for it.
    pub(super) server_name: String,
    /// Protocol version of the connection.
    pub(super) tls_version: Option<rustls::ProtocolVersion>,
    /// Cipher suite of the connection.
    pub(super) tls_cipher: Option<rustls::CipherSuite>,
    /// The body of the ClientHello.
    pub(super) hello: Box<[u8]>,
    fingerprint: OnceCell<Fingerprint>,
    /// The chain that the client presented, possibly on an earlier connection that this one resumes. Whatever it was worth then, it is
    /// judged again here.
    chain: Vec<CertificateDer<'static>>,
    binding: RefCell<Binding>,
}

/// Whom a connection that is terminated is for.
pub(super) struct Route {
    /// The SNI, lower-cased.
    pub(super) server_name: String,
    /// Position of its host's zone in the snapshot.
    pub(super) zone: usize,
    /// How its host is terminated.
    pub(super) termination: Arc<Termination>,
    /// Generation of the snapshot that the host is of; a newer one may be in force before the handshake ends.
    pub(super) generation: u64,
}

/// What the connection is bound to under one snapshot.
#[derive(Clone)]
pub(super) struct Binding {
    generation: u64,
    /// The position of the host's zone, and how it is terminated; `None` if it is not served any more.
    pub(super) host: Option<(usize, Arc<Termination>)>,
    /// What the presented chain is worth to the CAs that are bound to the host.
    pub(super) identity: ClientIdentity,
}

impl Session {
    /// Judges the certificate of a finished handshake.
    pub(super) fn new(
        context: &Context,
        (client, server): (SocketAddr, SocketAddr),
        route: Route,
        hello: Box<[u8]>,
        tls: &ServerConnection,
    ) -> Self {
        let Route { server_name, zone, termination, generation } = route;
        let presented = tls.peer_certificates().unwrap_or_default();
        let chain: Vec<_> = presented.iter().map(|certificate| certificate.clone().into_owned()).collect();
        let identity = identify(context, &chain, termination.anchors.as_ref());
        Self {
            client: canonical(client),
            server: canonical(server),
            server_name,
            hello,
            fingerprint: OnceCell::new(),
            tls_version: tls.protocol_version(),
            tls_cipher: tls.negotiated_cipher_suite().map(|suite| suite.suite()),
            chain,
            binding: RefCell::new(Binding { generation, host: Some((zone, termination)), identity }),
        }
    }

    /// A TLS 1.3 session without a certificate.
    #[cfg(test)]
    pub(super) fn for_tests([client, server]: [SocketAddr; 2], server_name: &str) -> Self {
        let binding = Binding { generation: 0, host: None, identity: ClientIdentity::none() };
        Self {
            client,
            server,
            server_name: server_name.to_owned(),
            hello: Box::default(),
            fingerprint: OnceCell::new(),
            tls_version: Some(rustls::ProtocolVersion::TLSv1_3),
            tls_cipher: Some(rustls::CipherSuite::TLS13_AES_128_GCM_SHA256),
            chain: Vec::new(),
            binding: RefCell::new(binding),
        }
    }

    /// The binding under `snapshot`. A new snapshot may bind other CAs to the host: then the chain is judged anew, on the connection
    /// that is already open.
    pub(super) fn bind(&self, context: &Context, snapshot: &Snapshot) -> Binding {
        let mut binding = self.binding.borrow_mut();
        if binding.generation != snapshot.generation {
            let host = snapshot.host(&self.server_name).map(|host| &**host).and_then(terminated);
            let same = match (&binding.host, &host) {
                (Some((_, before)), Some((_, now))) => now.trusts_as(before),
                _ => false,
            };
            if !same {
                let anchors = host.as_ref().and_then(|(_, termination)| termination.anchors.as_ref());
                binding.identity = identify(context, &self.chain, anchors);
            }
            binding.host = host;
            binding.generation = snapshot.generation;
        }
        binding.clone()
    }

    /// Whether a certificate was presented, on a host that wants its connection closed when it is revoked.
    pub(super) fn ends_with_certificate(&self) -> bool {
        let binding = self.binding.borrow();
        let closes = binding.host.as_ref().is_some_and(|(_, host)| host.on_revoke == OnRevoke::Close);
        closes && !self.chain.is_empty()
    }

    /// What the ClientHello says of the client's software; computed when a rule first asks for it.
    pub(super) fn fingerprint(&self) -> &Fingerprint {
        self.fingerprint.get_or_init(|| Fingerprint::of(&self.hello).unwrap_or_default())
    }
}

/// The zone of a host, and how it is terminated.
fn terminated(host: &HostPolicy) -> Option<(usize, Arc<Termination>)> {
    host.termination.clone().map(|termination| (host.zone, termination))
}

/// On a host without CAs no certificate counts, not even as presented: it was not asked for.
fn identify(context: &Context, chain: &[CertificateDer<'_>], anchors: Option<&TrustAnchors>) -> ClientIdentity {
    match anchors {
        Some(anchors) => context.chains.borrow_mut().identify(chain, anchors, UnixTime::now()),
        None => ClientIdentity::none(),
    }
}

/// An IPv4 client of a dual-stack socket is an IPv4 client.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
