//! Lists and their items.

use http::StatusCode;
use serde_json::{Value, json};

use super::harness::Api;
use crate::fixtures::ZONE;

async fn lists(api: &Api) -> String {
    let account = api.get("/client/v4/accounts").await.result();
    format!("/client/v4/accounts/{}/rules/lists", account[0]["id"].as_str().unwrap())
}

async fn list(api: &Api, kind: &str, name: &str) -> String {
    let lists = lists(api).await;
    let made = api.post(&lists, json!({ "kind": kind, "name": name })).await.result();
    format!("{lists}/{}", made["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_list_is_made_described_and_deleted() {
    let api = Api::start().await;
    let one = list(&api, "ip", "office").await;
    let shown = api.put(&one, json!({ "description": "where we sit" })).await.result();
    assert_eq!(
        (&shown["name"], &shown["description"], &shown["num_items"]),
        (&json!("office"), &json!("where we sit"), &json!(0))
    );
    assert_eq!(api.get(&lists(&api).await).await.result(), json!([shown]));
    api.delete(&one).await.result();
    assert_eq!(api.get(&one).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn items_are_added_replaced_and_removed_by_operations_that_are_over() {
    let api = Api::start().await;
    let one = list(&api, "ip", "office").await;
    let items = format!("{one}/items");
    let values = || async {
        let found = api.get(&items).await.result();
        let mut values: Vec<_> =
            found.as_array().unwrap().iter().map(|item| item["ip"].as_str().unwrap().to_owned()).collect();
        values.sort();
        values
    };
    let added =
        api.post(&items, json!([{ "ip": "192.0.2.1/32", "comment": "c" }, { "ip": "2001:DB8::/32" }])).await.result();
    let operation = added["operation_id"].as_str().unwrap();
    let state = api.get(&format!("{}/bulk_operations/{operation}", lists(&api).await)).await.result();
    assert_eq!((&state["id"], &state["status"]), (&json!(operation), &json!("completed")));
    assert_eq!(
        api.get(&format!("{}/bulk_operations/{}", lists(&api).await, "0".repeat(32))).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(values().await, ["192.0.2.1", "2001:db8::/32"]);
    api.put(&items, json!([{ "ip": "10.0.0.0/8" }])).await.result();
    assert_eq!(values().await, ["10.0.0.0/8"]);
    let id = api.get(&items).await.result()[0]["id"].clone();
    assert_eq!(api.get(&format!("{items}/{}", id.as_str().unwrap())).await.result()["ip"], "10.0.0.0/8");
    api.call(http::Method::DELETE, &items, json!({ "items": [{ "id": id }] })).await.result();
    assert_eq!(values().await, Vec::<String>::new());
    assert_eq!(
        api.call(http::Method::DELETE, &items, json!({ "items": [{ "id": id }] })).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn items_are_listed_part_by_part_with_a_cursor() {
    let api = Api::start().await;
    let items = format!("{}/items", list(&api, "asn", "carriers").await);
    let all: Vec<_> = (0..5).map(|number| json!({ "asn": number })).collect();
    api.put(&items, json!(all)).await.result();
    let (mut seen, mut cursor, mut parts) = (Vec::new(), String::new(), 0);
    loop {
        let answer = api.get(&format!("{items}?per_page=2&cursor={cursor}")).await;
        let after = answer.body["result_info"]["cursors"]["after"].as_str().map(str::to_owned);
        seen.extend(answer.result().as_array().unwrap().iter().map(|item| item["asn"].as_u64().unwrap()));
        parts += 1;
        match after {
            Some(after) => cursor = after,
            None => break,
        }
    }
    seen.sort_unstable();
    assert_eq!((seen, parts), (vec![0, 1, 2, 3, 4], 3));
    assert_eq!(api.get(&format!("{items}?cursor=x")).await.refusal().3, "/cursor");
    assert_eq!(api.get(&format!("{items}?search=3")).await.result().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_item_is_of_the_kind_of_its_list_and_spelt_in_one_way() {
    let api = Api::start().await;
    let (ip, asn, hostname) =
        (list(&api, "ip", "a").await, list(&api, "asn", "b").await, list(&api, "hostname", "c").await);
    for (list, item, expected) in [
        (&ip, json!({ "ip": "192.0.2.1/24" }), Err("/0/ip")),
        (&ip, json!({ "ip": "x" }), Err("/0/ip")),
        (&ip, json!({ "asn": 1 }), Err("/0")),
        (&ip, json!({ "ip": "192.0.2.1", "asn": 1 }), Err("/0")),
        (&ip, json!({}), Err("/0")),
        (&asn, json!({ "asn": 4_294_967_295_u32 }), Ok(json!(4_294_967_295_u32))),
        (&asn, json!({ "ip": "192.0.2.1" }), Err("/0")),
        (
            &hostname,
            json!({ "hostname": { "url_hostname": "WWW.Example.com." } }),
            Ok(json!({ "url_hostname": "www.example.com" })),
        ),
        (
            &hostname,
            json!({ "hostname": { "url_hostname": "*.Example.com" } }),
            Ok(json!({ "url_hostname": "*.example.com" })),
        ),
        (&hostname, json!({ "hostname": { "url_hostname": "a b" } }), Err("/0/hostname/url_hostname")),
    ] {
        let answer = api.put(&format!("{list}/items"), json!([item])).await;
        match expected {
            Err(pointer) => assert_eq!(answer.refusal().3, pointer, "{item}: {}", answer.body),
            Ok(expected) => {
                answer.result();
                let found = api.get(&format!("{list}/items")).await.result();
                let value = found[0].get("asn").or(found[0].get("hostname")).unwrap();
                assert_eq!(*value, expected, "{item}");
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_a_list_is_refused() {
    let api = Api::start().await;
    let lists = lists(&api).await;
    list(&api, "ip", "taken").await;
    let generation = api.generation().await;
    for (body, status) in [
        (json!({ "kind": "redirect", "name": "a" }), 400),
        (json!({ "kind": "x", "name": "a" }), 400),
        (json!({ "kind": "ip", "name": "A" }), 400),
        (json!({ "kind": "ip", "name": "" }), 400),
        (json!({ "kind": "ip", "name": "a".repeat(51) }), 400),
        (json!({ "kind": "ip", "name": "taken" }), 409),
        (json!({ "kind": "ip" }), 400),
    ] {
        assert_eq!(api.post(&lists, body.clone()).await.status.as_u16(), status, "{body}");
    }
    assert_eq!(api.generation().await, generation);
    let rule = json!({ "name": "r", "expression": "ip.src in $unknown", "action": "log" });
    let answer = api.post(&format!("/api/v1/zones/{ZONE}/rules"), rule).await;
    assert!(answer.refusal().2.contains("no list named \"unknown\""), "{}", answer.body);
    assert_eq!(answer.body["errors"][0]["source"]["span"]["start"], json!(10), "{}", answer.body);
    assert_ne!(answer.body["errors"][0]["source"]["span"], Value::Null);
}
