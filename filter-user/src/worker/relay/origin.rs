//! Chooses the origin of a relayed connection.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::LazyLock;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::open::Relay;
use crate::worker::context::Context;
use crate::worker::limits::CONNECT_TIMEOUT;

/// Keys the choice for as long as the process lives, so that nobody outside can aim at one origin.
static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Connects to an origin that answers; clients of one address begin with the same one. As in XDP, the origins of the client's own address
/// family come first; unlike there, the others come after them. `None` if none can be reached.
pub(super) async fn connect(context: &Context, relay: &Relay) -> Option<TcpStream> {
    let origins = &relay.passthrough.origins;
    let first = KEYS.hash_one(relay.client.ip()).checked_rem(origins.len() as u64)?;
    let mut turned: Vec<_> =
        origins.iter().copied().cycle().skip(usize::try_from(first).ok()?).take(origins.len()).collect();
    turned.sort_by_key(|origin| origin.is_ipv4() != relay.client.is_ipv4());
    // An origin that is this very filter, by an address that only the machine knows for its own, would go round and round.
    let usable = |address: &SocketAddr| context.origins.is_up(*address) && *address != relay.server;
    for address in turned.into_iter().filter(usable) {
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => {
                relay.set_origin(address);
                // A relay adds no delay of its own to whatever the two have to say.
                return stream.set_nodelay(true).is_ok().then_some(stream);
            }
            Err(error) => tracing::debug!(%address, %error, "cannot connect to an origin"),
        }
    }
    tracing::debug!(host = &*relay.passthrough.host, client = %relay.client, "no origin can be reached");
    None
}
