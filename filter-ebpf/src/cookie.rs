//! SYN cookies, the kernel's own: it makes the socket from what was checked here.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{
        bpf_tcp_gen_syncookie, bpf_tcp_raw_check_syncookie_ipv4, bpf_tcp_raw_check_syncookie_ipv6,
        bpf_tcp_raw_gen_syncookie_ipv4, bpf_tcp_raw_gen_syncookie_ipv6, bpf_xdp_load_bytes,
    },
    programs::XdpContext,
};
use filter_common::{
    Reason,
    layout::{Config, Listener},
    opaque,
};

use crate::{
    maps::{self, Scratch, TcpBytes},
    packet::Packet,
    parse::{Segment, TcpHeader},
    sockets::Socket,
};

/// How often the listeners are told that cookies are in use. The kernel accepts cookies for two minutes after.
const TELL_EVERY_NS: u64 = 10_000_000_000;

/// Copies the IP and TCP headers into the work area, where the helpers of the kernel read them; returns the TCP header's length.
#[inline(always)]
pub(crate) fn load_headers(ctx: &XdpContext, segment: &Segment) -> Result<u32, Reason> {
    let Scratch { ip, tcp, .. } = maps::scratch().ok_or(Reason::Internal)?;
    let packet = Packet::new(ctx);
    let copied = if segment.is_v4() {
        packet.copy::<5, _>(segment.ip_at(), ip)
    } else {
        packet.copy::<10, _>(segment.ip_at(), ip)
    };
    copied.ok_or(Reason::Internal)?;
    // For the verifier: between 20 and the size of the buffer. Not by a comparison, which LLVM makes on a copy.
    let tcp_size = (opaque(segment.header_length().wrapping_sub(TcpHeader::SIZE)) & 0x3c) + TcpHeader::SIZE;
    let at = segment.transport_at();
    let copied = match tcp_size {
        // Without options, with timestamps, and a SYN as nearly all Unix systems write it.
        20 => packet.copy::<5, _>(at, tcp),
        32 => packet.copy::<8, _>(at, tcp),
        40 => packet.copy::<10, _>(at, tcp),
        // SAFETY: `ctx` is the program's own context; the buffer is as long as the longest header.
        _ => match unsafe { bpf_xdp_load_bytes(ctx.as_ptr().cast(), at, tcp.as_mut_ptr().cast(), tcp_size) } {
            0 => Some(()),
            _ => None,
        },
    };
    copied.map(|()| tcp_size).ok_or(Reason::Internal)
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
    generate(segment, ip, tcp, tcp_size)
}

/// The cookie for a SYN with these headers, the second of `tcp_size` bytes.
#[inline(always)]
fn generate(segment: &Segment, ip: &mut [u8; 40], tcp: &mut TcpBytes, tcp_size: u32) -> Option<u32> {
    let (ip, tcp) = (ip.as_mut_ptr(), tcp.as_mut_ptr().cast());
    // SAFETY: the buffers hold the longest headers; `tcp_size` is at most 60.
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

/// Segment sizes that a cookie can hold (`msstab` of the kernel), those that most clients have first.
const SIZES_V4: [u16; 4] = [1460, 1440, 1300, 536];
const SIZES_V6: [u16; 4] = [1440, 1420, 8940, 1220];

/// The segment size that a cookie holds, for the first segment with data, whose headers were loaded; not more than what we
/// announce. The kernel checks cookies without saying what is in them, so one is made for each size until it is the same. The
/// least size if none is: the minute has changed meanwhile, which is in cookies as well.
#[inline(always)]
pub(crate) fn segment_size(segment: &Segment, config: &Config) -> u32 {
    let (sizes, ours) =
        if segment.is_v4() { (SIZES_V4, config.segment_size_v4) } else { (SIZES_V6, config.segment_size_v6) };
    let cookie = u32::from_be(segment.acknowledgement).wrapping_sub(1);
    let [first, second, third, least] = sizes;
    let size = if holds(segment, cookie, first) {
        first
    } else if holds(segment, cookie, second) {
        second
    } else if holds(segment, cookie, third) {
        third
    } else {
        least
    };
    if u32::from(size) < ours { size.into() } else { ours }
}

/// Whether the cookie is the one for a SYN with this segment size.
#[inline(always)]
fn holds(segment: &Segment, cookie: u32, size: u16) -> bool {
    let Some(Scratch { ip, tcp, tcp_before: syn, .. }) = maps::scratch() else { return false };
    let sequence = u32::from_be(segment.sequence).wrapping_sub(1).to_be();
    // The header of that SYN: the same ports, six words, one option.
    maps::set_tcp_word(syn, 0, maps::tcp_word(tcp, 0));
    maps::set_tcp_word(syn, 4, sequence);
    maps::set_tcp_word(syn, 12, u32::from_ne_bytes([0x60, TcpHeader::SYN, 0, 0]));
    maps::set_tcp_word(syn, 20, (0x0204_0000 | u32::from(size)).to_be());
    generate(segment, ip, syn, 24) == Some(cookie)
}

/// Tells the listeners, now and then, that SYN cookies are in use.
///
/// The kernel takes a cookie only if its listener has sent one lately, and it does not know of ours. The older helper, which
/// makes a cookie *for a listener*, notes that on the listener (for all of a SO_REUSEPORT group): so one SYN in ten seconds
/// goes through it too. False if nobody listens.
#[inline(always)]
pub(crate) fn tell_listeners(
    ctx: &XdpContext,
    segment: &Segment,
    tcp_size: u32,
    listen: *mut Listener,
    now: u64,
) -> bool {
    // SAFETY: an entry of the table of listen addresses, which live as long as the program. CPUs may race to write it, which
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
