//! `cargo xtask`: every developer action of mtls-filter is one of its verbs.
#![forbid(unsafe_code)]

mod bench;
mod build;
mod demo;
mod fuzz;
mod lab;
mod lint;
mod miri;
mod report;
mod run;
mod setup;
mod test;
mod vm;

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
    /// Play the main job on real traffic: a table of what was tried, expected and seen.
    Demo(demo::Args),
    /// Run every test: unit, packet tables, lab.
    Test(test::Args),
    /// Run the privileged tests on other kernels, in virtual machines.
    Vm(vm::Args),
    /// Measure: all suites of `bench`, or those whose names begin with the given word.
    Bench(bench::Args),
    /// Fuzz the targets in `fuzz/`, each for a while.
    Fuzz(fuzz::Args),
    /// Run the tests of the rule language under miri.
    Miri,
    /// Check formatting, clippy, rustdoc and dependencies.
    Lint(lint::Args),
}

fn main() -> Result<()> {
    match Cli::parse().verb {
        Verb::Setup => setup::run(),
        Verb::Build(args) => build::run(&args),
        Verb::Demo(args) => demo::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Vm(args) => vm::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Fuzz(args) => fuzz::run(&args),
        Verb::Miri => miri::run(),
        Verb::Lint(args) => lint::run(&args),
    }
}
