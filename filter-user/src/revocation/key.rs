//! The name of a certificate in the revocation set.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256, digest};
use serde::{Deserialize, Serialize};

/// SHA-256 over the `SubjectPublicKeyInfo` of an issuer.
///
/// The key and not the name: two authorities may carry the same name, and a CRL is bound to the key that signed it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerKeyHash([u8; 32]);

impl IssuerKeyHash {
    /// Hashes a DER-encoded `SubjectPublicKeyInfo`.
    pub fn of_spki(spki_der: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, spki_der).as_ref());
        Self(hash)
    }

    /// The hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for IssuerKeyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IssuerKeyHash(")?;
        write_hex(formatter, &self.0)?;
        formatter.write_str(")")
    }
}

/// What one revoked certificate is in the set: SHA-256 over issuer key and serial number, cut to 128 bits.
///
/// RFC 5280 names a certificate by issuer and serial. Cutting keeps an entry small; two certificates that share a key are
/// as unlikely as a 128-bit collision, and one that is made on purpose costs its maker a certificate of his own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RevocationKey([u8; 16]);

impl RevocationKey {
    /// The key of the certificate with this serial, issued by the holder of this key.
    ///
    /// `serial` is the content of the DER integer; leading zeros do not count, so `00 9f` and `9f` are the same serial.
    pub fn new(issuer: &IssuerKeyHash, serial: &[u8]) -> Self {
        let first = serial.iter().position(|&byte| byte != 0).unwrap_or(serial.len());
        let mut context = Context::new(&SHA256);
        context.update(&issuer.0);
        context.update(serial.get(first..).unwrap_or_default());
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Self(key)
    }

    /// A key from its stored form.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The stored form.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for RevocationKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RevocationKey(")?;
        write_hex(formatter, &self.0)?;
        formatter.write_str(")")
    }
}

fn write_hex(formatter: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_zeros_of_a_serial_do_not_count() {
        let issuer = IssuerKeyHash::of_spki(b"key");
        assert_eq!(RevocationKey::new(&issuer, &[0, 0x9f, 1]), RevocationKey::new(&issuer, &[0x9f, 1]));
        assert_ne!(RevocationKey::new(&issuer, &[0x9f, 1]), RevocationKey::new(&issuer, &[0x9f, 1, 0]));
    }

    #[test]
    fn the_same_serial_of_another_issuer_is_another_key() {
        let (one, two) = (IssuerKeyHash::of_spki(b"one"), IssuerKeyHash::of_spki(b"two"));
        assert_ne!(RevocationKey::new(&one, &[7]), RevocationKey::new(&two, &[7]));
    }

    #[test]
    fn a_zero_serial_has_a_key_of_its_own() {
        let issuer = IssuerKeyHash::of_spki(b"key");
        assert_eq!(RevocationKey::new(&issuer, &[0]), RevocationKey::new(&issuer, &[]));
        assert_ne!(RevocationKey::new(&issuer, &[0]), RevocationKey::new(&issuer, &[1]));
    }
}
