//! What is told of connections that are passed on: `flows`, `top`, `status`, and the metrics on the admin listener.

use anyhow::{Context, Result};
use filter_tests::lab::{API, Host, Lab, Setup, TLS_ORIGINS, WWW};
use filter_tests::on_every_datapath;
use serde_json::Value;

use crate::waiting::{wait_for, wait_until_spliced};

on_every_datapath!(
    top_shows_what_happens_now,
    metrics_count_connections_and_bytes_by_host,
    every_generation_is_shown_beside_the_others,
    flows_are_listed_by_host,
);

fn lab(setup: Setup) -> Result<Lab> {
    let lab = setup.hosts([Host::mtls(API).also_passed(&TLS_ORIGINS), Host::passed(WWW, &TLS_ORIGINS)]).start()?;
    wait_until_spliced(&lab)?;
    Ok(lab)
}

/// What passes connections on.
fn via(lab: &Lab) -> Result<&'static str> {
    Ok(if lab.filter.status()?.datapath()? == "socket" { "worker" } else { "xdp" })
}

fn top_shows_what_happens_now(setup: Setup) -> Result<()> {
    let lab = lab(setup)?;
    let load = lab.load(&lab.connect(WWW), 4)?;
    let printed = lab.filter.command(&["top", "--once", "--interval", "500ms"])?;
    let json: Value = serde_json::from_str(&lab.filter.command(&["top", "--json", "--interval", "500ms"])?)?;
    load.stop()?;
    let row = |host: &str| printed.lines().find(|line| line.starts_with(host));
    let busy = row(WWW).with_context(|| format!("no row of {WWW}:\n{printed}"))?;
    let idle = row(API).with_context(|| format!("no row of {API}:\n{printed}"))?;
    assert!(idle.contains("0.0") && !busy.contains(" 0.0 "), "{printed}");
    assert!(printed.lines().any(|line| line.starts_with("requests") || line.starts_with("packets")), "{printed}");
    assert_eq!(json["hosts"][0]["host"], WWW, "the busiest first: {json:#}");
    assert!(json["hosts"][0]["connections"].as_f64() > Some(0.0), "{json:#}");
    assert!(json["hosts"][0]["bytes_from_origins"].as_f64() > Some(1000.0), "{json:#}");
    let refused = lab.filter.attempt(&["top", "--once", "--interval", "99ms"])?;
    assert!(refused.code != Some(0) && refused.errors.contains("100ms to 60s"), "{refused:?}");
    Ok(())
}

fn sample(metrics: &str, name: &str) -> Result<u64> {
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).with_context(|| format!("no {name} in\n{metrics}"))
}

fn metrics_count_connections_and_bytes_by_host(setup: Setup) -> Result<()> {
    let lab = lab(setup)?;
    let via = via(&lab)?;
    for _ in 0..3 {
        assert_eq!(lab.curl(WWW).run()?.status()?, 200);
    }
    let mut open = lab.openssl(WWW).open()?;
    open.get("/")?;
    let labels = format!("host=\"{WWW}\",via=\"{via}\"");
    let closed = format!("mtls_filter_passed_connections_closed_total{{{labels}}}");
    let token = lab.filter.token("prometheus")?;
    let metrics = || lab.filter.metrics(&lab.network.edge, &token);
    // Those of curl are over when both ends have heard it.
    wait_for("three have ended", || Ok(sample(&metrics()?, &closed)? == 3))?;
    let metrics = metrics()?;
    let of = |name: &str, more: &str| sample(&metrics, &format!("mtls_filter_{name}{{{labels}{more}}}"));
    assert_eq!(of("passed_connections_total", "")?, 4);
    assert_eq!(of("passed_connections_open", "")?, 1);
    assert!(of("passed_bytes_total", ",from=\"client\"")? > 4 * 500);
    assert!(of("passed_bytes_total", ",from=\"origin\"")? > 4 * 500);
    assert_eq!(sample(&metrics, &format!("mtls_filter_origin_up{{origin=\"{}\"}}", TLS_ORIGINS[0]))?, 1);
    if via == "xdp" {
        assert_eq!(sample(&metrics, "mtls_filter_packets_total{reason=\"splice_opened\"}")?, 4);
        assert!(sample(&metrics, "mtls_filter_packet_bytes_total{reason=\"splice_from_origin\"}")? > 2000);
    } else {
        assert_eq!(sample(&metrics, "mtls_filter_requests_total{reason=\"relayed\"}")?, 3);
    }
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    Ok(())
}

fn every_generation_is_shown_beside_the_others(setup: Setup) -> Result<()> {
    let lab = lab(setup)?;
    for _ in 0..2 {
        let rule = lab.filter.protect(API)?;
        lab.filter.delete_rule(&rule)?;
        let status = lab.filter.status()?;
        let generation = status.generation()?;
        assert!(status.worker_generations()?.iter().all(|of_worker| *of_worker == generation), "{status:?}");
        let expected = (status.datapath()? != "socket").then_some(generation);
        assert_eq!(status.xdp_generation(), expected, "{status:?}");
        let printed = lab.filter.command(&["status"])?;
        assert_eq!(printed.contains(&format!("maps of generation {generation}")), expected.is_some(), "{printed}");
    }
    Ok(())
}

fn flows_are_listed_by_host(setup: Setup) -> Result<()> {
    let lab = lab(setup)?;
    let via = via(&lab)?;
    let mut connections = Vec::new();
    for host in [WWW, API, WWW] {
        let mut connection = lab.openssl(host).open()?;
        connection.get("/")?;
        connections.push(connection);
    }
    let printed = lab.filter.command(&["flows", "--host", WWW])?;
    let rows: Vec<_> = printed.lines().skip(1).collect();
    assert_eq!(rows.len(), 2, "{printed}");
    assert!(rows.iter().all(|row| row.starts_with(WWW) && row.contains(via)), "{printed}");
    assert!(printed.starts_with("HOST") && lab.filter.command(&["flows"])?.contains(API), "{printed}");
    Ok(())
}
