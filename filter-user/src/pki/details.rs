//! What rules, headers and logs say of a certificate that a client presented.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer as _;

use super::limits::{RFC9440_CHAIN_BYTES, RFC9440_LEAF_BYTES};
use super::name;

/// The values of the `cf.tls_client_auth.*` fields, in the formats Cloudflare documents.
///
/// They describe what was presented, verified or not; what the issuer alone can say (`issuer_serial`, `issuer_ski`) is
/// empty unless the path was verified, so that a rule that pins an issuer cannot be talked into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateDetails {
    /// `CN=James Royal,OU=Access Admins,O=Access,L=Austin,ST=Texas,C=US`.
    pub issuer_dn: String,
    /// `/C=US/ST=Texas/L=Austin/O=Access/OU=Access Admins/CN=James Royal`.
    pub issuer_dn_legacy: String,
    /// As `issuer_dn`.
    pub subject_dn: String,
    /// As `issuer_dn_legacy`.
    pub subject_dn_legacy: String,
    /// Upper-case hexadecimal.
    pub serial: String,
    /// Serial of the direct issuer, upper-case hexadecimal.
    pub issuer_serial: String,
    /// Subject key identifier, upper-case hexadecimal.
    pub ski: String,
    /// Subject key identifier of the direct issuer, upper-case hexadecimal.
    pub issuer_ski: String,
    /// Lower-case hexadecimal.
    pub fingerprint_sha256: String,
    /// Lower-case hexadecimal.
    pub fingerprint_sha1: String,
    /// `Mar 21 13:35:00 2022 GMT`.
    pub not_before: String,
    /// `Mar 21 13:35:00 2022 GMT`.
    pub not_after: String,
    /// `:base64:` of the leaf; empty if it is too large.
    pub rfc9440: String,
    /// Whether `rfc9440` would exceed 10 KiB.
    pub rfc9440_too_large: bool,
    /// `:base64:, :base64:` of what was sent beside the leaf, as it was sent; empty if it is too large.
    pub chain_rfc9440: String,
    /// Whether `chain_rfc9440` would exceed 16 KiB.
    pub chain_rfc9440_too_large: bool,
}

/// What a verified path knows of the direct issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct IssuerFacts {
    pub(super) serial: String,
    pub(super) ski: Option<String>,
}

impl IssuerFacts {
    /// Reads them of an intermediate certificate.
    pub(super) fn read(certificate: &X509Certificate<'_>) -> Self {
        Self { serial: upper_hex(significant(certificate.raw_serial())), ski: ski(certificate).map(upper_hex) }
    }
}

impl CertificateDetails {
    /// Describes a chain, leaf first. Bytes that are no certificate have fingerprints and an encoding, and nothing else.
    pub(super) fn read(leaf: &CertificateDer<'_>, others: &Others<'_>, issuer: Option<&IssuerFacts>) -> Self {
        let rfc9440 = within(byte_sequence(leaf), RFC9440_LEAF_BYTES);
        let chain = match others {
            Others::Kept(certificates) => {
                let items: Vec<_> = certificates.iter().map(|der| byte_sequence(der)).collect();
                within(items.join(", "), RFC9440_CHAIN_BYTES)
            }
            Others::Dropped => None,
        };
        let mut details = Self {
            fingerprint_sha256: lower_hex(digest(&SHA256, leaf).as_ref()),
            fingerprint_sha1: lower_hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, leaf).as_ref()),
            rfc9440_too_large: rfc9440.is_none(),
            rfc9440: rfc9440.unwrap_or_default(),
            chain_rfc9440_too_large: chain.is_none(),
            chain_rfc9440: chain.unwrap_or_default(),
            ..Self::default()
        };
        if let Ok(certificate) = parse(leaf) {
            details.describe(&certificate, issuer);
        }
        details
    }

    fn describe(&mut self, certificate: &X509Certificate<'_>, issuer: Option<&IssuerFacts>) {
        self.issuer_dn = name::rfc2253(certificate.issuer());
        self.issuer_dn_legacy = name::legacy(certificate.issuer());
        self.subject_dn = name::rfc2253(certificate.subject());
        self.subject_dn_legacy = name::legacy(certificate.subject());
        self.serial = upper_hex(significant(certificate.raw_serial()));
        self.ski = ski(certificate).map(upper_hex).unwrap_or_default();
        self.not_before = openssl_time(certificate.validity().not_before.timestamp());
        self.not_after = openssl_time(certificate.validity().not_after.timestamp());
        if let Some(issuer) = issuer {
            self.issuer_serial.clone_from(&issuer.serial);
            // An issuer without an identifier of its own is named by the certificates it issued.
            let named = || authority_key_id(certificate).map(upper_hex);
            self.issuer_ski = issuer.ski.clone().or_else(named).unwrap_or_default();
        }
    }
}

/// What a client sent beside the leaf.
pub(super) enum Others<'a> {
    /// All of it.
    Kept(&'a [CertificateDer<'static>]),
    /// More than anybody would pass on.
    Dropped,
}

/// Reads a certificate that fills its bytes exactly.
pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, &'static str> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err("there are bytes after its end"),
        Err(_) => Err("its encoding is broken"),
    }
}

/// The bytes of an integer without leading zeros.
pub(super) fn significant(bytes: &[u8]) -> &[u8] {
    let first = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
    bytes.get(first..).unwrap_or_default()
}

/// The subject key identifier.
pub(super) fn ski<'a>(certificate: &X509Certificate<'a>) -> Option<&'a [u8]> {
    certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    })
}

fn authority_key_id<'a>(certificate: &X509Certificate<'a>) -> Option<&'a [u8]> {
    certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0),
        _ => None,
    })
}

/// A structured-field byte sequence (RFC 9440).
fn byte_sequence(der: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(der))
}

fn within(text: String, limit: usize) -> Option<String> {
    (text.len() <= limit).then_some(text)
}

pub(super) fn upper_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    // Writing to a `String` does not fail.
    bytes.iter().for_each(|byte| _ = write!(text, "{byte:02X}"));
    text
}

pub(super) fn lower_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    bytes.iter().for_each(|byte| _ = write!(text, "{byte:02x}"));
    text
}

/// `Mar 21 13:35:00 2022 GMT`, the day padded with a blank: OpenSSL's print form.
fn openssl_time(unix_seconds: i64) -> String {
    const FORMAT: &[BorrowedFormatItem<'_>] =
        format_description!("[month repr:short] [day padding:space] [hour]:[minute]:[second] [year] GMT");
    let moment = OffsetDateTime::from_unix_timestamp(unix_seconds).ok();
    moment.and_then(|moment| moment.format(FORMAT).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_printed_as_openssl_does() {
        assert_eq!(openssl_time(1_647_869_700), "Mar 21 13:35:00 2022 GMT");
        assert_eq!(openssl_time(0), "Jan  1 00:00:00 1970 GMT");
        assert_eq!(openssl_time(i64::MAX), "");
    }

    #[test]
    fn an_encoded_leaf_is_left_out_past_its_limit() {
        // 4 characters for 3 bytes and 2 colons: 10,240 characters hold 7,677 bytes.
        let read = |bytes: usize| CertificateDetails::read(&vec![0; bytes].into(), &Others::Kept(&[]), None);
        let (fits, too_large) = (read(7_677), read(7_679));
        assert_eq!((fits.rfc9440.len(), fits.rfc9440_too_large), (10_238, false));
        assert_eq!((too_large.rfc9440.as_str(), too_large.rfc9440_too_large), ("", true));
    }

    #[test]
    fn an_encoded_chain_is_left_out_past_its_limit() {
        let read = |bytes: usize| {
            let others = [CertificateDer::from(vec![0; 3]), CertificateDer::from(vec![0; bytes])];
            CertificateDetails::read(&vec![0; 3].into(), &Others::Kept(&others), None)
        };
        let small = read(3);
        assert_eq!((small.chain_rfc9440.as_str(), small.chain_rfc9440_too_large), (":AAAA:, :AAAA:", false));
        // The first item and the separator take 8 characters, the colons of the second 2.
        let (fits, too_large) = (read(12_279), read(12_282));
        assert_eq!((fits.chain_rfc9440.len(), fits.chain_rfc9440_too_large), (16_382, false));
        assert_eq!((too_large.chain_rfc9440.as_str(), too_large.chain_rfc9440_too_large), ("", true));
    }

    #[test]
    fn without_other_certificates_the_chain_is_empty_and_not_too_large() {
        let details = CertificateDetails::read(&vec![0; 3].into(), &Others::Kept(&[]), None);
        assert_eq!((details.chain_rfc9440.as_str(), details.chain_rfc9440_too_large), ("", false));
    }

    #[test]
    fn bytes_that_are_no_certificate_have_a_fingerprint_and_no_name() {
        let details = CertificateDetails::read(&b"garbage".to_vec().into(), &Others::Kept(&[]), None);
        assert_eq!((details.rfc9440.as_str(), details.subject_dn.as_str()), (":Z2FyYmFnZQ==:", ""));
        assert_eq!((details.fingerprint_sha256.len(), details.fingerprint_sha1.len()), (64, 40));
    }
}
