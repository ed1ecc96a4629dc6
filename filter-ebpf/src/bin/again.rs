//! For benches: runs another program on one packet again and again.
//!
//! `BPF_PROG_TEST_RUN` repeats a program on what the last run has left of the packet, so a program that rewrites packets would see
//! its own answer. This one puts the packet back first, and goes on to the program that is measured.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(
    missing_docs,
    unreachable_pub,
    reason = "aya's program macros make a public function of each program, without its documentation"
)]

use core::arch::asm;

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

/// Bytes of headers at most: Ethernet with two tags, IPv6, TCP with all its options; in whole words.
const HEADERS: usize = 128;

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
    if change != 0 || template.length < HEADERS as u32 {
        // SAFETY: the program's own context; no pointer into the packet is used here.
        if change != 0 && unsafe { bpf_xdp_adjust_tail(ctx.as_ptr().cast(), change) } != 0 {
            return None;
        }
        // For the verifier: between 1 and the size of the buffer.
        let length = (opaque(template.length.wrapping_sub(1)) & (TEMPLATE_BYTES as u32 - 1)) + 1;
        // SAFETY: the program's own context, and a buffer of at least `length` bytes.
        if unsafe { bpf_xdp_store_bytes(ctx.as_ptr().cast(), 0, template.bytes.as_mut_ptr().cast(), length) } != 0 {
            return None;
        }
    }
    headers(ctx, template);
    settle(template);
    Some(())
}

/// Puts the headers back, which is all that is rewritten in a packet that keeps its length. Word by word: the kernel copies with
/// an instruction whose stores a processor does not hand on to the loads behind it, and the wait would count for what is measured.
#[inline(always)]
fn headers(ctx: &XdpContext, template: &Template) {
    for at in (0..HEADERS).step_by(size_of::<u64>()) {
        let place = ctx.data() + at;
        if place + size_of::<u64>() > ctx.data_end() {
            return;
        }
        // SAFETY: both are that long: the packet was just compared, and the template is longer than all headers.
        unsafe {
            let word: *const u64 = template.bytes.as_ptr().add(at).cast();
            (place as *mut u64).write_unaligned(word.read_unaligned());
        }
    }
}

/// Waits until everything that was written is in the cache, where the program that is measured would find a packet: a load of
/// bytes from two stores that are still under way waits as well, and would be counted.
#[inline(always)]
fn settle(template: &mut Template) {
    // SAFETY: the first bytes of the template, which are aligned as map values are, and stay as they are.
    unsafe { asm!("lock *(u64 *)({0} + 0) |= {1}", in(reg) &raw mut *template, in(reg) 0_u64) };
}

/// The verifier rejects an endless loop, and with it every panic that could be reached.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
