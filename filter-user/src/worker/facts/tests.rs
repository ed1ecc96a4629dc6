//! Every field of the language has an answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use filter_rules::{Facts, Field, FieldSpec, Source, Type};
use http::Request;
use http::request::Parts;

use super::{Computed, RequestFacts};
use crate::geo::Databases;
use crate::pki::ClientIdentity;
use crate::worker::session::Session;

fn head() -> Parts {
    let request = Request::get("https://api.example.com/a/%62/../File.TXT?x=1&y=2&x=3")
        .header("host", "api.example.com")
        .header("cookie", "id=7; theme=dark")
        .header("cookie", "id=8")
        .header("referer", "https://example.com/")
        .header("user-agent", "test")
        .header("x-forwarded-for", "10.0.0.1")
        .header("x-twice", "1")
        .header("x-twice", "2");
    request.body(()).unwrap().into_parts().0
}

/// What is known of a request on a connection without a client certificate.
fn with_facts(check: impl FnOnce(&RequestFacts<'_>)) {
    let testdata = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    let geo = Databases::new(
        Some(Databases::read(&testdata("city.mmdb"), &["City"]).unwrap()),
        Some(Databases::read(&testdata("asn.mmdb"), &["ASN"]).unwrap()),
    );
    let addresses = [SocketAddr::from(([192, 0, 2, 7], 50_000)), SocketAddr::from(([198, 51, 100, 1], 443))];
    let session = Session::for_tests(addresses, "api.example.com");
    let (head, identity) = (head(), ClientIdentity::none());
    check(&RequestFacts {
        head: &head,
        session: &session,
        zone: "example.com",
        identity: &identity,
        verified: false,
        revoked: false,
        geo: &geo,
        ray_id: "00f1",
        time: UNIX_EPOCH + Duration::from_millis(1_700_000_000_250),
        computed: Computed::default(),
    });
}

/// A value as text; `None` when it is missing.
fn shown(facts: &RequestFacts<'_>, spec: &FieldSpec) -> Option<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match spec.ty {
        Type::Bool => facts.bool(spec.field).map(|value| value.to_string()),
        Type::Int => facts.int(spec.field).map(|value| value.to_string()),
        Type::Ip => facts.ip(spec.field).map(|value| value.to_string()),
        Type::Bytes => facts.bytes(spec.field).map(text),
        Type::Array(_) => {
            let mut items = Vec::new();
            let found = facts.each_item(spec.field, &mut |item| {
                items.push(text(item));
                ControlFlow::Continue(())
            });
            found.then(|| items.join(" "))
        }
        Type::Map(_) => {
            let mut entries = Vec::new();
            let found = facts.each_entry(spec.field, &mut |key, value| {
                entries.push(format!("{}={}", text(key), text(value)));
                ControlFlow::Continue(())
            });
            found.then(|| entries.join(" "))
        }
    }
}

#[test]
fn every_field_has_an_answer() {
    with_facts(|facts| {
        // Whatever a database does not say of a place is missing, and the test's has no metro code for England.
        let missing: Vec<_> =
            Field::ALL.iter().filter(|spec| shown(facts, spec).is_none()).map(|spec| spec.name).collect();
        assert_eq!(missing, ["ip.src.metro_code"]);
    });
}

#[test]
fn fields_have_the_form_that_the_language_gives_them() {
    let expected = BTreeMap::from([
        ("ssl", "true"),
        ("cf.tls_client_auth.cert_presented", "false"),
        ("cf.tls_client_auth.cert_subject_dn", ""),
        ("cf.edge.server_port", "443"),
        ("cf.edge.server_ip", "198.51.100.1"),
        ("cf.zone.name", "example.com"),
        ("cf.tls_version", "TLSv1.3"),
        ("cf.tls_cipher", "AEAD-AES128-GCM-SHA256"),
        ("ip.src", "192.0.2.7"),
        ("ip.src.country", "GB"),
        ("ip.src.asnum", "64500"),
        ("http.host", "api.example.com"),
        ("http.request.version", "HTTP/1.1"),
        ("http.request.uri", "/a/File.TXT?x=1&y=2&x=3"),
        ("http.request.uri.path", "/a/File.TXT"),
        ("http.request.uri.path.extension", "txt"),
        ("raw.http.request.uri.path", "/a/%62/../File.TXT"),
        ("http.request.full_uri", "https://api.example.com/a/File.TXT?x=1&y=2&x=3"),
        ("http.request.uri.args", "x=1 y=2 x=3"),
        ("http.request.uri.args.names", "x y x"),
        ("http.cookie", "id=7; theme=dark; id=8"),
        ("http.request.cookies", "id=7 theme=dark id=8"),
        ("http.request.timestamp.sec", "1700000000"),
        ("http.request.timestamp.msec", "250"),
    ]);
    with_facts(|facts| {
        for (name, expected) in &expected {
            let field = Field::from_name(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(shown(facts, field.spec()).as_deref(), Some(*expected), "{name}");
        }
    });
}

#[test]
fn a_key_is_looked_up_without_visiting_the_rest() {
    with_facts(|facts| {
        for (field, key, expected) in [
            (Field::HttpHeaders, "x-twice", Some("1 2")),
            (Field::HttpHeaders, "X-Twice", None),
            (Field::HttpHeaders, "x-none", None),
            (Field::HttpHeaders, "not a name", None),
            (Field::HttpCookies, "id", Some("7 8")),
            (Field::HttpUriArgs, "x", Some("1 3")),
            (Field::HttpUriArgs, "z", None),
        ] {
            let mut values = Vec::new();
            let found = facts.each_under(field, key.as_bytes(), &mut |value| {
                values.push(String::from_utf8_lossy(value).into_owned());
                ControlFlow::Continue(())
            });
            assert_eq!(found.then(|| values.join(" ")).as_deref(), expected, "{key}");
        }
    });
}

#[test]
fn certificate_fields_are_false_or_empty_without_a_certificate() {
    with_facts(|facts| {
        for spec in Field::ALL.iter().filter(|spec| spec.source == Source::Certificate) {
            let shown = shown(facts, spec).unwrap_or_else(|| panic!("{} is missing", spec.name));
            assert!(shown.is_empty() || shown == "false", "{}: {shown}", spec.name);
        }
    });
}
