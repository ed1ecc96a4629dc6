//! Passes a connection on to its origin, unopened.
//!
//! A host that no rule can reach needs no worker, and XDP splices its connections. Those that come to a worker all the same (a
//! ClientHello in pieces, no XDP) are relayed: every byte as it came, the ClientHello that was read included.

mod open;
mod origin;
mod proxy_protocol;
mod pump;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub(super) use open::{Relay, Relays};
pub use open::{RelayReport, RelayTotals, RelayedConnection};
pub(super) use pump::Progress;

use super::context::Context;
use crate::telemetry::Reason;

/// What a client is served over. The seam for another TCP stack, which would move bytes in a way of its own.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin + 'static {
    /// Moves bytes between the client and `origin` until both have said that they are done. What is moved is noted in `progress`.
    fn join(&self, origin: &TcpStream, progress: &Progress) -> impl Future<Output = io::Result<()>>;

    /// Makes the end of the connection a reset, or again an orderly one.
    fn reset_at_end(&self, reset: bool);
}

impl Transport for TcpStream {
    async fn join(&self, origin: &TcpStream, progress: &Progress) -> io::Result<()> {
        pump::join(self, origin, progress).await
    }

    fn reset_at_end(&self, reset: bool) {
        // On a socket that is gone already there is nothing to reset.
        let _ = SockRef::from(self).set_linger(reset.then_some(Duration::ZERO));
    }
}

/// Relays a connection from the ClientHello (`received`) to its end, and says why it ended.
///
/// Until both sides have said that they are done, whatever ends it is a reset to both: neither may take half an answer for a whole one.
pub(super) async fn relay<S: Transport>(context: &Context, client: S, relay: &Relay, received: &[u8]) -> Reason {
    client.reset_at_end(true);
    if relay.passthrough.blocked.contains(relay.client.ip()) {
        context.offences.report(relay.client.ip());
        return Reason::Blocked;
    }
    tokio::select! {
        biased;
        () = relay.withdrawn() => Reason::RelayWithdrawn,
        reason = pass_on(context, &client, relay, received) => reason,
    }
}

async fn pass_on<S: Transport>(context: &Context, client: &S, relay: &Relay, received: &[u8]) -> Reason {
    let Some(mut origin) = origin::connect(context, relay).await else { return Reason::OriginUnreachable };
    origin.reset_at_end(true);
    let header = relay.passthrough.proxy_protocol.then(|| proxy_protocol::header(relay.client, relay.server));
    let first = [header.as_deref().unwrap_or_default(), received].concat();
    let joined = async {
        origin.write_all(&first).await?;
        relay.progress.to_origin(received.len());
        client.join(&origin, &relay.progress).await
    };
    let joined = tokio::select! {
        joined = joined => joined,
        () = idle(&relay.progress, context.relay_idle_timeout) => return Reason::RelayIdle,
    };
    match joined {
        Ok(()) => {
            client.reset_at_end(false);
            origin.reset_at_end(false);
        }
        // Which of the two breaks off, and why, is their business.
        Err(error) => {
            tracing::debug!(client = %relay.client, host = &*relay.passthrough.host, %error, "a relayed connection broke off");
        }
    }
    Reason::Relayed
}

/// Returns when nothing has moved for `limit`.
async fn idle(progress: &Progress, limit: Duration) {
    loop {
        let quiet = progress.last_moved().elapsed();
        match limit.checked_sub(quiet) {
            Some(rest) if !rest.is_zero() => tokio::time::sleep(rest).await,
            _ => return,
        }
    }
}
