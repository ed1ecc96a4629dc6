//! Between the filter and the origins.

use std::fs;

use anyhow::{Context, Result};
use aws_lc_rs::digest::{SHA256, digest};
use filter_tests::lab::{API, Host, Setup, Upstream, WWW, hex};
use filter_tests::on_every_datapath;

on_every_datapath!(
    an_upstream_that_is_down_is_a_bad_gateway,
    a_large_body_arrives_whole_in_both_directions,
    nginx_behind_the_filter_serves_files_and_takes_uploads,
    requests_keep_their_method_path_and_query,
    a_response_without_a_body_keeps_the_connection,
    upstream_connections_are_kept_and_carry_no_identity,
);

/// Size of a large body.
const LARGE: usize = 100 * 1024 * 1024;

fn an_upstream_that_is_down_is_a_bad_gateway(setup: Setup) -> Result<()> {
    let lab = setup.hosts([Host::mtls(API).upstream(Upstream::Nowhere), Host::plain(WWW)]).start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    assert_eq!(lab.curl(API).run()?.status()?, 403, "a verdict needs no upstream");
    assert_eq!(lab.curl(API).certificate(&alice).run()?.status()?, 502);
    let mut connection = lab.connect(API).certificate(&alice).open()?;
    assert_eq!(connection.get("/")?.status, 502);
    assert_eq!(connection.get("/")?.status, 502, "and the connection stays open");
    assert_eq!(lab.curl(WWW).run()?.status()?, 200, "another host is not touched");
    Ok(())
}

fn a_large_body_arrives_whole_in_both_directions(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;

    let answer = lab.curl(API).certificate(&alice).path(&format!("/bytes/{LARGE}")).run()?;
    assert_eq!(answer.status()?, 200);
    let downloaded = fs::read(&answer.body_file)?;
    assert_eq!(downloaded.len(), LARGE);
    let correct = downloaded.iter().enumerate().all(|(offset, byte)| usize::from(*byte) == offset % 251);
    assert!(correct, "the bytes are the origin's");

    let upload = answer.body_file.to_string_lossy().into_owned();
    let answer = lab.curl(API).certificate(&alice).option("--upload-file").option(&upload).path("/upload").run()?;
    let body = answer.response()?.json()?["body"].clone();
    assert_eq!(body["length"], LARGE);
    assert_eq!(body["sha256"], hex(digest(&SHA256, &downloaded).as_ref()), "what arrived is what was sent");

    let chunked = lab.curl(API).certificate(&alice).header("Transfer-Encoding: chunked").option("--upload-file");
    let answer = chunked.option(&upload).path("/upload").run()?;
    assert_eq!(answer.response()?.json()?["body"], body, "the same in chunks");
    Ok(())
}

fn nginx_behind_the_filter_serves_files_and_takes_uploads(setup: Setup) -> Result<()> {
    let lab = setup.hosts([Host::mtls(API).upstream(Upstream::Nginx)]).start()?;
    lab.filter.protect(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    let content: Vec<u8> = (0..LARGE).map(|offset| u8::try_from(offset % 241).unwrap_or_default()).collect();
    let source = lab.nginx()?.files().join("source");
    fs::write(&source, &content)?;

    let answer = lab.curl(API).certificate(&alice).path("/files/source").run()?;
    assert_eq!(answer.status()?, 200);
    assert!(fs::read(&answer.body_file)? == content, "downloaded whole");

    let upload = lab.curl(API).certificate(&alice).path("/files/copy").option("--upload-file");
    assert_eq!(upload.option(&source.to_string_lossy()).run()?.status()?, 201);
    assert!(fs::read(lab.nginx()?.files().join("copy")).context("uploaded file")? == content, "uploaded whole");
    Ok(())
}

fn requests_keep_their_method_path_and_query(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let mut connection = lab.connect(WWW).open()?;
    let table = [
        ("GET", "/"),
        ("GET", "/a/b?c=d&e=%2f%00"),
        ("GET", "//double//slash/../dots/./x"),
        ("DELETE", "/thing"),
        ("OPTIONS", "/x"),
        ("PATCH", "/x?"),
        ("BREW", "/pot"),
    ];
    for (method, target) in table {
        assert_eq!(connection.request(method, target, &[])?.status, 200, "{method} {target}");
        let seen = lab.echo.last_request()?;
        assert_eq!((seen.method.as_str(), seen.uri.as_str()), (method, target));
    }
    Ok(())
}

fn a_response_without_a_body_keeps_the_connection(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let mut connection = lab.connect(WWW).open()?;
    assert_eq!(connection.request("HEAD", "/bytes/1000", &[])?.header("content-length"), Some("1000"));
    assert_eq!(connection.get("/bytes/0")?.body, b"");
    assert_eq!(connection.get("/bytes/3")?.body, [0, 1, 2]);
    Ok(())
}

fn upstream_connections_are_kept_and_carry_no_identity(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let alice = lab.filter.client_certificate("alice")?;
    for _ in 0..20 {
        lab.curl(API).certificate(&alice).run()?;
        lab.curl(API).run()?;
    }
    let requests = lab.echo.requests();
    let connections = requests.iter().map(|request| request.connection).max().context("no request")? + 1;
    assert!(connections < 10, "{connections} upstream connections for {} requests", requests.len());
    for (index, request) in requests.iter().enumerate() {
        let verified: Vec<&str> = request.values("cf-cert-verified").collect();
        let expected: &[&str] = if index % 2 == 0 { &["true"] } else { &["false"] };
        assert_eq!(verified, expected, "request {index}: {request:?}");
    }
    Ok(())
}
