//! What outlives the process.

use anyhow::Result;
use filter_tests::lab::{API, Setup, WWW};
use filter_tests::on_every_datapath;

on_every_datapath!(
    rules_certificates_and_revocations_outlive_a_kill,
    a_filter_that_is_down_lets_nobody_through,
    a_terminated_filter_finishes_the_request_at_hand,
);

fn rules_certificates_and_revocations_outlive_a_kill(setup: Setup) -> Result<()> {
    let mut lab = setup.start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    let bob = lab.filter.client_certificate("bob")?;
    lab.filter.revoke(&bob)?;
    let before = (lab.filter.rule_expressions()?, lab.filter.certificates()?, lab.filter.authority("example.com")?);

    lab.crash_and_restart()?;

    let after = (lab.filter.rule_expressions()?, lab.filter.certificates()?, lab.filter.authority("example.com")?);
    assert_eq!(before, after);
    assert_eq!(lab.curl(API).run()?.status()?, 403, "the rule");
    assert_eq!(lab.curl(API).certificate(&alice).run()?.status()?, 200, "the authority");
    assert_eq!(lab.curl(API).certificate(&bob).run()?.status()?, 403, "the revocation");
    let carol = lab.filter.client_certificate("carol")?;
    assert_eq!(lab.curl(API).certificate(&carol).run()?.status()?, 200, "the authority's key");
    Ok(())
}

fn a_filter_that_is_down_lets_nobody_through(setup: Setup) -> Result<()> {
    let mut lab = setup.start()?;
    lab.filter.protect(API)?;
    let mut open = lab.connect(API).open()?;
    assert_eq!(open.get("/")?.status, 403);
    lab.filter.kill()?;
    assert!(open.get("/").is_err(), "the open connection");
    assert!(lab.curl(WWW).run()?.response.is_none(), "a new one");
    assert!(lab.echo.requests().is_empty());
    Ok(())
}

fn a_terminated_filter_finishes_the_request_at_hand(setup: Setup) -> Result<()> {
    let mut lab = setup.start()?;
    let mut connection = lab.connect(WWW).open()?;
    connection.send(format!("POST /upload HTTP/1.1\r\nHost: {WWW}\r\nContent-Length: 10\r\n\r\n01234").as_bytes())?;
    // The request has begun when the origin has its head.
    while lab.echo.requests().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    lab.filter.interrupt()?;
    connection.send(b"56789")?;
    assert_eq!(connection.response()?.json()?["body"]["length"], 10);
    drop(connection);
    assert!(lab.filter.terminate()?.success(), "exit code 0:\n{}", lab.filter.log());
    Ok(())
}
