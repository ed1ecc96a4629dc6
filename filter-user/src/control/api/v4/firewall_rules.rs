//! Firewall rules, as Cloudflare's older API has them. They are the rules of the zone: what is written here is seen in the rule set, and
//! the other way round.
//!
//! In the older API rules have no place but a priority, and actions have an order. Rules that were written here keep that order among
//! each other, and go as late as it allows.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::answer::{Answer, Page, Paging};
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::ApiError;
use super::super::request::{Body, Items, Named, Pairs, Search};
use super::super::rule_body::new_rule;
use super::filters;
use crate::control::Control;
use crate::model::{
    self, Change, FilterId, FilterRecord, Legacy, RuleAction, RuleId, RuleRecord, Scope, Timestamp, ZoneId,
};

/// Most rules of one call, as Cloudflare has it.
const MANY: usize = 25;

/// Which rules.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only rules with this action.
    action: Option<String>,
    /// Only rules with this in their description.
    description: Option<String>,
    /// Only rules that are paused, or that are not.
    paused: Option<bool>,
}

/// Lists the firewall rules of a zone, in the order in which they are evaluated. `id`, which may be repeated, names those to list.
#[utoipa::path(get, path = "/client/v4/zones/{zone}/firewall/rules", tag = "firewall rules", params(Which, Paging),
    responses((status = 200, body = Envelope<Vec<dto::FirewallRule>>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Search(which): Search<Which>,
    Search(paging): Search<Paging>,
    pairs: Pairs,
) -> Result<Page<dto::FirewallRule>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    let ids: HashSet<&str> = pairs.values("id").collect();
    let wanted = |rule: &dto::FirewallRule| {
        (ids.is_empty() || ids.contains(rule.id.as_str()))
            && which.action.as_ref().is_none_or(|action| *action == rule.action)
            && which.description.as_ref().is_none_or(|text| rule.description.contains(text.as_str()))
            && which.paused.is_none_or(|paused| paused == rule.paused)
    };
    let rules = state.ruleset(zone).map(|ruleset| ruleset.rules.as_slice()).unwrap_or_default();
    let found: Vec<_> = rules.iter().map(|rule| shown(rule, &state, zone)).filter(wanted).collect();
    paging.page(found.into_iter(), |rule| rule)
}

/// Makes firewall rules, all or none.
#[utoipa::path(post, path = "/client/v4/zones/{zone}/firewall/rules", tag = "firewall rules",
    request_body = dto::OneOrMany<dto::FirewallRuleBody>,
    responses((status = 200, body = Envelope<Vec<dto::FirewallRule>>)))]
pub(super) async fn create(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Items(wanted): Items<dto::OneOrMany<dto::FirewallRuleBody>>,
) -> Result<Page<dto::FirewallRule>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Rules)?;
    let new = wanted.into_vec().into_iter().map(|body| (None, body)).collect();
    write(&control, &caller, "rule create", zone, new).await.map(Page::whole)
}

/// Changes firewall rules, all or none; what is left out stays.
#[utoipa::path(put, path = "/client/v4/zones/{zone}/firewall/rules", tag = "firewall rules",
    request_body = dto::OneOrMany<dto::FirewallRuleBody>,
    responses((status = 200, body = Envelope<Vec<dto::FirewallRule>>)))]
pub(super) async fn update_many(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Items(wanted): Items<dto::OneOrMany<dto::FirewallRuleBody>>,
) -> Result<Page<dto::FirewallRule>, ApiError> {
    change_many(&control, &caller, &zone, wanted).await
}

/// Changes firewall rules, all or none; what is left out stays.
#[utoipa::path(patch, path = "/client/v4/zones/{zone}/firewall/rules", tag = "firewall rules",
    request_body = dto::OneOrMany<dto::FirewallRuleBody>,
    responses((status = 200, body = Envelope<Vec<dto::FirewallRule>>)))]
pub(super) async fn edit_many(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Items(wanted): Items<dto::OneOrMany<dto::FirewallRuleBody>>,
) -> Result<Page<dto::FirewallRule>, ApiError> {
    change_many(&control, &caller, &zone, wanted).await
}

async fn change_many(
    control: &Arc<Control>,
    caller: &Caller,
    zone: &str,
    wanted: dto::OneOrMany<dto::FirewallRuleBody>,
) -> Result<Page<dto::FirewallRule>, ApiError> {
    let (_, zone) = caller.zone(control, zone, Scope::Rules)?;
    let mut named = Vec::new();
    for (place, body) in wanted.into_vec().into_iter().enumerate() {
        let missing = || ApiError::invalid(format!("/{place}/id"), "say which rule is meant");
        let id: RuleId = body.id.as_deref().ok_or_else(missing)?.parse()?;
        named.push((Some(id), body));
    }
    write(control, caller, "rule update", zone, named).await.map(Page::whole)
}

/// Shows a firewall rule.
#[utoipa::path(get, path = "/client/v4/zones/{zone}/firewall/rules/{rule}", tag = "firewall rules",
    responses((status = 200, body = Envelope<dto::FirewallRule>)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, rule)): Named<(String, String)>,
) -> Result<Answer<dto::FirewallRule>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    let id: RuleId = rule.parse()?;
    let found = state.ruleset(zone).and_then(|ruleset| ruleset.rule(id));
    found.map(|rule| Answer(shown(rule, &state, zone))).ok_or_else(|| no_rule(id))
}

/// Changes a firewall rule; what is left out stays.
#[utoipa::path(put, path = "/client/v4/zones/{zone}/firewall/rules/{rule}", tag = "firewall rules",
    request_body = dto::FirewallRuleBody, responses((status = 200, body = Envelope<dto::FirewallRule>)))]
pub(super) async fn update(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, rule)): Named<(String, String)>,
    Body(wanted): Body<dto::FirewallRuleBody>,
) -> Result<Answer<dto::FirewallRule>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Rules)?;
    let id: RuleId = rule.parse()?;
    let updated = write(&control, &caller, "rule update", zone, vec![(Some(id), wanted)]).await?;
    updated.into_iter().next().map(Answer).ok_or_else(|| no_rule(id))
}

/// Changes a firewall rule; what is left out stays. The answer is a list of the one rule, as the SDKs expect it.
#[utoipa::path(patch, path = "/client/v4/zones/{zone}/firewall/rules/{rule}", tag = "firewall rules",
    request_body = dto::FirewallRuleBody, responses((status = 200, body = Envelope<Vec<dto::FirewallRule>>)))]
pub(super) async fn edit(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, rule)): Named<(String, String)>,
    Body(wanted): Body<dto::FirewallRuleBody>,
) -> Result<Page<dto::FirewallRule>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Rules)?;
    let id: RuleId = rule.parse()?;
    write(&control, &caller, "rule update", zone, vec![(Some(id), wanted)]).await.map(Page::whole)
}

/// Forgets a firewall rule. With `delete_filter_if_unused=true` its filter goes as well.
#[utoipa::path(delete, path = "/client/v4/zones/{zone}/firewall/rules/{rule}", tag = "firewall rules",
    responses((status = 200, body = Envelope<dto::Id>)))]
pub(super) async fn delete(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, rule)): Named<(String, String)>,
    pairs: Pairs,
) -> Result<Answer<dto::Id>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Rules)?;
    delete_all(&control, &caller, zone, vec![rule.parse()?], &pairs).await?;
    Ok(Answer(dto::Id { id: rule }))
}

/// Forgets firewall rules, all or none: each is named by an `id` of the query.
#[utoipa::path(delete, path = "/client/v4/zones/{zone}/firewall/rules", tag = "firewall rules",
    responses((status = 200, body = Envelope<Vec<dto::Id>>)))]
pub(super) async fn delete_many(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    pairs: Pairs,
) -> Result<Page<dto::Id>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Rules)?;
    let ids: Vec<RuleId> = pairs.ids("rules")?;
    let shown = ids.iter().map(|id| dto::Id { id: id.to_string() }).collect();
    delete_all(&control, &caller, zone, ids, &pairs).await?;
    Ok(Page::whole(shown))
}

async fn delete_all(
    control: &Arc<Control>,
    caller: &Caller,
    zone: ZoneId,
    ids: Vec<RuleId>,
    pairs: &Pairs,
) -> Result<(), ApiError> {
    let with_filters = pairs.values("delete_filter_if_unused").any(|value| value == "true");
    let plan = move |state: &model::State| {
        let known = state.ruleset(zone).map(|ruleset| ruleset.rules.as_slice()).unwrap_or_default();
        if let Some(missing) = ids.iter().find(|id| !known.iter().any(|rule| rule.id == **id)) {
            return Err(no_rule(*missing));
        }
        let (gone, left): (Vec<_>, Vec<_>) = known.iter().partition(|rule| ids.contains(&rule.id));
        let left: Vec<RuleRecord> = left.into_iter().map(|rule| RuleRecord::clone(rule)).collect();
        let filter = |rule: &RuleRecord| rule.legacy.as_ref().map(|legacy| legacy.filter);
        let used: HashSet<FilterId> = left.iter().filter_map(filter).collect();
        let freed: HashSet<FilterId> =
            gone.iter().filter_map(|rule| filter(rule)).filter(|id| !used.contains(id)).collect();
        let mut changes = vec![Change::SetRules { zone, rules: left, at: Timestamp::now() }];
        if with_filters {
            changes.extend(freed.into_iter().map(|id| Change::RemoveFilter { zone, id }));
        }
        Ok((changes, ()))
    };
    control.change(caller.intent("rule delete"), plan).await.map(drop)
}

/// Makes rules (those without an id) and changes others, as one change.
async fn write(
    control: &Arc<Control>,
    caller: &Caller,
    action: &'static str,
    zone: ZoneId,
    wanted: Vec<(Option<RuleId>, dto::FirewallRuleBody)>,
) -> Result<Vec<dto::FirewallRule>, ApiError> {
    if wanted.len() > MANY {
        return Err(ApiError::invalid("", format!("no more than {MANY} rules are written at once")));
    }
    let plan = move |state: &model::State| {
        let mut writer = Writer::new(state, zone);
        for (place, (id, body)) in wanted.into_iter().enumerate() {
            writer.write(&format!("/{place}"), id, body)?;
        }
        Ok::<_, ApiError>(writer.finish())
    };
    let changed = control.change(caller.intent(action), plan).await?;
    let rule = |id: &RuleId| changed.state.ruleset(zone).and_then(|ruleset| ruleset.rule(*id));
    Ok(changed.value.iter().filter_map(rule).map(|rule| shown(rule, &changed.state, zone)).collect())
}

/// Puts rules and filters into the state they are wanted in, one after the other.
struct Writer {
    zone: ZoneId,
    state: model::State,
    rules: Vec<RuleRecord>,
    filters: Vec<Change>,
    written: Vec<RuleId>,
}

impl Writer {
    fn new(state: &model::State, zone: ZoneId) -> Self {
        let rules = state.ruleset(zone).map(|ruleset| ruleset.rules.as_slice()).unwrap_or_default();
        let rules = rules.iter().map(|rule| RuleRecord::clone(rule)).collect();
        Self { zone, state: state.clone(), rules, filters: Vec::new(), written: Vec::new() }
    }

    fn write(&mut self, pointer: &str, id: Option<RuleId>, body: dto::FirewallRuleBody) -> Result<(), ApiError> {
        let at = |field: &str| format!("{pointer}/{field}");
        if body.products.as_ref().is_some_and(|products| !products.is_empty()) {
            return Err(ApiError::invalid(at("products"), "there are no products to bypass here"));
        }
        let known = match id {
            None => None,
            Some(id) => {
                let place = self.rules.iter().position(|rule| rule.id == id).ok_or_else(|| no_rule(id))?;
                Some(self.rules.remove(place))
            }
        };
        let action = match (&body.action, &known) {
            (Some(named), known) => {
                match (action(&at("action"), named.name())?, known.as_ref().map(|rule| &rule.action)) {
                    // A rule that goes on blocking keeps its response.
                    (RuleAction::Block { .. }, Some(known @ RuleAction::Block { .. })) => known.clone(),
                    (action, _) => action,
                }
            }
            (None, Some(known)) => known.action.clone(),
            (None, None) => return Err(ApiError::invalid(at("action"), "an action is required")),
        };
        let filter = match (&body.filter, &known) {
            (Some(named), known) => self.filter(&at("filter"), named, known.as_ref())?,
            (None, Some(known)) => self.filter_of(known)?,
            (None, None) => return Err(ApiError::invalid(at("filter"), "a filter is required")),
        };
        let rule = merged(known, body, action, &filter);
        self.written.push(rule.id);
        self.place(rule);
        Ok(())
    }

    /// The filter that a rule is to have: one that is named, perhaps changed, or a new one.
    fn filter(
        &mut self,
        pointer: &str,
        body: &dto::FilterBody,
        rule: Option<&RuleRecord>,
    ) -> Result<FilterRecord, ApiError> {
        let Some(named) = &body.id else {
            let record = filters::new(self.zone, pointer, body.clone())?;
            return self.edited(Change::AddFilter(record.clone()), record.id);
        };
        let id: FilterId = named.parse()?;
        if rule.is_some_and(|rule| rule.legacy.is_none() && FilterId::of_rule(rule.id) == id) {
            let expression = body.expression.clone().or_else(|| rule.map(|rule| rule.expression.clone()));
            let own = dto::FilterBody { id: None, expression, ..body.clone() };
            return self.filter(pointer, &own, None);
        }
        let is_same = body.expression.is_none() && body.paused.is_none() && body.description.is_none();
        match self.state.filter(self.zone, id) {
            None => Err(ApiError::invalid(format!("{pointer}/id"), format!("there is no filter {id}"))),
            Some(known) if is_same => Ok(FilterRecord::clone(known)),
            Some(_) => {
                let change = filters::replacement(&self.state, self.zone, id, pointer, body)?;
                self.edited(change, id)
            }
        }
    }

    /// The filter that a rule has; one that has none yet gets one.
    fn filter_of(&mut self, rule: &RuleRecord) -> Result<FilterRecord, ApiError> {
        let known = rule.legacy.as_ref().and_then(|legacy| self.state.filter(self.zone, legacy.filter));
        match known {
            Some(known) => Ok(FilterRecord::clone(known)),
            None => {
                let body = dto::FilterBody { expression: Some(rule.expression.clone()), ..dto::FilterBody::default() };
                self.filter("/filter", &body, None)
            }
        }
    }

    fn edited(&mut self, change: Change, id: FilterId) -> Result<FilterRecord, ApiError> {
        let edit = self.state.apply(std::slice::from_ref(&change)).map_err(crate::control::ControlError::from)?;
        self.state = edit.state;
        self.filters.push(change);
        let filter = self.state.filter(self.zone, id).map(|filter| FilterRecord::clone(filter));
        let filter = filter.ok_or_else(|| ApiError::no_object(format!("there is no filter {id}")))?;
        // The other rules that refer to it have its expression too.
        for rule in &mut self.rules {
            if let Some(legacy) = rule.legacy.as_ref().filter(|legacy| legacy.filter == id) {
                rule.enabled = !legacy.paused && !filter.paused;
                rule.expression.clone_from(&filter.expression);
            }
        }
        Ok(filter)
    }

    /// Before the first rule of this API that comes later, and else last.
    fn place(&mut self, rule: RuleRecord) {
        let later = |other: &RuleRecord| other.legacy.is_some() && order(other) > order(&rule);
        let place = self.rules.iter().position(later).unwrap_or(self.rules.len());
        self.rules.insert(place, rule);
    }

    fn finish(self) -> (Vec<Change>, Vec<RuleId>) {
        let rules = Change::SetRules { zone: self.zone, rules: self.rules, at: Timestamp::now() };
        let changes = self.filters.into_iter().chain([rules]).collect();
        (changes, self.written)
    }
}

/// A rule as it was, or a new one, with what is wanted in place of what it had.
fn merged(
    known: Option<RuleRecord>,
    body: dto::FirewallRuleBody,
    action: RuleAction,
    filter: &FilterRecord,
) -> RuleRecord {
    let legacy = known.as_ref().and_then(|rule| rule.legacy.as_ref());
    let was_paused = known.as_ref().is_some_and(|rule| legacy.map_or(!rule.enabled, |legacy| legacy.paused));
    let paused = body.paused.unwrap_or(was_paused);
    let priority = body.priority.or(legacy.and_then(|legacy| legacy.priority));
    let mut rule = known.unwrap_or_else(|| new_rule(String::new(), String::new(), RuleAction::BLOCK, true));
    rule.action = action;
    rule.expression.clone_from(&filter.expression);
    rule.enabled = !paused && !filter.paused;
    rule.modified = Timestamp::now();
    rule.legacy = Some(Legacy { filter: filter.id, priority, paused });
    body.description.iter().for_each(|text| rule.description.clone_from(text));
    body.reference.iter().filter(|text| !text.is_empty()).for_each(|text| rule.reference.clone_from(text));
    rule
}

/// The order of evaluation in the older API: by priority, those without one last; among equals by action.
fn order(rule: &RuleRecord) -> (bool, Option<u32>, u8) {
    let priority = rule.legacy.as_ref().and_then(|legacy| legacy.priority);
    let action = match rule.action {
        RuleAction::Log => 0,
        RuleAction::Skip => 1,
        RuleAction::Block { .. } => 2,
    };
    (priority.is_none(), priority, action)
}

/// An action of the older API; the SDKs have names of rate limits there.
fn action(pointer: &str, name: &str) -> Result<RuleAction, ApiError> {
    match name {
        "block" | "ban" => Ok(RuleAction::BLOCK),
        "allow" => Ok(RuleAction::Skip),
        "log" | "simulate" => Ok(RuleAction::Log),
        "challenge" | "js_challenge" | "managed_challenge" => {
            let message =
                format!("action {name:?} needs a challenge page, which this filter does not have; use `block`");
            Err(ApiError::invalid(pointer, message))
        }
        "bypass" => {
            let message =
                "`bypass` exempts from products that this filter does not have; `allow` leaves out all later rules";
            Err(ApiError::invalid(pointer, message))
        }
        other => {
            let shown: String = other.chars().take(100).collect();
            Err(ApiError::invalid(
                pointer,
                format!("there is no action {shown:?}; there are `block`, `allow` and `log`"),
            ))
        }
    }
}

fn no_rule(id: RuleId) -> ApiError {
    ApiError::no_object(format!("there is no firewall rule {id} in this zone"))
}

fn shown(rule: &RuleRecord, state: &model::State, zone: ZoneId) -> dto::FirewallRule {
    let action = match rule.action {
        RuleAction::Block { .. } => "block",
        RuleAction::Log => "log",
        RuleAction::Skip => "allow",
    };
    let filter = match &rule.legacy {
        None => dto::ShownFilter::There(filters::of_rule(rule)),
        Some(legacy) => match state.filter(zone, legacy.filter) {
            Some(filter) => dto::ShownFilter::There(filters::shown(filter)),
            None => dto::ShownFilter::Deleted(dto::DeletedFilter { id: legacy.filter.to_string(), deleted: true }),
        },
    };
    dto::FirewallRule {
        id: rule.id.to_string(),
        action: action.to_owned(),
        description: rule.description.clone(),
        filter,
        paused: rule.legacy.as_ref().map_or(!rule.enabled, |legacy| legacy.paused),
        priority: rule.legacy.as_ref().and_then(|legacy| legacy.priority),
        reference: (rule.reference != rule.id.to_string()).then(|| rule.reference.clone()),
    }
}
