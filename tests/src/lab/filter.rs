//! The daemon under test, and its command line as an operator uses it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::config::{access_log, control_socket};
use super::namespace::Namespace;
use super::pki::{self, ClientCertificate};
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

/// How a run of the command line ended.
#[derive(Clone, Debug)]
pub struct CommandOutcome {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub output: String,
    /// What it said on standard error.
    pub errors: String,
}

/// A row of `cert list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRow {
    /// Its id.
    pub id: String,
    /// `active` or `revoked`.
    pub status: String,
}

/// What `status` says, as JSON.
#[derive(Clone, Debug)]
pub struct Status(Value);

impl Filter {
    /// Starts the daemon in `edge` and waits until it serves.
    pub(super) fn start(edge: &Namespace, config: &Path, privilege: Privilege) -> Result<Self> {
        let directory = config.parent().context("the configuration file has no directory")?.to_owned();
        let binary = match privilege {
            Privilege::Root => built_binary()?,
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

    /// Whether it is running.
    ///
    /// # Errors
    /// If the system cannot say.
    pub fn is_running(&mut self) -> Result<bool> {
        self.process.is_running()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
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
        let deadline = Instant::now() + LOG_PATIENCE;
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

    /// Runs `mtls-filter` with `arguments`, whatever comes of it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn attempt(&self, arguments: &[&str]) -> Result<CommandOutcome> {
        let output = programs::output(&mut command_line(&self.binary, &self.directory, arguments))?;
        Ok(CommandOutcome {
            code: output.status.code(),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs `mtls-filter` with `arguments` and returns what it printed.
    ///
    /// # Errors
    /// If it fails; the text carries what it said.
    pub fn command(&self, arguments: &[&str]) -> Result<String> {
        programs::run(&mut command_line(&self.binary, &self.directory, arguments))
    }

    fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.command(&[arguments, &["--json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("`mtls-filter {}` printed {text:?}", arguments.join(" ")))
    }

    /// Deploys the mTLS rule for a host: no valid certificate, or a revoked one, is blocked. Returns the rule's id.
    ///
    /// # Errors
    /// If the command fails.
    pub fn protect(&self, host: &str) -> Result<String> {
        self.rule(host, &["--name", &format!("mtls {host}"), "--host", host])
    }

    /// Deploys the rule that takes revoked certificates for valid ones. Returns the rule's id.
    ///
    /// # Errors
    /// If the command fails.
    pub fn protect_allowing_revoked(&self, host: &str) -> Result<String> {
        self.rule(host, &["--name", &format!("plain {host}"), "--host", host, "--allow-revoked"])
    }

    /// Deploys a block rule with any expression, in the zone of `host`. Returns the rule's id.
    ///
    /// # Errors
    /// If the command fails.
    pub fn block(&self, host: &str, expression: &str) -> Result<String> {
        self.rule(host, &["--name", "custom", "--expression", expression, "--action", "block"])
    }

    fn rule(&self, host: &str, arguments: &[&str]) -> Result<String> {
        id(&self.json(&[&["rule", "create", "--zone", zone_of(host)], arguments].concat())?)
    }

    /// Removes a rule.
    ///
    /// # Errors
    /// If the command fails.
    pub fn delete_rule(&self, rule: &str) -> Result<()> {
        self.command(&["rule", "delete", rule]).map(drop)
    }

    /// The expressions of all rules, in order.
    ///
    /// # Errors
    /// If the command fails.
    pub fn rule_expressions(&self) -> Result<Vec<String>> {
        rows(&self.json(&["rule", "list"])?)?.iter().map(|row| text(row, "expression")).collect()
    }

    /// Issues a client's certificate in the zone `example.com`.
    ///
    /// # Errors
    /// If the command fails.
    pub fn client_certificate(&self, common_name: &str) -> Result<ClientCertificate> {
        self.client_certificate_of("example.com", common_name, &[])
    }

    /// Issues one that is valid for only so long (`2s`).
    ///
    /// # Errors
    /// If the command fails.
    pub fn short_lived_certificate(&self, common_name: &str, validity: &str) -> Result<ClientCertificate> {
        self.client_certificate_of("example.com", common_name, &["--valid-for", validity])
    }

    /// Issues one in any zone, with any further options.
    ///
    /// # Errors
    /// If the command fails.
    pub fn client_certificate_of(&self, zone: &str, common_name: &str, options: &[&str]) -> Result<ClientCertificate> {
        let out = self.directory.join(format!("clients-{zone}"));
        fs::create_dir_all(&out)?;
        let out_text = out.to_string_lossy();
        let create = ["cert", "create", "--zone", zone, "--common-name", common_name, "--out", &out_text];
        let created = self.json(&[&create, options].concat())?;
        Ok(ClientCertificate {
            id: Some(id(&created)?),
            common_name: common_name.to_owned(),
            certificate: out.join(format!("{common_name}.crt")),
            key: out.join(format!("{common_name}.key")),
        })
    }

    /// Issues a certificate for a key that the client made itself.
    ///
    /// # Errors
    /// If the command fails.
    pub fn client_certificate_by_request(&self, zone: &str, common_name: &str) -> Result<ClientCertificate> {
        let (request, key) = pki::signing_request(&self.directory, common_name)?;
        let created = self.json(&["cert", "create", "--zone", zone, "--csr", &request.to_string_lossy()])?;
        let certificate = self.directory.join(format!("{common_name}.csr.crt"));
        fs::write(&certificate, text(&created, "certificate")?)?;
        Ok(ClientCertificate { id: Some(id(&created)?), common_name: common_name.to_owned(), certificate, key })
    }

    /// Revokes a certificate.
    ///
    /// # Errors
    /// If the command fails, or the filter has not issued the certificate.
    pub fn revoke(&self, certificate: &ClientCertificate) -> Result<()> {
        self.command(&["cert", "revoke", issued_id(certificate)?]).map(drop)
    }

    /// Takes a revocation back.
    ///
    /// # Errors
    /// If the command fails, or the filter has not issued the certificate.
    pub fn reactivate(&self, certificate: &ClientCertificate) -> Result<()> {
        self.command(&["cert", "reactivate", issued_id(certificate)?]).map(drop)
    }

    /// The certificates the filter has issued.
    ///
    /// # Errors
    /// If the command fails.
    pub fn certificates(&self) -> Result<Vec<CertificateRow>> {
        rows(&self.json(&["cert", "list"])?)?
            .iter()
            .map(|row| Ok(CertificateRow { id: id(row)?, status: text(row, "status")? }))
            .collect()
    }

    /// The zone's certificate authority, in PEM.
    ///
    /// # Errors
    /// If the command fails.
    pub fn authority(&self, zone: &str) -> Result<String> {
        self.command(&["ca", "show", "--zone", zone])
    }

    /// What `status` says.
    ///
    /// # Errors
    /// If the command fails.
    pub fn status(&self) -> Result<Status> {
        self.json(&["status"]).map(Status)
    }
}

impl Status {
    /// The whole of it.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// The generation of the rules that are in force.
    ///
    /// # Errors
    /// If `status` does not say.
    pub fn generation(&self) -> Result<u64> {
        let found = self.0.get("generation").and_then(Value::as_u64);
        found.with_context(|| format!("status names no generation: {}", self.0))
    }

    /// The generation that each worker runs.
    ///
    /// # Errors
    /// If `status` does not say.
    pub fn worker_generations(&self) -> Result<Vec<u64>> {
        let workers = self.0.get("workers").and_then(Value::as_array);
        let workers = workers.with_context(|| format!("status lists no workers: {}", self.0))?;
        let generations = workers.iter().filter_map(|worker| worker.get("generation").and_then(Value::as_u64));
        Ok(generations.collect())
    }

    /// The mode that packets are handled in.
    ///
    /// # Errors
    /// If `status` does not say.
    pub fn datapath(&self) -> Result<String> {
        let found = self.0.pointer("/datapath/mode").or_else(|| self.0.get("datapath")).and_then(Value::as_str);
        found.map(str::to_owned).with_context(|| format!("status names no datapath: {}", self.0))
    }

    /// The counters of the XDP program by reason, in the order `status` has them; empty without XDP.
    #[must_use]
    pub fn xdp_counters(&self) -> Vec<(String, u64)> {
        counters(self.0.get("xdp"))
    }

    /// Packets that the XDP program counted under one reason.
    #[must_use]
    pub fn xdp(&self, reason: &str) -> u64 {
        self.xdp_counters().into_iter().find(|(name, _)| name == reason).map_or(0, |(_, count)| count)
    }

    /// The counters of requests by reason.
    #[must_use]
    pub fn request_counters(&self) -> Vec<(String, u64)> {
        counters(self.0.get("requests"))
    }
}

/// A command line that speaks to the daemon whose files are in `directory`.
fn command_line(binary: &Path, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).env("MTLS_FILTER_SOCKET", control_socket(directory)).current_dir(directory);
    command
}

/// Starts the daemon.
fn spawn(edge: &Namespace, binary: &Path, config: &Path, directory: &Path, privilege: Privilege) -> Result<Process> {
    let mut command = match privilege {
        Privilege::Root => edge.command(binary)?,
        Privilege::Nobody => {
            let mut command = edge.command(programs::find("setpriv")?)?;
            command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--no-new-privs"]);
            command.args(["--bounding-set", "-all", "--inh-caps", "-all"]).arg(binary);
            command
        }
    };
    command.arg("run").arg("--config").arg(config).current_dir(directory);
    Process::start("mtls-filter", &mut command, &directory.join("mtls-filter.log"))
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

/// The zone of a host is what is left behind its first label.
fn zone_of(host: &str) -> &str {
    host.split_once('.').map_or(host, |(_, zone)| zone)
}

fn issued_id(certificate: &ClientCertificate) -> Result<&str> {
    certificate.id.as_deref().with_context(|| format!("{} was not issued by the filter", certificate.common_name))
}

fn rows(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().with_context(|| format!("not a list: {value}"))
}

fn id(value: &Value) -> Result<String> {
    text(value, "id")
}

fn text(value: &Value, key: &str) -> Result<String> {
    let found = value.get(key).and_then(Value::as_str);
    found.map(str::to_owned).with_context(|| format!("no `{key}` in {value}"))
}

/// An object of numbers, or of objects of numbers, flattened.
fn counters(value: Option<&Value>) -> Vec<(String, u64)> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect()
}
