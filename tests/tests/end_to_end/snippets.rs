//! What people are told to copy does what they copy it for.

use std::fs;

use anyhow::{Context, Result};
use filter_tests::lab::{API, EDGE_IPV4, Setup};
use filter_tests::on_every_datapath;

on_every_datapath!(the_snippets_for_curl_and_python_work_as_they_are);

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
