//! Rule sets: order, actions, what is refused, and what is certain ahead of time.

use filter_rules::{
    Action, AddressRange, BlockResponse, CompileError, ContentType, Expression, FactSet, List, Lists, NetworkSet,
    Residual, RuleProblem, RuleSet, RuleSpec, SetProblem, limits, mtls_rule_expression,
};

fn rule(id: &str, action: Action, expression: &str) -> RuleSpec {
    RuleSpec { id: id.to_owned(), name: format!("rule {id}"), expression: expression.to_owned(), action, enabled: true }
}

fn facts(json: &str) -> FactSet {
    FactSet::from_json(json).expect("facts are well formed")
}

fn compile(rules: Vec<RuleSpec>) -> Result<RuleSet, CompileError> {
    RuleSet::compile(rules, &Lists::default())
}

/// Who decided and who logged.
fn outcome(rules: &RuleSet, json: &str) -> (Option<String>, Vec<String>) {
    let facts = facts(json);
    let outcome = rules.evaluate(&facts);
    (
        outcome.decided_by.map(|rule| rule.id().to_owned()),
        outcome.logged.iter().map(|rule| rule.id().to_owned()).collect(),
    )
}

const BLOCK: Action = Action::Block(None);

#[test]
fn mtls_rules_block_by_certificate_and_revocation() {
    let plain = compile(vec![rule("m", BLOCK, &mtls_rule_expression(&["a.example", "b.example"], false))]).unwrap();
    let strict = compile(vec![rule("m", BLOCK, &mtls_rule_expression(&["a.example"], true))]).unwrap();
    for (host, verified, revoked, plain_blocks, strict_blocks) in [
        ("a.example", false, false, true, true),
        ("a.example", true, false, false, false),
        ("a.example", true, true, false, true),
        ("b.example", false, false, true, false),
        ("c.example", false, false, false, false),
    ] {
        let json = format!(
            r#"{{"http.host": "{host}", "cf.tls_client_auth.cert_verified": {verified}, "cf.tls_client_auth.cert_revoked": {revoked}}}"#
        );
        assert_eq!(plain.evaluate(&facts(&json)).block().is_some(), plain_blocks, "{json}");
        assert_eq!(strict.evaluate(&facts(&json)).block().is_some(), strict_blocks, "{json}");
    }
}

#[test]
fn missing_certificate_facts_block_where_a_valid_one_is_demanded() {
    let rules = compile(vec![rule("m", BLOCK, &mtls_rule_expression(&["a"], true))]).unwrap();
    assert!(rules.evaluate(&facts(r#"{"http.host": "a"}"#)).block().is_some());
}

#[test]
fn first_terminating_match_in_list_order_decides() {
    let rules = compile(vec![
        rule("l1", Action::Log, "ssl"),
        rule("s", Action::Skip, r#"http.host eq "skipped""#),
        rule("l2", Action::Log, "ssl"),
        rule("b1", BLOCK, r#"http.host in {"blocked" "skipped"}"#),
        rule("l3", Action::Log, "ssl"),
        rule("b2", BLOCK, "ssl"),
    ])
    .unwrap();
    let some = |id: &str| Some(id.to_owned());
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(outcome(&rules, r#"{"ssl": true, "http.host": "skipped"}"#), (some("s"), ids(&["l1"])));
    assert_eq!(outcome(&rules, r#"{"ssl": true, "http.host": "blocked"}"#), (some("b1"), ids(&["l1", "l2"])));
    assert_eq!(outcome(&rules, r#"{"ssl": true, "http.host": "x"}"#), (some("b2"), ids(&["l1", "l2", "l3"])));
    assert_eq!(outcome(&rules, r#"{"ssl": false}"#), (None, ids(&[])));
}

#[test]
fn disabled_rules_are_checked_but_not_looked_at() {
    let mut off = rule("off", BLOCK, "ssl");
    off.enabled = false;
    let rules = compile(vec![off.clone()]).unwrap();
    assert_eq!(outcome(&rules, r#"{"ssl": true}"#), (None, Vec::new()));
    off.expression = "ssl ==".to_owned();
    assert!(compile(vec![off]).is_err());
}

#[test]
fn skip_is_not_a_block_and_a_custom_response_comes_with_its_block() {
    let response = BlockResponse::new(451, ContentType::Plain, "no").unwrap();
    let rules = compile(vec![
        rule("s", Action::Skip, r#"http.host eq "a""#),
        rule("b", Action::Block(Some(response.clone())), "true"),
    ])
    .unwrap();
    assert_eq!(rules.evaluate(&facts(r#"{"http.host": "a"}"#)).block(), None);
    assert_eq!(rules.evaluate(&facts("{}")).block(), Some(Some(&response)));
}

#[test]
fn every_problem_of_a_rule_set_is_reported() {
    let error = compile(vec![
        rule("a", BLOCK, "nonsense"),
        rule("b", BLOCK, "ip.src in $office"),
        rule("b", BLOCK, "ssl"),
        rule("c", BLOCK, r#"http.host eq "x" or"#),
    ])
    .unwrap_err();
    let found: Vec<_> = error.rules.iter().map(|(index, id, _)| (*index, id.as_str())).collect();
    assert_eq!(found, [(0, "a"), (1, "b"), (2, "b"), (3, "c")]);
    assert!(matches!(error.rules[2].2, RuleProblem::DuplicateId));
    assert!(error.to_string().contains("rule 2 (b): there is no list named \"office\""), "{error}");
}

#[test]
fn lists_must_exist_and_hold_the_type_of_the_value() {
    let mut lists = Lists::default();
    lists.insert("asns", List::integers(vec![64_500]).unwrap()).unwrap();
    let compile = |source: &str| RuleSet::compile(vec![rule("a", BLOCK, source)], &lists);
    assert!(compile("ip.src.asnum in $asns").is_ok());
    let error = compile("ip.src in $asns").unwrap_err().to_string();
    assert!(error.contains("holds items of type Int, but the value before `in` is of type Ip"), "{error}");
}

#[test]
fn rule_sets_hold_as_many_rules_and_regexes_as_the_limits_and_no_more() {
    let rules = |count: usize| (0..count).map(|id| rule(&id.to_string(), BLOCK, "ssl")).collect::<Vec<_>>();
    assert!(compile(rules(limits::RULES_MAX)).is_ok());
    assert_eq!(compile(rules(limits::RULES_MAX + 1)).unwrap_err().set, [SetProblem::Rules(limits::RULES_MAX + 1)]);

    let regexes = |count: usize| {
        let expression = |id| format!("http.host matches \"^{id}\" or http.host matches \"^0\"");
        (0..count).map(|id| rule(&id.to_string(), BLOCK, &expression(id))).collect::<Vec<_>>()
    };
    assert!(compile(regexes(limits::REGEXES_MAX)).is_ok());
    assert_eq!(
        compile(regexes(limits::REGEXES_MAX + 1)).unwrap_err().set,
        [SetProblem::Regexes(limits::REGEXES_MAX + 1)]
    );
    let large = |id: usize| rule(&id.to_string(), BLOCK, &format!("http.host matches \"{id}[a-z]{{50000}}\""));
    assert!(compile(vec![large(0)]).is_ok());
    assert!(matches!(compile((0..6).map(large).collect()).unwrap_err().set[..], [SetProblem::RegexBytes(_)]));
}

#[test]
fn rule_sets_are_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<RuleSet>();
    shared::<Expression>();
}

#[test]
fn rules_about_other_hosts_do_not_hide_those_about_this_one() {
    let mut specs: Vec<_> = (0..50)
        .map(|id| rule(&format!("h{id}"), Action::Log, &format!("http.host eq \"h{id}.example\" and ssl")))
        .collect();
    specs.insert(20, rule("general", Action::Log, "ssl"));
    specs.push(rule(
        "both",
        Action::Log,
        r#"http.host in {"h3.example" "h40.example"} and not cf.tls_client_auth.cert_verified"#,
    ));
    specs.push(rule("negated", Action::Log, r#"not (http.host ne "h3.example")"#));
    specs.push(rule("either", Action::Log, r#"http.host eq "h3.example" or ssl"#));
    let rules = compile(specs).unwrap();
    let logged = |host: &str| outcome(&rules, &format!(r#"{{"ssl": true, "http.host": "{host}"}}"#)).1;
    assert_eq!(logged("h3.example"), ["h3", "general", "both", "negated", "either"]);
    assert_eq!(logged("h40.example"), ["general", "h40", "both", "either"]);
    assert_eq!(logged("other.example"), ["general", "either"]);
    assert_eq!(outcome(&rules, r#"{"ssl": true}"#).1, ["general", "negated", "either"]);
    let concerning = |host: &str| rules.rules_for_host(host).map(filter_rules::Rule::id).collect::<Vec<_>>();
    assert_eq!(concerning("H40.example:443"), ["general", "h40", "both", "negated", "either"]);
    assert_eq!(concerning("other.example"), ["general", "negated", "either"]);
}

#[test]
fn what_is_certain_follows_from_what_is_known() {
    let networks = |text: &str| {
        let ranges = text.split(' ').map(|network| AddressRange::from(network.parse::<cidr::IpCidr>().unwrap()));
        Residual::Networks(ranges.collect::<NetworkSet>())
    };
    let mut lists = Lists::default();
    let office = "192.0.2.0/24".parse::<cidr::IpCidr>().unwrap();
    lists.insert("office", List::addresses(vec![office.into()]).unwrap()).unwrap();
    for (source, known, expected) in [
        (
            r#"http.host in {"a" "b"} and not cf.tls_client_auth.cert_verified"#,
            r#"{"http.host": "c"}"#,
            Residual::False,
        ),
        (
            r#"http.host in {"a" "b"} and not cf.tls_client_auth.cert_verified"#,
            r#"{"http.host": "a"}"#,
            Residual::Unknown,
        ),
        ("ssl", r#"{"ssl": true}"#, Residual::True),
        ("ssl or http.host eq \"a\"", r#"{"ssl": true}"#, Residual::True),
        ("ssl xor http.host eq \"a\"", r#"{"ssl": true}"#, Residual::Unknown),
        ("http.host ne \"a\"", r#"{"http.host": null}"#, Residual::False),
        ("not http.host eq \"a\"", r#"{"http.host": null}"#, Residual::True),
        ("ip.src in {10.0.0.0/8}", "{}", networks("10.0.0.0/8")),
        ("ip.src in {10.0.0.0/8}", r#"{"ip.src": "10.1.1.1"}"#, Residual::True),
        ("ip.src in {10.0.0.0/8} and ssl", r#"{"ssl": true}"#, networks("10.0.0.0/8")),
        ("ip.src in {10.0.0.0/8} and ssl", "{}", Residual::Unknown),
        ("ip.src in {10.0.0.0/8} and ssl", r#"{"ssl": false}"#, Residual::False),
        ("ip.src in {10.0.0.0/8 192.0.2.1} and not ip.src in {10.128.0.0/9}", "{}", networks("10.0.0.0/9 192.0.2.1")),
        ("ip.src in {10.0.0.0/8} xor ip.src in {10.0.0.0/9}", "{}", networks("10.128.0.0/9")),
        ("ip.src in {10.0.0.0/8} or not ip.src in {10.0.0.0/8}", "{}", Residual::True),
        ("ip.src in {}", "{}", Residual::False),
        ("ip.src in $office", "{}", networks("192.0.2.0/24")),
        ("ip.src eq 10.0.0.1", "{}", networks("10.0.0.1")),
        ("any(http.request.headers[\"x\"][*] == \"a\")", "{}", Residual::Unknown),
        ("any(http.request.headers[\"x\"][*] == \"a\")", r#"{"http.request.headers": {}}"#, Residual::False),
    ] {
        let rules = RuleSet::compile(vec![rule("a", BLOCK, source)], &lists).unwrap();
        assert_eq!(rules.rules()[0].residual(&facts(known)), expected, "{source} with {known}");
    }
}
