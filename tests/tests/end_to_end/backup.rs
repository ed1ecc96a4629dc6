//! `store export` and `store import`: what one machine had, another one has.

use std::fs;

use anyhow::{Context, Result};
use filter_tests::in_socket_mode;
use filter_tests::lab::{API, Lab, Setup};

in_socket_mode!(
    an_export_makes_another_machine_the_same,
    an_import_that_cannot_be_whole_leaves_the_store_empty,
    an_export_does_not_overwrite_a_file,
);

/// Takes the filter down, and its store away; the master key stays.
fn lose_the_store(lab: &mut Lab) -> Result<()> {
    lab.filter.terminate()?;
    fs::remove_file(lab.directory().join("store/state.redb"))?;
    Ok(())
}

fn import(lab: &Lab, file: &str) -> Result<String> {
    let config = lab.filter.config_file().to_string_lossy().into_owned();
    let outcome = lab.filter.attempt(&["store", "import", file, "--config", &config])?;
    if outcome.code == Some(0) { Ok(outcome.output) } else { anyhow::bail!("{}", outcome.errors.trim_end()) }
}

fn an_export_makes_another_machine_the_same(setup: Setup) -> Result<()> {
    let mut lab = setup.start()?;
    lab.filter.protect(API)?;
    let (alice, bob) = (lab.filter.client_certificate("alice")?, lab.filter.client_certificate("bob")?);
    lab.filter.revoke(&bob)?;
    lab.filter.command(&["list", "create", "office", "--kind", "ip"])?;
    lab.filter.command(&["list", "add", "office", "192.0.2.0/24"])?;
    lab.filter.command(&["store", "export", "backup.jsonl"])?;
    let export = fs::read_to_string(lab.directory().join("backup.jsonl"))?;
    assert!(!export.contains("PRIVATE KEY"));

    lose_the_store(&mut lab)?;
    let said = import(&lab, "backup.jsonl")?;
    assert!(said.contains("records of generation"), "{said}");
    lab.filter.start_again(&lab.network.edge)?;

    assert_eq!(lab.curl(API).run()?.status()?, 403, "the rule");
    assert_eq!(lab.curl(API).certificate(&alice).run()?.status()?, 200, "the authority");
    assert_eq!(lab.curl(API).certificate(&bob).run()?.status()?, 403, "the revocation");
    let carol = lab.filter.client_certificate("carol")?;
    assert_eq!(lab.curl(API).certificate(&carol).run()?.status()?, 200, "the authority's key");
    // But for the one certificate, which is after the export: all records are the same, byte for byte.
    lab.filter.command(&["store", "export", "again.jsonl"])?;
    let again = fs::read_to_string(lab.directory().join("again.jsonl"))?;
    let records = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (records(&export), records(&again));
    let missing: Vec<_> = before.iter().filter(|line| line.contains("\"record\"") && !after.contains(line)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(after.len(), before.len() + 1);
    let audit = lab.filter.json(&["audit", "--limit", "2"])?;
    assert_eq!((&audit[1]["action"], &audit[1]["origin"]), (&"store import".into(), &"command line".into()));
    Ok(())
}

fn an_import_that_cannot_be_whole_leaves_the_store_empty(setup: Setup) -> Result<()> {
    let mut lab = setup.start()?;
    lab.filter.protect(API)?;
    lab.filter.command(&["store", "export", "backup.jsonl"])?;
    let refused = |lab: &Lab, file: &str| import(lab, file).map(|said| format!("imported: {said}"));
    let running = refused(&lab, "backup.jsonl").expect_err("the daemon runs").to_string();
    assert!(running.contains("in use by another process: is mtls-filter running already?"), "{running}");
    lab.filter.terminate()?;
    let full = refused(&lab, "backup.jsonl").expect_err("there is something").to_string();
    assert!(full.contains("is not empty") && full.contains("move it away"), "{full}");

    fs::remove_file(lab.directory().join("store/state.redb"))?;
    let export = fs::read_to_string(lab.directory().join("backup.jsonl"))?;
    let write = |name: &str, text: &str| fs::write(lab.directory().join(name), text);
    write("cut.jsonl", export.get(..export.len() / 2).context("half of it")?)?;
    write("other.jsonl", "{}\n")?;
    write("bad-rule.jsonl", &export.replace("cf.tls_client_auth.cert_revoked", "cf.tls_client_auth.nonsense"))?;
    for (file, cause) in [
        ("cut.jsonl", "cut.jsonl: "),
        ("other.jsonl", "no export of mtls-filter"),
        ("bad-rule.jsonl", "does not fit"),
        ("nowhere.jsonl", "cannot read nowhere.jsonl"),
    ] {
        let error = refused(&lab, file).expect_err(file).to_string();
        assert!(error.contains(cause), "{file}: {error}");
    }
    let (key, kept) = (lab.directory().join("store/master.key"), lab.directory().join("kept.key"));
    fs::rename(&key, &kept)?;
    let keyless = refused(&lab, "backup.jsonl").expect_err("no key").to_string();
    assert!(keyless.contains("put that in place first"), "{keyless}");
    assert!(!key.exists(), "no new one is made");
    fs::rename(&kept, &key)?;
    // None of them has left anything: the store is still one that an export goes into.
    import(&lab, "backup.jsonl")?;
    lab.filter.start_again(&lab.network.edge)?;
    assert_eq!(lab.curl(API).run()?.status()?, 403);
    Ok(())
}

fn an_export_does_not_overwrite_a_file(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    fs::write(lab.directory().join("precious"), "text")?;
    let outcome = lab.filter.attempt(&["store", "export", "precious"])?;
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.errors.contains("cannot write precious"), "{outcome:?}");
    assert_eq!(fs::read_to_string(lab.directory().join("precious"))?, "text");
    assert_eq!(lab.filter.command(&["store", "export"])?.lines().next().map(|line| line.starts_with('{')), Some(true));
    Ok(())
}
