//! Whatever the daemon acknowledged outlives kill -9, at whatever moment.

use std::collections::BTreeSet;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use filter_tests::in_socket_mode;
use filter_tests::lab::{API, Api, ClientCertificate, Issued, Lab, Setup, patience};
use serde_json::{Value, json};

in_socket_mode!(nothing_acknowledged_is_lost_by_a_kill_under_writes);

const ROUNDS: u64 = 12;
const RULES: &str = "/api/v1/zones/example.com/rules";

/// What the daemon said that it has done.
enum Acknowledged {
    Rule { id: String, generation: u64 },
    Revocation { generation: u64 },
}

/// Writes as fast as it can until nobody answers: a rule, a revocation, rules.
fn write_until_killed(api: &Api, certificate: &Issued, said: &Sender<Acknowledged>) {
    let rule = json!({ "name": "r", "expression": "ip.src == 192.0.2.1", "action": "log" });
    let revocation = format!("/client/v4/zones/{}/client_certificates/{}", certificate.zone, certificate.id);
    for step in 0_u32.. {
        let acknowledged = if step == 1 {
            let revoked = api.call("DELETE", &revocation, &Value::Null);
            // It is the second write, and nobody else writes.
            revoked.and_then(|_| generation(api)).map(|generation| Acknowledged::Revocation { generation })
        } else {
            api.call("POST", RULES, &rule).map(|written| Acknowledged::Rule {
                id: written["id"].as_str().unwrap_or_default().to_owned(),
                generation: written["generation"].as_u64().unwrap_or_default(),
            })
        };
        let Ok(acknowledged) = acknowledged else { return };
        if said.send(acknowledged).is_err() {
            return;
        }
    }
}

fn generation(api: &Api) -> Result<u64> {
    api.call("GET", "/api/v1/status", &Value::Null)?["generation"].as_u64().context("a generation")
}

fn nothing_acknowledged_is_lost_by_a_kill_under_writes(setup: Setup) -> Result<()> {
    let mut lab = setup.start()?;
    lab.filter.protect(API)?;
    let mut rules = BTreeSet::new();
    let mut revocations = 0;
    for round in 0..ROUNDS {
        let certificate = lab.filter.client_certificate(&format!("client-{round}"))?;
        let mut last = generation(&lab.filter.api())?;
        let acknowledged = killed_while_writing(&mut lab, &certificate, round)?;
        let mut is_revoked = false;
        for acknowledged in acknowledged {
            match acknowledged {
                Acknowledged::Rule { id, generation } => {
                    rules.insert(id);
                    last = last.max(generation);
                }
                Acknowledged::Revocation { generation } => {
                    is_revoked = true;
                    last = last.max(generation);
                }
            }
        }
        lab.filter.start_again(&lab.network.edge)?;
        whole(&lab, last, &rules).with_context(|| format!("round {round}"))?;
        if is_revoked {
            revocations += 1;
            assert_eq!(lab.curl(API).certificate(&certificate).run()?.status()?, 403, "round {round}: the revocation");
        }
    }
    assert!(rules.len() > ROUNDS as usize && revocations > 0, "{} rules, {revocations} revocations", rules.len());
    Ok(())
}

/// Kills the daemon some time after the first write of another thread, each round at another moment. Returns what was acknowledged.
fn killed_while_writing(lab: &mut Lab, certificate: &ClientCertificate, round: u64) -> Result<Vec<Acknowledged>> {
    let issued = certificate.issued.clone().context("it was issued")?;
    let api = lab.filter.api();
    let (said, heard) = mpsc::channel();
    let writer = thread::spawn(move || write_until_killed(&api, &issued, &said));
    let first = heard.recv().context("the first write was refused")?;
    thread::sleep(patience(Duration::from_micros(round * 23_700)));
    lab.filter.kill()?;
    let acknowledged = std::iter::once(first).chain(heard).collect();
    ensure!(writer.join().is_ok(), "the writer panicked");
    Ok(acknowledged)
}

/// The daemon has everything up to the last acknowledged generation, or the one after it, which it had no time to acknowledge.
fn whole(lab: &Lab, last: u64, rules: &BTreeSet<String>) -> Result<()> {
    let api = lab.filter.api();
    let found = generation(&api)?;
    ensure!(found == last || found == last + 1, "generation {last} was acknowledged, {found} is there");
    let listed = api.call("GET", RULES, &Value::Null)?;
    let listed: BTreeSet<&str> =
        listed.as_array().into_iter().flatten().filter_map(|rule| rule["id"].as_str()).collect();
    let lost: Vec<_> = rules.iter().filter(|id| !listed.contains(id.as_str())).collect();
    ensure!(lost.is_empty(), "lost: {lost:?}");
    let audit = api.call("GET", "/api/v1/audit?limit=1000", &Value::Null)?;
    let audited: Vec<u64> =
        audit.as_array().into_iter().flatten().filter_map(|row| row["generation"].as_u64()).collect();
    ensure!(audited == (1..=found).rev().collect::<Vec<_>>(), "the audit has a gap: {audited:?}");
    Ok(())
}
