//! `cargo xtask vm`: the privileged tests on kernels other than this host's, each in a virtual machine.
//!
//! A guest is a kernel of Debian's and an initramfs made here: the test programs, what they run, and a PID 1 of ours
//! (`tests/src/bin/vm_init.rs`). It needs neither root nor a network.

mod console;
mod counts;
mod initramfs;
mod kernel;
mod machine;
mod modules;
mod qemu;
mod suites;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    build::{self, Profile},
    report::Report,
    run::say,
};
use console::{Ending, Line};
use counts::{Counts, Table};
pub(crate) use kernel::OLDEST;
use kernel::{Kernel, RELEASES, Release};
pub(crate) use machine::Machine;
use qemu::{Accelerator, Guest};
use suites::SUITES;
pub(crate) use suites::Selection;

/// Ways to fail that a guest is told to take, to see that each is noticed.
const FAULTS: [&str; 4] = ["none", "panic", "stall", "exit"];
/// How long a guest that does nothing else may take to boot and fail.
const FAULT_SILENCE: Duration = Duration::from_secs(40);
/// Longest that a guest may say nothing: a test prints one line, at its end, and ten thousand connections take emulated CPUs long.
const SILENCE: Duration = Duration::from_secs(1800);

/// Options of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The kernels: 6.1, 6.12, sid; all of them if none is named.
    kernels: Vec<Release>,
    /// Run only this suite (`faults`: guests that fail on purpose, to see that it is noticed); may be given more than once.
    #[arg(long = "suite", value_parser = ["packets", "end_to_end", "traps", "faults"])]
    suites: Vec<String>,
    /// Run only tests whose name contains this; may be given more than once.
    #[arg(long = "filter")]
    filters: Vec<String>,
    /// Write down what the programs are to each kernel's verifier as the size that growth is measured from.
    #[arg(long)]
    bless: bool,
    /// Fetch the kernels again: a release gets new ones.
    #[arg(long)]
    refresh: bool,
}

/// The verb.
pub(crate) fn run(args: &Args) -> Result<()> {
    let artifacts = build::build(Profile::Dev)?;
    let chosen = SUITES.into_iter().filter(|suite| is_chosen(&args.suites, suite));
    let selections: Vec<_> = chosen.map(|suite| Selection::asked_for(suite, &args.filters)).collect();
    let kernels = if args.kernels.is_empty() { RELEASES.to_vec() } else { args.kernels.clone() };
    let machine = Machine::prepare(&artifacts, &selections)?;
    let mut report = Report::default();
    for release in kernels {
        let run = |report: &mut Report| -> Result<()> {
            let boot = machine.boot(release, args.refresh)?;
            if is_chosen(&args.suites, "faults") {
                boot.fail_on_purpose(report)?;
            }
            if selections.is_empty() { Ok(()) } else { boot.test(args.bless, report) }
        };
        // One kernel that cannot be had or run keeps no other from being tested.
        if let Err(error) = run(&mut report) {
            report.could_not_run(&format!("guest {}", release.name), &format!("{error:#}"));
        }
    }
    machine.left_out.into_iter().for_each(|line| report.note(line));
    println!("\n{report}");
    println!("{}", report.verdict());
    if report.failed() > 0 {
        std::process::exit(1);
    }
    Ok(())
}

fn is_chosen(chosen: &[String], suite: &str) -> bool {
    chosen.is_empty() || chosen.iter().any(|chosen| chosen == suite)
}

/// A kernel with the file system of its guests.
pub(crate) struct Boot {
    release: Release,
    kernel: Kernel,
    initramfs: PathBuf,
    console: PathBuf,
    accelerator: Accelerator,
}

impl Boot {
    /// Runs the tests, and says in one line what came of it.
    pub(crate) fn test(&self, bless: bool, report: &mut Report) -> Result<()> {
        let start = Instant::now();
        let Self { release, kernel, accelerator, .. } = self;
        let (passed, failed) = (report.passed(), report.failed());
        say(format_args!("booting Linux {} ({accelerator})", kernel.version));
        let measured = self.watch(report)?;
        let mut table = Table::read()?;
        if bless && report.failed() == failed {
            table.bless(release.name, measured)?;
        } else {
            let mut run = report.begin("verifier");
            run.suite(format!("verifier on {}", release.name));
            let objections = table.objections(release.name, &measured);
            run.tested("size of the programs", if objections.is_empty() { Ok(()) } else { Err(objections.join("; ")) });
        }
        let verdict = format!(
            "Linux {} ({accelerator}): {} passed, {} failed, after {:.0} s",
            kernel.version,
            report.passed() - passed,
            report.failed() - failed,
            start.elapsed().as_secs_f64()
        );
        say(&verdict);
        report.note(verdict);
        Ok(())
    }

    /// Has guests end in every bad way, and sees that none is taken for a good one.
    pub(crate) fn fail_on_purpose(&self, report: &mut Report) -> Result<()> {
        let mut run = report.begin("faults");
        run.suite(format!("faults on {}", self.release.name));
        for fault in FAULTS {
            say(format_args!("booting Linux {} to see it end: {fault}", self.kernel.version));
            let ending = self.guest(Some(fault), FAULT_SILENCE).run(&self.console, |_| {})?;
            let noticed = match &ending {
                Ending::Done => fault == "none",
                Ending::Complained(line) => fault == "panic" && line.contains("Kernel panic"),
                Ending::Stalled(_) => fault == "stall",
                Ending::Silent(_) => fault == "exit",
            };
            run.tested(fault, if noticed { Ok(()) } else { Err(format!("it was taken for this: {ending}")) });
        }
        run.end(true);
        Ok(())
    }

    fn guest<'a>(&'a self, fault: Option<&'a str>, silence: Duration) -> Guest<'a> {
        Guest { accelerator: self.accelerator, kernel: &self.kernel, initramfs: &self.initramfs, fault, silence }
    }

    /// Runs the guest, shows what it prints, and notes it in the report; returns what its verifier counted.
    fn watch(&self, report: &mut Report) -> Result<Counts> {
        let name = self.release.name;
        let mut measured = Counts::new();
        let mut run = report.begin("guest");
        let mut failures = Vec::new();
        let ending = self.guest(None, SILENCE).run(&self.console, |text| {
            println!("{text}");
            match Line::parse(text) {
                Line::Begin(program) if SUITES.contains(&program) => run.suite(format!("{program} on {name}")),
                Line::End(program, code) if code != 0 => failures.push((program.to_owned(), code)),
                Line::Printed(text) => match counts::parse_line(text) {
                    Some((program, count)) => drop(measured.insert(program, count)),
                    None => run.line(text),
                },
                Line::Up(_) | Line::Begin(_) | Line::End(..) => {}
            }
        })?;
        let (suites, others): (Vec<_>, Vec<_>) =
            failures.into_iter().partition(|(program, _): &(String, i32)| SUITES.contains(&program.as_str()));
        // A suite that fails says so in its result, or has crashed.
        run.end(suites.is_empty());
        for (program, code) in others {
            report.could_not_run(&format!("{program} on {name}"), &format!("it ended with code {code}"));
        }
        if ending != Ending::Done {
            let why = format!("{ending} (console: {})", self.console.display());
            report.could_not_run(&format!("guest {name}"), &why);
        }
        Ok(measured)
    }
}
