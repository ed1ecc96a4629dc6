//! Kernel/user ABI of mtls-filter: what the eBPF programs and the daemon must agree on, written once and compiled by both.
//!
//! * [`layout`]: keys and values of the maps, `repr(C)`, no implicit padding, addresses and ports in network order;
//! * [`splice`]: those of spliced connections;
//! * [`maps`]: names and sizes of the maps, names of the programs;
//! * [`Reason`]: why a packet was passed, dropped or answered; one per packet, shared by counters, metrics and logs;
//! * `batch` (feature `user`): reading a whole map;
//! * [`mod@bench`]: what only the bench of the packet plane needs;
//! * [`hello`]: the ClientHello parser, the same code in the kernel and in userspace.
//!
//! `abi.txt` beside this crate is the whole ABI as text; the test `abi_is_the_golden_one` fails when they differ, so that a
//! change is seen in review and [`ABI_VERSION`] is raised with it.
#![no_std]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

#[cfg(any(test, feature = "user"))]
extern crate std;

#[cfg(feature = "user")]
pub mod batch;
pub mod bench;
#[cfg(test)]
mod golden;
mod hash;
pub mod hello;
pub mod layout;
pub mod maps;
mod opaque;
mod reason;
pub mod splice;

pub use crate::{
    opaque::{opaque, opaque_address, opaque_mut},
    reason::{Action, REASONS, Reason},
};

/// Raised whenever `abi.txt` changes. Checked when the object is loaded and when pinned maps are adopted.
pub const ABI_VERSION: u32 = 8;
