//! A resumed connection is decided exactly like a full one (CVE-2025-23419, CVE-2025-68121, and Cloudflare's incident of December
//! 2022, in which revoked clients kept their access by resuming).

use anyhow::Result;
use filter_tests::lab::{API, OTHER_API, Setup, WWW};
use filter_tests::on_every_datapath;

on_every_datapath!(
    a_revoked_certificate_is_blocked_on_a_resumed_connection,
    openssl_cannot_resume_its_way_past_a_revocation,
    a_session_does_not_carry_a_certificate_to_another_host,
    a_resumed_connection_is_as_good_as_a_full_one,
);

fn a_revoked_certificate_is_blocked_on_a_resumed_connection(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    let client = lab.connect(API).certificate(&alice).client()?;
    assert_eq!(client.open()?.get("/")?.status, 200);
    lab.filter.revoke(&alice)?;
    for attempt in 1..=3 {
        assert_eq!(client.open()?.get("/")?.status, 403, "attempt {attempt}");
    }
    Ok(())
}

fn openssl_cannot_resume_its_way_past_a_revocation(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    for version in ["-tls1_2", "-tls1_3"] {
        let alice = lab.filter.client_certificate(&format!("alice{version}"))?;
        let session = lab.directory().join(format!("session{version}"));
        let first = lab.openssl(API).option(version).certificate(&alice).save_session(&session).exchange("/")?;
        assert_eq!(first.response.status, 200, "{version}");
        lab.filter.revoke(&alice)?;
        // No certificate this time: whatever the filter knows of one, it knows from the session.
        let again = lab.openssl(API).option(version);
        let again = if session.exists() { again.offer_session(&session) } else { again };
        let second = again.exchange("/")?;
        assert_eq!(second.response.status, 403, "{version}, resumed: {}", second.reused);
    }
    Ok(())
}

fn a_session_does_not_carry_a_certificate_to_another_host(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    lab.filter.protect(OTHER_API)?;
    let session = lab.directory().join("session");
    let alice = lab.filter.client_certificate("alice")?;
    lab.openssl(API).certificate(&alice).save_session(&session).exchange("/")?;
    for host in [OTHER_API, WWW] {
        let other = lab.openssl(host);
        let other = if session.exists() { other.offer_session(&session) } else { other };
        let second = other.exchange("/")?;
        assert!(!second.reused, "a session of {API} was resumed on {host}");
        assert_eq!(second.response.status, if host == WWW { 200 } else { 403 });
    }
    Ok(())
}

fn a_resumed_connection_is_as_good_as_a_full_one(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    for client in [lab.connect(API).certificate(&alice).client()?, lab.connect(WWW).client()?] {
        for attempt in 1..=3 {
            let mut connection = client.open()?;
            let resumed = connection.resumed();
            assert_eq!(connection.get("/")?.status, 200, "attempt {attempt}, resumed: {resumed}");
        }
    }
    Ok(())
}
