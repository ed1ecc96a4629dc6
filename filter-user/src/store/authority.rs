//! Between authorities and their records.

use thiserror::Error;

use super::master_key::{MasterKey, SealError};
use crate::model::{AuthorityKind, AuthorityRecord, Change, RecordKey, State};
use crate::pki::{Authority, AuthorityError, IssueError, ManagedAuthority};

/// Why a stored authority cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuthorityKeyError {
    /// Its certificate cannot be read.
    #[error("authority {name:?}: {source}")]
    Certificate {
        /// Its name.
        name: String,
        /// Why.
        source: AuthorityError,
    },
    /// It has no key here, or no zone.
    #[error("authority {0:?} was uploaded without a key: it verifies certificates and issues none")]
    NotManaged(String),
    /// Its key is sealed for somebody else.
    #[error("the private key of authority {name:?} cannot be opened: {source}")]
    Sealed {
        /// Its name.
        name: String,
        /// Why.
        source: SealError,
    },
    /// Its key is not its key.
    #[error("authority {name:?}: {source}")]
    Key {
        /// Its name.
        name: String,
        /// Why.
        source: IssueError,
    },
}

/// The record of a managed authority, with its key sealed.
pub fn seal_authority(managed: &ManagedAuthority, master_key: &MasterKey) -> Result<AuthorityRecord, SealError> {
    let authority = managed.authority();
    let record = RecordKey::Authority(authority.id()).to_string();
    Ok(AuthorityRecord {
        id: authority.id(),
        zone: Some(managed.zone()),
        name: authority.name().to_owned(),
        kind: AuthorityKind::Managed,
        certificate: authority.certificate().to_vec(),
        key: Some(master_key.seal(&record, managed.key_der().secret_pkcs8_der())?),
        created: authority.created(),
        retired: None,
    })
}

/// The changes that let a new authority issue for its zone from now on.
///
/// Those that issued before are retired: what they issued stays verified until each is removed
/// ([`Change::RemoveAuthority`]), which ends the overlap.
pub fn rotate_authority(
    state: &State,
    new: &ManagedAuthority,
    master_key: &MasterKey,
) -> Result<Vec<Change>, SealError> {
    let record = seal_authority(new, master_key)?;
    let at = record.created;
    let issuing = state.managed_authorities(new.zone()).filter(|old| old.retired.is_none());
    let retire = issuing.map(|old| Change::RetireAuthority { id: old.id, at });
    Ok(retire.chain([Change::AddAuthority(record)]).collect())
}

/// The public side of a stored authority.
pub fn public_authority(record: &AuthorityRecord) -> Result<Authority, AuthorityKeyError> {
    Authority::from_der(record.id, record.zone, record.name.as_str(), &record.certificate, record.created)
        .map_err(|source| AuthorityKeyError::Certificate { name: record.name.clone(), source })
}

/// A stored managed authority, ready to issue.
pub fn open_authority(record: &AuthorityRecord, master_key: &MasterKey) -> Result<ManagedAuthority, AuthorityKeyError> {
    let name = || record.name.clone();
    let (Some(zone), Some(sealed)) = (record.zone, &record.key) else {
        return Err(AuthorityKeyError::NotManaged(name()));
    };
    let key = master_key
        .open(&RecordKey::Authority(record.id).to_string(), sealed)
        .map_err(|source| AuthorityKeyError::Sealed { name: name(), source })?;
    ManagedAuthority::new(public_authority(record)?, zone, &key)
        .map_err(|source| AuthorityKeyError::Key { name: name(), source })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;

    use super::*;
    use crate::model::{SubjectParts, Timestamp, ZoneId};
    use crate::pki::{CertificateRequest, ClientIdentity, TrustAnchors, Validity};

    #[test]
    fn an_authority_survives_being_sealed_and_no_other_master_key_opens_it() {
        let now = Timestamp::now().unix_time();
        let managed = ManagedAuthority::generate(ZoneId::of_name("a"), "a", now).unwrap();
        let (key, other) = (MasterKey::from_bytes(&[1; 32]).unwrap(), MasterKey::from_bytes(&[2; 32]).unwrap());
        let record = seal_authority(&managed, &key).unwrap();
        assert_eq!(open_authority(&record, &key).unwrap().key_der(), managed.key_der());
        let error = open_authority(&record, &other).unwrap_err().to_string();
        assert!(error.contains("restore the file that belongs to this state"), "{error}");
    }

    /// The authorities of a zone that verify, as a snapshot is made of them.
    fn anchors(state: &State, zone: ZoneId) -> TrustAnchors {
        let public: Vec<_> =
            state.managed_authorities(zone).map(|record| Arc::new(public_authority(record).unwrap())).collect();
        TrustAnchors::new(&public)
    }

    #[test]
    fn a_rotation_keeps_old_certificates_good_until_the_overlap_ends() {
        let now = Timestamp::now().unix_time();
        let zone = ZoneId::of_name("a");
        let key = MasterKey::from_bytes(&[1; 32]).unwrap();
        let issue = |state: &State| {
            let issuing = open_authority(state.issuing_authority(zone).unwrap(), &key).unwrap();
            let (request, _) = CertificateRequest::with_new_key(SubjectParts::default()).unwrap();
            let record = issuing.issue(&request, Validity::days(1).unwrap(), now).unwrap();
            [CertificateDer::from_pem_slice(record.certificate.as_bytes()).unwrap()]
        };
        let verified = |chain: &[CertificateDer<'_>], state: &State| {
            ClientIdentity::from_chain(chain, &anchors(state, zone), now).verified(now)
        };
        let rotate = |state: &State| {
            let new = ManagedAuthority::generate(zone, "a", now).unwrap();
            state.apply(&rotate_authority(state, &new, &key).unwrap()).unwrap().state
        };
        let first = rotate(&State::default());
        let old = issue(&first);
        let overlap = rotate(&first);
        let new = issue(&overlap);
        assert!(verified(&old, &overlap) && verified(&new, &overlap) && !verified(&new, &first));
        let retired = overlap.managed_authorities(zone).find(|record| record.retired.is_some()).unwrap().id;
        let after = overlap.apply(&[Change::RemoveAuthority(retired)]).unwrap().state;
        assert!(!verified(&old, &after) && verified(&new, &after));
    }

    #[test]
    fn a_sealed_key_that_was_moved_to_another_authority_is_refused() {
        let now = Timestamp::now().unix_time();
        let zone = ZoneId::of_name("a");
        let key = MasterKey::from_bytes(&[1; 32]).unwrap();
        let [one, two] =
            [1, 2].map(|_| seal_authority(&ManagedAuthority::generate(zone, "a", now).unwrap(), &key).unwrap());
        let mixed = AuthorityRecord { key: two.key, ..one };
        assert!(matches!(open_authority(&mixed, &key), Err(AuthorityKeyError::Sealed { .. })));
        let uploaded = AuthorityRecord { key: None, ..mixed };
        assert!(matches!(open_authority(&uploaded, &key), Err(AuthorityKeyError::NotManaged(_))));
    }
}
