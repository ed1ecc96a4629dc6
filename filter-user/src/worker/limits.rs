//! Limits of a worker. Each is tested at the limit and one past it.

use std::time::Duration;

/// Connections a worker serves at a time; further ones are closed as they come.
pub const MAX_CONNECTIONS: usize = 65_536;

/// Bytes of a connection that are read in search of its ClientHello: the longest handshake message rustls accepts is 64 KiB, but no
/// client in use sends a quarter of this.
pub const MAX_CLIENT_HELLO: usize = 32 * 1024;

/// From the accepted connection to its complete ClientHello.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// From the ClientHello to the end of the handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// From the end of a response, or of the handshake, to the complete head of the next request.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Header fields of a request; more are answered with 431.
pub const MAX_HEADERS: usize = 100;

/// Bytes of a request head; more are answered with 431.
pub const MAX_HEAD: usize = 64 * 1024;

/// Verified client chains that a worker remembers, so that a client that connects again costs a hash in place of a signature check.
pub const CHAIN_CACHE: usize = 16_384;

/// To connect to an upstream; answered with 502 after that.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// From the request to the head of the upstream's response; answered with 504 after that.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Idle connections a worker keeps to one upstream.
pub const MAX_IDLE_PER_UPSTREAM: usize = 64;

/// How long an idle upstream connection is kept. Shorter than the 60 to 75 s after which common servers close theirs, so that a
/// request seldom meets a connection that is being closed.
pub const UPSTREAM_IDLE: Duration = Duration::from_secs(30);

/// How long open connections may go on when the daemon is told to stop.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
