//! The command line, as an operator uses it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::super::config::{control_socket, store};
use super::super::namespace::Namespace;
use super::super::patience::patience;
use super::super::pki::{self, ClientCertificate, Issued};
use super::super::process::Process;
use super::super::programs;
use super::{Filter, Status};

/// How long an event may take to be seen.
const EVENTS_PATIENCE: Duration = Duration::from_secs(10);

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

impl CommandOutcome {
    pub(in super::super) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A row of `cert list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRow {
    /// Its id.
    pub id: String,
    /// `active` or `revoked`.
    pub status: String,
}

impl Filter {
    /// Runs `mtls-filter` with `arguments`, whatever comes of it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn attempt(&self, arguments: &[&str]) -> Result<CommandOutcome> {
        let output = programs::output(&mut command_line(&self.binary, &self.directory, arguments))?;
        Ok(CommandOutcome::of(&output))
    }

    /// Runs `mtls-filter` with `arguments` and returns what it printed.
    ///
    /// # Errors
    /// If it fails; the text carries what it said.
    pub fn command(&self, arguments: &[&str]) -> Result<String> {
        programs::run(&mut command_line(&self.binary, &self.directory, arguments))
    }

    /// Starts a command that goes on, beside the scenario; what it prints goes to `log`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn beside(&self, arguments: &[&str], log: &Path) -> Result<Process> {
        Process::start("mtls-filter", &mut command_line(&self.binary, &self.directory, arguments), log)
    }

    /// The newest events, oldest first, once there are `count` of them: the filter does not wait for them to be taken.
    ///
    /// # Errors
    /// If so many do not come.
    pub fn events(&self, count: usize, arguments: &[&str]) -> Result<Vec<Value>> {
        let deadline = Instant::now() + patience(EVENTS_PATIENCE);
        loop {
            let events = rows(&self.json(&[&["events"], arguments].concat())?)?.clone();
            if events.len() == count {
                return Ok(events);
            }
            if Instant::now() > deadline {
                bail!("there are {} events instead of {count}: {events:?}", events.len());
            }
        }
    }

    /// Runs `mtls-filter` with `arguments` at a terminal where somebody types a line. Returns what the terminal shows.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn at_a_terminal(&self, arguments: &[&str], typed: &str) -> Result<String> {
        let line: Vec<_> = arguments.iter().map(|argument| format!("'{argument}'")).collect();
        let line = format!("'{}' {}", self.binary.display(), line.join(" "));
        let mut script = command_line(&programs::find("script")?, &self.directory, &["--quiet", "--command", &line]);
        let mut script = script.arg("/dev/null").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut keyboard = script.stdin.take().context("its input")?;
        writeln!(keyboard, "{typed}")?;
        // The terminal hangs up when its keyboard is gone: it stays until the end.
        let shown = std::io::read_to_string(script.stdout.take().context("its output")?)?;
        script.wait()?;
        Ok(shown)
    }

    /// Runs `mtls-filter` with `arguments` and `--json`, and returns what it printed.
    ///
    /// # Errors
    /// If it fails, or prints no JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
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
        self.command(&["rule", "delete", rule, "--yes"]).map(drop)
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
        self.client_certificate_of("example.com", common_name)
    }

    /// Issues one in any zone.
    ///
    /// # Errors
    /// If the command fails.
    pub fn client_certificate_of(&self, zone: &str, common_name: &str) -> Result<ClientCertificate> {
        let out = self.directory.join(format!("clients-{zone}"));
        let out_text = out.to_string_lossy();
        let create = ["cert", "create", "--zone", zone, "--common-name", common_name, "--out", &out_text];
        Ok(ClientCertificate {
            issued: Some(Issued { zone: zone.to_owned(), id: id(&self.json(&create)?)? }),
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
        let issued = Some(Issued { zone: zone.to_owned(), id: id(&created)? });
        Ok(ClientCertificate { issued, common_name: common_name.to_owned(), certificate, key })
    }

    /// Issues one in `example.com` that expires, or has expired, at a moment of choice.
    ///
    /// The filter issues for whole days, so the lab takes the authority out of the store, as anyone with the master key can. The store
    /// has one owner at a time: the filter is stopped for it and started again in `edge`.
    ///
    /// # Errors
    /// If the store cannot be read, or the filter does not come up again.
    pub fn certificate_expiring_at(
        &mut self,
        edge: &Namespace,
        common_name: &str,
        expires: SystemTime,
    ) -> Result<ClientCertificate> {
        self.kill()?;
        let store = store(&self.directory);
        let certificate = pki::issue_by_zone(&store, &self.directory, "example.com", common_name, expires)?;
        self.start_again(edge)?;
        Ok(certificate)
    }

    /// Revokes a certificate.
    ///
    /// # Errors
    /// If the command fails, or the filter has not issued the certificate.
    pub fn revoke(&self, certificate: &ClientCertificate) -> Result<()> {
        let Issued { zone, id } = issued(certificate)?;
        self.command(&["cert", "revoke", id, "--zone", zone]).map(drop)
    }

    /// Takes a revocation back.
    ///
    /// # Errors
    /// If the command fails, or the filter has not issued the certificate.
    pub fn reactivate(&self, certificate: &ClientCertificate) -> Result<()> {
        let Issued { zone, id } = issued(certificate)?;
        self.command(&["cert", "reactivate", id, "--zone", zone]).map(drop)
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

    /// The connections that are passed on unopened.
    ///
    /// # Errors
    /// If the command fails.
    pub fn flows(&self) -> Result<Vec<Value>> {
        rows(&self.json(&["flows"])?).cloned()
    }

    /// What `status` says.
    ///
    /// # Errors
    /// If the command fails.
    pub fn status(&self) -> Result<Status> {
        self.json(&["status"]).map(Status)
    }
}

/// A command line that speaks to the daemon whose files are in `directory`.
pub(super) fn command_line(binary: &Path, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).env("MTLS_FILTER_SOCKET", control_socket(directory)).current_dir(directory);
    command
}

/// The zone of a host is what is left behind its first label.
fn zone_of(host: &str) -> &str {
    host.split_once('.').map_or(host, |(_, zone)| zone)
}

fn issued(certificate: &ClientCertificate) -> Result<&Issued> {
    certificate.issued.as_ref().with_context(|| format!("{} was not issued by the filter", certificate.common_name))
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
