//! Filters, as Cloudflare's older firewall API has them: expressions with an id of their own. A rule that refers to none is shown with
//! one that is made of the rule.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use filter_rules::Expression;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::answer::{Answer, Page, Paging};
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::ApiError;
use super::super::request::{Body, Items, Named, Pairs, Search};
use super::super::rule_body::check_expression;
use crate::control::Control;
use crate::model::{self, Change, FilterId, FilterRecord, RuleRecord, Scope, Timestamp, ZoneId};

/// Number that Cloudflare has for a filter that is there already.
const DUPLICATE: u32 = 10_202;

/// Which filters.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only filters with this in their description.
    description: Option<String>,
    /// Only filters with this in their expression.
    expression: Option<String>,
    /// Only filters that are paused, or that are not.
    paused: Option<bool>,
    /// Only filters with this reference.
    #[serde(rename = "ref")]
    #[param(rename = "ref")]
    reference: Option<String>,
}

/// Lists the filters of a zone. `id`, which may be repeated, names those to list.
#[utoipa::path(get, path = "/client/v4/zones/{zone}/filters", tag = "firewall rules", params(Which, Paging),
    responses((status = 200, body = Envelope<Vec<dto::Filter>>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Search(which): Search<Which>,
    Search(paging): Search<Paging>,
    pairs: Pairs,
) -> Result<Page<dto::Filter>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    let ids: HashSet<&str> = pairs.values("id").collect();
    let holds =
        |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| text.contains(wanted.as_str()));
    let wanted = |filter: &dto::Filter| {
        (ids.is_empty() || ids.contains(filter.id.as_str()))
            && holds(&which.description, &filter.description)
            && holds(&which.expression, &filter.expression)
            && which.paused.is_none_or(|paused| paused == filter.paused)
            && which.reference.as_ref().is_none_or(|reference| filter.reference.as_ref() == Some(reference))
    };
    let found: Vec<_> = all(&state, zone).into_iter().filter(wanted).collect();
    paging.page(found.into_iter(), |filter| filter)
}

/// Makes filters.
#[utoipa::path(post, path = "/client/v4/zones/{zone}/filters", tag = "firewall rules",
    request_body = dto::OneOrMany<dto::FilterBody>, responses((status = 200, body = Envelope<Vec<dto::Filter>>)))]
pub(super) async fn create(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Items(wanted): Items<dto::OneOrMany<dto::FilterBody>>,
) -> Result<Page<dto::Filter>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Rules)?;
    let mut records = Vec::new();
    for (place, body) in wanted.into_vec().into_iter().enumerate() {
        records.push(new(zone, &format!("/{place}"), body)?);
    }
    let plan = move |state: &model::State| {
        for (place, record) in records.iter().enumerate() {
            let same = state.filters(zone).find(|known| known.expression == record.expression);
            if let Some(same) = same {
                let message =
                    format!("config duplicates an already existing config: filter {} has this expression", same.id);
                return Err(ApiError::invalid(format!("/{place}/expression"), message).with_code(DUPLICATE));
            }
        }
        Ok((records.iter().cloned().map(Change::AddFilter).collect(), records))
    };
    let changed = control.change(caller.intent("filter create"), plan).await?;
    Ok(Page::whole(changed.value.iter().map(shown).collect()))
}

/// Replaces the definitions of filters, all or none.
#[utoipa::path(put, path = "/client/v4/zones/{zone}/filters", tag = "firewall rules",
    request_body = dto::OneOrMany<dto::FilterBody>, responses((status = 200, body = Envelope<Vec<dto::Filter>>)))]
pub(super) async fn update_many(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Items(wanted): Items<dto::OneOrMany<dto::FilterBody>>,
) -> Result<Page<dto::Filter>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Rules)?;
    let mut named = Vec::new();
    for (place, body) in wanted.into_vec().into_iter().enumerate() {
        let missing = || ApiError::invalid(format!("/{place}/id"), "say which filter is meant");
        let id: FilterId = body.id.as_deref().ok_or_else(missing)?.parse()?;
        named.push((id, format!("/{place}"), body));
    }
    update_all(&control, &caller, zone, named).await.map(Page::whole)
}

/// Shows a filter.
#[utoipa::path(get, path = "/client/v4/zones/{zone}/filters/{filter}", tag = "firewall rules",
    responses((status = 200, body = Envelope<dto::Filter>)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, filter)): Named<(String, String)>,
) -> Result<Answer<dto::Filter>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Read)?;
    let (state, _) = control.state().await;
    one(&state, zone, filter.parse()?).map(Answer)
}

/// Replaces the definition of a filter.
#[utoipa::path(put, path = "/client/v4/zones/{zone}/filters/{filter}", tag = "firewall rules",
    request_body = dto::FilterBody, responses((status = 200, body = Envelope<dto::Filter>)))]
pub(super) async fn update(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, filter)): Named<(String, String)>,
    Body(wanted): Body<dto::FilterBody>,
) -> Result<Answer<dto::Filter>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Rules)?;
    let id: FilterId = filter.parse()?;
    let updated = update_all(&control, &caller, zone, vec![(id, String::new(), wanted)]).await?;
    updated.into_iter().next().map(Answer).ok_or_else(|| no_filter(id))
}

/// Forgets a filter that no rule refers to.
#[utoipa::path(delete, path = "/client/v4/zones/{zone}/filters/{filter}", tag = "firewall rules",
    responses((status = 200, body = Envelope<dto::Id>)))]
pub(super) async fn delete(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, filter)): Named<(String, String)>,
) -> Result<Answer<dto::Id>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Rules)?;
    delete_all(&control, &caller, zone, vec![filter.parse()?]).await?;
    Ok(Answer(dto::Id { id: filter }))
}

/// Forgets filters that no rule refers to, all or none: each is named by an `id` of the query.
#[utoipa::path(delete, path = "/client/v4/zones/{zone}/filters", tag = "firewall rules",
    responses((status = 200, body = Envelope<Vec<dto::Id>>)))]
pub(super) async fn delete_many(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    pairs: Pairs,
) -> Result<Answer<Vec<dto::Id>>, ApiError> {
    let (_, zone) = caller.zone(&control, &zone, Scope::Rules)?;
    let ids: Vec<FilterId> = pairs.ids("filters")?;
    let shown = ids.iter().map(|id| dto::Id { id: id.to_string() }).collect();
    delete_all(&control, &caller, zone, ids).await?;
    Ok(Answer(shown))
}

/// What validate-expr is asked.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// The expression.
    expression: String,
}

/// What validate-expr answers about an expression that parses.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Valid {
    /// The expression.
    expression: String,
}

/// What validate-expr answers about an expression that does not parse: `messages` is null, and the error has no number. A request that is
/// wrong in another way is answered as everywhere, which is of this form as well.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Invalid {
    /// Always false.
    success: bool,
    /// What is wrong.
    errors: Vec<Unparsed>,
    /// Null about an expression.
    messages: Option<Vec<dto::Note>>,
    /// Always null.
    #[schema(schema_with = dto::null)]
    result: (),
}

/// What is wrong with an expression.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Unparsed {
    /// What, and where.
    message: String,
}

impl IntoResponse for Invalid {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(self)).into_response()
    }
}

/// Says whether an expression parses.
#[utoipa::path(get, path = "/client/v4/filters/validate-expr", tag = "firewall rules", params(Asked),
    responses((status = 200, body = Envelope<Valid>), (status = 400, body = Invalid)))]
pub(super) async fn validate(_: Caller, Search(asked): Search<Asked>) -> Result<Answer<Valid>, Invalid> {
    validated(asked.expression)
}

/// Says whether an expression parses.
#[utoipa::path(post, path = "/client/v4/filters/validate-expr", tag = "firewall rules", request_body = Asked,
    responses((status = 200, body = Envelope<Valid>), (status = 400, body = Invalid)))]
pub(super) async fn validate_body(_: Caller, Body(asked): Body<Asked>) -> Result<Answer<Valid>, Invalid> {
    validated(asked.expression)
}

fn validated(expression: String) -> Result<Answer<Valid>, Invalid> {
    match Expression::parse(&expression) {
        Ok(_) => Ok(Answer(Valid { expression })),
        Err(error) => {
            let errors = vec![Unparsed { message: error.to_string() }];
            Err(Invalid { success: false, errors, messages: None, result: () })
        }
    }
}

/// A new filter.
pub(super) fn new(zone: ZoneId, pointer: &str, body: dto::FilterBody) -> Result<FilterRecord, ApiError> {
    let at = |field: &str| format!("{pointer}/{field}");
    if body.id.is_some() {
        return Err(ApiError::invalid(at("id"), "a new filter gets its id here"));
    }
    let expression = body.expression.ok_or_else(|| ApiError::invalid(at("expression"), "an expression is required"))?;
    check_expression(at("expression"), &expression)?;
    let now = Timestamp::now();
    Ok(FilterRecord {
        id: FilterId::generate(),
        zone,
        expression,
        description: body.description.unwrap_or_default(),
        reference: body.reference.unwrap_or_default(),
        paused: body.paused.unwrap_or(false),
        created: now,
        modified: now,
    })
}

/// What is to change so that a filter is as it is wanted; what is left out stays.
pub(super) fn replacement(
    state: &model::State,
    zone: ZoneId,
    id: FilterId,
    pointer: &str,
    body: &dto::FilterBody,
) -> Result<Change, ApiError> {
    if let Some(expression) = &body.expression {
        check_expression(format!("{pointer}/expression"), expression)?;
    }
    if body.id.as_ref().is_some_and(|given| *given != id.to_string()) {
        return Err(ApiError::invalid(format!("{pointer}/id"), "the id in the body is not the one in the path"));
    }
    let modified = Timestamp::now();
    if let Some(known) = state.filter(zone, id) {
        let mut filter = FilterRecord { modified, ..FilterRecord::clone(known) };
        body.expression.iter().for_each(|text| filter.expression.clone_from(text));
        body.description.iter().for_each(|text| filter.description.clone_from(text));
        body.reference.iter().for_each(|text| filter.reference.clone_from(text));
        filter.paused = body.paused.unwrap_or(filter.paused);
        return Ok(Change::ReplaceFilter(filter));
    }
    let rule = owner(state, zone, id).ok_or_else(|| no_filter(id))?;
    if body.paused == Some(true) || body.description.is_some() || body.reference.is_some() {
        let message = format!("this filter is a part of rule {}: pause or describe the rule", rule.id);
        return Err(ApiError::invalid(pointer, message));
    }
    let mut rule = RuleRecord { modified, ..RuleRecord::clone(rule) };
    body.expression.iter().for_each(|text| rule.expression.clone_from(text));
    Ok(Change::ReplaceRule { zone, rule, position: None })
}

async fn update_all(
    control: &Arc<Control>,
    caller: &Caller,
    zone: ZoneId,
    named: Vec<(FilterId, String, dto::FilterBody)>,
) -> Result<Vec<dto::Filter>, ApiError> {
    let plan = move |state: &model::State| {
        let replace =
            |(id, pointer, body): &(FilterId, String, dto::FilterBody)| replacement(state, zone, *id, pointer, body);
        let changes = named.iter().map(replace).collect::<Result<_, _>>()?;
        Ok::<_, ApiError>((changes, named.iter().map(|(id, ..)| *id).collect::<Vec<_>>()))
    };
    let changed = control.change(caller.intent("filter update"), plan).await?;
    changed.value.into_iter().map(|id| one(&changed.state, zone, id)).collect()
}

async fn delete_all(control: &Arc<Control>, caller: &Caller, zone: ZoneId, ids: Vec<FilterId>) -> Result<(), ApiError> {
    let plan = move |state: &model::State| {
        for id in &ids {
            if let Some(rule) = owner(state, zone, *id) {
                return Err(ApiError::conflict(format!("this filter is a part of rule {}: delete the rule", rule.id)));
            }
        }
        Ok((ids.into_iter().map(|id| Change::RemoveFilter { zone, id }).collect(), ()))
    };
    control.change(caller.intent("filter delete"), plan).await.map(drop)
}

/// The rule whose own filter has this id.
fn owner(state: &model::State, zone: ZoneId, id: FilterId) -> Option<&Arc<RuleRecord>> {
    let mut rules = state.ruleset(zone)?.rules.iter();
    rules.find(|rule| rule.legacy.is_none() && FilterId::of_rule(rule.id) == id)
}

fn one(state: &model::State, zone: ZoneId, id: FilterId) -> Result<dto::Filter, ApiError> {
    let own = || owner(state, zone, id).map(|rule| of_rule(rule));
    state.filter(zone, id).map(|filter| shown(filter)).or_else(own).ok_or_else(|| no_filter(id))
}

/// All filters of a zone: those that were made as such, then those of rules.
fn all(state: &model::State, zone: ZoneId) -> Vec<dto::Filter> {
    let rules = state.ruleset(zone).map(|ruleset| ruleset.rules.as_slice()).unwrap_or_default();
    let own = rules.iter().filter(|rule| rule.legacy.is_none()).map(|rule| of_rule(rule));
    state.filters(zone).map(|filter| shown(filter)).chain(own).collect()
}

fn no_filter(id: FilterId) -> ApiError {
    ApiError::no_object(format!("there is no filter {id} in this zone"))
}

pub(super) fn shown(filter: &FilterRecord) -> dto::Filter {
    dto::Filter {
        id: filter.id.to_string(),
        expression: filter.expression.clone(),
        description: filter.description.clone(),
        paused: filter.paused,
        reference: (!filter.reference.is_empty()).then(|| filter.reference.clone()),
    }
}

/// The filter of a rule that refers to none.
pub(super) fn of_rule(rule: &RuleRecord) -> dto::Filter {
    dto::Filter {
        id: FilterId::of_rule(rule.id).to_string(),
        expression: rule.expression.clone(),
        description: String::new(),
        paused: false,
        reference: None,
    }
}
