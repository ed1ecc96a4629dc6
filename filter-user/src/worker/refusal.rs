//! Why a request is not answered by its upstream, and what the client is told.
//!
//! One match gives the status and the reason that is counted and logged, so that the three cannot disagree.

use http::StatusCode;

use super::upstream::UpstreamError;
use crate::telemetry::Reason;

/// Why a request is not answered by its upstream.
#[derive(Debug)]
pub(super) enum Refusal {
    /// A rule blocks it.
    Blocked,
    /// No Host header, more than one, or one that is no host name (RFC 9112 §3.2).
    BadHost,
    /// A framing that intermediaries read in different ways (RFC 9112 §6).
    AmbiguousFraming,
    /// `CONNECT`: this is no forward proxy.
    Tunnel,
    /// Another host than the one the TLS connection was made for (RFC 9110 §15.5.20).
    Misdirected,
    /// The upstream gave no response.
    Upstream(UpstreamError),
}

/// What a [`Refusal`] looks like from outside.
pub(super) struct Face {
    pub(super) status: StatusCode,
    pub(super) reason: Reason,
    /// One sentence for the person in front of the client.
    pub(super) message: &'static str,
    /// Whether the connection is closed: what follows on it cannot be trusted to be a request.
    pub(super) close: bool,
}

impl Refusal {
    pub(super) fn face(&self) -> Face {
        let face = |status, reason, message| Face { status, reason, message, close: false };
        match self {
            Self::Blocked => {
                face(StatusCode::FORBIDDEN, Reason::Blocked, "This request was blocked by a rule of the site.")
            }
            Self::BadHost => Face {
                close: true,
                ..face(StatusCode::BAD_REQUEST, Reason::BadHost, "The request must name its host exactly once.")
            },
            Self::AmbiguousFraming => Face {
                close: true,
                ..face(
                    StatusCode::BAD_REQUEST,
                    Reason::BadRequest,
                    "The length of the request's body is not stated in a way that can be trusted.",
                )
            },
            Self::Tunnel => face(StatusCode::NOT_IMPLEMENTED, Reason::BadRequest, "This server opens no tunnels."),
            Self::Misdirected => face(
                StatusCode::MISDIRECTED_REQUEST,
                Reason::Misdirected,
                "This connection was made for another host. Please connect again.",
            ),
            Self::Upstream(UpstreamError::Unreachable(..)) => face(
                StatusCode::BAD_GATEWAY,
                Reason::UpstreamUnreachable,
                "The server behind this host cannot be reached.",
            ),
            Self::Upstream(UpstreamError::Failed(..)) => face(
                StatusCode::BAD_GATEWAY,
                Reason::UpstreamFailed,
                "The server behind this host broke off before it had answered.",
            ),
            Self::Upstream(UpstreamError::TimedOut(_)) => face(
                StatusCode::GATEWAY_TIMEOUT,
                Reason::UpstreamTimeout,
                "The server behind this host did not answer in time.",
            ),
        }
    }
}
