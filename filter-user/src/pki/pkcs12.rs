//! Certificate and key in one file with a password, as phones and browsers take them.

use p12_keystore::error::Error as Pkcs12Error;
use p12_keystore::{
    Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, LocalKeyId, MacAlgorithm, PrivateKey, PrivateKeyChain,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use thiserror::Error;

/// Rounds of the password's derivation.
const ITERATIONS: u32 = 100_000;
/// Rounds that old devices get through in time.
const LEGACY_ITERATIONS: u32 = 2_048;

/// Who is to read the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pkcs12Form {
    /// AES-256 and HMAC-SHA-256: OpenSSL 1.1, Windows 10, iOS 16, Android 12, and newer.
    #[default]
    Modern,
    /// Triple DES and HMAC-SHA-1, for older ones. The password protects little; delete the file once it is installed.
    Legacy,
}

/// Why there is no file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Pkcs12FileError {
    /// An empty password protects nothing, and several devices refuse it.
    #[error("a PKCS#12 file needs a password")]
    NoPassword,
    /// The parts cannot be put together.
    #[error("the PKCS#12 file cannot be made: {0}")]
    Encoding(String),
}

impl From<Pkcs12Error> for Pkcs12FileError {
    fn from(error: Pkcs12Error) -> Self {
        Self::Encoding(error.to_string())
    }
}

/// A PKCS#12 file of a certificate, its key, and the certificates of its issuers, nearest first.
pub fn pkcs12<'a>(
    name: &str,
    certificate: &'a [u8],
    issuers: impl IntoIterator<Item = &'a [u8]>,
    key: &PrivatePkcs8KeyDer<'_>,
    password: &str,
    form: Pkcs12Form,
) -> Result<Vec<u8>, Pkcs12FileError> {
    if password.is_empty() {
        return Err(Pkcs12FileError::NoPassword);
    }
    let chain: Result<Vec<_>, _> = std::iter::once(certificate).chain(issuers).map(Certificate::from_der).collect();
    let key = PrivateKey::from_der(key.secret_pkcs8_der())?;
    let mut store = KeyStore::new();
    // Any identifier ties key and certificate together; 1 is what other tools write.
    store.add_entry(name, KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(LocalKeyId(vec![1]), key, chain?)));
    let writer = store.writer(password);
    let file = match form {
        Pkcs12Form::Modern => writer
            .encryption_algorithm(EncryptionAlgorithm::PbeWithHmacSha256AndAes256)
            .encryption_iterations(ITERATIONS)
            .mac_algorithm(MacAlgorithm::HmacSha256)
            .mac_iterations(ITERATIONS),
        Pkcs12Form::Legacy => writer
            .encryption_algorithm(EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc)
            .encryption_iterations(LEGACY_ITERATIONS)
            .mac_algorithm(MacAlgorithm::HmacSha1)
            .mac_iterations(LEGACY_ITERATIONS),
    };
    Ok(file.write()?)
}

#[cfg(test)]
mod tests {
    use p12_keystore::Pkcs12ImportPolicy;

    use super::*;
    use crate::model::SubjectParts;
    use crate::pki::test_support::{der, now, zone};
    use crate::pki::{CertificateRequest, Validity};

    #[test]
    fn a_file_opens_with_its_password_and_holds_key_and_chain() {
        let (_, managed) = zone("a.example");
        let subject = SubjectParts { common_name: "device".to_owned(), ..SubjectParts::default() };
        let (request, key) = CertificateRequest::with_new_key(subject).unwrap();
        let certificate = der(&managed.issue(&request, Validity::days(1).unwrap(), now()).unwrap().certificate);
        let issuer = managed.authority().certificate();
        for form in [Pkcs12Form::Modern, Pkcs12Form::Legacy] {
            let file = pkcs12("device", &certificate, [issuer.as_ref()], &key.der(), "secret", form).unwrap();
            assert!(KeyStore::from_pkcs12(&file, "wrong", Pkcs12ImportPolicy::Strict).is_err());
            let store = KeyStore::from_pkcs12(&file, "secret", Pkcs12ImportPolicy::Strict).unwrap();
            let (name, chain) = store.private_key_chain().unwrap();
            assert_eq!((name, chain.key().as_der()), ("device", key.der().secret_pkcs8_der()));
            let certificates: Vec<_> = chain.certs().iter().map(Certificate::as_der).collect();
            assert_eq!(certificates, [certificate.as_ref(), issuer.as_ref()]);
        }
        let empty = pkcs12("device", &certificate, [], &key.der(), "", Pkcs12Form::Modern);
        assert_eq!(empty, Err(Pkcs12FileError::NoPassword));
    }
}
