//! Asking the kernel for its sockets.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_F_CURRENT_NETNS, bpf_sock, bpf_sock_tuple},
    helpers::generated::{bpf_sk_release, bpf_skc_lookup_tcp},
    programs::XdpContext,
};
use filter_common::layout::{Address, ConnectionKey};

use crate::parse::Segment;

/// The kernel's number of the state in which a socket has no connection yet.
const TCP_LISTEN: u32 = 10;

/// A socket that is held until this is dropped.
pub(crate) struct Socket(*mut bpf_sock);

impl Socket {
    /// The socket that a segment would be given to: of its connection, in whatever state, or the listener.
    #[inline(always)]
    pub(crate) fn of(ctx: &XdpContext, segment: &Segment) -> Option<Self> {
        let key = &segment.connection;
        let (Address([.., client]), Address([.., edge])) = (key.client, key.edge);
        let mut v4 = [client, edge, u32::from(key.client_port) | u32::from(key.edge_port) << 16];
        let (tuple, size): (*mut bpf_sock_tuple, u32) = if segment.is_v4() {
            ((&raw mut v4).cast(), size_of_val(&v4) as u32)
        } else {
            // The key has the layout of the helper's tuple for IPv6.
            ((&raw const *key).cast_mut().cast(), size_of::<ConnectionKey>() as u32)
        };
        // SAFETY: the tuple is as long as its size says, and only read; the context is the program's own.
        let socket = unsafe { bpf_skc_lookup_tcp(ctx.as_ptr(), tuple, size, BPF_F_CURRENT_NETNS as u64, 0) };
        if socket.is_null() { None } else { Some(Self(socket)) }
    }

    /// Whether it is a listener.
    #[inline(always)]
    pub(crate) fn listens(&self) -> bool {
        // SAFETY: the socket is held; the read is volatile so that it stays one of the whole field.
        unsafe { (&raw const (*self.0).state).read_volatile() == TCP_LISTEN }
    }

    /// For helpers that take a socket.
    #[inline(always)]
    pub(crate) fn as_ptr(&self) -> *mut c_void {
        self.0.cast()
    }
}

impl Drop for Socket {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: it was looked up, is held, and is released only here.
        unsafe { bpf_sk_release(self.0.cast()) };
    }
}

/// Whether the kernel has a connection with these addresses and ports, if only one that is over (TIME_WAIT).
#[inline(always)]
pub(crate) fn has_connection(ctx: &XdpContext, segment: &Segment) -> bool {
    Socket::of(ctx, segment).is_some_and(|socket| !socket.listens())
}
