//! Who changed what, when, and how it was before.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Revision;
use crate::model::{RecordKey, State, Timestamp};

/// Audit records that are kept; the oldest go first.
pub const AUDIT_RECORDS: u64 = 100_000;
/// Records that one audit record shows before and after; of the others it keeps the number.
pub const AUDIT_CHANGES: usize = 100;

/// What a writer says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// When.
    pub at: Timestamp,
    /// Who: a token's name, or `local` for whoever may write to the control socket.
    pub actor: String,
    /// Where from: an address, or the socket.
    pub origin: String,
    /// What, in a few words: `certificate revoke`.
    pub action: String,
}

/// Refused attempts that are kept; the oldest go first.
pub const REFUSALS: u64 = 10_000;

/// An attempt to use the API that was refused because of who made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// When.
    pub at: Timestamp,
    /// Where from.
    pub origin: String,
    /// Method and path.
    pub request: String,
    /// Why it was refused.
    pub reason: String,
}

/// What is kept of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// The revision the commit made.
    pub revision: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// Where from.
    pub origin: String,
    /// What.
    pub action: String,
    /// Every record that changed, up to [`AUDIT_CHANGES`].
    pub changes: Vec<AuditChange>,
    /// How many more changed.
    #[serde(default)]
    pub omitted: usize,
}

/// One record before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditChange {
    /// Name of the record.
    pub key: String,
    /// As it was; absent if it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// As it is; absent if it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl AuditRecord {
    pub(super) fn new<'a>(
        revision: Revision,
        audit: Audit,
        touched: impl Iterator<Item = &'a RecordKey>,
        before: &State,
        after: &State,
    ) -> Self {
        let mut changes = Vec::new();
        let mut omitted = 0_usize;
        for key in touched.filter(|key| before.record(key) != after.record(key)) {
            if changes.len() < AUDIT_CHANGES {
                changes.push(AuditChange {
                    key: key.to_string(),
                    before: shown(before, key),
                    after: shown(after, key),
                });
            } else {
                omitted = omitted.saturating_add(1);
            }
        }
        let Audit { at, actor, origin, action } = audit;
        Self { revision: revision.number(), at, actor, origin, action, changes, omitted }
    }
}

/// A record as an audit shows it: without what even a sealed or hashed secret would give away.
fn shown(state: &State, key: &RecordKey) -> Option<Value> {
    const SECRETS: [&str; 2] = ["key", "secret_sha256"];
    let mut value = serde_json::to_value(state.record(key)?).ok()?;
    if let Some(fields) = value.as_object_mut() {
        SECRETS.iter().for_each(|secret| _ = fields.remove(*secret));
    }
    Some(value)
}
