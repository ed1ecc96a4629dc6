//! `cargo xtask fuzz`: steered fuzzing of the targets in `fuzz/`, each for a while.
//!
//! Needs a nightly toolchain, for the instrumentation; cargo-fuzz is built once into the tool cache. The bodies of the rule
//! language run bounded and on stable with every `cargo xtask test` as well.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::run::{cache_dir, loudly, names_of_sources, say, workspace_root};

/// Newer releases may change the layout of `fuzz/`; this one was tried.
const CARGO_FUZZ: &str = "0.13.2";

/// Options of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The target; all of them, one after the other, without it.
    target: Option<String>,
    /// How long each target runs.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

/// The verb.
pub(crate) fn run(args: &Args) -> Result<()> {
    let fuzz = workspace_root().join("fuzz");
    let all = names_of_sources(&fuzz.join("targets"))?;
    let chosen: Vec<_> = all.iter().filter(|name| args.target.as_ref().is_none_or(|wanted| wanted == *name)).collect();
    if chosen.is_empty() {
        bail!("there is no target {}; there are {}", args.target.as_deref().unwrap_or_default(), all.join(", "));
    }
    let program = cargo_fuzz()?;
    for target in chosen {
        say(format_args!("fuzzing {target} for {} seconds", args.seconds));
        let found = fuzz.join("corpus").join(target);
        std::fs::create_dir_all(&found).with_context(|| format!("cannot create {}", found.display()))?;
        let mut command = Command::new(&program);
        // The first directory takes what is found; the others are read.
        command.args(["fuzz", "run", target]).arg(&found).args(seeds(target)).arg("--");
        command.arg(format!("-max_total_time={}", args.seconds));
        // A megabyte is enough for any finding, and a hang is one, too.
        command.args(["-rss_limit_mb=4096", "-timeout=10"]);
        command.current_dir(&fuzz).env("RUSTUP_TOOLCHAIN", "nightly").env_remove("CARGO").env_remove("RUSTC");
        loudly(&mut command).with_context(|| format!("{target}: what failed is in fuzz/artifacts/{target}"))?;
    }
    Ok(())
}

/// Directories with inputs to start from, in the repository.
fn seeds(target: &str) -> Option<PathBuf> {
    let seeds = workspace_root().join("tests/corpus").join(target);
    seeds.is_dir().then_some(seeds)
}

/// cargo-fuzz in the tool cache.
fn cargo_fuzz() -> Result<PathBuf> {
    let root = cache_dir()?.join(format!("cargo-fuzz-{CARGO_FUZZ}"));
    let program = root.join("bin/cargo-fuzz");
    if !program.is_file() {
        say(format_args!("building cargo-fuzz {CARGO_FUZZ} into {}; this takes a minute", root.display()));
        install(&root).context("cargo-fuzz did not build")?;
    }
    Ok(program)
}

fn install(root: &Path) -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["install", "--quiet", "cargo-fuzz", "--version", CARGO_FUZZ, "--locked", "--no-track", "--root"]);
    // Not inside the checkout, whose .cargo and lock files are about this workspace.
    cargo.arg(root).current_dir(cache_dir()?);
    loudly(&mut cargo)
}
