//! Applying changes: every rule a state obeys is checked here.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::{Edit, Group, ModelError, State};
use crate::model::change::{Change, Position};
use crate::model::crl::CrlRecord;
use crate::model::id::{AuthorityId, CertificateId, FilterId, ItemId, ListId, RuleId, RulesetId, ZoneId};
use crate::model::limits;
use crate::model::record::{
    AssociationRecord, AuthorityKind, AuthorityRecord, CertificateRecord, CertificateStatus, ListItem, ListRecord,
    Record, RecordKey, RevocationRecord, SettingRecord, TokenRecord,
};
use crate::model::rule::{BlockResponse, FilterRecord, RuleAction, RuleRecord, Ruleset};
use crate::model::timestamp::Timestamp;

/// Versions of a zone's rules that are kept beside the current one.
const RULESET_VERSIONS_KEPT: u64 = 50;

type Outcome = Result<(), ModelError>;

pub(super) fn apply(state: &State, changes: &[Change]) -> Result<Edit, ModelError> {
    let mut editor = Editor { state: state.clone(), touched: BTreeSet::new() };
    changes.iter().try_for_each(|change| editor.apply(change))?;
    Ok(Edit { state: editor.state, touched: editor.touched })
}

struct Editor {
    state: State,
    touched: BTreeSet<RecordKey>,
}

impl Editor {
    fn apply(&mut self, change: &Change) -> Outcome {
        match change {
            Change::AddAuthority(record) => self.add_authority(record),
            Change::RetireAuthority { id, at } => self.retire_authority(*id, *at),
            Change::RemoveAuthority(id) => self.remove_authority(*id),
            Change::AddCertificate(record) => self.add_certificate(record),
            Change::SetCertificateStatus { zone, id, status, at } => self.set_status(*zone, *id, *status, *at),
            Change::SetRevocation(record) => self.set_revocation(record),
            Change::RemoveRevocation { authority, serial } => {
                self.remove(RecordKey::Revocation(*authority, serial.clone()))
            }
            Change::SetAssociation(record) => self.set_association(record),
            Change::SetRules { zone, rules, at } => self.set_rules(*zone, rules, *at),
            Change::SetRuleset { zone, rules, name, description, at } => self.edit_rules(*zone, *at, |set| {
                if let Some(name) = name {
                    check_text("the name of a rule set", name)?;
                    set.name.clone_from(name);
                }
                if let Some(description) = description {
                    check_text("the description of a rule set", description)?;
                    set.description.clone_from(description);
                }
                rules.iter().for_each(|rules| replace_rules(set, rules));
                Ok(())
            }),
            Change::AddRule { zone, rule, position } => self.add_rule(*zone, rule, *position),
            Change::ReplaceRule { zone, rule, position } => self.replace_rule(*zone, rule, *position),
            Change::MoveRule { zone, id, position, at } => self.edit_rules(*zone, *at, |set| {
                let rule = take_rule(set, *id)?;
                place_rule(set, rule, *position)
            }),
            Change::RemoveRule { zone, id, at } => self.edit_rules(*zone, *at, |set| take_rule(set, *id).map(|_| ())),
            Change::RemoveRules(zone) => self.remove_rules(*zone),
            Change::RemoveRulesVersion { zone, version } => self.remove(RecordKey::RulesetVersion(*zone, *version)),
            Change::AddFilter(record) => self.add_filter(record),
            Change::ReplaceFilter(record) => self.replace_filter(record),
            Change::RemoveFilter { zone, id } => self.remove_filter(*zone, *id),
            Change::AddList(record) => self.add_list(record),
            Change::DescribeList { id, description, at } => {
                check_text("the description of a list", description)?;
                self.edit_list(*id, *at, |list| list.description.clone_from(description))
            }
            Change::RemoveList(id) => self.remove_list(*id),
            Change::AddItems { list, items, at } => self.add_items(*list, items, *at),
            Change::SetItems { list, items, at } => {
                let old: Vec<_> = self.state.items(*list).map(|item| item.id).collect();
                self.remove_items(*list, &old, *at)?;
                self.add_items(*list, items, *at)
            }
            Change::RemoveItems { list, items, at } => self.remove_items(*list, items, *at),
            Change::SetSetting(record) => self.set_setting(record),
            Change::RemoveSetting { zone, name } => self.remove(RecordKey::Setting(*zone, name.clone())),
            Change::AddToken(record) => self.add_token(record),
            Change::ReplaceToken(record) => self.replace_token(record),
            Change::RemoveToken(id) => self.remove(RecordKey::Token(*id)),
            Change::SetCrl(record) => self.set_crl(record),
            Change::RemoveCrl(authority) => self.remove(RecordKey::Crl(*authority)),
        }
    }

    // Records.

    fn put(&mut self, record: Record) {
        self.touched.insert(record.key());
        self.state.put(record);
    }

    fn add(&mut self, record: Record) -> Outcome {
        let key = record.key();
        if self.state.record(&key).is_some() {
            return Err(ModelError::AlreadyExists(key));
        }
        self.put(record);
        Ok(())
    }

    fn remove(&mut self, key: RecordKey) -> Outcome {
        if !self.state.remove(&key) {
            return Err(ModelError::NotFound(key));
        }
        self.touched.insert(key);
        Ok(())
    }

    fn check_count(&self, group: Group, what: &'static str, limit: usize) -> Outcome {
        if self.state.count(group) >= limit { Err(ModelError::Limit { what, limit }) } else { Ok(()) }
    }

    // Authorities and certificates.

    fn add_authority(&mut self, record: &AuthorityRecord) -> Outcome {
        self.check_count(Group::Authorities, "certificate authorities", limits::AUTHORITIES)?;
        check_text("the name of an authority", &record.name)?;
        if record.kind == AuthorityKind::Managed && (record.zone.is_none() || record.key.is_none()) {
            return Err(invalid("a managed authority", "needs a zone and a sealed key"));
        }
        if let Some(same) = self.state.authorities().find(|other| other.certificate == record.certificate) {
            return Err(ModelError::AlreadyExists(RecordKey::Authority(same.id)));
        }
        self.add(Record::Authority(Arc::new(record.clone())))
    }

    fn retire_authority(&mut self, id: AuthorityId, at: Timestamp) -> Outcome {
        let record = self.state.authority(id).ok_or(ModelError::NotFound(RecordKey::Authority(id)))?;
        let retired = AuthorityRecord { retired: Some(at), ..AuthorityRecord::clone(record) };
        self.put(Record::Authority(Arc::new(retired)));
        Ok(())
    }

    fn remove_authority(&mut self, id: AuthorityId) -> Outcome {
        let key = RecordKey::Authority(id);
        let record = self.state.authority(id).ok_or_else(|| ModelError::NotFound(key.clone()))?;
        if record.kind == AuthorityKind::Managed && record.retired.is_none() {
            let by = "it issues the certificates of its zone; rotate the authority first".to_owned();
            return Err(ModelError::InUse { key, by });
        }
        if let Some(bound) = self.state.associations().find(|record| record.authority == Some(id)) {
            let by =
                format!("{} hosts of zone {} are bound to it; unbind them first", bound.hostnames.len(), bound.zone);
            return Err(ModelError::InUse { key, by });
        }
        let revocations = self.state.revocations().filter(|record| record.authority == id);
        let keys: Vec<_> = revocations.map(|record| RecordKey::Revocation(id, record.serial.clone())).collect();
        keys.into_iter().try_for_each(|key| self.remove(key))?;
        if self.state.crl(id).is_some() {
            self.remove(RecordKey::Crl(id))?;
        }
        self.remove(key)
    }

    fn set_crl(&mut self, record: &CrlRecord) -> Outcome {
        let key = RecordKey::Authority(record.authority);
        let authority = self.state.authority(record.authority).ok_or(ModelError::NotFound(key))?;
        if authority.kind == AuthorityKind::Managed {
            return Err(invalid("a CRL", "can be loaded for an uploaded authority only: we know what ours revoked"));
        }
        let (least, most) = (limits::CRL_REFRESH_SECONDS_MIN, limits::CRL_REFRESH_SECONDS_MAX);
        if !(least..=most).contains(&record.refresh_seconds) {
            return Err(invalid(
                "the time between two questions for a CRL",
                format!("must be {least} to {most} seconds"),
            ));
        }
        self.put(Record::Crl(Arc::new(record.clone())));
        Ok(())
    }

    fn add_certificate(&mut self, record: &CertificateRecord) -> Outcome {
        self.check_count(
            Group::Certificates(record.zone),
            "client certificates in a zone",
            limits::CERTIFICATES_PER_ZONE,
        )?;
        if self.state.authority(record.authority).is_none() {
            return Err(ModelError::NotFound(RecordKey::Authority(record.authority)));
        }
        self.add(Record::Certificate(Arc::new(record.clone())))
    }

    fn set_status(&mut self, zone: ZoneId, id: CertificateId, status: CertificateStatus, at: Timestamp) -> Outcome {
        let missing = || ModelError::NotFound(RecordKey::Certificate(zone, id));
        let record = self.state.certificate(zone, id).ok_or_else(missing)?;
        let revoked_at = match status {
            CertificateStatus::Active => None,
            // Revoking twice does not move the date.
            _ => Some(record.revoked_at.unwrap_or(at)),
        };
        let changed = CertificateRecord { status, revoked_at, ..CertificateRecord::clone(record) };
        self.put(Record::Certificate(Arc::new(changed)));
        Ok(())
    }

    fn set_revocation(&mut self, record: &RevocationRecord) -> Outcome {
        check_text("the comment of a revocation", &record.comment)?;
        if self.state.authority(record.authority).is_none() {
            return Err(ModelError::NotFound(RecordKey::Authority(record.authority)));
        }
        self.put(Record::Revocation(Arc::new(record.clone())));
        Ok(())
    }

    fn set_association(&mut self, record: &AssociationRecord) -> Outcome {
        let limit = limits::HOSTNAMES_PER_ASSOCIATION;
        if record.hostnames.len() > limit {
            return Err(ModelError::Limit { what: "host names bound to one authority in a zone", limit });
        }
        if let Some(id) = record.authority.filter(|id| self.state.authority(*id).is_none()) {
            return Err(ModelError::NotFound(RecordKey::Authority(id)));
        }
        check_distinct("host name", record.hostnames.iter())?;
        if record.hostnames.is_empty() {
            let key = RecordKey::Association(record.zone, record.authority);
            // Clearing what is clear already is not an error.
            return self.remove(key).or(Ok(()));
        }
        self.put(Record::Association(Arc::new(record.clone())));
        Ok(())
    }

    // Rules.

    /// Changes a zone's rules as one modification: the version goes up, and the one before is kept.
    fn edit_rules(&mut self, zone: ZoneId, at: Timestamp, edit: impl FnOnce(&mut Ruleset) -> Outcome) -> Outcome {
        let before = self.state.ruleset(zone).cloned();
        let mut set = match &before {
            Some(set) => Ruleset::clone(set),
            None => Ruleset {
                id: RulesetId::of_zone(zone),
                zone,
                name: "Default".to_owned(),
                description: String::new(),
                version: 0,
                modified: at,
                rules: Vec::new(),
            },
        };
        edit(&mut set)?;
        check_rules(&set.rules)?;
        set.version = set.version.saturating_add(1);
        set.modified = at;
        if let Some(before) = before {
            let oldest = before.version.saturating_sub(RULESET_VERSIONS_KEPT);
            self.put(Record::RulesetVersion(before));
            let expired = RecordKey::RulesetVersion(zone, oldest);
            if self.state.record(&expired).is_some() {
                self.remove(expired)?;
            }
        }
        self.put(Record::Ruleset(Arc::new(set)));
        Ok(())
    }

    fn set_rules(&mut self, zone: ZoneId, rules: &[RuleRecord], at: Timestamp) -> Outcome {
        self.edit_rules(zone, at, |set| {
            replace_rules(set, rules);
            Ok(())
        })
    }

    fn add_rule(&mut self, zone: ZoneId, rule: &RuleRecord, position: Position) -> Outcome {
        self.edit_rules(zone, rule.modified, |set| place_rule(set, next_version(None, rule), position))
    }

    fn replace_rule(&mut self, zone: ZoneId, rule: &RuleRecord, position: Option<Position>) -> Outcome {
        self.edit_rules(zone, rule.modified, |set| {
            let missing = ModelError::RuleNotFound { zone, rule: rule.id };
            let place = set.rules.iter_mut().find(|known| known.id == rule.id).ok_or(missing)?;
            *place = next_version(Some(place), rule);
            let Some(position) = position else { return Ok(()) };
            let rule = take_rule(set, rule.id)?;
            place_rule(set, rule, position)
        })
    }

    fn remove_rules(&mut self, zone: ZoneId) -> Outcome {
        let versions = self.state.ruleset_versions(zone).map(|set| RecordKey::RulesetVersion(zone, set.version));
        let keys: Vec<_> = versions.collect();
        keys.into_iter().try_for_each(|key| self.remove(key))?;
        self.remove(RecordKey::Ruleset(zone))
    }

    // Filters.

    fn add_filter(&mut self, record: &FilterRecord) -> Outcome {
        self.check_count(Group::Filters(record.zone), "filters in a zone", limits::FILTERS_PER_ZONE)?;
        check_filter(record)?;
        self.add(Record::Filter(Arc::new(record.clone())))
    }

    fn replace_filter(&mut self, record: &FilterRecord) -> Outcome {
        let FilterRecord { zone, id, .. } = *record;
        check_filter(record)?;
        let known = self.state.filter(zone, id).ok_or(ModelError::NotFound(RecordKey::Filter(zone, id)))?;
        let changed = FilterRecord { created: known.created, ..record.clone() };
        let refers = |rule: &RuleRecord| rule.legacy.as_ref().is_some_and(|legacy| legacy.filter == id);
        self.put(Record::Filter(Arc::new(changed)));
        if !self.state.ruleset(zone).is_some_and(|set| set.rules.iter().any(|rule| refers(rule))) {
            return Ok(());
        }
        self.edit_rules(zone, record.modified, |set| {
            for rule in set.rules.iter_mut().filter(|rule| refers(rule)) {
                let is_paused = rule.legacy.as_ref().is_some_and(|legacy| legacy.paused);
                let next = RuleRecord {
                    expression: record.expression.clone(),
                    enabled: !is_paused && !record.paused,
                    modified: record.modified,
                    ..RuleRecord::clone(rule)
                };
                *rule = next_version(Some(rule), &next);
            }
            Ok(())
        })
    }

    fn remove_filter(&mut self, zone: ZoneId, id: FilterId) -> Outcome {
        let refers = |rule: &RuleRecord| rule.legacy.as_ref().is_some_and(|legacy| legacy.filter == id);
        let user = self.state.ruleset(zone).and_then(|set| set.rules.iter().find(|rule| refers(rule)));
        if let Some(rule) = user {
            let by = format!("rule {} refers to it; delete the rule first", rule.id);
            return Err(ModelError::InUse { key: RecordKey::Filter(zone, id), by });
        }
        self.remove(RecordKey::Filter(zone, id))
    }

    // Lists.

    fn add_list(&mut self, record: &ListRecord) -> Outcome {
        self.check_count(Group::Lists, "lists", limits::LISTS)?;
        check_text("the description of a list", &record.description)?;
        check_list_name(&record.name)?;
        if self.state.lists().any(|list| list.name == record.name) {
            return Err(ModelError::Duplicate { what: "the list name", value: record.name.clone() });
        }
        self.add(Record::List(Arc::new(record.clone())))
    }

    fn edit_list(&mut self, id: ListId, at: Timestamp, edit: impl FnOnce(&mut ListRecord)) -> Outcome {
        let record = self.state.list(id).ok_or(ModelError::NotFound(RecordKey::List(id)))?;
        let mut list = ListRecord { modified: at, ..ListRecord::clone(record) };
        edit(&mut list);
        self.put(Record::List(Arc::new(list)));
        Ok(())
    }

    fn remove_list(&mut self, id: ListId) -> Outcome {
        let keys: Vec<_> = self.state.items(id).map(|item| RecordKey::ListItem(id, item.id)).collect();
        keys.into_iter().try_for_each(|key| self.remove(key))?;
        self.remove(RecordKey::List(id))
    }

    fn add_items(&mut self, list: ListId, items: &[ListItem], at: Timestamp) -> Outcome {
        self.edit_list(list, at, |_| ())?;
        check_distinct("the list item", items.iter().map(|item| &item.value))?;
        let new: HashSet<&str> = items.iter().map(|item| item.value.as_str()).collect();
        let same = self.state.items(list).filter(|item| new.contains(item.value.as_str()));
        let replaced: Vec<_> = same.map(|item| RecordKey::ListItem(list, item.id)).collect();
        replaced.into_iter().try_for_each(|key| self.remove(key))?;
        for item in items {
            self.check_count(Group::Items(list), "items in a list", limits::ITEMS_PER_LIST)?;
            check_text("the comment of a list item", &item.comment)?;
            self.add(Record::ListItem(Arc::new(ListItem { list, ..item.clone() })))?;
        }
        Ok(())
    }

    fn remove_items(&mut self, list: ListId, items: &[ItemId], at: Timestamp) -> Outcome {
        self.edit_list(list, at, |_| ())?;
        items.iter().try_for_each(|item| self.remove(RecordKey::ListItem(list, *item)))
    }

    // Settings and tokens.

    fn set_setting(&mut self, record: &SettingRecord) -> Outcome {
        check_text("the name of a setting", &record.name)?;
        if record.value.to_string().len() > limits::SETTING_BYTES {
            return Err(ModelError::Limit { what: "bytes in the value of a setting", limit: limits::SETTING_BYTES });
        }
        self.put(Record::Setting(Arc::new(record.clone())));
        Ok(())
    }

    fn add_token(&mut self, record: &TokenRecord) -> Outcome {
        self.check_count(Group::Tokens, "API tokens", limits::TOKENS)?;
        check_text("the name of a token", &record.name)?;
        self.add(Record::Token(Arc::new(record.clone())))
    }

    fn replace_token(&mut self, record: &TokenRecord) -> Outcome {
        check_text("the name of a token", &record.name)?;
        self.remove(RecordKey::Token(record.id))?;
        self.add(Record::Token(Arc::new(record.clone())))
    }
}

fn invalid(what: &'static str, problem: impl Into<String>) -> ModelError {
    ModelError::Invalid { what, problem: problem.into() }
}

fn check_text(what: &'static str, text: &str) -> Outcome {
    if text.len() > limits::TEXT_BYTES {
        return Err(invalid(what, format!("is longer than {} bytes", limits::TEXT_BYTES)));
    }
    if text.contains('\0') {
        return Err(invalid(what, "holds a NUL character"));
    }
    Ok(())
}

fn check_distinct<'a>(what: &'static str, values: impl Iterator<Item = &'a String>) -> Outcome {
    let mut seen = HashSet::new();
    for value in values {
        if !seen.insert(value) {
            return Err(ModelError::Duplicate { what, value: value.clone() });
        }
    }
    Ok(())
}

/// The grammar of `$name` in expressions.
fn check_list_name(name: &str) -> Outcome {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || name.len() > 50 || !name.bytes().all(word) {
        return Err(invalid("the name of a list", "must be 1 to 50 characters of a-z, 0-9 and _"));
    }
    Ok(())
}

/// A rule as it comes into the list: its version and dates follow from the one it replaces.
fn next_version(known: Option<&Arc<RuleRecord>>, rule: &RuleRecord) -> Arc<RuleRecord> {
    let Some(known) = known else { return Arc::new(RuleRecord { version: 1, ..rule.clone() }) };
    let same = RuleRecord { version: known.version, created: known.created, modified: known.modified, ..rule.clone() };
    if same == **known {
        return Arc::clone(known);
    }
    Arc::new(RuleRecord { version: known.version.saturating_add(1), created: known.created, ..rule.clone() })
}

/// A rule that is there already keeps its date of creation, and its version if it is the same.
fn replace_rules(set: &mut Ruleset, rules: &[RuleRecord]) {
    let known: BTreeMap<RuleId, Arc<RuleRecord>> = set.rules.iter().map(|rule| (rule.id, Arc::clone(rule))).collect();
    set.rules = rules.iter().map(|rule| next_version(known.get(&rule.id), rule)).collect();
}

fn take_rule(set: &mut Ruleset, id: RuleId) -> Result<Arc<RuleRecord>, ModelError> {
    let place = set.position(id).ok_or(ModelError::RuleNotFound { zone: set.zone, rule: id })?;
    Ok(set.rules.remove(place))
}

fn place_rule(set: &mut Ruleset, rule: Arc<RuleRecord>, position: Position) -> Outcome {
    let of = |id| set.position(id).ok_or(ModelError::RuleNotFound { zone: set.zone, rule: id });
    let place = match position {
        Position::First => 0,
        Position::Last => set.rules.len(),
        Position::Before(id) => of(id)?,
        Position::After(id) => of(id)?.saturating_add(1),
        Position::Index(0) => return Err(invalid("the position of a rule", "is counted from 1")),
        Position::Index(place) => place.saturating_sub(1).min(set.rules.len()),
    };
    set.rules.insert(place, rule);
    Ok(())
}

fn check_rules(rules: &[Arc<RuleRecord>]) -> Outcome {
    if rules.len() > limits::RULES_PER_ZONE {
        return Err(ModelError::Limit { what: "rules in a zone", limit: limits::RULES_PER_ZONE });
    }
    let (mut ids, mut references) = (HashSet::new(), HashSet::new());
    for rule in rules {
        if !ids.insert(rule.id) {
            return Err(ModelError::Duplicate { what: "the rule id", value: rule.id.to_string() });
        }
        if !references.insert(&rule.reference) {
            return Err(ModelError::Duplicate { what: "the rule reference", value: rule.reference.clone() });
        }
        check_rule(rule)?;
    }
    Ok(())
}

fn check_filter(filter: &FilterRecord) -> Outcome {
    check_text("the description of a filter", &filter.description)?;
    check_text("the reference of a filter", &filter.reference)?;
    check_expression(&filter.expression)
}

fn check_expression(expression: &str) -> Outcome {
    if expression.len() > limits::EXPRESSION_BYTES {
        return Err(invalid("a rule expression", format!("is longer than {} bytes", limits::EXPRESSION_BYTES)));
    }
    Ok(())
}

fn check_rule(rule: &RuleRecord) -> Outcome {
    check_text("the description of a rule", &rule.description)?;
    check_text("the reference of a rule", &rule.reference)?;
    check_expression(&rule.expression)?;
    match &rule.action {
        RuleAction::Block { response: Some(response) } => check_response(response),
        RuleAction::Block { response: None } | RuleAction::Log | RuleAction::Skip => Ok(()),
    }
}

fn check_response(response: &BlockResponse) -> Outcome {
    if !(400..=499).contains(&response.status_code) {
        return Err(invalid("the status code of a custom response", "must be 400 to 499"));
    }
    if !BlockResponse::CONTENT_TYPES.contains(&response.content_type.as_str()) {
        let types = BlockResponse::CONTENT_TYPES.join(", ");
        return Err(invalid("the content type of a custom response", format!("must be one of {types}")));
    }
    if response.content.len() > limits::RESPONSE_BYTES {
        return Err(invalid("a custom response", format!("is longer than {} bytes", limits::RESPONSE_BYTES)));
    }
    Ok(())
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
