//! What differs between the datapaths: who refuses, and what is counted. What does not: the verdicts, which every other file checks
//! on each of them.

use std::time::Duration;

use anyhow::Result;
use filter_tests::lab::{API, Datapath, EDGE_IPV6, Host, Lab, Outcome, Setup, UNKNOWN, WWW, run};
use filter_tests::on_every_datapath;

on_every_datapath!(
    a_host_that_is_not_configured_is_refused,
    a_network_that_a_rule_blocks_is_refused_and_served_again_without_the_rule,
    status_names_the_datapath,
);

fn a_network_that_a_rule_blocks_is_refused_and_served_again_without_the_rule(setup: Setup) -> Result<()> {
    let has_xdp = setup.datapath().has_xdp();
    // XDP knows of no zones: a network is denied only if every host would refuse it.
    let lab = setup.hosts([Host::plain(WWW)]).start()?;
    let rule = lab.filter.block(WWW, "ip.src in {10.77.0.0/16}")?;
    let answer = lab.curl(WWW).connect_timeout(Duration::from_secs(2)).run()?;
    if has_xdp {
        // Dropped at its SYN: there is no connection that could be answered on.
        assert!(matches!(answer.outcome, Outcome::Other(_)), "{:?}", answer.outcome);
        assert!(lab.filter.status()?.xdp("denied") > 0);
    } else {
        assert_eq!(answer.outcome, Outcome::Status(403));
    }
    assert_eq!(lab.curl(WWW).address(EDGE_IPV6).run()?.outcome, Outcome::Status(200), "another network");
    assert!(lab.echo.requests().iter().all(|request| request.values("x-forwarded-for").all(|from| from.contains(':'))));
    lab.filter.delete_rule(&rule)?;
    assert_eq!(lab.curl(WWW).run()?.outcome, Outcome::Status(200));
    Ok(())
}

fn a_host_that_is_not_configured_is_refused(setup: Setup) -> Result<()> {
    let has_xdp = setup.datapath().has_xdp();
    let lab = setup.start()?;
    let expected = if has_xdp { Outcome::Reset } else { Outcome::Alert("unrecognized_name".to_owned()) };
    assert_eq!(lab.curl(UNKNOWN).run()?.outcome, expected);
    assert_eq!(lab.curl(UNKNOWN).address(EDGE_IPV6).run()?.outcome, expected, "IPv6");
    assert_eq!(lab.curl("example.com").run()?.outcome, expected, "a zone is no host");
    assert_eq!(lab.curl("www.api.example.com").run()?.outcome, expected, "nor is what is below a host");
    assert_eq!(lab.curl("WWW.Example.COM").run()?.status()?, 200, "the case of a name does not matter");
    let served = lab.echo.requests();
    assert!(
        served.iter().all(|request| request.values("host").all(|host| host.eq_ignore_ascii_case(WWW))),
        "{served:?}"
    );
    Ok(())
}

fn status_names_the_datapath(setup: Setup) -> Result<()> {
    let datapath = setup.datapath();
    let lab = setup.start()?;
    let status = lab.filter.status()?;
    assert_eq!(status.datapath()?, datapath.to_string());
    assert_eq!(status.xdp_counters().is_empty(), !datapath.has_xdp());
    Ok(())
}

#[test]
fn generic_xdp_gives_the_same_verdicts() -> Result<()> {
    run(Datapath::Generic, |setup| {
        let lab = setup.start()?;
        lab.filter.protect(API)?;
        let alice = lab.filter.client_certificate("alice")?;
        assert_eq!(lab.filter.status()?.datapath()?, "generic");
        assert_eq!(lab.curl(API).run()?.outcome, Outcome::Status(403));
        assert_eq!(lab.curl(API).certificate(&alice).run()?.outcome, Outcome::Status(200));
        assert_eq!(lab.curl(UNKNOWN).run()?.outcome, Outcome::Reset);
        Ok(())
    })
}

#[test]
fn auto_takes_native_where_it_can() -> Result<()> {
    run(Datapath::Auto, |setup| {
        let lab = setup.start()?;
        assert_eq!(lab.filter.status()?.datapath()?, "native");
        Ok(())
    })
}

/// Packets that the interface has received and packets that the program has counted, at a moment when none arrived.
fn packets(lab: &Lab) -> Result<(u64, u64)> {
    loop {
        let received = lab.network.edge_packets()?;
        let counted = lab.filter.status()?.xdp_counters().iter().map(|(_, count)| count).sum();
        if received == lab.network.edge_packets()? {
            return Ok((received, counted));
        }
    }
}

#[test]
fn every_packet_that_arrives_is_counted_under_one_reason() -> Result<()> {
    run(Datapath::Native, |setup| {
        let lab = setup.start()?;
        let (received_before, counted_before) = packets(&lab)?;
        lab.curl(WWW).run()?;
        lab.curl(UNKNOWN).run()?;
        let (received, counted) = packets(&lab)?;
        assert!(received > received_before);
        assert_eq!(counted - counted_before, received - received_before);
        Ok(())
    })
}

#[test]
fn without_privilege_the_filter_serves_in_socket_mode_and_says_so() -> Result<()> {
    run(Datapath::Auto, |setup| {
        let lab = setup.unprivileged().start()?;
        lab.filter.protect(API)?;
        let alice = lab.filter.client_certificate("alice")?;
        assert_eq!(lab.filter.status()?.datapath()?, "socket");
        assert_eq!(lab.curl(API).run()?.status()?, 403);
        assert_eq!(lab.curl(API).certificate(&alice).run()?.status()?, 200);
        assert_eq!(lab.curl(UNKNOWN).run()?.outcome, Outcome::Alert("unrecognized_name".to_owned()));
        assert!(lab.filter.log().contains("socket"), "the log says why: {}", lab.filter.log());
        Ok(())
    })
}

#[test]
fn native_without_privilege_is_an_error_that_says_what_is_missing() -> Result<()> {
    run(Datapath::Native, |setup| {
        let error = setup.unprivileged().start().expect_err("XDP must not load");
        let text = format!("{error:#}").to_lowercase();
        assert!(text.contains("cap_net_admin") || text.contains("permission") || text.contains("privilege"), "{text}");
        Ok(())
    })
}

#[test]
fn native_without_raw_sockets_is_an_error_that_says_what_is_missing() -> Result<()> {
    run(Datapath::Native, |setup| {
        let error = setup.without_raw_sockets().start().expect_err("spliced connections could not be reset");
        let text = format!("{error:#}");
        assert!(text.contains("missing CAP_NET_RAW: run as root, or grant the capabilities"), "{text}");
        Ok(())
    })
}

#[test]
fn without_raw_sockets_the_filter_serves_in_socket_mode_and_says_so() -> Result<()> {
    run(Datapath::Auto, |setup| {
        let lab = setup.without_raw_sockets().start()?;
        let status = lab.filter.status()?;
        assert_eq!(status.datapath()?, "socket");
        assert!(
            status.datapath_notes().iter().any(|note| note.contains("CAP_NET_RAW")),
            "{:?}",
            status.datapath_notes()
        );
        assert_eq!(lab.curl(WWW).run()?.status()?, 200);
        Ok(())
    })
}
