//! The state as a whole.

use std::io::{self, Write};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use http_body_util::channel::{Channel, Sender};

use super::super::caller::Caller;
use super::super::error::ApiError;
use crate::control::Control;
use crate::model::Scope;
use crate::store::{Revision, export};

/// Bytes that are sent at once.
const CHUNK: usize = 64 * 1024;

/// Chunks that wait for a slow reader.
const WAITING: usize = 4;

/// Writes out the state as JSON lines; private keys stay sealed. The last line says how many records there are.
#[utoipa::path(get, path = "/api/v1/store/export", tag = "daemon",
    responses((status = 200, content_type = "application/x-ndjson", body = String)))]
pub(super) async fn show(State(control): State<Arc<Control>>, caller: Caller) -> Result<Response, ApiError> {
    caller.everywhere(Scope::Admin)?;
    let (state, generation) = control.state().await;
    let (sender, body) = Channel::<Bytes, io::Error>::new(WAITING);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut writer = Chunks { sender, runtime, buffer: Vec::with_capacity(CHUNK) };
        if let Err(error) = export(Revision::new(generation), &state, &mut writer) {
            // The reader has gone; what it has lacks the last line, so it is no backup.
            tracing::warn!(%error, "an export was not read to its end");
        }
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::new(body)).into_response())
}

/// Sends what is written, a chunk at a time.
struct Chunks {
    sender: Sender<Bytes, io::Error>,
    runtime: tokio::runtime::Handle,
    buffer: Vec<u8>,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK)));
        self.runtime.block_on(self.sender.send_data(chunk)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
