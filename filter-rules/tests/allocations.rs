//! Evaluating allocates nothing, for every expression the worker meets on its hot path.

use std::net::IpAddr;
use std::ops::ControlFlow;

use filter_rules::{
    Action, Expression, Facts, Field, Lists, RuleSet, RuleSpec, Visit, VisitEntry, mtls_rule_expression,
};

/// Facts that allocate nothing themselves.
struct Request;

impl Facts for Request {
    fn bool(&self, field: Field) -> Option<bool> {
        Some(field == Field::Ssl)
    }

    fn int(&self, _: Field) -> Option<i64> {
        Some(443)
    }

    fn ip(&self, _: Field) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, 1]))
    }

    fn bytes(&self, field: Field) -> Option<&[u8]> {
        match field {
            Field::HttpHost => Some(b"api.example.com"),
            Field::HttpUriPath => Some(b"/Api/v1/Users/1234"),
            Field::HttpUserAgent => Some(b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"),
            _ => None,
        }
    }

    fn each_item<'f>(&'f self, _: Field, visit: Visit<'_, 'f>) -> bool {
        let _stopped = [&b"host"[..], b"X-Api-Key"].into_iter().try_for_each(visit);
        true
    }

    fn each_under<'f>(&'f self, _: Field, _: &[u8], visit: Visit<'_, 'f>) -> bool {
        let _stopped: ControlFlow<()> = visit(b"value");
        true
    }

    fn each_entry<'f>(&'f self, _: Field, visit: VisitEntry<'_, 'f>) -> bool {
        let _stopped: ControlFlow<()> = visit(b"x-api-key", b"value");
        true
    }
}

fn allocations<R>(evaluate: impl Fn() -> R) -> u64 {
    let run = || drop(std::hint::black_box(evaluate()));
    // Once before, for what is made on first use: the caches of regular expressions.
    run();
    allocation_counter::measure(run).count_total
}

#[test]
fn evaluating_an_expression_allocates_nothing() {
    let twelve_hosts: Vec<String> = (0..12).map(|number| format!("\"h{number}.example\"")).collect();
    let sources = [
        mtls_rule_expression(&["api.example.com", "b"], false),
        mtls_rule_expression(&["api.example.com"], true),
        format!("http.host in {{{}}} or ssl xor ssl", twelve_hosts.join(" ")),
        r#"http.host eq "x" or http.request.uri.path contains "admin" or http.user_agent contains "curl""#.to_owned(),
        r#"http.user_agent contains "a1" or http.user_agent contains "b2" or http.user_agent contains "c3""#.to_owned(),
        r#"http.request.uri.path matches "^/api/v[0-9]+/(users|orders)/[0-9]+$""#.to_owned(),
        r#"http.request.uri.path wildcard "/api/*/users/*" and http.request.uri.path strict wildcard "/Api/*""#
            .to_owned(),
        "ip.src in {10.0.0.0/8 192.0.2.0/24} and cf.edge.server_port in {80 443} and ip.src ne ::1".to_owned(),
        r#"lower(http.request.uri.path) contains "/users/" and starts_with(http.request.uri.path, "/Api")"#.to_owned(),
        r#"len(http.request.uri.path) gt 3 and upper(http.host) eq "API.EXAMPLE.COM""#.to_owned(),
        r#"any(http.request.headers["x-api-key"][*] eq "value") and http.request.headers["x"][0] ne "y""#.to_owned(),
        r#"all(lower(http.request.headers.names[*])[*] ne "cookie") and any(http.request.headers[*][*] eq "v")"#
            .to_owned(),
    ];
    for source in sources {
        let matcher = Expression::parse(&source).unwrap().compile(&Lists::default()).unwrap();
        assert_eq!(allocations(|| matcher.matches(&Request)), 0, "{source}");
    }
}

#[test]
fn evaluating_a_rule_set_without_log_matches_allocates_nothing() {
    let specs = (0..100).map(|number| RuleSpec {
        id: number.to_string(),
        name: String::new(),
        expression: mtls_rule_expression(&[if number == 99 { "api.example.com" } else { "other.example.com" }], true),
        action: Action::Block(None),
        enabled: true,
    });
    let rules = RuleSet::compile(specs.collect(), &Lists::default()).unwrap();
    assert_eq!(rules.evaluate(&Request).decided_by.unwrap().id(), "99");
    assert_eq!(allocations(|| rules.evaluate(&Request)), 0);
}
