//! Revocation lists of uploaded authorities.

use std::fs;
use std::sync::Arc;

use http::{Method, StatusCode};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::harness::{Answer, Api, OTHER_ZONE};
use crate::control::crl::Crls;
use crate::fixtures::ZONE;
use crate::model::{AuthorityId, Scope};
use crate::pki::{Authority, CRL_BYTES};
use crate::revocation::{CrlFreshness, RevocationKey, RevocationSet};

/// No serial at all.
const NONE: [u8; 0] = [];

/// An authority that somebody else runs.
struct Corporate {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Corporate {
    fn new(name: &str) -> Self {
        Self::with_key(name, KeyPair::generate().unwrap())
    }

    fn with_key(name: &str, key: KeyPair) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    /// A list that is good for an hour.
    fn list(&self, number: u64, serials: &[u8]) -> Vec<u8> {
        self.list_until(number, serials, Duration::hours(1))
    }

    fn list_until(&self, number: u64, serials: &[u8], until: Duration) -> Vec<u8> {
        let now = OffsetDateTime::now_utc();
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&[*serial]),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: now - Duration::hours(2),
            next_update: now + until,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().der().to_vec()
    }

    /// Uploads it to the account, or to a zone; returns its id.
    async fn upload(&self, api: &Api, zone: Option<&str>) -> String {
        let pem = self.issuer.pem();
        let account = api.get("/client/v4/accounts").await.result()[0]["id"].as_str().unwrap().to_owned();
        let made = match zone {
            None => {
                let body = json!({ "ca": true, "certificates": pem, "name": "corporate" });
                api.post(&format!("/client/v4/accounts/{account}/mtls_certificates"), body).await
            }
            Some(zone) => {
                let body = json!({ "certificate": pem, "name": "corporate" });
                api.post(&format!("/client/v4/zones/{zone}/access/certificates"), body).await
            }
        };
        made.result()["id"].as_str().unwrap().to_owned()
    }

    fn key(&self, serial: u8) -> RevocationKey {
        let now = crate::model::Timestamp::now();
        let authority = Authority::from_der(AuthorityId::generate(), None, "test", self.issuer.der(), now).unwrap();
        RevocationKey::new(authority.key_hash(), &[serial])
    }

    /// Which of the serials are revoked.
    fn revoked(&self, set: &RevocationSet, serials: &[u8]) -> Vec<u8> {
        serials.iter().copied().filter(|serial| set.contains(&self.key(*serial))).collect()
    }
}

fn path(id: &str) -> String {
    format!("/api/v1/cas/{id}/crl")
}

async fn upload(api: &Api, id: &str, list: &[u8]) -> Answer {
    api.send_as_admin(Method::POST, &format!("{}/upload", path(id)), "application/pkix-crl", list.to_vec()).await
}

/// Uploads an authority called `corporate` to the zone, and a list of it; returns its id.
pub(super) async fn with_a_list(api: &Api) -> String {
    let corporate = Corporate::new("corporate");
    let id = corporate.upload(api, Some(ZONE)).await;
    upload(api, &id, &corporate.list(1, &NONE)).await.result();
    id
}

fn problem(crl: &Value, way: &str) -> String {
    let checks = crl["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["way"] == way).unwrap_or_else(|| panic!("no {way} in {crl}"));
    check["problem"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_list_that_is_uploaded_is_in_force_and_a_newer_one_takes_its_place() {
    let (api, corporate) = (Api::start().await, Corporate::new("corporate"));
    let id = corporate.upload(&api, None).await;
    assert_eq!(api.get(&path(&id)).await.status, StatusCode::NOT_FOUND, "it has none");
    let before = api.generation().await;
    let first = upload(&api, &id, &corporate.list(7, &[1, 2])).await.result();
    assert_eq!(
        (&first["state"], &first["refuses"], &first["when_stale"]),
        (&json!("current"), &json!(false), &json!("deny"))
    );
    assert_eq!((&first["loaded"]["number"], &first["loaded"]["entries"]), (&json!("0x07"), &json!(2)));
    assert_eq!(first["generation"], before + 1);
    assert_eq!(corporate.revoked(&api.control.revocations, &[1, 2, 3]), [1, 2]);
    let pem = pem::encode(&pem::Pem::new("X509 CRL", corporate.list(8, &[2, 3])));
    upload(&api, &id, pem.as_bytes()).await.result();
    assert_eq!(corporate.revoked(&api.control.revocations, &[1, 2, 3]), [2, 3]);
    let audit = api.get("/api/v1/audit").await.result();
    assert_eq!(audit[0]["action"], "crl upload");
    assert_eq!(audit[0]["changes"][0]["after"]["uploaded"]["number"], "0x08");
    let status = api.get("/api/v1/status").await.result();
    assert_eq!((&status["listed"], &status["crls"][0]["state"]), (&json!(2), &json!("current")));
}

#[tokio::test]
async fn a_bad_list_changes_nothing_and_says_so_in_status() {
    let (api, corporate, other) = (Api::start().await, Corporate::new("corporate"), Corporate::new("other"));
    let same_name = Corporate::new("corporate");
    let id = corporate.upload(&api, None).await;
    upload(&api, &id, &corporate.list(7, &[1])).await.result();
    let generation = api.generation().await;
    let good = corporate.list(8, &[1, 2]);
    for (list, reason) in [
        (Vec::new(), "neither DER nor PEM"),
        (b"garbage".to_vec(), "neither DER nor PEM"),
        // Longer than other bodies may be.
        (vec![b'x'; 2 * crate::control::api::MAX_BODY], "neither DER nor PEM"),
        (good[..good.len() / 2].to_vec(), "not a signed object"),
        (other.list(8, &[2]), "issuer names differ"),
        (same_name.list(8, &[2]), "signature of the CRL does not belong to"),
        (corporate.list(6, &[2]), "number 0x06, but number 0x07 is loaded"),
    ] {
        let answer = upload(&api, &id, &list).await;
        assert_eq!(answer.refusal().0, 400, "{reason}: {}", answer.body);
        assert!(answer.refusal().2.contains(reason), "{} instead of {reason:?}", answer.body);
        let shown = api.get(&path(&id)).await.result();
        assert!(problem(&shown, "upload").contains(reason), "{shown}");
        assert_eq!((&shown["loaded"]["number"], api.generation().await), (&json!("0x07"), generation), "{reason}");
        assert_eq!(corporate.revoked(&api.control.revocations, &[1, 2]), [1], "{reason}");
    }
    for media_type in ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json"]
    {
        let answer = api.send_as_admin(Method::POST, &format!("{}/upload", path(&id)), media_type, good.clone()).await;
        assert_eq!(answer.refusal().0, 415, "{media_type:?}: {}", answer.body);
    }
    upload(&api, &id, &good).await.result();
    assert_eq!(problem(&api.get(&path(&id)).await.result(), "upload"), "", "a good one takes the complaint away");
}

#[tokio::test]
async fn a_list_that_says_to_be_too_long_is_refused_before_it_is_read() {
    let (api, corporate) = (Api::start().await, Corporate::new("corporate"));
    let (id, address, secret) = (corporate.upload(&api, None).await, api.address(), &api.secret);
    for (length, expected) in [(CRL_BYTES, "HTTP/1.1 100 Continue"), (CRL_BYTES + 1, "HTTP/1.1 413 Payload Too Large")]
    {
        let head = format!(
            "POST {}/upload HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {secret}\r\n\
             Content-Type: application/pkix-crl\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n",
            path(&id)
        );
        let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        assert_eq!(line.trim_end(), expected, "{length}");
    }
}

#[tokio::test]
async fn the_list_of_a_new_source_must_be_good_before_anything_is_changed() {
    let (api, corporate) = (Api::start().await, Corporate::new("corporate"));
    let id = corporate.upload(&api, None).await;
    let file = api.directory.path().join("corporate.crl");
    fs::write(api.directory.path().join("broken.crl"), "garbage").unwrap();
    let here = |name: &str| api.directory.path().join(name).display().to_string();
    let generation = api.generation().await;
    for (body, pointer, reason) in [
        (json!({}), "/source", "name a source"),
        (json!({ "when_stale": "allow" }), "/source", "name a source"),
        (json!({ "source": "corporate.crl" }), "/source", "absolute path"),
        (json!({ "source": "file:///etc/passwd" }), "/source", "absolute path"),
        (json!({ "source": "http://u:p@127.0.0.1/" }), "/source", "credentials"),
        (json!({ "source": here("missing.crl") }), "/source", "cannot read the file"),
        (json!({ "source": here("broken.crl") }), "/source", "neither DER nor PEM"),
        (json!({ "source": here("") }), "/source", "no regular file"),
        (json!({ "source": "http://127.0.0.1:1/a.crl" }), "/source", "cannot connect"),
        (json!({ "source": "http://169.254.169.254/" }), "/source", "link-local"),
        (json!({ "source": here("corporate.crl"), "delta_source": "x" }), "/delta_source", "absolute path"),
        (json!({ "source": here("corporate.crl"), "when_stale": "never" }), "/when_stale", "`deny` or `allow`"),
    ] {
        let answer = api.put(&path(&id), body.clone()).await;
        assert_eq!((answer.refusal().0, answer.refusal().3), (400, pointer), "{body}: {}", answer.body);
        assert!(answer.refusal().2.contains(reason), "{body}: {} instead of {reason:?}", answer.body);
    }
    assert_eq!((api.get(&path(&id)).await.status, api.generation().await), (StatusCode::NOT_FOUND, generation));
    fs::write(&file, corporate.list(1, &[1])).unwrap();
    for (seconds, status) in [(59, 400), (60, 200), (604_800, 200), (604_801, 400)] {
        let answer = api.put(&path(&id), json!({ "source": here("corporate.crl"), "refresh_seconds": seconds })).await;
        assert_eq!(answer.status.as_u16(), status, "{seconds}: {}", answer.body);
    }
    let shown = api.get(&path(&id)).await.result();
    assert_eq!((&shown["source"], &shown["refresh_seconds"]), (&json!(here("corporate.crl")), &json!(604_800)));
    assert_eq!(corporate.revoked(&api.control.revocations, &[1, 2]), [1]);
}

#[tokio::test]
async fn a_file_is_taken_when_it_is_good_and_left_when_it_is_not() {
    let (api, corporate) = (Api::start().await, Corporate::new("corporate"));
    let id = corporate.upload(&api, None).await;
    let file = api.directory.path().join("corporate.crl");
    fs::write(&file, corporate.list(5, &[1])).unwrap();
    api.put(&path(&id), json!({ "source": file })).await.result();
    let refresh_path = format!("{}/refresh", path(&id));
    let refresh = || api.post(&refresh_path, json!({}));
    for (list, status, revoked) in [
        (corporate.list(5, &[1]), 200, &[1][..]),
        (corporate.list(6, &[1, 2]), 200, &[1, 2]),
        (corporate.list(5, &[]), 400, &[1, 2]),
        (b"half a li".to_vec(), 400, &[1, 2]),
        (corporate.list(7, &[2]), 200, &[2]),
    ] {
        fs::write(&file, list).unwrap();
        let answer = refresh().await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
        assert_eq!(corporate.revoked(&api.control.revocations, &[1, 2]), revoked);
        let shown = api.get(&path(&id)).await.result();
        assert_eq!(problem(&shown, "source").is_empty(), status == 200, "{shown}");
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(refresh().await.refusal().0, 400);
    // The policy can be changed while the source is down.
    let changed = api.put(&path(&id), json!({ "source": file, "when_stale": "allow" })).await.result();
    assert_eq!((&changed["when_stale"], &changed["loaded"]["number"]), (&json!("allow"), &json!("0x07")));
}

#[tokio::test]
async fn certificates_are_judged_only_while_the_list_is_current_unless_they_are_allowed_to_be() {
    let (api, corporate) = (Api::start().await, Corporate::new("corporate"));
    let id = corporate.upload(&api, None).await;
    let reader = api.control.revocations.reader();
    let issuer = *Authority::from_der(
        AuthorityId::generate(),
        None,
        "t",
        corporate.issuer.der(),
        crate::model::Timestamp::now(),
    )
    .unwrap()
    .key_hash();
    let now = crate::model::Timestamp::now().unix_time();
    assert_eq!(reader.freshness(&issuer), None, "without a CRL nothing is required");
    let current = upload(&api, &id, &corporate.list(1, &[1])).await.result();
    assert_eq!(current["refuses"], false);
    assert!(reader.freshness(&issuer).unwrap().is_current(now));
    let expired = upload(&api, &id, &corporate.list_until(2, &[1], Duration::hours(-1))).await.result();
    assert_eq!((&expired["state"], &expired["refuses"]), (&json!("expired"), &json!(true)));
    assert!(matches!(reader.freshness(&issuer), Some(CrlFreshness::Until(_))));
    assert!(!reader.freshness(&issuer).unwrap().is_current(now));
    let allowed = api.put(&path(&id), json!({ "when_stale": "allow" })).await.result();
    assert_eq!((&allowed["state"], &allowed["refuses"]), (&json!("expired"), &json!(false)));
    assert_eq!(reader.freshness(&issuer), None);
    assert_eq!(corporate.revoked(&api.control.revocations, &[1]), [1], "what was listed stays revoked");
}

#[tokio::test]
async fn a_crl_that_is_deleted_revokes_nothing_any_more() {
    let (api, corporate) = (Api::start().await, Corporate::new("corporate"));
    let id = corporate.upload(&api, None).await;
    upload(&api, &id, &corporate.list(7, &[1])).await.result();
    api.delete(&path(&id)).await.result();
    assert_eq!(corporate.revoked(&api.control.revocations, &[1]), NONE);
    assert_eq!(api.delete(&path(&id)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(fs::read_dir(api.directory.path().join("crl")).unwrap().count(), 0, "nothing is kept of it");
    // From the beginning: an older number is no step back.
    upload(&api, &id, &corporate.list(1, &[2])).await.result();
    let account = api.get("/client/v4/accounts").await.result()[0]["id"].as_str().unwrap().to_owned();
    api.delete(&format!("/client/v4/accounts/{account}/mtls_certificates/{id}")).await.result();
    assert_eq!(
        corporate.revoked(&api.control.revocations, &[1, 2]),
        NONE,
        "the authority is gone, and its list with it"
    );
    assert_eq!(api.get(&path(&id)).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_restart_decides_by_the_lists_that_were_in_force() {
    let (api, corporate, other) = (Api::start().await, Corporate::new("corporate"), Corporate::new("other"));
    let (id, lost) = (corporate.upload(&api, None).await, other.upload(&api, None).await);
    for (id, list) in [(&id, corporate.list(7, &[1, 2])), (&lost, other.list(7, &[1]))] {
        upload(&api, id, &list).await.result();
    }
    let kept = api.directory.path().join("crl");
    fs::write(kept.join(format!("{lost}.crl")), "damaged").unwrap();
    fs::write(kept.join("unfinished.new"), "half").unwrap();
    let (state, _) = api.control.state().await;
    let set = RevocationSet::new();
    let again = Crls::open(api.directory.path(), &state, set.clone()).unwrap();
    assert_eq!(corporate.revoked(&set, &[1, 2, 3]), [1, 2]);
    assert_eq!(other.revoked(&set, &[1]), NONE, "what was lost is not known");
    let reader = set.reader();
    let freshness = |of: &Corporate| {
        let now = crate::model::Timestamp::now();
        let authority = Authority::from_der(AuthorityId::generate(), None, "t", of.issuer.der(), now).unwrap();
        reader.freshness(authority.key_hash()).map(|freshness| freshness.is_current(now.unix_time()))
    };
    assert_eq!((freshness(&corporate), freshness(&other)), (Some(true), Some(false)), "and does not open anything");
    assert!(!kept.join("unfinished.new").exists());
    let reports = again.reports();
    let numbers: Vec<_> =
        reports.iter().map(|report| report.crl.as_ref().map(|crl| crl.number().to_string())).collect();
    assert!(numbers.contains(&Some("0x07".to_owned())) && numbers.contains(&None), "{numbers:?}");
    drop::<Arc<Crls>>(again);
}

#[tokio::test]
async fn two_certificates_of_one_key_have_one_crl() {
    let api = Api::start().await;
    let key = KeyPair::generate().unwrap();
    let again = KeyPair::from_pem(&key.serialize_pem()).unwrap();
    let (old, renewed) = (Corporate::with_key("corporate", key), Corporate::with_key("corporate", again));
    let (one, two) = (old.upload(&api, None).await, renewed.upload(&api, None).await);
    upload(&api, &one, &old.list(1, &[1])).await.result();
    let refused = upload(&api, &two, &renewed.list(2, &[])).await;
    assert_eq!(refused.refusal().0, 409, "{}", refused.body);
    assert!(refused.refusal().2.contains(&one), "it names the other: {}", refused.body);
    assert_eq!(old.revoked(&api.control.revocations, &[1]), [1]);
}

#[tokio::test]
async fn who_may_read_may_not_write_and_who_may_write_may_not_name_files() {
    let (api, corporate) = (Api::start().await, Corporate::new("corporate"));
    let id = corporate.upload(&api, None).await;
    let of_zone = Corporate::new("zone");
    let zone_id = of_zone.upload(&api, Some(ZONE)).await;
    upload(&api, &id, &corporate.list(1, &[])).await.result();
    upload(&api, &zone_id, &of_zone.list(1, &[])).await.result();
    let file = api.directory.path().join("a.crl");
    fs::write(&file, of_zone.list(1, &[])).unwrap();
    let set = serde_json::to_vec(&json!({ "source": file })).unwrap();
    let list = of_zone.list(2, &[1]);
    let (zone, account) = (path(&zone_id), path(&id));
    let upload_path = format!("{zone}/upload");
    type Granted<'a> = (&'a [Scope], Option<&'a [&'a str]>);
    let scopes: [(Granted<'_>, [u16; 5]); 5] = [
        ((&[Scope::Read], None), [200, 200, 403, 403, 403]),
        ((&[Scope::Certificates], None), [200, 200, 200, 403, 403]),
        ((&[Scope::Certificates], Some(&[ZONE])), [200, 403, 200, 403, 403]),
        ((&[Scope::Admin], Some(&[OTHER_ZONE])), [403, 403, 403, 403, 403]),
        ((&[Scope::Admin], Some(&[ZONE])), [200, 403, 200, 200, 200]),
    ];
    for ((scopes, zones), expected) in scopes {
        let bearer = format!("Bearer {}", api.token(scopes, zones, None).await);
        let calls = [
            (Method::GET, &zone, "application/json", Vec::new()),
            (Method::GET, &account, "application/json", Vec::new()),
            (Method::POST, &upload_path, "application/pkix-crl", list.clone()),
            (Method::PUT, &zone, "application/json", set.clone()),
            (Method::DELETE, &zone, "application/json", Vec::new()),
        ];
        let mut found = Vec::new();
        for (method, path, media_type, body) in calls {
            // The list of the file is older than what was uploaded: only whether it was looked at is asked here.
            let answer =
                api.send(method, path, &[("authorization", &bearer), ("content-type", media_type)], body).await;
            found.push(if answer.status == StatusCode::BAD_REQUEST { 200 } else { answer.status.as_u16() });
        }
        assert_eq!(found, expected, "{scopes:?} {zones:?}");
    }
    let all = api.get("/api/v1/cas").await.result();
    assert_eq!(all.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn only_uploaded_authorities_have_crls_that_are_loaded() {
    let api = Api::start().await;
    let managed = api.get(&format!("/api/v1/zones/{ZONE}/ca")).await.result()["id"].as_str().unwrap().to_owned();
    for id in [managed.as_str(), "023e105f-4ece-48ad-9ca3-1a8372d0c353", "x"] {
        for answer in [
            api.get(&path(id)).await,
            api.put(&path(id), json!({ "source": "/a" })).await,
            api.delete(&path(id)).await,
            upload(&api, id, b"x").await,
        ] {
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{id}: {}", answer.body);
        }
    }
}
