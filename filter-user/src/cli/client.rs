//! HTTP to the daemon over its unix socket.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::control::api::dto::{ErrorInfo, Zone};

/// Most bytes of an answer that are read.
const MAX_ANSWER: usize = 256 * 1024 * 1024;

/// A daemon that is asked over its control socket.
pub(super) struct Client {
    socket: PathBuf,
}

/// The envelope of every answer.
#[derive(serde::Deserialize)]
struct Answer {
    success: bool,
    #[serde(default)]
    errors: Vec<ErrorInfo>,
    #[serde(default)]
    result: serde_json::Value,
}

impl Client {
    pub(super) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// The id of the zone that the operator named; of the only one, if none was named.
    pub(super) async fn zone(&self, named: Option<&str>) -> anyhow::Result<String> {
        let zones: Vec<Zone> = self.get("/api/v1/zones").await?;
        let names = || zones.iter().map(|zone| zone.name.as_str()).collect::<Vec<_>>().join(", ");
        match (named, zones.as_slice()) {
            (Some(named), zones) => zones
                .iter()
                .find(|zone| zone.name == named || zone.id == named)
                .map(|zone| zone.id.clone())
                .ok_or_else(|| anyhow!("there is no zone {named}; there is {}", names())),
            (None, [zone]) => Ok(zone.id.clone()),
            (None, _) => bail!("say which zone with --zone: there is {}", names()),
        }
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.request(Method::GET, path, None::<&()>).await
    }

    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.request(Method::POST, path, Some(body)).await
    }

    pub(super) async fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.request(Method::PATCH, path, Some(body)).await
    }

    pub(super) async fn delete<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.request(Method::DELETE, path, None::<&()>).await
    }

    pub(super) async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.request(Method::PUT, path, Some(body)).await
    }

    /// Sends something that is not JSON.
    pub(super) async fn upload<T: DeserializeOwned>(&self, path: &str, bytes: Vec<u8>) -> anyhow::Result<T> {
        self.result(Method::POST, path, "application/octet-stream", bytes).await
    }

    /// Gets something that is not JSON.
    pub(super) async fn download(&self, path: &str) -> anyhow::Result<Bytes> {
        let request = Request::get(path).header(header::HOST, "control").body(Full::default())?;
        let (status, answer) = self.send(request).await?;
        if status.is_success() {
            return Ok(answer);
        }
        self.read::<serde_json::Value>(&answer)?;
        bail!("the daemon answered {status}")
    }

    async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<T> {
        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        self.result(method, path, "application/json", body).await
    }

    async fn result<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<T> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "control")
            .header(header::CONTENT_TYPE, content_type)
            .body(Full::new(Bytes::from(body)))?;
        let (_, answer) = self.send(request).await?;
        self.read(&answer)
    }

    /// The result in an answer of the API, or the reason why there is none.
    fn read<T: DeserializeOwned>(&self, answer: &[u8]) -> anyhow::Result<T> {
        let answer: Answer = serde_json::from_slice(answer)
            .with_context(|| format!("{} answers something else than this program's API", self.socket.display()))?;
        if !answer.success {
            let messages: Vec<_> = answer.errors.into_iter().map(|error| error.message).collect();
            bail!("{}", messages.join("; "));
        }
        serde_json::from_value(answer.result).context("the daemon's answer is not of the expected form")
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, Bytes)> {
        let stream = UnixStream::connect(&self.socket).await.with_context(|| {
            format!("cannot reach the daemon at {}: is it running, and may you use it?", self.socket.display())
        })?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            body.map(|body| (status, body.to_bytes())).map_err(|error| anyhow!("the answer broke off: {error}"))
        };
        tokio::select! {
            answer = exchange => answer,
            // The connection ends on its own only when the daemon closes it first.
            ended = connection => Err(anyhow!("the daemon closed the connection: {ended:?}")),
        }
    }
}
