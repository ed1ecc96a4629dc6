//! Every write that there is, each with a body that is good: what is made of them by turning one thing bad is refused, and changes nothing.
//!
//! The table is compared with the OpenAPI document, so that a new write is not forgotten.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::bad_input::operations;
use super::crls::with_a_list;
use super::harness::{API, Answer, Api, OTHER_ZONE, SHOP, WWW, authority, signing_request};
use crate::fixtures::ZONE;

/// Calls of the document that look like writes, and change nothing of the state.
const BESIDE: [&str; 7] = [
    "/explain",
    "/expressions/check",
    "/filters/validate-expr",
    "/graphql",
    "/penalties/{address}",
    "/crl/refresh",
    // Its body is no JSON: see the tests of lists of revocations.
    "/crl/upload",
];

/// A write.
struct Write {
    method: Method,
    /// As the document has it.
    template: &'static str,
    path: String,
    /// Null for none.
    body: Value,
}

/// What writes are about.
struct World {
    account: String,
    token: String,
    retired: String,
    certificate: String,
    /// One of the zone with a list of revocations, and one of the account.
    uploaded: [String; 2],
    list: String,
    item: String,
    filter: String,
    legacy: String,
    ruleset: String,
    rules: [String; 3],
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl World {
    async fn make(api: &Api) -> Self {
        let v4 = |rest: &str| format!("/client/v4/zones/{ZONE}{rest}");
        let account = text(&api.get("/client/v4/accounts").await.result()[0]["id"]);
        let of_account = |rest: &str| format!("/client/v4/accounts/{account}{rest}");
        let retired = text(&api.get(&format!("/api/v1/zones/{ZONE}/ca")).await.result()["id"]);
        api.post(&format!("/api/v1/zones/{ZONE}/ca/rotate"), json!({})).await.result();
        let token = api.post("/api/v1/tokens", json!({ "name": "ci", "scopes": ["read"] })).await.result();
        let request = json!({ "csr": signing_request("a"), "validity_days": 1 });
        let certificate = api.post(&v4("/client_certificates"), request).await.result();
        let of_zone = with_a_list(api).await;
        let uploaded = json!({ "ca": true, "certificates": authority(|_| ()), "name": "supplier" });
        let uploaded = api.post(&of_account("/mtls_certificates"), uploaded).await.result();
        let list = api.post(&of_account("/rules/lists"), json!({ "kind": "ip", "name": "office" })).await.result();
        let items = of_account(&format!("/rules/lists/{}/items", text(&list["id"])));
        api.post(&items, json!([{ "ip": "192.0.2.1" }])).await.result();
        let item = api.get(&items).await.result();
        let mut rules = Vec::new();
        for name in ["one", "two", "three"] {
            let rule = json!({ "name": name, "expression": "ssl", "action": "log" });
            rules.push(text(&api.post(&format!("/api/v1/zones/{ZONE}/rules"), rule).await.result()["id"]));
        }
        let legacy = json!([{ "action": "block", "filter": { "expression": "ip.src == 192.0.2.1" } }]);
        let legacy = api.post(&v4("/firewall/rules"), legacy).await.result();
        let filter = api.post(&v4("/filters"), json!([{ "expression": "not ssl" }])).await.result();
        let ruleset = api.get(&v4("/rulesets")).await.result();
        Self {
            token: text(&token["id"]),
            retired,
            certificate: text(&certificate["id"]),
            uploaded: [of_zone, text(&uploaded["id"])],
            list: text(&list["id"]),
            item: text(&item[0]["id"]),
            filter: text(&filter[0]["id"]),
            legacy: text(&legacy[0]["id"]),
            ruleset: text(&ruleset[0]["id"]),
            rules: rules.try_into().unwrap(),
            account,
        }
    }

    /// Every write, in an order in which each can be made after those before.
    fn writes(&self) -> Vec<Write> {
        let bodies = [self.own(), self.of_the_account(), self.of_the_zone(), self.rulesets(), self.deletions()];
        bodies.into_iter().flatten().map(|(method, template, body)| self.write(method, template, body)).collect()
    }

    fn write(&self, method: &'static str, template: &'static str, body: Value) -> Write {
        let is_create = template.ends_with("/rulesets") || template.contains("{phase}");
        let [first, second, third] = &self.rules;
        let rule = match method {
            _ if template.contains("/firewall/") => &self.legacy,
            "DELETE" if template.contains("/rulesets/") => third,
            "DELETE" => second,
            _ => first,
        };
        let [bound, unbound] = &self.uploaded;
        let authority = match method {
            _ if template.contains("{zone}/cas/") => &self.retired,
            "DELETE" if template.contains("mtls_certificates") => unbound,
            _ => bound,
        };
        let path = template
            .replace("{account}", &self.account)
            // The other zone has no rule set yet.
            .replace("{zone}", if is_create { OTHER_ZONE } else { ZONE })
            .replace("{scope}", "zones")
            .replace("{scope_id}", ZONE)
            .replace("{phase}", "http_request_firewall_custom")
            .replace("{ruleset}", &self.ruleset)
            .replace("{rule}", rule)
            .replace("{version}", "1")
            .replace("{host}", WWW)
            .replace("{setting}", "ssl")
            .replace("{token}", &self.token)
            .replace("{certificate}", &self.certificate)
            .replace("{authority}", authority)
            .replace("{list}", &self.list)
            .replace("{filter}", &self.filter);
        let query = match (method, template) {
            ("DELETE", "/client/v4/zones/{zone}/filters") => format!("?id={}", self.filter),
            ("DELETE", "/client/v4/zones/{zone}/firewall/rules") => format!("?id={}", self.legacy),
            _ => String::new(),
        };
        Write { method: method.parse().unwrap(), template, path: path + &query, body }
    }

    fn own(&self) -> Vec<(&'static str, &'static str, Value)> {
        let response = json!({ "status_code": 403, "content_type": "text/plain", "content": "no" });
        let rule = json!({ "name": "r", "expression": "ssl", "action": "block", "response": response, "enabled": true,
            "position": { "before": "" } });
        let changed = json!({ "name": "s", "expression": "not ssl", "action": "block", "response": response,
            "enabled": false, "position": { "index": 1 } });
        let mtls = json!({ "name": "m", "hosts": [API], "reject_revoked": true, "position": { "after": "" } });
        vec![
            ("POST", "/api/v1/tokens", json!({ "name": "cd", "scopes": ["read"], "zones": [ZONE], "days": 1 })),
            ("PATCH", "/api/v1/zones/{zone}/hosts/{host}", json!({ "mtls": true })),
            ("POST", "/api/v1/zones/{zone}/mtls-rules", mtls),
            ("POST", "/api/v1/zones/{zone}/rules", rule),
            ("PATCH", "/api/v1/zones/{zone}/rules/{rule}", changed),
            ("POST", "/api/v1/zones/{zone}/ca/rotate", Value::Null),
        ]
    }

    fn of_the_account(&self) -> Vec<(&'static str, &'static str, Value)> {
        let upload = json!({ "ca": true, "certificates": authority(|_| ()), "name": "corporate" });
        let items = json!([{ "ip": "192.0.2.7", "comment": "c" }]);
        let removed = json!({ "items": [{ "id": self.item }] });
        vec![
            ("POST", "/client/v4/accounts/{account}/mtls_certificates", upload),
            (
                "POST",
                "/client/v4/accounts/{account}/rules/lists",
                json!({ "kind": "ip", "name": "x", "description": "d" }),
            ),
            ("PUT", "/client/v4/accounts/{account}/rules/lists/{list}", json!({ "description": "d" })),
            ("POST", "/client/v4/accounts/{account}/rules/lists/{list}/items", items.clone()),
            ("DELETE", "/client/v4/accounts/{account}/rules/lists/{list}/items", removed),
            ("PUT", "/client/v4/accounts/{account}/rules/lists/{list}/items", items),
        ]
    }

    fn of_the_zone(&self) -> Vec<(&'static str, &'static str, Value)> {
        let [bound, _] = &self.uploaded;
        let request = json!({ "csr": signing_request("b"), "validity_days": 30 });
        let new = json!({ "expression": "ip.src == 192.0.2.2", "description": "d", "paused": false, "ref": "f" });
        let filter = json!({ "id": self.filter, "expression": "not ssl", "description": "e", "paused": true });
        let rule = json!({ "action": "log", "filter": { "expression": "ip.src == 192.0.2.3", "ref": "g" },
            "priority": 7, "paused": false, "description": "d", "ref": "h", "products": [] });
        let known = json!({ "id": self.legacy, "action": { "mode": "block" }, "filter": { "expression": "ssl" } });
        let access = json!({ "certificate": authority(|_| ()), "name": "p", "associated_hostnames": [SHOP] });
        let setting = json!({ "hostname": API, "china_network": false, "client_certificate_forwarding": false });
        let headers = json!([{ "id": "add_client_certificate_headers", "enabled": false, "has_conflict": false }]);
        vec![
            ("PUT", "/api/v1/cas/{authority}/crl", json!({ "refresh_seconds": 3600, "when_stale": "allow" })),
            ("DELETE", "/api/v1/cas/{authority}/crl", Value::Null),
            (
                "PUT",
                "/client/v4/zones/{zone}/certificate_authorities/hostname_associations",
                json!({ "hostnames": [WWW], "mtls_certificate_id": bound }),
            ),
            ("POST", "/client/v4/zones/{zone}/client_certificates", request),
            ("DELETE", "/client/v4/zones/{zone}/client_certificates/{certificate}", Value::Null),
            ("PATCH", "/client/v4/zones/{zone}/client_certificates/{certificate}", json!({ "reactivate": true })),
            ("POST", "/client/v4/zones/{zone}/filters", json!([new])),
            ("PUT", "/client/v4/zones/{zone}/filters", json!([filter])),
            ("PUT", "/client/v4/zones/{zone}/filters/{filter}", filter),
            ("POST", "/client/v4/zones/{zone}/firewall/rules", json!([rule])),
            ("PUT", "/client/v4/zones/{zone}/firewall/rules", json!([known])),
            ("PATCH", "/client/v4/zones/{zone}/firewall/rules", json!([{ "id": self.legacy, "priority": 9 }])),
            ("PUT", "/client/v4/zones/{zone}/firewall/rules/{rule}", known),
            ("PATCH", "/client/v4/zones/{zone}/firewall/rules/{rule}", json!({ "priority": 8, "paused": true })),
            (
                "PATCH",
                "/client/v4/zones/{zone}/managed_headers",
                json!({ "managed_request_headers": headers, "managed_response_headers": [] }),
            ),
            ("PATCH", "/client/v4/zones/{zone}/settings/{setting}", json!({ "value": "flexible", "id": "ssl" })),
            ("POST", "/client/v4/{scope}/{scope_id}/access/certificates", access),
            ("PUT", "/client/v4/{scope}/{scope_id}/access/certificates/settings", json!({ "settings": [setting] })),
        ]
    }

    fn rulesets(&self) -> Vec<(&'static str, &'static str, Value)> {
        let response = json!({ "response": { "status_code": 410, "content_type": "text/xml", "content": "" } });
        let rule = json!({ "action": "block", "action_parameters": response, "expression": "ssl", "description": "d",
            "enabled": true, "ref": "r", "logging": { "enabled": true } });
        let placed = json!({ "action": "log", "expression": "ssl", "description": "d", "enabled": false,
            "position": { "before": "" } });
        let whole = json!({ "name": "n", "kind": "zone", "phase": "http_request_firewall_custom", "description": "d",
            "rules": [rule] });
        vec![
            ("POST", "/client/v4/zones/{zone}/rulesets", whole.clone()),
            ("PUT", "/client/v4/zones/{zone}/rulesets/phases/{phase}/entrypoint", whole),
            ("PUT", "/client/v4/zones/{zone}/rulesets/{ruleset}", json!({ "description": "e", "name": "o" })),
            ("POST", "/client/v4/zones/{zone}/rulesets/{ruleset}/rules", placed.clone()),
            ("PATCH", "/client/v4/zones/{zone}/rulesets/{ruleset}/rules/{rule}", placed),
        ]
    }

    fn deletions(&self) -> Vec<(&'static str, &'static str, Value)> {
        let access = "/client/v4/{scope}/{scope_id}/access/certificates/{authority}";
        [
            "/api/v1/zones/{zone}/rules/{rule}",
            "/client/v4/zones/{zone}/rulesets/{ruleset}/rules/{rule}",
            "/client/v4/zones/{zone}/rulesets/{ruleset}/versions/{version}",
            "/client/v4/zones/{zone}/firewall/rules/{rule}",
            "/client/v4/zones/{zone}/firewall/rules",
            "/client/v4/zones/{zone}/filters/{filter}",
            "/client/v4/zones/{zone}/filters",
            "/client/v4/zones/{zone}/rulesets/{ruleset}",
            "/client/v4/accounts/{account}/rules/lists/{list}",
            "/client/v4/accounts/{account}/mtls_certificates/{authority}",
            "/api/v1/zones/{zone}/cas/{authority}",
            "/api/v1/tokens/{token}",
        ]
        .map(|template| ("DELETE", template, Value::Null))
        .into_iter()
        .chain([
            ("PUT", access, json!({ "associated_hostnames": [], "name": "corporate" })),
            ("DELETE", access, Value::Null),
        ])
        .collect()
    }
}

impl Write {
    async fn send(&self, api: &Api, bearer: &str, if_match: Option<u64>) -> Answer {
        let tag = if_match.map(|generation| generation.to_string());
        let mut headers = vec![("authorization", bearer), ("content-type", "application/json")];
        headers.extend(tag.as_deref().map(|tag| ("if-match", tag)));
        let body = if self.body.is_null() { Vec::new() } else { self.body.to_string().into_bytes() };
        api.send(self.method.clone(), &self.path, &headers, body).await
    }

    /// Settings are what they are: taking them as they are changes nothing.
    fn changes(&self) -> bool {
        !["/managed_headers", "/settings/{setting}", "/certificates/settings"]
            .iter()
            .any(|end| self.template.ends_with(end))
    }
}

async fn admin(api: &Api) -> String {
    format!("Bearer {}", api.token(&[crate::model::Scope::Admin], None, None).await)
}

#[tokio::test]
async fn the_table_has_every_write_of_the_document() {
    let api = Api::start().await;
    let world = World::make(&api).await;
    let mut here: Vec<_> = world.writes().iter().map(|write| format!("{} {}", write.method, write.template)).collect();
    let is_beside = |path: &str| BESIDE.iter().any(|end| path.ends_with(end));
    let mut there: Vec<_> = operations()
        .into_iter()
        .filter(|(method, path, _)| *method != Method::GET && !is_beside(path))
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    here.sort();
    there.sort();
    assert_eq!(here, there);
}

#[tokio::test]
async fn a_stale_revision_is_refused_on_every_write_and_the_present_one_is_taken() {
    let api = Api::start().await;
    let world = World::make(&api).await;
    let bearer = admin(&api).await;
    for write in world.writes() {
        let shown = format!("{} {}", write.method, write.path);
        let present = api.generation().await;
        if write.changes() {
            let refused = write.send(&api, &bearer, Some(present - 1)).await;
            assert_eq!(refused.status, StatusCode::CONFLICT, "{shown}: {}", refused.body);
            assert!(refused.refusal().2.contains("changed by somebody else"), "{shown}: {}", refused.body);
            assert_eq!(api.generation().await, present, "{shown}");
        }
        let gone = write.template.ends_with("/firewall/rules") || write.template.ends_with("/filters");
        let is_repeated = write.method == Method::DELETE && gone;
        let taken = write.send(&api, &bearer, Some(present)).await;
        if is_repeated {
            assert_eq!(taken.status, StatusCode::NOT_FOUND, "{shown}: the one before has deleted it");
        } else {
            assert!(taken.status.is_success(), "{shown}: {} {}", taken.status, taken.body);
            assert_eq!(api.generation().await, present + u64::from(write.changes()), "{shown}");
        }
    }
}

/// Every body in which one value is of another type, or one object has a field too many.
fn spoiled(good: &Value) -> Vec<(String, Value)> {
    let mut places = vec![String::new()];
    let mut found = Vec::new();
    while let Some(place) = places.pop() {
        let here = good.pointer(&place).unwrap();
        let mut put = |value: Value| {
            let mut body = good.clone();
            *body.pointer_mut(&place).unwrap() = value;
            found.push((place.clone(), body));
        };
        match here {
            Value::String(_) => put(json!(17)),
            Value::Bool(_) | Value::Number(_) | Value::Object(_) | Value::Array(_) => put(json!("x")),
            Value::Null => {}
        }
        match here {
            Value::Object(fields) => {
                let mut more = fields.clone();
                more.insert("nonsense".to_owned(), json!(1));
                put(Value::Object(more));
                places.extend(fields.keys().map(|key| format!("{place}/{key}")));
            }
            Value::Array(items) => places.extend((0..items.len()).map(|index| format!("{place}/{index}"))),
            _ => {}
        }
    }
    found
}

#[tokio::test]
async fn a_value_of_another_type_and_an_unknown_field_are_refused_wherever_they_are() {
    let api = Api::start().await;
    let world = World::make(&api).await;
    let bearer = admin(&api).await;
    let generation = api.generation().await;
    let mut tried = 0;
    for write in world.writes().into_iter().filter(|write| !write.body.is_null()) {
        for (place, body) in spoiled(&write.body) {
            let bad = Write { body, path: write.path.clone(), method: write.method.clone(), ..write };
            let answer = bad.send(&api, &bearer, None).await;
            let shown = format!("{} {} {place}", bad.method, bad.path);
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{shown}: {} for {}", answer.body, bad.body);
            let (_, code, message, _) = answer.refusal();
            assert!(code >= 1_000 && !message.is_empty(), "{shown}: {}", answer.body);
            tried += 1;
        }
    }
    assert!(tried > 200, "{tried}");
    assert_eq!(api.generation().await, generation, "nothing was changed");
}

#[tokio::test]
async fn what_is_there_already_is_refused_and_nothing_is_changed() {
    let api = Api::start().await;
    let world = World::make(&api).await;
    let (account, generation) = (&world.account, api.generation().await);
    let pem =
        api.get(&format!("/client/v4/accounts/{account}/mtls_certificates")).await.result()[0]["certificates"].clone();
    let rule = json!({ "name": "one", "hosts": [API] });
    let kept = json!([{ "expression": "not ssl" }]);
    let twice = json!({ "rules": [{ "id": world.rules[0], "action": "log", "expression": "ssl" },
        { "id": world.rules[0], "action": "log", "expression": "ssl" }] });
    for (method, path, body, status) in [
        (Method::POST, "/api/v1/tokens".to_owned(), json!({ "name": "ci", "scopes": ["read"] }), 409),
        (Method::POST, format!("/api/v1/zones/{ZONE}/mtls-rules"), rule, 409),
        (
            Method::POST,
            format!("/client/v4/accounts/{account}/mtls_certificates"),
            json!({ "ca": true, "certificates": pem, "name": "again" }),
            409,
        ),
        (
            Method::POST,
            format!("/client/v4/zones/{ZONE}/access/certificates"),
            json!({ "certificate": pem, "name": "again" }),
            409,
        ),
        (
            Method::POST,
            format!("/client/v4/accounts/{account}/rules/lists"),
            json!({ "kind": "ip", "name": "office" }),
            409,
        ),
        // Cloudflare's number and status for it.
        (Method::POST, format!("/client/v4/zones/{ZONE}/filters"), kept, 400),
        (
            Method::POST,
            format!("/client/v4/zones/{ZONE}/rulesets"),
            json!({ "name": "n", "kind": "zone", "phase": "http_request_firewall_custom", "rules": [] }),
            400,
        ),
        (
            Method::PUT,
            format!("/client/v4/zones/{ZONE}/rulesets/phases/http_request_firewall_custom/entrypoint"),
            twice,
            409,
        ),
    ] {
        let answer = api.call(method.clone(), &path, body).await;
        assert_eq!(answer.refusal().0, status, "{method} {path}: {}", answer.body);
    }
    assert_eq!(api.generation().await, generation, "nothing was changed");
}
