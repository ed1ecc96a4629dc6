//! The packet plane as userspace sees it: loading, attaching, filling maps, reading counters. Only this module names aya.
//!
//! * [`Kernel`] is the XDP program attached to the edge's interface. Maps are filled before it is attached, and it is
//!   detached when the value is dropped.
//! * [`Program`] is the same program loaded but not attached: what [`Kernel`] is made of, and what packet tests run.
//! * [`Steering`] gives new connections to the worker of the CPU that handles them. It needs privilege, but no XDP, and works
//!   in socket mode too.
//! * [`Flow`] is a spliced connection as it is now.
//! * [`KernelPlan`] is what a snapshot wants the maps to hold.

mod attach;
mod cookies;
mod deny;
mod error;
mod flows;
mod host;
mod hosts;
mod interfaces;
mod listen;
mod log;
mod maglev;
mod object;
mod penalties;
mod pins;
mod plan;
mod program;
mod reset;
mod routes;
mod steering;
mod targets;
mod watch;

pub(crate) use self::error::with_causes;
pub use self::{
    attach::{AttachedMode, Kernel, KernelConfig, Mode, SPLICE_PORTS, detach_pinned},
    cookies::Setting,
    error::KernelError,
    flows::{Flow, HostCount},
    hosts::Changes,
    log::KernelLog,
    penalties::Penalty,
    plan::{HostAction, KernelPlan, Network, SpliceTo},
    program::{Count, Program, Run},
    steering::{Group, Steering},
    targets::Path,
};
