//! Headers that only the filter may set cannot be forged by a client.

use std::fs;

use anyhow::Result;
use filter_tests::lab::{API, ClientCertificate, Host, OTHER_API, RecordedRequest, Setup, Upstream, WWW};
use filter_tests::on_every_datapath;

on_every_datapath!(
    forged_certificate_headers_do_not_reach_the_origin,
    nginx_sees_no_forged_header_in_any_spelling,
    the_origin_is_told_of_verified_and_unrevoked_certificates_only,
    hop_by_hop_headers_stay_behind,
    a_connection_header_cannot_remove_what_the_filter_set,
    trailers_cannot_carry_what_headers_may_not,
    the_origin_is_told_the_clients_address,
    the_ray_id_of_a_request_is_the_same_everywhere,
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
    "X-Client-Cert",
    "SSL-Client-Cert",
    "X-Real-IP",
    "Forwarded",
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
    let hosts = [Host::mtls(API).upstream(Upstream::Nginx), Host::mtls(OTHER_API).upstream(Upstream::Nginx)];
    let [plain, forwarding] = hosts;
    let lab = setup.hosts([plain, forwarding.forwards_certificate()]).start()?;
    let alice = lab.filter.client_certificate("alice")?;
    for spelling in spellings("Client-Cert") {
        let seen = |host: &str, certificate: Option<&ClientCertificate>| -> Result<String> {
            let curl = lab.curl(host).header(&format!("{spelling}: forged"));
            let answer = certificate.map_or(curl.clone(), |certificate| curl.certificate(certificate)).run()?;
            let text = answer.response()?.text();
            Ok(text.lines().find_map(|line| line.strip_prefix("client_cert ")).unwrap_or_default().to_owned())
        };
        assert_eq!(seen(API, None)?, "", "{spelling}: no certificate, none forwarded");
        assert_eq!(seen(API, Some(&alice))?, "", "{spelling}: none forwarded");
        assert_eq!(seen(OTHER_API, None)?, "", "{spelling}: no certificate");
        assert_eq!(seen(OTHER_API, Some(&alice))?, rfc9440(&alice)?, "{spelling}: the true one");
    }
    Ok(())
}

/// A certificate as RFC 9440 writes it: its DER in base64, which is what PEM holds between its lines, between colons.
fn rfc9440(certificate: &ClientCertificate) -> Result<String> {
    let pem = fs::read_to_string(&certificate.certificate)?;
    let lines = pem.lines().skip(1).take_while(|line| !line.starts_with("-----"));
    Ok(format!(":{}:", lines.collect::<String>()))
}

fn the_origin_is_told_of_verified_and_unrevoked_certificates_only(setup: Setup) -> Result<()> {
    let lab = setup.hosts([Host::mtls(API).forwards_certificate(), Host::mtls(OTHER_API)]).start()?;
    let alice = lab.filter.client_certificate("alice")?;
    let mallory = lab.foreign_certificate("mallory")?;
    let told = |host: &str, certificate: &ClientCertificate| -> Result<Vec<String>> {
        assert_eq!(lab.curl(host).certificate(certificate).run()?.status()?, 200);
        Ok(values(&lab.echo.last_request()?, "client-cert").into_iter().map(str::to_owned).collect())
    };
    assert_eq!(told(API, &alice)?, [rfc9440(&alice)?], "a verified one");
    assert!(told(OTHER_API, &alice)?.is_empty(), "a host that does not forward it");
    assert!(told(API, &mallory)?.is_empty(), "one of another authority");
    lab.filter.revoke(&alice)?;
    assert!(told(API, &alice)?.is_empty(), "a revoked one");
    lab.filter.reactivate(&alice)?;
    assert_eq!(told(API, &alice)?, [rfc9440(&alice)?], "a reactivated one");
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
    let lab = setup.hosts([Host::mtls(API).forwards_certificate()]).start()?;
    let alice = lab.filter.client_certificate("alice")?;
    let connection = "Connection: Client-Cert, X-Forwarded-For, X-Forwarded-Proto, X-Ray-Id, Host";
    assert_eq!(lab.curl(API).certificate(&alice).header(connection).run()?.status()?, 200);
    let seen = lab.echo.last_request()?;
    assert_eq!(values(&seen, "client-cert"), [rfc9440(&alice)?]);
    assert_eq!(values(&seen, "x-forwarded-for"), ["10.77.1.1"]);
    assert_eq!(values(&seen, "x-forwarded-proto"), ["https"]);
    assert_eq!(values(&seen, "x-ray-id").len(), 1);
    assert_eq!(values(&seen, "host"), [API]);
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
    lab.curl(WWW)
        .header("X-Forwarded-For: 192.0.2.1")
        .header("X-Forwarded-Proto: http")
        .header("X-Real-IP: 192.0.2.1")
        .header("Forwarded: for=192.0.2.1")
        .run()?;
    let seen = lab.echo.last_request()?;
    assert_eq!(values(&seen, "x-forwarded-for"), ["10.77.1.1"], "not what the client says: {seen:?}");
    assert_eq!(values(&seen, "x-forwarded-proto"), ["https"]);
    assert!(values(&seen, "x-real-ip").is_empty());
    assert!(values(&seen, "forwarded").is_empty());
    Ok(())
}

fn the_ray_id_of_a_request_is_the_same_everywhere(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    lab.curl(API).certificate(&alice).header("X-Ray-Id: forged").run()?;
    let seen = lab.echo.last_request()?;
    let refused = lab.curl(API).run()?;
    let refused = refused.response()?.header("x-ray-id").map(str::to_owned);
    let logged: Vec<_> = lab.filter.access_records(2)?.iter().map(|record| record["ray_id"].clone()).collect();
    assert_eq!(values(&seen, "x-ray-id"), [logged[0].as_str().unwrap_or_default()]);
    assert_eq!(refused.as_deref(), logged[1].as_str());
    assert_ne!(logged[0], logged[1]);
    Ok(())
}
