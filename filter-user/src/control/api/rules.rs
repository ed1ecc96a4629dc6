//! Rules of a zone.

use std::sync::Arc;

use axum::extract::{Path, State};
use filter_rules::{Action, Expression, LintContext, Lists, RuleSet, RuleSpec};

use super::answer::{Answer, ApiError, Body};
use super::{dto, zones};
use crate::config;
use crate::control::Control;
use crate::model::{self, Change, Position, RuleAction, RuleId, RuleRecord, Timestamp, ZoneId};
use crate::snapshot::is_mtls;

/// `GET /api/v1/zones/{zone}/rules`
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Path(zone): Path<String>,
) -> Result<Answer<Vec<dto::Rule>>, ApiError> {
    let (_, id) = zones::find(&control, &zone)?;
    let (state, _) = control.state().await;
    let rules = state.ruleset(id).map(|ruleset| ruleset.rules.as_slice()).unwrap_or_default();
    Ok(Answer(rules.iter().map(|rule| shown(rule)).collect()))
}

/// `POST /api/v1/zones/{zone}/rules`
pub(super) async fn create(
    State(control): State<Arc<Control>>,
    Path(zone): Path<String>,
    Body(request): Body<dto::CreateRule>,
) -> Result<Answer<dto::Written<dto::Rule>>, ApiError> {
    let (zone, id) = zones::find(&control, &zone)?;
    let action = match request.action.as_str() {
        "block" => RuleAction::BLOCK,
        "log" => RuleAction::Log,
        "skip" => RuleAction::Skip,
        other => {
            let error = Action::from_name(other, None).err();
            let message = error.map_or_else(|| format!("there is no action {other:?}"), |error| error.to_string());
            return Err(ApiError::invalid("/action", message));
        }
    };
    let record = record(request.name, request.expression, action, request.enabled);
    add(&control, zone, id, record).await
}

/// `POST /api/v1/zones/{zone}/mtls-rules`: the rule of the "Create a mTLS rule" dialog.
pub(super) async fn create_mtls(
    State(control): State<Arc<Control>>,
    Path(zone): Path<String>,
    Body(request): Body<dto::CreateMtlsRule>,
) -> Result<Answer<dto::Written<dto::Rule>>, ApiError> {
    let (zone, id) = zones::find(&control, &zone)?;
    let (state, _) = control.state().await;
    let hosts = mtls_hosts(zone, id, &state, request.hosts)?;
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let expression = filter_rules::mtls_rule_expression(&hosts, request.reject_revoked.unwrap_or(true));
    add(&control, zone, id, record(request.name, expression, RuleAction::BLOCK, true)).await
}

/// The hosts that a mTLS rule protects. On a host without mTLS no client is ever asked for a certificate: the rule would block everyone.
fn mtls_hosts(
    zone: &config::Zone,
    id: ZoneId,
    state: &model::State,
    asked: Option<Vec<String>>,
) -> Result<Vec<String>, ApiError> {
    let enabled: Vec<String> = zone
        .hosts
        .iter()
        .filter(|host| is_mtls(host, id, state) && !host.name.is_wildcard())
        .map(|host| host.name.to_string())
        .collect();
    let Some(asked) = asked else {
        if enabled.is_empty() {
            let message = format!("no host of {} has mTLS enabled: set `mtls = true` for those to protect", zone.name);
            return Err(ApiError::invalid("/hosts", message));
        }
        return Ok(enabled);
    };
    if asked.is_empty() {
        return Err(ApiError::invalid("/hosts", "name at least one host, or leave `hosts` out for all with mTLS"));
    }
    let mut hosts = Vec::with_capacity(asked.len());
    for name in asked {
        let host = filter_rules::normalise_host(&name).into_owned();
        if !enabled.contains(&host) && !is_covered(zone, id, state, &host) {
            let message = format!(
                "{host} is no host of {} with mTLS enabled, so nobody could get past the rule; enabled: {}",
                zone.name,
                if enabled.is_empty() { "none".to_owned() } else { enabled.join(", ") }
            );
            return Err(ApiError::invalid("/hosts", message));
        }
        hosts.push(host);
    }
    Ok(hosts)
}

/// Whether a wildcard host with mTLS stands for `name`, and `name` has no entry of its own.
fn is_covered(zone: &config::Zone, id: ZoneId, state: &model::State, name: &str) -> bool {
    let Some((_, parent)) = name.split_once('.') else { return false };
    let wildcard = format!("*.{parent}");
    let named = |wanted: &str| zone.hosts.iter().find(|host| host.name.as_str() == wanted);
    named(name).is_none() && named(&wildcard).is_some_and(|host| is_mtls(host, id, state))
}

/// `DELETE /api/v1/zones/{zone}/rules/{rule}`
pub(super) async fn delete(
    State(control): State<Arc<Control>>,
    Path((zone, rule)): Path<(String, String)>,
) -> Result<Answer<dto::Written<dto::Id>>, ApiError> {
    let (_, zone) = zones::find(&control, &zone)?;
    let id: RuleId = rule.parse().map_err(|error: model::IdError| ApiError::no_object(error.to_string()))?;
    let generation = control.change("rule delete", vec![Change::RemoveRule { zone, id, at: Timestamp::now() }]).await?;
    Ok(Answer(dto::Written { value: dto::Id { id: id.to_string() }, generation, warnings: Vec::new() }))
}

fn record(name: String, expression: String, action: RuleAction, enabled: bool) -> RuleRecord {
    let (id, now) = (RuleId::generate(), Timestamp::now());
    RuleRecord {
        id,
        reference: id.to_string(),
        version: 1,
        description: name,
        expression,
        action,
        enabled,
        created: now,
        modified: now,
    }
}

async fn add(
    control: &Arc<Control>,
    zone: &config::Zone,
    id: ZoneId,
    rule: RuleRecord,
) -> Result<Answer<dto::Written<dto::Rule>>, ApiError> {
    // What is wrong with this expression is told in the words of Cloudflare's API, not as a problem of the zone's rules.
    Expression::parse(&rule.expression).map_err(|error| ApiError::expression(&rule.expression, &error))?;
    let (state, _) = control.state().await;
    let warnings = warnings(zone, id, &state, &rule);
    let value = shown(&rule);
    let generation =
        control.change("rule create", vec![Change::AddRule { zone: id, rule, position: Position::Last }]).await?;
    Ok(Answer(dto::Written { value, generation, warnings }))
}

/// What is probably not meant in a rule. A rule that does not compile has no warnings; deploying it says why.
fn warnings(zone: &config::Zone, id: ZoneId, state: &model::State, rule: &RuleRecord) -> Vec<String> {
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
    rules.lints(&context).iter().filter(|lint| lint.rule.is_some()).map(filter_rules::Lint::message).collect()
}

fn shown(rule: &RuleRecord) -> dto::Rule {
    dto::Rule {
        id: rule.id.to_string(),
        name: rule.description.clone(),
        expression: rule.expression.clone(),
        action: rule.action.name().to_owned(),
        enabled: rule.enabled,
        last_updated: rule.modified.to_string(),
    }
}
