//! Answering a SYN with a cookie.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::generated::{bpf_ktime_get_coarse_ns, bpf_loop},
    programs::XdpContext,
};
use filter_common::{
    Reason,
    layout::{Config, Listener},
};

use crate::{
    answer::{self, Answer},
    cookie,
    maps::{self, OPTIONS_MAX},
    parse::{Segment, TcpHeader},
};

const WINDOW: u16 = 0xffff;
/// In the low bits of our timestamp the kernel finds what the client can, when the timestamp comes back: four bits of window
/// scale (all ones: none), one of selective acknowledgement.
const TIMESTAMP_OPTION_BITS: u32 = 6;
pub(crate) const NO_WINDOW_SCALE: u32 = 0xf;
pub(crate) const SELECTIVE_ACKNOWLEDGEMENT: u32 = 0x10;
/// The kernel knows no larger one (RFC 7323, 2.3).
pub(crate) const WINDOW_SCALE_MAX: u32 = 14;
const NOTHING: u8 = 1;
/// Timestamps alone, as a word.
const TIMESTAMPS: u32 = u32::from_ne_bytes([NOTHING, NOTHING, 8, 10]);
/// With selective acknowledgement in front of them.
const SELECTIVE_AND_TIMESTAMPS: u32 = u32::from_ne_bytes([4, 2, 8, 10]);

/// What a SYN offers, or another segment has.
#[repr(C)]
pub(crate) struct Offer {
    /// Where the next option is in the TCP header.
    at: u32,
    /// Where they end.
    end: u32,
    has_segment_size: u32,
    pub(crate) has_selective_acknowledgement: u32,
    /// [`NO_WINDOW_SCALE`] if there is none.
    pub(crate) window_scale: u32,
    pub(crate) has_timestamp: u32,
    /// In network order.
    pub(crate) timestamp: u32,
    /// The timestamp that is echoed, in network order.
    pub(crate) echo: u32,
}

/// Rewrites a SYN into a SYN-ACK with a cookie, which offers what the SYN offered and the cookie can hold.
#[inline(always)]
pub(crate) fn answer(
    ctx: &XdpContext,
    segment: &Segment,
    listen: *mut Listener,
    config: &Config,
) -> Result<Reason, Reason> {
    let tcp_size = cookie::load_headers(ctx, segment)?;
    // Read once, and not userspace's: if that stopped, the listeners would take no cookie two minutes later.
    let now_ns = now_ns();
    if !cookie::tell_listeners(ctx, segment, tcp_size, listen, now_ns) && config.splices == 0 {
        // Nobody listens: the kernel says so. Spliced hosts need no listener.
        return Ok(Reason::Control);
    }
    let Some(cookie) = cookie::make(segment, tcp_size) else { return Ok(Reason::Control) };
    let offer = read_offer(tcp_size)?;
    let answer = Answer {
        sequence: cookie.to_be(),
        acknowledgement: (u32::from_be(segment.sequence).wrapping_add(1)).to_be(),
        flags: TcpHeader::SYN | TcpHeader::ACK,
        window: WINDOW,
    };
    let segment_size = segment_size(segment, config);
    // No longer than the SYN: what it does not offer is not answered, so this only matters for odd orders and paddings.
    if offer.has_timestamp != 0 && tcp_size >= 40 {
        let options = [
            segment_size,
            u32::from_ne_bytes(selective_acknowledgement_and_timestamp(offer.has_selective_acknowledgement != 0)),
            timestamp(offer, now_ns).to_be(),
            offer.timestamp,
            u32::from_ne_bytes(window_scale(offer.window_scale != NO_WINDOW_SCALE, config)),
        ];
        answer::transmit(ctx, segment, &answer, options)?;
    } else if offer.has_segment_size != 0 && tcp_size >= 24 {
        // Without timestamp there is no place to remember more than the segment size, which is in the cookie.
        answer::transmit(ctx, segment, &answer, [segment_size])?;
    } else {
        answer::transmit(ctx, segment, &answer, [])?;
    }
    Ok(Reason::SynAnswered)
}

#[inline(always)]
fn segment_size(segment: &Segment, config: &Config) -> u32 {
    let size = if segment.is_v4() { config.segment_size_v4 } else { config.segment_size_v6 };
    (0x0204_0000 | size & 0xffff).to_be()
}

#[inline(always)]
pub(crate) fn selective_acknowledgement_and_timestamp(selective_acknowledgement: bool) -> [u8; 4] {
    if selective_acknowledgement { [4, 2, 8, 10] } else { [NOTHING, NOTHING, 8, 10] }
}

#[inline(always)]
fn window_scale(offered: bool, config: &Config) -> [u8; 4] {
    if offered { [NOTHING, 3, 3, config.window_scale as u8] } else { [NOTHING; 4] }
}

/// The kernel's clock for timestamps, as of its last tick: a clock that is read anew costs as much as a look-up.
#[inline(always)]
pub(crate) fn now_ns() -> u64 {
    // SAFETY: the helper takes nothing and touches nothing.
    unsafe { bpf_ktime_get_coarse_ns() }
}

/// In the unit of timestamps.
#[inline(always)]
pub(crate) fn milliseconds(now_ns: u64) -> u32 {
    (now_ns / 1_000_000) as u32
}

/// The same with what the client can in its low bits; never ahead of the clock.
#[inline(always)]
fn timestamp(offer: &Offer, now_ns: u64) -> u32 {
    let now = milliseconds(now_ns);
    let selective = if offer.has_selective_acknowledgement != 0 { SELECTIVE_ACKNOWLEDGEMENT } else { 0 };
    let bits = offer.window_scale | selective;
    let marked = now >> TIMESTAMP_OPTION_BITS << TIMESTAMP_OPTION_BITS | bits;
    if marked > now { marked.wrapping_sub(1 << TIMESTAMP_OPTION_BITS) } else { marked }
}

/// Reads the options of a header that was loaded.
#[inline(always)]
pub(crate) fn read_offer(tcp_size: u32) -> Result<&'static Offer, Reason> {
    let scratch = maps::scratch().ok_or(Reason::Internal)?;
    scratch.offer = Offer {
        at: TcpHeader::SIZE,
        end: tcp_size,
        has_segment_size: 0,
        has_selective_acknowledgement: 0,
        window_scale: NO_WINDOW_SCALE,
        has_timestamp: 0,
        timestamp: 0,
        echo: 0,
    };
    if !scratch.offer.usual(&scratch.tcp) {
        // SAFETY: the callback has the signature that the helper expects, and takes no context.
        unsafe { bpf_loop(OPTIONS_MAX, step as *mut c_void, core::ptr::null_mut(), 0) };
    }
    Ok(&maps::scratch().ok_or(Reason::Internal)?.offer)
}

/// One option. Returns 1 to end the loop.
unsafe extern "C" fn step(_index: u32, _context: *mut c_void) -> i64 {
    match maps::scratch().map(|scratch| scratch.offer.option(&scratch.tcp)) {
        Some(Some(())) => 0,
        Some(None) | None => 1,
    }
}

impl Offer {
    /// Reads options in the order in which nearly all Unix systems write them, without a walk; false if they are in another.
    #[inline(always)]
    fn usual(&mut self, tcp: &maps::TcpBytes) -> bool {
        let [first, second, last] = [0, 4, 16].map(|at| maps::tcp_word(tcp, TcpHeader::SIZE + at));
        if self.end == TcpHeader::SIZE + 12 && first == TIMESTAMPS {
            (self.timestamp, self.echo) = (maps::tcp_word(tcp, 24), maps::tcp_word(tcp, 28));
            self.has_timestamp = 1;
            return true;
        }
        let [kind, size, ..] = first.to_ne_bytes();
        let [nothing, scale, length, shift] = last.to_ne_bytes();
        let is_syn =
            [kind, size] == [2, 4] && second == SELECTIVE_AND_TIMESTAMPS && [nothing, scale, length] == [NOTHING, 3, 3];
        if self.end != TcpHeader::SIZE + 20 || !is_syn {
            return false;
        }
        (self.timestamp, self.echo) = (maps::tcp_word(tcp, 28), maps::tcp_word(tcp, 32));
        self.window_scale = u32::from(shift).min(WINDOW_SCALE_MAX);
        (self.has_segment_size, self.has_selective_acknowledgement, self.has_timestamp) = (1, 1, 1);
        true
    }

    /// Reads the option at `at`; `None` if it is the last, or makes no sense.
    #[inline(always)]
    fn option(&mut self, tcp: &maps::TcpBytes) -> Option<()> {
        let at = self.at;
        if at >= self.end {
            return None;
        }
        let kind = maps::tcp_byte(tcp, at);
        if kind == 0 {
            return None;
        }
        if kind == NOTHING {
            self.at = at + 1;
            return Some(());
        }
        let length = u32::from(maps::tcp_byte(tcp, at + 1));
        if length < 2 || at + length > self.end {
            return None;
        }
        match (kind, length) {
            (2, 4) => self.has_segment_size = 1,
            (3, 3) => self.window_scale = u32::from(maps::tcp_byte(tcp, at + 2)).min(WINDOW_SCALE_MAX),
            (4, 2) => self.has_selective_acknowledgement = 1,
            (8, 10) => {
                self.has_timestamp = 1;
                self.timestamp = maps::tcp_word(tcp, at + 2);
                self.echo = maps::tcp_word(tcp, at + 6);
            }
            _ => {}
        }
        self.at = at + length;
        Some(())
    }
}
