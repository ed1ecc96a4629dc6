//! What a handshake lets through: real ones, in memory.

use std::io;
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, version};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::test_support::*;
use super::*;

/// A certificate and the key its owner claims to hold.
type Claim = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn claim(issuer: &Ca) -> Claim {
    let key = KeyPair::generate().unwrap();
    let certificate = leaf_params().signed_by(&key, issuer).unwrap();
    (vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
}

/// Hands out a certificate with any key: what an attacker's client does.
#[derive(Debug)]
struct AnyKey(Arc<rustls::sign::CertifiedKey>);

impl rustls::client::ResolvesClientCert for AnyKey {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Runs a handshake; returns what the server has of the client, or the server's error.
fn handshake(
    anchors: &TrustAnchors,
    claim: Option<Claim>,
    version: &'static rustls::SupportedProtocolVersion,
) -> Result<Option<Vec<CertificateDer<'static>>>, rustls::Error> {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_client_cert_verifier(OptionalClientAuth::new(anchors))
        .with_single_cert(vec![cert.der().clone()], PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into())
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let client = match claim {
        None => client.with_no_client_auth(),
        Some((chain, key)) => {
            let key = provider.key_provider.load_private_key(key).unwrap();
            client.with_client_cert_resolver(Arc::new(AnyKey(Arc::new(rustls::sign::CertifiedKey::new(chain, key)))))
        }
    };
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
    while server.is_handshaking() || client.wants_write() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            server.read_tls(&mut wire).unwrap();
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        feed(&mut client, &wire).unwrap();
    }
    Ok(server.peer_certificates().map(|chain| chain.iter().cloned().map(CertificateDer::into_owned).collect()))
}

fn feed(client: &mut ClientConnection, mut wire: &[u8]) -> io::Result<()> {
    while !wire.is_empty() {
        client.read_tls(&mut wire)?;
        client.process_new_packets().map_err(io::Error::other)?;
    }
    Ok(())
}

#[test]
fn the_handshake_takes_any_certificate_or_none() {
    let (root, other) = (ca("root"), ca("other"));
    let anchors = TrustAnchors::new(&[authority(&root)]);
    for version in [&version::TLS12, &version::TLS13] {
        assert_eq!(handshake(&anchors, None, version).unwrap(), None);
        for issuer in [&root, &other] {
            let claim = claim(issuer);
            let presented = handshake(&anchors, Some((claim.0.clone(), claim.1)), version).unwrap();
            assert_eq!(presented, Some(claim.0));
        }
    }
}

#[test]
fn nobody_presents_a_certificate_whose_key_he_does_not_hold() {
    let root = ca("root");
    let anchors = TrustAnchors::new(&[authority(&root)]);
    for version in [&version::TLS12, &version::TLS13] {
        let stolen = (claim(&root).0, claim(&root).1);
        let error = handshake(&anchors, Some(stolen), version).unwrap_err();
        assert!(
            matches!(error, rustls::Error::InvalidCertificate(rustls::CertificateError::BadSignature)),
            "{error:?}"
        );
    }
}

#[test]
fn clients_are_told_each_subject_once() {
    use rustls::server::danger::ClientCertVerifier as _;
    let (one, same_name, other) = (ca("root"), ca("root"), ca("other"));
    let anchors = TrustAnchors::new(&[authority(&one), authority(&same_name), authority(&other), authority(&one)]);
    let verifier = OptionalClientAuth::new(&anchors);
    assert_eq!(verifier.root_hint_subjects().len(), 2);
    assert!(verifier.offer_client_auth() && !verifier.client_auth_mandatory());
}
