//! `cargo xtask bench`: measures. What it prints informs; no test depends on it.

use std::env::consts::ARCH;
use std::process::Command;

use anyhow::{Result, bail};

use crate::build::{self, Artifacts, Profile};
use crate::lab;
use crate::lint;
use crate::run::{loudly, names_of_sources, say, workspace_root};
use crate::setup;

/// Other suites whose names begin with one of these run the real daemon, and its peers, in a lab.
const LAB: [&str; 2] = ["crl", "xdp"];

/// What packets cost in the kernel; how the program that asks it was compiled does not matter.
const PACKETS: &str = "xdp_packets";

/// Options of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure; all suites whose names begin with this: `rules` runs `rules` and `rules_goals`.
    suite: Option<String>,
    /// Arguments of the benches themselves.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// The verb.
pub(crate) fn run(args: &Args) -> Result<()> {
    let all = names_of_sources(&workspace_root().join("bench/benches"))?;
    let wanted = args.suite.as_deref().unwrap_or_default();
    let chosen: Vec<_> = all.iter().filter(|suite| suite.starts_with(wanted)).collect();
    if chosen.is_empty() {
        bail!("there is no suite {wanted}; there are {}", all.join(", "));
    }
    for suite in chosen {
        say(format_args!("bench {suite}"));
        let mut cargo = match suite.as_str() {
            PACKETS => as_root(with_tests(&build::build(Profile::Dev)?))?,
            suite if LAB.iter().any(|prefix| suite.starts_with(prefix)) => in_lab()?,
            _ => of_package(),
        };
        cargo.args(["--bench", suite]);
        if !args.arguments.is_empty() {
            cargo.arg("--").args(&args.arguments);
        }
        loudly(&mut cargo)?;
    }
    Ok(())
}

/// A `cargo bench` that finds the eBPF object, with the profile, packages and features of the tests, so that nothing is built twice: these
/// benches only ask others to work.
fn with_tests(artifacts: &Artifacts) -> Command {
    let mut cargo = artifacts.cargo("bench");
    cargo.args(["--profile", "dev", "--features", "filter-tests/lab"]);
    cargo
}

/// A `cargo bench` that finds the daemon, as it would be installed, the programs of the lab and the peers, and runs as root.
fn in_lab() -> Result<Command> {
    let artifacts = build::build(Profile::Release)?;
    let peers = setup::peers::ensure()?;
    let mut cargo = with_tests(&artifacts);
    cargo.envs(lab::environment(&artifacts)?);
    cargo.env("MTLS_FILTER_BENCH_STREAM_MODULE", peers.stream_module).env("MTLS_FILTER_BENCH_HAPROXY", peers.haproxy);
    if let Some(libraries) = peers.libraries {
        cargo.env("MTLS_FILTER_BENCH_HAPROXY_LIBRARIES", libraries);
    }
    as_root(cargo)
}

/// A `cargo bench` of what is measured in its own process, optimised.
fn of_package() -> Command {
    let mut cargo = lint::cargo("bench");
    cargo.args(["--package", "filter-bench"]);
    cargo
}

fn as_root(mut cargo: Command) -> Result<Command> {
    if let Some(runner) = lab::runner()? {
        cargo.env(format!("CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_RUNNER", ARCH.to_uppercase()), runner);
    }
    Ok(cargo)
}
