//! The PROXY protocol header, version 2, that tells an origin who the client is.

use filter_common::{
    hello,
    layout::{Address, ConnectionKey},
};

const SIGNATURE: [u32; 3] = [
    u32::from_ne_bytes([0x0d, 0x0a, 0x0d, 0x0a]),
    u32::from_ne_bytes([0x00, 0x0d, 0x0a, 0x51]),
    u32::from_ne_bytes([0x55, 0x49, 0x54, 0x0a]),
];
/// Version 2, a proxied connection; TCP over IPv4 or IPv6; how many bytes follow.
const TCP_V4: u32 = u32::from_ne_bytes([0x21, 0x11, 0, 12]);
const TCP_V6: u32 = u32::from_ne_bytes([0x21, 0x21, 0, 36]);

/// How long the header is.
#[inline(always)]
pub(crate) fn header_size(is_v4: bool) -> u32 {
    if is_v4 { 28 } else { 52 }
}

/// Writes the header of a client's connection.
#[inline(always)]
pub(crate) fn write(bytes: &mut hello::Bytes, client: &ConnectionKey, is_v4: bool) {
    let (Address([a, b, c, d]), Address([e, f, g, h])) = (client.client, client.edge);
    let ([i, j], [k, l]) = (client.client_port.to_ne_bytes(), client.edge_port.to_ne_bytes());
    let ports = u32::from_ne_bytes([i, j, k, l]);
    let [first, second, third] = SIGNATURE;
    let words: *mut u32 = bytes.as_mut_ptr().cast();
    let put = |index: usize, word: u32| {
        // SAFETY: the buffer is far longer than the header. Volatile, or LLVM writes through a table.
        unsafe { words.add(index).write_volatile(word) };
    };
    put(0, first);
    put(1, second);
    put(2, third);
    if is_v4 {
        put(3, TCP_V4);
        put(4, d);
        put(5, h);
        put(6, ports);
    } else {
        put(3, TCP_V6);
        for (index, word) in [a, b, c, d, e, f, g, h].into_iter().enumerate() {
            put(4 + index, word);
        }
        put(12, ports);
    }
}
