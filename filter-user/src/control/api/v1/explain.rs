//! Why a verdict comes out.

use std::sync::Arc;

use axum::extract::State;
use filter_rules::FactSet;

use super::super::answer::Answer;
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::ApiError;
use super::super::request::{Body, Named};
use crate::control::Control;
use crate::model::Scope;

/// Says what the rules in force make of the given facts.
#[utoipa::path(post, path = "/api/v1/zones/{zone}/explain", tag = "rules", request_body = dto::Explain,
    responses((status = 200, body = Envelope<Vec<dto::ExplainedRule>>)))]
pub(super) async fn explain(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Body(request): Body<dto::Explain>,
) -> Result<Answer<Vec<dto::ExplainedRule>>, ApiError> {
    let (_, id) = caller.zone(&control, &zone, Scope::Read)?;
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
