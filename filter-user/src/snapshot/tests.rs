//! Behaviour of compiling.

use std::sync::Arc;

use super::{CompileError, Snapshot, Termination, compile};
use crate::config::Config;
use crate::fixtures::{ZONE, add_authority, also_passed, config, host, managed_authority, passed, rule, state};
use crate::model::{
    AssociationRecord, Change, ItemId, ListId, ListItem, ListKind, ListRecord, RuleAction, State, Timestamp, ZoneId,
};

fn authority() -> Change {
    add_authority(&managed_authority())
}

fn compiled(config: &Config, state: &State, previous: Option<&Snapshot>) -> Snapshot {
    compile(config, state, 1, previous).unwrap()
}

fn termination(snapshot: &Snapshot, name: &str) -> Arc<Termination> {
    snapshot.host(name).unwrap().termination.clone().unwrap()
}

#[test]
fn the_longest_match_names_the_host_and_a_wildcard_is_one_label() {
    let config = config(vec![host("*.example.com", true), host("www.example.com", false)]);
    let snapshot = compiled(&config, &state(&[authority()]), None);
    for (name, mtls) in [
        ("www.example.com", Some(false)),
        ("api.example.com", Some(true)),
        ("a.b.example.com", None),
        ("example.com", None),
        (".example.com", None),
        ("*.example.com", Some(true)),
        ("", None),
    ] {
        assert_eq!(
            snapshot.host(name).map(|host| host.termination.as_ref().unwrap().anchors.is_some()),
            mtls,
            "{name}"
        );
    }
}

#[test]
fn a_host_asks_for_certificates_by_configuration_or_by_association() {
    let config = config(vec![host("a.example.com", true), host("b.example.com", false)]);
    let associate = Change::SetAssociation(AssociationRecord {
        zone: ZoneId::of_name(ZONE),
        authority: None,
        hostnames: vec!["b.example.com".to_owned()],
    });
    for (changes, expected) in [(vec![authority()], [true, false]), (vec![authority(), associate], [true, true])] {
        let snapshot = compiled(&config, &state(&changes), None);
        let asks = ["a.example.com", "b.example.com"].map(|name| termination(&snapshot, name).anchors.is_some());
        assert_eq!(asks, expected);
    }
}

#[test]
fn what_did_not_change_is_shared_with_the_snapshot_before() {
    let config = config(vec![host("a.example.com", true)]);
    let before = state(&[authority()]);
    let first = compiled(&config, &before, None);
    let with_rule = before.apply(&[rule("ssl")]).unwrap().state;
    let second = compiled(&config, &with_rule, Some(&first));
    let tls = |snapshot: &Snapshot| termination(snapshot, "a.example.com").tls.clone();
    assert!(Arc::ptr_eq(&tls(&first), &tls(&second)), "a rule does not change TLS");
    let with_authority = with_rule.apply(&[authority()]).unwrap().state;
    let third = compiled(&config, &with_authority, Some(&second));
    assert!(!Arc::ptr_eq(&tls(&second), &tls(&third)), "another authority is announced in the handshake");
    let [second, third] = [second, third].map(|snapshot| termination(&snapshot, "a.example.com"));
    assert!(!third.trusts_as(&second), "certificates are judged again");
}

#[test]
fn no_session_outlives_its_connection() {
    let config = config(vec![host("a.example.com", true), host("b.example.com", false)]);
    let snapshot = compiled(&config, &state(&[authority()]), None);
    for name in ["a.example.com", "b.example.com"] {
        let tls = &termination(&snapshot, name).tls;
        assert_eq!((tls.send_tls13_tickets, tls.ticketer.enabled()), (0, false), "{name}");
        assert!(!tls.session_storage.can_cache(), "{name}");
        assert_eq!(tls.max_early_data_size, 0, "{name}");
    }
}

#[test]
fn rules_that_do_not_compile_are_refused_with_the_zone_and_the_place() {
    let config = config(vec![host("a.example.com", true)]);
    let broken = state(&[authority(), rule("ssl"), rule("http.host == 1")]);
    let error = compile(&config, &broken, 1, None).unwrap_err();
    assert!(matches!(error, CompileError::Rules { .. }));
    let message = error.to_string();
    assert!(message.starts_with("the rules of example.com cannot be deployed:\nrule 2 ("), "{message}");
    assert!(message.contains("Filter parsing error (1:14):"), "{message}");
}

#[test]
fn networks_are_denied_when_every_host_blocks_them_for_the_address_alone() {
    let config = config(vec![host("a.example.com", true), host("b.example.com", false)]);
    for (rules, denied) in [
        (&["ip.src in {192.0.2.0/24}"][..], "{192.0.2.0/24}"),
        (&["ip.src in {192.0.2.0/24}", "ip.src == 2001:db8::1"], "{192.0.2.0/24 2001:db8::1}"),
        (&["ip.src in {192.0.2.0/24} and ssl"], "{192.0.2.0/24}"),
        (&["ip.src in {192.0.2.0/24} and http.host == \"a.example.com\""], "{}"),
        (
            &[
                "ip.src in {192.0.2.0/24} and http.host == \"a.example.com\"",
                "ip.src in {192.0.2.0/25} and http.host == \"b.example.com\"",
            ],
            "{192.0.2.0/25}",
        ),
        (&["ip.src in {192.0.2.0/24} and not cf.tls_client_auth.cert_verified"], "{}"),
        (&["http.request.method == \"PUT\"", "ip.src in {192.0.2.0/24}"], "{192.0.2.0/24}"),
        (&["ssl"], "{}"),
        (&[], "{}"),
    ] {
        let changes: Vec<_> =
            [authority()].into_iter().chain(rules.iter().map(|expression| rule(expression))).collect();
        let snapshot = compiled(&config, &state(&changes), None);
        assert_eq!(snapshot.denied().to_string(), denied, "{rules:?}");
    }
}

#[test]
fn nobody_is_denied_whom_an_earlier_skip_may_let_pass() {
    let config = config(vec![host("a.example.com", true)]);
    let deny = "ip.src in {192.0.2.0/24}";
    for (skip, denied) in [
        ("ip.src in {192.0.2.0/25}", "{192.0.2.128/25}"),
        ("http.request.method == \"GET\"", "{}"),
        ("http.host == \"b.example.com\"", "{192.0.2.0/24}"),
        ("ssl", "{}"),
    ] {
        let Change::AddRule { zone, rule: mut skipping, position } = rule(skip) else {
            unreachable!("rule adds a rule")
        };
        skipping.action = RuleAction::Skip;
        let skipping = Change::AddRule { zone, rule: skipping, position };
        let snapshot = compiled(&config, &state(&[authority(), skipping, rule(deny)]), None);
        assert_eq!(snapshot.denied().to_string(), denied, "{skip}");
    }
}

/// A rule with another action than blocking.
fn acting(expression: &str, action: RuleAction) -> Change {
    let Change::AddRule { zone, rule, position } = rule(expression) else { unreachable!("rule adds a rule") };
    Change::AddRule { zone, rule: crate::model::RuleRecord { action, ..rule }, position }
}

#[test]
fn a_host_is_passed_through_while_no_rule_can_do_anything_to_its_requests() {
    const WWW: &str = r#"http.host == "www.example.com""#;
    let (www, wild, origin) = ("www.example.com", "*.example.com", "192.0.2.1:443".parse().unwrap());
    let hosts = [www, "api.example.com", wild].map(|name| also_passed(host(name, false), &[origin]));
    let config = config(hosts.to_vec());
    let block = rule;
    let log = |expression: &str| acting(expression, RuleAction::Log);
    let skip = |expression: &str| acting(expression, RuleAction::Skip);
    for (rules, www_passed, wild_passed) in [
        (vec![], true, true),
        (vec![block(r#"http.host == "api.example.com""#)], true, true),
        (
            vec![block(r#"http.host in {"api.example.com" "other.example.org"} and (http.request.uri.path == "/x")"#)],
            true,
            true,
        ),
        (vec![block(r#"http.host == "a.b.example.com" or http.host == "example.com""#)], true, true),
        (vec![block(WWW)], false, true),
        (vec![block(r#"http.host == "img.example.com""#)], true, false),
        (vec![block(r#"http.host == "img.example.com" and not ssl"#)], true, true),
        (vec![block(r#"ends_with(http.host, "example.com")"#)], false, false),
        (vec![block(r#"http.host matches "^api""#)], true, false),
        (vec![block("not cf.tls_client_auth.cert_verified")], false, false),
        (vec![block("not ssl")], true, true),
        (vec![log(WWW)], false, true),
        (vec![log("ip.src in {192.0.2.0/24}")], false, false),
        (vec![skip("http.request.method == \"GET\"")], true, true),
        (vec![skip("ssl"), block(WWW)], true, true),
        (vec![skip("http.request.method == \"GET\""), block(WWW)], false, true),
        (vec![skip(WWW), block("http.request.method == \"PUT\"")], true, false),
        (vec![block("ip.src in {192.0.2.0/24}")], true, true),
        (vec![skip("http.request.method == \"GET\""), block("ip.src in {192.0.2.0/24}")], false, false),
        (vec![skip("ip.src in {192.0.2.0/25}"), block("ip.src in {192.0.2.0/25}")], true, true),
        (vec![acting("ip.src in {192.0.2.0/24}", custom_block())], false, false),
    ] {
        let sources = format!("{rules:#?}");
        let snapshot = compiled(&config, &state(&rules), None);
        let passed = |name| snapshot.host(name).unwrap().passthrough.is_some();
        assert_eq!((passed(www), passed("any.example.com")), (www_passed, wild_passed), "{sources}");
    }
}

fn custom_block() -> RuleAction {
    let response = crate::model::BlockResponse {
        status_code: 418,
        content_type: "text/plain".to_owned(),
        content: "no".to_owned(),
    };
    RuleAction::Block { response: Some(response) }
}

#[test]
fn a_host_that_is_passed_through_knows_the_networks_that_are_blocked() {
    let config = config(vec![passed("www.example.com", &["192.0.2.1:443".parse().unwrap()])]);
    let rules = [
        acting("ip.src in {192.0.2.0/26}", RuleAction::Skip),
        rule("ip.src in {192.0.2.0/24}"),
        rule(r#"ip.src == 2001:db8::1 and http.host == "www.example.com""#),
        rule(r#"ip.src == 2001:db8::2 and http.host == "api.example.com""#),
    ];
    let snapshot = compiled(&config, &state(&rules), None);
    let passthrough = snapshot.host("www.example.com").unwrap().passthrough.clone().unwrap();
    assert_eq!(passthrough.blocked.to_string(), "{192.0.2.64..192.0.2.255 2001:db8::1}");
}

#[test]
fn a_rule_that_needs_a_worker_on_a_host_without_a_certificate_is_refused_by_name() {
    let config = config(vec![passed("www.example.com", &["192.0.2.1:443".parse().unwrap()])]);
    let without = state(&[rule(r#"http.host == "api.example.com""#)]);
    assert!(compile(&config, &without, 1, None).is_ok());
    let error = compile(&config, &without.apply(&[rule("http.request.method == \"PUT\"")]).unwrap().state, 1, None);
    let message = error.unwrap_err().to_string();
    let expected =
        " (a rule) of example.com may concern requests for www.example.com, which is passed through unopened";
    assert!(message.starts_with("rule ") && message.contains(expected), "{message}");
}

/// A list of addresses with these items.
fn list(id: ListId, name: &str, items: &[&str]) -> [Change; 2] {
    let at = Timestamp::now();
    let record = ListRecord {
        id,
        kind: ListKind::Ip,
        name: name.to_owned(),
        description: String::new(),
        created: at,
        modified: at,
    };
    let item = |value: &&str| ListItem {
        list: id,
        id: ItemId::generate(),
        value: (*value).to_owned(),
        comment: String::new(),
        created: at,
        modified: at,
    };
    [Change::AddList(record), Change::AddItems { list: id, items: items.iter().map(item).collect(), at }]
}

#[test]
fn rules_look_into_lists_as_they_are_now() {
    let config = config(vec![host("a.example.com", true)]);
    let id = ListId::generate();
    let [add, items] = list(id, "office", &["192.0.2.0/24", "2001:db8::1"]);
    let before = state(&[authority(), add, items, rule("ip.src in $office")]);
    // Which addresses a rule blocks is seen by those that XDP may drop.
    assert_eq!(compiled(&config, &before, None).denied().to_string(), "{192.0.2.0/24 2001:db8::1}");
    let [_, more] = list(id, "office", &["198.51.100.7"]);
    let after = before.apply(&[more]).unwrap().state;
    let denied = compiled(&config, &after, None).denied().to_string();
    assert_eq!(denied, "{192.0.2.0/24 198.51.100.7 2001:db8::1}");
}

#[test]
fn a_list_that_a_rule_names_cannot_go() {
    let config = config(vec![host("a.example.com", true)]);
    let id = ListId::generate();
    let [add, items] = list(id, "office", &["192.0.2.0/24"]);
    let before = state(&[authority(), add, items, rule("ip.src in $office")]);
    let after = before.apply(&[Change::RemoveList(id)]).unwrap().state;
    let message = compile(&config, &after, 1, None).unwrap_err().to_string();
    assert!(message.contains("office"), "{message}");
}
