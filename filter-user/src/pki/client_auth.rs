//! The part of client authentication that belongs into the handshake.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::path::TrustAnchors;

/// Asks for a client certificate, takes any or none, and checks that whoever presents one holds its key.
///
/// What a certificate is worth is decided per request, by [`ClientIdentity`](super::ClientIdentity) and the rules: a
/// handshake that refused a certificate could neither answer with a page nor let the host decide.
#[derive(Debug)]
pub struct OptionalClientAuth {
    anchors: TrustAnchors,
    algorithms: WebPkiSupportedAlgorithms,
}

impl OptionalClientAuth {
    /// A verifier for a host; clients are told the subjects of its authorities.
    pub fn new(anchors: &TrustAnchors) -> Arc<Self> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        Arc::new(Self { anchors: anchors.clone(), algorithms })
    }
}

impl ClientCertVerifier for OptionalClientAuth {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.anchors.hints()
    }

    /// Says nothing about the certificate; see the type.
    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
