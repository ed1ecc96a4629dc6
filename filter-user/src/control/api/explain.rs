//! Why a verdict comes out.

use std::sync::Arc;

use axum::extract::{Path, State};
use filter_rules::FactSet;

use super::answer::{Answer, ApiError, Body};
use super::{dto, zones};
use crate::control::Control;

/// `POST /api/v1/zones/{zone}/explain`: what the rules in force make of the given facts.
pub(super) async fn explain(
    State(control): State<Arc<Control>>,
    Path(zone): Path<String>,
    Body(request): Body<dto::Explain>,
) -> Result<Answer<Vec<dto::ExplainedRule>>, ApiError> {
    let (_, id) = zones::find(&control, &zone)?;
    let facts = FactSet::from_json(&request.facts.to_string())
        .map_err(|error| ApiError::invalid("/facts", error.to_string()))?;
    let snapshot = control.snapshot().await;
    let zone = snapshot.zones.iter().find(|zone| zone.id == id);
    let rules = zone.map(|zone| zone.rules.explain(&facts)).unwrap_or_default();
    Ok(Answer(rules.into_iter().map(shown).collect()))
}

fn shown(rule: filter_rules::ExplainedRule) -> dto::ExplainedRule {
    let comparisons = rule.explanation.into_iter().flat_map(|explanation| explanation.comparisons);
    dto::ExplainedRule {
        id: rule.id,
        name: rule.name,
        action: rule.action.to_string(),
        fate: rule.fate.to_string(),
        comparisons: comparisons
            .map(|comparison| dto::ExplainedComparison {
                text: comparison.text,
                value: comparison.value.map_or_else(|| "missing".to_owned(), |value| value.to_string()),
                results: comparison.results.iter().map(bool::to_string).collect::<Vec<_>>().join(" "),
                start: comparison.span.start,
                end: comparison.span.end,
            })
            .collect(),
    }
}
