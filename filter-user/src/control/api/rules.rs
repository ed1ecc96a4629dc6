//! Rules of a zone.

use std::sync::Arc;

use axum::extract::{Path, State};
use filter_rules::{Action, ActionError, BlockResponse, Expression, LintContext, Lists, RuleSet, RuleSpec};

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
    let action = action(&request.action, request.response)?;
    let record = record(request.name, request.expression, action, request.enabled);
    add(&control, zone, id, record).await
}

/// The action of a name, with the response of a blocking one.
fn action(name: &str, response: Option<dto::BlockResponse>) -> Result<RuleAction, ApiError> {
    let refused = |error: ActionError| ApiError::invalid("/action", error.to_string());
    let checked = response
        .as_ref()
        .map(|response| {
            let content_type = response.content_type.parse()?;
            BlockResponse::new(response.status_code, content_type, &response.content)
        })
        .transpose()
        .map_err(|error| ApiError::invalid("/response", error.to_string()))?;
    Ok(match Action::from_name(name, checked).map_err(refused)? {
        Action::Block(_) => RuleAction::Block { response: response.map(model::BlockResponse::from) },
        Action::Log => RuleAction::Log,
        Action::Skip => RuleAction::Skip,
        other => return Err(ApiError::invalid("/action", format!("action {other} cannot be stored"))),
    })
}

impl From<dto::BlockResponse> for model::BlockResponse {
    fn from(response: dto::BlockResponse) -> Self {
        let dto::BlockResponse { status_code, content_type, content } = response;
        Self { status_code, content_type, content }
    }
}

impl From<&model::BlockResponse> for dto::BlockResponse {
    fn from(response: &model::BlockResponse) -> Self {
        let model::BlockResponse { status_code, content_type, content } = response.clone();
        Self { status_code, content_type, content }
    }
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
        response: match &rule.action {
            RuleAction::Block { response } => response.as_ref().map(dto::BlockResponse::from),
            RuleAction::Log | RuleAction::Skip => None,
        },
        enabled: rule.enabled,
        last_updated: rule.modified.to_string(),
    }
}
