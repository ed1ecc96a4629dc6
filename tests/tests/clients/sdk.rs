//! Cloudflare's SDKs. What they are asked to do is in `tests/sdk/sdk.py` and `sdk.mjs`; what came of it is looked at by a client of the
//! protected host as well.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use filter_tests::lab::{API as HOST, Authority, ClientCertificate, Datapath, Lab, Setup, run};

use super::programs::{self, API, command, path, script, token};

/// Cloudflare's SDK for a language.
#[derive(Clone, Copy)]
enum Sdk {
    Python,
    TypeScript,
}

/// What a scenario reads and writes.
struct Files {
    /// A signing request for `key`.
    request: PathBuf,
    key: PathBuf,
    /// A certificate for it that is active in the end.
    active: PathBuf,
    /// One that is revoked in the end.
    revoked: PathBuf,
}

impl Files {
    fn create(lab: &Lab) -> Result<Self> {
        let (request, key) = lab.signing_request("sdk")?;
        let file = |name: &str| lab.directory().join(name);
        Ok(Self { request, key, active: file("active.crt"), revoked: file("revoked.crt") })
    }
}

impl Sdk {
    fn play(self, lab: &Lab, scenario: &str) -> Result<Files> {
        let files = Files::create(lab)?;
        let (program, file) = match self {
            Self::Python => ("MTLS_FILTER_CLIENTS_PYTHON", "sdk.py"),
            Self::TypeScript => ("MTLS_FILTER_CLIENTS_NODE", "sdk.mjs"),
        };
        let mut command = command(lab, &path(program)?)?;
        command.arg(script(file)).arg(scenario).env("NODE_MODULES", path("MTLS_FILTER_CLIENTS_NODE_MODULES")?);
        command.env("BASE_URL", format!("{API}/client/v4"));
        command.env("TOKEN", token(lab, "admin")?).env("READER", token(lab, "read")?);
        command.env("CA", Authority::create(lab.directory(), "corporate")?.certificate_file());
        command.env("CSR", &files.request).env("ACTIVE", &files.active).env("REVOKED", &files.revoked);
        programs::run(&mut command).with_context(|| format!("{file} {scenario}"))?;
        Ok(files)
    }
}

/// Makes a test of each scenario for each SDK; its name is that of the scenario, or of what follows it.
macro_rules! scenarios {
    ($($scenario:ident => $after:ident),+ $(,)?) => {
        mod python { $(#[test] fn $scenario() -> anyhow::Result<()> {
            super::played(super::Sdk::Python, stringify!($scenario), super::$after)
        })+ }
        mod typescript { $(#[test] fn $scenario() -> anyhow::Result<()> {
            super::played(super::Sdk::TypeScript, stringify!($scenario), super::$after)
        })+ }
    };
}

scenarios!(
    a_client_certificate_lives_its_whole_life => what_is_active_passes_and_what_is_revoked_does_not,
    hosts_are_associated_with_authorities => nothing,
    a_rule_is_deployed_through_rulesets => only_a_client_with_a_certificate_passes,
    a_rule_is_deployed_through_firewall_rules => only_a_client_with_a_certificate_passes,
    lists_are_made_filled_and_forgotten => nothing,
    zones_accounts_and_tokens_are_shown => nothing,
    errors_are_of_the_class_that_says_what_to_do => nothing,
);

/// How packets arrive is no matter of the API.
fn played(sdk: Sdk, scenario: &str, after: fn(&Lab, &Files) -> Result<()>) -> Result<()> {
    run(Datapath::Socket, |setup: Setup| {
        let lab = setup.start()?;
        let files = sdk.play(&lab, scenario)?;
        after(&lab, &files)
    })
}

#[expect(clippy::unnecessary_wraps, reason = "stands where others look at something")]
fn nothing(_: &Lab, _: &Files) -> Result<()> {
    Ok(())
}

fn what_is_active_passes_and_what_is_revoked_does_not(lab: &Lab, files: &Files) -> Result<()> {
    lab.filter.protect(HOST)?;
    for (certificate, status) in [(&files.active, 200), (&files.revoked, 403)] {
        assert!(fs::read_to_string(certificate)?.contains("BEGIN CERTIFICATE"));
        let client = ClientCertificate {
            issued: None,
            common_name: "sdk".to_owned(),
            certificate: certificate.clone(),
            key: files.key.clone(),
        };
        assert_eq!(lab.curl(HOST).certificate(&client).run()?.status()?, status, "{}", certificate.display());
    }
    Ok(())
}

fn only_a_client_with_a_certificate_passes(lab: &Lab, _: &Files) -> Result<()> {
    let alice = lab.filter.client_certificate("alice")?;
    assert_eq!(lab.curl(HOST).run()?.status()?, 403);
    assert_eq!(lab.curl(HOST).certificate(&alice).run()?.status()?, 200);
    lab.filter.revoke(&alice)?;
    assert_eq!(lab.curl(HOST).certificate(&alice).run()?.status()?, 403);
    Ok(())
}
