//! Single rules of a rule set, and its earlier versions.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;

use super::super::answer::{Answer, Page};
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::ApiError;
use super::super::request::{Body, DryRun, Named, Search};
use super::super::rule_body;
use super::rulesets::{PHASE, find, no_entry_point, shown, written};
use crate::control::{Control, Intent};
use crate::model::{self, Change, Position, RuleId, Scope, Timestamp, ZoneId};

/// Adds a rule. The answer is the whole rule set.
#[utoipa::path(post, path = "/client/v4/zones/{zone}/rulesets/{ruleset}/rules", tag = "rulesets", params(DryRun),
    request_body = dto::RuleBody, responses((status = 200, body = Envelope<Option<dto::Ruleset>>)))]
pub(super) async fn create(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, ruleset)): Named<(String, String)>,
    Search(dry_run): Search<DryRun>,
    Body(wanted): Body<dto::RuleBody>,
) -> Result<Answer<Option<dto::Ruleset>>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Rules)?;
    if wanted.id.is_some() {
        return Err(ApiError::invalid("/id", "a new rule gets its id here; `ref` is the name that you may choose"));
    }
    let position =
        wanted.position.as_ref().map_or(Ok(Position::Last), |position| rule_body::position("/position", position))?;
    let rule = rule_body::from_body("", RuleId::generate(), wanted)?;
    let plan = move |state: &model::State| {
        find(state, zone, &ruleset)?;
        Ok(vec![Change::AddRule { zone, rule, position }])
    };
    written(&control, zone, caller.intent("rule create"), &dry_run, plan).await
}

/// Replaces the definition of a rule; with a position alone, moves it. The answer is the whole rule set.
#[utoipa::path(patch, path = "/client/v4/zones/{zone}/rulesets/{ruleset}/rules/{rule}", tag = "rulesets", params(DryRun),
    request_body = dto::RuleBody, responses((status = 200, body = Envelope<Option<dto::Ruleset>>)))]
pub(super) async fn update(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, ruleset, rule)): Named<(String, String, String)>,
    Search(dry_run): Search<DryRun>,
    Body(wanted): Body<dto::RuleBody>,
) -> Result<Answer<Option<dto::Ruleset>>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Rules)?;
    let id: RuleId = rule.parse()?;
    if wanted.id.as_ref().is_some_and(|given| *given != rule) {
        return Err(ApiError::invalid("/id", "the id in the body is not the one in the path"));
    }
    let position = wanted.position.as_ref().map(|position| rule_body::position("/position", position)).transpose()?;
    let is_move = wanted.action.is_none()
        && wanted.expression.is_none()
        && wanted.action_parameters.is_none()
        && wanted.description.is_none()
        && wanted.enabled.is_none()
        && wanted.reference.is_none();
    let change = match position {
        Some(position) if is_move => Change::MoveRule { zone, id, position, at: Timestamp::now() },
        position => Change::ReplaceRule { zone, rule: rule_body::from_body("", id, wanted)?, position },
    };
    let plan = move |state: &model::State| {
        let known = find(state, zone, &ruleset)?;
        match known.rule(id) {
            Some(_) => Ok(vec![change]),
            None => Err(no_rule(id)),
        }
    };
    written(&control, zone, caller.intent("rule update"), &dry_run, plan).await
}

/// Takes a rule out. The answer is the whole rule set.
#[utoipa::path(delete, path = "/client/v4/zones/{zone}/rulesets/{ruleset}/rules/{rule}", tag = "rulesets", params(DryRun),
    responses((status = 200, body = Envelope<Option<dto::Ruleset>>)))]
pub(super) async fn delete(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, ruleset, rule)): Named<(String, String, String)>,
    Search(dry_run): Search<DryRun>,
) -> Result<Answer<Option<dto::Ruleset>>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Rules)?;
    let id: RuleId = rule.parse()?;
    let plan = move |state: &model::State| {
        find(state, zone, &ruleset)?.rule(id).ok_or_else(|| no_rule(id))?;
        Ok(vec![Change::RemoveRule { zone, id, at: Timestamp::now() }])
    };
    written(&control, zone, caller.intent("rule delete"), &dry_run, plan).await
}

fn no_rule(id: RuleId) -> ApiError {
    ApiError::no_object(format!("could not find rule {id} in this ruleset"))
}

/// Lists the versions of a rule set, newest first and without rules.
#[utoipa::path(get, path = "/client/v4/zones/{zone}/rulesets/{ruleset}/versions", tag = "rulesets",
    responses((status = 200, body = Envelope<Vec<dto::Ruleset>>)))]
pub(super) async fn versions(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, ruleset)): Named<(String, String)>,
) -> Result<Page<dto::Ruleset>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    find(&state, zone, &ruleset)?;
    Ok(Page::whole(all_versions(&state, zone)))
}

/// Shows a version of a rule set.
#[utoipa::path(get, path = "/client/v4/zones/{zone}/rulesets/{ruleset}/versions/{version}", tag = "rulesets",
    responses((status = 200, body = Envelope<dto::Ruleset>)))]
pub(super) async fn version(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, ruleset, version)): Named<(String, String, String)>,
) -> Result<Answer<dto::Ruleset>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    find(&state, zone, &ruleset)?;
    one_version(&state, zone, &version)
}

/// Forgets an earlier version of a rule set.
#[utoipa::path(delete, path = "/client/v4/zones/{zone}/rulesets/{ruleset}/versions/{version}", tag = "rulesets",
    params(DryRun), responses((status = 204)))]
pub(super) async fn delete_version(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, ruleset, version)): Named<(String, String, String)>,
    Search(dry_run): Search<DryRun>,
) -> Result<StatusCode, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Rules)?;
    let intent = Intent { dry_run: dry_run.wanted()?, ..caller.intent("ruleset version delete") };
    let plan = move |state: &model::State| {
        let current = find(state, zone, &ruleset)?;
        if current.version.to_string() == version {
            return Err(ApiError::conflict("the current version of a ruleset cannot be deleted"));
        }
        let known = state.ruleset_versions(zone).find(|known| known.version.to_string() == version);
        let version = known.ok_or_else(|| no_version(&version))?.version;
        Ok((vec![Change::RemoveRulesVersion { zone, version }], ()))
    };
    control.change(intent, plan).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the versions of the rule set that a phase begins with.
#[utoipa::path(get, path = "/client/v4/zones/{zone}/rulesets/phases/{phase}/entrypoint/versions", tag = "rulesets",
    responses((status = 200, body = Envelope<Vec<dto::Ruleset>>)))]
pub(super) async fn entry_point_versions(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, phase)): Named<(String, String)>,
) -> Result<Page<dto::Ruleset>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    Ok(Page::whole(if phase == PHASE { all_versions(&state, zone) } else { Vec::new() }))
}

/// Shows a version of the rule set that a phase begins with.
#[utoipa::path(get, path = "/client/v4/zones/{zone}/rulesets/phases/{phase}/entrypoint/versions/{version}",
    tag = "rulesets", responses((status = 200, body = Envelope<dto::Ruleset>)))]
pub(super) async fn entry_point_version(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, phase, version)): Named<(String, String, String)>,
) -> Result<Answer<dto::Ruleset>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Read)?;
    if phase != PHASE {
        return Err(no_entry_point(&phase));
    }
    let (state, _) = control.state().await;
    one_version(&state, zone, &version)
}

fn all_versions(state: &model::State, zone: ZoneId) -> Vec<dto::Ruleset> {
    let mut versions: Vec<_> = state.ruleset_versions(zone).chain(state.ruleset(zone)).collect();
    versions.reverse();
    versions.into_iter().map(|version| dto::Ruleset { rules: None, ..shown(version) }).collect()
}

fn one_version(state: &model::State, zone: ZoneId, version: &str) -> Result<Answer<dto::Ruleset>, ApiError> {
    let mut versions = state.ruleset_versions(zone).chain(state.ruleset(zone));
    let found = versions.find(|known| known.version.to_string() == version);
    found.map(|version| Answer(shown(version))).ok_or_else(|| no_version(version))
}

fn no_version(version: &str) -> ApiError {
    let shown: String = version.chars().take(100).collect();
    ApiError::no_object(format!("could not find version {shown:?} of this ruleset"))
}
