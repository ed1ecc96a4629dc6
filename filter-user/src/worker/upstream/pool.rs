//! Idle upstream connections of one worker.
//!
//! A worker is one thread, so this takes no lock. The connection used last is used next: the others grow old, and are closed.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::Response;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::SendRequest;

use crate::worker::limits::{MAX_IDLE_PER_UPSTREAM, UPSTREAM_IDLE};

/// A connection to an upstream.
#[derive(Debug)]
pub(super) struct Pooled {
    pub(super) sender: SendRequest<Incoming>,
    idle_since: Instant,
}

impl Pooled {
    pub(super) fn new(sender: SendRequest<Incoming>) -> Self {
        Self { sender, idle_since: Instant::now() }
    }
}

/// Idle connections by upstream, the one used last at the back.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: RefCell<HashMap<SocketAddr, VecDeque<Pooled>>>,
}

impl Pool {
    /// Takes a connection that can send a request at once.
    pub(super) fn take(&self, address: SocketAddr) -> Option<Pooled> {
        let mut idle = self.idle.borrow_mut();
        let connections = idle.get_mut(&address)?;
        let expired = connections.partition_point(|connection| connection.idle_since.elapsed() > UPSTREAM_IDLE);
        connections.drain(..expired);
        connections.retain(|connection| !connection.sender.is_closed());
        // One that still has a request body to send (the upstream answered early) is left alone.
        let ready = connections.iter().rposition(|connection| connection.sender.is_ready())?;
        connections.remove(ready)
    }

    fn put(&self, address: SocketAddr, mut connection: Pooled) {
        connection.idle_since = Instant::now();
        let mut idle = self.idle.borrow_mut();
        let connections = idle.entry(address).or_default();
        if connections.len() == MAX_IDLE_PER_UPSTREAM {
            connections.pop_front();
        }
        connections.push_back(connection);
    }

    /// Ties `connection` to the response that is being read from it: when the body has been read whole, it is idle again; when the
    /// body is dropped before, it is closed.
    pub(super) fn lend(
        self: &Rc<Self>,
        address: SocketAddr,
        connection: Pooled,
        response: Response<Incoming>,
    ) -> Response<PooledBody> {
        response.map(|body| PooledBody {
            body,
            ended: false,
            loan: Some(Loan { connection, address, pool: self.clone() }),
        })
    }
}

/// A connection that goes back to its pool.
#[derive(Debug)]
struct Loan {
    connection: Pooled,
    address: SocketAddr,
    pool: Rc<Pool>,
}

/// The body of an upstream's response.
#[derive(Debug)]
pub(in crate::worker) struct PooledBody {
    body: Incoming,
    ended: bool,
    loan: Option<Loan>,
}

impl Body for PooledBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.ended |= frame.is_none();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for PooledBody {
    fn drop(&mut self) {
        if (self.ended || self.body.is_end_stream())
            && let Some(Loan { connection, address, pool }) = self.loan.take()
            && !connection.sender.is_closed()
        {
            pool.put(address, connection);
        }
    }
}
