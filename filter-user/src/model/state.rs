//! The state, and how the next one is made.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;
use thiserror::Error;

use super::change::Change;
use super::crl::CrlRecord;
use super::id::{AuthorityId, CertificateId, FilterId, ItemId, ListId, TokenId, ZoneId};
use super::record::{
    AssociationRecord, AuthorityKind, AuthorityRecord, CertificateRecord, ListItem, ListRecord, Record, RecordKey,
    RevocationRecord, Serial, SettingRecord, TokenRecord,
};
use super::rule::{FilterRecord, Ruleset};

mod apply;

/// Why a change was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The change is about something that does not exist.
    #[error("{0} does not exist")]
    NotFound(RecordKey),
    /// A rule that is not in its zone.
    #[error("rule {rule} does not exist in zone {zone}")]
    RuleNotFound {
        /// The zone.
        zone: ZoneId,
        /// The rule that was named.
        rule: super::id::RuleId,
    },
    /// Something new has the name of something that exists.
    #[error("{0} exists already")]
    AlreadyExists(RecordKey),
    /// Two things that must differ do not.
    #[error("{what} {value:?} is used twice")]
    Duplicate {
        /// What is the same.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// A named limit would be exceeded.
    #[error("there can be no more than {limit} {what}")]
    Limit {
        /// What there would be too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
    /// A value that cannot be.
    #[error("{what} {problem}")]
    Invalid {
        /// What has the value.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Something else still needs it.
    #[error("{key} is in use: {by}")]
    InUse {
        /// What cannot go.
        key: RecordKey,
        /// What needs it, and what to do first.
        by: String,
    },
}

/// Everything that was asked for, at one moment. Immutable; a clone shares all data.
#[derive(Clone, Default)]
pub struct State {
    records: RedBlackTreeMapSync<RecordKey, Record>,
    counts: RedBlackTreeMapSync<Group, usize>,
}

/// What is counted for a limit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Authorities,
    Certificates(ZoneId),
    Lists,
    Items(ListId),
    Tokens,
    Filters(ZoneId),
}

impl Group {
    fn of(key: &RecordKey) -> Option<Self> {
        match key {
            RecordKey::Authority(_) => Some(Self::Authorities),
            RecordKey::Certificate(zone, _) => Some(Self::Certificates(*zone)),
            RecordKey::List(_) => Some(Self::Lists),
            RecordKey::ListItem(list, _) => Some(Self::Items(*list)),
            RecordKey::Token(_) => Some(Self::Tokens),
            RecordKey::Filter(zone, _) => Some(Self::Filters(*zone)),
            RecordKey::Association(..)
            | RecordKey::Revocation(..)
            | RecordKey::Ruleset(_)
            | RecordKey::RulesetVersion(..)
            | RecordKey::Setting(..)
            | RecordKey::Crl(_) => None,
        }
    }
}

/// The outcome of applying changes.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The next state.
    pub state: State,
    /// Every record that was written or removed on the way.
    pub touched: BTreeSet<RecordKey>,
}

impl State {
    /// The state with these changes made one after the other, or the first reason why that cannot be.
    pub fn apply(&self, changes: &[Change]) -> Result<Edit, ModelError> {
        apply::apply(self, changes)
    }

    /// A state of records that were stored; no rule of [`State::apply`] is checked again.
    pub fn from_records(records: impl IntoIterator<Item = Record>) -> Self {
        let mut state = Self::default();
        records.into_iter().for_each(|record| state.put(record));
        state
    }

    /// All records, in the order of their keys.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// A record.
    pub fn record(&self, key: &RecordKey) -> Option<&Record> {
        self.records.get(key)
    }

    /// An authority.
    pub fn authority(&self, id: AuthorityId) -> Option<&Arc<AuthorityRecord>> {
        match self.record(&RecordKey::Authority(id))? {
            Record::Authority(record) => Some(record),
            _ => None,
        }
    }

    /// All authorities.
    pub fn authorities(&self) -> impl Iterator<Item = &Arc<AuthorityRecord>> {
        let range = RecordKey::Authority(AuthorityId::FIRST)..=RecordKey::Authority(AuthorityId::LAST);
        self.records.range(range).filter_map(|(_, record)| match record {
            Record::Authority(record) => Some(record),
            _ => None,
        })
    }

    /// The managed authorities of a zone: those that verify.
    pub fn managed_authorities(&self, zone: ZoneId) -> impl Iterator<Item = &Arc<AuthorityRecord>> {
        self.authorities().filter(move |record| record.kind == AuthorityKind::Managed && record.zone == Some(zone))
    }

    /// The managed authority that issues in a zone.
    pub fn issuing_authority(&self, zone: ZoneId) -> Option<&Arc<AuthorityRecord>> {
        self.managed_authorities(zone).filter(|record| record.retired.is_none()).max_by_key(|record| record.created)
    }

    /// A certificate.
    pub fn certificate(&self, zone: ZoneId, id: CertificateId) -> Option<&Arc<CertificateRecord>> {
        match self.record(&RecordKey::Certificate(zone, id))? {
            Record::Certificate(record) => Some(record),
            _ => None,
        }
    }

    /// The certificates that were issued in a zone.
    pub fn certificates(&self, zone: ZoneId) -> impl Iterator<Item = &Arc<CertificateRecord>> {
        let first = RecordKey::Certificate(zone, CertificateId::FIRST);
        let last = RecordKey::Certificate(zone, CertificateId::LAST);
        self.records.range(first..=last).filter_map(|(_, record)| match record {
            Record::Certificate(record) => Some(record),
            _ => None,
        })
    }

    /// How many certificates were issued in a zone.
    pub fn certificate_count(&self, zone: ZoneId) -> usize {
        self.count(Group::Certificates(zone))
    }

    /// What was revoked of uploaded authorities.
    pub fn revocations(&self) -> impl Iterator<Item = &Arc<RevocationRecord>> {
        let empty = Serial::from_bytes(&[]);
        let first = RecordKey::Revocation(AuthorityId::FIRST, empty);
        self.records.range(first..RecordKey::List(ListId::FIRST)).filter_map(|(_, record)| match record {
            Record::Revocation(record) => Some(record),
            _ => None,
        })
    }

    /// Every revoked certificate, whoever issued it: what the revocation set is loaded with.
    pub fn revocation_keys(&self) -> Vec<crate::revocation::RevocationKey> {
        let first = RecordKey::Certificate(ZoneId::FIRST, CertificateId::FIRST);
        let last = RecordKey::List(ListId::FIRST);
        let keys = self.records.range(first..last).filter_map(|(_, record)| match record {
            Record::Certificate(record) => record.status.is_revoked().then_some(record.revocation_key),
            Record::Revocation(record) => Some(record.revocation_key),
            _ => None,
        });
        keys.collect()
    }

    /// The hosts of an authority in a zone; `None` is the zone's managed one.
    pub fn association(&self, zone: ZoneId, authority: Option<AuthorityId>) -> Option<&Arc<AssociationRecord>> {
        match self.record(&RecordKey::Association(zone, authority))? {
            Record::Association(record) => Some(record),
            _ => None,
        }
    }

    /// All associations, zone by zone.
    pub fn associations(&self) -> impl Iterator<Item = &Arc<AssociationRecord>> {
        let first = RecordKey::Association(ZoneId::FIRST, None);
        let last = RecordKey::Certificate(ZoneId::FIRST, CertificateId::FIRST);
        self.records.range(first..last).filter_map(|(_, record)| match record {
            Record::Association(record) => Some(record),
            _ => None,
        })
    }

    /// The rules of a zone, if it ever had any.
    pub fn ruleset(&self, zone: ZoneId) -> Option<&Arc<Ruleset>> {
        match self.record(&RecordKey::Ruleset(zone))? {
            Record::Ruleset(record) => Some(record),
            _ => None,
        }
    }

    /// Earlier versions of the rules of a zone, oldest first.
    pub fn ruleset_versions(&self, zone: ZoneId) -> impl Iterator<Item = &Arc<Ruleset>> {
        let range = RecordKey::RulesetVersion(zone, 0)..=RecordKey::RulesetVersion(zone, u64::MAX);
        self.records.range(range).filter_map(|(_, record)| match record {
            Record::RulesetVersion(record) => Some(record),
            _ => None,
        })
    }

    /// All lists.
    pub fn lists(&self) -> impl Iterator<Item = &Arc<ListRecord>> {
        let range = RecordKey::List(ListId::FIRST)..=RecordKey::List(ListId::LAST);
        self.records.range(range).filter_map(|(_, record)| match record {
            Record::List(record) => Some(record),
            _ => None,
        })
    }

    /// A list.
    pub fn list(&self, id: ListId) -> Option<&Arc<ListRecord>> {
        match self.record(&RecordKey::List(id))? {
            Record::List(record) => Some(record),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn items(&self, list: ListId) -> impl Iterator<Item = &Arc<ListItem>> {
        let range = RecordKey::ListItem(list, ItemId::FIRST)..=RecordKey::ListItem(list, ItemId::LAST);
        self.records.range(range).filter_map(|(_, record)| match record {
            Record::ListItem(record) => Some(record),
            _ => None,
        })
    }

    /// How many items a list has.
    pub fn item_count(&self, list: ListId) -> usize {
        self.count(Group::Items(list))
    }

    /// A setting of a zone, if it is not what it is by default.
    pub fn setting(&self, zone: ZoneId, name: &str) -> Option<&Arc<SettingRecord>> {
        match self.record(&RecordKey::Setting(zone, name.to_owned()))? {
            Record::Setting(record) => Some(record),
            _ => None,
        }
    }

    /// The filters of a zone.
    pub fn filters(&self, zone: ZoneId) -> impl Iterator<Item = &Arc<FilterRecord>> {
        let range = RecordKey::Filter(zone, FilterId::FIRST)..=RecordKey::Filter(zone, FilterId::LAST);
        self.records.range(range).filter_map(|(_, record)| match record {
            Record::Filter(record) => Some(record),
            _ => None,
        })
    }

    /// A filter.
    pub fn filter(&self, zone: ZoneId, id: FilterId) -> Option<&Arc<FilterRecord>> {
        match self.record(&RecordKey::Filter(zone, id))? {
            Record::Filter(record) => Some(record),
            _ => None,
        }
    }

    /// A token.
    pub fn token(&self, id: TokenId) -> Option<&Arc<TokenRecord>> {
        match self.record(&RecordKey::Token(id))? {
            Record::Token(record) => Some(record),
            _ => None,
        }
    }

    /// All tokens.
    pub fn tokens(&self) -> impl Iterator<Item = &Arc<TokenRecord>> {
        let range = RecordKey::Token(TokenId::FIRST)..=RecordKey::Token(TokenId::LAST);
        self.records.range(range).filter_map(|(_, record)| match record {
            Record::Token(record) => Some(record),
            _ => None,
        })
    }

    /// The CRL of an uploaded authority, if it has one.
    pub fn crl(&self, authority: AuthorityId) -> Option<&Arc<CrlRecord>> {
        match self.record(&RecordKey::Crl(authority))? {
            Record::Crl(record) => Some(record),
            _ => None,
        }
    }

    /// All CRLs.
    pub fn crls(&self) -> impl Iterator<Item = &Arc<CrlRecord>> {
        let range = RecordKey::Crl(AuthorityId::FIRST)..=RecordKey::Crl(AuthorityId::LAST);
        self.records.range(range).filter_map(|(_, record)| match record {
            Record::Crl(record) => Some(record),
            _ => None,
        })
    }

    fn count(&self, group: Group) -> usize {
        self.counts.get(&group).copied().unwrap_or(0)
    }

    fn put(&mut self, record: Record) {
        let key = record.key();
        if let (Some(group), false) = (Group::of(&key), self.records.contains_key(&key)) {
            self.counts.insert_mut(group, self.count(group).saturating_add(1));
        }
        self.records.insert_mut(key, record);
    }

    fn remove(&mut self, key: &RecordKey) -> bool {
        let was_there = self.records.remove_mut(key);
        if let (Some(group), true) = (Group::of(key), was_there) {
            self.counts.insert_mut(group, self.count(group).saturating_sub(1));
        }
        was_there
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.records == other.records
    }
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.records.keys().map(ToString::to_string)).finish()
    }
}
