//! The table of fields. Add a field here and every other list follows.

use super::{FieldSpec, Source};
use crate::types::Type;

macro_rules! fields {
    ($($variant:ident, $name:literal, $ty:expr, $source:ident, $doc:literal;)*) => {
        /// A field of the scheme.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Field {
            $(#[doc = concat!("`", $name, "`: ", $doc)] $variant,)*
        }

        impl Field {
            /// Every field, in the order documentation lists them.
            pub const ALL: &'static [FieldSpec] = &[
                $(FieldSpec { field: Self::$variant, name: $name, ty: $ty, source: Source::$source, doc: $doc },)*
            ];

            /// What the table says about this field.
            #[must_use]
            pub const fn spec(self) -> &'static FieldSpec {
                match self {
                    $(Self::$variant => &FieldSpec {
                        field: Self::$variant, name: $name, ty: $ty, source: Source::$source, doc: $doc,
                    },)*
                }
            }

            pub(super) fn from_current_name(name: &str) -> Option<Self> {
                Some(match name {
                    $($name => Self::$variant,)*
                    _ => return None,
                })
            }
        }
    };
}

/// Values under names, each name any number of times: headers, cookies, arguments.
const MULTIMAP: Type = Type::Map(&Type::Array(&Type::Bytes));
/// A sequence of strings.
const STRINGS: Type = Type::Array(&Type::Bytes);

fields! {
    Ssl, "ssl", Type::Bool, Tls, "Whether the connection uses TLS.";
    TlsVersion, "cf.tls_version", Type::Bytes, Tls, "The TLS version, as in `TLSv1.3`.";
    TlsCipher, "cf.tls_cipher", Type::Bytes, Tls, "The cipher suite under its OpenSSL name, as in `AES128-SHA256`.";
    TlsClientHelloLength, "cf.tls_client_hello_length", Type::Int, Tls, "Bytes of the ClientHello message.";
    TlsClientRandom, "cf.tls_client_random", Type::Bytes, Tls, "The client's 32 random bytes, base64.";
    TlsCiphersSha1, "cf.tls_ciphers_sha1", Type::Bytes, Tls, "SHA-1 of the cipher suites the client offers, base64.";
    TlsClientExtensionsSha1, "cf.tls_client_extensions_sha1", Type::Bytes, Tls, "SHA-1 of the extensions the client sends, big-endian, base64.";
    TlsClientExtensionsSha1Le, "cf.tls_client_extensions_sha1_le", Type::Bytes, Tls, "SHA-1 of the extensions the client sends, little-endian, base64.";
    Ja3Hash, "cf.bot_management.ja3_hash", Type::Bytes, Tls, "JA3 fingerprint of the ClientHello, lower-case hex.";
    Ja4, "cf.bot_management.ja4", Type::Bytes, Tls, "JA4 fingerprint of the ClientHello.";
    CertVerified, "cf.tls_client_auth.cert_verified", Type::Bool, Certificate, "The client presented a valid certificate. Also true for a valid certificate that is revoked.";
    CertRevoked, "cf.tls_client_auth.cert_revoked", Type::Bool, Certificate, "The client presented a certificate that is valid but revoked.";
    CertPresented, "cf.tls_client_auth.cert_presented", Type::Bool, Certificate, "The client presented a certificate, valid or not.";
    CertIssuerDn, "cf.tls_client_auth.cert_issuer_dn", Type::Bytes, Certificate, "Distinguished name of the issuer, as in `CN=Access CA,O=Access,C=US`.";
    CertSubjectDn, "cf.tls_client_auth.cert_subject_dn", Type::Bytes, Certificate, "Distinguished name of the subject.";
    CertIssuerDnRfc2253, "cf.tls_client_auth.cert_issuer_dn_rfc2253", Type::Bytes, Certificate, "Distinguished name of the issuer in the form of RFC 2253.";
    CertSubjectDnRfc2253, "cf.tls_client_auth.cert_subject_dn_rfc2253", Type::Bytes, Certificate, "Distinguished name of the subject in the form of RFC 2253.";
    CertIssuerDnLegacy, "cf.tls_client_auth.cert_issuer_dn_legacy", Type::Bytes, Certificate, "Distinguished name of the issuer in OpenSSL's old form, as in `/C=US/O=Access/CN=Access CA`.";
    CertSubjectDnLegacy, "cf.tls_client_auth.cert_subject_dn_legacy", Type::Bytes, Certificate, "Distinguished name of the subject in OpenSSL's old form.";
    CertSerial, "cf.tls_client_auth.cert_serial", Type::Bytes, Certificate, "Serial number, upper-case hex without separators.";
    CertIssuerSerial, "cf.tls_client_auth.cert_issuer_serial", Type::Bytes, Certificate, "Serial number of the direct issuer's certificate, upper-case hex without separators.";
    CertFingerprintSha256, "cf.tls_client_auth.cert_fingerprint_sha256", Type::Bytes, Certificate, "SHA-256 of the certificate, lower-case hex.";
    CertFingerprintSha1, "cf.tls_client_auth.cert_fingerprint_sha1", Type::Bytes, Certificate, "SHA-1 of the certificate, lower-case hex.";
    CertNotBefore, "cf.tls_client_auth.cert_not_before", Type::Bytes, Certificate, "Start of validity, as in `Mar 21 13:35:00 2022 GMT`.";
    CertNotAfter, "cf.tls_client_auth.cert_not_after", Type::Bytes, Certificate, "End of validity, as in `Mar 21 13:35:00 2032 GMT`.";
    CertSki, "cf.tls_client_auth.cert_ski", Type::Bytes, Certificate, "Subject key identifier, upper-case hex without colons.";
    CertIssuerSki, "cf.tls_client_auth.cert_issuer_ski", Type::Bytes, Certificate, "Subject key identifier of the direct issuer, upper-case hex without colons.";
    CertRfc9440, "cf.tls_client_auth.cert_rfc9440", Type::Bytes, Certificate, "The certificate as an RFC 9440 header value, whatever the validation said; empty when none or larger than 10 KiB.";
    CertRfc9440TooLarge, "cf.tls_client_auth.cert_rfc9440_too_large", Type::Bool, Certificate, "The certificate is larger than 10 KiB.";
    CertChainRfc9440, "cf.tls_client_auth.cert_chain_rfc9440", Type::Bytes, Certificate, "The other certificates the client sent as an RFC 9440 list, unvalidated; empty when none or larger than 16 KiB.";
    CertChainRfc9440TooLarge, "cf.tls_client_auth.cert_chain_rfc9440_too_large", Type::Bool, Certificate, "The other certificates the client sent are larger than 16 KiB.";
    EdgeServerPort, "cf.edge.server_port", Type::Int, Connection, "The port of this filter the client connected to.";
    EdgeServerIp, "cf.edge.server_ip", Type::Ip, Connection, "The address of this filter the client connected to.";
    RayId, "cf.ray_id", Type::Bytes, Connection, "Identifier of this request in logs and block pages.";
    RandomSeed, "cf.random_seed", Type::Bytes, Connection, "Random bytes, new for each request.";
    ThreatScore, "cf.threat_score", Type::Int, Connection, "Always 0: Cloudflare retired the score.";
    ZoneName, "cf.zone.name", Type::Bytes, Connection, "Name of the zone the host belongs to.";
    IpSrc, "ip.src", Type::Ip, Client, "Address of the client.";
    IpSrcCountry, "ip.src.country", Type::Bytes, Geo, "Two-letter country code, as in `GB`.";
    IpSrcContinent, "ip.src.continent", Type::Bytes, Geo, "Two-letter continent code, as in `EU`.";
    IpSrcCity, "ip.src.city", Type::Bytes, Geo, "City.";
    IpSrcRegion, "ip.src.region", Type::Bytes, Geo, "Region.";
    IpSrcRegionCode, "ip.src.region_code", Type::Bytes, Geo, "Region code.";
    IpSrcPostalCode, "ip.src.postal_code", Type::Bytes, Geo, "Postal code.";
    IpSrcMetroCode, "ip.src.metro_code", Type::Bytes, Geo, "Metro code (United States).";
    IpSrcLat, "ip.src.lat", Type::Bytes, Geo, "Latitude, as text.";
    IpSrcLon, "ip.src.lon", Type::Bytes, Geo, "Longitude, as text.";
    IpSrcAsnum, "ip.src.asnum", Type::Int, Geo, "Number of the autonomous system.";
    IpSrcTimezoneName, "ip.src.timezone.name", Type::Bytes, Geo, "Time zone, as in `Europe/London`.";
    IpSrcIsInEuropeanUnion, "ip.src.is_in_european_union", Type::Bool, Geo, "Whether the country is in the European Union.";
    IpSrcSubdivision1IsoCode, "ip.src.subdivision_1_iso_code", Type::Bytes, Geo, "First-level ISO 3166-2 code, as in `GB-ENG`.";
    IpSrcSubdivision2IsoCode, "ip.src.subdivision_2_iso_code", Type::Bytes, Geo, "Second-level ISO 3166-2 code, as in `GB-SWK`.";
    HttpHost, "http.host", Type::Bytes, Request, "Host the client asked for: lower case, without port, without trailing dot.";
    HttpMethod, "http.request.method", Type::Bytes, Request, "Method, upper case.";
    HttpVersion, "http.request.version", Type::Bytes, Request, "HTTP version, as in `HTTP/1.1` or `HTTP/2`.";
    HttpFullUri, "http.request.full_uri", Type::Bytes, Request, "The whole URI, without a fragment.";
    HttpUri, "http.request.uri", Type::Bytes, Request, "Path and query.";
    HttpUriPath, "http.request.uri.path", Type::Bytes, Request, "Path.";
    HttpUriPathExtension, "http.request.uri.path.extension", Type::Bytes, Request, "Lower-case file extension of the path, without the dot.";
    HttpUriQuery, "http.request.uri.query", Type::Bytes, Request, "Query, without the `?`.";
    HttpUriArgs, "http.request.uri.args", MULTIMAP, Request, "Query arguments by name.";
    HttpUriArgsNames, "http.request.uri.args.names", STRINGS, Request, "Names of the query arguments, in order.";
    HttpUriArgsValues, "http.request.uri.args.values", STRINGS, Request, "Values of the query arguments, in order.";
    RawHttpFullUri, "raw.http.request.full_uri", Type::Bytes, Request, "The whole URI as it came, before normalisation.";
    RawHttpUri, "raw.http.request.uri", Type::Bytes, Request, "Path and query as they came.";
    RawHttpUriPath, "raw.http.request.uri.path", Type::Bytes, Request, "Path as it came.";
    RawHttpUriPathExtension, "raw.http.request.uri.path.extension", Type::Bytes, Request, "File extension of the path as it came.";
    RawHttpUriQuery, "raw.http.request.uri.query", Type::Bytes, Request, "Query as it came.";
    RawHttpUriArgs, "raw.http.request.uri.args", MULTIMAP, Request, "Query arguments as they came, by name.";
    RawHttpUriArgsNames, "raw.http.request.uri.args.names", STRINGS, Request, "Names of the query arguments as they came.";
    RawHttpUriArgsValues, "raw.http.request.uri.args.values", STRINGS, Request, "Values of the query arguments as they came.";
    HttpCookie, "http.cookie", Type::Bytes, Request, "The whole Cookie header.";
    HttpCookies, "http.request.cookies", MULTIMAP, Request, "Cookies by URL-decoded name.";
    HttpReferer, "http.referer", Type::Bytes, Request, "The Referer header.";
    HttpUserAgent, "http.user_agent", Type::Bytes, Request, "The User-Agent header.";
    HttpXForwardedFor, "http.x_forwarded_for", Type::Bytes, Request, "The X-Forwarded-For header as the client sent it.";
    HttpTimestampSec, "http.request.timestamp.sec", Type::Int, Request, "When the request came, seconds since 1970.";
    HttpTimestampMsec, "http.request.timestamp.msec", Type::Int, Request, "Milliseconds within that second.";
    HttpHeaders, "http.request.headers", MULTIMAP, Request, "Headers by lower-case name; repeated headers in order.";
    HttpHeadersNames, "http.request.headers.names", STRINGS, Request, "Header names as they came, repeats included.";
    HttpHeadersValues, "http.request.headers.values", STRINGS, Request, "Header values as they came, repeats included.";
    HttpHeadersTruncated, "http.request.headers.truncated", Type::Bool, Request, "Whether the request had more headers than this filter keeps.";
}
