//! What people are told to copy does what they copy it for.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use filter_tests::lab::{API, ClientCertificate, EDGE_IPV4, Lab, Setup};
use filter_tests::on_every_datapath;

on_every_datapath!(
    the_snippet_for_curl_works_as_it_is,
    the_snippet_for_python_works_as_it_is,
    there_are_snippets_for_devices_of_every_kind,
    a_pkcs12_file_holds_what_a_device_needs,
);

/// A lab whose API is protected, with a client's certificate and the directory that its files are in.
fn lab(setup: Setup) -> Result<(Lab, ClientCertificate, PathBuf)> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    let files = alice.certificate.parent().context("the certificate is in no directory")?.to_owned();
    Ok((lab, alice, files))
}

/// What the filter prints for a certificate that it has issued, and these arguments.
fn snippets(lab: &Lab, certificate: &ClientCertificate, arguments: &[&str]) -> Result<String> {
    let id = &certificate.issued.as_ref().context("it was not issued")?.id;
    lab.filter.command(&[&["cert", "snippets", id], arguments].concat())
}

fn the_snippet_for_curl_works_as_it_is(setup: Setup) -> Result<()> {
    let (lab, alice, files) = lab(setup)?;
    fs::write(files.join("curl.sh"), snippets(&lab, &alice, &["--for", "curl", "--host", API])?)?;
    let run = || lab.run_client("sh", &["-e", "curl.sh"], &files, &[API]);
    let answered = run()?;
    assert_eq!(answered.code, Some(0), "{answered:?}");
    assert_eq!(lab.echo.requests().len(), 1, "{answered:?}");

    // It is the certificate that lets them in.
    lab.filter.revoke(&alice)?;
    let blocked = run()?;
    assert!(blocked.output.contains("blocked by a rule"), "{blocked:?}");
    assert_eq!(lab.echo.requests().len(), 1);
    Ok(())
}

fn the_snippet_for_python_works_as_it_is(setup: Setup) -> Result<()> {
    let (lab, alice, files) = lab(setup)?;
    fs::write(files.join("client.py"), snippets(&lab, &alice, &["--for", "python", "--host", API])?)?;
    // Python asks the system for the address, which knows nothing of the lab.
    let python = format!(
        "import socket; resolve = socket.getaddrinfo; \
         socket.getaddrinfo = lambda host, *rest, **more: resolve('{EDGE_IPV4}', *rest, **more); \
         exec(open('client.py').read())"
    );
    let run = || lab.run_client("python3", &["-c", &python], &files, &[API]);
    let answered = run()?;
    assert_eq!((answered.code, answered.output.as_str()), (Some(0), "200\n"), "{answered:?}");
    assert_eq!(lab.echo.requests().len(), 1);

    lab.filter.revoke(&alice)?;
    let blocked = run()?;
    assert!(blocked.errors.contains("HTTP Error 403"), "{blocked:?}");
    assert_eq!(lab.echo.requests().len(), 1);
    Ok(())
}

fn there_are_snippets_for_devices_of_every_kind(setup: Setup) -> Result<()> {
    let (lab, alice, _) = lab(setup)?;
    let all = snippets(&lab, &alice, &[])?;
    for heading in ["# curl (curl)", "# Python (python)", "# Android (android)", "# iOS (ios)", "# IoT device"] {
        assert!(all.contains(heading), "{heading}: {all}");
    }
    Ok(())
}

fn a_pkcs12_file_holds_what_a_device_needs(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let directory = lab.directory().join("devices");
    let password = lab.directory().join("password");
    fs::write(&password, "correct horse\nnot this\n")?;
    let (out, password_file) = (directory.to_string_lossy(), password.to_string_lossy());
    for (name, more) in [("new", &[][..]), ("old", &["--p12-legacy"])] {
        let create = ["cert", "create", "--common-name", name, "--out", &out, "--p12-password", &password_file];
        lab.filter.command(&[&create, more].concat())?;
        let file = format!("{name}.p12");
        let wrong = ["pkcs12", "-in", &file, "-noout", "-passin", "pass:wrong"];
        assert_ne!(lab.run_client("openssl", &wrong, &directory, &[])?.code, Some(0));
        let open = ["pkcs12", "-in", &file, "-nodes", "-passin", "pass:correct horse"];
        let opened = lab.run_client("openssl", &open, &directory, &[])?;
        assert_eq!(opened.output.matches("BEGIN CERTIFICATE").count(), 2, "itself and its CA: {opened:?}");
        assert_eq!(opened.output.matches("BEGIN PRIVATE KEY").count(), 1, "{opened:?}");
        let curl = ["--cert-type", "P12", "--cert", &format!("{file}:correct horse"), &format!("https://{API}/")];
        if name == "new" {
            let answered = lab.run_client("curl", &curl, &directory, &[API])?;
            assert_eq!((answered.code, lab.echo.requests().len()), (Some(0), 1), "{answered:?}");
        }
        let der = fs::read(directory.join(format!("{name}.der")))?;
        let pem = fs::read_to_string(directory.join(format!("{name}.crt")))?;
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let as_pem =
            lab.run_client("openssl", &["x509", "-inform", "DER", "-in", &format!("{name}.der")], &directory, &[])?;
        let again: String = as_pem.output.lines().filter(|line| !line.starts_with('-')).collect();
        assert_eq!(again, body, "{} bytes of DER", der.len());
    }
    fs::write(&password, "\n")?;
    let create = ["cert", "create", "--common-name", "none", "--out", &out, "--p12-password", &password_file];
    let refused = lab.filter.attempt(&create)?;
    assert_eq!((refused.code, refused.errors.lines().count()), (Some(1), 1), "{refused:?}");
    assert_eq!(lab.filter.certificates()?.len(), 2, "and nothing is issued");
    Ok(())
}
