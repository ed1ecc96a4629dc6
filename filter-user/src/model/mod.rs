//! Desired state as plain data: what operators asked for and what was issued for them.
//!
//! Nothing here does I/O, reads a clock or knows how state is stored or served. A [`State`] is immutable and cheap to
//! clone; [`State::apply`] makes the next one from a list of [`Change`]s, or says why it cannot, and then nothing changed.
//! Zones, hosts and origins come from the configuration file and are not in here; records name zones by [`ZoneId`].
//!
//! The records derive `serde` because the store and `store export` write them as they are; the API has types of its own.

mod change;
mod crl;
mod id;
pub mod limits;
mod record;
mod rule;
mod state;
mod timestamp;

pub use change::{Change, Position};
pub use crl::{CrlRecord, CrlSource, CrlSourceError, CrlUpload, WhenStale};
pub use id::{AuthorityId, CertificateId, FilterId, IdError, ItemId, ListId, RuleId, RulesetId, TokenId, ZoneId};
pub use record::{
    AssociationRecord, AuthorityKind, AuthorityRecord, CertificateRecord, CertificateStatus, ListItem, ListKind,
    ListRecord, Record, RecordKey, RevocationRecord, Scope, SealedKey, Serial, SerialError, SettingRecord,
    SubjectParts, TokenRecord,
};
pub use rule::{BlockResponse, FilterRecord, Legacy, RuleAction, RuleRecord, Ruleset};
pub use state::{Edit, ModelError, State};
pub use timestamp::Timestamp;
