//! What both benches of the rule language use: requests, expressions, and wirefilter set up for the same fields.
#![expect(clippy::indexing_slicing, reason = "fields are positions of the arrays indexed by them")]

use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;

use filter_rules::{Facts, Field, Visit, VisitEntry};
use wirefilter::{ExecutionContext, Scheme, Type};

/// The seed's expressions: the rule the dialog writes, and the one with revocation.
pub(crate) const SEED: [&str; 2] = [
    r#"(http.host in {"api.example.com" "www.example.com"} and not cf.tls_client_auth.cert_verified)"#,
    r#"(http.host in {"api.example.com"} and (not cf.tls_client_auth.cert_verified or cf.tls_client_auth.cert_revoked))"#,
];

/// Fifteen realistic expressions, of what both engines have.
pub(crate) const EXPRESSIONS: [&str; 15] = [
    SEED[0],
    SEED[1],
    r#"http.host == "api.example.com" and http.request.uri.path == "/login" and http.request.method == "POST""#,
    r#"not cf.tls_client_auth.cert_verified and http.request.uri.path in {"/api" "/login" "/api/v1/users" "/admin"}"#,
    r#"not (cf.tls_client_auth.cert_verified and cf.tls_client_auth.cert_issuer_ski eq "A5AC0DFB93B4A0C6E2C1AE2A0B2F5C4D8E1F2A3B")"#,
    "ip.src in {10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 203.0.113.0/24 198.51.100.7}",
    "ip.src == 198.51.100.7 or ip.src.asnum in {64496 64500..64511 13335}",
    r#"http.request.uri.path contains "/admin" and not ip.src in {10.0.0.0/8}"#,
    r#"http.user_agent contains "curl" or http.user_agent contains "wget" or http.user_agent contains "python-requests""#,
    r#"http.user_agent contains "sqlmap" or http.user_agent contains "nikto" or http.user_agent contains "masscan" or http.user_agent contains "zgrab" or http.user_agent contains "nmap""#,
    r#"http.request.uri.path matches "^/api/v[0-9]+/(users|orders)/[0-9]+$""#,
    r#"http.request.method in {"PUT" "PATCH" "DELETE"} and cf.edge.server_port == 443"#,
    r#"http.request.uri.query contains "union" and http.request.uri.query contains "select" or http.request.uri.path contains "../""#,
    r#"http.host in {"a.example.com" "b.example.com" "c.example.com" "d.example.com" "e.example.com" "f.example.com" "g.example.com" "h.example.com" "i.example.com" "j.example.com" "k.example.com" "l.example.com"} and ssl"#,
    r#"(http.host == "www.example.com" xor ssl) or (http.referer contains "evil.example" and not http.cookie contains "session=")"#,
];

/// A parsed request head, as a worker has it.
pub(crate) struct Request {
    pub(crate) host: &'static str,
    pub(crate) method: &'static str,
    pub(crate) uri: &'static str,
    pub(crate) path_length: usize,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) source: IpAddr,
    pub(crate) verified: bool,
    pub(crate) revoked: bool,
    pub(crate) issuer_ski: &'static str,
}

impl Request {
    /// A request of a browser with a valid certificate.
    pub(crate) fn new() -> Self {
        Self {
            host: "api.example.com",
            method: "GET",
            uri: "/api/v1/orders/48151623?expand=items&page=2",
            path_length: "/api/v1/orders/48151623".len(),
            headers: vec![
                ("host", "api.example.com"),
                ("accept", "application/json, text/plain, */*"),
                ("accept-encoding", "gzip, deflate, br, zstd"),
                ("accept-language", "en-GB,en;q=0.9"),
                (
                    "user-agent",
                    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
                ),
                ("referer", "https://www.example.com/orders?page=1"),
                ("cookie", "session=0123456789abcdef0123456789abcdef; theme=dark; locale=en"),
                ("x-api-key", "k-0123456789"),
            ],
            source: IpAddr::V4(Ipv4Addr::new(203, 0, 114, 77)),
            verified: true,
            revoked: false,
            issuer_ski: "A5AC0DFB93B4A0C6E2C1AE2A0B2F5C4D8E1F2A3C",
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn path(&self) -> &str {
        self.uri.get(..self.path_length).unwrap_or_default()
    }

    fn query(&self) -> &str {
        self.uri.get(self.path_length..).and_then(|rest| rest.strip_prefix('?')).unwrap_or_default()
    }
}

impl Facts for Request {
    #[inline]
    fn bool(&self, field: Field) -> Option<bool> {
        match field {
            Field::Ssl => Some(true),
            Field::CertVerified => Some(self.verified),
            Field::CertRevoked => Some(self.revoked),
            Field::CertPresented => Some(self.verified),
            _ => None,
        }
    }

    #[inline]
    fn int(&self, field: Field) -> Option<i64> {
        match field {
            Field::EdgeServerPort => Some(443),
            Field::IpSrcAsnum => Some(64_499),
            _ => None,
        }
    }

    #[inline]
    fn ip(&self, field: Field) -> Option<IpAddr> {
        (field == Field::IpSrc).then_some(self.source)
    }

    #[inline]
    fn bytes(&self, field: Field) -> Option<&[u8]> {
        let text = match field {
            Field::HttpHost => self.host,
            Field::HttpMethod => self.method,
            Field::HttpUri => self.uri,
            Field::HttpUriPath => self.path(),
            Field::HttpUriQuery => self.query(),
            Field::HttpUserAgent => self.header("user-agent")?,
            Field::HttpReferer => self.header("referer")?,
            Field::HttpCookie => self.header("cookie")?,
            Field::CertIssuerSki => self.issuer_ski,
            _ => return None,
        };
        Some(text.as_bytes())
    }

    fn each_item<'f>(&'f self, field: Field, visit: Visit<'_, 'f>) -> bool {
        let is_there = field == Field::HttpHeadersNames;
        let _stopped = self.headers.iter().filter(|_| is_there).try_for_each(|(name, _)| visit(name.as_bytes()));
        is_there
    }

    fn each_under<'f>(&'f self, field: Field, key: &[u8], visit: Visit<'_, 'f>) -> bool {
        let mut is_there = false;
        for (_, value) in self.headers.iter().filter(|(name, _)| field == Field::HttpHeaders && name.as_bytes() == key)
        {
            is_there = true;
            if visit(value.as_bytes()) == ControlFlow::Break(()) {
                break;
            }
        }
        is_there
    }

    fn each_entry<'f>(&'f self, field: Field, visit: VisitEntry<'_, 'f>) -> bool {
        let is_there = field == Field::HttpHeaders;
        let headers = self.headers.iter().filter(|_| is_there);
        let _stopped = headers
            .map(|(name, value)| (name, value))
            .try_for_each(|(name, value)| visit(name.as_bytes(), value.as_bytes()));
        is_there
    }
}

/// The facts of a request looked up once and kept by field, as wirefilter's context keeps its own.
pub(crate) struct Filled<'r> {
    strings: [Option<&'r [u8]>; Field::ALL.len()],
    flags: [Option<bool>; Field::ALL.len()],
    integers: [Option<i64>; Field::ALL.len()],
    source: IpAddr,
}

impl<'r> Filled<'r> {
    pub(crate) fn new(request: &'r Request) -> Self {
        let field = |position: usize| Field::ALL[position].field;
        Self {
            strings: std::array::from_fn(|position| request.bytes(field(position))),
            flags: std::array::from_fn(|position| request.bool(field(position))),
            integers: std::array::from_fn(|position| request.int(field(position))),
            source: request.source,
        }
    }
}

impl Facts for Filled<'_> {
    #[inline]
    fn bool(&self, field: Field) -> Option<bool> {
        self.flags[field as usize]
    }

    #[inline]
    fn int(&self, field: Field) -> Option<i64> {
        self.integers[field as usize]
    }

    #[inline]
    fn ip(&self, field: Field) -> Option<IpAddr> {
        (field == Field::IpSrc).then_some(self.source)
    }

    #[inline]
    fn bytes(&self, field: Field) -> Option<&[u8]> {
        self.strings[field as usize]
    }

    fn each_item<'f>(&'f self, _: Field, _: Visit<'_, 'f>) -> bool {
        false
    }

    fn each_under<'f>(&'f self, _: Field, _: &[u8], _: Visit<'_, 'f>) -> bool {
        false
    }

    fn each_entry<'f>(&'f self, _: Field, _: VisitEntry<'_, 'f>) -> bool {
        false
    }
}

/// The fields the expressions use, as a scheme of wirefilter.
pub(crate) fn wirefilter_scheme() -> Scheme {
    let fields = [
        ("ssl", Type::Bool),
        ("cf.tls_client_auth.cert_verified", Type::Bool),
        ("cf.tls_client_auth.cert_revoked", Type::Bool),
        ("cf.tls_client_auth.cert_issuer_ski", Type::Bytes),
        ("cf.edge.server_port", Type::Int),
        ("http.host", Type::Bytes),
        ("http.request.method", Type::Bytes),
        ("http.request.uri.path", Type::Bytes),
        ("http.request.uri.query", Type::Bytes),
        ("http.user_agent", Type::Bytes),
        ("http.referer", Type::Bytes),
        ("http.cookie", Type::Bytes),
        ("ip.src", Type::Ip),
        ("ip.src.asnum", Type::Int),
    ];
    Scheme::try_from_iter(fields.into_iter().map(|(name, ty)| (name.to_owned(), ty))).expect("names differ")
}

/// Fills a context with every field of the scheme, as an engine that does not ask must.
pub(crate) fn fill<'e>(scheme: &'e Scheme, request: &'e Request) -> ExecutionContext<'e> {
    let mut context = ExecutionContext::new(scheme);
    let mut bytes = |name: &str, value: &'e str| context.set_field_value(name, value).expect("a field of the scheme");
    bytes("cf.tls_client_auth.cert_issuer_ski", request.issuer_ski);
    bytes("http.host", request.host);
    bytes("http.request.method", request.method);
    bytes("http.request.uri.path", request.path());
    bytes("http.request.uri.query", request.query());
    bytes("http.user_agent", request.header("user-agent").unwrap_or_default());
    bytes("http.referer", request.header("referer").unwrap_or_default());
    bytes("http.cookie", request.header("cookie").unwrap_or_default());
    context.set_field_value("ssl", true).expect("a field of the scheme");
    context.set_field_value("cf.tls_client_auth.cert_verified", request.verified).expect("a field of the scheme");
    context.set_field_value("cf.tls_client_auth.cert_revoked", request.revoked).expect("a field of the scheme");
    context.set_field_value("cf.edge.server_port", 443).expect("a field of the scheme");
    context.set_field_value("ip.src.asnum", 64_499).expect("a field of the scheme");
    context.set_field_value("ip.src", request.source).expect("a field of the scheme");
    context
}
