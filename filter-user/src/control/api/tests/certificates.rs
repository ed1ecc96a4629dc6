//! Client certificates, the hosts they count on, and authorities that operators bring.

use http::StatusCode;
use serde_json::{Value, json};

use super::harness::{API, Api, OTHER_HOST, SHOP, WWW, authority, signing_request};
use crate::fixtures::ZONE;

fn path(rest: &str) -> String {
    format!("/client/v4/zones/{ZONE}{rest}")
}

#[tokio::test]
async fn a_certificate_lives_from_its_request_to_its_revocation_and_back() {
    let api = Api::start().await;
    let csr = signing_request("phone").replace('\n', "\r\n");
    let made = api.post(&path("/client_certificates"), json!({ "csr": csr, "validity_days": 3650 })).await.result();
    assert_eq!(
        (&made["status"], &made["csr"]),
        (&json!("active"), &json!(csr)),
        "active at once, the request as it came"
    );
    assert_eq!((&made["common_name"], &made["validity_days"]), (&json!("phone"), &json!(3650)));
    assert!(made["serial_number"].as_str().unwrap().bytes().all(|byte| byte.is_ascii_digit()));
    let one = path(&format!("/client_certificates/{}", made["id"].as_str().unwrap()));
    assert_eq!(api.get(&one).await.result(), made);
    for (call, status) in [("DELETE", "revoked"), ("DELETE", "revoked"), ("PATCH", "active"), ("PATCH", "active")] {
        let body = if call == "PATCH" { json!({}) } else { Value::Null };
        let after = api.call(call.parse().unwrap(), &one, body).await.result();
        assert_eq!(after["status"], status);
        assert_eq!(api.get(&one).await.result()["status"], status, "it stays listed");
    }
    let refused = api.patch(&one, json!({ "reactivate": false })).await;
    assert_eq!(refused.refusal().3, "/reactivate");
}

#[tokio::test]
async fn a_list_ends_with_an_empty_page() {
    let api = Api::start().await;
    for number in 0..3 {
        let body = json!({ "csr": signing_request(&number.to_string()), "validity_days": 1 });
        api.post(&path("/client_certificates"), body).await.result();
    }
    let mut seen = Vec::new();
    for (page, expected) in [(1, 2), (2, 1), (3, 0), (1_000_000, 0)] {
        let answer = api.get(&path(&format!("/client_certificates?page={page}&per_page=2"))).await;
        let info = answer.body["result_info"].clone();
        assert_eq!(info, json!({ "page": page, "per_page": 2, "count": expected, "total_count": 3, "total_pages": 2 }));
        seen.extend(answer.result().as_array().unwrap().iter().map(|item| item["id"].clone()));
    }
    seen.sort_by_key(Value::to_string);
    seen.dedup();
    assert_eq!(seen.len(), 3, "every one once");
    let offset = api.get(&path("/client_certificates?limit=2&offset=2")).await.result();
    assert_eq!(offset.as_array().unwrap().len(), 1);
    for (query, status) in
        [("per_page=1000", 200), ("per_page=1001", 400), ("per_page=0", 400), ("page=x", 400), ("status=x", 400)]
    {
        let answer = api.get(&path(&format!("/client_certificates?{query}"))).await;
        assert_eq!(answer.status.as_u16(), status, "{query}");
    }
}

#[tokio::test]
async fn hosts_are_associated_in_the_order_given_and_the_configuration_has_the_last_word() {
    let api = Api::start().await;
    let associations = path("/certificate_authorities/hostname_associations");
    let hostnames = |answer: Value| answer["hostnames"].clone();
    assert_eq!(hostnames(api.get(&associations).await.result()), json!([API]), "by the configuration");
    let wanted = json!({ "hostnames": [WWW, API, SHOP.to_uppercase()] });
    assert_eq!(hostnames(api.put(&associations, wanted).await.result()), json!([WWW, API, SHOP]));
    assert_eq!(hostnames(api.get(&associations).await.result()), json!([WWW, API, SHOP]));
    for (wanted, reason) in [
        (json!([WWW]), "`mtls = true`"),
        (json!([]), "`mtls = true`"),
        (json!([API, "unknown.example.com"]), "no host of example.com"),
        (json!([API, OTHER_HOST]), "no host of example.com"),
        (json!([API, API]), "twice"),
    ] {
        let answer = api.put(&associations, json!({ "hostnames": wanted })).await;
        assert!(answer.refusal().2.contains(reason), "{}", answer.body);
        assert!(answer.refusal().3.starts_with("/hostnames"), "{}", answer.body);
    }
    assert_eq!(hostnames(api.get(&associations).await.result()), json!([WWW, API, SHOP]), "nothing was changed");
    let other = "/client/v4/zones/example.org/certificate_authorities/hostname_associations";
    for hosts in [json!([OTHER_HOST]), json!([])] {
        assert_eq!(hostnames(api.put(other, json!({ "hostnames": hosts })).await.result()), hosts);
    }
}

#[tokio::test]
async fn an_uploaded_authority_is_seen_under_both_names_and_stays_while_it_is_bound() {
    let api = Api::start().await;
    let account = api.get("/client/v4/accounts").await.result()[0]["id"].as_str().unwrap().to_owned();
    let all = format!("/client/v4/accounts/{account}/mtls_certificates");
    let pem = authority(|_| ());
    let made = api.post(&all, json!({ "ca": true, "certificates": pem, "name": "corporate" })).await.result();
    assert_eq!((&made["ca"], &made["name"], &made["type"]), (&json!(true), &json!("corporate"), &json!("custom")));
    let id = made["id"].as_str().unwrap();
    assert_eq!(api.get(&format!("{all}/{id}")).await.result(), made);
    assert_eq!(api.get(&all).await.result(), json!([made]));
    assert_eq!(api.get(&format!("{all}?type=gateway_managed")).await.result(), json!([]));
    assert_eq!(api.post(&all, json!({ "ca": true, "certificates": pem })).await.status, StatusCode::CONFLICT, "twice");

    let associations = path("/certificate_authorities/hostname_associations");
    let bind = |hosts: Value| json!({ "hostnames": hosts, "mtls_certificate_id": id });
    api.put(&associations, bind(json!([WWW]))).await.result();
    let bound = api.get(&format!("{associations}?mtls_certificate_id={id}")).await.result();
    assert_eq!(bound["hostnames"], json!([WWW]));
    assert_eq!(api.get(&format!("{all}/{id}/associations")).await.result().as_array().unwrap().len(), 1);
    let access = path("/access/certificates");
    assert_eq!(api.get(&format!("{access}/{id}")).await.result()["associated_hostnames"], json!([WWW]));
    let refused = api.delete(&format!("{all}/{id}")).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    let account_access = format!("/client/v4/accounts/{account}/access/certificates/{id}");
    let unbound = api.put(&account_access, json!({ "associated_hostnames": [] })).await.result();
    assert_eq!(unbound["associated_hostnames"], json!([]));
    api.delete(&format!("{all}/{id}")).await.result();
    assert_eq!(api.get(&format!("{all}/{id}")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_access_certificate_is_uploaded_with_its_hosts() {
    let api = Api::start().await;
    let access = path("/access/certificates");
    let body = |pem: &str| json!({ "certificate": pem, "name": "partner", "associated_hostnames": [SHOP] });
    let made = api.post(&access, body(&authority(|_| ()))).await.result();
    assert_eq!((&made["name"], &made["associated_hostnames"]), (&json!("partner"), &json!([SHOP])));
    assert_eq!(made["fingerprint"].as_str().unwrap().len(), 64);
    let one = format!("{access}/{}", made["id"].as_str().unwrap());
    assert_eq!(api.get(&access).await.result(), json!([made]));
    assert_eq!(api.get("/client/v4/zones/example.org/access/certificates").await.result(), json!([]), "another zone's");
    assert_eq!(api.put(&one, json!({ "associated_hostnames": [OTHER_HOST] })).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(api.put(&one, json!({ "associated_hostnames": [], "name": "other" })).await.refusal().3, "/name");
    api.put(&one, json!({ "associated_hostnames": [] })).await.result();
    assert_eq!(api.delete(&one).await.result(), json!({ "id": made["id"] }));
    let settings = api.get(&format!("{access}/settings")).await.result();
    assert_eq!(settings[0], json!({ "hostname": API, "china_network": false, "client_certificate_forwarding": false }));
    api.put(&format!("{access}/settings"), json!({ "settings": settings })).await.result();
    let forward = json!([{ "hostname": API, "china_network": false, "client_certificate_forwarding": true }]);
    let refused = api.put(&format!("{access}/settings"), json!({ "settings": forward })).await;
    assert!(refused.refusal().2.contains("forward_client_cert"), "{}", refused.body);
}

#[tokio::test]
async fn what_is_no_certificate_request_and_no_authority_is_refused_by_its_reason() {
    let api = Api::start().await;
    let generation = api.generation().await;
    let good = signing_request("a");
    let broken = {
        let mut der = pem::parse(&good).unwrap().into_contents();
        *der.last_mut().unwrap() ^= 1;
        pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", der))
    };
    let no_der = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
    for (csr, days, pointer, reason) in [
        (good.as_str(), 0, "/validity_days", "validity of 0 days"),
        (&good, 3651, "/validity_days", "validity of 3651 days"),
        (&broken, 1, "/csr", "not signed by its own key"),
        ("", 1, "/csr", "not PEM"),
        (no_der, 1, "/csr", "encoding is broken"),
        (&authority(|_| ()), 1, "/csr", "not PEM"),
    ] {
        let answer = api.post(&path("/client_certificates"), json!({ "csr": csr, "validity_days": days })).await;
        assert!(answer.refusal().2.contains(reason), "{reason}: {}", answer.body);
        assert_eq!((answer.status, answer.refusal().3), (StatusCode::BAD_REQUEST, pointer), "{reason}");
    }
    let account = api.get("/client/v4/accounts").await.result()[0]["id"].as_str().unwrap().to_owned();
    let leaf = authority(|params| params.is_ca = rcgen::IsCa::NoCa);
    let expired = authority(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let two = [authority(|_| ()), authority(|_| ())].concat();
    for (body, pointer, reason) in [
        (json!({ "ca": true, "certificates": leaf }), "/certificates", "must not issue others"),
        (json!({ "ca": true, "certificates": expired }), "/certificates", "expired at 2020"),
        (json!({ "ca": true, "certificates": "x" }), "/certificates", "holds no certificate"),
        (json!({ "ca": true, "certificates": two }), "/certificates", "one certificate authority at a time"),
        (json!({ "ca": false, "certificates": leaf }), "/ca", "only certificate authorities"),
        (json!({ "ca": true, "certificates": leaf, "private_key": "k" }), "/private_key", "keep the private key"),
        (json!({ "ca": true, "certificates": authority(|_| ()), "name": "x".repeat(501) }), "", "longer than 500"),
    ] {
        let answer = api.post(&format!("/client/v4/accounts/{account}/mtls_certificates"), body).await;
        let (status, _, message, at) = answer.refusal();
        assert_eq!((status, at, message.contains(reason)), (400, pointer, true), "{reason}: {}", answer.body);
    }
    assert_eq!(api.generation().await, generation, "nothing was changed");
}

#[tokio::test]
async fn snippets_name_the_files_of_the_certificate_and_a_host_that_asks_for_it() {
    let api = Api::start().await;
    let created = json!({ "csr": signing_request("phone 1"), "validity_days": 1 });
    let created = api.post("/client/v4/zones/example.com/client_certificates", created).await.result();
    let path = |rest: &str| {
        format!("/api/v1/zones/example.com/client_certificates/{}/snippets{rest}", created["id"].as_str().unwrap())
    };
    let snippets = api.get(&path("")).await.result();
    let targets: Vec<_> =
        snippets.as_array().unwrap().iter().map(|snippet| snippet["target"].as_str().unwrap()).collect();
    assert_eq!(targets, ["curl", "python", "android", "ios", "iot"]);
    assert_eq!(snippets[0]["text"], "curl --cert phone_1.crt --key phone_1.key https://api.example.com/\n");
    let same = api.get(&path("?host=API.example.com.")).await.result();
    assert_eq!(same, snippets);
    for (query, status, pointer) in [("?host=www.example.com", 400, "/host"), ("?host=x", 400, "/host")] {
        let answer = api.get(&path(query)).await;
        assert_eq!((answer.refusal().0, answer.refusal().3), (status, pointer), "{query}");
    }
    let unknown = "/api/v1/zones/example.com/client_certificates/00000000-0000-4000-8000-000000000000/snippets";
    assert_eq!(api.get(unknown).await.refusal().0, 404);
    let elsewhere = path("").replace("example.com", "example.org");
    assert_eq!(api.get(&elsewhere).await.refusal().0, 404, "certificates are of their zone");
}
