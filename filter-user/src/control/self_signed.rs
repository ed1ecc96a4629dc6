//! The certificate of an admin listener that was given none.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use time::{Duration, OffsetDateTime};

use crate::config::Admin;

/// Name of the certificate in the state directory.
const CERTIFICATE: &str = "admin.crt";

/// Name of its key.
const KEY: &str = "admin.key";

/// Days that it is good for: whoever wants to replace it deletes the files.
const DAYS: i64 = 3_650;

/// Why there is no certificate.
#[derive(Debug, Error)]
pub enum SelfSignedError {
    /// A file cannot be read or made.
    #[error("the certificate of the admin listener, {0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// A file holds something else.
    #[error(
        "the certificate of the admin listener in {0} cannot be used: {1}; delete admin.crt and admin.key for new ones"
    )]
    Unusable(PathBuf, String),
    /// It cannot be made.
    #[error("the certificate of the admin listener cannot be made: {0}; `control.names` must be host names")]
    Make(#[from] rcgen::Error),
}

/// The certificate of the state directory; a new one for the names and the address of the listener if there is none.
pub(super) fn load_or_create(directory: &Path, admin: &Admin) -> Result<Arc<CertifiedKey>, SelfSignedError> {
    let (certificate, key) = (directory.join(CERTIFICATE), directory.join(KEY));
    if !certificate.exists() || !key.exists() {
        create(&certificate, &key, admin)?;
    }
    let unusable = |error: String| SelfSignedError::Unusable(directory.to_owned(), error);
    let chain = CertificateDer::from_pem_file(&certificate).map_err(|error| unusable(format!("{error:?}")))?;
    let private = PrivateKeyDer::from_pem_file(&key).map_err(|error| unusable(format!("{error:?}")))?;
    let fingerprint: String = digest(&SHA256, &chain).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    tracing::info!(sha256 = fingerprint, file = %certificate.display(), "the admin listener has a certificate of its own");
    let certified = CertifiedKey::from_der(vec![chain], private, &default_provider());
    certified.map(Arc::new).map_err(|error| unusable(error.to_string()))
}

fn create(certificate: &Path, key: &Path, admin: &Admin) -> Result<(), SelfSignedError> {
    let mut names = vec!["localhost".to_owned()];
    if !admin.listen.ip().is_unspecified() {
        names.push(admin.listen.ip().to_string());
    }
    names.extend(admin.names.iter().cloned());
    let pair = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    let now = OffsetDateTime::now_utc();
    params.not_before = now.saturating_sub(Duration::hours(1));
    params.not_after = now.saturating_add(Duration::days(DAYS));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "mtls-filter control");
    let made = params.self_signed(&pair)?;
    write(key, &pair.serialize_pem(), 0o600)?;
    write(certificate, &made.pem(), 0o644)
}

fn write(path: &Path, content: &str, mode: u32) -> Result<(), SelfSignedError> {
    let failed = |error| SelfSignedError::Io(path.to_owned(), error);
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(content.as_bytes()).map_err(failed)
}
