//! What holds for every expression and every set of facts.

#[path = "support/generate.rs"]
mod generate;

use filter_rules::{Expression, FactSet, Facts, Field, Lists, Residual, RuleSet, RuleSpec};
use generate::Choices;
use proptest::collection::vec;
use proptest::prelude::*;

fn parse(source: &str) -> Expression {
    Expression::parse(source).unwrap_or_else(|error| panic!("generated source does not parse: {error}"))
}

fn facts(json: &str) -> FactSet {
    FactSet::from_json(json).unwrap_or_else(|error| panic!("generated facts are wrong: {error}: {json}"))
}

fn matches(expression: &Expression, facts: &FactSet) -> bool {
    expression.compile(&Lists::default()).expect("no lists are used").matches(facts)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn printed_expressions_parse_to_the_same_tree(bytes in vec(any::<u8>(), 0..200)) {
        let expression = parse(&generate::expression(&mut Choices::new(&bytes)));
        let printed = expression.to_string();
        let again = parse(&printed);
        prop_assert_eq!(again.to_json(), expression.to_json());
        prop_assert_eq!(again.to_string(), printed);
    }

    #[test]
    fn compiled_expressions_mean_what_the_tree_says(bytes in vec(any::<u8>(), 0..400)) {
        let mut choices = Choices::new(&bytes);
        let facts = facts(&generate::facts(&mut choices));
        let expression = parse(&generate::expression(&mut choices));
        let explained = expression.explain(&facts, &Lists::default());
        prop_assert_eq!(matches(&expression, &facts), explained.result, "{} with {:?}", expression, facts);
    }

    #[test]
    fn what_is_certain_ahead_of_time_is_what_happens(
        bytes in vec(any::<u8>(), 0..400),
        known_mask in any::<u16>(),
    ) {
        let mut choices = Choices::new(&bytes);
        let mut facts = facts(&generate::facts(&mut choices));
        // The client's address is the one fact that is never missing.
        if facts.ip(Field::IpSrc).is_none() {
            facts.insert(Field::IpSrc, std::net::IpAddr::from([10, 0, 0, 1]).into()).expect("an address");
        }
        let expression = parse(&generate::expression(&mut choices));
        let mut known = FactSet::default();
        for (position, spec) in Field::ALL.iter().enumerate() {
            if known_mask >> (position % 16) & 1 == 0 {
                continue;
            }
            match facts.known(spec.field) {
                Some(Some(value)) => known.insert(spec.field, value.clone()).expect("the field's own value"),
                Some(None) | None => known.insert_missing(spec.field),
            }
        }
        let happens = matches(&expression, &facts);
        match expression.residual(&known, &Lists::default()) {
            Residual::True => prop_assert!(happens, "{} knowing {:?}", expression, known),
            Residual::False => prop_assert!(!happens, "{} knowing {:?}", expression, known),
            Residual::Networks(set) => {
                let address = facts.ip(Field::IpSrc).expect("put in above");
                prop_assert_eq!(set.contains(address), happens, "{} knowing {:?}", expression, known);
            }
            Residual::Unknown => {}
        }
    }

    #[test]
    fn everything_is_certain_when_everything_is_known(bytes in vec(any::<u8>(), 0..400)) {
        let mut choices = Choices::new(&bytes);
        let facts = facts(&generate::facts(&mut choices));
        let expression = parse(&generate::expression(&mut choices));
        let mut known = facts.clone();
        for spec in Field::ALL {
            if known.known(spec.field).is_none() {
                known.insert_missing(spec.field);
            }
        }
        let expected = if matches(&expression, &facts) { Residual::True } else { Residual::False };
        prop_assert_eq!(expression.residual(&known, &Lists::default()), expected, "{} knowing {:?}", expression, known);
    }

    #[test]
    fn a_rule_set_decides_as_its_rules_one_by_one(bytes in vec(any::<u8>(), 0..2_000)) {
        let mut choices = Choices::new(&bytes);
        let facts = facts(&generate::facts(&mut choices));
        let specs: Vec<RuleSpec> = (0..20)
            .map(|id| RuleSpec {
                id: id.to_string(),
                name: String::new(),
                expression: generate::expression(&mut choices),
                action: filter_rules::Action::Log,
                enabled: true,
            })
            .collect();
        let expected: Vec<String> = specs
            .iter()
            .filter(|spec| matches(&parse(&spec.expression), &facts))
            .map(|spec| spec.id.clone())
            .collect();
        // Small sources cannot exceed the limits of a set.
        let rules = RuleSet::compile(specs, &Lists::default()).expect("rules compile");
        let logged: Vec<String> = rules.evaluate(&facts).logged.iter().map(|rule| rule.id().to_owned()).collect();
        prop_assert_eq!(logged, expected);
    }
}
