//! Asking the kernel for its sockets.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_F_CURRENT_NETNS, bpf_sock, bpf_sock_tuple},
    helpers::generated::{bpf_sk_release, bpf_skc_lookup_tcp},
    programs::XdpContext,
};
use filter_common::layout::Address;

use crate::{maps, parse::Segment};

/// The kernel's number of the state in which a socket has no connection yet.
const TCP_LISTEN: u32 = 10;

/// A socket that is held until this is dropped.
pub(crate) struct Socket(*mut bpf_sock);

impl Socket {
    /// The socket that a segment would be given to: of its connection, in whatever state, or the listener.
    #[inline(always)]
    pub(crate) fn of(ctx: &XdpContext, segment: &Segment) -> Option<Self> {
        let key = &segment.connection;
        let ([c, d], [e, f]) = (key.client_port.to_ne_bytes(), key.edge_port.to_ne_bytes());
        let ports = u32::from_ne_bytes([c, d, e, f]);
        let (Address([c0, c1, c2, client]), Address([e0, e1, e2, edge])) = (key.client, key.edge);
        // In the work area, where there is room for the longer one whichever it is: the verifier of 6.1 does not know that
        // the longer size never meets the shorter tuple.
        let tuple = &mut maps::scratch()?.tuple;
        let size = if segment.is_v4() {
            let [first, second, third, ..] = tuple;
            (*first, *second, *third) = (client, edge, ports);
            12
        } else {
            *tuple = [c0, c1, c2, client, e0, e1, e2, edge, ports];
            36
        };
        let tuple: *mut bpf_sock_tuple = (&raw mut *tuple).cast();
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
