//! Timestamps and selective acknowledgements of spliced connections.
//!
//! Nearly all segments have their options in one of two orders, the ones that RFC 7323 and RFC 2018 suggest; these are
//! translated where they are. Any other order takes a walk over a copy.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_csum_diff, bpf_loop, bpf_xdp_store_bytes},
    programs::XdpContext,
};
use filter_common::{
    Reason, opaque,
    splice::{FLOW_STRIP_SELECTIVE, Flow},
};

use crate::{
    cookie,
    flow::added,
    maps::{self, OPTIONS_MAX, Scratch, TcpBytes},
    packet::{Packet, Wire},
    parse::{Segment, TcpHeader},
    sum::Sum,
};

const NOTHING: u8 = 1;
const SELECTIVE_ACKNOWLEDGEMENT: u8 = 5;
const TIMESTAMPS: u8 = 8;
/// Two bytes of nothing, then timestamps.
const USUAL_TIMESTAMPS: u32 = u32::from_ne_bytes([NOTHING, NOTHING, TIMESTAMPS, 10]);
/// Bytes that timestamps take with what fills them up.
const TIMESTAMPS_SIZE: u32 = 12;
/// Most blocks that there is room for.
const BLOCKS_MAX: u32 = 4;
/// A kind for experiments (RFC 4727).
const UNKNOWN: u8 = 254;

/// What the walk over options needs of its flow.
#[repr(C)]
pub(crate) struct Walk {
    at: u32,
    end: u32,
    acknowledgement_add: u32,
    timestamp_add: u32,
    echo_add: u32,
    echo_floor: u32,
    strip: u32,
}

/// Translates the options of a segment that has some; `sum` goes on with what changed.
#[inline(always)]
pub(crate) fn translate(ctx: &XdpContext, segment: &Segment, flow: &Flow, sum: Sum) -> Result<Sum, Reason> {
    let packet = Packet::new(ctx);
    let at = segment.transport_at() + TcpHeader::SIZE;
    let size = segment.header_length() - TcpHeader::SIZE;
    let timestamps = if size < TIMESTAMPS_SIZE { None } else { Timestamps::usual(&packet, at) };
    let is_all = timestamps.is_some() && size == TIMESTAMPS_SIZE;
    let (blocks_at, blocks_size) = match timestamps {
        Some(_) => (at + TIMESTAMPS_SIZE, size.wrapping_sub(TIMESTAMPS_SIZE)),
        None => (at, size),
    };
    let strips = flow.flags & FLOW_STRIP_SELECTIVE != 0;
    if !is_all && (strips || !are_usual_blocks(&packet, blocks_at, blocks_size)) {
        return walk(ctx, segment, flow, sum);
    }
    let sum = timestamps.map_or(sum, |timestamps| timestamps.translate(flow, sum));
    if is_all {
        return Ok(sum);
    }
    blocks(&packet, flow, sum, blocks_at + 4, blocks_size).ok_or(Reason::Internal)
}

/// Timestamps where everybody writes them: behind two bytes of nothing, in front of all other options.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub(crate) struct Timestamps {
    kinds: u32,
    value: u32,
    echo: u32,
}

// SAFETY: integers, without anything between them.
unsafe impl Wire for Timestamps {}

impl Timestamps {
    /// Those at the beginning of the options, if that is what is there.
    #[inline(always)]
    pub(crate) fn usual(packet: &Packet, at: u32) -> Option<&'static mut Self> {
        packet.view::<Self>(at).filter(|timestamps| timestamps.kinds == USUAL_TIMESTAMPS)
    }

    /// Translates them; `sum` goes on with what changed.
    #[inline(always)]
    pub(crate) fn translate(&mut self, flow: &Flow, sum: Sum) -> Sum {
        let (value, echo) = (self.value, self.echo);
        self.value = added(value, flow.timestamp_add);
        self.echo = echoed(echo, flow.echo_add, flow.echo_floor);
        sum.replaced(value, self.value).replaced(echo, self.echo)
    }
}

/// A timestamp that is echoed, in network order; not one from before the receiver's first.
#[inline(always)]
fn echoed(echo: u32, add: u32, floor: u32) -> u32 {
    let echo = u32::from_be(echo).wrapping_add(add);
    (if (echo.wrapping_sub(floor) as i32) < 0 { floor } else { echo }).to_be()
}

/// Whether all that is here is a usual list of blocks: two bytes of nothing, then the option.
#[inline(always)]
fn are_usual_blocks(packet: &Packet, at: u32, size: u32) -> bool {
    let length = size.wrapping_sub(2) as u8;
    let usual = u32::from_ne_bytes([NOTHING, NOTHING, SELECTIVE_ACKNOWLEDGEMENT, length]);
    matches!(size, 12 | 20 | 28 | 36) && packet.read::<[u32; 1]>(at) == Some([usual])
}

#[inline(always)]
fn blocks(packet: &Packet, flow: &Flow, sum: Sum, at: u32, size: u32) -> Option<Sum> {
    let mut sum = sum;
    for block in 0..BLOCKS_MAX {
        if block * 8 + 4 >= size {
            break;
        }
        let [left, right]: [u32; 2] = packet.read(at + block * 8)?;
        let new = [added(left, flow.acknowledgement_add), added(right, flow.acknowledgement_add)];
        packet.write(at + block * 8, new)?;
        sum = sum.replaced(left, new[0]).replaced(right, new[1]);
    }
    Some(sum)
}

/// Translates options in any order, in a copy.
#[inline(never)]
fn walk(ctx: &XdpContext, segment: &Segment, flow: &Flow, sum: Sum) -> Result<Sum, Reason> {
    let size = cookie::load_headers(ctx, segment)?;
    let scratch = maps::scratch().ok_or(Reason::Internal)?;
    scratch.tcp_before = scratch.tcp;
    scratch.options = Walk {
        at: TcpHeader::SIZE,
        end: size,
        acknowledgement_add: flow.acknowledgement_add,
        timestamp_add: flow.timestamp_add,
        echo_add: flow.echo_add,
        echo_floor: flow.echo_floor,
        strip: u32::from(flow.flags & FLOW_STRIP_SELECTIVE != 0),
    };
    // SAFETY: the callback has the signature that the helper expects, and takes no context.
    unsafe { bpf_loop(OPTIONS_MAX, step as *mut c_void, core::ptr::null_mut(), 0) };
    let Scratch { tcp, tcp_before, .. } = maps::scratch().ok_or(Reason::Internal)?;
    // For the verifier: between 4 and the size of the buffer.
    let size = (opaque(size.wrapping_sub(TcpHeader::SIZE + 4)) & 0x3c) + 4;
    let options: *mut u8 = tcp.as_mut_ptr().wrapping_add(TcpHeader::SIZE as usize);
    let before: *mut u8 = tcp_before.as_mut_ptr().wrapping_add(TcpHeader::SIZE as usize);
    // SAFETY: both buffers have room for the longest header, which `size` does not exceed; `ctx` is the program's own.
    let change = unsafe {
        let change = bpf_csum_diff(before.cast(), size, options.cast(), size, 0);
        let at = segment.transport_at() + TcpHeader::SIZE;
        if change < 0 || bpf_xdp_store_bytes(ctx.as_ptr().cast(), at, options.cast(), size) != 0 {
            return Err(Reason::Internal);
        }
        change
    };
    Ok(sum.long(change as u32))
}

/// One option. Returns 1 to end the loop.
unsafe extern "C" fn step(_index: u32, _context: *mut c_void) -> i64 {
    match maps::scratch().map(|scratch| scratch.options.option(&mut scratch.tcp)) {
        Some(Some(())) => 0,
        Some(None) | None => 1,
    }
}

impl Walk {
    /// Translates the option at `at`; `None` if it is the last, or makes no sense.
    #[inline(always)]
    fn option(&mut self, tcp: &mut TcpBytes) -> Option<()> {
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
        match kind {
            SELECTIVE_ACKNOWLEDGEMENT => self.blocks(tcp, at, length),
            TIMESTAMPS if length == 10 => {
                let (value, echo) = (maps::tcp_word(tcp, at + 2), maps::tcp_word(tcp, at + 6));
                maps::set_tcp_word(tcp, at + 2, added(value, self.timestamp_add));
                maps::set_tcp_word(tcp, at + 6, echoed(echo, self.echo_add, self.echo_floor));
            }
            _ => {}
        }
        self.at = at + length;
        Some(())
    }

    #[inline(always)]
    fn blocks(&self, tcp: &mut TcpBytes, at: u32, length: u32) {
        for edge in 0..BLOCKS_MAX * 2 {
            if edge * 4 + 6 > length {
                break;
            }
            let place = at + 2 + edge * 4;
            maps::set_tcp_word(tcp, place, added(maps::tcp_word(tcp, place), self.acknowledgement_add));
        }
        if self.strip != 0 {
            // An option of a kind that nobody knows, as long as it was: whoever does not know an option skips it.
            maps::set_tcp_byte(tcp, at, UNKNOWN);
        }
    }
}
