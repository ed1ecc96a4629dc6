//! The way to the origins: permitted requests go out over keep-alive connections that belong to the worker.

mod pool;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(super) use self::pool::PooledBody;
use self::pool::{Pool, Pooled};
use super::limits::{CONNECT_TIMEOUT, RESPONSE_TIMEOUT};
use super::verdict::Permit;

/// Why an upstream gave no response.
#[derive(Debug, Error)]
pub(super) enum UpstreamError {
    /// No connection.
    #[error("cannot connect to the upstream {0}: {1}")]
    Unreachable(SocketAddr, io::Error),
    /// It broke off, or answered something that is not HTTP.
    #[error("the upstream {0} broke off: {1}")]
    Failed(SocketAddr, hyper::Error),
    /// It did not answer in time.
    #[error("the upstream {0} did not answer within {RESPONSE_TIMEOUT:?}")]
    TimedOut(SocketAddr),
}

/// The upstream connections of one worker.
#[derive(Debug, Default)]
pub(super) struct Upstreams {
    pool: Rc<Pool>,
}

impl Upstreams {
    /// Sends a permitted request to `address` and waits for the head of the response.
    ///
    /// An idle connection that turns out to be closed before a byte of the request was written is replaced by the next one, and in the
    /// end by a new one. After that nothing is tried again: a request may have been carried out.
    ///
    /// # Errors
    /// When the upstream gave no response.
    pub(super) async fn forward(
        &self,
        _permit: Permit,
        address: SocketAddr,
        mut request: Request<Incoming>,
    ) -> Result<Response<PooledBody>, UpstreamError> {
        while let Some(mut connection) = self.pool.take(address) {
            match send(&mut connection, address, request).await {
                Ok(response) => return Ok(self.pool.lend(address, connection, response)),
                Err(Unsent::Request(unsent)) => request = *unsent,
                Err(Unsent::Error(error)) => return Err(error),
            }
        }
        let mut connection = Pooled::new(connect(address).await?);
        match send(&mut connection, address, request).await {
            Ok(response) => Ok(self.pool.lend(address, connection, response)),
            Err(Unsent::Error(error)) => Err(error),
            Err(Unsent::Request(_)) => {
                Err(UpstreamError::Unreachable(address, io::ErrorKind::ConnectionAborted.into()))
            }
        }
    }
}

/// Why [`send`] has no response: it comes with the request if no byte of it was written.
enum Unsent {
    Request(Box<Request<Incoming>>),
    Error(UpstreamError),
}

async fn send(
    connection: &mut Pooled,
    address: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Incoming>, Unsent> {
    match timeout(RESPONSE_TIMEOUT, connection.sender.try_send_request(request)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(mut error)) => Err(match error.take_message() {
            Some(request) => Unsent::Request(Box::new(request)),
            None => Unsent::Error(UpstreamError::Failed(address, error.into_error())),
        }),
        Err(_) => Err(Unsent::Error(UpstreamError::TimedOut(address))),
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Incoming>, UpstreamError> {
    let unreachable = |error| UpstreamError::Unreachable(address, error);
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    let (sender, connection) =
        Builder::new().handshake(TokioIo::new(stream)).await.map_err(|error| UpstreamError::Failed(address, error))?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%address, %error, "an upstream connection ended");
        }
    });
    Ok(sender)
}
