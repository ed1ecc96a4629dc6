//! Every diagnostic of the language, word for word: a source, and the text that must come out for it.

use filter_rules::{Expression, Limits};

/// Parses each source and joins source and outcome, so that one file shows what people see.
fn outcomes(sources: &[&str]) -> String {
    sources
        .iter()
        .map(|source| match Expression::parse(source) {
            Ok(expression) => format!("### {source}\nok: {expression}\n\n"),
            Err(error) => format!("### {source}\n{error}{}\n", error.render()),
        })
        .collect()
}

/// Compares with the recorded text; `BLESS=1` records it anew.
fn check_recorded(name: &str, actual: &str) {
    let path = format!("{}/tests/diagnostics/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, actual).expect("record can be written");
    }
    let recorded = std::fs::read_to_string(&path).expect("record exists; run with BLESS=1 to make it");
    assert!(recorded == actual, "{path} differs; run with BLESS=1 and look at the difference\n{actual}");
}

#[test]
fn wirefilters_errors_are_reproduced_word_for_word() {
    let many_stars = format!("http.host wildcard \"{}\"", "*a".repeat(17));
    check_recorded(
        "wirefilter",
        &outcomes(&[
            r#"http.host in {"a", "b"}"#,
            "cf.edge.server_port in {80,443}",
            "ip.src in {1.1.1.1,2.2.2.2}",
            "ip.src == 10.0.0.0/8",
            "ip.src in 10.0.0.0/8",
            "ip.src in {10.0.0.1/8}",
            "ip.src in {10.0.0.0/33}",
            "ip.src in {10.0.0.0/x}",
            "ip.src in {10.0.0.0/}",
            "cf.edge.server_port in {443..80}",
            "ip.src in {1.1.1.2..1.1.1.1}",
            "ip.src in {1.1.1.1..::1}",
            r#"http.host in ("a")"#,
            "nosuch.field == 1",
            "http.hots == \"a\"",
            "http.host",
            "cf.edge.server_port contains \"a\"",
            "ip.src contains \"a\"",
            "http.request.headers == \"a\"",
            "ssl == true",
            "ssl ssl",
            "ssl)",
            "ssl AND ssl",
            "(ssl",
            "ssl and",
            "()",
            "",
            "   ",
            "\"x",
            "http.host == \"x",
            "http.host == r\"x",
            "http.host == r#x",
            "http.host == \"a\\q\"",
            "http.host == \"a\\x4\"",
            "http.host == \"a\\x",
            "http.host == \"a\\400\"",
            "http.host wildcard \"a**b\"",
            r#"http.host wildcard "a\q""#,
            &many_stars,
            "lower() == \"a\"",
            "lower(ip.src) == \"a\"",
            "lower(\"A\") == \"a\"",
            "lower(http.host, http.host) == \"a\"",
            "concat(ip.src, ip.src) == \"a\"",
            "concat(http.host, ip.src) == \"a\"",
            "http.host ~ \"a{1000}{1000}\"",
            "http.host ~ \"(\"",
            "http.host ~ r\"(\"",
            "http.host ~ \"a",
            "http.host ~ a",
            "ip.src in $Office",
            "ip.src in $",
            "ip.src in $a.",
            "http.request.headers.names[-1] == \"a\"",
            "http.request.headers.names[x] == \"a\"",
            "http.request.headers.names[\"x\"] == \"a\"",
            "http.request.headers[0] == \"a\"",
            "http.host[*] == \"a\"",
            "http.request.headers[\"x\"] == \"a\"",
            "http.request.headers[\"x\"][*] == \"a\"",
            "any(http.request.headers[\"x\"][*] == \"a\" or http.request.headers[\"y\"][*] == \"b\")",
            "any(http.host == \"a\")",
            "any(\"a\")",
            "ssl and http.request.headers[\"x\"][*] == \"a\"",
            "concat(http.host, http.request.headers.names[*]) == \"a\"",
            "http.host == foo",
            "http.host == 61",
            "http.host == 61_62",
            "http.host == 61:6",
            "cf.edge.server_port == 08",
            "cf.edge.server_port == +5",
            "cf.edge.server_port == -0x5",
            "cf.edge.server_port == 9223372036854775808",
            "cf.edge.server_port & 1 == 1",
            "ssl\nand\n http.hots == \"a\"",
            "http.host == \"ü\" and x",
            "aandb",
            "a and b",
            "any (http.request.headers.names[*] == \"a\")",
        ]),
    );
}

#[test]
fn errors_of_our_own_say_why_and_what_to_do() {
    check_recorded(
        "own",
        &outcomes(&[
            "http.request.body.raw contains \"x\"",
            "http.response.code == 200",
            "cf.bot_management.score < 30",
            "cf.waf.score < 30",
            "cidr(ip.src, 33, 64) == 10.0.0.0",
            "split(http.host, \"\", 2)[0] == \"a\"",
            "split(http.host, \".\", 129)[0] == \"a\"",
            "url_decode(http.request.uri.path, \"x\") == \"a\"",
            "regex_replace(http.host, \"(a)\", \"${9}\") == \"a\"",
            "regex_replace(http.host, \"(a\", \"b\") == \"a\"",
            "wildcard_replace(http.host, \"a**\", \"b\") == \"a\"",
            "wildcard_replace(http.host, \"a*\", \"b\", \"x\") == \"a\"",
        ]),
    );
}

#[test]
fn what_looks_odd_and_is_fine_parses() {
    check_recorded(
        "accepted",
        &outcomes(&[
            "notssl",
            "not ssl and ssl",
            "!ssl&&ssl||ssl^^ssl",
            "ssl andssl",
            "http.host eq\"a\"",
            "http.host in{\"a\"}",
            "http.host == \"a\"or ssl",
            "http.host in {\"a\"\"b\"}",
            "http.host in {}",
            "ssl\tand\r\nssl",
            "  ssl  ",
            "true or false",
            "http.host == 61:62-63.64",
            "http.host == \"\\x41\\101\\\"\\\\\"",
            "http.host == r#\"a\"b\"#",
            "http.host == \"a\nb\"",
            "cf.edge.server_port in {80 443 8000..8080 -5 0x1F 010}",
            "ip.src in {10.0.0.0/8 10 10.1/16 ::1 1.1.1.1..1.1.1.9 2001:db8::/32}",
            "ip.src in $office",
            "ip.src != ::1",
            "cf.edge.server_port & 4",
            "http.host ~ \"[\\\"]\\d\\\"\"",
            "http.host matches r\"\\d\"",
            "http.host strict wildcard \"*.a\"",
            "any(http.request.headers[\"x\"][*] in {\"a\"})",
            "all((http.request.headers.names[*] == \"a\" or http.request.headers.values[*] == \"b\"))",
            "any(not http.request.headers.names[*] contains \"a\")",
            "any(lower(http.request.headers.names[*])[*] == \"a\")",
            "any(starts_with(http.request.headers.names[*], \"a\"))",
            "http.request.uri.args[ \"a\" ][ 0 ] == \"1\"",
            "len(http.request.headers[\"x\"]) > 1",
            "starts_with ( http.request.uri.path , \"/a\" )",
            "ip.geoip.country == \"T1\"",
            "concat(http.host, \"/\", http.request.uri.path) == \"a/b\"",
            "sha256(\"a\") == 00:01",
            "lookup_json_integer(http.cookie, \"a\", 0) == 1",
            "cidr(ip.src, 24, 64) == 10.0.0.0",
        ]),
    );
}

#[test]
fn sources_longer_than_the_limit_are_refused_unread() {
    let limit = Limits::default().expression_bytes;
    let longest = format!("ssl{}", " ".repeat(limit - 3));
    assert!(Expression::parse(&longest).is_ok());
    let error = Expression::parse(&format!("{longest} ")).unwrap_err().to_string();
    assert!(error.contains("expression is 4097 bytes long, but the limit is 4096"), "{error}");
    assert!(Expression::parse(&"(".repeat(10_000_000)).unwrap_err().to_string().len() < 500);
}
