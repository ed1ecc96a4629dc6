//! What a proxy takes out of a request and a response, and what it puts in.
//!
//! Names that tell an upstream who the client is are taken out of every request of every host, whether or not we set them: an upstream
//! that trusts us must never see a copy that a client wrote. Back ends that turn names into variables map `_` to `-`, so the two count
//! as equal here (`Client_Cert` forges `Client-Cert`).

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Fields of one connection that a proxy does not pass on (RFC 9110 §7.6.1), beside those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Names that only we may set towards an upstream, with `-` for `_`.
const RESERVED: [&str; 8] = [
    "client-cert",
    "client-cert-chain",
    "forwarded",
    "x-client-cert",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-real-ip",
];

/// Beginnings of such names.
const RESERVED_PREFIXES: [&str; 4] = ["cf-cert-", "cf-client-cert-", "ssl-client-", "x-ssl-client-"];

/// The identifier of the request, towards client and upstream.
pub(super) const RAY_ID: HeaderName = HeaderName::from_static("x-ray-id");

const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What a request tells its upstream.
pub(super) struct Forwarded<'a> {
    pub(super) client: IpAddr,
    pub(super) ray_id: &'a str,
    /// The verified, unrevoked certificate as an RFC 9440 byte sequence, on hosts that forward it.
    pub(super) client_cert: Option<&'a str>,
}

/// Makes the header of a request fit for the upstream.
pub(super) fn prepare_request(headers: &mut HeaderMap, forwarded: &Forwarded<'_>) {
    remove_hop_by_hop(headers);
    // We answer `100 Continue` ourselves, as soon as the body is wanted.
    headers.remove(header::EXPECT);
    let reserved: Vec<HeaderName> = headers.keys().filter(|name| is_reserved(name.as_str())).cloned().collect();
    for name in reserved {
        headers.remove(name);
    }
    let mut set = |name, value: &str| {
        // Addresses, ray ids and base64 are ASCII without control characters.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(X_FORWARDED_FOR, &forwarded.client.to_string());
    set(X_FORWARDED_PROTO, "https");
    set(RAY_ID, forwarded.ray_id);
    if let Some(certificate) = forwarded.client_cert {
        set(CLIENT_CERT, certificate);
    }
}

/// Makes the header of an upstream's response fit for the client.
pub(super) fn prepare_response(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
}

/// Whether a request may not bring this name to an upstream. `name` is in lower case, as `HeaderName` keeps it.
fn is_reserved(name: &str) -> bool {
    let equal = |reserved: &str| name.len() == reserved.len() && starts_with(name, reserved);
    RESERVED.iter().any(|reserved| equal(reserved))
        || RESERVED_PREFIXES.iter().any(|prefix| starts_with(name, prefix))
        || equal(RAY_ID.as_str())
}

/// Whether `name` starts with `prefix`, `_` and `-` being the same.
fn starts_with(name: &str, prefix: &str) -> bool {
    let same = |(a, b): (u8, u8)| a == b || (a == b'_' && b == b'-');
    name.len() >= prefix.len() && name.bytes().zip(prefix.bytes()).all(same)
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        // `Connection: host` must not take away what the verdict was made on.
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .filter(|name| !matches!(*name, header::HOST | header::CONTENT_LENGTH))
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::{HeaderName, HeaderValue};

    use super::{Forwarded, prepare_request};

    fn prepared(fields: &[(&str, &str)], client_cert: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let forwarded = Forwarded { client: "2001:db8::7".parse().unwrap(), ray_id: "00f1", client_cert };
        prepare_request(&mut headers, &forwarded);
        headers
    }

    #[test]
    fn names_that_speak_of_the_client_are_taken_out_however_they_are_spelt() {
        let forged = [
            "Client-Cert",
            "client_cert",
            "CLIENT-CERT_CHAIN",
            "Cf-Cert-Verified",
            "cf_cert_verified",
            "cf-client_cert-sha256",
            "X-SSL-Client-Verify",
            "x_ssl_client_s_dn",
            "SSL_CLIENT_CERT",
            "X-Forwarded-Client-Cert",
            "x_forwarded_for",
            "X-Real-IP",
            "Forwarded",
            "x_ray_id",
        ];
        for name in forged {
            let headers = prepared(&[(name, "forged")], None);
            assert!(!headers.values().any(|value| value == "forged"), "{name}");
        }
        let headers = prepared(&[("client-certificate-hint", "kept"), ("x-client", "kept")], None);
        assert_eq!(headers.values().filter(|value| *value == "kept").count(), 2);
    }

    #[test]
    fn what_we_set_has_exactly_one_value() {
        let fields = [("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-For", "10.0.0.2"), ("Client-Cert", ":AAAA:")];
        let headers = prepared(&fields, Some(":BBBB:"));
        for (name, value) in [
            ("x-forwarded-for", "2001:db8::7"),
            ("x-forwarded-proto", "https"),
            ("x-ray-id", "00f1"),
            ("client-cert", ":BBBB:"),
        ] {
            assert_eq!(headers.get_all(name).iter().collect::<Vec<_>>(), [value], "{name}");
        }
    }

    #[test]
    fn fields_of_the_connection_are_not_passed_on() {
        let headers = prepared(
            &[
                ("Connection", "close, X-Secret, host"),
                ("X-Secret", "1"),
                ("Host", "api.example.com"),
                ("Upgrade", "h2c"),
                ("TE", "trailers"),
                ("Expect", "100-continue"),
                ("Accept", "*/*"),
            ],
            None,
        );
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "host", "x-forwarded-for", "x-forwarded-proto", "x-ray-id"]);
    }
}
