//! Who is let through to a host with the mTLS rule, and who is not.

use anyhow::Result;
use filter_tests::lab::{API, EDGE_IPV6, OTHER_API, Outcome, Setup, WWW};
use filter_tests::on_every_datapath;

on_every_datapath!(
    a_protected_host_lets_only_valid_certificates_through,
    a_host_without_a_rule_is_open,
    a_certificate_for_a_key_the_client_made_is_as_good,
    a_rule_may_name_methods_and_paths,
    a_blocked_client_gets_a_page_or_json_as_it_asked,
    every_request_is_logged_with_its_reason,
    ipv6_is_treated_like_ipv4,
);

fn a_protected_host_lets_only_valid_certificates_through(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    let mallory = lab.foreign_certificate("mallory")?;

    assert_eq!(lab.curl(API).run()?.status()?, 403, "no certificate");
    assert_eq!(lab.curl(API).certificate(&mallory).run()?.status()?, 403, "another authority's");
    assert_eq!(lab.curl(API).certificate(&alice).run()?.status()?, 200, "a valid one");

    let served = lab.echo.requests();
    assert_eq!(served.len(), 1, "only one request may have reached the origin: {served:?}");
    Ok(())
}

fn a_host_without_a_rule_is_open(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let mallory = lab.foreign_certificate("mallory")?;
    assert_eq!(lab.curl(WWW).run()?.status()?, 200, "a host that asks for no certificate");
    assert_eq!(lab.curl(OTHER_API).run()?.status()?, 200, "one that asks, and is in no rule");
    assert_eq!(lab.curl(OTHER_API).certificate(&mallory).run()?.status()?, 200, "whatever the certificate");
    Ok(())
}

fn a_certificate_for_a_key_the_client_made_is_as_good(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let device = lab.filter.client_certificate_by_request("example.com", "device-7")?;
    assert_eq!(lab.curl(API).certificate(&device).run()?.status()?, 200);
    lab.filter.revoke(&device)?;
    assert_eq!(lab.curl(API).certificate(&device).run()?.status()?, 403);
    Ok(())
}

fn a_rule_may_name_methods_and_paths(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.block(
        API,
        &format!(
            "http.host == \"{API}\" and http.request.method in {{\"POST\" \"PUT\"}} \
             and not http.request.uri.path == \"/public\" and not cf.tls_client_auth.cert_verified"
        ),
    )?;
    let alice = lab.filter.client_certificate("alice")?;
    let post = |path: &str| lab.curl(API).path(path).option("--data").option("x");
    assert_eq!(lab.curl(API).path("/private").run()?.status()?, 200, "GET");
    assert_eq!(post("/private").run()?.status()?, 403, "POST");
    assert_eq!(post("/public").run()?.status()?, 200, "POST to the public path");
    assert_eq!(post("/public?x=/private").run()?.status()?, 200, "a query is no part of the path");
    assert_eq!(post("/private").certificate(&alice).run()?.status()?, 200, "POST with a certificate");
    Ok(())
}

fn a_blocked_client_gets_a_page_or_json_as_it_asked(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;

    let answer = lab.curl(API).run()?;
    let page = answer.response()?;
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{page:?}");
    let ray = page.header("cf-ray").expect("a blocked client is told its ray id").to_owned();
    assert!(page.text().contains(&ray), "the page shows the ray id: {page:?}");
    assert!(page.text().contains("10.77.1.1"), "the page shows the client's address: {page:?}");

    let answer = lab.curl(API).header("Accept: application/json").run()?;
    let json = answer.response()?.json()?;
    let ray = answer.response()?.header("cf-ray").expect("a ray id here as well").to_owned();
    assert!(json.to_string().contains(&ray), "the JSON holds the ray id: {json}");
    Ok(())
}

fn every_request_is_logged_with_its_reason(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    lab.curl(API).path("/first?secret=1").run()?;
    lab.curl(API).path("/second").certificate(&alice).run()?;

    let records = lab.filter.access_records(2)?;
    let field = |index: usize, name: &str| records[index][name].to_string();
    assert_eq!(field(0, "path"), "\"/first\"", "without the query");
    assert_eq!(field(0, "status"), "403");
    assert_eq!(field(1, "path"), "\"/second\"");
    assert_eq!(field(1, "status"), "200");
    assert_ne!(field(0, "reason"), field(1, "reason"));
    assert_eq!(records[1]["certificate"]["verified"], true);
    assert!(records[1]["certificate"]["subject"].to_string().contains("alice"), "{}", records[1]);
    Ok(())
}

fn ipv6_is_treated_like_ipv4(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    assert_eq!(lab.curl(API).address(EDGE_IPV6).run()?.outcome, Outcome::Status(403));
    assert_eq!(lab.curl(API).address(EDGE_IPV6).certificate(&alice).run()?.outcome, Outcome::Status(200));
    Ok(())
}
