//! For benches: runs another program on one packet again and again.
//!
//! `BPF_PROG_TEST_RUN` repeats a program on what the last run has left of the packet, so a program that rewrites packets would see
//! its own answer. This one puts the packet back first, and goes on to the program that is measured.
#![no_std]
#![no_main]
#![expect(
    missing_docs,
    unreachable_pub,
    reason = "aya's program macros make a public function of each program, without its documentation"
)]

use aya_ebpf::{
    EbpfContext as _,
    bindings::xdp_action,
    helpers::generated::{bpf_xdp_adjust_tail, bpf_xdp_store_bytes},
    macros::{map, xdp},
    maps::{Array, ProgramArray},
    programs::XdpContext,
};
use filter_common::{
    bench::{TEMPLATE_BYTES, Template},
    opaque,
};

#[map]
static TEMPLATE: Array<Template> = Array::with_max_entries(1, 0);

#[map]
static MEASURED: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Puts the packet back, and goes on to the program that is measured.
#[xdp]
pub fn again(ctx: XdpContext) -> u32 {
    if restore(&ctx).is_some() {
        // SAFETY: both are programs of XDP, and the context is this one's own.
        unsafe { MEASURED.tail_call(&ctx, 0) };
    }
    xdp_action::XDP_ABORTED
}

/// What `again` costs by itself is measured with this one.
#[xdp]
pub fn nothing(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

#[inline(always)]
fn restore(ctx: &XdpContext) -> Option<()> {
    let template = TEMPLATE.get_ptr_mut(0)?;
    // SAFETY: the one entry of an array, which userspace does not write while the program runs.
    let template = unsafe { &mut *template };
    let change = template.length as i32 - (ctx.data_end() - ctx.data()) as i32;
    // SAFETY: the program's own context; no pointer into the packet is used here.
    if change != 0 && unsafe { bpf_xdp_adjust_tail(ctx.as_ptr().cast(), change) } != 0 {
        return None;
    }
    // For the verifier: between 1 and the size of the buffer.
    let length = (opaque(template.length.wrapping_sub(1)) & (TEMPLATE_BYTES as u32 - 1)) + 1;
    // SAFETY: the program's own context, and a buffer of at least `length` bytes.
    let failed = unsafe { bpf_xdp_store_bytes(ctx.as_ptr().cast(), 0, template.bytes.as_mut_ptr().cast(), length) };
    if failed == 0 { Some(()) } else { None }
}

/// The verifier rejects an endless loop, and with it every panic that could be reached.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
