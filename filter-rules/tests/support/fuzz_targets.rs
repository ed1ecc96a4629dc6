//! What the fuzz targets do with their bytes. Shared by `fuzz/` (steered, nightly) and `tests/fuzz.rs` (bounded, stable).

use filter_rules::{Expression, FactSet, Field, Limits, Lists, Residual};

use crate::generate::{self, Choices};

/// Any bytes as a source: parsing ends without a panic, an error points into the source, and what parses prints as source of
/// the same tree.
pub(crate) fn source(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Expression::parse(&text) {
        Ok(expression) => {
            // Canonical source may be longer than the source was.
            let wide = Limits { expression_bytes: 1 << 20, ..Limits::default() };
            let printed = expression.to_string();
            let again = Expression::parse_with(&printed, &wide).expect("canonical source parses");
            assert_eq!(again.to_json(), expression.to_json(), "{printed}");
            assert_eq!(again.to_string(), printed);
            assert!(expression.lints().iter().all(|lint| text.get(lint.span.start..lint.span.end).is_some()));
        }
        Err(error) => {
            let span = error.span();
            assert!(span.start <= span.end && span.end <= text.len(), "{error}");
            assert!(error.to_string().ends_with('\n'));
            assert!(!error.render().is_empty());
        }
    }
}

/// Any bytes as choices: the compiled expression, the interpreted one and partial evaluation agree.
pub(crate) fn evaluate(data: &[u8]) {
    let lists = Lists::default();
    let mut choices = Choices::new(data);
    let facts = FactSet::from_json(&generate::facts(&mut choices)).expect("generated facts are well formed");
    let expression = Expression::parse(&generate::expression(&mut choices));
    // The one way a generated source can be refused is by being too long.
    let Ok(expression) = expression else { return };
    let happens = expression.compile(&lists).expect("no lists are used").matches(&facts);
    assert_eq!(happens, expression.explain(&facts, &lists).result, "{expression}");

    let mut known = FactSet::default();
    for (spec, bit) in Field::ALL.iter().zip(data.iter().rev().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1)))
    {
        match facts.known(spec.field) {
            // The client's address is never missing in a request; unknown is all it may be here.
            _ if bit == 0 || spec.field == Field::IpSrc => {}
            Some(Some(value)) => known.insert(spec.field, value.clone()).expect("the field's own value"),
            Some(None) | None => known.insert_missing(spec.field),
        }
    }
    match expression.residual(&known, &lists) {
        Residual::True => assert!(happens || facts.known(Field::IpSrc).is_none(), "{expression}"),
        Residual::False => assert!(!happens || facts.known(Field::IpSrc).is_none(), "{expression}"),
        Residual::Networks(set) => {
            if let Some(Some(filter_rules::Value::Ip(address))) = facts.known(Field::IpSrc) {
                assert_eq!(set.contains(*address), happens, "{expression}");
            }
        }
        _ => {}
    }
}
