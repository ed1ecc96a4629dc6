//! What there is to say of the lists.

use std::sync::Arc;

use crate::model::{AuthorityId, CrlRecord, Timestamp, WhenStale};
use crate::pki::Crl;

/// How a list comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A complete list from its source.
    Source,
    /// A delta from its source.
    Delta,
    /// An operator sent it.
    Upload,
}

impl Way {
    const ALL: [Self; 3] = [Self::Source, Self::Delta, Self::Upload];

    /// The name the API has for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Delta => "delta_source",
            Self::Upload => "upload",
        }
    }
}

/// What came of the last list that came in some way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checked {
    /// When it was looked at last.
    pub(crate) at: Option<Timestamp>,
    /// When that was good the last time: a new list, or the same.
    pub(crate) good: Option<Timestamp>,
    /// Why it is not good now.
    pub(crate) problem: Option<String>,
    /// How often it was not, one after the other.
    pub(crate) failures: u32,
}

impl Checked {
    pub(super) fn note(&mut self, at: Timestamp, problem: Option<String>) {
        self.at = Some(at);
        match problem {
            None => (self.good, self.failures) = (Some(at), 0),
            Some(_) => self.failures = self.failures.saturating_add(1),
        }
        self.problem = problem;
    }
}

/// What came of the last lists, by the way they came in.
#[derive(Clone, Debug, Default)]
pub(super) struct Checks([Checked; Way::ALL.len()]);

impl Checks {
    pub(super) fn of(&mut self, way: Way) -> &mut Checked {
        let [source, delta, upload] = &mut self.0;
        match way {
            Way::Source => source,
            Way::Delta => delta,
            Way::Upload => upload,
        }
    }

    fn each(&self) -> impl Iterator<Item = (Way, &Checked)> {
        Way::ALL.into_iter().zip(&self.0)
    }
}

/// Whether an authority's list can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It can.
    Current,
    /// Its `nextUpdate` is past.
    Expired,
    /// None was loaded yet.
    Missing,
}

impl Standing {
    /// Of the list that is loaded, at a moment.
    pub(super) fn of(crl: Option<&Crl>, now: Timestamp) -> Self {
        match crl {
            None => Self::Missing,
            Some(crl) if crl.next_update().is_some_and(|next| next < now) => Self::Expired,
            Some(_) => Self::Current,
        }
    }

    /// The name the API has for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Expired => "expired",
            Self::Missing => "missing",
        }
    }
}

/// The list of an authority, as `status` shows it.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The authority.
    pub(crate) authority: AuthorityId,
    /// Its name.
    pub(crate) name: String,
    /// What was asked for.
    pub(crate) record: Arc<CrlRecord>,
    /// Whether the list can be relied on.
    pub(crate) standing: Standing,
    /// The list that is loaded.
    pub(crate) crl: Option<Arc<Crl>>,
    /// When it was loaded.
    pub(crate) loaded: Option<Timestamp>,
    /// What came of the last lists.
    pub(super) checks: Checks,
}

impl Report {
    /// What came of the last list, by each way in which one came in or could.
    pub(crate) fn checks(&self) -> impl Iterator<Item = (Way, &Checked)> {
        self.checks.each().filter(|(way, checked)| match way {
            Way::Source => self.record.source.is_some(),
            Way::Delta => self.record.delta_source.is_some(),
            Way::Upload => checked.at.is_some(),
        })
    }

    /// Whether the authority's certificates are refused because of this list.
    pub(crate) fn refuses(&self) -> bool {
        self.standing != Standing::Current && self.record.when_stale == WhenStale::Deny
    }
}
