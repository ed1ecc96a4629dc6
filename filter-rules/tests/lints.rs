//! Lints: what each warns about, where it points, and what it lets pass.

use filter_rules::{Action, Expression, LintContext, Lists, RuleSet, RuleSpec};

fn rule(id: &str, action: Action, expression: &str) -> RuleSpec {
    RuleSpec { id: id.to_owned(), name: String::new(), expression: expression.to_owned(), action, enabled: true }
}

const BLOCK: Action = Action::Block(None);

/// Each warning of an expression with the text it points to.
fn of_expression(source: &str) -> Vec<(String, String)> {
    let lints = Expression::parse(source).expect("the source parses").lints();
    lints.iter().map(|lint| (lint.message(), lint.span.of(source).to_owned())).collect()
}

/// Each warning of a rule set, with the position of its rule.
fn of_rules(rules: Vec<RuleSpec>, mtls_hosts: Option<Vec<&str>>) -> Vec<(Option<usize>, String)> {
    let rules = RuleSet::compile(rules, &Lists::default()).expect("the rules compile");
    rules.lints(&LintContext { mtls_hosts }).iter().map(|lint| (lint.rule, lint.message())).collect()
}

#[test]
fn host_literals_in_another_form_are_pointed_at() {
    assert_eq!(of_expression(r#"http.host in {"a.example" "B.example:443"}"#), [(
        "hosts are compared in lower case, without port and trailing dot: \"B.example:443\" is compared as \"b.example\""
            .to_owned(),
        "\"B.example:443\"".to_owned()
    )]);
    assert_eq!(of_expression(r#"http.host eq "a.example" and http.referer eq "B""#), []);
}

#[test]
fn host_literals_no_host_can_match_are_pointed_at() {
    for (source, literal) in [
        (r#"http.host eq "https://a.example""#, "https://a.example"),
        (r#"http.host ne "*.example""#, "*.example"),
        (r#"http.host in {"a b"}"#, "a b"),
        (r#"http.host eq """#, ""),
        (r#"http.host contains "Example""#, "Example"),
        (r#"http.host strict wildcard "*.Example""#, "*.Example"),
        (r#"http.host wildcard "*/x""#, "*/x"),
    ] {
        let expected = format!("{literal:?} can never match");
        let found = of_expression(source);
        assert!(found.len() == 1 && found[0].0.starts_with(&expected), "{source}: {found:?}");
        assert_eq!(found[0].1, format!("\"{literal}\""));
    }
    assert_eq!(of_expression(r#"http.host wildcard "*.Example" or http.host contains "ex""#), []);
}

#[test]
fn all_over_what_may_be_absent_is_pointed_at() {
    let found = of_expression(r#"ssl and all(http.request.headers["x"][*] eq "v")"#);
    assert_eq!(found.len(), 1);
    assert!(found[0].0.contains(r#"is true when http.request.headers["x"] is absent"#), "{found:?}");
    assert_eq!(found[0].1, r#"all(http.request.headers["x"][*] eq "v")"#);
    assert_eq!(of_expression(r#"any(http.request.headers["x"][*] eq "v")"#), []);
    assert_eq!(of_expression(r#"all(starts_with(http.request.headers["x"][*], "v"))"#), []);
}

#[test]
fn header_keys_that_are_never_there_are_pointed_at() {
    let found = of_expression(r#"any(http.request.headers["X-Key"][*] eq "v")"#);
    assert_eq!(found.len(), 1);
    assert!(found[0].0.contains("write \"x-key\""), "{found:?}");
    assert_eq!(of_expression(r#"any(http.request.uri.args["X"][*] eq "v")"#), []);
}

#[test]
fn blocking_rules_that_let_revoked_certificates_pass_are_pointed_at() {
    let message = |source: &str, action: Action| of_rules(vec![rule("a", action, source)], None);
    let found = message(r#"http.host eq "a" and not cf.tls_client_auth.cert_verified"#, BLOCK);
    assert!(
        found.len() == 1 && found[0].1.starts_with("`cert_verified` is true for a revoked certificate"),
        "{found:?}"
    );
    assert_eq!(message("not cf.tls_client_auth.cert_verified or cf.tls_client_auth.cert_revoked", BLOCK), []);
    assert_eq!(message("not cf.tls_client_auth.cert_verified", Action::Log), []);
    assert_eq!(message("cf.tls_client_auth.cert_verified", BLOCK), []);
    assert_eq!(message("not (cf.tls_client_auth.cert_verified and ssl)", BLOCK).len(), 1);
}

#[test]
fn rules_and_hosts_that_do_not_fit_together_are_named() {
    let block = |hosts: &str| {
        rule(
            "a",
            BLOCK,
            &format!(
                "http.host in {{{hosts}}} and not cf.tls_client_auth.cert_verified and not cf.tls_client_auth.cert_revoked"
            ),
        )
    };
    let without_mtls =
        "mTLS is not enabled for host \"b\": no client is asked for a certificate, so this blocks everyone";
    let without_rule =
        "mTLS is enabled for host \"c\", but no rule for it looks at the certificate, so it blocks no one";
    assert_eq!(
        of_rules(vec![block(r#""a" "b""#)], Some(vec!["A.", "c"])),
        [(Some(0), without_mtls.to_owned()), (None, without_rule.to_owned()),]
    );
    assert_eq!(of_rules(vec![block(r#""a" "b""#)], None), [], "nothing is known of hosts");
    assert_eq!(of_rules(vec![block(r#""a""#)], Some(vec!["a"])), []);
    assert_eq!(of_rules(vec![rule("a", BLOCK, "cf.tls_client_auth.cert_revoked")], Some(vec!["a"])), []);
}

#[test]
fn rules_behind_a_skip_that_covers_them_are_pointed_at() {
    let shadowed = |rules: Vec<RuleSpec>| of_rules(rules, None).into_iter().map(|(rule, _)| rule).collect::<Vec<_>>();
    let skip = |source: &str| rule("s", Action::Skip, source);
    assert_eq!(
        shadowed(vec![skip("true"), rule("b", BLOCK, "ssl"), rule("c", Action::Log, "ssl")]),
        [Some(1), Some(2)]
    );
    assert_eq!(
        shadowed(vec![skip(r#"http.host in {"a" "b"}"#), rule("b", BLOCK, r#"http.host eq "a" and ssl"#)]),
        [Some(1)]
    );
    assert_eq!(shadowed(vec![skip(r#"http.host eq "a""#), rule("b", BLOCK, r#"http.host in {"a" "b"}"#)]), []);
    assert_eq!(shadowed(vec![skip(r#"http.host eq "a" and ssl"#), rule("b", BLOCK, r#"http.host eq "a""#)]), []);
    assert_eq!(shadowed(vec![rule("b", BLOCK, "ssl"), skip("true")]), []);
    let disabled = RuleSpec { enabled: false, ..skip("true") };
    assert_eq!(shadowed(vec![disabled, rule("b", BLOCK, "ssl")]), []);
}

#[test]
fn rendered_warnings_draw_the_place() {
    let source = "ssl and\nhttp.host eq \"A\"";
    let lints = Expression::parse(source).expect("the source parses").lints();
    assert_eq!(
        lints[0].render(source),
        "warning: hosts are compared in lower case, without port and trailing dot: \"A\" is compared as \"a\"\n  |\n2 | http.host eq \"A\"\n  |              ^^^\n"
    );
}
