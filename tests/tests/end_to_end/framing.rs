//! Requests that are not what they seem: which host they are for, where they end.

use std::time::Duration;

use anyhow::Result;
use filter_tests::lab::{API, Host, Lab, OTHER_API, Outcome, Setup, Upstream, WWW};
use filter_tests::on_every_datapath;

on_every_datapath!(
    a_request_for_another_host_than_the_connections_is_misdirected,
    a_host_is_recognised_in_every_spelling,
    a_request_without_exactly_one_host_is_bad,
    an_ambiguous_request_is_refused_and_nothing_behind_it_is_served,
    a_framing_that_is_read_leniently_hides_no_request,
);

fn a_request_for_another_host_than_the_connections_is_misdirected(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    let table = [(WWW, API), (WWW, OTHER_API), (API, WWW), (API, OTHER_API), (WWW, "unknown.example.com")];
    for (sni, host) in table {
        let answer = lab.curl(sni).certificate(&alice).header(&format!("Host: {host}")).run()?;
        assert_eq!(answer.status()?, 421, "SNI {sni}, Host {host}");
    }
    assert!(lab.echo.requests().is_empty());
    Ok(())
}

fn a_host_is_recognised_in_every_spelling(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let mut connection = lab.connect(API).open()?;
    for host in ["api.example.com", "API.Example.COM", "api.example.com:443", "api.example.com."] {
        connection.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())?;
        assert_eq!(connection.response()?.status, 403, "Host: {host} must not evade the rule");
    }
    connection.send(b"GET https://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n")?;
    assert_eq!(connection.response()?.status, 403, "nor must an absolute target");
    assert!(lab.echo.requests().is_empty());
    Ok(())
}

fn a_request_without_exactly_one_host_is_bad(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let table: &[(&str, &str)] = &[
        ("no Host", "GET / HTTP/1.1\r\n\r\n"),
        ("no Host, HTTP/1.0", "GET / HTTP/1.0\r\n\r\n"),
        ("an empty one", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        ("two", "GET / HTTP/1.1\r\nHost: www.example.com\r\nHost: api.example.com\r\n\r\n"),
        ("the same twice", "GET / HTTP/1.1\r\nHost: www.example.com\r\nhost: www.example.com\r\n\r\n"),
        ("two in one", "GET / HTTP/1.1\r\nHost: www.example.com, api.example.com\r\n\r\n"),
        ("another in the target", "GET https://api.example.com/ HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
        ("with user information", "GET / HTTP/1.1\r\nHost: api.example.com@www.example.com\r\n\r\n"),
    ];
    for (what, request) in table {
        let mut connection = lab.connect(WWW).open()?;
        connection.send(request.as_bytes())?;
        assert_eq!(connection.response()?.status, 400, "{what}");
    }
    assert!(lab.echo.requests().is_empty());
    Ok(())
}

/// Heads whose body's end two servers might see in different places, each followed by what an attacker wants to smuggle in.
const AMBIGUOUS: &[(&str, &str)] = &[
    ("two lengths", "Content-Length: 4\r\nContent-Length: 40\r\n"),
    ("two lengths in one field", "Content-Length: 4, 40\r\n"),
    ("a signed length", "Content-Length: +4\r\n"),
    ("a negative length", "Content-Length: -4\r\n"),
    ("a hexadecimal length", "Content-Length: 0x4\r\n"),
    ("a length with a space inside", "Content-Length: 4 0\r\n"),
    ("a huge length", "Content-Length: 99999999999999999999\r\n"),
    ("space before the colon", "Content-Length : 4\r\n"),
    ("space before the colon of the coding", "Transfer-Encoding : chunked\r\n"),
    ("a folded field", "X: y\r\n Content-Length: 4\r\n"),
    ("a folded coding", "Transfer-Encoding:\r\n chunked\r\n"),
    ("an unknown coding", "Transfer-Encoding: xchunked\r\n"),
    ("chunked not last", "Transfer-Encoding: chunked, identity\r\n"),
    ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    ("a coding before chunked", "Transfer-Encoding: gzip, chunked\r\n"),
    ("a vertical tab in the coding", "Transfer-Encoding: \x0bchunked\r\n"),
    ("a NUL in a value", "X: a\0b\r\nContent-Length: 4\r\n"),
    ("a bare carriage return in a value", "X: a\rContent-Length: 4\r\n"),
    ("a field without a colon", "Nonsense\r\nContent-Length: 4\r\n"),
    ("an empty name", ": x\r\nContent-Length: 4\r\n"),
];

/// Requests whose first line is none.
const MALFORMED: &[(&str, &str)] = &[
    ("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("a method with a space", "GE T /smuggled HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
    ("a version that does not exist", "GET /smuggled HTTP/1.9\r\nHost: www.example.com\r\n\r\n"),
    ("no version", "GET /smuggled\r\n\r\n"),
];

fn an_ambiguous_request_is_refused_and_nothing_behind_it_is_served(setup: Setup) -> Result<()> {
    let lab = setup.hosts([Host::plain(WWW).upstream(Upstream::Nginx)]).start()?;
    assert_eq!(lab.curl(WWW).path("/before").run()?.status()?, 200);
    let mut taken = Vec::new();
    for (what, fields) in AMBIGUOUS {
        let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: www.example.com\r\n\r\n";
        taken.extend(not_refused(
            &lab,
            what,
            &format!("POST /outer HTTP/1.1\r\nHost: www.example.com\r\n{fields}\r\n{smuggled}"),
        )?);
    }
    for (what, request) in MALFORMED {
        taken.extend(not_refused(&lab, what, request)?);
    }
    assert!(taken.is_empty(), "requests that were not refused:\n{}", taken.join("\n"));
    assert_eq!(lab.curl(WWW).path("/after").run()?.status()?, 200);
    let arrived = lab.nginx()?.requests()?;
    assert_eq!(arrived, ["GET /before 200", "GET /after 200"], "what nginx took for a request");
    Ok(())
}

/// Sends `request`, and says what happened unless it was refused: at most one answer may come, an error, and then the end of the
/// connection.
fn not_refused(lab: &Lab, what: &str, request: &str) -> Result<Option<String>> {
    let mut connection = lab.connect(WWW).patience(Duration::from_secs(3)).open()?;
    connection.send(request.as_bytes())?;
    let mut statuses = Vec::new();
    let end = loop {
        match connection.response() {
            Ok(response) => statuses.push(response.status),
            Err(error) => break Outcome::of_error(&error),
        }
    };
    let is_refusal = |status: &u16| matches!(status, 400 | 421 | 501 | 505);
    let refused = statuses.len() <= 1 && statuses.iter().all(is_refusal);
    let closed = matches!(end, Outcome::Closed | Outcome::Reset);
    Ok((!refused || !closed).then(|| format!("{what}: answered {statuses:?}, then {end}")))
}

/// Heads that RFC 9112 lets a recipient read in one way (§2.2: a bare line feed ends a line; §6.3: `Transfer-Encoding` overrides
/// `Content-Length`), each with a body that ends there, a request of its own behind it, and whether that is served: after both
/// framings the connection must be closed (§6.1).
const LENIENT: &[(&str, &str, &str, bool)] = &[
    ("both framings", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", false),
    ("both framings, other order", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n", false),
    ("a bare line feed as line end", "X: y\nContent-Length: 4\r\n", "body", true),
];

/// The filter and its upstream must agree on what is a request. What the filter reads, it decides by itself, and writes anew: so nginx
/// sees as many requests as the filter decided, under the same names.
fn a_framing_that_is_read_leniently_hides_no_request(setup: Setup) -> Result<()> {
    let lab = setup.hosts([Host::plain(WWW).upstream(Upstream::Nginx)]).start()?;
    let mut expected = Vec::new();
    for (number, (what, fields, body, goes_on)) in LENIENT.iter().enumerate() {
        let mut connection = lab.connect(WWW).open()?;
        let first = format!("POST /outer-{number} HTTP/1.1\r\nHost: {WWW}\r\n{fields}\r\n{body}");
        let second = format!("GET /behind-{number} HTTP/1.1\r\nHost: {WWW}\r\n\r\n");
        connection.send(format!("{first}{second}").as_bytes())?;
        assert_eq!(connection.response()?.status, 200, "{what}");
        assert_eq!(connection.response().is_ok(), *goes_on, "{what}: the request behind it");
        expected.push(format!("POST /outer-{number} 200"));
        expected.extend(goes_on.then(|| format!("GET /behind-{number} 200")));
    }
    assert_eq!(lab.nginx()?.requests()?, expected, "what nginx took for a request");
    let decided = lab.filter.status()?.request_counters();
    let proxied = decided.iter().find(|(reason, _)| reason == "proxied").map(|(_, count)| *count);
    assert_eq!(proxied, Some(u64::try_from(expected.len())?), "{decided:?}");
    Ok(())
}
