//! What the daemon does.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;

use super::super::answer::Answer;
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::ApiError;
use super::{crls, passed, zones};
use crate::control::Control;
use crate::datapath::Datapath;
use crate::kernel::Count;
use crate::model::Scope;
use crate::telemetry::Reason;

/// Shows what the daemon does: generations, data path, workers, counters.
#[utoipa::path(get, path = "/api/v1/status", tag = "daemon", responses((status = 200, body = Envelope<dto::Status>)))]
pub(super) async fn show(State(control): State<Arc<Control>>, caller: Caller) -> Result<Answer<dto::Status>, ApiError> {
    caller.everywhere(Scope::Read)?;
    let (state, generation) = control.state().await;
    let (workers, datapath) = (control.publisher.workers(), control.publisher.datapath());
    let access = control.access.losses();
    let requests = Reason::ALL
        .iter()
        .map(|reason| (reason.name().to_owned(), workers.iter().map(|worker| worker.counters().of(*reason)).sum()));
    Ok(Answer(dto::Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: control.started.elapsed().as_secs(),
        generation,
        datapath: dto::Datapath {
            mode: datapath.mode().to_string(),
            notes: datapath.notes(),
            settings: datapath.settings(),
            pin: datapath.pin().map(|pin| pin.display().to_string()),
            generation: datapath.generation(),
        },
        listen: control.config.edge.listen.iter().map(ToString::to_string).collect(),
        zones: zones::zones(&control, &state, &caller),
        passed_through: passed::passed_through(&control).await,
        revoked: control.revocations.len(),
        listed: control.revocations.imported_len(),
        crls: crls::crls(&control, &state, &caller),
        workers: workers
            .iter()
            .map(|worker| dto::Worker {
                index: worker.index(),
                generation: worker.counters().generation(),
                accepted: worker.counters().accepted(),
                open: worker.counters().open(),
            })
            .collect(),
        requests: requests.collect(),
        packets: packets(datapath),
        access_records_dropped: access.dropped,
        access_records_failed: access.failed,
        access_log_error: access.error,
        events: control.events.status().into(),
    }))
}

fn packets(datapath: &Datapath) -> BTreeMap<String, dto::PacketCount> {
    let counts = datapath.packets().unwrap_or_else(|error| {
        tracing::warn!(%error, "the packet counters cannot be read");
        Vec::new()
    });
    let shown = |count: Count| {
        (count.reason.name().to_owned(), dto::PacketCount { packets: count.packets, bytes: count.bytes })
    };
    counts.into_iter().map(shown).collect()
}
