//! The rule set of a zone, as Cloudflare's Rulesets API has it. A zone has one, for the phase [`PHASE`], and no account has any.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;

use super::super::answer::{Answer, Page};
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::{ApiError, code};
use super::super::request::{Body, DryRun, Named, Search};
use super::super::rule_body;
use crate::control::{Changed, Control, Intent};
use crate::model::{self, Change, RuleAction, RuleId, RuleRecord, Scope, Timestamp, ZoneId};

/// The phase of the rules of this filter.
pub(super) const PHASE: &str = "http_request_firewall_custom";

/// What a rule set of a zone is called in the API.
const KIND: &str = "zone";

/// Lists the rule sets of a zone, without their rules.
#[utoipa::path(get, path = "/client/v4/zones/{zone}/rulesets", tag = "rulesets",
    responses((status = 200, body = Envelope<Vec<dto::Ruleset>>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
) -> Result<Page<dto::Ruleset>, ApiError> {
    let (_, id) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    let found = state.ruleset(id).map(|ruleset| dto::Ruleset { rules: None, ..shown(ruleset) });
    Ok(Page::part(found.into_iter().collect(), None))
}

/// Lists the rule sets of the account: there are none.
#[utoipa::path(get, path = "/client/v4/accounts/{account}/rulesets", tag = "rulesets",
    responses((status = 200, body = Envelope<Vec<dto::Ruleset>>)))]
pub(super) async fn list_of_account(
    caller: Caller,
    Named(account): Named<String>,
) -> Result<Page<dto::Ruleset>, ApiError> {
    caller.account(&account, Scope::Read)?;
    Ok(Page::part(Vec::new(), None))
}

/// Makes the rule set of a zone.
#[utoipa::path(post, path = "/client/v4/zones/{zone}/rulesets", tag = "rulesets", params(DryRun),
    request_body = dto::CreateRuleset, responses((status = 200, body = Envelope<Option<dto::Ruleset>>)))]
pub(super) async fn create(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Search(dry_run): Search<DryRun>,
    Body(wanted): Body<dto::CreateRuleset>,
) -> Result<Answer<Option<dto::Ruleset>>, ApiError> {
    let (_, id) = caller.zone(&control, &zone, Scope::Rules)?;
    if wanted.kind != KIND {
        let message =
            format!("'{}' is not a valid value for kind because only zone rulesets are evaluated here", wanted.kind);
        return Err(ApiError::invalid("/kind", message));
    }
    check_phase(&wanted.phase)?;
    let plan = move |state: &model::State| {
        if state.ruleset(id).is_some() {
            let message = format!(
                "'zone' is not a valid value for kind because exceeded maximum number of zone rulesets for phase {PHASE}"
            );
            return Err(ApiError::invalid("/kind", message).with_code(code::SECOND_ENTRY_POINT));
        }
        let update = dto::UpdateRuleset {
            rules: Some(wanted.rules.unwrap_or_default()),
            description: wanted.description,
            name: Some(wanted.name),
            ..dto::UpdateRuleset::default()
        };
        changes(state, id, update)
    };
    written(&control, id, caller.intent("ruleset create"), &dry_run, plan).await
}

/// Shows the rule set of a zone.
#[utoipa::path(get, path = "/client/v4/zones/{zone}/rulesets/{ruleset}", tag = "rulesets",
    responses((status = 200, body = Envelope<dto::Ruleset>)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, ruleset)): Named<(String, String)>,
) -> Result<Answer<dto::Ruleset>, ApiError> {
    let (_, id) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    Ok(Answer(shown(find(&state, id, &ruleset)?)))
}

/// Changes the rule set of a zone: `rules` replaces all rules, what is left out stays.
#[utoipa::path(put, path = "/client/v4/zones/{zone}/rulesets/{ruleset}", tag = "rulesets", params(DryRun),
    request_body = dto::UpdateRuleset, responses((status = 200, body = Envelope<Option<dto::Ruleset>>)))]
pub(super) async fn update(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, ruleset)): Named<(String, String)>,
    Search(dry_run): Search<DryRun>,
    Body(wanted): Body<dto::UpdateRuleset>,
) -> Result<Answer<Option<dto::Ruleset>>, ApiError> {
    let (_, id) = caller.zone(&control, &zone, Scope::Rules)?;
    let plan = move |state: &model::State| {
        find(state, id, &ruleset)?;
        changes(state, id, wanted)
    };
    written(&control, id, caller.intent("ruleset update"), &dry_run, plan).await
}

/// Forgets the rule set of a zone, its rules and its versions.
#[utoipa::path(delete, path = "/client/v4/zones/{zone}/rulesets/{ruleset}", tag = "rulesets", params(DryRun),
    responses((status = 204)))]
pub(super) async fn delete(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, ruleset)): Named<(String, String)>,
    Search(dry_run): Search<DryRun>,
) -> Result<StatusCode, ApiError> {
    let (_, id) = caller.zone(&control, &zone, Scope::Rules)?;
    let intent = Intent { dry_run: dry_run.wanted()?, ..caller.intent("ruleset delete") };
    let plan = move |state: &model::State| {
        find(state, id, &ruleset)?;
        Ok::<_, ApiError>((vec![Change::RemoveRules(id)], ()))
    };
    control.change(intent, plan).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows the rule set that a phase begins with.
#[utoipa::path(get, path = "/client/v4/zones/{zone}/rulesets/phases/{phase}/entrypoint", tag = "rulesets",
    responses((status = 200, body = Envelope<dto::Ruleset>)))]
pub(super) async fn entry_point(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, phase)): Named<(String, String)>,
) -> Result<Answer<dto::Ruleset>, ApiError> {
    let (_, id) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    let found = state.ruleset(id).filter(|_| phase == PHASE);
    found.map(|ruleset| Answer(shown(ruleset))).ok_or_else(|| no_entry_point(&phase))
}

/// Changes the rule set that a phase begins with, and makes it if there is none.
#[utoipa::path(put, path = "/client/v4/zones/{zone}/rulesets/phases/{phase}/entrypoint", tag = "rulesets", params(DryRun),
    request_body = dto::UpdateRuleset, responses((status = 200, body = Envelope<Option<dto::Ruleset>>)))]
pub(super) async fn update_entry_point(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, phase)): Named<(String, String)>,
    Search(dry_run): Search<DryRun>,
    Body(wanted): Body<dto::UpdateRuleset>,
) -> Result<Answer<Option<dto::Ruleset>>, ApiError> {
    let (_, id) = caller.zone(&control, &zone, Scope::Rules)?;
    check_phase(&phase)?;
    let plan = move |state: &model::State| changes(state, id, wanted);
    written(&control, id, caller.intent("ruleset update"), &dry_run, plan).await
}

/// The phase of an account has no rule set.
#[utoipa::path(get, path = "/client/v4/accounts/{account}/rulesets/phases/{phase}/entrypoint", tag = "rulesets",
    responses((status = 404)))]
pub(super) async fn entry_point_of_account(
    caller: Caller,
    Named((account, phase)): Named<(String, String)>,
) -> Result<Answer<dto::Ruleset>, ApiError> {
    caller.account(&account, Scope::Read)?;
    Err(no_entry_point(&phase))
}

pub(super) fn no_entry_point(phase: &str) -> ApiError {
    let shown: String = phase.chars().take(100).collect();
    let message = format!("could not find entrypoint ruleset in the {shown} phase");
    ApiError::no_object(message).with_code(code::NO_ENTRY_POINT)
}

fn check_phase(phase: &str) -> Result<(), ApiError> {
    if phase == PHASE {
        return Ok(());
    }
    let shown: String = phase.chars().take(100).collect();
    let message = format!("'{shown}' is not a valid value for phase because only {PHASE} is evaluated here");
    Err(ApiError::invalid("/phase", message))
}

/// The rule set of an id.
pub(super) fn find<'s>(state: &'s model::State, zone: ZoneId, id: &str) -> Result<&'s Arc<model::Ruleset>, ApiError> {
    let found = state.ruleset(zone).filter(|ruleset| ruleset.id.to_string() == id);
    found.ok_or_else(|| {
        let shown: String = id.chars().take(100).collect();
        ApiError::no_object(format!("could not find ruleset {shown:?} in this zone"))
    })
}

/// Makes a change of a zone's rules, and shows them; nothing is shown of a dry run.
pub(super) async fn written(
    control: &Arc<Control>,
    zone: ZoneId,
    intent: Intent,
    dry_run: &DryRun,
    plan: impl FnOnce(&model::State) -> Result<Vec<Change>, ApiError> + Send + 'static,
) -> Result<Answer<Option<dto::Ruleset>>, ApiError> {
    let dry_run = dry_run.wanted()?;
    let intent = Intent { dry_run, ..intent };
    let changed: Changed<()> = control.change(intent, move |state| Ok::<_, ApiError>((plan(state)?, ()))).await?;
    Ok(Answer(changed.state.ruleset(zone).filter(|_| !dry_run).map(|ruleset| shown(ruleset))))
}

/// What is to change so that the rules are those that are wanted.
fn changes(state: &model::State, zone: ZoneId, wanted: dto::UpdateRuleset) -> Result<Vec<Change>, ApiError> {
    if wanted.kind.as_deref().is_some_and(|kind| kind != KIND) {
        return Err(ApiError::invalid("/kind", "the kind of a rule set cannot be changed: it is `zone`"));
    }
    if let Some(phase) = wanted.phase.as_deref() {
        check_phase(phase)?;
    }
    let known = state.ruleset(zone);
    let rules = wanted.rules.map(|bodies| rules(known, bodies)).transpose()?;
    let dto::UpdateRuleset { name, description, .. } = wanted;
    Ok(vec![Change::SetRuleset { zone, rules, name, description, at: Timestamp::now() }])
}

/// The rules of these definitions. One that names a rule, by id or else by reference, is its next version.
fn rules(known: Option<&Arc<model::Ruleset>>, bodies: Vec<dto::RuleBody>) -> Result<Vec<RuleRecord>, ApiError> {
    let known = known.map(|known| known.rules.as_slice()).unwrap_or_default();
    let by_reference: HashMap<&str, RuleId> = known.iter().map(|rule| (rule.reference.as_str(), rule.id)).collect();
    let (mut records, mut errors) = (Vec::with_capacity(bodies.len()), Vec::new());
    for (place, body) in bodies.into_iter().enumerate() {
        let pointer = format!("/rules/{place}");
        let id = match (&body.id, &body.reference) {
            (Some(id), _) => id
                .parse()
                .map_err(|error: model::IdError| ApiError::invalid(format!("{pointer}/id"), error.to_string())),
            (None, Some(reference)) => {
                Ok(by_reference.get(reference.as_str()).copied().unwrap_or_else(RuleId::generate))
            }
            (None, None) => Ok(RuleId::generate()),
        };
        if body.position.is_some() {
            let message = "in a list of rules the order of the list is the position";
            errors.push(ApiError::invalid(format!("{pointer}/position"), message));
            continue;
        }
        match id.and_then(|id| rule_body::from_body(&pointer, id, body)) {
            Ok(record) => records.push(record),
            Err(error) => errors.push(error),
        }
    }
    match ApiError::all(errors) {
        None => Ok(records),
        Some(error) => Err(error),
    }
}

pub(super) fn shown(ruleset: &model::Ruleset) -> dto::Ruleset {
    dto::Ruleset {
        id: ruleset.id.to_string(),
        name: ruleset.name.clone(),
        description: ruleset.description.clone(),
        kind: KIND.to_owned(),
        phase: PHASE.to_owned(),
        version: ruleset.version.to_string(),
        last_updated: ruleset.modified.to_string(),
        rules: Some(ruleset.rules.iter().map(|rule| shown_rule(rule)).collect()),
    }
}

fn shown_rule(rule: &RuleRecord) -> dto::RulesetRule {
    let response = rule_body::response(&rule.action);
    let ruleset = matches!(rule.action, RuleAction::Skip).then(|| "current".to_owned());
    let parameters = dto::ActionParameters { response, ruleset };
    dto::RulesetRule {
        id: rule.id.to_string(),
        version: rule.version.to_string(),
        action: rule.action.name().to_owned(),
        action_parameters: (parameters != dto::ActionParameters::default()).then_some(parameters),
        expression: rule.expression.clone(),
        description: rule.description.clone(),
        last_updated: rule.modified.to_string(),
        reference: rule.reference.clone(),
        enabled: rule.enabled,
    }
}
