//! HTTP to the daemon over its unix socket.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, header};
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

    async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<T> {
        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "control")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let answer = self.send(request).await?;
        let answer: Answer = serde_json::from_slice(&answer)
            .with_context(|| format!("{} answers something else than this program's API", self.socket.display()))?;
        if !answer.success {
            let messages: Vec<_> = answer.errors.into_iter().map(|error| error.message).collect();
            bail!("{}", messages.join("; "));
        }
        serde_json::from_value(answer.result).context("the daemon's answer is not of the expected form")
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Bytes> {
        let stream = UnixStream::connect(&self.socket).await.with_context(|| {
            format!("cannot reach the daemon at {}: is it running, and may you use it?", self.socket.display())
        })?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            body.map(http_body_util::Collected::to_bytes).map_err(|error| anyhow!("the answer broke off: {error}"))
        };
        tokio::select! {
            answer = exchange => answer,
            // The connection ends on its own only when the daemon closes it first.
            ended = connection => Err(anyhow!("the daemon closed the connection: {ended:?}")),
        }
    }
}
