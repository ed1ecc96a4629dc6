//! PID 1 of the guests of `cargo xtask vm`: makes a system of what is in the initramfs, runs what it is told to, and powers off.
//!
//! It reports on a serial port of its own, so that nothing the kernel says gets between its lines:
//!
//! ```text
//! guest: up 6.1.0-56-cloud-amd64
//! guest: begin packets
//! …what the program prints…
//! guest: end packets 0
//! guest: done
//! ```
//!
//! Whoever reads this takes a guest for good only when it saw the last line; every other way to end is a failure of the guest.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::{env, thread};

use anyhow::{Context, Result, bail};
use filter_tests::lab::SLOWNESS_VARIABLE;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::wait::{WaitStatus, wait};

/// Where the guest reports.
const REPORT: &str = "/dev/ttyS1";
/// The modules to load, one path a line, each after those it needs.
const MODULES: &str = "/modules.list";
/// What to run, one a line: a name, then the program and its arguments.
const PROGRAMS: &str = "/programs.list";
/// The environment of the programs: `NAME=value`, one a line.
const ENVIRONMENT: &str = "/environment.list";
/// The program that turns the loopback on.
const IP: &str = "/usr/bin/ip";
/// What is mounted: type, where, options.
const MOUNTS: [(&str, &str, &str); 8] = [
    ("proc", "/proc", ""),
    ("sysfs", "/sys", ""),
    ("devtmpfs", "/dev", ""),
    ("devpts", "/dev/pts", ""),
    ("tmpfs", "/run", ""),
    ("tmpfs", "/tmp", ""),
    ("bpf", "/sys/fs/bpf", ""),
    ("cgroup2", "/sys/fs/cgroup", ""),
];
/// Settings that make the kernel die of what it would otherwise only mention, so that the guest's end tells of it.
const FATAL: [(&str, &str); 4] = [
    ("kernel/panic_on_oops", "1"),
    ("kernel/softlockup_panic", "1"),
    ("kernel/hung_task_panic", "1"),
    ("kernel/panic_on_rcu_stall", "1"),
];

fn main() {
    // The first argument of the kernel's command line that the kernel has no use for.
    let fault = env::args().nth(1);
    if let Err(error) = live(fault.as_deref()) {
        // On the kernel's console: the report may be what is missing.
        eprintln!("guest: {error:#}");
    }
    // Returns only if it fails; then the end of PID 1 makes the kernel panic, which is seen as well.
    let Err(error) = reboot(RebootMode::RB_POWER_OFF);
    eprintln!("guest: cannot power off: {error}");
}

fn live(fault: Option<&str>) -> Result<()> {
    for (kind, place, options) in MOUNTS {
        fs::create_dir_all(place).with_context(|| format!("cannot make {place}"))?;
        mount(Some(kind), place, Some(kind), MsFlags::empty(), Some(options))
            .with_context(|| format!("cannot mount {place}"))?;
    }
    let mut report = OpenOptions::new().write(true).open(REPORT).with_context(|| format!("cannot open {REPORT}"))?;
    writeln!(report, "guest: up {}", fs::read_to_string("/proc/sys/kernel/osrelease")?.trim())?;
    if let Some(fault) = fault {
        return fail(fault, &mut report);
    }
    for (setting, value) in FATAL {
        // Not every kernel has every one.
        let _ = fs::write(Path::new("/proc/sys").join(setting), value);
    }
    for module in fs::read_to_string(MODULES).context("no list of modules")?.lines() {
        let file = File::open(module).with_context(|| format!("cannot open {module}"))?;
        finit_module(&file, c"", ModuleInitFlags::empty()).with_context(|| format!("cannot load {module}"))?;
    }
    let environment = fs::read_to_string(ENVIRONMENT).context("no environment")?;
    let environment: Vec<_> = environment.lines().filter_map(|line| line.split_once('=')).collect();
    let loopback = Command::new(IP).args(["link", "set", "lo", "up"]).status();
    anyhow::ensure!(loopback.with_context(|| format!("cannot start {IP}"))?.success(), "cannot turn the loopback on");
    for line in fs::read_to_string(PROGRAMS).context("no list of programs")?.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(program)) = (words.next(), words.next()) else { continue };
        writeln!(report, "guest: begin {name}")?;
        let mut command = Command::new(program);
        command.args(words).env_clear().envs(environment.iter().copied());
        // Whoever started the guest knows how slow it is, and who made its files does not.
        command.envs(env::var_os(SLOWNESS_VARIABLE).map(|slowness| (SLOWNESS_VARIABLE, slowness)));
        command.stdout(report.try_clone()?).stderr(report.try_clone()?);
        let status = run(&mut command).with_context(|| format!("cannot run {program}"))?;
        writeln!(report, "guest: end {name} {}", status.code().unwrap_or(-1))?;
    }
    writeln!(report, "guest: done")?;
    report.sync_all().or_else(|_| Ok(()))
}

/// Runs a program to its end. PID 1 inherits the orphans of the whole system and must see them off: a test that waits for a process to be
/// gone would wait for ever.
fn run(command: &mut Command) -> Result<ExitStatus> {
    let child = command.spawn()?;
    let child = i32::try_from(child.id()).context("a process id is positive")?;
    loop {
        match wait()? {
            WaitStatus::Exited(pid, code) if pid.as_raw() == child => return Ok(ExitStatus::from_raw(code << 8)),
            WaitStatus::Signaled(pid, signal, _) if pid.as_raw() == child => {
                return Ok(ExitStatus::from_raw(signal as i32));
            }
            _ => {}
        }
    }
}

/// Fails on purpose: what reads the report must tell these from success.
fn fail(fault: &str, report: &mut File) -> Result<()> {
    match fault {
        "panic" => Ok(fs::write("/proc/sysrq-trigger", "c")?),
        "exit" => Ok(()),
        "stall" => loop {
            thread::park();
        },
        "none" => Ok(writeln!(report, "guest: done")?),
        other => bail!("unknown fault {other}"),
    }
}
