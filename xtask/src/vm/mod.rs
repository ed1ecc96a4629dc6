//! `cargo xtask vm`: the privileged tests on kernels other than this host's, each in a virtual machine.
//!
//! A guest is a kernel of Debian's and an initramfs made here: the test programs, what they run, and a PID 1 of ours
//! (`tests/src/bin/vm_init.rs`). It needs neither root nor a network.

mod console;
mod counts;
mod initramfs;
mod kernel;
mod modules;
mod qemu;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    build::{self, Artifacts, OBJECT_VARIABLE, Profile},
    report::Report,
    run::{find, loudly, output, say},
    setup,
};
use console::{Ending, Line};
use counts::{Counts, Table};
use initramfs::Initramfs;
pub(crate) use kernel::OLDEST;
use kernel::{Kernel, RELEASES, Release};
use qemu::{Accelerator, Guest};

/// Test suites that can run in a guest.
const SUITES: [&str; 3] = ["packets", "end_to_end", "traps"];
/// Ways to fail that a guest is told to take, to see that each is noticed.
const FAULTS: [&str; 4] = ["none", "panic", "stall", "exit"];
/// How long a guest that does nothing else may take to boot and fail.
const FAULT_SILENCE: Duration = Duration::from_secs(40);
/// Longest that a guest may say nothing: a test prints one line, at its end, and an emulated CPU is slow.
const SILENCE: Duration = Duration::from_secs(300);
/// Where what the tests run is in the guest.
const PROGRAMS: &str = "/usr/bin";
const LIBRARIES: &str = "/usr/lib/lab";

/// Options of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The kernels: 6.1, 6.12, sid; all of them if none is named.
    kernels: Vec<Release>,
    /// Run only this suite (`faults`: guests that fail on purpose, to see that it is noticed); may be given more than once.
    #[arg(long = "suite", value_parser = ["packets", "end_to_end", "traps", "faults"])]
    suites: Vec<String>,
    /// Run only tests whose name contains this.
    #[arg(long)]
    filter: Option<String>,
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
    let suites: Vec<&str> = SUITES.into_iter().filter(|&suite| is_chosen(&args.suites, suite)).collect();
    let kernels = if args.kernels.is_empty() { RELEASES.to_vec() } else { args.kernels.clone() };
    let machine = Machine::prepare(&artifacts, &suites, args.filter.as_deref())?;
    let mut report = Report::default();
    for release in kernels {
        let boot = machine.boot(release, args.refresh)?;
        if is_chosen(&args.suites, "faults") {
            boot.fail_on_purpose(&mut report)?;
        }
        if !suites.is_empty() {
            boot.test(args.bless, &mut report)?;
        }
    }
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

/// What all guests have in common.
pub(crate) struct Machine {
    directory: PathBuf,
    programs: Vec<(PathBuf, String)>,
    list: String,
    environment: String,
    libraries: Option<PathBuf>,
    object: PathBuf,
}

impl Machine {
    /// Builds what runs in the guest and finds what runs it.
    pub(crate) fn prepare(artifacts: &Artifacts, suites: &[&str], filter: Option<&str>) -> Result<Self> {
        if std::env::consts::ARCH != "x86_64" {
            bail!("guests are made for x86_64 only");
        }
        setup::guests::ensure()?;
        let lab = setup::lab::ensure()?;
        say("building what runs in the guests");
        loudly(artifacts.cargo("build").args(["--bin", "vm-init", "--bin", "verifier-counts"]))?;
        let built = |name: &str| artifacts.mtls_filter.with_file_name(name);
        let mut programs = vec![
            (built("vm-init"), "/init".to_owned()),
            (built("verifier-counts"), "/verifier-counts".to_owned()),
            (artifacts.mtls_filter.clone(), "/mtls-filter".to_owned()),
        ];
        // An interpreter is nothing without its library, and often a script that chooses one: what needs Python runs on hosts.
        let lab_programs = lab.each().into_iter().filter(|(name, _)| *name != "python3");
        programs.extend(lab_programs.map(|(name, path)| (path.to_owned(), format!("{PROGRAMS}/{name}"))));
        for name in ["setpriv", "ss", "tc"] {
            programs
                .push((find(name).with_context(|| format!("{name} is not in PATH"))?, format!("{PROGRAMS}/{name}")));
        }
        let mut list = "verifier /verifier-counts\n".to_owned();
        for (suite, executable) in executables(artifacts, suites)? {
            // What other hosts cannot be relied upon to have, guests have.
            let ignored = if suite == "packets" { "--include-ignored" } else { "" };
            list += &format!("{suite} /{suite} --test-threads 2 {ignored} {}\n", filter.unwrap_or_default());
            programs.push((executable, format!("/{suite}")));
        }
        let environment = format!(
            "PATH={PROGRAMS}\nHOME=/tmp\nMTLS_FILTER_LAB_BINARY=/mtls-filter\nMTLS_FILTER_LAB_OBJECT=/object\n\
             {OBJECT_VARIABLE}=/object\n\
             MTLS_FILTER_LAB_NGINX={PROGRAMS}/nginx\nMTLS_FILTER_LAB_LIBRARIES={LIBRARIES}\n"
        );
        let directory = artifacts.mtls_filter.with_file_name("vm");
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        Ok(Self { directory, programs, list, environment, libraries: lab.libraries, object: artifacts.object.clone() })
    }

    /// Gets a kernel ready.
    pub(crate) fn boot(&self, release: Release, refresh: bool) -> Result<Boot> {
        let kernel = Kernel::ensure(release, refresh)?;
        let initramfs = self.initramfs(release, &kernel)?;
        let console = self.directory.join(format!("{}.console", release.name));
        let accelerator = Accelerator::choose(&kernel, &initramfs, &console);
        Ok(Boot { release, kernel, initramfs, console, accelerator })
    }

    fn initramfs(&self, release: Release, kernel: &Kernel) -> Result<PathBuf> {
        let mut files = Initramfs::default();
        for (source, path) in &self.programs {
            files.program(path, source, self.libraries.as_deref())?;
        }
        if let Some(libraries) = &self.libraries {
            add_libraries(&mut files, libraries)?;
        }
        files.file("/object", &self.object);
        let mut list = String::new();
        for (number, module) in modules::collect(&kernel.modules)?.into_iter().enumerate() {
            let path = format!("/modules/{number}-{}.ko", module.name);
            list += &format!("{path}\n");
            files.bytes(&path, module.object);
        }
        files.bytes("/modules.list", list);
        files.bytes("/programs.list", self.list.as_str());
        files.bytes("/environment.list", self.environment.as_str());
        files.bytes("/etc/passwd", "root:x:0:0:root:/tmp:/usr/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/usr/bin/sh\n");
        files.bytes("/etc/group", "root:x:0:\nnogroup:x:65534:\n");
        files.bytes("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n");
        let archive = self.directory.join(format!("{}.cpio", release.name));
        files.write(&archive)?;
        Ok(archive)
    }
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
        say(format_args!(
            "Linux {} ({accelerator}): {} passed, {} failed, after {:.0} s",
            kernel.version,
            report.passed() - passed,
            report.failed() - failed,
            start.elapsed().as_secs_f64()
        ));
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

/// Builds test suites, and tells where each is.
fn executables(artifacts: &Artifacts, suites: &[&str]) -> Result<Vec<(String, PathBuf)>> {
    if suites.is_empty() {
        // To cargo, no name would be all of them.
        return Ok(Vec::new());
    }
    let mut cargo = artifacts.cargo("test");
    // The same packages and features as for the tests on the host, so that nothing is built twice.
    cargo.args(["--features", "filter-tests/lab", "--no-run", "--message-format", "json"]);
    for suite in suites {
        cargo.args(["--test", suite]);
    }
    let messages = output(&mut cargo)?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let found: Vec<_> = messages
        .filter_map(|message| {
            let name = message.pointer("/target/name")?.as_str()?;
            let executable = message.get("executable")?.as_str()?;
            suites.contains(&name).then(|| (name.to_owned(), PathBuf::from(executable)))
        })
        .collect();
    match suites.iter().find(|suite| found.iter().all(|(name, _)| name != *suite)) {
        Some(missing) => bail!("cargo built no test {missing}"),
        None => Ok(found),
    }
}

/// The libraries that came with nginx.
fn add_libraries(files: &mut Initramfs, libraries: &Path) -> Result<()> {
    let entries = fs::read_dir(libraries).with_context(|| format!("cannot read {}", libraries.display()))?;
    for entry in entries {
        let path = entry?.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| path.is_file()) {
            files.file(&format!("{LIBRARIES}/{name}"), &path);
        }
    }
    Ok(())
}
