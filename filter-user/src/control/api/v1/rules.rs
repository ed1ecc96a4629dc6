//! Rules of a zone, one by one.

use std::sync::Arc;

use axum::extract::State;
use filter_rules::{Action, Expression, LintContext, Lists, RuleSet, RuleSpec};

use super::super::answer::Answer;
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::ApiError;
use super::super::request::{Body, DryRun, Named, Search};
use super::super::rule_body::{self, check_expression};
use crate::config;
use crate::control::{Changed, Control, Intent};
use crate::model::{self, Change, Position, RuleAction, RuleId, RuleRecord, Scope, Timestamp, ZoneId};
use crate::snapshot::is_mtls;

/// Lists the rules of a zone, in the order in which they are evaluated.
#[utoipa::path(get, path = "/api/v1/zones/{zone}/rules", tag = "rules",
    responses((status = 200, body = Envelope<Vec<dto::Rule>>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
) -> Result<Answer<Vec<dto::Rule>>, ApiError> {
    let (_, id) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    let rules = state.ruleset(id).map(|ruleset| ruleset.rules.as_slice()).unwrap_or_default();
    Ok(Answer(rules.iter().map(|rule| shown(rule)).collect()))
}

/// Shows a rule.
#[utoipa::path(get, path = "/api/v1/zones/{zone}/rules/{rule}", tag = "rules",
    responses((status = 200, body = Envelope<dto::Rule>)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, rule)): Named<(String, String)>,
) -> Result<Answer<dto::Rule>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    find(&state, zone, rule.parse()?).map(|rule| Answer(shown(rule)))
}

/// Makes a rule and puts it in force.
#[utoipa::path(post, path = "/api/v1/zones/{zone}/rules", tag = "rules", params(DryRun), request_body = dto::CreateRule,
    responses((status = 200, body = Envelope<dto::Written<dto::Rule>>)))]
pub(super) async fn create(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Search(dry_run): Search<DryRun>,
    Body(wanted): Body<dto::CreateRule>,
) -> Result<Answer<dto::Written<dto::Rule>>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Rules)?;
    let action = rule_body::action("/action", &wanted.action, wanted.response, "/response")?;
    check_expression("/expression", &wanted.expression)?;
    let position = position(wanted.position.as_ref())?.unwrap_or(Position::Last);
    let rule = rule_body::new_rule(wanted.name, wanted.expression, action, wanted.enabled);
    let intent = Intent { dry_run: dry_run.wanted()?, ..caller.intent("rule create") };
    let id = rule.id;
    let plan = move |_: &model::State| Ok::<_, ApiError>((vec![Change::AddRule { zone, rule, position }], id));
    let changed = control.change(intent, plan).await?;
    written(&control, zone, &changed)
}

/// Changes a rule; what is left out stays.
#[utoipa::path(patch, path = "/api/v1/zones/{zone}/rules/{rule}", tag = "rules", params(DryRun),
    request_body = dto::UpdateRule, responses((status = 200, body = Envelope<dto::Written<dto::Rule>>)))]
pub(super) async fn update(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, rule)): Named<(String, String)>,
    Search(dry_run): Search<DryRun>,
    Body(wanted): Body<dto::UpdateRule>,
) -> Result<Answer<dto::Written<dto::Rule>>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Rules)?;
    let id: RuleId = rule.parse()?;
    if let Some(expression) = &wanted.expression {
        check_expression("/expression", expression)?;
    }
    let position = position(wanted.position.as_ref())?;
    let intent = Intent { dry_run: dry_run.wanted()?, ..caller.intent("rule update") };
    let plan = move |state: &model::State| {
        let known = find(state, zone, id)?;
        let rule = edited(known, wanted)?;
        let change = match position {
            Some(position) if rule == **known => Change::MoveRule { zone, id, position, at: Timestamp::now() },
            position => Change::ReplaceRule { zone, rule: RuleRecord { modified: Timestamp::now(), ..rule }, position },
        };
        Ok::<_, ApiError>((vec![change], id))
    };
    let changed = control.change(intent, plan).await?;
    written(&control, zone, &changed)
}

/// Forgets a rule.
#[utoipa::path(delete, path = "/api/v1/zones/{zone}/rules/{rule}", tag = "rules", params(DryRun),
    responses((status = 200, body = Envelope<dto::Written<dto::Id>>)))]
pub(super) async fn delete(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, rule)): Named<(String, String)>,
    Search(dry_run): Search<DryRun>,
) -> Result<Answer<dto::Written<dto::Id>>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Rules)?;
    let id: RuleId = rule.parse()?;
    let intent = Intent { dry_run: dry_run.wanted()?, ..caller.intent("rule delete") };
    let plan = move |state: &model::State| {
        find(state, zone, id)?;
        Ok::<_, ApiError>((vec![Change::RemoveRule { zone, id, at: Timestamp::now() }], ()))
    };
    let generation = control.change(intent, plan).await?.generation;
    Ok(Answer(dto::Written { value: dto::Id { id: id.to_string() }, generation, warnings: Vec::new() }))
}

/// Says what is wrong with an expression, and what is probably not meant; nothing is changed.
#[utoipa::path(post, path = "/api/v1/zones/{zone}/expressions/check", tag = "rules",
    request_body = dto::CheckExpression, responses((status = 200, body = Envelope<dto::CheckedExpression>)))]
pub(super) async fn check(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Body(asked): Body<dto::CheckExpression>,
) -> Result<Answer<dto::CheckedExpression>, ApiError> {
    let (zone, id) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    Ok(Answer(match check_expression("/expression", &asked.expression) {
        Err(error) => {
            dto::CheckedExpression { valid: false, errors: error.into_errors(), canonical: None, warnings: Vec::new() }
        }
        Ok(()) => {
            let canonical = Expression::parse(&asked.expression).ok().map(|parsed| parsed.root().to_string());
            let rule = rule_body::new_rule(String::new(), asked.expression, RuleAction::BLOCK, true);
            let warnings = warnings(zone, id, &state, &rule);
            dto::CheckedExpression { valid: true, errors: Vec::new(), canonical, warnings }
        }
    }))
}

/// Where a rule is to go, if that was said.
pub(super) fn position(wanted: Option<&dto::Position>) -> Result<Option<Position>, ApiError> {
    wanted.map(|wanted| rule_body::position("/position", wanted)).transpose()
}

/// A rule with what is wanted in place of what it has.
fn edited(known: &RuleRecord, wanted: dto::UpdateRule) -> Result<RuleRecord, ApiError> {
    let mut rule = known.clone();
    if wanted.action.is_some() || wanted.response.is_some() {
        let name = wanted.action.unwrap_or_else(|| known.action.name().to_owned());
        let keeps = wanted.response.is_none() && name == known.action.name();
        let response = if keeps { rule_body::response(&known.action) } else { wanted.response };
        rule.action = rule_body::action("/action", &name, response, "/response")?;
    }
    wanted.name.iter().for_each(|name| rule.description.clone_from(name));
    wanted.expression.iter().for_each(|expression| rule.expression.clone_from(expression));
    rule.enabled = wanted.enabled.unwrap_or(rule.enabled);
    if rule != *known {
        // Written by another API than the older one: what only that one knew is gone.
        rule.legacy = None;
    }
    Ok(rule)
}

fn find(state: &model::State, zone: ZoneId, id: RuleId) -> Result<&Arc<RuleRecord>, ApiError> {
    let found = state.ruleset(zone).and_then(|ruleset| ruleset.rule(id));
    found.ok_or_else(|| ApiError::no_object(format!("there is no rule {id} in this zone")))
}

/// A rule that was written, with what the operator should know of it.
pub(super) fn written(
    control: &Control,
    zone: ZoneId,
    changed: &Changed<RuleId>,
) -> Result<Answer<dto::Written<dto::Rule>>, ApiError> {
    let rule = find(&changed.state, zone, changed.value)?;
    let configured = control.config.zones.iter().find(|known| ZoneId::of_name(known.name.as_str()) == zone);
    let warnings = configured.map(|known| warnings(known, zone, &changed.state, rule)).unwrap_or_default();
    Ok(Answer(dto::Written { value: shown(rule), generation: changed.generation, warnings }))
}

/// What is probably not meant in a rule. A rule that does not compile has no warnings; deploying it says why.
fn warnings(zone: &config::Zone, id: ZoneId, state: &model::State, rule: &RuleRecord) -> Vec<dto::Warning> {
    let spec = RuleSpec {
        id: rule.id.to_string(),
        name: rule.description.clone(),
        expression: rule.expression.clone(),
        action: match rule.action {
            RuleAction::Block { .. } => Action::Block(None),
            RuleAction::Log => Action::Log,
            RuleAction::Skip => Action::Skip,
        },
        enabled: true,
    };
    let Ok(rules) = RuleSet::compile(vec![spec], &Lists::default()) else { return Vec::new() };
    let mtls = zone.hosts.iter().filter(|host| is_mtls(host, id, state)).map(|host| host.name.as_str());
    let context = LintContext { mtls_hosts: Some(mtls.collect()) };
    let about_it = rules.lints(&context).into_iter().filter(|lint| lint.rule.is_some());
    about_it.map(|lint| dto::Warning { message: lint.message(), start: lint.span.start, end: lint.span.end }).collect()
}

fn shown(rule: &RuleRecord) -> dto::Rule {
    dto::Rule {
        id: rule.id.to_string(),
        name: rule.description.clone(),
        expression: rule.expression.clone(),
        action: rule.action.name().to_owned(),
        response: rule_body::response(&rule.action),
        enabled: rule.enabled,
        last_updated: rule.modified.to_string(),
    }
}
