//! Hosts that no rule can reach: whatever passes their connections on, client and origin cannot tell it from a wire.

use std::fs;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use filter_tests::lab::{
    API, CLIENT_IPV4, CLIENT_IPV6, DEAD_ORIGINS, EDGE_IPV4, EDGE_IPV6, Host, Lab, OTHER_API, Outcome, PROXY_ORIGINS,
    Setup, TLS_ORIGINS, WWW,
};
use filter_tests::on_every_datapath;
use serde_json::json;

use crate::waiting::wait_for;

on_every_datapath!(
    a_host_that_no_rule_can_reach_is_served_by_its_origin,
    a_rule_takes_its_host_off_the_fast_path_before_the_deployment_returns,
    a_hundred_changes_in_a_row_disturb_neither_spliced_nor_protected_traffic,
    a_rule_that_needs_a_worker_is_refused_on_a_host_without_a_certificate,
    a_network_that_a_rule_blocks_is_refused_on_a_host_that_is_passed_through,
    a_large_body_arrives_whole_in_both_directions_through_an_origin,
    ten_thousand_connections_are_served_fifty_at_a_time,
    an_origin_learns_of_the_client_by_the_proxy_protocol,
    an_origin_that_is_down_is_left_out_and_brought_back,
    the_next_origin_serves_where_one_is_dead,
    origins_and_clients_without_timestamps_are_served,
);

/// What status calls the way of a host that no rule can reach.
fn fast(lab: &Lab) -> Result<&'static str> {
    Ok(if lab.filter.status()?.datapath()? == "socket" { "relayed" } else { "spliced" })
}

fn both_hosts() -> [Host; 2] {
    [Host::mtls(API).also_passed(&TLS_ORIGINS), Host::passed(WWW, &TLS_ORIGINS)]
}

fn a_host_that_no_rule_can_reach_is_served_by_its_origin(setup: Setup) -> Result<()> {
    let lab = setup.hosts(both_hosts()).start()?;
    for address in [IpAddr::from(EDGE_IPV4), EDGE_IPV6.into()] {
        for host in [API, WWW] {
            let answer = lab.curl(host).address(address).path("/a?b=c").run()?;
            let text = answer.response()?.text();
            assert!(text.starts_with(&format!("tls origin\nhost {host}\nuri /a?b=c\n")), "{host} at {address}: {text}");
        }
    }
    let answer = lab.openssl(WWW).exchange("/")?.response;
    assert!(answer.text().starts_with("tls origin"), "{answer:?}");
    for host in [API, WWW] {
        assert_eq!(lab.filter.status()?.passed(host)?, fast(&lab)?, "{host}");
    }
    assert!(lab.echo.requests().is_empty(), "nobody opened a connection");

    let mut connection = lab.connect(WWW).open()?;
    connection.get("/")?;
    let flows = lab.filter.flows()?;
    let client = |flow: &serde_json::Value| flow["client"].as_str().unwrap_or_default().to_owned();
    let flow = flows.iter().find(|flow| flow["idle_seconds"].as_f64() < Some(20.0) && flow["host"] == WWW);
    let flow = flow.with_context(|| format!("the open connection is listed: {flows:#?}"))?;
    assert!(client(flow).starts_with(&format!("{CLIENT_IPV4}:")), "{flow:#}");
    assert_eq!(flow["origin"], TLS_ORIGINS[0].to_string());
    assert!(flow["bytes_from_origin"].as_u64() > Some(1000), "certificate and answer: {flow:#}");
    Ok(())
}

fn a_rule_takes_its_host_off_the_fast_path_before_the_deployment_returns(setup: Setup) -> Result<()> {
    let lab = setup.hosts(both_hosts()).start()?;
    let load = lab.load(&lab.connect(API), 16)?;
    let by_ipv6 = lab.load(&lab.connect(API).address(EDGE_IPV6), 8)?;
    let other = lab.load(&lab.connect(WWW), 4)?;
    load.run_for(Duration::from_millis(500));
    let rule = lab.filter.protect(API)?;
    let returned = Instant::now();
    load.run_for(Duration::from_millis(500));
    let samples = [load.stop()?, by_ipv6.stop()?].concat();
    let others = other.stop()?;
    assert_eq!(lab.filter.status()?.passed(API)?, "terminated");

    let (after, before): (Vec<_>, Vec<_>) = samples.into_iter().partition(|sample| sample.sent > returned);
    assert!(before.iter().any(|sample| sample.outcome == Outcome::Status(200)), "served before: {before:?}");
    let blocked = after.iter().filter(|sample| sample.outcome == Outcome::Status(403)).count();
    assert!(blocked >= 24, "blocked after: {after:?}");
    // A connection that was passed on has been reset; who finds out with his next request, finds out after the return.
    let through: Vec<_> = after.iter().filter(|sample| matches!(sample.outcome, Outcome::Status(200))).collect();
    assert!(through.is_empty(), "nothing got through after the deployment had returned: {through:?}");
    let lost: Vec<_> = others.iter().filter(|sample| sample.outcome != Outcome::Status(200)).collect();
    assert!(lost.is_empty(), "another host is not touched: {lost:?}");

    let alice = lab.filter.client_certificate("alice")?;
    assert_eq!(lab.curl(API).certificate(&alice).run()?.status()?, 200, "by its upstream");
    assert!(!lab.echo.requests().is_empty());
    lab.filter.delete_rule(&rule)?;
    assert_eq!(lab.filter.status()?.passed(API)?, fast(&lab)?, "and back");
    assert!(lab.curl(API).run()?.response()?.text().starts_with("tls origin"));
    Ok(())
}

/// Changes that are made as fast as they are answered.
const CHANGES: usize = 100;

fn a_hundred_changes_in_a_row_disturb_neither_spliced_nor_protected_traffic(setup: Setup) -> Result<()> {
    // One that a worker serves, one that every change takes off the fast path or puts back on it, and one that stays there.
    let changing = Host::mtls(OTHER_API).also_passed(&TLS_ORIGINS);
    let lab = setup.hosts([Host::mtls(API), changing, Host::passed(WWW, &TLS_ORIGINS)]).start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    let expression =
        |n: usize| format!("http.host in {{\"{API}\" \"{OTHER_API}\"}} and http.request.uri.path eq \"/{n}\"");
    let rule = lab.filter.block(API, &expression(0))?;
    let change = |n: usize| json!({ "expression": expression(n), "enabled": n.is_multiple_of(2) });
    let mut open = [lab.connect(WWW).open()?, lab.connect(API).certificate(&alice).open()?];
    let protected = lab.load(&lab.connect(API).certificate(&alice), 6)?;
    let passed = lab.load(&lab.connect(WWW), 6)?;
    let before = lab.filter.status()?.generation()?;

    let begun = Instant::now();
    let changes: Vec<_> = (1..=CHANGES).map(change).collect();
    lab.filter.api().calls("PATCH", &format!("/api/v1/zones/example.com/rules/{rule}"), &changes)?;
    let returned = Instant::now();

    for (host, load) in [(API, protected), (WWW, passed)] {
        let samples = load.stop()?;
        let failed: Vec<_> = samples.iter().filter(|sample| sample.outcome != Outcome::Status(200)).collect();
        assert!(failed.is_empty(), "{host}: {} of {} requests failed: {failed:?}", failed.len(), samples.len());
        let meanwhile = samples.iter().filter(|sample| begun < sample.sent && sample.sent < returned).count();
        assert!(meanwhile > 0, "{host}: nobody asked for anything while the rules changed");
    }
    for connection in &mut open {
        assert_eq!(connection.get("/")?.status, 200, "a connection from before the changes");
    }
    let status = lab.filter.status()?;
    assert_eq!(status.generation()?, before + CHANGES as u64);
    assert_eq!(status.worker_generations()?, [status.generation()?; 2]);
    assert_eq!(status.passed(WWW)?, fast(&lab)?, "no rule can reach it");
    assert_eq!(status.passed(OTHER_API)?, "terminated", "the last change can");
    let last = format!("/{CHANGES}");
    assert_eq!(lab.curl(API).certificate(&alice).path(&last).run()?.status()?, 403, "the last change is in force");
    assert_eq!(lab.curl(OTHER_API).path(&last).run()?.status()?, 403, "on both hosts");
    assert_eq!(lab.curl(API).certificate(&alice).path("/98").run()?.status()?, 200, "and none before it");
    Ok(())
}

fn a_rule_that_needs_a_worker_is_refused_on_a_host_without_a_certificate(setup: Setup) -> Result<()> {
    let lab = setup.hosts(both_hosts()).start()?;
    let before = (lab.filter.rule_expressions()?, lab.filter.status()?.generation()?);
    let expression = "http.request.method eq \"PUT\"";
    let create = ["rule", "create", "--zone", "example.com", "--name", "no uploads", "--expression", expression];
    let refused = lab.filter.attempt(&[&create[..], &["--action", "block"]].concat())?;
    assert_ne!(refused.code, Some(0), "{refused:?}");
    for named in ["no uploads", WWW, "certificate"] {
        assert!(refused.errors.contains(named), "the refusal names {named}: {}", refused.errors);
    }
    assert_eq!((lab.filter.rule_expressions()?, lab.filter.status()?.generation()?), before);
    for host in [API, WWW] {
        assert!(lab.curl(host).run()?.response()?.text().starts_with("tls origin"), "{host}");
    }
    Ok(())
}

fn a_network_that_a_rule_blocks_is_refused_on_a_host_that_is_passed_through(setup: Setup) -> Result<()> {
    let lab = setup.hosts([Host::passed(WWW, &TLS_ORIGINS)]).start()?;
    let mut open = lab.connect(WWW).open()?;
    assert_eq!(open.get("/")?.status, 200);
    let rule = lab.filter.block(WWW, "ip.src in {10.77.0.0/16}")?;
    assert!(open.get("/").is_err(), "an open connection");
    let answer = lab.curl(WWW).connect_timeout(Duration::from_secs(2)).run()?;
    assert!(answer.response.is_none(), "a new one: {answer:?}");
    assert_eq!(lab.curl(WWW).address(EDGE_IPV6).run()?.status()?, 200, "another network");
    lab.filter.delete_rule(&rule)?;
    assert_eq!(lab.curl(WWW).run()?.status()?, 200);
    Ok(())
}

/// Size of a large body.
const LARGE: usize = 100 * 1024 * 1024;

fn a_large_body_arrives_whole_in_both_directions_through_an_origin(setup: Setup) -> Result<()> {
    let lab = setup.hosts([Host::passed(WWW, &TLS_ORIGINS)]).start()?;
    let files = lab.nginx()?.files();
    let content: Vec<u8> = (0..LARGE).map(|offset| (offset % 251) as u8).collect();
    fs::write(files.join("large"), &content)?;
    for address in [IpAddr::from(EDGE_IPV4), EDGE_IPV6.into()] {
        let answer = lab.curl(WWW).address(address).path("/files/large").run()?;
        assert_eq!(answer.status()?, 200, "{address}");
        assert!(fs::read(&answer.body_file)? == content, "what came from {address} is the origin's");
        let upload = answer.body_file.to_string_lossy().into_owned();
        let put = lab.curl(WWW).address(address).option("--upload-file").option(&upload).path("/files/uploaded");
        assert_eq!(put.run()?.status()?, 201);
        assert!(fs::read(files.join("uploaded"))? == content, "what arrived by {address} is what was sent");
        fs::remove_file(files.join("uploaded"))?;
    }
    Ok(())
}

fn ten_thousand_connections_are_served_fifty_at_a_time(setup: Setup) -> Result<()> {
    let lab = setup.hosts([Host::passed(WWW, &TLS_ORIGINS)]).start()?;
    let outcomes = lab.curl(WWW).many(10_000, 50)?;
    let failed: Vec<_> = outcomes.iter().filter(|outcome| **outcome != Outcome::Status(200)).collect();
    assert_eq!(outcomes.len(), 10_000);
    assert!(failed.is_empty(), "{} of {} failed: {:?}", failed.len(), outcomes.len(), failed.first());
    Ok(())
}

fn an_origin_learns_of_the_client_by_the_proxy_protocol(setup: Setup) -> Result<()> {
    let lab = setup.hosts([Host::passed(WWW, &PROXY_ORIGINS)]).start()?;
    for (edge, client) in [(IpAddr::from(EDGE_IPV4), IpAddr::from(CLIENT_IPV4)), (EDGE_IPV6.into(), CLIENT_IPV6.into())]
    {
        for _ in 0..3 {
            let answer = lab.curl(WWW).address(edge).option("--local-port").option("40000-40100").run()?;
            let text = answer.response()?.text();
            assert!(text.contains(&format!("proxied {client}:40")), "{text}");
        }
    }
    Ok(())
}

fn an_origin_that_is_down_is_left_out_and_brought_back(setup: Setup) -> Result<()> {
    let mut lab = setup.hosts([Host::passed(WWW, &TLS_ORIGINS)]).start()?;
    assert_eq!(lab.curl(WWW).run()?.status()?, 200);
    lab.stop_nginx();
    // Whether or not a check has found out.
    assert_eq!(lab.curl(WWW).run()?.outcome, Outcome::Reset);
    let are_up = |lab: &Lab, wanted: bool| -> Result<bool> {
        let status = lab.filter.status()?;
        Ok(TLS_ORIGINS.iter().all(|origin| status.origin_is_up(*origin).is_ok_and(|up| up == wanted)))
    };
    wait_for("down", || are_up(&lab, false))?;
    assert_eq!(lab.curl(WWW).run()?.outcome, Outcome::Reset);
    assert_eq!(lab.curl(WWW).address(EDGE_IPV6).run()?.outcome, Outcome::Reset);
    assert!(lab.filter.status()?.requests("origin_unreachable") > 0);
    lab.start_nginx()?;
    wait_for("up", || are_up(&lab, true))?;
    assert_eq!(lab.curl(WWW).run()?.status()?, 200);
    assert_eq!(lab.curl(WWW).address(EDGE_IPV6).run()?.status()?, 200);
    Ok(())
}

fn the_next_origin_serves_where_one_is_dead(setup: Setup) -> Result<()> {
    let lab = setup.hosts([Host::passed(WWW, &[DEAD_ORIGINS[0], TLS_ORIGINS[0]])]).start()?;
    // Whichever of them a client of this address and port would be given.
    for _ in 0..8 {
        assert_eq!(lab.curl(WWW).run()?.status()?, 200);
    }
    Ok(())
}

fn origins_and_clients_without_timestamps_are_served(setup: Setup) -> Result<()> {
    let lab = setup.hosts([Host::passed(WWW, &TLS_ORIGINS)]).start()?;
    for (namespace, what) in [(&lab.network.origin, "origin"), (&lab.network.client, "client")] {
        namespace.enter(|| Ok(fs::write("/proc/sys/net/ipv4/tcp_timestamps", "0")?))?;
        for address in [IpAddr::from(EDGE_IPV4), EDGE_IPV6.into()] {
            for _ in 0..3 {
                assert_eq!(lab.curl(WWW).address(address).run()?.status()?, 200, "without timestamps at the {what}");
            }
        }
    }
    Ok(())
}
