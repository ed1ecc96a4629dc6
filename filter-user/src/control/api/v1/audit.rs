//! Who changed what, and who was not let in.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::answer::{Answer, MAX_PER_PAGE};
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::ApiError;
use super::super::request::Search;
use crate::control::Control;
use crate::model::Scope;
use crate::store::{AuditRecord, Refusal, Revision};

/// Records of an answer if the call does not say.
const LIMIT: usize = 50;

/// Which records.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only records before this generation: the smallest of the last answer gives the next ones.
    before: Option<u64>,
    /// Most records of the answer: 1 to 1000, 50 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

impl Which {
    fn limit(&self) -> Result<usize, ApiError> {
        let limit = self.limit.unwrap_or(LIMIT);
        if (1..=MAX_PER_PAGE).contains(&limit) {
            return Ok(limit);
        }
        Err(ApiError::invalid("/limit", format!("an answer has 1 to {MAX_PER_PAGE} records")))
    }
}

/// Lists the changes that were made, newest first: who, what, when, before and after.
#[utoipa::path(get, path = "/api/v1/audit", tag = "daemon", params(Which),
    responses((status = 200, body = Envelope<Vec<dto::Audit>>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Search(which): Search<Which>,
) -> Result<Answer<Vec<dto::Audit>>, ApiError> {
    caller.everywhere(Scope::Admin)?;
    let records = control.audit(which.before.map(Revision::new), which.limit()?).await?;
    Ok(Answer(records.into_iter().map(shown).collect()))
}

/// Lists attempts to use the API with bad credentials, newest first.
#[utoipa::path(get, path = "/api/v1/audit/refused", tag = "daemon", params(Which),
    responses((status = 200, body = Envelope<Vec<dto::Refusal>>)))]
pub(super) async fn refused(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Search(which): Search<Which>,
) -> Result<Answer<Vec<dto::Refusal>>, ApiError> {
    caller.everywhere(Scope::Admin)?;
    let refusals = control.refusals(which.limit()?).await?;
    let shown = |Refusal { at, origin, request, reason }| dto::Refusal { at: at.to_string(), origin, request, reason };
    Ok(Answer(refusals.into_iter().map(shown).collect()))
}

fn shown(record: AuditRecord) -> dto::Audit {
    let changes = record.changes.into_iter();
    dto::Audit {
        generation: record.revision,
        at: record.at.to_string(),
        actor: record.actor,
        origin: record.origin,
        action: record.action,
        changes: changes
            .map(|change| dto::AuditChange { key: change.key, before: change.before, after: change.after })
            .collect(),
        omitted: record.omitted,
    }
}
