//! Events: requests that were blocked or logged.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::response::sse::{self, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::IntoParams;

use super::super::answer::{Answer, MAX_PER_PAGE, Page};
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::{ApiError, code};
use super::super::request::{Named, Search};
use crate::control::events::{Found, Sought, SoughtCertificate};
use crate::control::{Control, ControlError};
use crate::model::{CertificateId, RuleId, Scope, ZoneId};
use crate::telemetry::{EventAction, Following, Tail};

/// Events of a page if the call does not say.
const LIMIT: usize = 100;

/// Events that a follower is sent before it is looked again whether it still may.
const BATCH: usize = 256;

/// How often a follower to whom nothing happens is told that it is connected, and looked at whether it still may.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Not before this moment, RFC 3339.
    since: Option<String>,
    /// Not after this moment, RFC 3339.
    until: Option<String>,
    /// Of this host.
    host: Option<String>,
    /// That this rule decided or logged: its id.
    rule: Option<String>,
    /// With this certificate: its id, its fingerprint (SHA-256), or its serial in hexadecimal or decimal.
    certificate: Option<String>,
    /// `block` or `log`.
    action: Option<String>,
    /// With this ray id.
    ray_id: Option<String>,
}

/// Which part of them.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// Where the last part ended: its `result_info.cursors.after`.
    cursor: Option<String>,
    /// Most events of the part: 1 to 1000, 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

impl Which {
    /// The same, checked. A certificate's id is known in its zone only.
    async fn sought(self, control: &Control, zone: &str, id: ZoneId) -> Result<Sought, ApiError> {
        let rule =
            self.rule.map(|rule| rule.parse::<RuleId>().map_err(|error| ApiError::invalid("/rule", error.to_string())));
        let host = self.host.as_deref().map(filter_rules::normalise_host);
        Ok(Sought {
            zone: zone.to_owned(),
            since: self.since.map(|text| moment("/since", &text)).transpose()?,
            until: self.until.map(|text| moment("/until", &text)).transpose()?,
            host: host.map(std::borrow::Cow::into_owned),
            rule: rule.transpose()?.map(|rule| rule.to_string()),
            certificate: match self.certificate {
                Some(named) => Some(certificate(control, id, &named).await?),
                None => None,
            },
            action: self.action.map(|name| action(&name)).transpose()?,
            ray_id: self.ray_id,
        })
    }
}

fn moment(pointer: &str, text: &str) -> Result<SystemTime, ApiError> {
    let moment = OffsetDateTime::parse(text, &Rfc3339);
    moment.map(SystemTime::from).map_err(|_| {
        ApiError::invalid(
            pointer,
            format!("{text:?} is no moment: write it as RFC 3339 does, such as 2026-11-24T12:00:00Z"),
        )
    })
}

fn action(name: &str) -> Result<EventAction, ApiError> {
    let found = EventAction::ALL.into_iter().find(|action| action.name() == name);
    found.ok_or_else(|| ApiError::invalid("/action", "an event's action is `block` or `log`"))
}

async fn certificate(control: &Control, zone: ZoneId, named: &str) -> Result<SoughtCertificate, ApiError> {
    if let Ok(id) = named.parse::<CertificateId>() {
        let (state, _) = control.state().await;
        let record = state.certificate(zone, id);
        let record = record.ok_or_else(|| ApiError::no_object(format!("there is no certificate {id} in this zone")))?;
        return Ok(SoughtCertificate::Fingerprint(record.fingerprint_sha256.clone()));
    }
    SoughtCertificate::parse(named).ok_or_else(|| {
        ApiError::invalid("/certificate", "name a certificate by its id, its SHA-256 fingerprint, or its serial")
    })
}

/// Lists blocked and logged requests, newest first, as far back as they are in memory.
#[utoipa::path(get, path = "/api/v1/zones/{zone}/events", tag = "events", params(Which, Part),
    responses((status = 200, body = Envelope<Vec<dto::Event>>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Search(which): Search<Which>,
    Search(part): Search<Part>,
) -> Result<Page<dto::Event>, ApiError> {
    let (zone, id) = caller.zone(&control, &zone, Scope::Read)?;
    let limit = part.limit.unwrap_or(LIMIT);
    if !(1..=MAX_PER_PAGE).contains(&limit) {
        return Err(ApiError::invalid("/limit", format!("a part has 1 to {MAX_PER_PAGE} events")));
    }
    let before = match part.cursor.as_deref() {
        None | Some("") => u64::MAX,
        Some(text) => text.parse().map_err(|_| ApiError::invalid("/cursor", "this is not the cursor of an answer"))?,
    };
    let sought = which.sought(&control, zone.name.as_str(), id).await?;
    let Found { events, more } = find(&control, sought, before, limit).await?;
    let after = events.last().filter(|_| more).map(|event| event.number.to_string());
    Ok(Page::part(events.iter().map(|event| event.as_ref().into()).collect(), after))
}

/// Shows the event of a ray id, which is on the page that a blocked client sees.
#[utoipa::path(get, path = "/api/v1/zones/{zone}/events/{ray}", tag = "events",
    responses((status = 200, body = Envelope<dto::Event>)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((zone, ray)): Named<(String, String)>,
) -> Result<Answer<dto::Event>, ApiError> {
    let (zone, _) = caller.zone(&control, &zone, Scope::Read)?;
    let sought = Sought { zone: zone.name.to_string(), ray_id: Some(ray), ..Sought::default() };
    let found = find(&control, sought, u64::MAX, 1).await?;
    let event = found.events.first();
    event.map(|event| Answer(event.as_ref().into())).ok_or_else(|| {
        ApiError::no_object(format!(
            "no event in memory has this ray id: it was neither blocked nor logged by {}, or it is too long ago",
            zone.name
        ))
    })
}

/// Searches on a thread that may take its time.
pub(in super::super) async fn find(
    control: &Arc<Control>,
    sought: Sought,
    before: u64,
    limit: usize,
) -> Result<Found, ApiError> {
    let events = control.events.clone();
    let found = tokio::task::spawn_blocking(move || sought.find(&events, before, limit)).await;
    found.map_err(|_| ControlError::Interrupted.into())
}

/// Sends events as they happen, as server-sent events (`text/event-stream`): `data` is an event as JSON, `id` its number. With the header
/// `Last-Event-ID` it begins behind that number. An event named `lost` says that some came faster than they were read.
#[utoipa::path(get, path = "/api/v1/zones/{zone}/events/follow", tag = "events", params(Which),
    responses((status = 200, content_type = "text/event-stream", body = String)))]
pub(super) async fn follow(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(zone): Named<String>,
    Search(which): Search<Which>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (zone, id) = caller.zone(&control, &zone, Scope::Read)?;
    let sought = which.sought(&control, zone.name.as_str(), id).await?;
    let permit = control.followers.clone().try_acquire_owned().map_err(|_| {
        let message = "as many as may are following events already: end one of them, or ask for pages";
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, code::TOO_MANY_FOLLOWERS, message)
    })?;
    let tail = control.events.tail();
    let newest = tail.borrow().newest;
    let position = match headers.get("last-event-id").map(|value| value.to_str().unwrap_or_default().parse::<u64>()) {
        None => newest,
        Some(Ok(number)) => number.min(newest),
        Some(Err(_)) => return Err(ApiError::invalid("/Last-Event-ID", "this is not the id of an event")),
    };
    let follower = Follower { control, caller, sought, tail, position, _permit: permit };
    let batches = stream::unfold(follower, |mut follower| async move {
        let batch = follower.next().await?;
        Some((stream::iter(batch), follower))
    });
    Ok(Sse::new(batches.flatten()).into_response())
}

/// Somebody who looks on. Nothing is kept for him but where he is: if he reads too slowly, events go by.
struct Follower {
    control: Arc<Control>,
    caller: Caller,
    sought: Sought,
    tail: watch::Receiver<Tail>,
    position: u64,
    _permit: OwnedSemaphorePermit,
}

type Sent = Result<sse::Event, axum::Error>;

impl Follower {
    /// The next messages; `None` at the end: the daemon stops, or the caller's token counts no more.
    async fn next(&mut self) -> Option<Vec<Sent>> {
        let Tail { newest, ended } = *self.tail.borrow_and_update();
        if self.position >= newest {
            if ended {
                return None;
            }
            let changed = tokio::time::timeout(KEEP_ALIVE, self.tail.changed()).await;
            if !self.caller.still_counts(&self.control).await {
                return None;
            }
            return Some(if changed.is_err() { vec![Ok(sse::Event::default().comment(""))] } else { Vec::new() });
        }
        if !self.caller.still_counts(&self.control).await {
            return None;
        }
        let Following { events, incomplete } = self.control.events.after(self.position, BATCH);
        let mut batch: Vec<Sent> = Vec::new();
        if incomplete {
            batch.push(Ok(sse::Event::default().event("lost").data("events came faster than they were read")));
        }
        self.position = events.last().map_or(newest, |event| event.number);
        let sought = events.iter().filter(|event| self.sought.is(&event.record));
        batch.extend(sought.map(|event| {
            sse::Event::default().id(event.number.to_string()).json_data(dto::Event::from(event.as_ref()))
        }));
        Some(batch)
    }
}
