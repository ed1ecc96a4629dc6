//! Rules, through the older firewall API.

use http::StatusCode;
use serde_json::{Value, json};

use super::harness::Api;
use crate::fixtures::ZONE;

fn rules() -> String {
    format!("/client/v4/zones/{ZONE}/firewall/rules")
}

fn filters() -> String {
    format!("/client/v4/zones/{ZONE}/filters")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn expressions(api: &Api) -> Vec<String> {
    let all = api.get(&format!("/api/v1/zones/{ZONE}/rules")).await.result();
    all.as_array().unwrap().iter().map(|rule| text(&rule["expression"])).collect()
}

#[tokio::test]
async fn both_body_shapes_and_both_forms_of_an_action_make_a_rule() {
    let api = Api::start().await;
    let filter = json!({ "expression": "ssl", "description": "f", "ref": "F" });
    let array = json!([{ "action": "block", "filter": filter, "priority": 5, "description": "r", "ref": "R" }]);
    let object = json!({ "action": { "mode": "log" }, "filter": { "expression": "not ssl" } });
    let made = api.post(&rules(), array).await.result();
    let rule = &made[0];
    assert_eq!(
        (&rule["action"], &rule["priority"], &rule["description"], &rule["ref"]),
        (&json!("block"), &json!(5), &json!("r"), &json!("R"))
    );
    assert_eq!((&rule["filter"]["expression"], &rule["filter"]["ref"]), (&json!("ssl"), &json!("F")));
    assert_eq!(api.post(&rules(), object).await.result()[0]["action"], "log");
    assert_eq!(expressions(&api).await, ["ssl", "not ssl"], "they are rules like any other");
    let filter = text(&rule["filter"]["id"]);
    assert_eq!(api.get(&format!("{}/{filter}", filters())).await.result(), rule["filter"]);
}

#[tokio::test]
async fn rules_are_kept_in_the_order_of_priority_and_action() {
    let api = Api::start().await;
    let rule = |name: &str, action: &str, priority: Value| json!({ "action": action, "filter": { "expression": format!("http.host == \"{name}\"") }, "priority": priority });
    let new = json!([
        rule("block", "block", Value::Null),
        rule("allow", "allow", Value::Null),
        rule("block 2", "block", json!(2)),
        rule("log 2", "log", json!(2)),
        rule("block 1", "block", json!(1)),
        rule("block later", "block", Value::Null),
    ]);
    api.post(&rules(), new).await.result();
    let names = ["block 1", "log 2", "block 2", "allow", "block", "block later"];
    assert_eq!(expressions(&api).await, names.map(|name| format!("http.host == \"{name}\"")));
    let listed = api.get(&rules()).await.result();
    let last = text(&listed[5]["id"]);
    let first = api.patch(&format!("{}/{last}", rules()), json!({ "priority": 0 })).await.result();
    assert_eq!(first[0]["priority"], 0);
    assert_eq!(expressions(&api).await[0], "http.host == \"block later\"");
}

#[tokio::test]
async fn a_filter_that_is_changed_or_paused_takes_its_rules_along() {
    let api = Api::start().await;
    let filter = api.post(&filters(), json!([{ "expression": "ssl" }])).await.result()[0].clone();
    let id = text(&filter["id"]);
    let made = api.post(&rules(), json!({ "action": "block", "filter": { "id": id } })).await.result();
    let rule = text(&made[0]["id"]);
    let one = format!("{}/{id}", filters());
    assert_eq!(api.put(&one, json!({ "id": id, "expression": "not ssl" })).await.result()["expression"], "not ssl");
    assert_eq!(expressions(&api).await, ["not ssl"]);
    let enabled = || async { api.get(&format!("/api/v1/zones/{ZONE}/rules/{rule}")).await.result()["enabled"].clone() };
    for (filter_paused, rule_paused, expected) in
        [(true, false, false), (false, true, false), (true, true, false), (false, false, true)]
    {
        api.put(&one, json!({ "paused": filter_paused })).await.result();
        let patched = api.patch(&format!("{}/{rule}", rules()), json!({ "paused": rule_paused })).await.result();
        assert_eq!(
            (&patched[0]["paused"], &patched[0]["filter"]["paused"]),
            (&json!(rule_paused), &json!(filter_paused))
        );
        assert_eq!(enabled().await, expected, "filter paused: {filter_paused}, rule paused: {rule_paused}");
    }
    assert_eq!(api.delete(&one).await.status, StatusCode::CONFLICT, "a rule refers to it");
    api.delete(&format!("{}/{rule}?delete_filter_if_unused=true", rules())).await.result();
    assert_eq!(api.get(&one).await.status, StatusCode::NOT_FOUND);
    assert!(expressions(&api).await.is_empty());
}

#[tokio::test]
async fn a_rule_of_another_api_is_seen_here_with_a_filter_of_its_own() {
    let api = Api::start().await;
    let body = json!({ "name": "r", "expression": "ssl", "action": "skip" });
    let rule = text(&api.post(&format!("/api/v1/zones/{ZONE}/rules"), body).await.result()["id"]);
    let shown = api.get(&format!("{}/{rule}", rules())).await.result();
    assert_eq!(
        (&shown["action"], &shown["description"], &shown["priority"]),
        (&json!("allow"), &json!("r"), &Value::Null)
    );
    let filter = text(&shown["filter"]["id"]);
    assert_eq!(api.get(&format!("{}?id={filter}", filters())).await.result(), json!([shown["filter"]]));
    let one = format!("{}/{filter}", filters());
    assert_eq!(api.put(&one, json!({ "expression": "not ssl" })).await.result()["id"], filter.as_str());
    assert_eq!(expressions(&api).await, ["not ssl"]);
    assert_eq!(api.delete(&one).await.status, StatusCode::CONFLICT);
    let changed = api
        .put(&format!("{}/{rule}", rules()), json!({ "action": "block", "filter": { "id": filter } }))
        .await
        .result();
    assert_eq!((&changed["action"], &changed["filter"]["expression"]), (&json!("block"), &json!("not ssl")));
}

#[tokio::test]
async fn rules_are_changed_and_deleted_many_at_once_or_not_at_all() {
    let api = Api::start().await;
    let new: Vec<_> = (0..3)
        .map(|n| json!({ "action": "block", "filter": { "expression": format!("http.host == \"{n}\"") } }))
        .collect();
    let made = api.post(&rules(), json!(new)).await.result();
    let id = |place: usize| text(&made[place]["id"]);
    let paused =
        api.put(&rules(), json!([{ "id": id(0), "paused": true }, { "id": id(1), "paused": true }])).await.result();
    assert!(paused.as_array().unwrap().iter().all(|rule| rule["paused"] == true));
    assert_eq!(api.get(&format!("{}?paused=true", rules())).await.result().as_array().unwrap().len(), 2);
    let missing = json!([{ "id": id(2), "paused": true }, { "id": "0".repeat(32), "paused": true }]);
    assert_eq!(api.patch(&rules(), missing).await.status, StatusCode::NOT_FOUND);
    assert_eq!(api.get(&format!("{}/{}", rules(), id(2))).await.result()["paused"], false, "not at all");
    assert_eq!(api.delete(&rules()).await.refusal().3, "/id");
    let gone = api.delete(&format!("{}?id={}&id={}", rules(), id(0), id(1))).await.result();
    assert_eq!(gone.as_array().unwrap().len(), 2);
    assert_eq!(expressions(&api).await, ["http.host == \"2\""]);
    let many: Vec<_> = (0..26).map(|_| new[0].clone()).collect();
    assert_eq!(api.post(&rules(), json!(many)).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(api.post(&rules(), json!(many[..25])).await.status, StatusCode::OK);
}

#[tokio::test]
async fn pages_of_rules_and_filters_end() {
    let api = Api::start().await;
    for number in 0..3 {
        let body = json!({ "action": "block", "filter": { "expression": format!("http.host == \"{number}\"") } });
        api.post(&rules(), body).await.result();
    }
    for path in [rules(), filters()] {
        for (page, count) in [(1, 2), (2, 1), (3, 0)] {
            let found = api.get(&format!("{path}?page={page}&per_page=2")).await.result();
            assert_eq!(found.as_array().unwrap().len(), count, "{path} {page}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_its_place() {
    let api = Api::start().await;
    let rule = |action: &str| json!({ "action": action, "filter": { "expression": "ssl" } });
    let generation = api.generation().await;
    for (body, pointer, reason) in [
        (rule("challenge"), "/0/action", "challenge page"),
        (rule("bypass"), "/0/action", "products"),
        (rule("dance"), "/0/action", "no action"),
        (json!({ "filter": { "expression": "ssl" } }), "/0/action", "required"),
        (json!({ "action": "block" }), "/0/filter", "required"),
        (json!({ "action": "block", "filter": {} }), "/0/filter/expression", "required"),
        (json!({ "action": "block", "filter": { "expression": "x" } }), "/0/filter/expression", "Filter parsing error"),
        (json!({ "action": "block", "filter": { "id": "0".repeat(32) } }), "/0/filter/id", "no filter"),
        (
            json!({ "action": "block", "filter": { "expression": "ssl" }, "products": ["waf"] }),
            "/0/products",
            "no products",
        ),
        (json!([rule("block"), rule("dance")]), "/1/action", "no action"),
        (json!({ "action": 1, "filter": { "expression": "ssl" } }), "", "an action is its name"),
    ] {
        let answer = api.post(&rules(), body).await;
        let (status, _, message, at) = answer.refusal();
        assert_eq!((status, at), (400, pointer), "{}", answer.body);
        assert!(message.contains(reason), "{message}");
    }
    assert_eq!(api.generation().await, generation);
    api.post(&filters(), json!({ "expression": "ssl" })).await.result();
    let duplicate = api.post(&filters(), json!([{ "expression": "not ssl" }, { "expression": "ssl" }])).await;
    assert_eq!((duplicate.refusal().1, duplicate.refusal().3), (10_202, "/1/expression"));
    assert_eq!(api.get(&filters()).await.result().as_array().unwrap().len(), 1, "all or none");
}

#[tokio::test]
async fn an_expression_is_validated_in_the_form_that_is_documented() {
    let api = Api::start().await;
    let path = "/client/v4/filters/validate-expr";
    assert_eq!(api.get(&format!("{path}?expression=ssl")).await.result()["expression"], "ssl");
    for answer in [
        api.get(&format!("{path}?expression=http.hots")).await,
        api.post(path, json!({ "expression": "http.hots" })).await,
    ] {
        assert_eq!((answer.status, &answer.body["messages"]), (StatusCode::BAD_REQUEST, &Value::Null));
        assert_eq!(answer.body["errors"][0].as_object().unwrap().len(), 1, "a message and no code");
        assert!(text(&answer.body["errors"][0]["message"]).starts_with("Filter parsing error (1:1):"));
    }
}
