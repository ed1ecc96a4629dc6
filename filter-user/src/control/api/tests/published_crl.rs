//! The revocation list of a zone's own authority.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::harness::{Answer, Api, OTHER_ZONE, signing_request};
use crate::fixtures::ZONE;
use crate::model::{AuthorityId, Timestamp, ZoneId};
use crate::pki::{Authority, Crl};

fn path(rest: &str) -> String {
    format!("/api/v1/zones/{ZONE}{rest}")
}

/// The authority of the zone that issues.
async fn issuing(api: &Api) -> Authority {
    let pem = api.get(&path("/ca")).await.result()["certificate"].as_str().unwrap().to_owned();
    let der = pem::parse(pem).unwrap().into_contents();
    Authority::from_der(AuthorityId::generate(), Some(ZoneId::of_name(ZONE)), "t", &der, Timestamp::now()).unwrap()
}

async fn list(api: &Api, authority: &Authority) -> Crl {
    let answer = api.get(&path("/crl")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    Crl::parse(&answer.bytes, authority, Timestamp::now()).unwrap()
}

fn media_type(answer: &Answer) -> &str {
    answer.headers.get("content-type").unwrap().to_str().unwrap()
}

#[tokio::test]
async fn the_list_says_what_is_revoked_now_and_its_number_grows() {
    let api = Api::start().await;
    let authority = issuing(&api).await;
    let body = json!({ "csr": signing_request("phone"), "validity_days": 30 });
    let made = api.post(&format!("/client/v4/zones/{ZONE}/client_certificates"), body).await.result();
    let one = format!("/client/v4/zones/{ZONE}/client_certificates/{}", made["id"].as_str().unwrap());
    let mut last = list(&api, &authority).await;
    for (method, body, expected) in
        [(Method::DELETE, Value::Null, 1), (Method::PATCH, json!({}), 0), (Method::DELETE, Value::Null, 1)]
    {
        api.call(method, &one, body).await.result();
        let next = list(&api, &authority).await;
        assert_eq!(next.revoked().len(), expected);
        assert!(next.number() > last.number(), "{} after {}", next.number(), last.number());
        assert!(next.next_update().unwrap() > Timestamp::now());
        last = next;
    }
    let revoked = list(&api, &authority).await;
    assert!(api.control.revocations.contains(&revoked.revoked()[0]), "the same certificate in both");
}

#[tokio::test]
async fn the_list_of_one_state_is_the_same_in_every_form() {
    let api = Api::start().await;
    let der = api.get(&path("/crl.der")).await;
    assert_eq!((media_type(&der), der.bytes[0]), ("application/pkix-crl", 0x30));
    let pem = api.get(&path("/crl.pem")).await;
    assert_eq!(media_type(&pem), "application/x-pem-file");
    assert_eq!(pem::parse(&pem.bytes).unwrap().contents(), der.bytes);
    for (accept, expected) in [
        ("*/*", "application/pkix-crl"),
        ("application/pkix-crl", "application/pkix-crl"),
        ("application/x-pem-file", "application/x-pem-file"),
        ("text/html, application/x-pem-file;q=0.9, */*;q=0.1", "application/x-pem-file"),
        ("application/pkix-crl, application/x-pem-file", "application/pkix-crl"),
    ] {
        let answer = api.get_accepting(&path("/crl"), accept).await;
        assert_eq!(media_type(&answer), expected, "{accept}");
        assert_eq!(answer.bytes == der.bytes, expected == "application/pkix-crl");
    }
}

#[tokio::test]
async fn a_retired_authority_has_its_list_until_it_is_forgotten() {
    let api = Api::start().await;
    let old = issuing(&api).await;
    let id = api.get(&path("/ca")).await.result()["id"].as_str().unwrap().to_owned();
    let of = |id: &str| path(&format!("/crl?authority={id}"));
    api.post(&path("/ca/rotate"), Value::Null).await.result();
    let answer = api.get(&of(&id)).await;
    assert!(Crl::parse(&answer.bytes, &old, Timestamp::now()).is_ok());
    assert!(
        Crl::parse(&api.get(&path("/crl")).await.bytes, &old, Timestamp::now()).is_err(),
        "the new one signs its own"
    );
    api.delete(&path(&format!("/cas/{id}"))).await.result();
    for (path, status) in [
        (of(&id), 404),
        (of("x"), 404),
        ("/api/v1/zones/example.net/crl".to_owned(), 404),
        (format!("/api/v1/zones/{OTHER_ZONE}/crl"), 200),
        (format!("/api/v1/zones/{OTHER_ZONE}/crl?authority={id}"), 404),
    ] {
        assert_eq!(api.get(&path).await.status.as_u16(), status, "{path}");
    }
}
