//! What is told of blocked and logged requests, to whoever asks, looks on, or reads the file.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use filter_tests::lab::{API, OTHER_API, Setup};
use filter_tests::on_every_datapath;
use serde_json::{Value, json};

on_every_datapath!(
    a_blocked_request_is_an_event_that_explains_itself,
    events_are_followed_as_they_happen_until_the_filter_stops,
    events_outlive_a_restart,
);

fn a_blocked_request_is_an_event_that_explains_itself(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let rule = lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    let bob = lab.filter.client_certificate("bob")?;
    lab.filter.revoke(&alice)?;
    for certificate in [&alice, &bob] {
        lab.curl(API).path("/private?secret=1").certificate(certificate).run()?;
    }
    let page = lab.curl(API).path("/other").run()?;
    let ray = page.response()?.header("x-ray-id").context("no ray id")?.to_owned();

    let events = lab.filter.events(2, &[])?;
    let [first, second] = [&events[0], &events[1]];
    assert_eq!((&first["rule"], &second["rule"]), (&json!(rule), &json!(rule)));
    assert_eq!((&first["method"], &first["path"], &first["status"]), (&json!("GET"), &json!("/private"), &json!(403)));
    assert_eq!(
        (&first["zone"], &first["host"], &first["reason"]),
        (&json!("example.com"), &json!(API), &json!("blocked"))
    );
    assert_eq!(first["certificate"]["revoked"], true);
    assert!(first["certificate"]["subject"].to_string().contains("alice"), "{first}");
    assert_eq!(first["generation"], lab.filter.status()?.generation()?);
    assert_eq!((&second["certificate"], &second["ray_id"]), (&Value::Null, &json!(ray)));
    let alice_id = &alice.issued.as_ref().context("alice was not issued")?.id;
    for (arguments, count) in [
        (["--certificate", alice_id], 1),
        (["--host", API], 2),
        (["--host", OTHER_API], 0),
        (["--rule", &rule], 2),
        (["--action", "log"], 0),
        (["--since", "1h"], 2),
        (["--until", "1h"], 0),
        (["--limit", "1"], 1),
    ] {
        lab.filter.events(count, &arguments)?;
    }
    // The rules have changed since; the facts of the verdict have not.
    lab.filter.delete_rule(&rule)?;
    let now = lab.filter.command(&["explain", &ray])?;
    assert!(now.contains(&format!("block by rule {rule}")) && now.contains("verdict: allow"), "{now}");
    lab.filter.protect(API)?;
    let now = lab.filter.command(&["explain", &ray])?;
    assert!(now.contains("cf.tls_client_auth.cert_verified: false; value: false"), "{now}");
    assert!(now.contains("verdict: block"), "{now}");
    let unknown = lab.filter.attempt(&["explain", "0000000000000000"])?;
    assert_eq!((unknown.code, unknown.errors.lines().count()), (Some(1), 1), "{unknown:?}");
    Ok(())
}

fn events_are_followed_as_they_happen_until_the_filter_stops(setup: Setup) -> Result<()> {
    let mut lab = setup.start()?;
    lab.filter.protect(API)?;
    lab.filter.protect(OTHER_API)?;
    lab.curl(API).path("/before").run()?;
    lab.filter.events(1, &[])?;
    let output = lab.directory().join("followed");
    let follow = ["events", "--follow", "--host", API, "--since", "1h", "--json"];
    let mut follower = lab.filter.beside(&follow, &output)?;
    // The one before comes first; once it is there, he follows.
    follower.wait_until("told of what was", || followed(&output) == ["/before"])?;
    lab.curl(API).path("/one").run()?;
    lab.curl(OTHER_API).path("/elsewhere").run()?;
    lab.curl(API).path("/two").run()?;
    follower.wait_until("told of what happens", || followed(&output) == ["/before", "/one", "/two"])?;
    let ended = lab.filter.terminate()?;
    assert!(ended.success(), "who follows keeps no daemon from its end: {ended}");
    while follower.is_running()? {}
    let said = fs::read_to_string(&output)?;
    assert!(said.ends_with("mtls-filter: the daemon has ended\n"), "{said}");
    Ok(())
}

/// The paths of the events that a follower has printed.
fn followed(output: &Path) -> Vec<String> {
    let printed = fs::read_to_string(output).unwrap_or_default();
    let events = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter_map(|event| event["path"].as_str().map(str::to_owned)).collect()
}

fn events_outlive_a_restart(setup: Setup) -> Result<()> {
    let mut lab = setup.start()?;
    lab.filter.protect(API)?;
    lab.curl(API).path("/before").run()?;
    let before = lab.filter.events(1, &[])?;
    lab.filter.terminate()?;
    lab.filter.start_again(&lab.network.edge)?;
    assert_eq!(lab.filter.events(1, &[])?, before);
    lab.curl(API).path("/after").run()?;
    let after = lab.filter.events(2, &[])?;
    assert_eq!(after[1]["path"], "/after");
    assert!(after[1]["number"].as_u64() > before[0]["number"].as_u64());
    let file = fs::read_to_string(lab.directory().join("store/events.jsonl"))?;
    let lines: Vec<Value> = file.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(lines, after, "the file holds what the API tells");
    Ok(())
}
