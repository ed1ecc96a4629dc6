//! A connection, from its first byte to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

use super::client_hello;
use super::context::Context;
use super::limits::{HANDSHAKE_TIMEOUT, HEAD_TIMEOUT, HELLO_TIMEOUT, MAX_HEAD, MAX_HEADERS};
use super::request;
use super::session::{Route, Session};
use crate::telemetry::Reason;

/// Serves one connection. Generic over the transport, so that workers on another TCP stack need no second copy.
pub(super) async fn serve<S>(context: Rc<Context>, stream: S, client: SocketAddr, server: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut draining = context.draining.clone();
    tokio::select! {
        biased;
        opened = open(&context, stream, client, server) => match opened {
            Ok((stream, session)) => exchange(&context, stream, session).await,
            Err(reason) => context.counters.count(reason),
        },
        // Nothing has been asked yet, so nothing is lost.
        _ = draining.wait_for(|draining| *draining) => {}
    }
}

/// ClientHello and handshake.
async fn open<S>(
    context: &Rc<Context>,
    mut stream: S,
    client: SocketAddr,
    server: SocketAddr,
) -> Result<(TlsStream<S>, Session), Reason>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let hello = client_hello::read(&mut stream, HELLO_TIMEOUT).await?;
    let Some(route) = route(context, hello.server_name) else {
        client_hello::refuse_name(&mut stream).await;
        return Err(Reason::UnknownHost);
    };
    let start = StartHandshake::from_parts(hello.accepted, stream);
    let stream = timeout(HANDSHAKE_TIMEOUT, start.into_stream(route.host.tls.clone()))
        .await
        .map_err(|_| Reason::HandshakeTimeout)?
        .map_err(|error| {
            tracing::debug!(%client, %error, "a handshake failed");
            Reason::HandshakeFailed
        })?;
    let session = Session::new(context, (client, server), route, hello.body, stream.get_ref().1);
    Ok((stream, session))
}

/// The host of the SNI. Without an SNI there is none: which certificate to show, and which rules hold, would be a guess.
fn route(context: &Context, server_name: Option<String>) -> Option<Route> {
    let in_force = context.in_force.borrow();
    let server_name = server_name?;
    let host = in_force.snapshot.host(&server_name)?.clone();
    Some(Route { server_name, host, generation: in_force.snapshot.generation })
}

/// Requests and responses, until one side ends the connection.
async fn exchange<S>(context: &Rc<Context>, stream: TlsStream<S>, session: Session)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let session = Rc::new(session);
    let service = service_fn(|request: http::Request<Incoming>| {
        let (context, session) = (context.clone(), session.clone());
        async move { Ok::<_, Infallible>(request::serve(&context, &session, request).await) }
    });
    let connection = http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut draining = context.draining.clone();
    let result = tokio::select! {
        biased;
        result = connection.as_mut() => result,
        _ = draining.wait_for(|draining| *draining) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(client = %session.client, %error, "a connection broke off");
        if error.is_parse() || error.is_parse_too_large() {
            context.counters.count(Reason::MalformedRequest);
        }
    }
}
