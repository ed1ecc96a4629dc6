//! Real `curl`.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use serde_json::Value;

use super::super::namespace::Namespace;
use super::super::patience::patience;
use super::super::pki::ClientCertificate;
use super::super::programs;
use super::response::Response;
use super::{Outcome, Target};

/// Longest time for one run of curl.
const MAX_TIME: Duration = Duration::from_secs(120);
/// How long the head of a first response may take.
const FIRST_ANSWER: Duration = Duration::from_secs(30);

/// A run of curl.
#[derive(Clone, Debug)]
pub struct Curl<'a> {
    namespace: &'a Namespace,
    scratch: PathBuf,
    target: Target,
    path: String,
    arguments: Vec<String>,
}

/// What curl saw.
#[derive(Clone, Debug)]
pub struct CurlAnswer {
    /// How it ended.
    pub outcome: Outcome,
    /// The response, if there was one.
    pub response: Option<Response>,
    /// Connections that curl opened for it: 0 if it went over one that was open.
    pub connects: u64,
    /// File of the response's body.
    pub body_file: PathBuf,
}

impl CurlAnswer {
    /// The status, or an error that tells what happened in its place.
    ///
    /// # Errors
    /// If there was no response.
    pub fn status(&self) -> Result<u16> {
        match &self.outcome {
            Outcome::Status(status) => Ok(*status),
            other => bail!("curl got no response: {other}"),
        }
    }

    /// The response.
    ///
    /// # Errors
    /// If there was none.
    pub fn response(&self) -> Result<&Response> {
        self.response.as_ref().with_context(|| format!("curl got no response: {}", self.outcome))
    }
}

impl<'a> Curl<'a> {
    pub(in super::super) fn new(
        namespace: &'a Namespace,
        scratch: PathBuf,
        host: &str,
        port: u16,
        authority: PathBuf,
    ) -> Self {
        let target = Target::new(host, port, authority);
        Self { namespace, scratch, target, path: "/".to_owned(), arguments: Vec::new() }
    }

    /// Shows this certificate when asked for one.
    #[must_use]
    pub fn certificate(mut self, certificate: &ClientCertificate) -> Self {
        self.target.certificate = Some(certificate.clone());
        self
    }

    /// Asks for this path; it is `/` otherwise.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Connects to this address of the edge; it is the IPv4 one otherwise.
    #[must_use]
    pub fn address(mut self, address: impl Into<IpAddr>) -> Self {
        self.target.address = address.into();
        self
    }

    /// Gives up if there is no connection after this time.
    #[must_use]
    pub fn connect_timeout(self, time: Duration) -> Self {
        self.option("--connect-timeout").option(&patience(time).as_secs().to_string())
    }

    /// Sends this header field (`Name: value`).
    #[must_use]
    pub fn header(self, header: &str) -> Self {
        self.option("--header").option(header)
    }

    /// Adds an option of curl.
    #[must_use]
    pub fn option(mut self, option: &str) -> Self {
        self.arguments.push(option.to_owned());
        self
    }

    /// Runs curl.
    ///
    /// # Errors
    /// If curl cannot be run. That a request fails is an outcome, not an error.
    pub fn run(&self) -> Result<CurlAnswer> {
        let files = Files::create(&self.scratch)?;
        let mut command = self.command()?;
        self.request(&mut command, &files);
        let output = programs::output(&mut command)?;
        files.answer(String::from_utf8_lossy(&output.stdout).lines().next())
    }

    /// Asks `count` times, `at_a_time` at a time, each time over a connection of its own. Returns what came of each.
    ///
    /// # Errors
    /// If curl cannot be run, or does not say what came of each.
    pub fn many(&self, count: usize, at_a_time: usize) -> Result<Vec<Outcome>> {
        let files = Files { head: PathBuf::from("/dev/null"), body: PathBuf::from("/dev/null") };
        let mut command = self.command()?;
        command.args(["--parallel", "--parallel-immediate", "--parallel-max", &at_a_time.to_string()]);
        let each = self.clone().header("Connection: close").path(&format!("{}?[1-{count}]", self.path));
        each.request(&mut command, &files);
        let output = programs::output(&mut command)?;
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let outcomes: Vec<Outcome> = lines.lines().map(outcome_of_report).collect::<Result<_>>()?;
        if outcomes.len() != count {
            bail!("curl reported {} of {count} requests: {}", outcomes.len(), String::from_utf8_lossy(&output.stderr));
        }
        Ok(outcomes)
    }

    /// Starts curl and lets it run.
    ///
    /// # Errors
    /// If curl cannot be started.
    pub fn begin(&self) -> Result<Running> {
        let files = Files::create(&self.scratch)?;
        let mut command = self.command()?;
        self.request(&mut command, &files);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("curl")?;
        Ok(Running { child, files })
    }

    /// Sends two requests over one connection, and calls `between` when the first is answered and the second not yet sent.
    ///
    /// curl cannot be told to pause. But it writes the first body to a named pipe, and to open one for writing blocks until
    /// somebody reads it: so it waits, with its connection open, until this function opens the other end.
    ///
    /// # Errors
    /// If curl cannot be run, the first answer does not come, or `between` fails.
    pub fn two_requests(&self, between: impl FnOnce() -> Result<()>) -> Result<[CurlAnswer; 2]> {
        let (first, second) = (Files::create(&self.scratch)?, Files::create(&self.scratch)?);
        let pipe = first.body.with_extension("pipe");
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU)?;
        let mut command = self.command()?;
        self.request(&mut command, &Files { body: pipe.clone(), head: first.head.clone() });
        command.arg("--next").args(["--silent", "--show-error"]);
        self.request(&mut command, &second);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("curl")?;
        let answered = first.wait_for_head().and_then(|()| between());
        // Whatever happened, let curl go on and end.
        fs::write(&first.body, fs::read(&pipe)?)?;
        let output = child.wait_with_output()?;
        answered?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let mut lines = printed.lines();
        Ok([first.answer(lines.next())?, second.answer(lines.next())?])
    }

    fn command(&self) -> Result<Command> {
        let mut command = self.namespace.command(programs::find("curl")?)?;
        // -q: whatever the user's .curlrc says is not part of the scenario.
        command.args(["-q", "--silent", "--show-error"]).env_remove("https_proxy").env_remove("ALL_PROXY");
        Ok(command)
    }

    /// Options of one request; `--next` forgets those of the request before.
    fn request(&self, command: &mut Command, files: &Files) {
        let Target { host, address, port, authority, certificate } = &self.target;
        let address = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
        let max_time = patience(MAX_TIME).as_secs().to_string();
        command.args(["--resolve", &format!("{host}:{port}:{address}"), "--max-time", &max_time, "--http1.1"]);
        command.arg("--cacert").arg(authority);
        if let Some(certificate) = certificate {
            command.arg("--cert").arg(&certificate.certificate).arg("--key").arg(&certificate.key);
        }
        command.arg("--dump-header").arg(&files.head).arg("--output").arg(&files.body);
        command.args(["--write-out", "%{json}\\n"]).args(&self.arguments);
        command.arg(format!("https://{host}:{port}{}", self.path));
    }
}

/// A run of curl that has begun.
#[derive(Debug)]
pub struct Running {
    child: Child,
    files: Files,
}

impl Running {
    /// How much of the body has arrived.
    ///
    /// # Errors
    /// If the file it goes to cannot be looked at.
    pub fn received(&self) -> Result<u64> {
        match fs::metadata(&self.files.body) {
            Ok(file) => Ok(file.len()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error).context("the body that curl writes"),
        }
    }

    /// Stops it where it is, until it is to [go on](Self::resume).
    ///
    /// # Errors
    /// If it cannot be signalled.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// If it cannot be signalled.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), signal).context("curl cannot be signalled")
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If curl cannot be waited for. That a request fails is an outcome, not an error.
    pub fn finish(self) -> Result<CurlAnswer> {
        let output = self.child.wait_with_output()?;
        self.files.answer(String::from_utf8_lossy(&output.stdout).lines().next())
    }
}

/// What one line of curl's JSON says of a request that had a connection of its own.
fn outcome_of_report(line: &str) -> Result<Outcome> {
    let report: Value = serde_json::from_str(line).context("curl's report")?;
    let number = |name: &str| report.get(name).and_then(Value::as_i64).unwrap_or_default();
    if number("exitcode") != 0 {
        let message = report.get("errormsg").and_then(Value::as_str).unwrap_or_default();
        return Ok(Outcome::of_curl(number("exitcode"), message));
    }
    if number("num_connects") != 1 {
        return Ok(Outcome::Other("over a connection that was open already".to_owned()));
    }
    Ok(Outcome::Status(u16::try_from(number("response_code"))?))
}

/// Where one request's answer goes.
#[derive(Debug)]
struct Files {
    head: PathBuf,
    body: PathBuf,
}

impl Files {
    fn create(scratch: &Path) -> Result<Self> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("curl-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Ok(Self { head: scratch.join(format!("{name}.head")), body: scratch.join(format!("{name}.body")) })
    }

    fn wait_for_head(&self) -> Result<()> {
        let deadline = Instant::now() + patience(FIRST_ANSWER);
        while !fs::read_to_string(&self.head).is_ok_and(|head| head.ends_with("\r\n\r\n")) {
            if Instant::now() > deadline {
                bail!("curl's first request was not answered in {:?}", patience(FIRST_ANSWER));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Puts together what curl wrote; `report` is the line of JSON it printed at the end.
    fn answer(&self, report: Option<&str>) -> Result<CurlAnswer> {
        let report: Value = serde_json::from_str(report.context("curl printed no report")?).context("curl's report")?;
        let number = |name: &str| report.get(name).and_then(Value::as_i64).unwrap_or_default();
        let connects = u64::try_from(number("num_connects")).unwrap_or_default();
        let body_file = self.body.clone();
        let exit_code = number("exitcode");
        if exit_code != 0 && number("response_code") == 0 {
            let message = report.get("errormsg").and_then(Value::as_str).unwrap_or_default();
            return Ok(CurlAnswer {
                outcome: Outcome::of_curl(exit_code, message),
                response: None,
                connects,
                body_file,
            });
        }
        let heads = String::from_utf8_lossy(&fs::read(&self.head)?).into_owned();
        // There may be a `100 Continue` before the head of the response.
        let head = heads.trim_end().rsplit("\r\n\r\n").next().unwrap_or_default();
        let mut response = Response::parse_head(head)?;
        response.body = fs::read(&self.body).unwrap_or_default();
        Ok(CurlAnswer { outcome: Outcome::Status(response.status), response: Some(response), connects, body_file })
    }
}
