//! Reads the ClientHello of a connection, and picks the host by its SNI.
//!
//! rustls parses it: what decides here is what the handshake goes on with, however the hello was cut into TLS records and TCP segments.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use rustls::server::{Accepted, Acceptor};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::limits::MAX_CLIENT_HELLO;
use crate::telemetry::Reason;

/// Content type of the TLS records that carry a handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// A ClientHello that was read whole.
pub(super) struct ClientHello {
    /// The handshake so far; goes on with the configuration of the host.
    pub(super) accepted: Accepted,
    /// The SNI, lower-cased; `None` if the hello has none.
    pub(super) server_name: Option<String>,
    /// The body of the ClientHello message.
    pub(super) body: Box<[u8]>,
    /// Everything that was read, as it came.
    pub(super) received: BytesMut,
}

/// Reads from `stream` until the ClientHello is complete.
///
/// # Errors
/// The reason the connection ends for. A client that spoke TLS, but wrongly, has been sent the alert.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    limit: Duration,
) -> Result<ClientHello, Reason> {
    timeout(limit, read_unlimited(stream)).await.unwrap_or(Err(Reason::HelloTimeout))
}

async fn read_unlimited(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<ClientHello, Reason> {
    let mut acceptor = Acceptor::default();
    let mut records = BytesMut::with_capacity(2048);
    loop {
        let before = records.len();
        let length = stream.read_buf(&mut records).await.map_err(|_| Reason::HandshakeFailed)?;
        if length == 0 || records.len() > MAX_CLIENT_HELLO || records.first() != Some(&HANDSHAKE) {
            // A client that speaks something else is closed without a guess at an answer.
            return Err(Reason::NotTls);
        }
        feed(&mut acceptor, records.get(before..).unwrap_or_default()).map_err(|_| Reason::NotTls)?;
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                let server_name = accepted.client_hello().server_name().map(str::to_ascii_lowercase);
                return Ok(ClientHello { accepted, server_name, body: body(&records), received: records });
            }
            Err((error, mut alert)) => {
                tracing::debug!(%error, "refused a ClientHello");
                let mut bytes = Vec::new();
                let written = alert.write_all(&mut bytes);
                if written.is_ok() && stream.write_all(&bytes).await.is_ok() {
                    // The client learns of it by the alert; whether it still listens changes nothing here.
                    let _ = stream.shutdown().await;
                }
                return Err(Reason::HandshakeFailed);
            }
        }
    }
}

/// rustls takes at most as much as its buffer holds at a time.
fn feed(acceptor: &mut Acceptor, mut received: &[u8]) -> io::Result<()> {
    while !received.is_empty() {
        if acceptor.read_tls(&mut received)? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(())
}

/// The body of the first handshake message of `records`, which hold it whole: rustls has just read it from them.
fn body(mut records: &[u8]) -> Box<[u8]> {
    let mut message = Vec::with_capacity(records.len());
    while let [_, _, _, high, low, rest @ ..] = records {
        let (fragment, next) = rest.split_at(rest.len().min(usize::from(u16::from_be_bytes([*high, *low]))));
        message.extend_from_slice(fragment);
        records = next;
    }
    match message.as_slice() {
        [_, high, middle, low, body @ ..] => {
            let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
            body.get(..length).unwrap_or(body).into()
        }
        _ => Box::default(),
    }
}

/// The fatal alert `unrecognized_name` (RFC 6066 §3) as a plaintext record.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Tells the client that its SNI is no host of ours, and ends the connection.
pub(super) async fn refuse_name(stream: &mut (impl AsyncWrite + Unpin)) {
    if stream.write_all(&UNRECOGNIZED_NAME).await.is_ok() {
        // See above.
        let _ = stream.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::body;

    /// `message` in handshake records of at most `length` bytes.
    fn records(message: &[u8], length: usize) -> Vec<u8> {
        message
            .chunks(length)
            .flat_map(|fragment| {
                let size = u16::try_from(fragment.len()).unwrap().to_be_bytes();
                [&[22, 3, 1], &size[..], fragment].concat()
            })
            .collect()
    }

    #[test]
    fn the_body_is_put_together_from_records_of_any_size() {
        let content: Vec<u8> = (0..=255).cycle().take(700).collect();
        let message = [&[1, 0, 2, 188], &content[..]].concat();
        for length in [1, 3, 4, 5, 699, 704, 1000] {
            assert_eq!(*body(&records(&message, length)), content, "records of {length} bytes");
        }
        assert!(body(&[22, 3, 1, 0]).is_empty());
    }
}
