//! HTTP to the daemon over its unix socket.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::follow::Following;
use crate::control::api::dto::{Account, ErrorInfo, Zone};

/// Most bytes of an answer that are read.
const MAX_ANSWER: usize = 256 * 1024 * 1024;

/// What stands for itself in a part of a path (RFC 3986 §2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A part of a path, whatever an operator has typed.
pub(super) fn segment(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, UNRESERVED)
}

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
        let zones = self.zones().await?;
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

    /// All zones.
    pub(super) async fn zones(&self) -> anyhow::Result<Vec<Zone>> {
        self.get("/api/v1/zones").await
    }

    /// The id of the account.
    pub(super) async fn account(&self) -> anyhow::Result<String> {
        let accounts: Vec<Account> = self.get("/client/v4/accounts").await?;
        accounts.into_iter().next().map(|account| account.id).context("the daemon has no account")
    }

    /// Everything of a list that is asked for page by page; `path` has a query already.
    pub(super) async fn all_pages<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Vec<T>> {
        let mut all = Vec::new();
        for page in 1_u32.. {
            let found: Vec<T> = self.get(&format!("{path}&page={page}")).await?;
            if found.is_empty() {
                break;
            }
            all.extend(found);
        }
        Ok(all)
    }

    /// Everything of a list whose parts lead to each other; `path` has a query already.
    pub(super) async fn all_parts<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Vec<T>> {
        let (mut all, mut after): (Vec<T>, _) = self.part(path).await?;
        while let Some(cursor) = after {
            let (more, next): (Vec<T>, _) = self.part(&format!("{path}&cursor={}", segment(&cursor))).await?;
            all.extend(more);
            after = next;
        }
        Ok(all)
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.request(Method::GET, path, None::<&()>).await
    }

    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.request(Method::POST, path, Some(body)).await
    }

    pub(super) async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.request(Method::PUT, path, Some(body)).await
    }

    pub(super) async fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.request(Method::PATCH, path, Some(body)).await
    }

    pub(super) async fn delete<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.request(Method::DELETE, path, None::<&()>).await
    }

    /// A deletion that says what.
    pub(super) async fn delete_what<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.request(Method::DELETE, path, Some(body)).await
    }

    /// Sends something that is not JSON.
    pub(super) async fn upload<T: DeserializeOwned>(&self, path: &str, bytes: Vec<u8>) -> anyhow::Result<T> {
        let mut request = self.request_of(Method::POST, path, bytes)?;
        let any = HeaderValue::from_static("application/octet-stream");
        request.headers_mut().insert(header::CONTENT_TYPE, any);
        let (_, answer) = self.send(request).await?;
        result(self.parsed(&answer)?.result)
    }

    /// What is no JSON, as it is.
    pub(super) async fn download(&self, path: &str) -> anyhow::Result<Bytes> {
        let (status, bytes) = self.send(self.request_of(Method::GET, path, Vec::new())?).await?;
        if !status.is_success() {
            self.parsed(&bytes)?;
            bail!("the daemon answers {status}");
        }
        Ok(bytes)
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
        let (_, answer) = self.send(self.request_of(method, path, body)?).await?;
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
            bail!("{}", refusal(answer.errors));
        }
        Ok(answer)
    }

    async fn connect(&self) -> anyhow::Result<(SendRequest<Full<Bytes>>, Connection)> {
        let stream = UnixStream::connect(&self.socket).await.with_context(|| {
            format!("cannot reach the daemon at {}: is it running, and may you use it?", self.socket.display())
        })?;
        Ok(handshake(TokioIo::new(stream)).await?)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, Bytes)> {
        let (mut sender, connection) = self.connect().await?;
        let exchange = async {
            let response: Response<Incoming> = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|error| anyhow!("the answer broke off: {error}"))?;
            Ok((status, body.to_bytes()))
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
    serde_json::from_value(result)
        .context("the daemon's answer is not of the expected form: is it of another version than this command?")
}

/// What a refusal says, in one line, but for expressions that are shown with the place of the mistake below.
fn refusal(errors: Vec<ErrorInfo>) -> String {
    let line = |message: &str| message.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = |error: ErrorInfo| {
        let points = error.source.and_then(|source| source.span).is_some() && error.message.contains('^');
        if points { error.message.trim_end().to_owned() } else { line(&error.message) }
    };
    errors.into_iter().map(shown).collect::<Vec<_>>().join("; ")
}
