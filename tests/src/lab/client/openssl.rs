//! Real `openssl s_client`.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::super::namespace::Namespace;
use super::super::patience::patience;
use super::super::pki::ClientCertificate;
use super::super::programs;
use super::Target;
use super::connection::Connection;
use super::response::{Reader, Response};

/// How long a peer may stay silent.
const SILENCE: Duration = Duration::from_secs(30);

/// A run of `openssl s_client`.
#[derive(Clone, Debug)]
pub struct Openssl<'a> {
    namespace: &'a Namespace,
    target: Target,
    arguments: Vec<String>,
}

/// One request on one connection of `openssl s_client`.
#[derive(Debug)]
pub struct Exchange {
    /// Whether openssl says that the session was reused.
    pub reused: bool,
    /// The answer.
    pub response: Response,
}

impl<'a> Openssl<'a> {
    pub(in super::super) fn new(namespace: &'a Namespace, host: &str, port: u16, authority: PathBuf) -> Self {
        Self { namespace, target: Target::new(host, port, authority), arguments: Vec::new() }
    }

    /// Shows this certificate when asked for one.
    #[must_use]
    pub fn certificate(mut self, certificate: &ClientCertificate) -> Self {
        self.target.certificate = Some(certificate.clone());
        self
    }

    /// Adds an option of `s_client`, such as `-tls1_2`.
    #[must_use]
    pub fn option(mut self, option: &str) -> Self {
        self.arguments.push(option.to_owned());
        self
    }

    /// Writes the session to a file, if the server gives one.
    #[must_use]
    pub fn save_session(self, file: &Path) -> Self {
        self.option("-sess_out").option(&file.to_string_lossy())
    }

    /// Offers the session of a file.
    #[must_use]
    pub fn offer_session(self, file: &Path) -> Self {
        self.option("-sess_in").option(&file.to_string_lossy())
    }

    /// Opens a connection and keeps it open; requests go through the program's standard input.
    ///
    /// # Errors
    /// If openssl cannot be started. A failed handshake shows when the first answer is read.
    pub fn open(&self) -> Result<Connection> {
        let mut child = self
            .command()?
            .arg("-quiet")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("openssl s_client")?;
        let input = child.stdin.take().context("standard input of openssl")?;
        let output = child.stdout.take().context("standard output of openssl")?;
        let transport = SClient { child, input, output: Output::of(output) };
        Ok(Connection::new(transport, self.target.authority_name(), false))
    }

    /// Asks for `path` on a connection of its own, closed after the answer.
    ///
    /// # Errors
    /// If there is no answer; the text carries what openssl printed.
    pub fn exchange(&self, path: &str) -> Result<Exchange> {
        let host = self.target.authority_name();
        let mut command = self.command()?;
        command.args(["-ign_eof", "-nocommands"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("openssl s_client")?;
        let mut input = child.stdin.take().context("standard input of openssl")?;
        write!(input, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        let output = child.wait_with_output()?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let reused = printed.lines().any(|line| line.starts_with("Reused, "));
        let answer = printed.find("HTTP/1.1 ").and_then(|start| output.stdout.get(start..)).with_context(|| {
            format!("no answer; openssl printed:\n{printed}{}", String::from_utf8_lossy(&output.stderr))
        })?;
        let response = Reader::default().response(&mut &*answer, false)?;
        Ok(Exchange { reused, response })
    }

    fn command(&self) -> Result<Command> {
        let mut command = self.namespace.command(programs::find("openssl")?)?;
        command.arg("s_client").arg("-connect").arg(self.target.socket().to_string());
        command.args(["-servername", &self.target.host, "-verify_hostname", &self.target.host]);
        command.arg("-verify_return_error").arg("-CAfile").arg(&self.target.authority);
        if let Some(certificate) = &self.target.certificate {
            command.arg("-cert").arg(&certificate.certificate).arg("-key").arg(&certificate.key);
        }
        command.args(&self.arguments);
        Ok(command)
    }
}

/// The program with a pipe to either side.
struct SClient {
    child: Child,
    input: ChildStdin,
    output: Output,
}

impl Read for SClient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.output.read(buffer)
    }
}

impl Write for SClient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.input.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.flush()
    }
}

impl Drop for SClient {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pipe that can be read with a time limit: a thread reads it.
struct Output {
    chunks: Receiver<Vec<u8>>,
    current: io::Cursor<Vec<u8>>,
}

impl Output {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let (sender, chunks) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                if sender.send(buffer.iter().take(read).copied().collect()).is_err() {
                    return;
                }
            }
        });
        Self { chunks, current: io::Cursor::default() }
    }
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.current.read(buffer)? {
                0 => match self.chunks.recv_timeout(patience(SILENCE)) {
                    Ok(chunk) => self.current = io::Cursor::new(chunk),
                    Err(RecvTimeoutError::Timeout) => return Err(io::ErrorKind::TimedOut.into()),
                    Err(RecvTimeoutError::Disconnected) => return Ok(0),
                },
                read => return Ok(read),
            }
        }
    }
}
