//! The daemon under test: starting and ending it, and what it writes.

mod api;
mod commands;
mod status;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

pub use api::Api;
pub use commands::{CertificateRow, CommandOutcome};
pub use status::Status;

use commands::command_line;

use super::config::access_log;
use super::namespace::Namespace;
use super::patience::patience;
use super::process::Process;
use super::programs;

/// Environment variable that names the daemon to test.
const BINARY_VARIABLE: &str = "MTLS_FILTER_LAB_BINARY";
/// How long a record may take to be written.
const LOG_PATIENCE: Duration = Duration::from_secs(5);
/// The user that an unprivileged filter runs as.
const NOBODY: &str = "65534";

/// How the daemon is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Privilege {
    /// As root.
    Root,
    /// As root, who cannot open raw sockets.
    RootWithoutRawSockets,
    /// As a user who may do nothing special.
    Nobody,
}

/// A running filter.
#[derive(Debug)]
pub struct Filter {
    binary: PathBuf,
    config: PathBuf,
    directory: PathBuf,
    privilege: Privilege,
    process: Process,
}

impl Filter {
    /// Starts the daemon in `edge` and waits until it serves.
    pub(super) fn start(edge: &Namespace, config: &Path, privilege: Privilege) -> Result<Self> {
        let directory = config.parent().context("the configuration file has no directory")?.to_owned();
        let binary = match privilege {
            Privilege::Root | Privilege::RootWithoutRawSockets => built_binary()?,
            // The build's directory may be closed to other users.
            Privilege::Nobody => give_to_nobody(&built_binary()?, &directory)?,
        };
        let process = spawn(edge, &binary, config, &directory, privilege)?;
        let mut filter = Self { binary, config: config.to_owned(), directory, privilege, process };
        filter.wait_until_ready()?;
        Ok(filter)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let (binary, directory) = (&self.binary, &self.directory);
        self.process.wait_until("ready", || {
            let status = programs::output(&mut command_line(binary, directory, &["status"]));
            status.is_ok_and(|output| output.status.success())
        })
    }

    /// Ends it at once, as `kill -9` or a crash does.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Asks it to end (SIGTERM), without waiting.
    ///
    /// # Errors
    /// If it cannot be signalled.
    pub fn interrupt(&self) -> Result<()> {
        self.process.signal_to_end()
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// If it does not end in time.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.process.terminate()
    }

    /// Starts it again on the same files, and waits until it serves.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start_again(&mut self, edge: &Namespace) -> Result<()> {
        self.process = spawn(edge, &self.binary, &self.config, &self.directory, self.privilege)?;
        self.wait_until_ready()
    }

    /// Changes the configuration file; the filter sees it at its next start.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn reconfigure(&self, change: impl FnOnce(&str) -> String) -> Result<()> {
        let text = fs::read_to_string(&self.config)?;
        Ok(fs::write(&self.config, change(&text))?)
    }

    /// Bytes of memory that it has.
    ///
    /// # Errors
    /// If the system cannot say.
    pub fn resident_bytes(&self) -> Result<u64> {
        self.process.resident_bytes()
    }

    /// Whether it is running.
    ///
    /// # Errors
    /// If the system cannot say.
    pub fn is_running(&mut self) -> Result<bool> {
        self.process.is_running()
    }

    /// The configuration file it runs with.
    #[must_use]
    pub fn config_file(&self) -> &Path {
        &self.config
    }

    /// The program it runs.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// What it said so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log(usize::MAX)
    }

    /// The records of its access log, once there are `count` of them: the filter does not wait for its log.
    ///
    /// # Errors
    /// If so many do not come, or a line is not JSON.
    pub fn access_records(&self, count: usize) -> Result<Vec<Value>> {
        let deadline = Instant::now() + patience(LOG_PATIENCE);
        loop {
            let text = fs::read_to_string(access_log(&self.directory)).unwrap_or_default();
            let lines: Vec<&str> = text.split_terminator('\n').collect();
            if lines.len() >= count && text.ends_with('\n') {
                let parse = |line: &&str| serde_json::from_str(line).with_context(|| format!("access log: {line}"));
                return lines.iter().map(parse).collect();
            }
            if Instant::now() > deadline {
                bail!("the access log holds {} records instead of {count}:\n{text}", lines.len());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Starts the daemon.
fn spawn(edge: &Namespace, binary: &Path, config: &Path, directory: &Path, privilege: Privilege) -> Result<Process> {
    let mut command = match privilege {
        Privilege::Root => Command::new(binary),
        Privilege::RootWithoutRawSockets => {
            let mut command = Command::new(programs::find("setpriv")?);
            command.args(["--bounding-set", "-net_raw"]).arg(binary);
            command
        }
        Privilege::Nobody => {
            let mut command = Command::new(programs::find("setpriv")?);
            command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--no-new-privs"]);
            command.args(["--bounding-set", "-all", "--inh-caps", "-all"]).arg(binary);
            command
        }
    };
    command.arg("run").arg("--config").arg(config).current_dir(directory);
    // Not by `ip netns exec`, which hides the BPF file system.
    edge.enter(|| Process::start("mtls-filter", &mut command, &directory.join("mtls-filter.log")))
}

/// The daemon that `cargo xtask` has built, or the one beside this executable.
fn built_binary() -> Result<PathBuf> {
    let candidate = match env::var_os(BINARY_VARIABLE) {
        Some(path) => PathBuf::from(path),
        None => {
            let this = env::current_exe()?;
            let folder = this.ancestors().find(|folder| folder.ends_with("debug") || folder.ends_with("release"));
            folder.context("this executable is not in a build directory")?.join("mtls-filter")
        }
    };
    if !candidate.is_file() {
        bail!("there is no daemon at {}: `cargo xtask test` and `cargo xtask demo` build it", candidate.display());
    }
    Ok(candidate)
}

/// Copies the daemon to where nobody can run it, and gives the directory to nobody.
fn give_to_nobody(binary: &Path, directory: &Path) -> Result<PathBuf> {
    let copy = directory.join("mtls-filter");
    fs::copy(binary, &copy)?;
    let owner = Some(NOBODY.parse()?);
    let mut folders = vec![directory.to_owned()];
    while let Some(path) = folders.pop() {
        std::os::unix::fs::chown(&path, owner, owner)?;
        if path.is_dir() {
            folders.extend(fs::read_dir(&path)?.flatten().map(|entry| entry.path()));
        }
    }
    Ok(copy)
}
