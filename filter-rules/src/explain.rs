//! Why an expression is true or false: every comparison with the value it saw, whether or not it decided.

use std::fmt;

use crate::ast::{Argument, Comparison, Logical, Operand};
use crate::expression::Expression;
use crate::facts::Facts;
use crate::interpret::{self, AllFacts};
use crate::lists::Lists;
use crate::rules::{Action, RuleSet};
use crate::span::Span;
use crate::value::Value;

/// Why an expression is true or false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Whether it is true.
    pub result: bool,
    /// Its comparisons, in source order.
    pub comparisons: Vec<ExplainedComparison>,
}

/// A comparison, what it saw and what came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedComparison {
    /// The comparison as canonical source.
    pub text: String,
    /// Where it stands in the source.
    pub span: Span,
    /// The value it saw; `None` when it was missing. For a mapped comparison, the array of values it was made with.
    pub value: Option<Value<'static>>,
    /// What came out; for a mapped comparison, once for each value.
    pub results: Vec<bool>,
}

/// A rule, and why it did what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedRule {
    /// Position in the rule set, counted from 0.
    pub index: usize,
    /// Identifies the rule.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it does when it is true.
    pub action: Action,
    /// What became of it.
    pub fate: Fate,
    /// Why; `None` when it was not looked at.
    pub explanation: Option<Explanation>,
}

/// What became of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was true and decided.
    Decided,
    /// It was true and was recorded.
    Logged,
    /// It was false.
    False,
    /// A rule before it decided.
    NotReached,
    /// It is disabled.
    Disabled,
}

impl Expression {
    /// Why the expression is true or false of these facts.
    #[must_use]
    pub fn explain<F: Facts + ?Sized>(&self, facts: &F, lists: &Lists) -> Explanation {
        let lookup = AllFacts { facts, lists };
        let mut comparisons = Vec::new();
        collect(self.root(), &lookup, &mut comparisons);
        let Ok(result) = interpret::truth(self.root(), &lookup);
        Explanation { result, comparisons }
    }
}

impl RuleSet {
    /// What became of every rule for these facts, and why.
    #[must_use]
    pub fn explain<F: Facts + ?Sized>(&self, facts: &F) -> Vec<ExplainedRule> {
        let mut is_decided = false;
        self.rules()
            .iter()
            .map(|rule| {
                let explanation =
                    (rule.is_enabled() && !is_decided).then(|| rule.expression().explain(facts, rule.lists()));
                let fate = match &explanation {
                    None if rule.is_enabled() => Fate::NotReached,
                    None => Fate::Disabled,
                    Some(explanation) if !explanation.result => Fate::False,
                    Some(_) if rule.action().is_terminating() => Fate::Decided,
                    Some(_) => Fate::Logged,
                };
                is_decided |= fate == Fate::Decided;
                ExplainedRule {
                    index: rule.index(),
                    id: rule.id().to_owned(),
                    name: rule.name().to_owned(),
                    action: rule.action().clone(),
                    fate,
                    explanation,
                }
            })
            .collect()
    }
}

fn collect<F: Facts + ?Sized>(logical: &Logical, lookup: &AllFacts<'_, F>, found: &mut Vec<ExplainedComparison>) {
    match logical {
        Logical::Combine { items, .. } => items.iter().for_each(|item| collect(item, lookup, found)),
        Logical::Not { inner, .. } | Logical::Group { inner, .. } => collect(inner, lookup, found),
        Logical::Quantify { argument, .. } => match &**argument {
            Argument::Logical(inner) => collect(inner, lookup, found),
            Argument::Operand(operand) => found.push(array(operand, lookup)),
            Argument::Literal(..) => {}
        },
        Logical::Compare(comparison) => found.push(explain_comparison(comparison, lookup)),
    }
}

fn explain_comparison<F: Facts + ?Sized>(comparison: &Comparison, lookup: &AllFacts<'_, F>) -> ExplainedComparison {
    let (text, span) = (comparison.to_string(), comparison.span);
    if !comparison.left.is_mapped() {
        let Ok(value) = interpret::operand(&comparison.left, lookup);
        let field = comparison.left.plain_field();
        let holds = |value: &Value<'_>| interpret::holds(&comparison.test, value, field, lookup.lists);
        let results = match &value {
            Some(Value::Array(items)) => items.iter().map(holds).collect(),
            Some(value) => vec![holds(value)],
            None => vec![false],
        };
        return ExplainedComparison { text, span, value: value.map(Value::into_owned), results };
    }
    let Ok(values) = interpret::each(&comparison.left, lookup);
    let results =
        values.iter().flatten().map(|value| interpret::holds(&comparison.test, value, None, lookup.lists)).collect();
    let value = values.map(|values| Value::Array(values).into_owned());
    ExplainedComparison { text, span, value, results }
}

/// An array of Booleans that is quantified as it is.
fn array<F: Facts + ?Sized>(operand: &Operand, lookup: &AllFacts<'_, F>) -> ExplainedComparison {
    let Ok(value) = interpret::operand(operand, lookup);
    let results = match &value {
        Some(Value::Array(items)) => items.iter().map(|item| *item == Value::Bool(true)).collect(),
        _ => Vec::new(),
    };
    ExplainedComparison { text: operand.to_string(), span: operand.span, value: value.map(Value::into_owned), results }
}

/// Several lines: the result, then each comparison with its value.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.result)?;
        for comparison in &self.comparisons {
            writeln!(f, "  {comparison}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ExplainedComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let results: Vec<String> = self.results.iter().map(bool::to_string).collect();
        write!(
            f,
            "{}: {}; value: ",
            self.text,
            if results.is_empty() { "no values".to_owned() } else { results.join(" ") }
        )?;
        match &self.value {
            Some(value) => write!(f, "{value}"),
            None => f.write_str("missing"),
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decided => "decided",
            Self::Logged => "logged",
            Self::False => "false",
            Self::NotReached => "not reached",
            Self::Disabled => "disabled",
        })
    }
}

impl fmt::Display for ExplainedRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, action, fate, .. } = self;
        writeln!(f, "rule {} {name:?} ({id}, {action}): {fate}", self.index.saturating_add(1))?;
        for comparison in self.explanation.iter().flat_map(|explanation| &explanation.comparisons) {
            writeln!(f, "  {comparison}")?;
        }
        Ok(())
    }
}
