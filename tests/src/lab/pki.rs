//! Certificate authorities of the lab: one that the servers' certificates come from, and foreign ones that no zone knows.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration as StdDuration, SystemTime};

use anyhow::{Context, Result};
use filter_user::model::ZoneId;
use filter_user::pki::{CertificateRequest, Validity};
use filter_user::store::{MasterKey, RedbStore, Store, open_authority};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::UnixTime;
use time::{Duration, OffsetDateTime};

/// How the filter knows a certificate that it has issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The zone it was issued in.
    pub zone: String,
    /// Its id.
    pub id: String,
}

/// A client's certificate and key, as files in PEM.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// How the filter knows it, if the filter has issued it.
    pub issued: Option<Issued>,
    /// Name in its subject.
    pub common_name: String,
    /// File of the chain, leaf first.
    pub certificate: PathBuf,
    /// File of the private key.
    pub key: PathBuf,
}

/// A certificate authority with its key in hand.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    directory: PathBuf,
}

impl Authority {
    /// Makes a self-signed authority that writes its files into `directory`.
    ///
    /// # Errors
    /// If a key cannot be made or a file not be written.
    pub fn create(directory: &Path, common_name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut parameters = parameters(common_name, Vec::new())?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = parameters.self_signed(&key)?.pem();
        let authority =
            Self { issuer: Issuer::new(parameters, key), certificate, directory: directory.join(common_name) };
        fs::create_dir_all(&authority.directory)?;
        fs::write(authority.certificate_file(), &authority.certificate)?;
        Ok(authority)
    }

    /// An authority that has the name and the certificate of another one, but not its key.
    ///
    /// # Errors
    /// If `certificate` (PEM) is not that of an authority.
    pub fn impostor(directory: &Path, certificate: &str) -> Result<Self> {
        let issuer =
            Issuer::from_ca_cert_pem(certificate, KeyPair::generate()?).context("the impersonated authority")?;
        let directory = directory.join("impostor");
        fs::create_dir_all(&directory)?;
        Ok(Self { issuer, certificate: certificate.to_owned(), directory })
    }

    /// An authority made of a client's certificate, which must not be one.
    ///
    /// # Errors
    /// If the client's files cannot be read.
    pub fn usurper(directory: &Path, client: &ClientCertificate) -> Result<Self> {
        let certificate = fs::read_to_string(&client.certificate)?;
        let key = KeyPair::from_pem(&fs::read_to_string(&client.key)?)?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, key).context("the usurping client")?;
        let directory = directory.join("usurper");
        fs::create_dir_all(&directory)?;
        Ok(Self { issuer, certificate, directory })
    }

    /// File of the authority's own certificate.
    #[must_use]
    pub fn certificate_file(&self) -> PathBuf {
        self.directory.join("authority.crt")
    }

    /// Issues a server's certificate for `names`. Returns the files of chain and key.
    ///
    /// # Errors
    /// If a name is not one, or a file cannot be written.
    pub fn server(&self, names: &[&str]) -> Result<(PathBuf, PathBuf)> {
        let first = names.first().context("a server's certificate needs a name")?;
        let mut parameters = parameters(first, names.iter().map(|name| (*name).to_owned()).collect())?;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&parameters, first)
    }

    /// Issues the certificate of an origin that serves `names` itself. Returns the files of chain and key.
    ///
    /// # Errors
    /// If a name is not one, or a file cannot be written.
    pub fn origin(&self, names: &[&str]) -> Result<(PathBuf, PathBuf)> {
        let mut parameters = parameters("origin", names.iter().map(|name| (*name).to_owned()).collect())?;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&parameters, "origin")
    }

    /// Issues a client's certificate that is valid now.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn client(&self, common_name: &str) -> Result<ClientCertificate> {
        let mut parameters = parameters(common_name, Vec::new())?;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let (certificate, key) = self.issue(&parameters, common_name)?;
        Ok(ClientCertificate { issued: None, common_name: common_name.to_owned(), certificate, key })
    }

    fn issue(&self, parameters: &CertificateParams, name: &str) -> Result<(PathBuf, PathBuf)> {
        let key = KeyPair::generate()?;
        let leaf = parameters.signed_by(&key, &self.issuer)?.pem();
        let certificate_file = self.directory.join(format!("{name}.crt"));
        let key_file = self.directory.join(format!("{name}.key"));
        // The authority goes along in the chain: a verifier must not take it for one of its own because it was sent.
        fs::write(&certificate_file, format!("{leaf}{}", self.certificate))?;
        fs::write(&key_file, key.serialize_pem())?;
        Ok((certificate_file, key_file))
    }
}

/// Issues a certificate that expires at a moment of choice, by the authority of a filter's zone. The filter's own commands count in
/// whole days; this is what they would have issued one day before that moment. Nobody else may have the store open.
pub(super) fn issue_by_zone(
    store: &Path,
    directory: &Path,
    zone: &str,
    common_name: &str,
    expires: SystemTime,
) -> Result<ClientCertificate> {
    let issued = expires.duration_since(SystemTime::UNIX_EPOCH)? - StdDuration::from_secs(24 * 60 * 60);
    let (_, state) = RedbStore::open(store)?.load()?;
    let record = state.issuing_authority(ZoneId::of_name(zone)).context("the zone has no authority")?;
    let authority = open_authority(record, &MasterKey::load(&store.join("master.key"))?)?;
    let (request, key) = signing_request(directory, common_name)?;
    let request = CertificateRequest::from_pem(&fs::read_to_string(request)?)?;
    let certificate = directory.join(format!("{common_name}.csr.crt"));
    fs::write(
        &certificate,
        authority.issue(&request, Validity::days(1)?, UnixTime::since_unix_epoch(issued))?.certificate,
    )?;
    Ok(ClientCertificate { issued: None, common_name: common_name.to_owned(), certificate, key })
}

/// Writes a new key and a signing request for it. Returns the files of request and key.
pub(super) fn signing_request(directory: &Path, common_name: &str) -> Result<(PathBuf, PathBuf)> {
    let key = KeyPair::generate()?;
    let request = parameters(common_name, Vec::new())?.serialize_request(&key)?.pem()?;
    let request_file = directory.join(format!("{common_name}.csr"));
    let key_file = directory.join(format!("{common_name}.csr.key"));
    fs::write(&request_file, request)?;
    fs::write(&key_file, key.serialize_pem())?;
    Ok((request_file, key_file))
}

fn parameters(common_name: &str, names: Vec<String>) -> Result<CertificateParams> {
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name.remove(DnType::CommonName);
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    let now = OffsetDateTime::now_utc();
    parameters.not_before = now - Duration::hours(1);
    parameters.not_after = now + Duration::days(1);
    Ok(parameters)
}
