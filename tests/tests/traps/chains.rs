//! Certificates that only look right.

use anyhow::Result;
use filter_tests::lab::{API, Outcome, Setup};
use filter_tests::on_every_datapath;

on_every_datapath!(
    the_name_of_an_authority_without_its_key_is_worth_nothing,
    a_client_certificate_cannot_issue_another,
    a_stolen_certificate_without_its_key_does_not_finish_the_handshake,
);

fn the_name_of_an_authority_without_its_key_is_worth_nothing(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let impostor = lab.impostor_certificate("example.com", "alice")?;
    assert_eq!(lab.curl(API).certificate(&impostor).run()?.status()?, 403);
    Ok(())
}

fn a_client_certificate_cannot_issue_another(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    let usurped = lab.certificate_signed_by(&alice, "bob")?;
    assert_eq!(lab.curl(API).certificate(&alice).run()?.status()?, 200);
    assert_eq!(lab.curl(API).certificate(&usurped).run()?.status()?, 403);
    Ok(())
}

fn a_stolen_certificate_without_its_key_does_not_finish_the_handshake(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let alice = lab.filter.client_certificate("alice")?;
    let mallory = lab.foreign_certificate("mallory")?;
    let stolen = lab.connect(API).certificate(&alice).signing_as(&mallory);
    // In TLS 1.3 the client has finished before the server looks at its signature: the alert meets the first request.
    let error = stolen.open().and_then(|mut connection| connection.get("/")).expect_err("the signature is wrong");
    assert!(
        matches!(Outcome::of_error(&error), Outcome::Alert(_) | Outcome::Reset | Outcome::Closed),
        "refused by the handshake: {error:#}"
    );
    assert!(lab.echo.requests().is_empty());
    Ok(())
}
