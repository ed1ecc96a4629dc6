//! What a state lets be done to it.

use super::*;
use crate::model::{Legacy, ListKind, SealedKey, Serial, SubjectParts, TokenId, WhenStale};
use crate::revocation::{IssuerKeyHash, RevocationKey};

const AT: Timestamp = Timestamp::from_unix_seconds(1_000);
const LATER: Timestamp = Timestamp::from_unix_seconds(2_000);

fn zone() -> ZoneId {
    ZoneId::of_name("example.com")
}

fn rule(reference: &str) -> RuleRecord {
    RuleRecord {
        id: RuleId::generate(),
        reference: reference.to_owned(),
        version: 0,
        description: String::new(),
        expression: "not cf.tls_client_auth.cert_verified".to_owned(),
        action: RuleAction::BLOCK,
        enabled: true,
        created: AT,
        modified: AT,
        legacy: None,
    }
}

fn authority(kind: AuthorityKind) -> AuthorityRecord {
    let id = AuthorityId::generate();
    AuthorityRecord {
        id,
        zone: Some(zone()),
        name: "authority".to_owned(),
        kind,
        certificate: id.as_bytes().to_vec(),
        key: Some(SealedKey { master_key: "k".to_owned(), sealed: vec![1] }),
        created: AT,
        retired: None,
    }
}

fn certificate(authority: AuthorityId, serial: u8) -> CertificateRecord {
    CertificateRecord {
        id: CertificateId::generate(),
        zone: zone(),
        authority,
        certificate: String::new(),
        csr: None,
        subject: SubjectParts::default(),
        serial: Serial::from_bytes(&[serial]),
        serial_decimal: serial.to_string(),
        ski: String::new(),
        fingerprint_sha256: String::new(),
        signature: String::new(),
        issued_on: AT,
        expires_on: LATER,
        validity_days: 1,
        status: CertificateStatus::Active,
        revoked_at: None,
        revocation_key: RevocationKey::new(&IssuerKeyHash::of_spki(b"k"), &[serial]),
    }
}

fn after(state: &State, changes: &[Change]) -> State {
    state.apply(changes).expect("the changes are legal").state
}

fn references(state: &State) -> Vec<String> {
    state.ruleset(zone()).unwrap().rules.iter().map(|rule| rule.reference.clone()).collect()
}

fn with_rules(names: &[&str]) -> (State, Vec<RuleRecord>) {
    let rules: Vec<_> = names.iter().map(|name| rule(name)).collect();
    (after(&State::default(), &[Change::SetRules { zone: zone(), rules: rules.clone(), at: AT }]), rules)
}

#[test]
fn a_rule_goes_where_its_position_says() {
    let (state, rules) = with_rules(&["a", "b"]);
    let table = [
        (Position::First, "xab"),
        (Position::Last, "abx"),
        (Position::Before(rules[1].id), "axb"),
        (Position::After(rules[0].id), "axb"),
        (Position::Index(1), "xab"),
        (Position::Index(3), "abx"),
        (Position::Index(99), "abx"),
    ];
    for (position, expected) in table {
        let next = after(&state, &[Change::AddRule { zone: zone(), rule: rule("x"), position }]);
        assert_eq!(references(&next).concat(), expected, "{position:?}");
    }
}

#[test]
fn a_moved_rule_keeps_its_version_and_the_list_gets_a_new_one() {
    let (state, rules) = with_rules(&["a", "b", "c"]);
    let id = rules[2].id;
    let next = after(&state, &[Change::MoveRule { zone: zone(), id, position: Position::First, at: LATER }]);
    assert_eq!(references(&next).concat(), "cab");
    let set = next.ruleset(zone()).unwrap();
    assert_eq!((set.version, set.modified, set.rule(id).unwrap().version), (2, LATER, 1));
}

#[test]
fn a_replaced_rule_keeps_its_creation_and_raises_its_version() {
    let (state, rules) = with_rules(&["a", "b"]);
    let changed = RuleRecord { enabled: false, created: LATER, modified: LATER, ..rules[0].clone() };
    let next = after(&state, &[Change::ReplaceRule { zone: zone(), rule: changed, position: Some(Position::Last) }]);
    assert_eq!(references(&next).concat(), "ba");
    let rule = next.ruleset(zone()).unwrap().rule(rules[0].id).unwrap().clone();
    assert_eq!((rule.version, rule.created, rule.modified, rule.enabled), (2, AT, LATER, false));
}

#[test]
fn rules_that_are_set_again_unchanged_keep_their_versions() {
    let (state, mut rules) = with_rules(&["a", "b"]);
    rules[1].description = "new".to_owned();
    rules.iter_mut().for_each(|rule| rule.modified = LATER);
    let next = after(&state, &[Change::SetRules { zone: zone(), rules, at: LATER }]);
    let seen: Vec<_> = next.ruleset(zone()).unwrap().rules.iter().map(|rule| (rule.version, rule.modified)).collect();
    assert_eq!(seen, [(1, AT), (2, LATER)]);
}

#[test]
fn earlier_versions_are_kept_up_to_the_limit() {
    let (mut state, rules) = with_rules(&["a", "b"]);
    for _ in 0..RULESET_VERSIONS_KEPT + 5 {
        state =
            after(&state, &[Change::MoveRule { zone: zone(), id: rules[0].id, position: Position::Last, at: LATER }]);
    }
    let versions: Vec<_> = state.ruleset_versions(zone()).map(|set| set.version).collect();
    let current = state.ruleset(zone()).unwrap().version;
    assert_eq!(versions, (current - RULESET_VERSIONS_KEPT..current).collect::<Vec<_>>());
    let gone = after(&state, &[Change::RemoveRules(zone())]);
    assert_eq!(gone.records().count(), 0);
}

#[test]
fn a_refused_change_names_its_reason() {
    let (state, rules) = with_rules(&["a"]);
    let absent = RuleId::generate();
    let response = BlockResponse { status_code: 403, content_type: "text/plain".to_owned(), content: String::new() };
    let custom = |response| RuleRecord { action: RuleAction::Block { response: Some(response) }, ..rule("x") };
    let add = |rule| Change::AddRule { zone: zone(), rule, position: Position::Last };
    let table = [
        (add(rules[0].clone()), "used twice"),
        (add(rule("a")), "the rule reference \"a\" is used twice"),
        (
            Change::AddRule { zone: zone(), rule: rule("x"), position: Position::Before(absent) },
            "does not exist in zone",
        ),
        (Change::AddRule { zone: zone(), rule: rule("x"), position: Position::Index(0) }, "counted from 1"),
        (Change::RemoveRule { zone: zone(), id: absent, at: AT }, "does not exist in zone"),
        (
            add(RuleRecord { expression: "x".repeat(limits::EXPRESSION_BYTES + 1), ..rule("x") }),
            "longer than 4096 bytes",
        ),
        (add(RuleRecord { description: "x".repeat(limits::TEXT_BYTES + 1), ..rule("x") }), "longer than 500 bytes"),
        (add(RuleRecord { description: "a\0b".to_owned(), ..rule("x") }), "NUL"),
        (add(custom(BlockResponse { status_code: 399, ..response.clone() })), "must be 400 to 499"),
        (add(custom(BlockResponse { status_code: 500, ..response.clone() })), "must be 400 to 499"),
        (add(custom(BlockResponse { content_type: "image/png".to_owned(), ..response.clone() })), "must be one of"),
        (add(custom(BlockResponse { content: "x".repeat(2_049), ..response.clone() })), "longer than 2048 bytes"),
        (Change::RemoveAuthority(AuthorityId::generate()), "does not exist"),
    ];
    for (change, reason) in table {
        let error = state.apply(std::slice::from_ref(&change)).expect_err(reason).to_string();
        assert!(error.contains(reason), "{error:?} for {change:?}");
    }
    let at_limits = custom(BlockResponse { status_code: 499, content: "x".repeat(2_048), ..response });
    let at_limits = RuleRecord { expression: "x".repeat(4_096), description: "x".repeat(500), ..at_limits };
    after(&state, &[add(at_limits)]);
}

#[test]
fn a_zone_takes_as_many_rules_as_the_limit_and_not_one_more() {
    let rules: Vec<_> = (0..limits::RULES_PER_ZONE).map(|number| rule(&number.to_string())).collect();
    let full = after(&State::default(), &[Change::SetRules { zone: zone(), rules, at: AT }]);
    let error = full.apply(&[Change::AddRule { zone: zone(), rule: rule("one more"), position: Position::Last }]);
    assert_eq!(error.unwrap_err(), ModelError::Limit { what: "rules in a zone", limit: limits::RULES_PER_ZONE });
}

#[test]
fn of_several_changes_all_happen_or_none() {
    let (state, _) = with_rules(&["a"]);
    let changes = [
        Change::AddRule { zone: zone(), rule: rule("b"), position: Position::Last },
        Change::RemoveRule { zone: zone(), id: RuleId::generate(), at: AT },
    ];
    let before = state.clone();
    assert!(state.apply(&changes).is_err());
    assert_eq!(state, before);
}

#[test]
fn an_edit_names_every_record_it_touched() {
    let (state, rules) = with_rules(&["a"]);
    let edit = state.apply(&[Change::RemoveRule { zone: zone(), id: rules[0].id, at: LATER }]).unwrap();
    let expected = [RecordKey::Ruleset(zone()), RecordKey::RulesetVersion(zone(), 1)];
    assert_eq!(edit.touched.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn revoking_sets_a_date_that_revoking_again_does_not_move() {
    let issuer = authority(AuthorityKind::Managed);
    let record = certificate(issuer.id, 1);
    let (id, key) = (record.id, record.revocation_key);
    let state = after(&State::default(), &[Change::AddAuthority(issuer), Change::AddCertificate(record)]);
    assert!(state.revocation_keys().is_empty());
    let set = |status, at| Change::SetCertificateStatus { zone: zone(), id, status, at };
    let revoked = after(&state, &[set(CertificateStatus::Revoked, AT), set(CertificateStatus::Revoked, LATER)]);
    assert_eq!(revoked.certificate(zone(), id).unwrap().revoked_at, Some(AT));
    assert_eq!(revoked.revocation_keys(), [key]);
    let active = after(&revoked, &[set(CertificateStatus::Active, LATER)]);
    assert_eq!(active.certificate(zone(), id).unwrap().revoked_at, None);
    assert!(active.revocation_keys().is_empty());
}

#[test]
fn an_authority_in_use_stays() {
    let (managed, uploaded) = (authority(AuthorityKind::Managed), authority(AuthorityKind::Uploaded));
    let (managed_id, uploaded_id) = (managed.id, uploaded.id);
    let bind = |hostnames: &[&str]| {
        let hostnames = hostnames.iter().map(ToString::to_string).collect();
        Change::SetAssociation(AssociationRecord { zone: zone(), authority: Some(uploaded_id), hostnames })
    };
    let state =
        after(&State::default(), &[Change::AddAuthority(managed), Change::AddAuthority(uploaded), bind(&["a"])]);
    for id in [managed_id, uploaded_id] {
        assert!(matches!(state.apply(&[Change::RemoveAuthority(id)]), Err(ModelError::InUse { .. })));
    }
    let changes = [
        Change::RetireAuthority { id: managed_id, at: LATER },
        Change::RemoveAuthority(managed_id),
        bind(&[]),
        Change::RemoveAuthority(uploaded_id),
    ];
    assert_eq!(after(&state, &changes).records().count(), 0);
}

#[test]
fn removing_an_authority_removes_what_was_revoked_of_it() {
    let uploaded = authority(AuthorityKind::Uploaded);
    let id = uploaded.id;
    let revocation = RevocationRecord {
        authority: id,
        serial: Serial::from_bytes(&[9]),
        revocation_key: RevocationKey::new(&IssuerKeyHash::of_spki(b"k"), &[9]),
        revoked_at: AT,
        comment: String::new(),
    };
    let state = after(&State::default(), &[Change::AddAuthority(uploaded), Change::SetRevocation(revocation)]);
    assert_eq!(state.revocation_keys().len(), 1);
    assert_eq!(after(&state, &[Change::RemoveAuthority(id)]).records().count(), 0);
}

#[test]
fn the_newest_authority_that_is_not_retired_issues() {
    let old = authority(AuthorityKind::Managed);
    let new = AuthorityRecord { created: LATER, ..authority(AuthorityKind::Managed) };
    let (old_id, new_id) = (old.id, new.id);
    let state = after(&State::default(), &[Change::AddAuthority(old), Change::AddAuthority(new)]);
    assert_eq!(state.issuing_authority(zone()).unwrap().id, new_id);
    let rolled_back = after(&state, &[Change::RetireAuthority { id: new_id, at: LATER }]);
    assert_eq!(rolled_back.issuing_authority(zone()).unwrap().id, old_id);
    assert_eq!(rolled_back.managed_authorities(zone()).count(), 2);
    assert!(state.issuing_authority(ZoneId::of_name("example.org")).is_none());
}

#[test]
fn list_items_replace_those_of_the_same_value_and_go_with_their_list() {
    let id = ListId::generate();
    let list = ListRecord {
        id,
        kind: ListKind::Ip,
        name: "office".to_owned(),
        description: String::new(),
        created: AT,
        modified: AT,
    };
    let item = |value: &str, comment: &str| ListItem {
        list: id,
        id: ItemId::generate(),
        value: value.to_owned(),
        comment: comment.to_owned(),
        created: AT,
        modified: AT,
    };
    let add = |items| Change::AddItems { list: id, items, at: LATER };
    let state = after(&State::default(), &[Change::AddList(list.clone()), add(vec![item("1", "a"), item("2", "a")])]);
    let state = after(&state, &[add(vec![item("2", "b"), item("3", "b")])]);
    let mut seen: Vec<_> = state.items(id).map(|item| format!("{}{}", item.value, item.comment)).collect();
    seen.sort();
    assert_eq!((seen.concat().as_str(), state.item_count(id)), ("1a2b3b", 3));
    assert_eq!(state.list(id).unwrap().modified, LATER);
    assert!(matches!(state.apply(&[add(vec![item("4", ""), item("4", "")])]), Err(ModelError::Duplicate { .. })));
    let same_name = ListRecord { id: ListId::generate(), ..list };
    assert!(matches!(state.apply(&[Change::AddList(same_name)]), Err(ModelError::Duplicate { .. })));
    assert_eq!(
        after(&state, &[Change::SetItems { list: id, items: vec![item("9", "")], at: LATER }]).item_count(id),
        1
    );
    assert_eq!(after(&state, &[Change::RemoveList(id)]).records().count(), 0);
}

#[test]
fn a_list_takes_as_many_items_as_the_limit_and_not_one_more() {
    let id = ListId::generate();
    let name = "full".to_owned();
    let list = ListRecord { id, kind: ListKind::Asn, name, description: String::new(), created: AT, modified: AT };
    let item = |number: usize| ListItem {
        list: id,
        id: ItemId::generate(),
        value: number.to_string(),
        comment: String::new(),
        created: AT,
        modified: AT,
    };
    let items = (0..limits::ITEMS_PER_LIST).map(item).collect();
    let full = after(&State::default(), &[Change::AddList(list), Change::SetItems { list: id, items, at: AT }]);
    let one_more = Change::AddItems { list: id, items: vec![item(limits::ITEMS_PER_LIST)], at: AT };
    assert!(matches!(full.apply(&[one_more]), Err(ModelError::Limit { what: "items in a list", .. })));
}

#[test]
fn a_filter_and_the_rules_that_refer_to_it_change_together() {
    let filter = FilterRecord {
        id: FilterId::generate(),
        zone: zone(),
        expression: "ssl".to_owned(),
        description: String::new(),
        reference: String::new(),
        paused: false,
        created: AT,
        modified: AT,
    };
    let id = filter.id;
    let refers = |paused: bool| RuleRecord {
        expression: filter.expression.clone(),
        enabled: !paused,
        legacy: Some(Legacy { filter: id, priority: None, paused }),
        ..rule(&paused.to_string())
    };
    let add = |rule| Change::AddRule { zone: zone(), rule, position: Position::Last };
    let changes = [Change::AddFilter(filter.clone()), add(refers(false)), add(refers(true)), add(rule("other"))];
    let state = after(&State::default(), &changes);
    let shown = |state: &State| {
        let rules = state.ruleset(zone()).unwrap().rules.iter();
        rules.map(|rule| (rule.expression.clone(), rule.enabled)).collect::<Vec<_>>()
    };
    let other = shown(&state).pop().unwrap();
    let replace = |expression: &str, paused| {
        Change::ReplaceFilter(FilterRecord { expression: expression.to_owned(), paused, ..filter.clone() })
    };
    for (paused, expected) in [(true, [false, false]), (false, [true, false])] {
        let changed = after(&state, &[replace("not ssl", paused)]);
        let rules = expected.map(|enabled| ("not ssl".to_owned(), enabled));
        assert_eq!(shown(&changed), [&rules[..], std::slice::from_ref(&other)].concat(), "paused: {paused}");
    }
    let remove = Change::RemoveFilter { zone: zone(), id };
    assert!(matches!(state.apply(std::slice::from_ref(&remove)), Err(ModelError::InUse { .. })));
    assert!(after(&state, &[Change::RemoveRules(zone()), remove.clone()]).filters(zone()).next().is_none());
    assert!(matches!(State::default().apply(&[remove]), Err(ModelError::NotFound(_))));
    assert!(matches!(State::default().apply(&[replace("ssl", false)]), Err(ModelError::NotFound(_))));
}

#[test]
fn a_zone_takes_as_many_filters_as_the_limit_and_not_one_more() {
    let filter = || {
        Change::AddFilter(FilterRecord {
            id: FilterId::generate(),
            zone: zone(),
            expression: "x".repeat(limits::EXPRESSION_BYTES),
            description: String::new(),
            reference: String::new(),
            paused: false,
            created: AT,
            modified: AT,
        })
    };
    let full = after(&State::default(), &(0..limits::FILTERS_PER_ZONE).map(|_| filter()).collect::<Vec<_>>());
    let expected = ModelError::Limit { what: "filters in a zone", limit: limits::FILTERS_PER_ZONE };
    assert_eq!(full.apply(&[filter()]).unwrap_err(), expected);
}

fn crl(authority: AuthorityId, refresh_seconds: u32) -> Change {
    Change::SetCrl(CrlRecord {
        authority,
        source: None,
        delta_source: None,
        refresh_seconds,
        when_stale: WhenStale::Deny,
        uploaded: None,
        modified: AT,
    })
}

#[test]
fn only_an_uploaded_authority_has_a_crl_and_it_goes_with_the_authority() {
    let (managed, uploaded) = (authority(AuthorityKind::Managed), authority(AuthorityKind::Uploaded));
    let adds = [&managed, &uploaded].map(|record| Change::AddAuthority(record.clone()));
    let state = after(&State::default(), &adds);
    assert!(matches!(state.apply(&[crl(managed.id, 60)]), Err(ModelError::Invalid { .. })));
    assert!(matches!(state.apply(&[crl(AuthorityId::generate(), 60)]), Err(ModelError::NotFound(_))));
    let with = after(&state, &[crl(uploaded.id, 60)]);
    assert_eq!(with.crls().map(|record| record.authority).collect::<Vec<_>>(), [uploaded.id]);
    let gone = with.apply(&[Change::RemoveAuthority(uploaded.id)]).unwrap();
    assert!(gone.state.crl(uploaded.id).is_none() && gone.touched.contains(&RecordKey::Crl(uploaded.id)));
    assert!(after(&with, &[Change::RemoveCrl(uploaded.id)]).crl(uploaded.id).is_none());
    assert!(matches!(state.apply(&[Change::RemoveCrl(uploaded.id)]), Err(ModelError::NotFound(_))));
}

#[test]
fn a_server_is_asked_for_a_crl_neither_too_often_nor_too_rarely() {
    let uploaded = authority(AuthorityKind::Uploaded);
    let state = after(&State::default(), &[Change::AddAuthority(uploaded.clone())]);
    let (least, most) = (limits::CRL_REFRESH_SECONDS_MIN, limits::CRL_REFRESH_SECONDS_MAX);
    for (seconds, allowed) in [(least - 1, false), (least, true), (most, true), (most + 1, false)] {
        assert_eq!(state.apply(&[crl(uploaded.id, seconds)]).is_ok(), allowed, "{seconds}");
    }
}

/// What there may be so many of, one more of it, and the limit.
type Limited = (fn(usize) -> Change, &'static str, usize);

#[test]
fn there_is_as_much_of_everything_as_its_limit_and_not_one_more() {
    let list = |number: usize| {
        let name = format!("list_{number}");
        let (id, description) = (ListId::generate(), String::new());
        Change::AddList(ListRecord { id, kind: ListKind::Ip, name, description, created: AT, modified: AT })
    };
    let token = |number: usize| {
        Change::AddToken(TokenRecord {
            id: TokenId::generate(),
            name: number.to_string(),
            secret_sha256: number.to_string(),
            scopes: Vec::new(),
            zones: None,
            created: AT,
            expires: None,
            disabled: false,
        })
    };
    let all: [Limited; 3] = [
        (|_| Change::AddAuthority(authority(AuthorityKind::Uploaded)), "certificate authorities", limits::AUTHORITIES),
        (list, "lists", limits::LISTS),
        (token, "API tokens", limits::TOKENS),
    ];
    for (make, what, limit) in all {
        let full = after(&State::default(), &(0..limit).map(make).collect::<Vec<_>>());
        assert_eq!(full.apply(&[make(limit)]).unwrap_err(), ModelError::Limit { what, limit });
    }
}

#[test]
fn an_association_takes_as_many_names_as_the_limit_and_not_one_more() {
    let limit = limits::HOSTNAMES_PER_ASSOCIATION;
    let names = |count: usize| {
        let hostnames = (0..count).map(|number| format!("host{number}.example.com")).collect();
        Change::SetAssociation(AssociationRecord { zone: zone(), authority: None, hostnames })
    };
    let full = after(&State::default(), &[names(limit)]);
    assert_eq!(full.association(zone(), None).unwrap().hostnames.len(), limit);
    let error = full.apply(&[names(limit + 1)]).unwrap_err();
    assert_eq!(error, ModelError::Limit { what: "host names bound to one authority in a zone", limit });
}

#[test]
fn the_value_of_a_setting_has_a_longest_length() {
    let limit = limits::SETTING_BYTES;
    // The quotes of the text count as well.
    let setting = |bytes: usize| {
        let value = "x".repeat(bytes - 2).into();
        Change::SetSetting(SettingRecord { zone: zone(), name: "s".to_owned(), value, modified: AT })
    };
    assert!(State::default().apply(&[setting(limit)]).is_ok());
    let error = State::default().apply(&[setting(limit + 1)]).unwrap_err();
    assert_eq!(error, ModelError::Limit { what: "bytes in the value of a setting", limit });
}

#[test]
fn a_zone_takes_as_many_certificates_as_the_limit_and_not_one_more() {
    let managed = authority(AuthorityKind::Managed);
    let add = |serial| Change::AddCertificate(certificate(managed.id, serial));
    let mut state = after(&State::default(), &[Change::AddAuthority(managed.clone()), add(1)]);
    assert_eq!(state.certificate_count(zone()), 1, "each is counted");
    // A million would take minutes to make: the count says that all but one are there.
    state.counts.insert_mut(Group::Certificates(zone()), limits::CERTIFICATES_PER_ZONE - 1);
    let full = after(&state, &[add(2)]);
    assert_eq!(full.certificate_count(zone()), limits::CERTIFICATES_PER_ZONE);
    let expected = ModelError::Limit { what: "client certificates in a zone", limit: limits::CERTIFICATES_PER_ZONE };
    assert_eq!(full.apply(&[add(3)]).unwrap_err(), expected);
}
