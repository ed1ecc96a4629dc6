//! What can be done to a state, one step at a time.

use super::crl::CrlRecord;
use super::id::{AuthorityId, CertificateId, FilterId, ItemId, ListId, RuleId, TokenId, ZoneId};
use super::record::{
    AssociationRecord, AuthorityRecord, CertificateRecord, CertificateStatus, ListItem, ListRecord, RevocationRecord,
    Serial, SettingRecord, TokenRecord,
};
use super::rule::{FilterRecord, RuleRecord};
use super::timestamp::Timestamp;

/// Where a rule goes in its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Before all others.
    First,
    /// After all others.
    Last,
    /// Directly before another rule.
    Before(RuleId),
    /// Directly after another rule.
    After(RuleId),
    /// To this place, counted from 1; a place past the end is the end.
    Index(usize),
}

/// One change of a state.
///
/// `Add…` needs the record to be new, `Replace…`, `Retire…`, `Move…` and `Remove…` need it to exist, `Set…` does not care.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say no more than their types")]
pub enum Change {
    /// A new authority.
    AddAuthority(AuthorityRecord),
    /// A managed authority issues no more, but still verifies.
    RetireAuthority { id: AuthorityId, at: Timestamp },
    /// Forgets an authority, and what was revoked of it. Refused while it is bound to hosts or issues for its zone.
    RemoveAuthority(AuthorityId),
    /// A newly issued certificate.
    AddCertificate(CertificateRecord),
    /// Revocation, reactivation and the steps between.
    SetCertificateStatus { zone: ZoneId, id: CertificateId, status: CertificateStatus, at: Timestamp },
    /// Revokes a certificate of an uploaded authority.
    SetRevocation(RevocationRecord),
    /// Takes such a revocation back.
    RemoveRevocation { authority: AuthorityId, serial: Serial },
    /// The hosts on which an authority counts; no hosts take the association away.
    SetAssociation(AssociationRecord),
    /// Replaces all rules of a zone; a rule that is there already keeps its date of creation, and its version if equal.
    SetRules { zone: ZoneId, rules: Vec<RuleRecord>, at: Timestamp },
    /// Rules, name and text of a zone's rule set as one modification, which makes it if there is none; what is `None` stays.
    SetRuleset {
        zone: ZoneId,
        rules: Option<Vec<RuleRecord>>,
        name: Option<String>,
        description: Option<String>,
        at: Timestamp,
    },
    /// A new rule.
    AddRule { zone: ZoneId, rule: RuleRecord, position: Position },
    /// Another definition of a rule, and another place if one is given.
    ReplaceRule { zone: ZoneId, rule: RuleRecord, position: Option<Position> },
    /// Another place for a rule.
    MoveRule { zone: ZoneId, id: RuleId, position: Position, at: Timestamp },
    /// Forgets a rule.
    RemoveRule { zone: ZoneId, id: RuleId, at: Timestamp },
    /// Forgets a zone's rules and their history.
    RemoveRules(ZoneId),
    /// Forgets an earlier version of a zone's rules.
    RemoveRulesVersion { zone: ZoneId, version: u64 },
    /// A new filter.
    AddFilter(FilterRecord),
    /// Another definition of a filter, and of every rule that refers to it.
    ReplaceFilter(FilterRecord),
    /// Forgets a filter. Refused while a rule refers to it.
    RemoveFilter { zone: ZoneId, id: FilterId },
    /// A new list.
    AddList(ListRecord),
    /// Another description of a list.
    DescribeList { id: ListId, description: String, at: Timestamp },
    /// Forgets a list and its items.
    RemoveList(ListId),
    /// Adds items to a list; an item with the value of another one replaces it.
    AddItems { list: ListId, items: Vec<ListItem>, at: Timestamp },
    /// Replaces all items of a list.
    SetItems { list: ListId, items: Vec<ListItem>, at: Timestamp },
    /// Removes items of a list.
    RemoveItems { list: ListId, items: Vec<ItemId>, at: Timestamp },
    /// A setting of a zone.
    SetSetting(SettingRecord),
    /// Makes a setting what it is by default.
    RemoveSetting { zone: ZoneId, name: String },
    /// A new token.
    AddToken(TokenRecord),
    /// Another definition of a token.
    ReplaceToken(TokenRecord),
    /// Forgets a token.
    RemoveToken(TokenId),
    /// The CRL of an uploaded authority.
    SetCrl(CrlRecord),
    /// An uploaded authority has no CRL any more: none of its certificates is revoked by one.
    RemoveCrl(AuthorityId),
}
