//! The ClientHello of a segment: its bytes into the work area, then the parser of `filter_common` over them.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_loop, bpf_xdp_load_bytes},
    programs::XdpContext,
};
use filter_common::{
    Reason,
    hello::{HELLO_MAX, Hello, STEPS_MAX},
    opaque, opaque_mut,
};

use crate::{maps, packet::Packet, parse::Segment};

const RECORD_HANDSHAKE: u8 = 22;
/// Extensions that are looked at without calling back, which costs more than looking: many programs begin with the name.
const FIRST_STEPS: u32 = 4;

/// Whether the payload at `at` may begin with a ClientHello: spares most data segments the copy.
#[inline(always)]
pub(crate) fn could_begin(packet: &Packet, at: u32) -> bool {
    packet.read::<u8>(at) == Some(RECORD_HANDSHAKE)
}

/// Parses the payload of a segment that has some.
#[inline(always)]
pub(crate) fn find(ctx: &XdpContext, segment: &Segment) -> Result<Hello, Reason> {
    let (at, length) = (segment.payload_at(), segment.payload_length());
    let present = if length > HELLO_MAX as u32 { HELLO_MAX as u32 } else { length };
    // For the verifier: between 1 and the size of the buffer.
    let present = (opaque(present.wrapping_sub(1)) & (HELLO_MAX as u32 - 1)) + 1;
    let scratch = maps::scratch().ok_or(Reason::Internal)?;
    // SAFETY: `ctx` is the program's own context, and the buffer holds HELLO_MAX bytes, which `present` does not exceed.
    if unsafe { bpf_xdp_load_bytes(ctx.as_ptr().cast(), at, scratch.stash.bytes.as_mut_ptr().cast(), present) } != 0 {
        return Err(Reason::Internal);
    }
    scratch.walk.begin(&scratch.stash.bytes, present);
    for _ in 0..FIRST_STEPS {
        if !scratch.walk.step(&scratch.stash.bytes) {
            return Ok(opaque_mut(&mut scratch.walk).hello());
        }
    }
    // A plain loop of 65 rounds would be verified round by round; a callback is verified once.
    // SAFETY: the callback has the signature that the helper expects, and takes no context.
    unsafe { bpf_loop(STEPS_MAX, step as *mut c_void, core::ptr::null_mut(), 0) };
    Ok(maps::scratch().ok_or(Reason::Internal)?.walk.hello())
}

/// One extension. Returns 1 to end the loop.
unsafe extern "C" fn step(_index: u32, _context: *mut c_void) -> i64 {
    match maps::scratch().map(|scratch| scratch.walk.step(&scratch.stash.bytes)) {
        Some(true) => 0,
        Some(false) | None => 1,
    }
}
