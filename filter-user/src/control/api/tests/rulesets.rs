//! Rules, through the Rulesets API.

use http::StatusCode;
use serde_json::{Value, json};

use super::harness::Api;
use crate::fixtures::ZONE;

const PHASE: &str = "http_request_firewall_custom";

fn rulesets() -> String {
    format!("/client/v4/zones/{ZONE}/rulesets")
}

fn entry_point() -> String {
    format!("{}/phases/{PHASE}/entrypoint", rulesets())
}

fn block(expression: &str) -> Value {
    json!({ "action": "block", "expression": expression, "description": expression })
}

async fn with_rules(api: &Api, expressions: &[&str]) -> Value {
    let rules: Vec<_> = expressions.iter().map(|expression| block(expression)).collect();
    api.put(&entry_point(), json!({ "rules": rules })).await.result()
}

fn order(ruleset: &Value) -> Vec<&str> {
    ruleset["rules"].as_array().unwrap().iter().map(|rule| rule["expression"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_entry_point_is_absent_then_made_then_replaced() {
    let api = Api::start().await;
    let absent = api.get(&entry_point()).await;
    assert_eq!((absent.status, absent.refusal().1), (StatusCode::NOT_FOUND, 10_003));
    assert_eq!(api.get(&format!("{}/versions", entry_point())).await.result(), json!([]));
    assert_eq!(api.get(&rulesets()).await.result(), json!([]));

    let made = with_rules(&api, &["ssl", "http.host == \"a\""]).await;
    assert_eq!((&made["name"], &made["version"], &made["kind"]), (&json!("Default"), &json!("1"), &json!("zone")));
    let first = made["rules"][0].clone();
    assert_eq!((&first["version"], &first["ref"], &first["enabled"]), (&json!("1"), &first["id"], &json!(true)));
    assert_eq!(api.get(&entry_point()).await.result(), made);

    let described = api.put(&entry_point(), json!({ "description": "d" })).await.result();
    assert_eq!((&described["description"], &described["version"]), (&json!("d"), &json!("2")));
    assert_eq!(described["rules"], made["rules"], "rules that are not named stay");

    let mut changed = first.clone();
    changed["enabled"] = json!(false);
    let replaced = api.put(&entry_point(), json!({ "rules": [changed, block("ip.src == 192.0.2.1")] })).await.result();
    assert_eq!(replaced["rules"][0]["id"], first["id"], "a rule that is read and written back keeps its id");
    assert_eq!(replaced["rules"][0]["version"], "2");
    assert_eq!(order(&replaced), ["ssl", "ip.src == 192.0.2.1"]);
    let listed = api.get(&rulesets()).await.result();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["rules"]), (1, &Value::Null), "lists have no rules");
}

#[tokio::test]
async fn a_rule_with_a_reference_keeps_its_id_when_it_is_replaced() {
    let api = Api::start().await;
    let rule = |expression: &str| json!({ "rules": [{ "action": "log", "expression": expression, "ref": "mine" }] });
    let before = api.put(&entry_point(), rule("ssl")).await.result();
    let after = api.put(&entry_point(), rule("not ssl")).await.result();
    assert_eq!(before["rules"][0]["id"], after["rules"][0]["id"]);
    assert_eq!(after["rules"][0]["ref"], "mine");
}

#[tokio::test]
async fn rules_go_where_their_position_says_and_moving_makes_no_version() {
    let api = Api::start().await;
    let made = with_rules(&api, &["http.host == \"1\"", "http.host == \"2\""]).await;
    let rules = format!("{}/{}/rules", rulesets(), made["id"].as_str().unwrap());
    let id = |ruleset: &Value, place: usize| ruleset["rules"][place]["id"].as_str().unwrap().to_owned();
    let (one, two) = (id(&made, 0), id(&made, 1));
    for (position, place) in [
        (json!({ "before": "" }), 0),
        (json!({ "after": "" }), 2),
        (json!({ "before": two }), 1),
        (json!({ "after": one }), 1),
        (json!({ "index": 1 }), 0),
        (json!({ "index": 99 }), 2),
        (Value::Null, 2),
    ] {
        let mut body = block("ssl");
        if !position.is_null() {
            body["position"] = position.clone();
        }
        let after = api.post(&rules, body).await.result();
        assert_eq!(order(&after).iter().position(|rule| *rule == "ssl"), Some(place), "{position}");
        let new = id(&after, place);
        api.delete(&format!("{rules}/{new}")).await.result();
    }
    let moved = api.patch(&format!("{rules}/{two}"), json!({ "position": { "index": 1 } })).await.result();
    assert_eq!((id(&moved, 0), &moved["rules"][0]["version"]), (two.clone(), &json!("1")));
    for position in [json!({}), json!({ "index": 0 }), json!({ "before": "x" }), json!({ "index": 1, "before": "" })] {
        let answer = api.patch(&format!("{rules}/{two}"), json!({ "position": position })).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{position}");
        assert!(answer.refusal().3.starts_with("/position"), "{}", answer.body);
    }
    let unknown = json!({ "position": { "before": "0".repeat(32) } });
    assert_eq!(api.patch(&format!("{rules}/{two}"), unknown).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_patch_replaces_the_definition_of_a_rule() {
    let api = Api::start().await;
    let made = with_rules(&api, &["ssl"]).await;
    let rule = made["rules"][0]["id"].as_str().unwrap();
    let path = format!("{}/{}/rules/{rule}", rulesets(), made["id"].as_str().unwrap());
    let response = json!({ "status_code": 451, "content_type": "text/plain", "content": "no" });
    let body = json!({ "action": "block", "expression": "not ssl", "action_parameters": { "response": response } });
    let after = api.patch(&path, body).await.result();
    let changed = &after["rules"][0];
    assert_eq!((&changed["id"], &changed["version"], &changed["description"]), (&json!(rule), &json!("2"), &json!("")));
    assert_eq!(changed["action_parameters"]["response"], response);
    assert_eq!(after["version"], "2");
    let skip = json!({ "action": "skip", "expression": "ssl", "action_parameters": { "ruleset": "current" } });
    let after = api.patch(&path, skip).await.result();
    assert_eq!(after["rules"][0]["action_parameters"], json!({ "ruleset": "current" }));
}

#[tokio::test]
async fn versions_can_be_read_and_all_but_the_current_one_forgotten() {
    let api = Api::start().await;
    let made = with_rules(&api, &["ssl"]).await;
    with_rules(&api, &["not ssl"]).await;
    for versions in
        [format!("{}/{}/versions", rulesets(), made["id"].as_str().unwrap()), format!("{}/versions", entry_point())]
    {
        let all = api.get(&versions).await.result();
        let numbers: Vec<_> = all.as_array().unwrap().iter().map(|version| version["version"].clone()).collect();
        assert_eq!(numbers, ["2", "1"]);
        assert_eq!(order(&api.get(&format!("{versions}/1")).await.result()), ["ssl"]);
        assert_eq!(api.get(&format!("{versions}/9")).await.status, StatusCode::NOT_FOUND);
    }
    let versions = format!("{}/{}/versions", rulesets(), made["id"].as_str().unwrap());
    assert_eq!(api.delete(&format!("{versions}/2")).await.status, StatusCode::CONFLICT);
    assert_eq!(api.delete(&format!("{versions}/1")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(api.delete(&format!("{versions}/1")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_zone_has_one_rule_set_that_can_be_deleted() {
    let api = Api::start().await;
    let body =
        |kind: &str, phase: &str| json!({ "name": "mine", "kind": kind, "phase": phase, "rules": [block("ssl")] });
    for (kind, phase, pointer) in [("custom", PHASE, "/kind"), ("zone", "http_request_transform", "/phase")] {
        assert_eq!(api.post(&rulesets(), body(kind, phase)).await.refusal().3, pointer);
    }
    let made = api.post(&rulesets(), body("zone", PHASE)).await.result();
    assert_eq!((&made["name"], &made["version"]), (&json!("mine"), &json!("1")));
    let second = api.post(&rulesets(), body("zone", PHASE)).await;
    assert_eq!((second.refusal().0, second.refusal().1, second.refusal().3), (400, 20_217, "/kind"));
    let one = format!("{}/{}", rulesets(), made["id"].as_str().unwrap());
    assert_eq!(api.delete(&format!("{one}?dry_run=true")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(api.get(&one).await.result(), made);
    assert_eq!(api.delete(&one).await.status, StatusCode::NO_CONTENT);
    assert_eq!(api.get(&one).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_expression_is_refused_with_carets_pointer_and_span() {
    let api = Api::start().await;
    let generation = api.generation().await;
    let bad = json!({ "rules": [block("ssl"), block("http.host == foo"), block(" ")] });
    let answer = api.put(&entry_point(), bad).await;
    let (status, code, message, pointer) = answer.refusal();
    assert_eq!((status, code, pointer), (400, 20_127, "/rules/1/expression"));
    assert!(
        message.contains("Filter parsing error (1:14):\nhttp.host == foo\n             ^^ invalid digit"),
        "{message}"
    );
    let span = &answer.body["errors"][0]["source"]["span"];
    assert_eq!(*span, json!({ "start": 13, "end": 15, "line": 1, "column": 14 }));
    let blank = &answer.body["errors"][1];
    assert_eq!((&blank["code"], &blank["source"]["pointer"]), (&json!(20_125), &json!("/rules/2/expression")));
    assert!(blank["message"].as_str().unwrap().ends_with("because the expression cannot be blank"), "{blank}");
    assert_eq!(api.generation().await, generation);
}

#[tokio::test]
async fn a_rule_that_cannot_be_is_refused_by_its_place() {
    let api = Api::start().await;
    let rule = |edit: fn(&mut Value)| {
        let mut rule = block("ssl");
        edit(&mut rule);
        json!({ "rules": [rule] })
    };
    let parameters = |parameters: Value| json!({ "rules": [{ "expression": "ssl", "action": "block", "action_parameters": parameters }] });
    let response = |status: u16, kind: &str, body: &str| {
        parameters(json!({ "response": { "status_code": status, "content_type": kind, "content": body } }))
    };
    let table = [
        (rule(|rule| rule["action"] = json!("allow")), "/rules/0/action", "unknown variant for action: allow"),
        (rule(|rule| rule["action"] = json!("managed_challenge")), "/rules/0/action", "does not have it"),
        (rule(|rule| rule["action"] = Value::Null), "/rules/0/action", "action is required"),
        (rule(|rule| rule["expression"] = Value::Null), "/rules/0/expression", "required"),
        (rule(|rule| rule["expression"] = json!("x".repeat(4097))), "/rules/0/expression", "no more than 4096"),
        (rule(|rule| rule["id"] = json!("x")), "/rules/0/id", "32 lower-case"),
        (rule(|rule| rule["position"] = json!({ "index": 1 })), "/rules/0/position", "order of the list"),
        (rule(|rule| rule["logging"] = json!({ "enabled": false })), "/rules/0/logging", "always logged"),
        (
            json!({ "rules": [{ "expression": "ssl", "action_parameters": { "ruleset": "current" } }] }),
            "/rules/0/action",
            "action is required for action parameters",
        ),
        (parameters(json!({ "ruleset": "current" })), "/rules/0/action_parameters/ruleset", "belongs to action `skip`"),
        (response(200, "text/plain", ""), "/rules/0/action_parameters/response", "not between 400 and 499"),
        (response(403, "text/css", ""), "/rules/0/action_parameters/response", "text/css"),
        (response(403, "text/plain", &"x".repeat(2049)), "/rules/0/action_parameters/response", "limit is 2048"),
        (json!({ "kind": "custom", "rules": [] }), "/kind", "cannot be changed"),
        (json!({ "phase": "x", "rules": [] }), "/phase", "only http_request_firewall_custom"),
    ];
    let generation = api.generation().await;
    for (body, pointer, reason) in table {
        let answer = api.put(&entry_point(), body).await;
        let (status, _, message, at) = answer.refusal();
        assert_eq!((status, at), (400, pointer), "{}", answer.body);
        assert!(message.contains(reason), "{message} instead of {reason}");
    }
    let twice = json!({ "rules": [{ "action": "log", "expression": "ssl", "ref": "a" }, { "action": "log", "expression": "ssl", "ref": "a" }] });
    assert_eq!(api.put(&entry_point(), twice).await.status, StatusCode::CONFLICT);
    assert_eq!(api.generation().await, generation);
}

#[tokio::test]
async fn a_dry_run_answers_as_the_change_would_and_changes_nothing() {
    let api = Api::start().await;
    let body = json!({ "rules": [block("ssl")] });
    let generation = api.generation().await;
    let dry = |dry_run: &str| format!("{}?dry_run={dry_run}", entry_point());
    assert_eq!(api.put(&dry("true"), body.clone()).await.result(), Value::Null);
    assert_eq!(api.put(&dry("true"), json!({ "rules": [block("x")] })).await.refusal().1, 20_127);
    assert_eq!(api.put(&dry("1"), body.clone()).await.refusal().3, "/dry_run");
    assert_eq!(api.generation().await, generation);
    assert_eq!(api.put(&dry("false"), body).await.result()["version"], "1");
}

#[tokio::test]
async fn an_account_has_no_rule_sets() {
    let api = Api::start().await;
    let account = api.get("/client/v4/accounts").await.result()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(api.get(&format!("/client/v4/accounts/{account}/rulesets")).await.result(), json!([]));
    let entry_point = format!("/client/v4/accounts/{account}/rulesets/phases/{PHASE}/entrypoint");
    assert_eq!(api.get(&entry_point).await.refusal().1, 10_003);
}
