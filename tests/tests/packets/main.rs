//! The packet plane as a table of packets, run in the kernel (`BPF_PROG_TEST_RUN`), and what surrounds it: loading, attaching,
//! choosing workers. Needs root and a daemon library that was built with the eBPF object (`cargo xtask test`).
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect should panic"
)]

mod closing;
mod corpus;
mod differential;
mod frame;
mod front;
mod hosts;
mod link;
mod loader;
mod loss;
mod pinning;
mod plane;
mod splice;
mod splice_lab;
mod splicing;
mod steering;
mod table;
mod translation;
mod vlan;
