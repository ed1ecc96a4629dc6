//! `cargo xtask test`: every test there is, and a summary that says what ran, what failed and what could not run.

use std::env::consts::ARCH;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::build::{self, Artifacts, Profile};
use crate::lab;
use crate::lint;
use crate::miri;
use crate::report::Report;
use crate::run::say;
use crate::setup;
use crate::vm;

/// Tests that need root and the built daemon, in the order they run: the cheap ones first.
const LAB_SUITES: [&str; 3] = ["packets", "end_to_end", "traps"];

/// Tests that need the clients of the API beside what [`LAB_SUITES`] need.
const CLIENT_SUITE: &str = "clients";

/// What the oldest kernel that is supported runs every time: the packet tables, and of the lab what differs by kernel. All of it takes an
/// emulated CPU an hour or more.
const OLDEST_RUNS: [vm::Selection; 2] = [
    vm::Selection::of("packets", &[]),
    vm::Selection::of("end_to_end", &["datapath::", "passthrough_ends::", "passthrough_outlives::", "penalty::"]),
];

/// Tests of a lab wait more than they compute, so more of them run at a time than there are CPUs.
const LAB_THREADS: &str = "4";

/// Options of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only what needs neither root nor the BPF toolchain.
    #[arg(long)]
    quick: bool,
    /// Only tests whose name contains this.
    filter: Option<String>,
}

/// The verb.
pub(crate) fn run(args: &Args) -> Result<()> {
    let start = Instant::now();
    let mut report = Report::default();
    if args.quick {
        test(&mut lint::cargo("test"), args, &mut report, "unit")?;
        report.note(format!("not run, because of --quick: {}", LAB_SUITES.join(", ") + ", " + CLIENT_SUITE));
    } else {
        let artifacts = build::build(Profile::Dev)?;
        test(&mut artifacts.cargo("test"), args, &mut report, "unit")?;
        lab_suites(&artifacts, args, &mut report)?;
        if args.filter.is_none() {
            oldest_kernel(&artifacts, &mut report);
        }
    }
    report.note(match miri::ready() {
        Ok(()) => "not run, because it takes long: `cargo xtask miri`".to_owned(),
        Err(reason) => format!("not run: `cargo xtask miri`: {reason}"),
    });
    println!("\n{report}");
    println!("after {:.0} s", start.elapsed().as_secs_f64());
    println!("{}", report.verdict());
    if report.failed() > 0 {
        // Not an error: the verdict stays the last line.
        std::process::exit(1);
    }
    Ok(())
}

/// Runs what needs a lab; each suite that cannot run counts as a failure with its reason.
fn lab_suites(artifacts: &Artifacts, args: &Args, report: &mut Report) -> Result<()> {
    for problem in setup::host::check() {
        report.note(format!("this host: {problem}"));
    }
    let ready = lab::runner().and_then(|runner| Ok((runner, lab::environment(artifacts)?)));
    let (runner, environment) = match ready {
        Ok(ready) => ready,
        Err(error) => {
            for suite in LAB_SUITES.iter().chain([&CLIENT_SUITE]) {
                report.could_not_run(suite, &format!("{error:#}"));
            }
            return Ok(());
        }
    };
    let run = |suite: &str, environment: &[(&str, PathBuf)], report: &mut Report| {
        // The same packages as for the unit tests, so that nothing is built twice with other features.
        let mut cargo = artifacts.cargo("test");
        cargo.args(["--features", "filter-tests/lab", "--test", suite]).envs(environment.iter().cloned());
        if let Some(runner) = runner {
            cargo.env(format!("CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_RUNNER", ARCH.to_uppercase()), runner);
        }
        cargo.env("RUST_TEST_THREADS", LAB_THREADS);
        test(&mut cargo, args, report, suite)
    };
    for suite in LAB_SUITES {
        run(suite, &environment, report)?;
    }
    match setup::clients::ensure() {
        Ok(clients) => run(CLIENT_SUITE, &[environment, clients.environment().to_vec()].concat(), report)?,
        Err(error) => report.could_not_run(CLIENT_SUITE, &format!("{error:#}")),
    }
    Ok(())
}

/// Runs [`OLDEST_RUNS`], and guests that fail on purpose.
fn oldest_kernel(artifacts: &Artifacts, report: &mut Report) {
    if ARCH != "x86_64" {
        report.note(format!("not run: Linux {}: guests are made for x86_64 only", vm::OLDEST));
        return;
    }
    let run = |report: &mut Report| -> Result<()> {
        let boot = vm::Machine::prepare(artifacts, &OLDEST_RUNS)?.boot(vm::OLDEST, false)?;
        boot.fail_on_purpose(report)?;
        boot.test(false, report)
    };
    if let Err(error) = run(report) {
        // Here, so that the summary of all the others is not lost.
        report.could_not_run(&format!("guest {}", vm::OLDEST), &format!("{error:#}"));
    }
    report.note("not run, because it takes long: `cargo xtask vm`, all of the lab on every kernel".to_owned());
}

/// Runs `cargo test`, shows what it prints, and notes it in the report.
fn test(cargo: &mut Command, args: &Args, report: &mut Report, what: &str) -> Result<()> {
    say(format_args!("{what} tests"));
    cargo.arg("--no-fail-fast").args(&args.filter);
    // One pipe for both outputs keeps their order: cargo names a suite on one, the suite reports on the other.
    let (reader, writer) = std::io::pipe()?;
    let mut child = cargo.stdout(writer.try_clone()?).stderr(writer).spawn().context("cannot start cargo")?;
    // The command holds the writing end as well; the pipe ends when the last one is gone.
    cargo.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut run = report.begin(what);
    for line in BufReader::new(reader).lines() {
        let line = line?;
        println!("{line}");
        run.line(&line);
    }
    run.end(child.wait()?.success());
    Ok(())
}
