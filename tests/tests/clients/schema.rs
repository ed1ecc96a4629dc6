//! Schemathesis makes calls out of the OpenAPI document: what the document allows, what it forbids, and what lies at its edges.

use std::fs;

use anyhow::{Context, Result};
use filter_tests::lab::{API as HOST, Authority, Datapath, Setup, run};
use serde_json::{Value, json};

use super::programs::{self, API, command, path, token};

/// What is left out: the one answer that does not end, for whose end Schemathesis would wait; and the one body that is no text, which it
/// cannot make up (`control::api::tests::crls` spoils it).
const LEFT_OUT: [&str; 2] = ["/api/v1/zones/{zone}/events/follow", "/api/v1/cas/{authority}/crl/upload"];

/// What is looked at in every answer: that it is no server error, and that status, media type and body are what the document says.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// Calls that are made up for each operation beside those at the edges of its parameters and body.
const EXAMPLES: &str = "5";

#[test]
fn calls_made_up_from_the_document_are_answered_as_it_says() -> Result<()> {
    run(Datapath::Socket, |setup: Setup| {
        let lab = setup.start()?;
        let rule = lab.filter.protect(HOST)?;
        let certificate = lab.filter.client_certificate("alice")?;
        let uploaded = Authority::create(lab.directory(), "corporate")?;
        let uploaded = lab.filter.command(&[
            "ca",
            "upload",
            "--name",
            "corporate",
            "--json",
            &uploaded.certificate_file().to_string_lossy(),
        ])?;
        let list = lab.filter.command(&["list", "create", "office", "--kind", "ip", "--json"])?;
        let accounts = lab.filter.call("GET", "/client/v4/accounts", &json!({}))?;
        // What paths name is there: otherwise nearly every call would end at a 404.
        let parameters = [
            ("account", string(&accounts[0], "id")?),
            ("authority", string(&serde_json::from_str(&uploaded)?, "id")?),
            ("certificate", certificate.issued.context("it was issued")?.id),
            ("host", HOST.to_owned()),
            ("list", string(&serde_json::from_str(&list)?, "id")?),
            ("phase", "http_request_firewall_custom".to_owned()),
            ("rule", rule),
            ("scope", "zones".to_owned()),
            ("scope_id", "example.com".to_owned()),
            ("setting", "ssl".to_owned()),
            ("zone", "example.com".to_owned()),
        ];
        let lines: String = parameters.iter().map(|(name, value)| format!("\"path.{name}\" = {value:?}\n")).collect();
        let settings = lab.directory().join("schemathesis.toml");
        fs::write(&settings, format!("[parameters]\n{lines}"))?;
        let mut schemathesis = command(&lab, &path("MTLS_FILTER_CLIENTS_PYTHON")?.with_file_name("schemathesis"))?;
        schemathesis.arg("--config-file").arg(&settings).args([
            "run",
            &format!("{API}/api/openapi.json"),
            "--url",
            API,
        ]);
        schemathesis.args(["--header", &format!("Authorization: Bearer {}", token(&lab, "admin")?)]);
        schemathesis.args(LEFT_OUT.iter().flat_map(|path| ["--exclude-path", path]));
        schemathesis.args(["--checks", CHECKS, "--phases", "coverage,fuzzing"]);
        // The same calls every time, and their number is bounded.
        schemathesis.args(["--generation-deterministic", "--max-examples", EXAMPLES, "--no-shrink"]);
        schemathesis.args([
            "--suppress-health-check",
            "all",
            "--warnings",
            "off",
            "--request-timeout",
            "60",
            "--no-color",
        ]);
        let said = programs::run(&mut schemathesis)?;
        let all = said.lines().find_map(|line| line.trim().strip_prefix("Selected: "));
        let (selected, known) = all.and_then(|all| all.split_once('/')).context("how many operations were tried")?;
        let (selected, known): (usize, usize) = (selected.parse()?, known.parse()?);
        assert!(selected + LEFT_OUT.len() == known && known > 90, "{said}");
        Ok(())
    })
}

fn string(value: &Value, key: &str) -> Result<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned).with_context(|| format!("no `{key}` in {value}"))
}
