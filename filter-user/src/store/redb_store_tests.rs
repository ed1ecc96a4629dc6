//! What the store keeps, refuses and remembers.

use std::os::unix::fs::MetadataExt as _;

use super::*;
use crate::model::{
    AssociationRecord, AuthorityId, AuthorityKind, AuthorityRecord, CertificateStatus, CrlRecord, CrlSource, CrlUpload,
    FilterId, FilterRecord, ItemId, ListId, ListItem, ListKind, ListRecord, Position, RuleAction, RuleId, RuleRecord,
    Scope, SettingRecord, SubjectParts, Timestamp, TokenId, TokenRecord, WhenStale, ZoneId,
};
use crate::pki::{CertificateRequest, ManagedAuthority, Validity};
use crate::store::{AUDIT_CHANGES, MasterKey, seal_authority};

pub(in crate::store) fn audit(action: &str) -> Audit {
    let (actor, origin) = ("local".to_owned(), "test".to_owned());
    Audit { at: Timestamp::from_unix_seconds(1), actor, origin, action: action.to_owned() }
}

fn zone() -> ZoneId {
    ZoneId::of_name("example.com")
}

fn setting(name: &str, value: &str) -> Change {
    let modified = Timestamp::from_unix_seconds(1);
    Change::SetSetting(SettingRecord { zone: zone(), name: name.to_owned(), value: value.into(), modified })
}

fn list(id: ListId, name: &str) -> Change {
    let at = Timestamp::from_unix_seconds(1);
    let (name, description) = (name.to_owned(), String::new());
    Change::AddList(ListRecord { id, kind: ListKind::Ip, name, description, created: at, modified: at })
}

fn items(list: ListId, count: usize) -> Change {
    let at = Timestamp::from_unix_seconds(1);
    let item = |number: usize| ListItem {
        list,
        id: ItemId::generate(),
        value: number.to_string(),
        comment: String::new(),
        created: at,
        modified: at,
    };
    Change::AddItems { list, items: (0..count).map(item).collect(), at }
}

/// Changes that leave a record of every kind behind.
pub(in crate::store) fn everything() -> Vec<Change> {
    let at = Timestamp::from_unix_seconds(1_795_478_400);
    let managed = ManagedAuthority::generate(zone(), "example.com", at.unix_time()).unwrap();
    let (request, _) = CertificateRequest::with_new_key(SubjectParts::default()).unwrap();
    let certificate = managed.issue(&request, Validity::days(1).unwrap(), at.unix_time()).unwrap();
    let authority = seal_authority(&managed, &MasterKey::from_bytes(&[1; 32]).unwrap()).unwrap();
    let rule = RuleRecord {
        id: RuleId::generate(),
        reference: "r".to_owned(),
        version: 1,
        description: "é \"quoted\"".to_owned(),
        expression: "true".to_owned(),
        action: RuleAction::BLOCK,
        enabled: true,
        created: at,
        modified: at,
        legacy: None,
    };
    let uploaded = AuthorityRecord {
        id: AuthorityId::generate(),
        kind: AuthorityKind::Uploaded,
        certificate: vec![1],
        key: None,
        ..authority.clone()
    };
    let crl = CrlRecord {
        authority: uploaded.id,
        source: Some(CrlSource::try_from("https://pki.example.com/a.crl".to_owned()).unwrap()),
        delta_source: Some(CrlSource::try_from("/etc/ca/delta.crl".to_owned()).unwrap()),
        refresh_seconds: 3_600,
        when_stale: WhenStale::Allow,
        uploaded: Some(CrlUpload { number: "0x07".to_owned(), sha256: "ab".to_owned(), at }),
        modified: at,
    };
    let id = ListId::generate();
    let token = TokenRecord {
        id: TokenId::generate(),
        name: "t".to_owned(),
        secret_sha256: "secret hash".to_owned(),
        scopes: vec![Scope::Admin],
        zones: None,
        created: at,
        expires: None,
        disabled: false,
    };
    let revocation = crate::model::RevocationRecord {
        authority: authority.id,
        serial: certificate.serial.clone(),
        revocation_key: certificate.revocation_key,
        revoked_at: at,
        comment: String::new(),
    };
    let revoke =
        Change::SetCertificateStatus { zone: zone(), id: certificate.id, status: CertificateStatus::Revoked, at };
    let filter = FilterRecord {
        id: FilterId::generate(),
        zone: zone(),
        expression: "ssl".to_owned(),
        description: String::new(),
        reference: String::new(),
        paused: false,
        created: at,
        modified: at,
    };
    let hostnames = vec!["api.example.com".to_owned()];
    vec![
        Change::AddAuthority(authority),
        Change::AddCertificate(certificate),
        revoke,
        Change::SetRevocation(revocation),
        Change::SetAssociation(AssociationRecord { zone: zone(), authority: None, hostnames }),
        Change::AddRule { zone: zone(), rule: rule.clone(), position: Position::Last },
        Change::MoveRule { zone: zone(), id: rule.id, position: Position::First, at },
        list(id, "l"),
        items(id, 2),
        setting("ssl", "strict"),
        Change::AddToken(token),
        Change::AddFilter(filter),
        Change::AddAuthority(uploaded),
        Change::SetCrl(crl),
    ]
}

#[test]
fn a_new_store_is_empty_and_private() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(store.load().unwrap(), (Revision::ZERO, State::default()));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(path.join(FILE)).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn every_kind_of_record_survives_closing_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = RedbStore::open(directory.path()).unwrap();
    let revision = store.commit(Revision::ZERO, &everything(), audit("everything")).unwrap();
    let (_, before) = store.load().unwrap();
    drop(store);
    let (again, after) = RedbStore::open(directory.path()).unwrap().load().unwrap();
    assert_eq!((again, &after), (revision, &before));
    let kinds: std::collections::BTreeSet<_> =
        after.records().map(|record| record.key().to_string().split('/').next().unwrap().to_owned()).collect();
    assert_eq!(kinds.len(), 12, "a kind of record is missing in this test: {kinds:?}");
}

#[test]
fn a_removed_record_stays_removed() {
    let directory = tempfile::tempdir().unwrap();
    let store = RedbStore::open(directory.path()).unwrap();
    let revision = store.commit(Revision::ZERO, &[setting("a", "1"), setting("b", "1")], audit("set")).unwrap();
    store.commit(revision, &[Change::RemoveSetting { zone: zone(), name: "a".to_owned() }], audit("remove")).unwrap();
    drop(store);
    let (_, state) = RedbStore::open(directory.path()).unwrap().load().unwrap();
    assert!(state.setting(zone(), "a").is_none() && state.setting(zone(), "b").is_some());
}

#[test]
fn a_stale_writer_is_told_and_changes_nothing() {
    let store = RedbStore::in_memory().unwrap();
    let first = store.commit(Revision::ZERO, &[setting("a", "1")], audit("first")).unwrap();
    let stale = store.commit(Revision::ZERO, &[setting("a", "2")], audit("second"));
    assert!(matches!(stale, Err(StoreError::Conflict { expected: Revision::ZERO, actual }) if actual == first));
    let (revision, state) = store.load().unwrap();
    assert_eq!((revision, &state.setting(zone(), "a").unwrap().value), (first, &"1".into()));
    assert_eq!(store.audit(None, 10).unwrap().len(), 1);
}

#[test]
fn of_writers_at_once_one_wins() {
    let store = RedbStore::in_memory().unwrap();
    let won = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|number| {
                let change = setting("a", &number.to_string());
                scope.spawn(|| store.commit(Revision::ZERO, &[change], audit("race")).is_ok())
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!((won, store.load().unwrap().0), (1, Revision::new(1)));
}

#[test]
fn a_change_that_cannot_be_is_refused_and_leaves_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let store = RedbStore::open(directory.path()).unwrap();
    let changes = [setting("a", "1"), Change::RemoveSetting { zone: zone(), name: "absent".to_owned() }];
    assert!(matches!(store.commit(Revision::ZERO, &changes, audit("half")), Err(StoreError::Model(_))));
    drop(store);
    let store = RedbStore::open(directory.path()).unwrap();
    assert_eq!(store.load().unwrap(), (Revision::ZERO, State::default()));
    assert!(store.audit(None, 10).unwrap().is_empty());
}

#[test]
fn two_processes_do_not_share_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let _open = RedbStore::open(directory.path()).unwrap();
    let error = RedbStore::open(directory.path()).err().unwrap();
    assert!(matches!(&error, StoreError::InUse(_)), "{error}");
}

#[test]
fn a_store_of_a_newer_program_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = RedbStore::open(directory.path()).unwrap();
    let transaction = begin(&store.database).unwrap();
    transaction.open_table(META).unwrap().insert(META_SCHEMA, SCHEMA + 1).unwrap();
    transaction.commit().unwrap();
    drop(store);
    let error = RedbStore::open(directory.path()).err().unwrap();
    assert!(matches!(&error, StoreError::NewerSchema { found, .. } if *found == SCHEMA + 1), "{error}");
}

#[test]
fn a_record_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let store = RedbStore::open(directory.path()).unwrap();
    store.commit(Revision::ZERO, &[setting("a", "1")], audit("set")).unwrap();
    let name = format!("setting/{}/a", zone());
    let json = {
        let transaction = store.database.begin_read().unwrap();
        transaction.open_table(RECORDS).unwrap().get(name.as_str()).unwrap().unwrap().value().to_vec()
    };
    let elsewhere = format!("setting/{}/b", zone());
    for (key, bytes) in [(name.as_str(), b"{".as_slice()), (elsewhere.as_str(), json.as_slice())] {
        let transaction = begin(&store.database).unwrap();
        transaction.open_table(RECORDS).unwrap().insert(key, bytes).unwrap();
        transaction.commit().unwrap();
        let error = read(&store.database).unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt { key: named, .. } if named == key), "{error}");
        let transaction = begin(&store.database).unwrap();
        transaction.open_table(RECORDS).unwrap().insert(name.as_str(), json.as_slice()).unwrap();
        transaction.commit().unwrap();
    }
}

#[test]
fn an_audit_record_tells_who_did_what_and_how_it_was_before() {
    let store = RedbStore::in_memory().unwrap();
    let first = store.commit(Revision::ZERO, &[setting("a", "1")], audit("first")).unwrap();
    let second = store.commit(first, &[setting("a", "2"), setting("b", "1")], audit("second")).unwrap();
    let records = store.audit(None, 10).unwrap();
    let actions: Vec<_> = records.iter().map(|record| record.action.as_str()).collect();
    assert_eq!(actions, ["second", "first"]);
    assert_eq!((records[0].revision, records[0].actor.as_str()), (second.number(), "local"));
    let value = |value: &Option<serde_json::Value>| value.as_ref().map(|value| value["value"].clone());
    let seen: Vec<_> = records[0].changes.iter().map(|change| (value(&change.before), value(&change.after))).collect();
    assert_eq!(seen, [(Some("1".into()), Some("2".into())), (None, Some("1".into()))]);
    assert_eq!(store.audit(Some(second), 10).unwrap().len(), 1);
    assert_eq!(store.audit(None, 1).unwrap().len(), 1);
}

#[test]
fn an_audit_record_holds_no_secret_and_no_more_changes_than_the_limit() {
    let store = RedbStore::in_memory().unwrap();
    let first = store.commit(Revision::ZERO, &everything(), audit("everything")).unwrap();
    let id = ListId::generate();
    // The list itself is a change too.
    store.commit(first, &[list(id, "full"), items(id, AUDIT_CHANGES - 1)], audit("at the limit")).unwrap();
    let full = store.load().unwrap().0;
    let id = ListId::generate();
    store.commit(full, &[list(id, "overfull"), items(id, AUDIT_CHANGES)], audit("past the limit")).unwrap();
    let records = store.audit(None, 10).unwrap();
    let sizes: Vec<_> = records.iter().map(|record| (record.changes.len(), record.omitted)).collect();
    assert_eq!(sizes, [(AUDIT_CHANGES, 1), (AUDIT_CHANGES, 0), (14, 0)]);
    let text = serde_json::to_string(&records).unwrap();
    assert!(!text.contains("secret") && !text.contains("sealed"), "{text}");
}

#[test]
fn only_the_newest_audit_records_are_kept() {
    let store = RedbStore::in_memory().unwrap();
    let mut revision = Revision::ZERO;
    for number in 0..5 {
        revision = store.commit(revision, &[setting("a", &number.to_string())], audit("set")).unwrap();
    }
    let left_of = |kept| {
        let transaction = begin(&store.database).unwrap();
        forget_oldest(&mut transaction.open_table(AUDIT).unwrap(), kept).unwrap();
        transaction.commit().unwrap();
        store.audit(None, 10).unwrap().iter().map(|record| record.revision).collect::<Vec<_>>()
    };
    assert_eq!(left_of(5), [5, 4, 3, 2, 1]);
    assert_eq!(left_of(4), [5, 4, 3, 2]);
}

#[test]
fn a_restored_state_replaces_everything_and_survives() {
    let directory = tempfile::tempdir().unwrap();
    let store = RedbStore::open(directory.path()).unwrap();
    let first = store.commit(Revision::ZERO, &[setting("a", "1"), setting("b", "1")], audit("set")).unwrap();
    let backup = State::default().apply(&[setting("b", "2"), setting("c", "1")]).unwrap().state;
    assert!(matches!(
        store.restore(Revision::ZERO, backup.clone(), audit("restore")),
        Err(StoreError::Conflict { .. })
    ));
    let second = store.restore(first, backup.clone(), audit("restore")).unwrap();
    drop(store);
    let store = RedbStore::open(directory.path()).unwrap();
    assert_eq!(store.load().unwrap(), (second, backup));
    assert_eq!(store.audit(None, 1).unwrap()[0].changes.len(), 3);
}

#[test]
fn refused_attempts_are_kept_newest_first_and_are_no_changes() {
    let directory = tempfile::tempdir().unwrap();
    let store = RedbStore::open(directory.path()).unwrap();
    assert_eq!(store.refusals(10).unwrap(), []);
    let refusal = |number: u32| Refusal {
        at: Timestamp::from_unix_seconds(i64::from(number)),
        origin: "192.0.2.1".to_owned(),
        request: "GET /".to_owned(),
        reason: number.to_string(),
    };
    for number in 0..3 {
        store.refuse(&refusal(number)).unwrap();
    }
    drop(store);
    let store = RedbStore::open(directory.path()).unwrap();
    assert_eq!(store.refusals(2).unwrap(), [refusal(2), refusal(1)]);
    assert_eq!(store.load().unwrap().0, Revision::ZERO, "they are no changes");
}
