//! Server-sent events, as the daemon sends them.

use anyhow::anyhow;
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
    buffer: BytesMut,
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
        Self { body, buffer: BytesMut::new(), _sender: sender, _connection: connection }
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
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end);
                self.buffer.advance(1);
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            if self.buffer.len() > MAX_LINE {
                return Err(anyhow!("the daemon sends a line of more than {MAX_LINE} bytes"));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(anyhow!("the daemon closed the connection: {error}")),
                None => return Ok(None),
            }
        }
    }
}
