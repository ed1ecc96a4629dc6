//! An authority with two clients, one of whom is on its list.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use filter_tests::lab::ClientCertificate;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use time::{Duration, OffsetDateTime};

/// The serial of the revoked client; the lists hold the numbers from it on.
const FIRST: u32 = 1_000;

/// The authority.
pub(crate) struct Corporate {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// A client whom no list names.
    pub(crate) good: ClientCertificate,
    /// One whom every list names.
    pub(crate) revoked: ClientCertificate,
}

impl Corporate {
    /// Makes it, with its files in a directory of their own.
    pub(crate) fn create(directory: &Path) -> Result<Self> {
        let directory = directory.join("corporate");
        fs::create_dir_all(&directory)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "corporate");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        fs::write(directory.join("authority.crt"), issuer.pem())?;
        let good = client(&issuer, &directory, "good", 1)?;
        let revoked = client(&issuer, &directory, "revoked", FIRST)?;
        Ok(Self { issuer, good, revoked })
    }

    /// Its certificate, PEM.
    pub(crate) fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// A list of so many certificates, DER.
    pub(crate) fn list(&self, entries: u32) -> Result<Vec<u8>> {
        let now = OffsetDateTime::now_utc();
        let revoked = (FIRST..FIRST + entries).map(|serial| RevokedCertParams {
            serial_number: serial_number(serial),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: now,
            next_update: now + Duration::days(1),
            crl_number: SerialNumber::from(u64::from(entries)),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.der().to_vec())
    }

    /// The same list, PEM, which is what nginx reads.
    pub(crate) fn list_as_pem(&self, der: &[u8]) -> String {
        pem::encode(&pem::Pem::new("X509 CRL", der))
    }
}

fn client(
    issuer: &CertifiedIssuer<'static, KeyPair>,
    directory: &Path,
    name: &str,
    serial: u32,
) -> Result<ClientCertificate> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(serial_number(serial));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let file = |extension: &str, content: String| -> Result<PathBuf> {
        let path = directory.join(format!("{name}.{extension}"));
        fs::write(&path, content)?;
        Ok(path)
    };
    Ok(ClientCertificate {
        issued: None,
        common_name: name.to_owned(),
        certificate: file("crt", params.signed_by(&key, issuer)?.pem())?,
        key: file("key", key.serialize_pem())?,
    })
}

/// A serial of 16 bytes, as long as those of real authorities.
fn serial_number(serial: u32) -> SerialNumber {
    let mut bytes = [0x5a; 16];
    let (_, low) = bytes.split_at_mut(12);
    low.copy_from_slice(&serial.to_be_bytes());
    SerialNumber::from_slice(&bytes)
}
