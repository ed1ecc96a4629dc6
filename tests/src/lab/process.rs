//! A program that runs beside the scenario, with its output in a file, ended when it is dropped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::patience::patience;
use super::programs::tail;

/// How long a program may take to be ready, or to end when asked to.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(10);

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it prints is added to the file `log`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let errors = output.try_clone()?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Waits until `ready` holds.
    ///
    /// # Errors
    /// If the program ends first, or takes too long; the text carries the end of its log.
    pub fn wait_until(&mut self, what: &str, mut ready: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + patience(PATIENCE);
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}) before it was {what}:\n{}", self.name, self.log(40));
            }
            if Instant::now() > deadline {
                bail!("{} was not {what} after {:?}:\n{}", self.name, patience(PATIENCE), self.log(40));
            }
            thread::sleep(STEP);
        }
        Ok(())
    }

    /// Bytes of memory that it and its children have.
    ///
    /// # Errors
    /// If the system cannot say.
    pub fn resident_bytes(&self) -> Result<u64> {
        let mut bytes = resident_bytes(self.child.id())?;
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if parent(id) == Some(self.child.id()) {
                // One that has just ended has nothing.
                bytes += resident_bytes(id).unwrap_or(0);
            }
        }
        Ok(bytes)
    }

    /// Sends it SIGHUP, by which servers read their files again.
    ///
    /// # Errors
    /// If it cannot be signalled.
    pub fn hang_up(&self) -> Result<()> {
        let pid = i32::try_from(self.child.id())?;
        kill(Pid::from_raw(pid), Signal::SIGHUP).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Whether it is still running.
    ///
    /// # Errors
    /// If the system cannot say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Ends it at once, as `kill -9` does.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        // It may have ended already.
        let _ = self.child.kill();
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, without waiting.
    ///
    /// # Errors
    /// If it cannot be signalled.
    pub fn signal_to_end(&self) -> Result<()> {
        let pid = i32::try_from(self.child.id())?;
        kill(Pid::from_raw(pid), Signal::SIGTERM).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// If it does not end in time.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal_to_end()?;
        let deadline = Instant::now() + patience(PATIENCE);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} did not end {:?} after SIGTERM:\n{}", self.name, patience(PATIENCE), self.log(40));
            }
            thread::sleep(STEP);
        }
    }

    /// The last `lines` lines of what it printed.
    #[must_use]
    pub fn log(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }
}

/// Bytes of memory that a process has.
fn resident_bytes(id: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    let kilobytes: u64 = kilobytes.context("no VmRSS")?.trim().parse()?;
    Ok(kilobytes * 1_024)
}

/// The process that started another one.
fn parent(id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before it is in parentheses and may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("clean-up: {}: {error:#}", self.name);
        }
    }
}
