//! How an attempt ended, in words that demo and tests compare.

use std::{fmt, io};

use rustls::AlertDescription;

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An HTTP response with this status.
    Status(u16),
    /// The connection was reset.
    Reset,
    /// The TLS handshake was ended by this alert, in the words of RFC 8446 (`unrecognized_name`).
    Alert(String),
    /// The connection was closed without an answer.
    Closed,
    /// Something else; the text says what.
    Other(String),
}

impl Outcome {
    /// Reads what curl said in place of an answer.
    pub(super) fn of_curl(exit_code: i64, message: &str) -> Self {
        let lower = message.to_ascii_lowercase();
        // 52: "the server did not reply anything".
        if lower.contains("reset by peer") {
            Self::Reset
        } else if let Some((_, reason)) = lower.split_once("ssl routines::") {
            alert_name(reason).map_or_else(|| Self::Other(message.to_owned()), Self::Alert)
        } else if exit_code == 52 || lower.contains("ssl_error_syscall") || lower.contains("unexpected eof") {
            Self::Closed
        } else {
            Self::Other(format!("curl {exit_code}: {message}"))
        }
    }

    /// Reads why a connection of the lab's own client failed.
    #[must_use]
    pub fn of_error(error: &anyhow::Error) -> Self {
        let io_error = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
        let tls_error = error.chain().find_map(|cause| cause.downcast_ref::<rustls::Error>()).or_else(|| {
            // rustls hides inside an I/O error what it meets while it reads.
            io_error.and_then(io::Error::get_ref).and_then(|inner| inner.downcast_ref::<rustls::Error>())
        });
        match (tls_error, io_error.map(io::Error::kind)) {
            (Some(rustls::Error::AlertReceived(alert)), _) => Self::Alert(alert_in_snake_case(*alert)),
            (_, Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)) => Self::Reset,
            (_, Some(io::ErrorKind::UnexpectedEof)) => Self::Closed,
            _ => Self::Other(format!("{error:#}")),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(out, "{status}"),
            Self::Reset => out.write_str("reset"),
            Self::Alert(name) => write!(out, "alert {name}"),
            Self::Closed => out.write_str("closed"),
            Self::Other(text) => out.write_str(text),
        }
    }
}

/// OpenSSL's words for an alert are `tlsv1 unrecognized name`, `sslv3 alert handshake failure`, `ssl/tls alert bad certificate`,
/// and so on, followed by whatever curl adds.
fn alert_name(reason: &str) -> Option<String> {
    let reason = reason.split(&[',', ')', '\n'][..]).next()?.trim();
    let (prefix, words) = reason.split_once("alert ").or_else(|| reason.split_once(' '))?;
    let is_alert = prefix.starts_with("tlsv1") || prefix.starts_with("sslv3") || prefix.starts_with("ssl/tls");
    is_alert.then(|| words.trim().replace(' ', "_"))
}

/// rustls spells the names in camel case, and one of them in British English.
fn alert_in_snake_case(alert: AlertDescription) -> String {
    let mut text = String::new();
    for letter in format!("{alert:?}").chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text.replace("recognised", "recognized")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_curl_says_becomes_an_outcome() {
        let table = [
            (35, "OpenSSL SSL_connect: Connection reset by peer in connection to h:443", Outcome::Reset),
            (
                35,
                "OpenSSL/3.0.19: error:0A000458:SSL routines::tlsv1 unrecognized name",
                Outcome::Alert("unrecognized_name".into()),
            ),
            (
                35,
                "TLS connect error: error:0A000410:SSL routines::ssl/tls alert handshake failure",
                Outcome::Alert("handshake_failure".into()),
            ),
            (
                56,
                "OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required, errno 0",
                Outcome::Alert("certificate_required".into()),
            ),
            (35, "OpenSSL/3.0.19: error:0A00010B:SSL routines::wrong version number", {
                Outcome::Other("OpenSSL/3.0.19: error:0A00010B:SSL routines::wrong version number".into())
            }),
            (52, "Empty reply from server", Outcome::Closed),
            (7, "Connection refused", Outcome::Other("curl 7: Connection refused".into())),
        ];
        for (exit_code, message, expected) in table {
            assert_eq!(Outcome::of_curl(exit_code, message), expected, "{message}");
        }
    }

    #[test]
    fn a_received_alert_is_named_as_in_the_standard() {
        let alert = rustls::Error::AlertReceived(AlertDescription::UnrecognisedName);
        let wrapped = anyhow::Error::new(io::Error::new(io::ErrorKind::InvalidData, alert)).context("handshake");
        assert_eq!(Outcome::of_error(&wrapped), Outcome::Alert("unrecognized_name".into()));
    }
}
