//! A connection, from its first byte to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;

use bytes::BytesMut;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

use super::client_hello;
use super::context::Context;
use super::limits::{HANDSHAKE_TIMEOUT, HEAD_TIMEOUT, HELLO_TIMEOUT, MAX_HEAD, MAX_HEADERS};
use super::relay::{self, Relay, Transport};
use super::request;
use super::session::{Route, Session, canonical};
use crate::telemetry::Reason;

/// What a ClientHello has led to.
enum Opened<S> {
    /// A handshake.
    Session(Box<(TlsStream<S>, Session)>),
    /// Nothing: the connection is passed on, with what was read from it.
    Passed(S, Relay, BytesMut),
}

/// Where a ClientHello leads.
enum Way {
    /// To a handshake.
    Terminate(Route),
    /// To an origin, unopened.
    PassOn(Relay),
}

/// Serves one connection. Generic over the transport, so that workers on another TCP stack need no second copy.
pub(super) async fn serve<S: Transport>(context: Rc<Context>, stream: S, client: SocketAddr, server: SocketAddr) {
    let mut draining = context.draining.clone();
    let opened = tokio::select! {
        biased;
        opened = open(&context, stream, client, server) => opened,
        // Nothing has been asked yet, so nothing is lost.
        _ = draining.wait_for(|draining| *draining) => return,
    };
    match opened {
        Ok(Opened::Session(session)) => {
            let (stream, session) = *session;
            exchange(&context, stream, session).await;
        }
        // While the daemon drains, it goes on until its end or that of the daemon: nobody here knows what is being said.
        Ok(Opened::Passed(stream, relay, received)) => {
            let reason = relay::relay(&context, stream, &relay, &received).await;
            context.counters.count(reason);
        }
        Err(reason) => context.counters.count(reason),
    }
}

/// ClientHello and handshake.
async fn open<S: Transport>(
    context: &Rc<Context>,
    mut stream: S,
    client: SocketAddr,
    server: SocketAddr,
) -> Result<Opened<S>, Reason> {
    let hello = client_hello::read(&mut stream, HELLO_TIMEOUT).await?;
    let route = match way(context, hello.server_name, [client, server]) {
        Some(Way::Terminate(route)) => route,
        Some(Way::PassOn(relay)) => return Ok(Opened::Passed(stream, relay, hello.received)),
        None => {
            client_hello::refuse_name(&mut stream).await;
            return Err(Reason::UnknownHost);
        }
    };
    let start = StartHandshake::from_parts(hello.accepted, stream);
    let stream = timeout(HANDSHAKE_TIMEOUT, start.into_stream(route.termination.tls.clone()))
        .await
        .map_err(|_| Reason::HandshakeTimeout)?
        .map_err(|error| {
            tracing::debug!(%client, %error, "a handshake failed");
            Reason::HandshakeFailed
        })?;
    let session = Session::new(context, (client, server), route, hello.body, stream.get_ref().1);
    Ok(Opened::Session(Box::new((stream, session))))
}

/// The way of the SNI. Without an SNI there is none: which certificate to show, and which rules hold, would be a guess.
///
/// A connection that is passed on is noted before anything else can run on this thread: a rule that is published next finds it.
fn way(context: &Context, server_name: Option<String>, ends: [SocketAddr; 2]) -> Option<Way> {
    let in_force = context.in_force.borrow();
    let server_name = server_name?;
    let host = in_force.snapshot.host(&server_name)?;
    if let Some(passthrough) = &host.passthrough {
        let relay = context.relays.enter(server_name, passthrough.clone(), ends.map(canonical));
        return Some(Way::PassOn(relay));
    }
    let (zone, termination) = (host.zone, host.termination.clone()?);
    Some(Way::Terminate(Route { server_name, zone, termination, generation: in_force.snapshot.generation }))
}

/// Requests and responses, until one side ends the connection.
async fn exchange<S: Transport>(context: &Rc<Context>, stream: TlsStream<S>, session: Session) {
    let session = Rc::new(session);
    let service = service_fn(|request: http::Request<Incoming>| {
        let (context, session) = (context.clone(), session.clone());
        async move { Ok::<_, Infallible>(request::serve(&context, &session, request).await) }
    });
    let mut connection = http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut draining = context.draining.clone();
    let mut closable = session.ends_with_certificate().then(|| context.sessions.enter(session.clone()));
    let serving = async {
        let ended = tokio::select! {
            biased;
            result = &mut connection => Some(result),
            _ = draining.wait_for(|draining| *draining) => None,
        };
        match ended {
            Some(result) => result,
            None => {
                Pin::new(&mut connection).graceful_shutdown();
                (&mut connection).await
            }
        }
    };
    let closing = async {
        match &mut closable {
            Some(closable) => closable.closing().await,
            None => std::future::pending().await,
        }
    };
    let result = tokio::select! {
        biased;
        closed = closing => {
            context.counters.count(Reason::CertificateRevoked);
            let stream = connection.into_parts().io.into_inner();
            // What waits in the socket is not for this client any more.
            stream.get_ref().0.reset_at_end(true);
            drop(stream);
            drop(closed);
            return;
        }
        result = serving => result,
    };
    if let Err(error) = result {
        tracing::debug!(client = %session.client, %error, "a connection broke off");
        if error.is_parse() || error.is_parse_too_large() {
            context.counters.count(Reason::MalformedRequest);
        }
    }
}
