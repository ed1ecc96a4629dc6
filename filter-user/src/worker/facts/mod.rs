//! The facts of one request: what rules can ask, answered from the request head, the TLS connection and the client's certificate.
//!
//! Nothing is computed until a rule asks for it, and then once.

mod cookies;
#[cfg(test)]
mod tests;
mod tls;
mod uri;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use filter_rules::{Facts, Field, Visit, VisitEntry};
use http::request::Parts;
use http::{HeaderMap, Version, header};

use self::cookies::Cookie;
use super::limits::MAX_HEADERS;
use super::session::Session;
use crate::geo::{Databases, Location};
use crate::pki::{CertificateDetails, ClientIdentity};

/// The facts of one request.
pub(super) struct RequestFacts<'a> {
    pub(super) head: &'a Parts,
    pub(super) session: &'a Session,
    pub(super) zone: &'a str,
    pub(super) identity: &'a ClientIdentity,
    /// Whether the certificate is valid now.
    pub(super) verified: bool,
    /// Whether the certificate is valid and revoked.
    pub(super) revoked: bool,
    pub(super) geo: &'a Databases,
    pub(super) ray_id: &'a str,
    pub(super) time: SystemTime,
    pub(super) computed: Computed<'a>,
}

/// What was computed because a rule asked for it.
#[derive(Default)]
pub(super) struct Computed<'a> {
    path: OnceCell<Cow<'a, str>>,
    extension: OnceCell<String>,
    uri: OnceCell<String>,
    full_uri: OnceCell<String>,
    raw_full_uri: OnceCell<String>,
    cookie_header: OnceCell<Vec<u8>>,
    cookies: OnceCell<Vec<Cookie<'a>>>,
    random_seed: OnceCell<[u8; 32]>,
    location: OnceCell<Location<'a>>,
}

impl<'a> RequestFacts<'a> {
    fn raw_path(&self) -> &'a str {
        self.head.uri.path()
    }

    fn raw_uri(&self) -> &'a str {
        self.head.uri.path_and_query().map_or("", |path_and_query| path_and_query.as_str())
    }

    fn query(&self) -> &'a str {
        self.head.uri.query().unwrap_or_default()
    }

    fn path(&self) -> &str {
        self.computed.path.get_or_init(|| uri::normalise_path(self.raw_path()))
    }

    fn uri(&self) -> &str {
        self.computed.uri.get_or_init(|| match self.head.uri.query() {
            Some(query) => format!("{}?{query}", self.path()),
            None => self.path().to_owned(),
        })
    }

    fn header(&self, name: header::HeaderName) -> Option<&'a [u8]> {
        self.head.headers.get(name).map(header::HeaderValue::as_bytes)
    }

    fn since_epoch(&self) -> Duration {
        self.time.duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn cookies(&self) -> &[Cookie<'a>] {
        self.computed.cookies.get_or_init(|| cookies::cookies(&self.head.headers).collect())
    }

    /// HTTP/1.1 sends one Cookie header; several are joined as RFC 9113 §8.2.3 has it.
    fn cookie_header(&self) -> Option<&[u8]> {
        let mut values = self.head.headers.get_all(header::COOKIE).iter().map(header::HeaderValue::as_bytes).peekable();
        values.peek()?;
        Some(self.computed.cookie_header.get_or_init(|| values.collect::<Vec<_>>().join(&b"; "[..])))
    }

    fn location(&self) -> &Location<'a> {
        self.computed.location.get_or_init(|| self.geo.locate(self.session.client.ip()))
    }

    fn place(&self, text: impl for<'l> FnOnce(&'l Location<'a>) -> Option<&'l str>) -> Option<&[u8]> {
        text(self.location()).map(str::as_bytes)
    }

    /// A text about the certificate; empty where there is none.
    fn certificate(&self, text: impl FnOnce(&CertificateDetails) -> &str) -> &[u8] {
        self.identity.details().map_or(b"", |details| text(details).as_bytes())
    }
}

impl Facts for RequestFacts<'_> {
    fn bool(&self, field: Field) -> Option<bool> {
        match field {
            // Workers serve nothing else.
            Field::Ssl => Some(true),
            Field::CertPresented => Some(self.identity.presented()),
            Field::CertVerified => Some(self.verified),
            Field::CertRevoked => Some(self.revoked),
            Field::CertRfc9440TooLarge => {
                Some(self.identity.details().is_some_and(|details| details.rfc9440_too_large))
            }
            Field::CertChainRfc9440TooLarge => {
                Some(self.identity.details().is_some_and(|details| details.chain_rfc9440_too_large))
            }
            Field::IpSrcIsInEuropeanUnion => self.location().is_in_european_union,
            // A request with more headers than the worker keeps is answered with 431 before any rule.
            Field::HttpHeadersTruncated => Some(self.head.headers.len() > MAX_HEADERS),
            _ => None,
        }
    }

    fn int(&self, field: Field) -> Option<i64> {
        match field {
            Field::TlsClientHelloLength => i64::try_from(self.session.hello.len()).ok(),
            Field::EdgeServerPort => Some(self.session.server.port().into()),
            Field::ThreatScore => Some(0),
            Field::IpSrcAsnum => self.location().asn.map(i64::from),
            Field::HttpTimestampSec => i64::try_from(self.since_epoch().as_secs()).ok(),
            Field::HttpTimestampMsec => Some(self.since_epoch().subsec_millis().into()),
            _ => None,
        }
    }

    fn ip(&self, field: Field) -> Option<IpAddr> {
        match field {
            Field::IpSrc => Some(self.session.client.ip()),
            Field::EdgeServerIp => Some(self.session.server.ip()),
            _ => None,
        }
    }

    fn bytes(&self, field: Field) -> Option<&[u8]> {
        match field {
            Field::HttpHost => Some(self.session.server_name.as_bytes()),
            Field::HttpMethod => Some(self.head.method.as_str().as_bytes()),
            Field::HttpVersion => Some(version(self.head.version).as_bytes()),
            Field::HttpUri => Some(self.uri().as_bytes()),
            Field::HttpUriPath => Some(self.path().as_bytes()),
            Field::HttpUriPathExtension => Some(
                self.computed.extension.get_or_init(|| uri::extension(self.path()).to_ascii_lowercase()).as_bytes(),
            ),
            Field::HttpUriQuery | Field::RawHttpUriQuery => Some(self.query().as_bytes()),
            Field::HttpFullUri => Some(
                self.computed
                    .full_uri
                    .get_or_init(|| format!("https://{}{}", self.session.server_name, self.uri()))
                    .as_bytes(),
            ),
            Field::RawHttpUri => Some(self.raw_uri().as_bytes()),
            Field::RawHttpUriPath => Some(self.raw_path().as_bytes()),
            Field::RawHttpUriPathExtension => Some(uri::extension(self.raw_path()).as_bytes()),
            Field::RawHttpFullUri => Some(
                self.computed
                    .raw_full_uri
                    .get_or_init(|| format!("https://{}{}", self.session.server_name, self.raw_uri()))
                    .as_bytes(),
            ),
            Field::HttpCookie => self.cookie_header(),
            Field::HttpReferer => self.header(header::REFERER),
            Field::HttpUserAgent => self.header(header::USER_AGENT),
            Field::HttpXForwardedFor => self.header(header::HeaderName::from_static("x-forwarded-for")),
            Field::RayId => Some(self.ray_id.as_bytes()),
            Field::RandomSeed => Some(self.computed.random_seed.get_or_init(random_bytes)),
            Field::ZoneName => Some(self.zone.as_bytes()),
            Field::IpSrcCountry => self.place(|place| place.country),
            Field::IpSrcContinent => self.place(|place| place.continent),
            Field::IpSrcCity => self.place(|place| place.city),
            Field::IpSrcRegion => self.place(|place| place.region),
            Field::IpSrcRegionCode => self.place(|place| place.region_code),
            Field::IpSrcPostalCode => self.place(|place| place.postal_code),
            Field::IpSrcMetroCode => self.place(|place| place.metro_code.as_deref()),
            Field::IpSrcLat => self.place(|place| place.latitude.as_deref()),
            Field::IpSrcLon => self.place(|place| place.longitude.as_deref()),
            Field::IpSrcTimezoneName => self.place(|place| place.time_zone),
            Field::IpSrcSubdivision1IsoCode => self.place(|place| place.subdivisions[0].as_deref()),
            Field::IpSrcSubdivision2IsoCode => self.place(|place| place.subdivisions[1].as_deref()),
            Field::TlsVersion => tls::version(self.session.tls_version).map(str::as_bytes),
            Field::TlsCipher => tls::cipher(self.session.tls_cipher).map(str::as_bytes),
            Field::TlsClientRandom => Some(self.session.fingerprint().random.as_bytes()),
            Field::TlsCiphersSha1 => Some(self.session.fingerprint().ciphers_sha1.as_bytes()),
            Field::TlsClientExtensionsSha1 => Some(self.session.fingerprint().extensions_sha1.as_bytes()),
            Field::TlsClientExtensionsSha1Le => Some(self.session.fingerprint().extensions_sha1_le.as_bytes()),
            Field::Ja3Hash => Some(self.session.fingerprint().ja3.as_bytes()),
            Field::Ja4 => Some(self.session.fingerprint().ja4.as_bytes()),
            Field::CertIssuerDn | Field::CertIssuerDnRfc2253 => Some(self.certificate(|of| &of.issuer_dn)),
            Field::CertSubjectDn | Field::CertSubjectDnRfc2253 => Some(self.certificate(|of| &of.subject_dn)),
            Field::CertIssuerDnLegacy => Some(self.certificate(|of| &of.issuer_dn_legacy)),
            Field::CertSubjectDnLegacy => Some(self.certificate(|of| &of.subject_dn_legacy)),
            Field::CertSerial => Some(self.certificate(|of| &of.serial)),
            Field::CertIssuerSerial => Some(self.certificate(|of| &of.issuer_serial)),
            Field::CertFingerprintSha256 => Some(self.certificate(|of| &of.fingerprint_sha256)),
            Field::CertFingerprintSha1 => Some(self.certificate(|of| &of.fingerprint_sha1)),
            Field::CertNotBefore => Some(self.certificate(|of| &of.not_before)),
            Field::CertNotAfter => Some(self.certificate(|of| &of.not_after)),
            Field::CertSki => Some(self.certificate(|of| &of.ski)),
            Field::CertIssuerSki => Some(self.certificate(|of| &of.issuer_ski)),
            Field::CertRfc9440 => Some(self.certificate(|of| &of.rfc9440)),
            Field::CertChainRfc9440 => Some(self.certificate(|of| &of.chain_rfc9440)),
            _ => None,
        }
    }

    fn each_item<'f>(&'f self, field: Field, visit: Visit<'_, 'f>) -> bool {
        let headers = &self.head.headers;
        match field {
            Field::HttpUriArgsNames | Field::RawHttpUriArgsNames => {
                all(uri::arguments(self.query()).map(|(name, _)| name), visit)
            }
            Field::HttpUriArgsValues | Field::RawHttpUriArgsValues => {
                all(uri::arguments(self.query()).map(|(_, value)| value), visit)
            }
            Field::HttpHeadersNames => all(headers.iter().map(|(name, _)| name.as_str().as_bytes()), visit),
            Field::HttpHeadersValues => all(headers.iter().map(|(_, value)| value.as_bytes()), visit),
            _ => false,
        }
    }

    fn each_under<'f>(&'f self, field: Field, key: &[u8], visit: Visit<'_, 'f>) -> bool {
        match field {
            Field::HttpHeaders => under_header(&self.head.headers, key, visit),
            Field::HttpCookies => under(self.cookies().iter().map(|(name, value)| (name.as_ref(), *value)), key, visit),
            Field::HttpUriArgs | Field::RawHttpUriArgs => under(uri::arguments(self.query()), key, visit),
            _ => false,
        }
    }

    fn each_entry<'f>(&'f self, field: Field, visit: VisitEntry<'_, 'f>) -> bool {
        let headers = self.head.headers.iter();
        match field {
            Field::HttpHeaders => {
                entries(headers.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())), visit)
            }
            Field::HttpCookies => entries(self.cookies().iter().map(|(name, value)| (name.as_ref(), *value)), visit),
            Field::HttpUriArgs | Field::RawHttpUriArgs => entries(uri::arguments(self.query()), visit),
            _ => false,
        }
    }
}

fn all<'f>(items: impl Iterator<Item = &'f [u8]>, visit: Visit<'_, 'f>) -> bool {
    for item in items {
        if visit(item).is_break() {
            break;
        }
    }
    true
}

fn entries<'f>(items: impl Iterator<Item = (&'f [u8], &'f [u8])>, visit: VisitEntry<'_, 'f>) -> bool {
    for (key, value) in items {
        if visit(key, value).is_break() {
            break;
        }
    }
    true
}

fn under<'f>(items: impl Iterator<Item = (&'f [u8], &'f [u8])>, key: &[u8], visit: Visit<'_, 'f>) -> bool {
    let mut found = false;
    for (_, value) in items.filter(|(name, _)| *name == key) {
        found = true;
        if visit(value) == ControlFlow::Break(()) {
            break;
        }
    }
    found
}

fn under_header<'f>(headers: &'f HeaderMap, key: &[u8], visit: Visit<'_, 'f>) -> bool {
    // Keys are lower case; one that is not names no header.
    let Some(name) = std::str::from_utf8(key).ok().filter(|key| !key.bytes().any(|byte| byte.is_ascii_uppercase()))
    else {
        return false;
    };
    let mut values = headers.get_all(name).iter().map(header::HeaderValue::as_bytes).peekable();
    values.peek().is_some() && all(values, visit)
}

const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        // `Version` has private variants only beside these.
        _ => "HTTP/1.1",
    }
}

fn random_bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    // Without randomness TLS would not have come this far; zeros are a value like any other to a rule.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes
}
