//! `cargo xtask lint`: formatting, clippy, rustdoc and dependencies.

use std::process::Command;

use anyhow::{Result, bail};

use crate::build;
use crate::run::{find, loudly, say, workspace_root};
use crate::setup::{self, Toolchain};

/// Every package that the developer's own toolchain builds. Clippy looks at them one by one: together, cargo would unite their
/// features, and a crate would pass that does not build alone.
const PACKAGES: [&str; 6] = ["filter-bench", "filter-common", "filter-rules", "filter-user", "filter-tests", "xtask"];

/// Options of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out the eBPF crate, which needs the BPF toolchain.
    #[arg(long)]
    no_ebpf: bool,
}

/// The verb. Goes on after a failure, so that all of them are seen at once.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut failures = Vec::new();
    let mut check = |name: String, command: &mut Command| {
        say(&name);
        if let Err(error) = loudly(command) {
            failures.push(format!("{name}: {error:#}"));
        }
    };
    check("formatting".into(), cargo("fmt").args(["--all", "--check"]));
    for package in PACKAGES {
        let mut clippy = cargo("clippy");
        clippy.args(["--package", package, "--all-targets", "--all-features", "--", "-D", "warnings"]);
        check(format!("clippy {package}"), &mut clippy);
    }
    if !args.no_ebpf {
        match ebpf_clippy(&setup::ensure()?) {
            Some(mut clippy) => check("clippy filter-ebpf".into(), &mut clippy),
            None => say("clippy filter-ebpf: not looked at, because the toolchain of the eBPF crate has no clippy"),
        }
    }
    let mut doc = cargo("doc");
    doc.args(["--no-deps", "--all-features", "--document-private-items"]).env("RUSTDOCFLAGS", "-D warnings");
    check("documentation".into(), &mut doc);
    if find("cargo-deny").is_some() {
        check("dependencies".into(), cargo("deny").args(["check"]));
    } else {
        say("dependencies: not looked at, because cargo-deny is not installed (`cargo install cargo-deny --locked`)");
    }
    match failures.is_empty() {
        true => Ok(()),
        false => bail!("lint:\n  {}", failures.join("\n  ")),
    }
}

/// Clippy of the toolchain that builds the eBPF crate, if it has one. Called by its path: `cargo clippy` would find rustup's proxy
/// first, and that the clippy of another toolchain.
fn ebpf_clippy(toolchain: &Toolchain) -> Option<Command> {
    let program = toolchain.cargo.with_file_name("cargo-clippy");
    if !program.is_file() {
        return None;
    }
    let cargo = build::ebpf_cargo(toolchain, "clippy");
    let mut clippy = Command::new(program);
    clippy.args(cargo.get_args()).args(["--release", "--", "-D", "warnings"]).env("CARGO", &toolchain.cargo);
    clippy.current_dir(workspace_root());
    for (name, value) in cargo.get_envs() {
        match value {
            Some(value) => clippy.env(name, value),
            None => clippy.env_remove(name),
        };
    }
    Some(clippy)
}

/// A `cargo` command of the developer's own toolchain, with its own target directory.
pub(crate) fn cargo(verb: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace_root()).arg(verb);
    cargo
}
