//! The revocation lists of the zones' own authorities, as they are given out to other systems.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::{Control, ControlError};
use crate::model::{AuthorityId, ModelError, RecordKey, Timestamp, ZoneId};
use crate::store::open_authority;

/// How long a list can be relied on. Longer than anybody should need to notice that the filter is down.
const VALID_SECONDS: i64 = 7 * 24 * 60 * 60;

/// How old a list may be that is given out; within it, two readers of the same state get the same list.
const FRESH: Duration = Duration::from_secs(60 * 60);

/// The list of each authority that was given out last.
#[derive(Debug, Default)]
pub(super) struct Published {
    lists: Mutex<BTreeMap<AuthorityId, List>>,
}

#[derive(Clone, Debug)]
struct List {
    generation: u64,
    number: u64,
    made: Timestamp,
    der: Bytes,
}

impl Published {
    fn last(&self, authority: AuthorityId) -> Option<List> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).get(&authority).cloned()
    }

    /// Keeps a list, unless a newer one was made meanwhile.
    fn keep(&self, authority: AuthorityId, list: &List) {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if lists.get(&authority).is_none_or(|known| known.number < list.number) {
            lists.insert(authority, list.clone());
        }
    }
}

impl Control {
    /// The revocation list of a managed authority of a zone, DER; of the one that issues if none is named.
    ///
    /// Its number is the moment in which it was made, in microseconds: it grows whatever becomes of the store, also when an older one
    /// is played back, where a counter in it would not.
    ///
    /// # Errors
    /// When there is no such authority, or it cannot sign.
    pub async fn published_crl(
        self: &Arc<Self>,
        zone: ZoneId,
        authority: Option<AuthorityId>,
    ) -> Result<Bytes, ControlError> {
        let (state, generation) = self.state().await;
        let record = match authority {
            None => state.issuing_authority(zone).ok_or(ControlError::NoAuthority)?,
            Some(id) => state
                .managed_authorities(zone)
                .find(|record| record.id == id)
                .ok_or(ModelError::NotFound(RecordKey::Authority(id)))?,
        };
        let (record, now) = (record.clone(), Timestamp::now());
        let last = self.published.last(record.id);
        let is_fresh = |list: &&List| {
            let age = now.unix_seconds().saturating_sub(list.made.unix_seconds());
            list.generation == generation && u64::try_from(age).is_ok_and(|age| age < FRESH.as_secs())
        };
        if let Some(list) = last.as_ref().filter(is_fresh) {
            return Ok(list.der.clone());
        }
        let control = self.clone();
        let made = tokio::task::spawn_blocking(move || -> Result<Bytes, ControlError> {
            let managed = open_authority(&record, &control.master_key)?;
            let after_last = last.map_or(0, |list| list.number.saturating_add(1));
            let number = u64::try_from(now.unix_microseconds()).unwrap_or(0).max(after_last);
            let next = Timestamp::from_unix_seconds(now.unix_seconds().saturating_add(VALID_SECONDS));
            let certificates = state.certificates(zone).map(|record| &**record);
            let der = Bytes::copy_from_slice(&managed.crl(certificates, number, now, next)?);
            control.published.keep(record.id, &List { generation, number, made: now, der: der.clone() });
            Ok(der)
        });
        made.await.map_err(|_| ControlError::Interrupted)?
    }
}
