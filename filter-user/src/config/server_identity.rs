//! The certificate and key a host shows to its clients.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use webpki::EndEntityCert;

use super::host_name::HostName;

/// Reads a PEM chain, the leaf first.
///
/// # Errors
/// Says what is wrong with the file.
pub(super) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| describe(path, &error))?;
    if chain.is_empty() {
        return Err(format!("{} holds no certificate: it must be a PEM chain, the host's own first", path.display()));
    }
    Ok(chain)
}

/// Reads a PEM private key (PKCS #8, PKCS #1 or SEC 1).
///
/// # Errors
/// Says what is wrong with the file.
pub(super) fn read_private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        pem::Error::NoItemsFound => format!("{} holds no private key in PEM form", path.display()),
        other => describe(path, &other),
    })
}

/// Puts chain and key together, and checks that they belong together and to `host`.
///
/// # Errors
/// Says which of them does not fit.
pub(super) fn certified_key(
    host: &HostName,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, String> {
    let certified = certified(chain, key, host.as_str())?;
    let leaf = certified.cert.first().ok_or_else(|| format!("{host} has an empty certificate chain"))?;
    let leaf =
        EndEntityCert::try_from(leaf).map_err(|error| format!("the certificate of {host} is broken: {error}"))?;
    // A certificate for `*.example.com` covers the host of that name in the configuration as it covers each of its hosts.
    let example = host.as_str().replacen('*', "any", 1);
    let name = ServerName::try_from(example.as_str()).map_err(|_| format!("{host} is not a host name"))?;
    leaf.verify_is_valid_for_subject_name(&name)
        .map_err(|_| format!("the certificate is not valid for {host}: none of its names covers it"))?;
    Ok(certified)
}

/// Puts chain and key of `whose` together, and checks that they belong together.
///
/// # Errors
/// Says that they do not.
pub(super) fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    whose: &str,
) -> Result<Arc<CertifiedKey>, String> {
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
        .map(Arc::new)
        .map_err(|error| format!("the certificate and the private key of {whose} do not fit: {error}"))
}

fn describe(path: &Path, error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => format!("cannot read {}: {error}", path.display()),
        other => format!("{} is not a PEM file: {other:?}", path.display()),
    }
}
