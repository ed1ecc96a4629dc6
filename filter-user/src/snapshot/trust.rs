//! Whose certificates count on which host.

use std::sync::Arc;

use super::CompileError;
use crate::config::{Host, Zone};
use crate::model::{AssociationRecord, AuthorityRecord, State, ZoneId};
use crate::pki::Authority;

/// Whether clients of `host` are asked for a certificate: by the configuration, or by an association with an authority. Never where no
/// worker can terminate TLS.
pub fn is_mtls(host: &Host, zone: ZoneId, state: &State) -> bool {
    host.termination.is_some()
        && (counts_managed(host, zone, state) || associations(host, zone, state).next().is_some())
}

/// The authorities whose certificates count on `host`: uploaded ones that are associated with it, the newest first, then the zone's own.
pub(super) fn authorities(
    host: &Host,
    zone: &Zone,
    id: ZoneId,
    state: &State,
) -> Result<Vec<Arc<Authority>>, CompileError> {
    let named = associations(host, id, state).filter_map(|association| state.authority(association.authority?));
    let mut uploaded: Vec<&Arc<AuthorityRecord>> = named.collect();
    uploaded.sort_by_key(|record| std::cmp::Reverse(record.created));
    let managed = state.managed_authorities(id).filter(|_| counts_managed(host, id, state));
    let parsed = uploaded.into_iter().chain(managed).map(|record| {
        let authority =
            Authority::from_der(record.id, record.zone, record.name.as_str(), &record.certificate, record.created);
        authority.map(Arc::new).map_err(|error| CompileError::Authority {
            zone: zone.name.to_string(),
            authority: record.id,
            message: error.to_string(),
        })
    });
    parsed.collect()
}

/// Whether certificates of the zone's own authority count.
fn counts_managed(host: &Host, zone: ZoneId, state: &State) -> bool {
    host.mtls || state.association(zone, None).is_some_and(|association| names(association, host))
}

/// The associations of `host` with uploaded authorities.
fn associations<'s>(host: &'s Host, zone: ZoneId, state: &'s State) -> impl Iterator<Item = &'s AssociationRecord> {
    let all = state.associations().map(|record| &**record);
    all.filter(move |record| record.zone == zone && record.authority.is_some() && names(record, host))
}

fn names(association: &AssociationRecord, host: &Host) -> bool {
    association.hostnames.iter().any(|name| name == host.name.as_str())
}
