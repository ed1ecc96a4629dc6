//! Names of TLS versions and cipher suites as Cloudflare's fields have them.

use rustls::{CipherSuite, ProtocolVersion};

/// The protocol version, such as `TLSv1.3`.
pub(super) const fn version(version: Option<ProtocolVersion>) -> Option<&'static str> {
    match version {
        Some(ProtocolVersion::TLSv1_2) => Some("TLSv1.2"),
        Some(ProtocolVersion::TLSv1_3) => Some("TLSv1.3"),
        _ => None,
    }
}

/// The cipher suite under its OpenSSL name; in TLS 1.3 Cloudflare writes `AEAD-` in front of the short name.
pub(super) const fn cipher(suite: Option<CipherSuite>) -> Option<&'static str> {
    match suite {
        Some(CipherSuite::TLS13_AES_128_GCM_SHA256) => Some("AEAD-AES128-GCM-SHA256"),
        Some(CipherSuite::TLS13_AES_256_GCM_SHA384) => Some("AEAD-AES256-GCM-SHA384"),
        Some(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256) => Some("AEAD-CHACHA20-POLY1305-SHA256"),
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256) => Some("ECDHE-ECDSA-AES128-GCM-SHA256"),
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384) => Some("ECDHE-ECDSA-AES256-GCM-SHA384"),
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256) => Some("ECDHE-ECDSA-CHACHA20-POLY1305"),
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256) => Some("ECDHE-RSA-AES128-GCM-SHA256"),
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) => Some("ECDHE-RSA-AES256-GCM-SHA384"),
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256) => Some("ECDHE-RSA-CHACHA20-POLY1305"),
        _ => None,
    }
}
