//! The meaning of the language as data: every row of `tests/corpus/*.toml` run through every way the crate evaluates.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use filter_rules::{Action, AddressRange, Expression, FactSet, Field, List, Lists, Residual, RuleSet, RuleSpec};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    source: String,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    facts: serde_json::Value,
    is: bool,
}

/// The lists the corpus may use.
fn lists() -> Lists {
    let range = |text: &str| AddressRange::from(text.parse::<cidr::IpCidr>().expect("a network"));
    let mut lists = Lists::default();
    let office = List::addresses(vec![range("192.0.2.0/24"), range("2001:db8::/32")]).expect("a list");
    lists.insert("office", office).expect("a name");
    lists.insert("asns", List::integers(vec![64_500, 64_501]).expect("a list")).expect("a name");
    lists.insert("hosts", List::hosts(["Api.Example.com", "*.example.org"]).expect("a list")).expect("a name");
    lists
}

fn files() -> BTreeMap<PathBuf, File> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    std::fs::read_dir(directory)
        .expect("the corpus is there")
        .map(|entry| {
            let path = entry.expect("a directory entry").path();
            let text = std::fs::read_to_string(&path).expect("a readable file");
            let file = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path, file)
        })
        .collect()
}

/// What each way of evaluating says, by its name.
fn evaluations(expression: &Expression, facts: &FactSet, lists: &Lists) -> Vec<(&'static str, bool)> {
    let matcher = expression.compile(lists).expect("the corpus uses only lists that exist");
    let printed = Expression::parse(&expression.to_string()).expect("canonical source parses");
    let rule = |id: usize, source: &str| RuleSpec {
        id: id.to_string(),
        name: String::new(),
        expression: source.to_owned(),
        action: Action::Block(None),
        enabled: true,
    };
    // Enough rules of other hosts that the host index is used.
    let mut rules: Vec<_> = (0..10).map(|id| rule(id, r#"http.host eq "nobody.invalid""#)).collect();
    rules.push(rule(10, expression.source()));
    let rules = RuleSet::compile(rules, lists).expect("the rule compiles in a set, too");
    let mut all_known = facts.clone();
    for spec in Field::ALL.iter().filter(|spec| facts.known(spec.field).is_none()) {
        all_known.insert_missing(spec.field);
    }
    vec![
        ("interpreted", expression.explain(facts, lists).result),
        ("compiled", matcher.matches(facts)),
        ("printed and compiled", printed.compile(lists).expect("as before").matches(facts)),
        ("in a rule set", rules.evaluate(facts).decided_by.is_some()),
        (
            "ahead of time",
            match expression.residual(&all_known, lists) {
                Residual::True => true,
                Residual::False => false,
                other => panic!("everything is known, but {expression} is {other:?}"),
            },
        ),
    ]
}

#[test]
fn every_row_means_the_same_in_every_engine() {
    let lists = lists();
    let mut names = HashSet::new();
    let mut failures = Vec::new();
    let (mut rows_read, mut rows_run) = (0, 0);
    for (path, file) in files() {
        for Case { name, source, rows } in file.case {
            assert!(names.insert(name.clone()), "{}: two cases are named {name:?}", path.display());
            assert!(!rows.is_empty(), "{}: case {name:?} has no rows", path.display());
            rows_read += rows.len();
            let expression = match Expression::parse(&source) {
                Ok(expression) => expression,
                Err(error) => {
                    failures.push(format!("{name}: {error}"));
                    continue;
                }
            };
            for Row { facts, is } in rows {
                let facts = FactSet::from_json(&facts.to_string()).unwrap_or_else(|error| panic!("{name}: {error}"));
                for (engine, said) in evaluations(&expression, &facts, &lists) {
                    if said != is {
                        failures.push(format!("{name}: {source} {engine} is {said} for {facts:?}"));
                    }
                }
                rows_run += 1;
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(rows_run, rows_read);
}

#[test]
fn a_case_with_an_unknown_key_is_refused() {
    let text = "[[case]]\nname = \"a\"\nsource = \"ssl\"\nrows = [{ facts = {}, is = true, if = false }]\n";
    assert!(toml::from_str::<File>(text).is_err());
}
