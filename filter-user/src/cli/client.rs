//! HTTP to the daemon over its unix socket.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::follow::Following;
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
    #[serde(default)]
    result_info: Option<ResultInfo>,
}

/// Where a part of a list ends.
#[derive(serde::Deserialize)]
struct ResultInfo {
    #[serde(default)]
    cursors: Option<Cursors>,
}

#[derive(serde::Deserialize)]
struct Cursors {
    after: String,
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

    /// A part of a list, and where the next one begins if there is one.
    pub(super) async fn part<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<(T, Option<String>)> {
        let answer = self.answer(Method::GET, path, None::<&()>).await?;
        let after = answer.result_info.and_then(|info| info.cursors).map(|cursors| cursors.after);
        Ok((result(answer.result)?, after))
    }

    /// Messages that come until one side ends it.
    pub(super) async fn follow(&self, path: &str) -> anyhow::Result<Following> {
        let (mut sender, connection) = self.connect().await?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(self.request_of(Method::GET, path, Vec::new())?).await?;
        if !response.status().is_success() {
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|error| anyhow!("the answer broke off: {error}"))?;
            self.parsed(&body.to_bytes())?;
            bail!("the daemon sends no events");
        }
        Ok(Following::new(response.into_body(), sender, connection))
    }

    async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<T> {
        result(self.answer(method, path, body).await?.result)
    }

    /// The answer to a call that did what it was asked.
    async fn answer(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> anyhow::Result<Answer> {
        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let answer = self.send(self.request_of(method, path, body)?).await?;
        self.parsed(&answer)
    }

    fn request_of(&self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Request<Full<Bytes>>> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "control")
            .header(header::CONTENT_TYPE, "application/json");
        Ok(request.body(Full::new(Bytes::from(body)))?)
    }

    fn parsed(&self, answer: &[u8]) -> anyhow::Result<Answer> {
        let answer: Answer = serde_json::from_slice(answer)
            .with_context(|| format!("{} answers something else than this program's API", self.socket.display()))?;
        if !answer.success {
            let messages: Vec<_> = answer.errors.into_iter().map(|error| error.message).collect();
            bail!("{}", messages.join("; "));
        }
        Ok(answer)
    }

    async fn connect(&self) -> anyhow::Result<(SendRequest<Full<Bytes>>, Connection)> {
        let stream = UnixStream::connect(&self.socket).await.with_context(|| {
            format!("cannot reach the daemon at {}: is it running, and may you use it?", self.socket.display())
        })?;
        Ok(handshake(TokioIo::new(stream)).await?)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Bytes> {
        let (mut sender, connection) = self.connect().await?;
        let exchange = async {
            let response: Response<Incoming> = sender.send_request(request).await?;
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

type Connection = hyper::client::conn::http1::Connection<TokioIo<UnixStream>, Full<Bytes>>;

fn result<T: DeserializeOwned>(result: serde_json::Value) -> anyhow::Result<T> {
    serde_json::from_value(result).context("the daemon's answer is not of the expected form")
}
