//! The packet plane: an XDP program on the edge's interface and an `sk_reuseport` program in front of the workers.
//!
//! | module | concern |
//! |---|---|
//! | [`maps`] | every map |
//! | [`packet`] | the one place where packet memory is read and written |
//! | [`parse`] | Ethernet, VLAN, IP, TCP and UDP headers |
//! | [`hello`] | the ClientHello of a segment |
//! | [`hosts`] | looking a server name up |
//! | [`express`] | packets as nearly all are: those of spliced connections leave here |
//! | [`verdict`] | the decision: which reason any other packet gets |
//! | [`deny`] | networks that the rules block whatever the request, and addresses that are punished |
//! | [`front`] | the SYN-cookie front: what a segment is to a connection that nothing knows of yet |
//! | [`cookie`], [`syn`] | SYN cookies, the SYN-ACK that carries them |
//! | [`sockets`], [`passed`] | the kernel's sockets, and which connections it has |
//! | [`answer`], [`reset`], [`sum`] | rewriting a packet into its answer, the RST that refuses, checksums |
//! | [`orphan`] | segments that belong to nothing |
//! | [`opening`], [`claim`] | the beginning of a spliced connection, its port and entries |
//! | [`replay`], [`proxy`] | the origin's answer turned into what the client said |
//! | [`flow`], [`options`], [`link`] | its packets: translation, options, the way out |
//! | [`too_big`] | routers' messages about its packets |
//! | [`closing`], [`flags`] | its end, and what both directions write |
//! | [`counters`], [`log`] | what is kept of a packet |
//! | [`steer`] | the worker of a connection |
//!
//! Userspace is the authority: this program passes whatever it is not sure about, and refuses only what a worker would refuse.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "keys and values that are moved go by way of the stack, which is small"
)]
#![expect(
    missing_docs,
    unreachable_pub,
    reason = "aya's program macros make a public function of each program, without its documentation"
)]

mod answer;
mod claim;
mod closing;
mod cookie;
mod counters;
mod deny;
mod express;
mod flags;
mod flow;
mod front;
mod hello;
mod hosts;
mod link;
mod log;
mod maps;
mod opening;
mod options;
mod orphan;
mod packet;
mod parse;
mod passed;
mod proxy;
mod replay;
mod reset;
mod sockets;
mod steer;
mod sum;
mod syn;
mod too_big;
mod verdict;

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, sk_action, xdp_action},
    helpers::generated::bpf_get_prandom_u32,
    macros::{classifier, sk_reuseport, xdp},
    programs::{SkReuseportContext, TcContext, XdpContext},
};
use filter_common::{ABI_VERSION, Action, REASONS};

use crate::packet::Packet;

/// The program of the edge's interface: every packet leaves through this function, under one reason.
#[xdp]
pub fn mtls_filter(ctx: XdpContext) -> u32 {
    let bytes = Packet::new(&ctx).length();
    let taken = express::forward(&ctx);
    if taken < REASONS {
        counters::count(taken, bytes);
        return xdp_action::XDP_REDIRECT;
    }
    let reason = verdict::inspect(&ctx, taken == express::READ);
    counters::count(reason.into(), bytes);
    match reason.action() {
        Action::Pass => xdp_action::XDP_PASS,
        Action::Drop => xdp_action::XDP_DROP,
        Action::Transmit => xdp_action::XDP_TX,
        Action::Redirect => xdp_action::XDP_REDIRECT,
    }
}

/// Turns an origin's answer into what its client said. Everything else goes on to the kernel.
#[classifier]
pub fn mtls_replay(ctx: TcContext) -> i32 {
    match replay::answer(&ctx) {
        Some(()) => TC_ACT_SHOT,
        None => TC_ACT_UNSPEC,
    }
}

/// Gives a new connection to the worker of the CPU that handles it, or leaves the choice to the kernel.
#[sk_reuseport]
pub fn mtls_steer(ctx: SkReuseportContext) -> u32 {
    // Without a selection the kernel chooses by hash, which is always right, only slower.
    let _ = steer::to_this_cpu(&ctx);
    sk_action::SK_PASS
}

/// Passes everything. A veth delivers what its peer sends by `XDP_TX` only to an interface that has a program itself.
#[xdp]
pub fn xdp_pass(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Passes nine frames of ten: a bad link, for the lab.
#[xdp]
pub fn xdp_lossy(_ctx: XdpContext) -> u32 {
    // SAFETY: the helper takes nothing and touches nothing.
    let random = unsafe { bpf_get_prandom_u32() };
    if random % 10 == 0 { xdp_action::XDP_DROP } else { xdp_action::XDP_PASS }
}

/// Says which ABI this object was built with; the loader runs it once and never attaches it.
#[xdp]
pub fn mtls_abi(_ctx: XdpContext) -> u32 {
    ABI_VERSION
}

/// The verifier rejects an endless loop, and with it every panic that could be reached.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
