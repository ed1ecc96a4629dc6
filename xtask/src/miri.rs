//! `cargo xtask miri`: the tests of the rule language under miri, which sees undefined behaviour in what the crates beneath it do.
//!
//! Its own verb, because it takes longer than all other tests together and needs a nightly toolchain with miri and the standard
//! library's source.

use std::process::Command;

use anyhow::{Result, bail};

use crate::run::{loudly, output, workspace_root};

/// The verb.
pub(crate) fn run() -> Result<()> {
    if let Err(reason) = ready() {
        bail!("{reason}");
    }
    let mut miri = nightly();
    // The corpus and the properties run natively; interpreted, the unit tests alone take minutes.
    miri.args(["miri", "test", "--package", "filter-rules", "--lib"]);
    // Reads the corpus and seeds proptest from the clock.
    miri.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", "4");
    loudly(&mut miri)
}

/// Why it cannot run here.
pub(crate) fn ready() -> Result<(), String> {
    match output(nightly().args(["miri", "--version"])) {
        Ok(_) => Ok(()),
        Err(_) => Err("miri is not installed: `rustup component add miri rust-src --toolchain nightly`".to_owned()),
    }
}

fn nightly() -> Command {
    let mut cargo = Command::new("cargo");
    // Without the caller's toolchain, which cargo puts into the environment of what it runs.
    cargo
        .arg("+nightly")
        .current_dir(workspace_root())
        .env_remove("CARGO")
        .env_remove("RUSTC")
        .env_remove("RUSTUP_TOOLCHAIN");
    cargo
}
