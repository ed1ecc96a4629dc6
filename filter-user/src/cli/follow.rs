//! Server-sent events, as the daemon sends them.

use anyhow::{anyhow, bail};
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use tokio::task::JoinHandle;

/// Most bytes of a line.
const MAX_LINE: usize = 4 * 1024 * 1024;

/// Messages that come until one side ends it.
pub(super) struct Following {
    body: Incoming,
    lines: Lines,
    /// Both keep the connection.
    _sender: SendRequest<Full<Bytes>>,
    _connection: JoinHandle<hyper::Result<()>>,
}

/// One message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Its name; none for the usual ones.
    pub(super) event: Option<String>,
    /// Its content.
    pub(super) data: String,
}

impl Following {
    pub(super) fn new(
        body: Incoming,
        sender: SendRequest<Full<Bytes>>,
        connection: JoinHandle<hyper::Result<()>>,
    ) -> Self {
        Self { body, lines: Lines::default(), _sender: sender, _connection: connection }
    }

    /// The next message; `None` when the daemon has ended it.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Message>> {
        let mut message = Message::default();
        while let Some(line) = self.line().await? {
            if line.is_empty() {
                let whole = std::mem::take(&mut message);
                if whole != Message::default() {
                    return Ok(Some(whole));
                }
            } else if let Some(data) = line.strip_prefix("data: ") {
                message.data.push_str(data);
            } else if let Some(event) = line.strip_prefix("event: ") {
                message.event = Some(event.to_owned());
            }
        }
        Ok(None)
    }

    async fn line(&mut self) -> anyhow::Result<Option<String>> {
        loop {
            if let Some(line) = self.lines.take()? {
                return Ok(Some(line));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.lines.push(&data);
                    }
                }
                Some(Err(error)) => return Err(anyhow!("the daemon closed the connection: {error}")),
                None => return Ok(None),
            }
        }
    }
}

/// Lines, out of bytes that come in pieces.
#[derive(Debug, Default)]
struct Lines {
    buffer: BytesMut,
    /// Bytes at its beginning in which no line ends.
    searched: usize,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next line, if all of it is there.
    fn take(&mut self) -> anyhow::Result<Option<String>> {
        let found = self.buffer.iter().skip(self.searched).position(|byte| *byte == b'\n');
        let end = found.map(|found| found.saturating_add(self.searched));
        if end.unwrap_or(self.buffer.len()) > MAX_LINE {
            bail!("the daemon sends a line of more than {MAX_LINE} bytes");
        }
        let Some(end) = end else {
            self.searched = self.buffer.len();
            return Ok(None);
        };
        let line = self.buffer.split_to(end);
        self.buffer.advance(1);
        self.searched = 0;
        Ok(Some(String::from_utf8_lossy(&line).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_out_of_any_pieces() {
        let text = b"event: lost\n\ndata: {}\nunfinished";
        for size in 1..text.len() {
            let (mut lines, mut taken) = (Lines::default(), Vec::new());
            for piece in text.chunks(size) {
                lines.push(piece);
                taken.extend(std::iter::from_fn(|| lines.take().unwrap()));
            }
            assert_eq!(taken, ["event: lost", "", "data: {}"], "in pieces of {size}");
        }
    }

    #[test]
    fn a_line_is_taken_at_its_limit_and_refused_one_byte_past_it() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; MAX_LINE]);
        assert_eq!(lines.take().unwrap(), None, "its end may come yet");
        lines.push(b"\n");
        assert_eq!(lines.take().unwrap().unwrap().len(), MAX_LINE);
        for end in ["", "\n"] {
            let mut lines = Lines::default();
            lines.push(&vec![b'x'; MAX_LINE + 1]);
            lines.push(end.as_bytes());
            assert!(lines.take().unwrap_err().to_string().contains("more than 4194304 bytes"), "{end:?}");
        }
    }
}
