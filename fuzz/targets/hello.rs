//! Any bytes as a TCP segment: the parser that XDP and userspace share never finds a name that TLS would not, and never changes
//! its mind when more of the segment is there.
#![no_main]

use filter_common::hello::{HELLO_MAX, Hello, last_byte_is_unusual, server_name};
use rustls::server::Acceptor;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let found = server_name(data);
    let Hello::Name { at, length } = found else { return };
    let (start, end) = (at as usize, (at + length) as usize);
    assert!((1..=255).contains(&length) && end <= data.len().min(HELLO_MAX), "{found:?} of {} bytes", data.len());
    let name = &data[start..end];
    assert_eq!(server_name(&data[..end]), found, "what is behind the name does not matter");
    assert!(!matches!(server_name(&data[..end - 1]), Hello::Name { .. }), "the name is not there yet");
    // Userspace may read an unusual name as another one, a final dot as none: XDP leaves those to it.
    if data.get(end - 1).is_some_and(|&last| last_byte_is_unusual(last)) {
        return;
    }
    if let Some(read) = read_by_rustls(data) {
        assert!(name.eq_ignore_ascii_case(read.as_bytes()), "{} and {read}", name.escape_ascii());
    }
});

/// The name rustls reads in the hello; `None` when it finds none or refuses the hello.
fn read_by_rustls(mut data: &[u8]) -> Option<String> {
    let mut acceptor = Acceptor::default();
    while !data.is_empty() {
        acceptor.read_tls(&mut data).ok()?;
        if let Some(accepted) = acceptor.accept().ok()? {
            return accepted.client_hello().server_name().map(str::to_owned);
        }
    }
    None
}
