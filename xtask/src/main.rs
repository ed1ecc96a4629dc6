//! `cargo xtask`: every developer action of mtls-filter is one of its verbs.
#![forbid(unsafe_code)]

mod build;
mod run;
mod setup;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Developer commands of mtls-filter.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Find or install what building and testing need; says what it does, asks nothing, quick the second time.
    Setup,
    /// Build the eBPF object and the daemon that carries it.
    Build(build::Args),
}

fn main() -> Result<()> {
    match Cli::parse().verb {
        Verb::Setup => setup::run(),
        Verb::Build(args) => build::run(&args),
    }
}
