//! The list of one authority.

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::UnixTime;
use tokio::task::JoinSet;

use super::fetch::Seen;
use super::report::{Checks, Report, Standing, Way};
use crate::model::{CrlRecord, State, Timestamp, WhenStale};
use crate::pki::{Authority, Crl};
use crate::revocation::{CrlFreshness, IssuerKeyHash};
use crate::store::public_authority;

/// The list of one authority.
pub(super) struct Entry {
    pub(super) authority: Arc<Authority>,
    pub(super) record: Arc<CrlRecord>,
    pub(super) crl: Option<Arc<Crl>>,
    pub(super) loaded: Option<Timestamp>,
    pub(super) checks: Checks,
    /// How the sources looked when their lists were taken.
    seen: [Seen; 2],
    /// Whether it was said that the list is not current.
    announced: bool,
    /// Ends with the entry.
    pub(super) watchers: JoinSet<()>,
}

impl Entry {
    /// The entry of a record whose authority can be read; every one was when it was uploaded.
    pub(super) fn new(record: &Arc<CrlRecord>, state: &State) -> Option<Self> {
        let authority = state.authority(record.authority).map(|record| public_authority(record));
        let authority = match authority? {
            Ok(authority) => Arc::new(authority),
            Err(error) => {
                tracing::error!(%error, "the CRL of an authority that cannot be read is not watched");
                return None;
            }
        };
        Some(Self {
            authority,
            record: record.clone(),
            crl: None,
            loaded: None,
            checks: Checks::default(),
            seen: Default::default(),
            announced: false,
            watchers: JoinSet::new(),
        })
    }

    /// Follows a change of what is asked for; the list that is loaded stays.
    pub(super) fn asks_for(&mut self, record: &Arc<CrlRecord>) {
        if self.record == *record {
            return;
        }
        if self.record.source != record.source {
            (*self.checks.of(Way::Source), self.seen[0]) = Default::default();
        }
        if self.record.delta_source != record.delta_source {
            (*self.checks.of(Way::Delta), self.seen[1]) = Default::default();
        }
        self.record = record.clone();
        self.watchers.abort_all();
        self.watchers = JoinSet::new();
    }

    /// How a source looked when its list was taken.
    pub(super) fn seen(&self, way: Way) -> Seen {
        let [source, delta] = &self.seen;
        if way == Way::Delta { delta.clone() } else { source.clone() }
    }

    /// Remembers how a source looked.
    pub(super) fn saw(&mut self, way: Way, seen: Seen) {
        let [source, delta] = &mut self.seen;
        *(if way == Way::Delta { delta } else { source }) = seen;
    }

    /// Has another list.
    pub(super) fn loads(&mut self, crl: Arc<Crl>, by_delta: bool) {
        (self.crl, self.loaded) = (Some(crl), Some(Timestamp::now()));
        if !by_delta {
            // A delta that was taken for the list before belongs to this one as well.
            self.saw(Way::Delta, Seen::Nothing);
        }
    }

    /// Until when certificates of the authority can be judged.
    pub(super) fn freshness(&self) -> (IssuerKeyHash, CrlFreshness) {
        let freshness = match &self.crl {
            None => CrlFreshness::Missing,
            Some(crl) => {
                // RFC 5280 wants a `nextUpdate`; a list without one says that it is good until there is another.
                let never = UnixTime::since_unix_epoch(Duration::MAX);
                CrlFreshness::Until(crl.next_update().map_or(never, Timestamp::unix_time))
            }
        };
        (*self.authority.key_hash(), freshness)
    }

    /// What there is to say of the list.
    pub(super) fn report(&self, now: Timestamp) -> Report {
        Report {
            authority: self.authority.id(),
            name: self.authority.name().to_owned(),
            record: self.record.clone(),
            standing: Standing::of(self.crl.as_deref(), now),
            crl: self.crl.clone(),
            loaded: self.loaded,
            checks: self.checks.clone(),
        }
    }

    /// Says it in the log when the list ceased to be current, and when it is again.
    pub(super) fn announce(&mut self, now: Timestamp) {
        let standing = Standing::of(self.crl.as_deref(), now);
        let (is_stale, name) = (standing != Standing::Current, self.authority.name());
        if is_stale == self.announced {
            return;
        }
        self.announced = is_stale;
        match (is_stale, self.record.when_stale) {
            (true, WhenStale::Deny) => tracing::error!(
                authority = name,
                crl = standing.name(),
                "certificates of this authority are not verified until there is a current CRL"
            ),
            (true, WhenStale::Allow) => tracing::warn!(
                authority = name,
                crl = standing.name(),
                "certificates of this authority count although there is no current CRL"
            ),
            (false, _) => tracing::info!(authority = name, "the CRL of this authority is current again"),
        }
    }
}
