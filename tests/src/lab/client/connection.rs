//! An open TLS connection to the filter, on which requests are sent one by one.

use std::fmt;
use std::io::{Read, Write};

use anyhow::{Context, Result};

use super::response::{Reader, Response};

/// A TLS connection, whichever program speaks it.
pub(super) trait Transport: Read + Write + Send {}

impl<T: Read + Write + Send> Transport for T {}

/// An open connection.
pub struct Connection {
    transport: Box<dyn Transport>,
    reader: Reader,
    host: String,
    resumed: bool,
}

impl Connection {
    pub(super) fn new(transport: impl Transport + 'static, host: String, resumed: bool) -> Self {
        Self { transport: Box::new(transport), reader: Reader::default(), host, resumed }
    }

    /// Asks for `path` and reads the answer.
    ///
    /// # Errors
    /// If the connection ends or does not answer.
    pub fn get(&mut self, path: &str) -> Result<Response> {
        self.request("GET", path, &[])
    }

    /// Sends a request without a body, with `headers` (`Name: value`) behind the Host header, and reads the answer.
    ///
    /// # Errors
    /// If the connection ends or does not answer.
    pub fn request(&mut self, method: &str, path: &str, headers: &[&str]) -> Result<Response> {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.host);
        self.send(head.as_bytes())?;
        self.reader.response(&mut self.transport, method == "HEAD")
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// If the connection has ended.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.transport.write_all(bytes).and_then(|()| self.transport.flush()).context("sending")
    }

    /// Reads the next response.
    ///
    /// # Errors
    /// If the connection ends or stays silent.
    pub fn response(&mut self) -> Result<Response> {
        self.reader.response(&mut self.transport, false)
    }

    /// Whether the handshake resumed an earlier session; of openssl's connections only [`super::Exchange`] knows.
    #[must_use]
    pub fn resumed(&self) -> bool {
        self.resumed
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Connection").field("host", &self.host).finish_non_exhaustive()
    }
}
