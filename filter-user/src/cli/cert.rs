//! `mtls-filter cert`.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::client::Client;
use super::{ZoneArgs, print};
use crate::control::api::dto::{Authority, ClientCertificate, CreateCertificate, Reactivate, Snippet};
use crate::pki::{Pkcs12Form, pkcs12};
use crate::snippets::{SNIPPETS, file_stem};

/// Client certificates.
#[derive(Debug, Subcommand)]
pub(super) enum CertCommand {
    /// Issues a certificate, for a key made here or for a certificate signing request.
    Create(Create),
    /// Lists the certificates of a zone.
    List(ZoneArgs),
    /// Shows one certificate.
    Show(One),
    /// Shows how curl, Python, Android, iOS or an IoT device uses a certificate: texts to copy.
    Snippets(Snippets),
    /// Revokes a certificate: from now on `cf.tls_client_auth.cert_revoked` is true for it, on open connections too.
    Revoke(One),
    /// Takes a revocation back.
    Reactivate(One),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    #[command(flatten)]
    zone: ZoneArgs,
    /// Subject of the certificate: a name for the device or user. The private key is made by this command and never leaves it.
    #[arg(long, value_name = "NAME", conflicts_with = "csr", required_unless_present = "csr")]
    common_name: Option<String>,
    /// A certificate signing request (PEM): the key stays where it was made.
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// Validity in days.
    #[arg(long, default_value_t = 365)]
    days: u32,
    /// Writes `NAME.crt`, `NAME.der`, `NAME.key` and `ca.crt` to this directory, in place of printing them.
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// Writes `NAME.p12` as well: certificate, key and CA in one file, as phones and browsers take them. Its password is the first line
    /// of this file, or of standard input for `-`.
    #[arg(long, value_name = "FILE", requires = "out", conflicts_with = "csr")]
    p12_password: Option<PathBuf>,
    /// Encrypts `NAME.p12` as devices before iOS 16, Android 14 and Windows 10 can read it; the password protects little then.
    #[arg(long, requires = "p12_password")]
    p12_legacy: bool,
}

#[derive(Debug, Args)]
pub(super) struct One {
    /// The id, as `cert list` shows it.
    id: String,
    #[command(flatten)]
    zone: ZoneArgs,
}

#[derive(Debug, Args)]
pub(super) struct Snippets {
    #[command(flatten)]
    one: One,
    /// Only for this: curl, python, android, ios or iot; prints nothing but the text.
    #[arg(long = "for", value_name = "TARGET", value_parser = SNIPPETS.map(|snippet| snippet.target))]
    target: Option<String>,
    /// The host that is asked; the first of the zone that has mTLS enabled, if left out.
    #[arg(long)]
    host: Option<String>,
}

impl Snippets {
    async fn execute(self) -> anyhow::Result<()> {
        self.one.check()?;
        let (client, zone) = self.one.zone.connect().await?;
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.host.iter().map(|host| ("host", host)));
        let id = &self.one.id;
        let path = format!("/api/v1/zones/{zone}/client_certificates/{id}/snippets?{}", query.finish());
        let mut snippets: Vec<Snippet> = client.get(&path).await?;
        snippets.retain(|snippet| self.target.as_ref().is_none_or(|target| snippet.target == *target));
        if self.one.zone.remote.json {
            return print::json(&snippets);
        }
        for snippet in snippets {
            if self.target.is_none() {
                print::line(format_args!("# {} ({})\n", snippet.title, snippet.target))?;
            }
            print::text(format_args!("{}", snippet.text))?;
            if self.target.is_none() {
                print::line(format_args!(""))?;
            }
        }
        Ok(())
    }
}

impl CertCommand {
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        match self {
            Self::Create(args) => args.execute().await,
            Self::List(args) => list(&args).await,
            Self::Show(one) => {
                let (client, path) = one.connect().await?;
                show(&one, &client.get(&path).await?)
            }
            Self::Snippets(args) => args.execute().await,
            Self::Revoke(one) => {
                let (client, path) = one.connect().await?;
                show(&one, &client.delete(&path).await?)
            }
            Self::Reactivate(one) => {
                let (client, path) = one.connect().await?;
                show(&one, &client.patch(&path, &Reactivate { reactivate: Some(true) }).await?)
            }
        }
    }
}

impl One {
    fn check(&self) -> anyhow::Result<()> {
        if self.id.is_empty() || !self.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            bail!("`{}` is no certificate id: `cert list` shows them", self.id);
        }
        Ok(())
    }

    async fn connect(&self) -> anyhow::Result<(Client, String)> {
        self.check()?;
        let (client, zone) = self.zone.connect().await?;
        Ok((client, format!("/client/v4/zones/{zone}/client_certificates/{}", self.id)))
    }
}

impl Create {
    async fn execute(self) -> anyhow::Result<()> {
        // Before anything is issued: what cannot be written down afterwards would be lost.
        let password = self.p12_password.as_deref().map(read_password).transpose()?;
        let (client, zone) = self.zone.connect().await?;
        let (csr, key, name) = match (&self.csr, &self.common_name) {
            (Some(path), _) => {
                let csr = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                (csr, None, name)
            }
            (None, Some(name)) => {
                let (key, csr) = key_and_request(name)?;
                (csr, Some((key, name.as_str())), file_stem(name))
            }
            (None, None) => bail!("say what the certificate is for: --common-name NAME or --csr FILE"),
        };
        let request = CreateCertificate { csr, validity_days: self.days };
        let path = format!("/client/v4/zones/{zone}/client_certificates");
        let certificate: ClientCertificate = client.post(&path, &request).await?;
        let pem = key.as_ref().map(|(key, _)| key.serialize_pem());
        match &self.out {
            Some(directory) => {
                let authority: Authority = client.get(&format!("/api/v1/zones/{zone}/ca")).await?;
                let der =
                    CertificateDer::from_pem_slice(certificate.certificate.as_bytes()).context("the certificate")?;
                let issuer = CertificateDer::from_pem_slice(authority.certificate.as_bytes()).context("its CA")?;
                fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
                // First of all what is nowhere else.
                if let Some(pem) = &pem {
                    write(&directory.join(format!("{name}.key")), pem.as_bytes(), 0o600)?;
                }
                write(&directory.join("ca.crt"), authority.certificate.as_bytes(), 0o644)?;
                write(&directory.join(format!("{name}.crt")), certificate.certificate.as_bytes(), 0o644)?;
                write(&directory.join(format!("{name}.der")), &der, 0o644)?;
                if let (Some(password), Some((key, common_name))) = (&password, &key) {
                    let form = if self.p12_legacy { Pkcs12Form::Legacy } else { Pkcs12Form::Modern };
                    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
                    let file = pkcs12(common_name, &der, [issuer.as_ref()], &key, password, form)?;
                    write(&directory.join(format!("{name}.p12")), &file, 0o600)?;
                }
            }
            None if !self.zone.remote.json => {
                print::text(format_args!("{}{}", certificate.certificate, pem.as_deref().unwrap_or_default()))?;
            }
            None => {}
        }
        if self.zone.remote.json {
            return print::json(&Created { certificate: &certificate, private_key: pem.as_deref() });
        }
        print::line(format_args!("{}", certificate.id))?;
        Ok(())
    }
}

/// The first line of a file that holds a password.
fn read_password(path: &Path) -> anyhow::Result<String> {
    let text = if path == Path::new("-") {
        io::read_to_string(io::stdin()).context("cannot read the password from standard input")?
    } else {
        fs::read_to_string(path).with_context(|| format!("cannot read the password from {}", path.display()))?
    };
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() {
        bail!("the first line of {} is empty: a PKCS#12 file needs a password", path.display());
    }
    Ok(password.to_owned())
}

/// A new P-256 key, and a request (PEM) that is signed with it.
fn key_and_request(common_name: &str) -> anyhow::Result<(KeyPair, String)> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("cannot make a private key")?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let request = params.serialize_request(&key).context("cannot make a certificate signing request")?;
    let pem = request.pem()?;
    Ok((key, pem))
}

/// The JSON form of a certificate that was just made; the only time its key is seen.
#[derive(serde::Serialize)]
struct Created<'a> {
    #[serde(flatten)]
    certificate: &'a ClientCertificate,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key: Option<&'a str>,
}

/// Writes a new file; one that is there already may be the only copy of a key.
fn write(path: &Path, content: &[u8], mode: u32) -> anyhow::Result<()> {
    let shared = mode & 0o044 != 0;
    let mut options = fs::OpenOptions::new();
    options.write(true).mode(mode);
    if shared {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut file = options.open(path).with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(content).with_context(|| format!("cannot write {}", path.display()))
}

async fn list(args: &ZoneArgs) -> anyhow::Result<()> {
    let (client, zone) = args.connect().await?;
    let path = format!("/client/v4/zones/{zone}/client_certificates?per_page=1000");
    let certificates: Vec<ClientCertificate> = client.all_pages(&path).await?;
    if args.remote.json {
        return print::json(&certificates);
    }
    let rows: Vec<_> = certificates.into_iter().map(row).collect();
    print::table(["ID", "COMMON NAME", "STATUS", "EXPIRES", "SERIAL"], &rows)
}

fn row(certificate: ClientCertificate) -> [String; 5] {
    let ClientCertificate { id, common_name, status, expires_on, serial_number, .. } = certificate;
    [id, common_name.unwrap_or_default(), status, expires_on, serial_number]
}

fn show(one: &One, certificate: &ClientCertificate) -> anyhow::Result<()> {
    if one.zone.remote.json {
        return print::json(certificate);
    }
    print::table(["ID", "COMMON NAME", "STATUS", "EXPIRES", "SERIAL"], &[row(certificate.clone())])
}
