//! The managed CA of each zone.

use super::Author;
use crate::config::Config;
use crate::model::{Change, State, Timestamp, ZoneId};
use crate::pki::{IssueError, ManagedAuthority};
use crate::store::{
    AuthorityKeyError, MasterKey, Revision, SealError, Store, StoreError, open_authority, seal_authority,
};

/// Why the authorities of the zones are not all there.
#[derive(Debug, thiserror::Error)]
pub enum EnsureError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An authority cannot be made.
    #[error("the certificate authority of {0} cannot be made: {1}")]
    Generate(String, #[source] IssueError),
    /// Its key cannot be sealed.
    #[error("the key of the certificate authority of {0} cannot be sealed: {1}")]
    Seal(String, #[source] SealError),
    /// The key of an authority that is there cannot be opened: the master key file belongs to another store, or was lost.
    #[error(transparent)]
    Open(#[from] AuthorityKeyError),
}

/// Makes an authority for every zone that has none, and checks that the keys of the others can be opened.
///
/// # Errors
/// When an authority is missing and cannot be made, or cannot be used.
pub fn ensure(config: &Config, store: &dyn Store, master_key: &MasterKey) -> Result<(Revision, State), EnsureError> {
    let (revision, state) = store.load()?;
    let mut changes = Vec::new();
    for zone in &config.zones {
        let id = ZoneId::of_name(zone.name.as_str());
        if let Some(record) = state.issuing_authority(id) {
            open_authority(record, master_key)?;
            continue;
        }
        let authority = ManagedAuthority::generate(id, zone.name.as_str(), Timestamp::now().unix_time())
            .map_err(|error| EnsureError::Generate(zone.name.to_string(), error))?;
        let record =
            seal_authority(&authority, master_key).map_err(|error| EnsureError::Seal(zone.name.to_string(), error))?;
        tracing::info!(zone = %zone.name, authority = %record.name, "made the zone's certificate authority");
        changes.push(Change::AddAuthority(record));
    }
    if !changes.is_empty() {
        let audit = Author::start().did("authority create");
        store.commit(revision, &changes, audit)?;
    }
    Ok(store.load()?)
}
