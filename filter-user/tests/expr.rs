//! `mtls-filter expr`, run as a user runs it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn expr(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mtls-filter"));
    command.arg("expr").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that fails before it reads closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Exit code and standard output.
fn said(arguments: &[&str], input: &[u8]) -> (Option<i32>, String) {
    let output = expr(arguments, input);
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// A file with these facts; it is gone when the value is.
fn facts(json: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(json.as_bytes()).unwrap();
    file
}

#[test]
fn check_says_ok_or_the_exact_error() {
    let ok = (Some(0), "ok: Bool\n".to_owned());
    assert_eq!(said(&["check", "not cf.tls_client_auth.cert_verified"], b""), ok);
    assert_eq!(said(&["check", "-"], b"http.host == \"a\" or\n  ssl\n"), ok);
    let error = "Filter parsing error (1:18):\nhttp.host in {\"a\", \"b\"}\n                 ^^ \
                 invalid digit found in string while parsing with radix 16\n";
    assert_eq!(said(&["check", r#"http.host in {"a", "b"}"#], b""), (Some(1), error.to_owned()));
}

#[test]
fn bad_input_is_an_error_and_not_a_crash() {
    for input in [&b"\xff\xfe"[..], b"", b"\0", &[b'('; 5_000], &b"not ".repeat(1_024), &vec![b'x'; 10_000_000]] {
        let output = expr(&["check", "-"], input);
        assert_eq!(output.status.code(), Some(1), "{:?}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn eval_takes_absent_facts_as_missing() {
    let file =
        facts(r#"{"http.host": "a", "cf.tls_client_auth.cert_verified": true, "http.request.headers": {"x": ["1"]}}"#);
    let path = file.path().to_str().unwrap();
    for (expression, expected) in [
        (r#"http.host == "a" and cf.tls_client_auth.cert_verified"#, "true\n"),
        (r#"any(http.request.headers["x"][*] == "1")"#, "true\n"),
        (r#"http.referer != "x""#, "false\n"),
        (r#"not http.referer == "x""#, "true\n"),
    ] {
        assert_eq!(said(&["eval", "--facts", path, expression], b""), (Some(0), expected.to_owned()), "{expression}");
    }
}

#[test]
fn residual_takes_absent_facts_as_unknown() {
    let file = facts(r#"{"http.host": "a"}"#);
    let path = file.path().to_str().unwrap();
    for (expression, expected) in [
        (r#"http.host == "b" and ssl"#, "false\n"),
        (r#"http.host == "a""#, "true\n"),
        (r#"http.host == "a" and ssl"#, "unknown\n"),
        (r#"http.host == "a" and ip.src in {10.0.0.0/8}"#, "{10.0.0.0/8}\n"),
    ] {
        assert_eq!(
            said(&["residual", "--facts", path, expression], b""),
            (Some(0), expected.to_owned()),
            "{expression}"
        );
    }
}

#[test]
fn a_fact_that_is_no_field_is_refused_with_its_name() {
    let file = facts(r#"{"http.hots": "a"}"#);
    let output = expr(&["eval", "--facts", file.path().to_str().unwrap(), "ssl"], b"");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("there is no field \"http.hots\"") && error.lines().count() == 1, "{error}");
}

#[test]
fn explain_shows_each_comparison_with_its_value() {
    let file = facts(r#"{"http.host": "a", "ssl": false}"#);
    let (code, text) = said(&["explain", "--facts", file.path().to_str().unwrap(), r#"http.host == "a" and ssl"#], b"");
    assert_eq!(
        (code, text.as_str()),
        (Some(0), "false\n  http.host eq \"a\": true; value: \"a\"\n  ssl: false; value: false\n")
    );
}

#[test]
fn forms_of_an_expression() {
    assert_eq!(said(&["fmt", r#"ssl&&http.host eq "a""#], b"").1, "ssl and http.host eq \"a\"\n");
    let tree: serde_json::Value = serde_json::from_str(&said(&["ast", "ssl and not ssl"], b"").1).unwrap();
    assert_eq!(tree["op"], "And");
    let fields = said(&["fields"], b"").1;
    assert!(fields.lines().any(|line| line.starts_with("cf.tls_client_auth.cert_revoked ")), "{fields}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mtls-filter"));
    let mut child = command.args(["expr", "fields"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}
