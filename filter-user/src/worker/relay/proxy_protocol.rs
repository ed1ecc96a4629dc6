//! The PROXY protocol header: how an origin learns whose connection it is (version 2,
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt> §2.2).

use std::net::SocketAddr;

use ppp::v2::{Builder, Command, Protocol, Version};

/// The header of a connection from `client` to `server`.
pub(super) fn header(client: SocketAddr, server: SocketAddr) -> Vec<u8> {
    let header = Builder::with_addresses(Version::Two | Command::Proxy, Protocol::Stream, (client, server)).build();
    // The builder writes to memory, and fails only for more TLVs than a header can hold: this one has none.
    header.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::header;

    const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

    #[test]
    fn the_header_names_both_ends() {
        let v4 = header("192.0.2.1:4660".parse().unwrap(), "198.51.100.2:443".parse().unwrap());
        let addresses = [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34, 0x01, 0xbb];
        assert_eq!(v4, [&SIGNATURE[..], &[0x21, 0x11, 0, 12], &addresses].concat());
        let v6 = header("[2001:db8::1]:4660".parse().unwrap(), "[2001:db8::2]:443".parse().unwrap());
        assert_eq!(v6[..16], [&SIGNATURE[..], &[0x21, 0x21, 0, 36]].concat());
        assert_eq!((v6[16..20].to_vec(), v6.len()), (vec![0x20, 0x01, 0x0d, 0xb8], 52));
    }
}
