//! What people are told to copy does what they copy it for.

use std::fs;

use anyhow::{Context, Result};
use filter_tests::lab::{API, EDGE_IPV4, Setup};
use filter_tests::on_every_datapath;

on_every_datapath!(the_snippets_for_curl_and_python_work_as_they_are, a_pkcs12_file_holds_what_a_device_needs);

fn the_snippets_for_curl_and_python_work_as_they_are(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    let id = &alice.issued.as_ref().context("alice was not issued")?.id;
    let files = alice.certificate.parent().context("the certificate is in no directory")?;
    let snippet = |target: &str| lab.filter.command(&["cert", "snippets", id, "--for", target, "--host", API]);
    fs::write(files.join("curl.sh"), snippet("curl")?)?;
    fs::write(files.join("client.py"), snippet("python")?)?;
    // Python asks the system for the address, which knows nothing of the lab.
    let python = format!(
        "import socket; resolve = socket.getaddrinfo; \
         socket.getaddrinfo = lambda host, *rest, **more: resolve('{EDGE_IPV4}', *rest, **more); \
         exec(open('client.py').read())"
    );
    let run = |program: &str, arguments: &[&str]| lab.run_client(program, arguments, files, &[API]);

    let curl = run("sh", &["-e", "curl.sh"])?;
    assert_eq!(curl.code, Some(0), "{curl:?}");
    assert_eq!(lab.echo.requests().len(), 1, "{curl:?}");
    let answered = run("python3", &["-c", &python])?;
    assert_eq!((answered.code, answered.output.as_str()), (Some(0), "200\n"), "{answered:?}");
    assert_eq!(lab.echo.requests().len(), 2);

    // It is the certificate that lets them in.
    lab.filter.revoke(&alice)?;
    let blocked = run("sh", &["-e", "curl.sh"])?;
    assert!(blocked.output.contains("blocked by a rule"), "{blocked:?}");
    let blocked = run("python3", &["-c", &python])?;
    assert!(blocked.errors.contains("HTTP Error 403"), "{blocked:?}");
    assert_eq!(lab.echo.requests().len(), 2);

    let all = lab.filter.command(&["cert", "snippets", id])?;
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
