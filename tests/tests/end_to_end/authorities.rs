//! Authorities that an operator brings: their certificates count on the hosts they are associated with, and nowhere else.

use anyhow::{Context, Result};
use filter_tests::lab::{API, Authority, Filter, OTHER_API, Setup, WWW};
use filter_tests::on_every_datapath;
use serde_json::{Value, json};

on_every_datapath!(
    a_certificate_of_an_uploaded_authority_counts_where_it_is_associated,
    a_host_asks_for_certificates_while_an_uploaded_authority_is_associated,
    several_authorities_count_on_one_host_each_for_itself,
    certificates_of_a_rotated_authority_count_until_it_is_deleted,
);

/// Uploads an authority, and returns its id.
fn upload(filter: &Filter, authority: &Authority) -> Result<Value> {
    let certificates = std::fs::read_to_string(authority.certificate_file())?;
    let accounts = filter.call("GET", "/client/v4/accounts", &json!({}))?;
    let account = accounts.pointer("/0/id").and_then(Value::as_str).context("there is one account")?;
    let path = format!("/client/v4/accounts/{account}/mtls_certificates");
    let uploaded =
        filter.call("POST", &path, &json!({"ca": true, "certificates": certificates, "name": "corporate"}))?;
    Ok(uploaded["id"].clone())
}

fn associate(filter: &Filter, authority: &Value, hosts: &[&str]) -> Result<()> {
    let path = "/client/v4/zones/example.com/certificate_authorities/hostname_associations";
    filter.call("PUT", path, &json!({"hostnames": hosts, "mtls_certificate_id": authority})).map(drop)
}

fn a_certificate_of_an_uploaded_authority_counts_where_it_is_associated(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    lab.filter.protect(OTHER_API)?;
    let alice = lab.filter.client_certificate("alice")?;
    let corporate = Authority::create(lab.directory(), "corporate")?;
    let bob = corporate.client("bob")?;
    let seen = || -> Result<_> {
        let status = |host, certificate| lab.curl(host).certificate(certificate).run()?.status();
        Ok([status(API, &bob)?, status(OTHER_API, &bob)?, status(API, &alice)?])
    };
    let id = upload(&lab.filter, &corporate)?;
    assert_eq!(seen()?, [403, 403, 200], "it was uploaded, and is associated with nothing");

    associate(&lab.filter, &id, &[API])?;
    assert_eq!(seen()?, [200, 403, 200], "beside the zone's own");
    let mut open = lab.connect(API).certificate(&bob).open()?;
    assert_eq!(open.get("/")?.status, 200);

    associate(&lab.filter, &id, &[])?;
    assert_eq!(open.get("/")?.status, 403, "on the open connection");
    assert_eq!(seen()?, [403, 403, 200]);
    Ok(())
}

fn a_host_asks_for_certificates_while_an_uploaded_authority_is_associated(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let corporate = Authority::create(lab.directory(), "corporate")?;
    let (bob, alice) = (corporate.client("bob")?, lab.filter.client_certificate("alice")?);
    let id = upload(&lab.filter, &corporate)?;
    associate(&lab.filter, &id, &[WWW])?;
    lab.filter.protect(WWW)?;
    assert_eq!(lab.curl(WWW).run()?.status()?, 403);
    assert_eq!(lab.curl(WWW).certificate(&bob).run()?.status()?, 200);
    assert_eq!(lab.curl(WWW).certificate(&alice).run()?.status()?, 403, "the zone's own is not associated");
    Ok(())
}

fn several_authorities_count_on_one_host_each_for_itself(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    let (one, two) = (Authority::create(lab.directory(), "one")?, Authority::create(lab.directory(), "two")?);
    let (bob, carol) = (one.client("bob")?, two.client("carol")?);
    let (first, second) = (upload(&lab.filter, &one)?, upload(&lab.filter, &two)?);
    let seen = || -> Result<_> {
        let status = |certificate| lab.curl(API).certificate(certificate).run()?.status();
        Ok([status(&alice)?, status(&bob)?, status(&carol)?])
    };
    for (authority, hosts, expected) in [
        (&first, &[API][..], [200, 200, 403]),
        (&second, &[API], [200, 200, 200]),
        (&first, &[], [200, 403, 200]),
        (&second, &[], [200, 403, 403]),
    ] {
        associate(&lab.filter, authority, hosts)?;
        assert_eq!(seen()?, expected, "{authority} on {hosts:?}");
    }
    Ok(())
}

fn certificates_of_a_rotated_authority_count_until_it_is_deleted(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let old = lab.filter.client_certificate("old")?;
    let before = lab.filter.call("GET", "/api/v1/zones/example.com/ca", &json!({}))?;
    lab.filter.call("POST", "/api/v1/zones/example.com/ca/rotate", &json!({}))?;
    let new = lab.filter.client_certificate("new")?;
    let mut open = lab.connect(API).certificate(&old).open()?;
    assert_eq!(open.get("/")?.status, 200, "the overlap");
    assert_eq!(lab.curl(API).certificate(&new).run()?.status()?, 200);
    let retired = format!("/api/v1/zones/example.com/cas/{}", before["id"].as_str().context("an id")?);
    lab.filter.call("DELETE", &retired, &json!({}))?;
    assert_eq!(open.get("/")?.status, 403, "on the open connection");
    assert_eq!(lab.curl(API).certificate(&old).run()?.status()?, 403);
    assert_eq!(lab.curl(API).certificate(&new).run()?.status()?, 200);
    Ok(())
}
