//! SYN cookies, the kernel's own: it makes the socket from what was checked here.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{
        bpf_ktime_get_ns, bpf_tcp_gen_syncookie, bpf_tcp_raw_check_syncookie_ipv4, bpf_tcp_raw_check_syncookie_ipv6,
        bpf_tcp_raw_gen_syncookie_ipv4, bpf_tcp_raw_gen_syncookie_ipv6, bpf_xdp_load_bytes,
    },
    programs::XdpContext,
};
use filter_common::{Reason, layout::ListenValue, opaque};

use crate::{
    maps::{self, Scratch},
    parse::{Segment, TcpHeader},
    sockets::Socket,
};

/// How often the listeners are told that cookies are in use. The kernel accepts cookies for two minutes after.
const TELL_EVERY_NS: u64 = 10_000_000_000;

/// Copies the IP and TCP headers into the work area, where the helpers of the kernel read them; returns the TCP header's length.
#[inline(always)]
pub(crate) fn load_headers(ctx: &XdpContext, segment: &Segment) -> Result<u32, Reason> {
    let scratch = maps::scratch().ok_or(Reason::Internal)?;
    let ip_size = if segment.is_v4() { 20 } else { 40 };
    // For the verifier: between 20 and the size of the buffer. Not by a comparison, which LLVM makes on a copy.
    let tcp_size = (opaque(segment.header_length().wrapping_sub(TcpHeader::SIZE)) & 0x3c) + TcpHeader::SIZE;
    // SAFETY: `ctx` is the program's own context; the buffers are as long as the longest headers.
    let failed = unsafe {
        bpf_xdp_load_bytes(ctx.as_ptr().cast(), segment.ip_at(), scratch.ip.as_mut_ptr().cast(), ip_size) != 0
            || bpf_xdp_load_bytes(
                ctx.as_ptr().cast(),
                segment.transport_at(),
                scratch.tcp.as_mut_ptr().cast(),
                tcp_size,
            ) != 0
    };
    if failed { Err(Reason::Internal) } else { Ok(tcp_size) }
}

/// Whether a segment acknowledges a cookie that was made for its connection in the last two minutes.
#[inline(always)]
pub(crate) fn is_valid(ctx: &XdpContext, segment: &Segment) -> Result<bool, Reason> {
    load_headers(ctx, segment)?;
    let Scratch { ip, tcp, .. } = maps::scratch().ok_or(Reason::Internal)?;
    let (ip, tcp) = (ip.as_mut_ptr(), tcp.as_mut_ptr().cast());
    // SAFETY: both headers were loaded.
    let checked = unsafe {
        if segment.is_v4() {
            bpf_tcp_raw_check_syncookie_ipv4(ip.cast(), tcp)
        } else {
            bpf_tcp_raw_check_syncookie_ipv6(ip.cast(), tcp)
        }
    };
    Ok(checked == 0)
}

/// The cookie for a SYN whose headers were loaded; `None` if the kernel will not make one.
#[inline(always)]
pub(crate) fn make(segment: &Segment, tcp_size: u32) -> Option<u32> {
    let Scratch { ip, tcp, .. } = maps::scratch()?;
    let (ip, tcp) = (ip.as_mut_ptr(), tcp.as_mut_ptr().cast());
    // SAFETY: both headers were loaded, the second with `tcp_size` bytes.
    let made = unsafe {
        if segment.is_v4() {
            bpf_tcp_raw_gen_syncookie_ipv4(ip.cast(), tcp, tcp_size)
        } else {
            bpf_tcp_raw_gen_syncookie_ipv6(ip.cast(), tcp, tcp_size)
        }
    };
    // The segment size that the cookie holds is in the upper half.
    if made < 0 { None } else { Some(made as u32) }
}

/// Tells the listeners, now and then, that SYN cookies are in use.
///
/// The kernel takes a cookie only if its listener has sent one lately, and it does not know of ours. The older helper, which
/// makes a cookie *for a listener*, notes that on the listener (for all of a SO_REUSEPORT group): so one SYN in ten seconds
/// goes through it too. False if nobody listens.
#[inline(always)]
pub(crate) fn tell_listeners(ctx: &XdpContext, segment: &Segment, tcp_size: u32, listen: *mut ListenValue) -> bool {
    // SAFETY: the helper takes nothing and touches nothing.
    let now = unsafe { bpf_ktime_get_ns() };
    // SAFETY: an entry of the map of listen addresses, which live as long as the program. CPUs may race to write it, which
    // tells the listeners twice.
    let told_at = unsafe { (&raw const (*listen).told_at_ns).read_volatile() };
    if told_at != 0 && now.wrapping_sub(told_at) < TELL_EVERY_NS {
        return true;
    }
    let Some(socket) = Socket::of(ctx, segment) else { return false };
    if !socket.listens() {
        return true;
    }
    let Some(Scratch { ip, tcp, .. }) = maps::scratch() else { return false };
    let ip_size = if segment.is_v4() { 20 } else { 40 };
    // SAFETY: the socket is held, both headers were loaded, with `ip_size` and `tcp_size` bytes.
    let made = unsafe {
        bpf_tcp_gen_syncookie(socket.as_ptr(), ip.as_mut_ptr().cast(), ip_size, tcp.as_mut_ptr().cast(), tcp_size)
    };
    if made >= 0 {
        // SAFETY: as above.
        unsafe { (&raw mut (*listen).told_at_ns).write_volatile(now) };
    }
    true
}
