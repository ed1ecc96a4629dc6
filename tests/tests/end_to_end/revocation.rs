//! A revocation counts from the moment the command returned: for new connections, open ones and resumed ones.

use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use filter_tests::lab::{API, Host, OTHER_API, Outcome, Setup, WWW, patience};
use filter_tests::on_every_datapath;

on_every_datapath!(
    a_plain_rule_lets_revoked_certificates_through,
    a_revoked_certificate_is_blocked_and_a_reactivated_one_is_not,
    curl_is_blocked_on_its_open_connection,
    openssl_is_blocked_on_its_open_connection,
    a_certificate_that_expires_is_blocked_on_its_open_connection,
    nothing_gets_through_after_the_revocation_returned,
    revoking_twice_is_no_error_and_an_unknown_id_is_one,
    a_host_that_wants_it_closes_the_connections_of_a_revoked_certificate,
);

fn a_plain_rule_lets_revoked_certificates_through(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let plain = lab.filter.protect_allowing_revoked(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    lab.filter.revoke(&alice)?;
    assert_eq!(lab.curl(API).certificate(&alice).run()?.status()?, 200, "cert_verified does not look at revocation");

    lab.filter.protect(API)?;
    assert_eq!(lab.curl(API).certificate(&alice).run()?.status()?, 403, "a second rule that does");
    lab.filter.delete_rule(&plain)?;
    assert_eq!(lab.curl(API).certificate(&alice).run()?.status()?, 403, "and alone");
    Ok(())
}

fn a_revoked_certificate_is_blocked_and_a_reactivated_one_is_not(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    let bob = lab.filter.client_certificate("bob")?;
    lab.filter.revoke(&alice)?;
    assert_eq!(lab.curl(API).certificate(&alice).run()?.status()?, 403);
    assert_eq!(lab.curl(API).certificate(&bob).run()?.status()?, 200, "another certificate is not touched");
    lab.filter.reactivate(&alice)?;
    assert_eq!(lab.curl(API).certificate(&alice).run()?.status()?, 200);
    Ok(())
}

fn curl_is_blocked_on_its_open_connection(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    let [first, second] = lab.curl(API).certificate(&alice).two_requests(|| lab.filter.revoke(&alice))?;
    assert_eq!(first.outcome, Outcome::Status(200));
    assert_eq!(second.outcome, Outcome::Status(403));
    assert_eq!((first.connects, second.connects), (1, 0), "both requests went over one connection");
    Ok(())
}

fn openssl_is_blocked_on_its_open_connection(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    let mut connection = lab.openssl(API).certificate(&alice).open()?;
    assert_eq!(connection.get("/1")?.status, 200);
    lab.filter.revoke(&alice)?;
    assert_eq!(connection.get("/2")?.status, 403);
    lab.filter.reactivate(&alice)?;
    assert_eq!(connection.get("/3")?.status, 200, "a block does not end the connection");
    let served: Vec<String> = lab.echo.requests().into_iter().map(|request| request.uri).collect();
    assert_eq!(served, ["/1", "/3"]);
    Ok(())
}

fn a_certificate_that_expires_is_blocked_on_its_open_connection(setup: Setup) -> Result<()> {
    let mut lab = setup.start()?;
    lab.filter.protect(API)?;
    let expires = SystemTime::now() + patience(Duration::from_secs(6));
    let alice = lab.certificate_expiring_at("alice", expires)?;
    let mut connection = lab.connect(API).certificate(&alice).open()?;
    assert_eq!(connection.get("/")?.status, 200);
    // Certificates know no fractions of a second.
    let expired = expires + Duration::from_secs(1);
    std::thread::sleep(expired.duration_since(SystemTime::now()).unwrap_or_default());
    assert_eq!(connection.get("/")?.status, 403, "on the open connection");
    assert_eq!(lab.curl(API).certificate(&alice).run()?.status()?, 403, "and on a new one");
    Ok(())
}

fn nothing_gets_through_after_the_revocation_returned(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    let load = lab.load(&lab.connect(API).certificate(&alice), 16)?;
    load.run_for(Duration::from_millis(500));
    lab.filter.revoke(&alice)?;
    let returned = Instant::now();
    load.run_for(Duration::from_millis(500));
    let samples = load.stop()?;

    let (after, before): (Vec<_>, Vec<_>) = samples.into_iter().partition(|sample| sample.sent > returned);
    assert!(before.iter().any(|sample| sample.outcome == Outcome::Status(200)), "served before: {before:?}");
    assert!(after.len() >= 16, "the load went on: {after:?}");
    assert!(after.iter().all(|sample| sample.outcome == Outcome::Status(403)), "blocked after: {after:?}");
    Ok(())
}

fn revoking_twice_is_no_error_and_an_unknown_id_is_one(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let alice = lab.filter.client_certificate("alice")?;
    lab.filter.revoke(&alice)?;
    lab.filter.revoke(&alice)?;
    let outcome = lab.filter.attempt(&["cert", "revoke", "no-such-certificate"])?;
    assert_ne!(outcome.code, Some(0));
    assert_eq!(outcome.errors.lines().count(), 1, "one line says why: {outcome:?}");
    Ok(())
}

fn a_host_that_wants_it_closes_the_connections_of_a_revoked_certificate(setup: Setup) -> Result<()> {
    let lab = setup.hosts([Host::mtls(API).closes_on_revoke(), Host::mtls(OTHER_API), Host::plain(WWW)]).start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    let bob = lab.filter.client_certificate("bob")?;
    let mut closed = lab.connect(API).certificate(&alice).open()?;
    let mut elsewhere = lab.connect(OTHER_API).certificate(&alice).open()?;
    let mut others = lab.connect(API).certificate(&bob).open()?;
    for connection in [&mut closed, &mut elsewhere, &mut others] {
        assert_eq!(connection.get("/")?.status, 200);
    }
    lab.filter.revoke(&alice)?;
    assert!(closed.get("/").is_err(), "closed");
    assert_eq!(others.get("/")?.status, 200, "another certificate is not touched");
    assert_eq!(elsewhere.get("/")?.status, 200, "nor a host that does not want it and that no rule protects");
    assert_eq!(lab.curl(API).certificate(&alice).run()?.status()?, 403);
    lab.filter.reactivate(&alice)?;
    let mut again = lab.connect(API).certificate(&alice).open()?;
    assert_eq!(again.get("/")?.status, 200);
    lab.filter.revoke(&bob)?;
    assert_eq!(again.get("/")?.status, 200);
    let counted = lab.filter.status()?.request_counters();
    assert!(counted.contains(&("certificate_revoked".to_owned(), 2)), "{counted:?}");
    Ok(())
}
