//! Reads HTTP/1.1 responses off a connection, one after another.

use std::fmt;
use std::io::{self, Read};

use anyhow::{Context, Result, bail};

/// Characters of a body that are shown when a response is printed.
const DEBUG_BODY: usize = 400;

/// A response.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its header fields, in order.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header field.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Its body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Its body as JSON.
    ///
    /// # Errors
    /// If it is none.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }

    /// Whether the server means to close the connection.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Parses a head: a status line and header fields.
    pub(super) fn parse_head(head: &str) -> Result<Self> {
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap_or_default();
        let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)).and_then(|s| s.parse().ok());
        let Some(status) = status else { bail!("not the status line of a response: {line:?}") };
        let headers = lines
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Ok(Self { status, headers, body: Vec::new() })
    }
}

impl fmt::Debug for Response {
    /// The body as text, cut short: a failed assertion prints this.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.text().chars().take(DEBUG_BODY).collect();
        out.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("length", &self.body.len())
            .field("body", &text)
            .finish()
    }
}

/// What is left over after a response belongs to the next one.
#[derive(Debug, Default)]
pub(super) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    /// Reads one response. `to_head`: it answers a HEAD request, so no body follows.
    pub(super) fn response(&mut self, stream: &mut dyn Read, to_head: bool) -> Result<Response> {
        loop {
            let head = self.until(stream, b"\r\n\r\n").context("no complete response head")?;
            let mut response = Response::parse_head(&String::from_utf8_lossy(&head))?;
            if (100..200).contains(&response.status) {
                continue;
            }
            if !to_head && !matches!(response.status, 204 | 304) {
                response.body = self.body(stream, &response)?;
            }
            return Ok(response);
        }
    }

    fn body(&mut self, stream: &mut dyn Read, response: &Response) -> Result<Vec<u8>> {
        if response.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return self.chunks(stream);
        }
        if let Some(length) = response.header("content-length") {
            return self.exactly(stream, length.parse().context("content-length")?).context("body");
        }
        // Delimited by the end of the connection.
        let mut body = std::mem::take(&mut self.buffer);
        stream.read_to_end(&mut body)?;
        Ok(body)
    }

    fn chunks(&mut self, stream: &mut dyn Read) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.until(stream, b"\r\n").context("chunk size")?;
            let line = String::from_utf8_lossy(&line);
            let size = usize::from_str_radix(line.trim().split(';').next().unwrap_or_default(), 16)
                .with_context(|| format!("chunk size {line:?}"))?;
            if size == 0 {
                while self.until(stream, b"\r\n").context("trailers")? != b"\r\n" {}
                return Ok(body);
            }
            body.extend(self.exactly(stream, size).context("chunk")?);
            self.exactly(stream, 2).context("end of chunk")?;
        }
    }

    /// Everything up to and including `end`.
    fn until(&mut self, stream: &mut dyn Read, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return Ok(self.buffer.drain(..at + end.len()).collect());
            }
            self.fill(stream)?;
        }
    }

    fn exactly(&mut self, stream: &mut dyn Read, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill(stream)?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    fn fill(&mut self, stream: &mut dyn Read) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        match stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.buffer.extend(chunk.iter().take(read));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_of_every_framing_follow_each_other() {
        let mut wire: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab\
            HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nT: v\r\n\r\n\
            HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\nrest";
        let mut reader = Reader::default();
        let mut next = || reader.response(&mut wire, false).map(|response| (response.status, response.text()));
        for expected in [(200, "ab"), (403, "abcd"), (204, ""), (200, "rest")] {
            let (status, body) = next().unwrap();
            assert_eq!((status, body.as_str()), expected);
        }
        assert!(next().is_err());
    }

    #[test]
    fn a_response_cut_short_is_an_error() {
        for wire in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "SSH-2.0-x\r\n\r\n"] {
            assert!(Reader::default().response(&mut wire.as_bytes(), false).is_err(), "{wire:?}");
        }
    }
}
