//! Headers that only the filter may set cannot be forged by a client.

use anyhow::Result;
use filter_tests::lab::{API, Host, RecordedRequest, Setup, Upstream, WWW};
use filter_tests::on_every_datapath;

on_every_datapath!(
    forged_certificate_headers_do_not_reach_the_origin,
    nginx_sees_no_forged_header_in_any_spelling,
    the_origin_is_told_once_whose_certificate_it_was,
    hop_by_hop_headers_stay_behind,
    a_connection_header_cannot_remove_what_the_filter_set,
    trailers_cannot_carry_what_headers_may_not,
    the_origin_is_told_the_clients_address,
);

/// Families of names with which servers behind a proxy are told about a client's certificate.
const FORGED: &[&str] = &[
    "Client-Cert",
    "Client-Cert-Chain",
    "Cf-Client-Cert-Der-Base64",
    "Cf-Client-Cert-Sha256",
    "Cf-Cert-Verified",
    "Cf-Cert-Presented",
    "Cf-Cert-Revoked",
    "Cf-Cert-Subject-Dn",
    "Cf-Cert-Serial",
    "Cf-Cert-Fingerprint-Sha256",
    "X-SSL-Client-Verify",
    "X-SSL-Client-S-DN",
    "X-Forwarded-Client-Cert",
];

/// The spellings that a server may take for the same name.
fn spellings(name: &str) -> [String; 4] {
    let underscored = name.replace('-', "_");
    let mixed = name.replacen('-', "_", 1);
    [name.to_owned(), name.to_ascii_uppercase(), underscored, mixed.to_ascii_lowercase()]
}

/// What an origin would understand by a header's name.
fn normalised(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

fn values<'a>(request: &'a RecordedRequest, name: &str) -> Vec<&'a str> {
    let headers = request.headers.iter().filter(|(have, _)| normalised(have) == normalised(name));
    headers.map(|(_, value)| value.as_str()).collect()
}

fn forged_certificate_headers_do_not_reach_the_origin(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let mut with_certificate = lab.connect(API).certificate(&lab.filter.client_certificate("alice")?).open()?;
    let mut without = lab.connect(API).open()?;
    let mut plain = lab.connect(WWW).open()?;
    for spelling in FORGED.iter().flat_map(|name| spellings(name)) {
        for connection in [&mut with_certificate, &mut without, &mut plain] {
            let status = connection.request("GET", "/", &[&format!("{spelling}: forged"), "X-Other: kept"])?.status;
            let seen = lab.echo.last_request()?;
            // A filter may also refuse such a request.
            if status == 200 {
                assert!(!values(&seen, &spelling).contains(&"forged"), "{spelling}: {seen:?}");
                assert_eq!(values(&seen, "x-other"), ["kept"], "{spelling}");
            }
        }
    }
    Ok(())
}

fn nginx_sees_no_forged_header_in_any_spelling(setup: Setup) -> Result<()> {
    let lab = setup.hosts([Host::mtls(API).upstream(Upstream::Nginx)]).start()?;
    let alice = lab.filter.client_certificate("alice")?;
    for spelling in spellings("Cf-Cert-Verified") {
        let forged = format!("{spelling}: forged");
        for (certificate, verified) in [(None, "false"), (Some(&alice), "true")] {
            let curl = lab.curl(API).header(&forged);
            let answer = certificate.map_or(curl.clone(), |certificate| curl.certificate(certificate)).run()?;
            let text = answer.response()?.text();
            let line = text.lines().find(|line| line.starts_with("verified")).unwrap_or_default();
            assert_eq!(line, format!("verified {verified}"), "{spelling}");
        }
    }
    Ok(())
}

fn the_origin_is_told_once_whose_certificate_it_was(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let alice = lab.filter.client_certificate("alice")?;
    let mallory = lab.foreign_certificate("mallory")?;

    lab.curl(API).certificate(&alice).run()?;
    let seen = lab.echo.last_request()?;
    assert_eq!(values(&seen, "cf-cert-presented"), ["true"]);
    assert_eq!(values(&seen, "cf-cert-verified"), ["true"]);
    assert_eq!(values(&seen, "cf-cert-revoked"), ["false"]);

    lab.filter.revoke(&alice)?;
    lab.curl(API).certificate(&alice).run()?;
    let seen = lab.echo.last_request()?;
    assert_eq!(values(&seen, "cf-cert-verified"), ["true"]);
    assert_eq!(values(&seen, "cf-cert-revoked"), ["true"]);

    lab.curl(API).certificate(&mallory).run()?;
    let seen = lab.echo.last_request()?;
    assert_eq!(values(&seen, "cf-cert-presented"), ["true"]);
    assert_eq!(values(&seen, "cf-cert-verified"), ["false"]);

    lab.curl(API).run()?;
    let seen = lab.echo.last_request()?;
    assert_eq!(values(&seen, "cf-cert-presented"), ["false"]);
    assert_eq!(values(&seen, "cf-cert-verified"), ["false"]);
    Ok(())
}

fn hop_by_hop_headers_stay_behind(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let mut connection = lab.connect(WWW).open()?;
    let hop_by_hop = ["Keep-Alive: x", "Proxy-Authorization: x", "Proxy-Connection: x", "TE: trailers", "Upgrade: h2c"];
    let named = ["Connection: X-Named, keep-alive", "X-Named: x"];
    let status = connection.request("GET", "/", &[&hop_by_hop[..], &named].concat())?.status;
    assert_eq!(status, 200);
    let seen = lab.echo.last_request()?;
    for header in hop_by_hop.iter().chain(&named) {
        let name = header.split(':').next().unwrap_or_default();
        if name != "Connection" {
            assert!(values(&seen, name).is_empty(), "{name} went on: {seen:?}");
        }
    }
    assert!(values(&seen, "connection").iter().all(|value| !value.contains("X-Named")), "{seen:?}");
    Ok(())
}

fn a_connection_header_cannot_remove_what_the_filter_set(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let alice = lab.filter.client_certificate("alice")?;
    let connection = "Connection: Cf-Cert-Verified, Cf-Cert-Revoked, X-Forwarded-For, Host";
    let status = lab.curl(API).certificate(&alice).header(connection).run()?.status()?;
    if status == 200 {
        let seen = lab.echo.last_request()?;
        assert_eq!(values(&seen, "cf-cert-verified"), ["true"]);
        assert_eq!(values(&seen, "cf-cert-revoked"), ["false"]);
        assert_eq!(values(&seen, "x-forwarded-for").len(), 1);
        assert_eq!(values(&seen, "host"), [API]);
    } else {
        assert_eq!(status, 400);
    }
    Ok(())
}

fn trailers_cannot_carry_what_headers_may_not(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let mut connection = lab.connect(WWW).open()?;
    for spelling in ["Cf-Cert-Verified", "cf_cert_verified", "Client-Cert", "X-Forwarded-Client-Cert", "Host"] {
        let head =
            format!("POST / HTTP/1.1\r\nHost: {WWW}\r\nTransfer-Encoding: chunked\r\nTrailer: {spelling}\r\n\r\n");
        connection.send(format!("{head}1\r\nx\r\n0\r\n{spelling}: forged\r\n\r\n").as_bytes())?;
        let response = connection.response()?;
        assert_eq!(response.status, 200, "{spelling}");
        let trailers = response.json()?["trailers"].to_string();
        assert!(!trailers.contains("forged"), "{spelling}: {trailers}");
    }
    Ok(())
}

fn the_origin_is_told_the_clients_address(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.curl(WWW).header("X-Forwarded-For: 192.0.2.1").header("X-Forwarded-Proto: http").run()?;
    let seen = lab.echo.last_request()?;
    let last =
        values(&seen, "x-forwarded-for").last().map(|value| value.rsplit(", ").next().unwrap_or(value).to_owned());
    assert_eq!(last.as_deref(), Some("10.77.1.1"), "the last address is the one the filter saw: {seen:?}");
    assert_eq!(values(&seen, "x-forwarded-proto"), ["https"]);
    assert_eq!(values(&seen, "cf-connecting-ip"), ["10.77.1.1"]);
    Ok(())
}
