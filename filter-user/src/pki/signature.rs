//! Checking signatures of requests and CRLs with the algorithms that certificates are checked with.

use thiserror::Error;
use webpki::ALL_VERIFICATION_ALGS;

use super::der::{BIT_STRING, Reader, SEQUENCE, Signed, bits};

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum SignatureError {
    /// The key is not in the form keys have.
    #[error("the public key is malformed")]
    MalformedKey,
    /// Not one of the algorithms in use: RSA of 2048 to 8192 bits, ECDSA and Ed25519, with SHA-2.
    #[error("the signature algorithm is not supported with this key")]
    Unsupported,
    /// Somebody else made it, or it is of something else.
    #[error("the signature does not match")]
    Wrong,
}

/// Checks a signed object against a DER-encoded `SubjectPublicKeyInfo`.
pub(super) fn verify(signed: &Signed<'_>, spki: &[u8]) -> Result<(), SignatureError> {
    let (key_algorithm, key) = split_key(spki).ok_or(SignatureError::MalformedKey)?;
    let mut outcome = Err(SignatureError::Unsupported);
    for algorithm in ALL_VERIFICATION_ALGS {
        if algorithm.public_key_alg_id().as_ref() != key_algorithm
            || algorithm.signature_alg_id().as_ref() != signed.algorithm
        {
            continue;
        }
        match algorithm.verify_signature(key, signed.message, signed.signature) {
            Ok(()) => return Ok(()),
            Err(_) => outcome = Err(SignatureError::Wrong),
        }
    }
    outcome
}

/// Algorithm identifier and bits of a key.
pub(super) fn split_key(spki: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut outer = Reader::new(spki);
    let mut inner = Reader::new(outer.expect(SEQUENCE)?.content);
    let algorithm = inner.expect(SEQUENCE)?.content;
    let key = bits(inner.expect(BIT_STRING)?.content)?;
    (outer.is_empty() && inner.is_empty()).then_some((algorithm, key))
}
