//! An authority that is run with `openssl ca`, as many are: its certificates, and its revocation lists, complete and delta.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::pki::ClientCertificate;
use super::programs;

/// What `openssl ca` is told. `delta` says which list a delta builds on, in `BASE`.
const CONFIGURATION: &str = "\
[ca]
default_ca = own
[own]
database = index.txt
crlnumber = number
certificate = authority.crt
private_key = authority.key
default_md = sha256
[complete]
authorityKeyIdentifier = keyid:always
[delta]
authorityKeyIdentifier = keyid:always
2.5.29.27 = critical,DER:02:01:BASE
";

/// An authority made and run by openssl.
#[derive(Debug)]
pub struct OpensslAuthority {
    directory: PathBuf,
}

impl OpensslAuthority {
    /// Makes one that keeps its files in a directory of its own below `directory`.
    ///
    /// # Errors
    /// If openssl fails.
    pub fn create(directory: &Path, name: &str) -> Result<Self> {
        let authority = Self { directory: directory.join(format!("openssl-{name}")) };
        fs::create_dir_all(&authority.directory)?;
        let subject = format!("/CN={name}");
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "authority.key"];
        let is_ca =
            ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"];
        let certificate = ["-out", "authority.crt", "-subj", &subject, "-days", "30"];
        authority.openssl(&[&["req", "-x509"], &key[..], &is_ca, &certificate].concat())?;
        Ok(authority)
    }

    /// File of the authority's own certificate.
    #[must_use]
    pub fn certificate_file(&self) -> PathBuf {
        self.directory.join("authority.crt")
    }

    /// Issues a client's certificate with this serial number.
    ///
    /// # Errors
    /// If openssl fails.
    pub fn client(&self, name: &str, serial: u8) -> Result<ClientCertificate> {
        let file = |extension: &str| format!("{name}.{extension}");
        let (key, request, certificate) = (file("key"), file("csr"), file("crt"));
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let subject = format!("/CN={name}");
        self.openssl(
            &[&["req", "-new"], &curve[..], &["-keyout", &key, "-out", &request, "-subj", &subject]].concat(),
        )?;
        fs::write(self.directory.join("client.cnf"), "basicConstraints = CA:FALSE\nextendedKeyUsage = clientAuth\n")?;
        let serial = serial.to_string();
        let issuer = ["-CA", "authority.crt", "-CAkey", "authority.key", "-set_serial", &serial, "-days", "7"];
        let files = ["-in", &request, "-out", &certificate, "-extfile", "client.cnf"];
        self.openssl(&[&["x509", "-req"], &issuer[..], &files].concat())?;
        Ok(ClientCertificate {
            issued: None,
            common_name: name.to_owned(),
            certificate: self.directory.join(certificate),
            key: self.directory.join(key),
        })
    }

    /// A complete list (PEM) that says until when it is good, in seconds from now.
    ///
    /// # Errors
    /// If openssl fails.
    pub fn list(&self, number: u8, revoked: &[u8], seconds: u32) -> Result<Vec<u8>> {
        self.any_list("complete", number, 0, revoked, &[], seconds)
    }

    /// What changed since the list `base`, good for an hour.
    ///
    /// # Errors
    /// If openssl fails.
    pub fn delta(&self, number: u8, base: u8, revoked: &[u8], removed: &[u8]) -> Result<Vec<u8>> {
        self.any_list("delta", number, base, revoked, removed, 3_600)
    }

    fn any_list(
        &self,
        kind: &str,
        number: u8,
        base: u8,
        revoked: &[u8],
        removed: &[u8],
        seconds: u32,
    ) -> Result<Vec<u8>> {
        let row = |serial: &u8, reason: &str| {
            format!("R\t491231000000Z\t260101000000Z{reason}\t{serial:02X}\tunknown\t/CN=x\n")
        };
        let rows = revoked.iter().map(|serial| row(serial, ""));
        let index: String = rows.chain(removed.iter().map(|serial| row(serial, ",removeFromCRL"))).collect();
        for (file, content) in [
            ("index.txt", index),
            ("number", format!("{number:02X}\n")),
            ("ca.cnf", CONFIGURATION.replace("BASE", &format!("{base:02X}"))),
        ] {
            fs::write(self.directory.join(file), content)?;
        }
        let seconds = seconds.to_string();
        self.openssl(&[
            "ca", "-gencrl", "-config", "ca.cnf", "-crlexts", kind, "-crlsec", &seconds, "-out", "list.crl",
        ])?;
        Ok(fs::read(self.directory.join("list.crl"))?)
    }

    fn openssl(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(programs::find("openssl")?);
        programs::run(command.args(arguments).current_dir(&self.directory)).map(drop)
    }
}
