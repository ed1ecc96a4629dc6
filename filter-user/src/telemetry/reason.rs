//! Why a request or a connection ended as it did.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Declares the reasons with their names, so that no list of them can miss one.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// Why a request, or a connection that never got to a request, ended as it did. Each is counted once.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum Reason { $($(#[$doc])* $variant,)+ }

        impl Reason {
            /// All reasons, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in logs, metrics and `status`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

reasons! {
    /// Request permitted and answered by the upstream.
    Proxied = "proxied",
    /// Request blocked by a rule; or connection to be passed on, from an address that a rule blocks.
    Blocked = "blocked",
    /// Request without a usable Host header (400).
    BadHost = "bad_host",
    /// Request with ambiguous framing or a method that a proxy cannot serve (400, 501).
    BadRequest = "bad_request",
    /// Request for another host than the connection's SNI (421).
    Misdirected = "misdirected",
    /// No connection to the upstream (502).
    UpstreamUnreachable = "upstream_unreachable",
    /// The upstream broke off before it had answered (502).
    UpstreamFailed = "upstream_failed",
    /// The upstream did not answer in time (504).
    UpstreamTimeout = "upstream_timeout",
    /// Bytes that are no HTTP request; answered 400 or 431 by the HTTP library, and closed.
    MalformedRequest = "malformed_request",
    /// No complete ClientHello in time.
    HelloTimeout = "hello_timeout",
    /// First bytes that are no ClientHello.
    NotTls = "not_tls",
    /// ClientHello without SNI, or with a name that is no host of ours.
    UnknownHost = "unknown_host",
    /// TLS handshake not finished in time.
    HandshakeTimeout = "handshake_timeout",
    /// TLS handshake that failed: no common version, a broken client signature, a client that went away.
    HandshakeFailed = "handshake_failed",
    /// Connection passed on unopened, and ended by the client or the origin.
    Relayed = "relayed",
    /// Connection to be passed on, and no origin of its host can be reached.
    OriginUnreachable = "origin_unreachable",
    /// Connection passed on, and closed because nothing moved on it any more.
    RelayIdle = "relay_idle",
    /// Connection passed on, and closed because a rule was deployed that can reach its host.
    RelayWithdrawn = "relay_withdrawn",
    /// Connection closed because its certificate was revoked, on a host that wants it.
    CertificateRevoked = "certificate_revoked",
    /// Connection refused because the worker has as many as it may.
    TooManyConnections = "too_many_connections",
}

impl Reason {
    /// Position among [`Reason::ALL`].
    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// The reason of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.name() == name)
    }
}

/// As its name.
impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::of_name(&name).ok_or_else(|| de::Error::custom(format!("there is no reason {name:?}")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Reason;

    #[test]
    fn names_are_distinct_and_indexes_follow_the_list() {
        let names: HashSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        for (position, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), position);
            assert_eq!(Reason::of_name(reason.name()), Some(*reason));
        }
    }
}
