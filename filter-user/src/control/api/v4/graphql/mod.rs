//! GraphQL: `viewer.zones.firewallEventsAdaptive`, which is how Cloudflare's API tells of blocked and logged requests.
//!
//! Documents are parsed by a library. They are carried out here: whole GraphQL servers bring 35 to 45 crates along, for one list of
//! events with a filter.

mod event;
mod filter;
mod problem;
mod select;

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use serde_json::{Map, Value as Json};

use self::filter::Filter;
use self::problem::Problem;
use self::select::{Field, select};
use super::super::caller::Caller;
use super::super::dto::{GraphqlRequest, GraphqlResponse};
use super::super::request::Body;
use crate::config::Zone;
use crate::control::events::{Found, newest_first, oldest_first};
use crate::control::{Control, ControlError};
use crate::model::Scope;
use crate::telemetry::AccessRecord;

#[cfg(test)]
pub(in super::super) use self::filter::MAX_CONDITIONS;
#[cfg(test)]
pub(in super::super) use self::select::{MAX_DEPTH, MAX_FIELDS, MAX_QUERY};

/// Most events of one list.
pub(in super::super) const MAX_LIMIT: usize = 10_000;

/// Events of a list if the query does not say.
const LIMIT: usize = 100;

/// Lists of events that one query may ask for.
pub(in super::super) const MAX_LISTS: usize = 10;

/// Answers a GraphQL query, in GraphQL's way also if there is something wrong with it: `viewer { zones(filter: { zoneTag }) { firewallEventsAdaptive(filter, limit, orderBy) { … } } }`.
#[utoipa::path(post, path = "/client/v4/graphql", tag = "events", request_body = GraphqlRequest,
    responses((status = 200, body = GraphqlResponse)))]
pub(super) async fn query(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Body(request): Body<GraphqlRequest>,
) -> JsonBody<GraphqlResponse> {
    let answered = match select(&request) {
        Ok(fields) => Query { control, caller, lists: MAX_LISTS }.root(&fields).await,
        Err(problem) => Err(problem),
    };
    JsonBody(match answered {
        Ok(data) => GraphqlResponse { data: Some(data), errors: None },
        Err(problem) => GraphqlResponse { data: None, errors: Some(vec![problem.into()]) },
    })
}

/// A query that is being answered.
struct Query {
    control: Arc<Control>,
    caller: Caller,
    /// Lists that it may still ask for.
    lists: usize,
}

impl Query {
    async fn root(&mut self, fields: &[Field]) -> Result<Json, Problem> {
        let mut data = Map::new();
        for field in fields {
            let value = match field.name.as_str() {
                "viewer" => self.viewer(field).await.map_err(|problem| problem.at(field.place).within(&field.key))?,
                "__typename" => "Query".into(),
                _ => return Err(unknown(field, "the query", "viewer")),
            };
            data.insert(field.key.clone(), value);
        }
        Ok(data.into())
    }

    async fn viewer(&mut self, viewer: &Field) -> Result<Json, Problem> {
        takes(viewer, &[])?;
        let mut data = Map::new();
        for field in &viewer.fields {
            let value = match field.name.as_str() {
                "zones" => self.zones(field).await.map_err(|problem| problem.at(field.place).within(&field.key))?,
                "__typename" => "viewer".into(),
                _ => return Err(unknown(field, "`viewer`", "zones")),
            };
            data.insert(field.key.clone(), value);
        }
        Ok(data.into())
    }

    async fn zones(&mut self, zones: &Field) -> Result<Json, Problem> {
        takes(zones, &["filter", "limit"])?;
        let mut list: Vec<Json> = Vec::new();
        for tag in zone_tags(zones.arguments.get("filter"))? {
            let control = self.control.clone();
            let (zone, id) =
                self.caller.zone(&control, &tag, Scope::Read).map_err(|error| Problem::unauthorized(&error))?;
            let mut data = Map::new();
            for field in &zones.fields {
                let value = match field.name.as_str() {
                    "zoneTag" => id.to_string().into(),
                    "firewallEventsAdaptive" => {
                        self.events(zone, field).await.map_err(|problem| problem.at(field.place).within(&field.key))?
                    }
                    "__typename" => "zone".into(),
                    _ => return Err(unknown(field, "a zone", "zoneTag and firewallEventsAdaptive")),
                };
                data.insert(field.key.clone(), value);
            }
            list.push(data.into());
        }
        Ok(list.into())
    }

    async fn events(&mut self, zone: &Zone, events: &Field) -> Result<Json, Problem> {
        takes(events, &["filter", "limit", "orderBy"])?;
        self.lists = self
            .lists
            .checked_sub(1)
            .ok_or_else(|| Problem::validation(format!("a query asks for no more than {MAX_LISTS} lists of events")))?;
        let filter = Filter::read(events.arguments.get("filter"))?;
        let limit = limit(events.arguments.get("limit"))?;
        let newest = newest(events.arguments.get("orderBy"))?;
        let (all, name) = (self.control.events.clone(), zone.name.to_string());
        let is = move |record: &AccessRecord| record.zone.as_deref() == Some(name.as_str()) && filter.is(record);
        let found = tokio::task::spawn_blocking(move || {
            if newest { newest_first(&all, u64::MAX, limit, is) } else { oldest_first(&all, limit, is) }
        });
        let Found { events: found, .. } =
            found.await.map_err(|_| Problem::internal(&ControlError::Interrupted.into()))?;
        found.iter().map(|event| self.event(&event.record, &events.fields)).collect::<Result<_, _>>()
    }

    fn event(&self, record: &AccessRecord, fields: &[Field]) -> Result<Json, Problem> {
        let mut data = Map::new();
        for field in fields {
            let value = event::value(&field.name, record, &self.control.config.geo);
            let value =
                value.ok_or_else(|| unknown(field, "an event", "action, clientIP, datetime, rayName, ruleId, …"))?;
            data.insert(field.key.clone(), value);
        }
        Ok(data.into())
    }
}

fn unknown(field: &Field, of: &str, known: &str) -> Problem {
    Problem::validation(format!("there is no field `{}` of {of}: there is {known}", field.name)).at(field.place)
}

fn takes(field: &Field, known: &[&str]) -> Result<(), Problem> {
    match field.arguments.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Problem::validation(format!("`{}` takes no argument `{name}`", field.name))),
        None => Ok(()),
    }
}

fn zone_tags(filter: Option<&Json>) -> Result<Vec<String>, Problem> {
    let wrong = || Problem::validation("say which zone: zones(filter: { zoneTag: \"…\" })");
    let filter = filter.and_then(Json::as_object).ok_or_else(wrong)?;
    match (filter.get("zoneTag"), filter.get("zoneTag_in"), filter.len()) {
        (Some(Json::String(tag)), None, 1) => Ok(vec![tag.clone()]),
        (None, Some(Json::Array(tags)), 1) => {
            tags.iter().map(|tag| tag.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        _ => Err(wrong()),
    }
}

fn limit(limit: Option<&Json>) -> Result<usize, Problem> {
    let Some(limit) = limit else { return Ok(LIMIT) };
    let limit = limit.as_u64().and_then(|limit| usize::try_from(limit).ok());
    limit
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| Problem::validation(format!("`limit` is a number from 1 to {MAX_LIMIT}")))
}

/// Whether the newest event comes first.
fn newest(order: Option<&Json>) -> Result<bool, Problem> {
    let order = match order {
        None => return Ok(true),
        Some(Json::Array(order)) => order.as_slice(),
        Some(order) => std::slice::from_ref(order),
    };
    match order {
        [Json::String(order)] if order == "datetime_DESC" => Ok(true),
        [Json::String(order)] if order == "datetime_ASC" => Ok(false),
        _ => Err(Problem::validation("events are ordered by [datetime_DESC] or [datetime_ASC]")),
    }
}
