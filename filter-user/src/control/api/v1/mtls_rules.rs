//! Rules that require client certificates, made by name as the dialog "Create a mTLS rule" makes them.

use std::sync::Arc;

use axum::extract::State;

use super::super::answer::Answer;
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::ApiError;
use super::super::request::{Body, DryRun, Named, Search};
use super::super::rule_body::new_rule;
use super::rules;
use crate::config;
use crate::control::{Control, Intent};
use crate::model::{self, Change, Position, RuleAction, Scope, ZoneId};
use crate::snapshot::is_mtls;

/// Makes a rule that blocks clients without a valid certificate on the given hosts; on all with mTLS if none is given.
#[utoipa::path(post, path = "/api/v1/zones/{zone}/mtls-rules", tag = "rules", params(DryRun),
    request_body = dto::CreateMtlsRule, responses((status = 200, body = Envelope<dto::Written<dto::Rule>>)))]
pub(super) async fn create(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Search(dry_run): Search<DryRun>,
    Body(request): Body<dto::CreateMtlsRule>,
) -> Result<Answer<dto::Written<dto::Rule>>, ApiError> {
    let (_, id) = caller.zone(&control, &zone, Scope::Rules)?;
    if request.name.trim().is_empty() {
        return Err(ApiError::invalid("/name", "give the rule a name by which people know what it protects"));
    }
    let position = rules::position(request.position.as_ref())?.unwrap_or(Position::Last);
    let intent = Intent { dry_run: dry_run.wanted()?, ..caller.intent("rule create") };
    let config = control.config.clone();
    let plan = move |state: &model::State| {
        let known = state.ruleset(id).and_then(|set| set.rules.iter().find(|rule| rule.description == request.name));
        if let Some(known) = known {
            let message = format!("there is a rule named {:?} already: {}", request.name, known.id);
            return Err(ApiError::conflict(message).at("/name"));
        }
        let zone = config.zones.iter().find(|zone| ZoneId::of_name(zone.name.as_str()) == id);
        let zone = zone.ok_or_else(|| ApiError::no_object("there is no such zone"))?;
        let hosts = protected(zone, id, state, request.hosts)?;
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let expression = filter_rules::mtls_rule_expression(&hosts, request.reject_revoked.unwrap_or(true));
        let rule = new_rule(request.name, expression, RuleAction::BLOCK, true);
        Ok((vec![Change::AddRule { zone: id, rule: rule.clone(), position }], rule.id))
    };
    let changed = control.change(intent, plan).await?;
    rules::written(&control, id, &changed)
}

/// The hosts that a mTLS rule protects. On a host without mTLS no client is ever asked for a certificate: the rule would block everyone.
fn protected(
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
            let message = format!("no host of {} has mTLS enabled: enable it for those to protect", zone.name);
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
