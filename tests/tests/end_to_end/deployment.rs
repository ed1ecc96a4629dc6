//! A rule is in force when the command that deploys it returns; a rule that is refused changes nothing.

use std::time::{Duration, Instant};

use anyhow::Result;
use filter_tests::lab::{API, OTHER_API, Outcome, Setup, WWW};
use filter_tests::on_every_datapath;

on_every_datapath!(
    nothing_gets_through_after_the_deployment_returned,
    no_request_is_lost_while_rules_come_and_go,
    a_deleted_rule_opens_the_host_again,
    the_mtls_rule_is_the_documented_expression,
    a_refused_rule_changes_nothing,
    status_shows_one_generation_on_every_worker,
);

fn nothing_gets_through_after_the_deployment_returned(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let load = lab.load(&lab.connect(API), 24)?;
    load.run_for(Duration::from_millis(500));
    lab.filter.protect(API)?;
    let returned = Instant::now();
    load.run_for(Duration::from_millis(500));
    let samples = load.stop()?;

    let (after, before): (Vec<_>, Vec<_>) = samples.into_iter().partition(|sample| sample.sent > returned);
    assert!(before.iter().any(|sample| sample.outcome == Outcome::Status(200)), "served before: {before:?}");
    assert!(after.len() >= 24, "the load went on: {after:?}");
    assert!(after.iter().all(|sample| sample.outcome == Outcome::Status(403)), "blocked after: {after:?}");
    Ok(())
}

fn no_request_is_lost_while_rules_come_and_go(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let load = lab.load(&lab.connect(API), 8)?;
    for _ in 0..10 {
        let rule = lab.filter.protect(OTHER_API)?;
        lab.filter.delete_rule(&rule)?;
    }
    let samples = load.stop()?;
    let lost: Vec<_> = samples.iter().filter(|sample| sample.outcome != Outcome::Status(200)).collect();
    assert!(lost.is_empty(), "{} of {} requests failed: {lost:?}", lost.len(), samples.len());
    Ok(())
}

fn a_deleted_rule_opens_the_host_again(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let rule = lab.filter.protect(API)?;
    assert_eq!(lab.curl(API).run()?.status()?, 403);
    lab.filter.delete_rule(&rule)?;
    assert_eq!(lab.curl(API).run()?.status()?, 200);
    assert!(lab.filter.rule_expressions()?.is_empty());
    Ok(())
}

fn the_mtls_rule_is_the_documented_expression(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect_allowing_revoked(API)?;
    lab.filter.protect(OTHER_API)?;
    assert_eq!(
        lab.filter.rule_expressions()?,
        [
            format!("(http.host in {{\"{API}\"}} and not cf.tls_client_auth.cert_verified)"),
            format!(
                "(http.host in {{\"{OTHER_API}\"}} and (not cf.tls_client_auth.cert_verified or \
                 cf.tls_client_auth.cert_revoked))"
            ),
        ]
    );
    Ok(())
}

fn a_refused_rule_changes_nothing(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let before = (lab.filter.rule_expressions()?, lab.filter.status()?.generation()?);
    let attempts: &[(&str, &[&str])] = &[
        ("an expression that does not parse", &["--expression", "http.host =="]),
        ("a field that does not exist", &["--expression", "http.hots == \"x\""]),
        ("a type that does not fit", &["--expression", "http.host == 1"]),
        ("a host of no zone", &["--host", "api.example.org"]),
        ("a host that asks for no certificate", &["--host", WWW]),
    ];
    for (what, arguments) in attempts {
        let create = ["rule", "create", "--zone", "example.com", "--name", "bad"];
        let outcome = lab.filter.attempt(&[&create, *arguments].concat())?;
        assert_ne!(outcome.code, Some(0), "{what} was taken: {outcome:?}");
        assert!(!outcome.errors.trim().is_empty(), "{what}: the refusal says why");
    }
    assert_eq!((lab.filter.rule_expressions()?, lab.filter.status()?.generation()?), before);
    assert_eq!(lab.curl(API).run()?.status()?, 403, "the rule that was there is in force");
    assert_eq!(lab.curl(WWW).run()?.status()?, 200);
    Ok(())
}

fn status_shows_one_generation_on_every_worker(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let before = lab.filter.status()?.generation()?;
    lab.filter.protect(API)?;
    let status = lab.filter.status()?;
    assert!(status.generation()? > before);
    assert_eq!(status.worker_generations()?, [status.generation()?; 2]);
    Ok(())
}
