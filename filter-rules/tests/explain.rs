//! Explanations: every comparison with its value, and the fate of every rule.

use filter_rules::{Action, Expression, FactSet, Fate, Lists, RuleSet, RuleSpec};

fn facts(json: &str) -> FactSet {
    FactSet::from_json(json).expect("facts are well formed")
}

#[test]
fn every_comparison_is_shown_with_its_value_even_after_the_decision() {
    let source = r#"http.host eq "b" and (ssl or http.referer contains "x") and any(http.request.headers["k"][*] eq "v") and all(starts_with(http.request.headers.names[*], "a"))"#;
    let facts = facts(
        r#"{"http.host": "a", "ssl": true, "http.request.headers": {"k": ["w", "v"]}, "http.request.headers.names": ["ab", "c"]}"#,
    );
    let explanation = Expression::parse(source).unwrap().explain(&facts, &Lists::default());
    assert_eq!(
        explanation.to_string(),
        r#"false
  http.host eq "b": false; value: "a"
  ssl: true; value: true
  http.referer contains "x": false; value: missing
  http.request.headers["k"][*] eq "v": false true; value: ["w", "v"]
  starts_with(http.request.headers.names[*], "a"): true false; value: [true, false]
"#
    );
    let spans: Vec<_> = explanation.comparisons.iter().map(|comparison| comparison.span.of(source)).collect();
    assert_eq!(spans[..3], [r#"http.host eq "b""#, "ssl", r#"http.referer contains "x""#]);
}

#[test]
fn every_rule_has_a_fate() {
    let rule = |id: &str, action: Action, expression: &str, enabled: bool| RuleSpec {
        id: id.to_owned(),
        name: format!("rule {id}"),
        expression: expression.to_owned(),
        action,
        enabled,
    };
    let rules = RuleSet::compile(
        vec![
            rule("off", Action::Block(None), "ssl", false),
            rule("no", Action::Block(None), "not ssl", true),
            rule("log", Action::Log, "ssl", true),
            rule("yes", Action::Block(None), "ssl", true),
            rule("late", Action::Log, "ssl", true),
        ],
        &Lists::default(),
    )
    .unwrap();
    let explained = rules.explain(&facts(r#"{"ssl": true}"#));
    let fates: Vec<_> = explained.iter().map(|rule| rule.fate).collect();
    assert_eq!(fates, [Fate::Disabled, Fate::False, Fate::Logged, Fate::Decided, Fate::NotReached]);
    assert_eq!(explained[3].to_string(), "rule 4 \"rule yes\" (yes, block): decided\n  ssl: true; value: true\n");
    assert_eq!(explained[4].to_string(), "rule 5 \"rule late\" (late, log): not reached\n");
}
