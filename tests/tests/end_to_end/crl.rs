//! Revocation lists: of authorities that operators bring, made with openssl; and the one of a zone's own authority, read by openssl.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use filter_tests::lab::{
    API, Connection, Filter, Host, Lab, ListServer, Manner, OpensslAuthority, Setup, patience, replace,
};
use filter_tests::on_every_datapath;
use serde_json::{Value, json};

on_every_datapath!(
    a_list_ends_access_on_an_open_connection_and_a_delta_gives_it_back,
    certificates_are_refused_when_the_list_expires_unless_they_are_allowed,
    a_server_is_asked_again_and_may_fail_without_harm,
    a_restart_without_the_server_decides_by_the_list_before,
    openssl_takes_the_list_of_a_zones_own_authority,
    a_host_that_wants_it_closes_the_connections_of_a_listed_certificate,
);

/// Where lists are served on the edge.
const LISTS: ([u8; 4], u16) = ([127, 0, 0, 1], 8099);

/// How long a file that was replaced may take to be noticed: it is looked at every two seconds.
const NOTICE: Duration = Duration::from_secs(15);

/// A host that takes certificates of an authority run with openssl, and a client of that authority with serial 5.
fn corporate(lab: &Lab) -> Result<(OpensslAuthority, Connection)> {
    let corporate = OpensslAuthority::create(lab.directory(), "corporate")?;
    let pem = std::fs::read_to_string(corporate.certificate_file())?;
    let accounts = lab.filter.call("GET", "/client/v4/accounts", &json!({}))?;
    let account = accounts.pointer("/0/id").and_then(Value::as_str).context("there is one account")?;
    let path = format!("/client/v4/accounts/{account}/mtls_certificates");
    let made = lab.filter.call("POST", &path, &json!({ "ca": true, "certificates": pem, "name": "corporate" }))?;
    let path = "/client/v4/zones/example.com/certificate_authorities/hostname_associations";
    lab.filter.call("PUT", path, &json!({ "hostnames": [API], "mtls_certificate_id": made["id"] }))?;
    lab.filter.protect(API)?;
    let bob = corporate.client("bob", 5)?;
    let mut open = lab.connect(API).certificate(&bob).open()?;
    assert_eq!(open.get("/")?.status, 200, "before there is a list");
    Ok((corporate, open))
}

fn crl(filter: &Filter, arguments: &[&str]) -> Result<Value> {
    let text = filter.command(&[&["ca", "crl"], arguments, &["--json"]].concat())?;
    serde_json::from_str(&text).context(text)
}

/// Waits until a request on the open connection is answered like this.
fn wait_for(open: &mut Connection, status: u16) -> Result<()> {
    let deadline = Instant::now() + patience(NOTICE);
    loop {
        let found = open.get("/")?.status;
        if found == status {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the answer is still {found} and not {status}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn file(path: &Path) -> Result<&str> {
    path.to_str().context("the lab's paths are text")
}

fn a_list_ends_access_on_an_open_connection_and_a_delta_gives_it_back(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let (corporate, mut open) = corporate(&lab)?;
    let (list, delta) = (lab.directory().join("corporate.crl"), lab.directory().join("delta.crl"));
    replace(&list, &corporate.list(1, &[9], 3_600)?)?;
    replace(&delta, &corporate.delta(2, 1, &[8], &[])?)?;
    let set = crl(&lab.filter, &["set", "corporate", "--source", file(&list)?, "--delta-source", file(&delta)?])?;
    assert_eq!((&set["state"], &set["when_stale"]), (&json!("current"), &json!("deny")));
    assert_eq!(open.get("/")?.status, 200, "it is on no list");

    replace(&list, &corporate.list(3, &[9, 5], 3_600)?)?;
    wait_for(&mut open, 403)?;
    replace(&delta, &corporate.delta(4, 3, &[], &[5])?)?;
    wait_for(&mut open, 200)?;
    replace(&delta, &corporate.delta(5, 3, &[5], &[])?)?;
    wait_for(&mut open, 403)?;
    assert_eq!(crl(&lab.filter, &["show", "corporate"])?["loaded"]["number"], "0x05");

    // Lists that are not good change nothing, and are complained of.
    let foreign = OpensslAuthority::create(&lab.directory().join("foreign"), "corporate")?;
    for (bad, reason) in [
        (foreign.list(9, &[], 3_600)?, "signature"),
        (corporate.list(2, &[], 3_600)?, "number 0x05 is loaded"),
        (corporate.delta(9, 3, &[], &[5])?, "expected a complete CRL"),
        (b"-----BEGIN X509 CRL-----\nMIIB".to_vec(), "neither DER nor PEM"),
    ] {
        replace(&list, &bad)?;
        let refused = lab.filter.attempt(&["ca", "crl", "refresh", "corporate"])?;
        assert!(refused.code == Some(1) && refused.errors.contains(reason), "{reason}: {refused:?}");
        assert_eq!(open.get("/")?.status, 403, "{reason}");
        let status = lab.filter.command(&["status"])?;
        assert!(status.contains(reason), "{reason}: {status}");
    }

    // And an operator can send one, and take all of it away.
    let sent = lab.directory().join("sent.crl");
    replace(&sent, &corporate.list(6, &[], 3_600)?)?;
    crl(&lab.filter, &["upload", "corporate", file(&sent)?])?;
    assert_eq!(open.get("/")?.status, 200);
    replace(&sent, &corporate.list(7, &[5], 3_600)?)?;
    crl(&lab.filter, &["upload", "corporate", file(&sent)?])?;
    assert_eq!(open.get("/")?.status, 403, "when the command returned");
    crl(&lab.filter, &["delete", "corporate", "--yes"])?;
    assert_eq!(open.get("/")?.status, 200, "without a list only what is revoked here is revoked");
    Ok(())
}

fn certificates_are_refused_when_the_list_expires_unless_they_are_allowed(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let (corporate, mut open) = corporate(&lab)?;
    let list = lab.directory().join("corporate.crl");
    let lifetime = patience(Duration::from_secs(10));
    replace(&list, &corporate.list(1, &[], u32::try_from(lifetime.as_secs())?)?)?;
    let made = Instant::now();
    crl(&lab.filter, &["upload", "corporate", file(&list)?])?;
    assert_eq!(open.get("/")?.status, 200, "while the list is current");
    std::thread::sleep((lifetime + Duration::from_secs(2)).saturating_sub(made.elapsed()));
    assert_eq!(open.get("/")?.status, 403, "on the open connection");
    let shown = crl(&lab.filter, &["show", "corporate"])?;
    assert_eq!((&shown["state"], &shown["refuses"]), (&json!("expired"), &json!(true)));
    let record = lab.filter.access_records(3)?.pop().context("a record of the last request")?;
    assert!(record.to_string().contains("CRL has expired"), "{record}");

    crl(&lab.filter, &["set", "corporate", "--when-stale", "allow"])?;
    assert_eq!(open.get("/")?.status, 200, "allowed");
    crl(&lab.filter, &["set", "corporate", "--when-stale", "deny"])?;
    assert_eq!(open.get("/")?.status, 403);
    replace(&list, &corporate.list(2, &[], 3_600)?)?;
    crl(&lab.filter, &["upload", "corporate", file(&list)?])?;
    assert_eq!(open.get("/")?.status, 200, "a new list");
    assert!(lab.filter.log().contains("not verified until there is a current CRL"), "it was said in the log");
    Ok(())
}

fn a_server_is_asked_again_and_may_fail_without_harm(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let (corporate, mut open) = corporate(&lab)?;
    let server = ListServer::start(&lab.network.edge, SocketAddr::from(LISTS), lab.directory())?;
    server.put(&corporate.list(1, &[], 3_600)?)?;
    crl(&lab.filter, &["set", "corporate", "--source", &server.url()])?;
    let refresh = || lab.filter.attempt(&["ca", "crl", "refresh", "corporate"]);
    assert_eq!(refresh()?.code, Some(0));
    assert_eq!(refresh()?.code, Some(0));
    assert!(
        server.statuses()?.contains(&"304".to_owned()),
        "what did not change is not sent again: {:?}",
        server.statuses()?
    );

    server.put(&corporate.list(2, &[5], 3_600)?)?;
    assert_eq!(refresh()?.code, Some(0));
    assert_eq!(open.get("/")?.status, 403, "when the command returned");

    server.put(&corporate.list(3, &[], 3_600)?)?;
    server.behave(Manner::Broken)?;
    let failed = refresh()?;
    assert!(failed.code == Some(1) && failed.errors.contains("answered 500"), "{failed:?}");
    assert_eq!(open.get("/")?.status, 403, "the list before stays");

    server.behave(Manner::Silent)?;
    std::thread::scope(|scope| -> Result<()> {
        let waiting = scope.spawn(refresh);
        let begun = Instant::now();
        while !waiting.is_finished() && begun.elapsed() < Duration::from_secs(60) {
            assert_eq!(open.get("/")?.status, 403, "nobody waits for a server but who asked for it");
            assert!(lab.filter.status().is_ok());
            std::thread::sleep(Duration::from_millis(500));
        }
        let failed = waiting.join().map_err(|_| anyhow::anyhow!("the command panicked"))??;
        assert!(failed.code == Some(1) && failed.errors.contains("did not answer"), "{failed:?}");
        Ok(())
    })?;

    server.behave(Manner::Good)?;
    assert_eq!(refresh()?.code, Some(0));
    assert_eq!(open.get("/")?.status, 200);
    Ok(())
}

fn a_restart_without_the_server_decides_by_the_list_before(setup: Setup) -> Result<()> {
    let mut lab = setup.start()?;
    let (corporate, open) = corporate(&lab)?;
    drop(open);
    let (bob, eve) = (corporate.client("bob", 5)?, corporate.client("eve", 6)?);
    let server = ListServer::start(&lab.network.edge, SocketAddr::from(LISTS), lab.directory())?;
    server.put(&corporate.list(1, &[6], 3_600)?)?;
    crl(&lab.filter, &["set", "corporate", "--source", &server.url()])?;
    drop(server);
    lab.crash_and_restart()?;
    assert_eq!(lab.curl(API).certificate(&eve).run()?.status()?, 403, "revoked by the list of the last run");
    assert_eq!(lab.curl(API).certificate(&bob).run()?.status()?, 200, "and nobody else");
    let deadline = Instant::now() + patience(NOTICE);
    while !crl(&lab.filter, &["show", "corporate"])?.to_string().contains("cannot connect") {
        assert!(Instant::now() < deadline, "that the server is gone is not said");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Runs `openssl verify` on a client's certificate; what it says.
fn verify(authority: &Path, list: &Path, certificate: &Path) -> Result<(bool, String)> {
    let mut command = Command::new("openssl");
    command.args(["verify", "-crl_check", "-purpose", "sslclient", "-CAfile"]).arg(authority).arg("-CRLfile").arg(list);
    let output = command.arg(certificate).output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

fn openssl_takes_the_list_of_a_zones_own_authority(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let (alice, bob) = (lab.filter.client_certificate("alice")?, lab.filter.client_certificate("bob")?);
    let (authority, list) = (lab.directory().join("zone.crt"), lab.directory().join("zone.crl"));
    std::fs::write(&authority, lab.filter.authority("example.com")?)?;
    std::fs::write(&list, lab.filter.command(&["ca", "crl", "export"])?)?;
    for certificate in [&alice, &bob] {
        let (good, said) = verify(&authority, &list, &certificate.certificate)?;
        assert!(good, "{said}");
    }
    let read = || -> Result<String> {
        let mut command = Command::new("openssl");
        command
            .args(["crl", "-noout", "-crlnumber", "-nextupdate", "-text", "-CAfile"])
            .arg(&authority)
            .arg("-in")
            .arg(&list);
        let output = command.output()?;
        assert!(output.status.success() && String::from_utf8_lossy(&output.stderr).contains("verify OK"), "{output:?}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let before = read()?;
    assert!(before.contains("No Revoked Certificates") && before.contains("Next Update"), "{before}");

    lab.filter.revoke(&alice)?;
    std::fs::write(&list, lab.filter.command(&["ca", "crl", "export"])?)?;
    let (good, said) = verify(&authority, &list, &alice.certificate)?;
    assert!(!good && said.contains("certificate revoked"), "{said}");
    assert!(verify(&authority, &list, &bob.certificate)?.0);
    let number = |text: &str| text.lines().find_map(|line| line.strip_prefix("crlNumber=")).map(str::to_owned);
    let (first, second) = (number(&before).context("a number")?, number(&read()?).context("a number")?);
    assert!((first.len(), &first) < (second.len(), &second), "{second} after {first}");
    Ok(())
}

fn a_host_that_wants_it_closes_the_connections_of_a_listed_certificate(setup: Setup) -> Result<()> {
    let lab = setup.hosts([Host::mtls(API).closes_on_revoke()]).start()?;
    let (corporate, mut open) = corporate(&lab)?;
    let list = lab.directory().join("corporate.crl");
    replace(&list, &corporate.list(1, &[], 3_600)?)?;
    crl(&lab.filter, &["set", "corporate", "--source", file(&list)?])?;
    assert_eq!(open.get("/")?.status, 200, "it is on no list");
    // Nobody asks for anything: the file that changed is enough.
    replace(&list, &corporate.list(2, &[5], 3_600)?)?;
    let deadline = Instant::now() + patience(NOTICE);
    while !lab.filter.status()?.request_counters().contains(&("certificate_revoked".to_owned(), 1)) {
        assert!(Instant::now() < deadline, "the connection is still open");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(open.get("/").is_err(), "closed");

    crl(&lab.filter, &["delete", "corporate", "--yes"])?;
    let mut again = lab.connect(API).certificate(&corporate.client("bob", 5)?).open()?;
    assert_eq!(again.get("/")?.status, 200);
    crl(&lab.filter, &["upload", "corporate", file(&list)?])?;
    assert!(again.get("/").is_err(), "closed when the command returned");
    Ok(())
}
