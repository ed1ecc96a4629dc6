//! What a veth needs on its other end for native XDP.
//!
//! Packets that XDP sends out of one end (`XDP_TX`, `XDP_REDIRECT`) arrive at the other end as bare frames, and the kernel drops
//! those, silently and counted as sent, unless the other end has an XDP program as well. A network card on a wire needs no such thing.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use aya::Ebpf;
use aya::programs::{Xdp, XdpMode};

use super::namespace::Namespace;

/// Environment variable that names the eBPF object.
const OBJECT_VARIABLE: &str = "MTLS_FILTER_LAB_OBJECT";
/// The program that lets everything pass.
const PROGRAM: &str = "xdp_pass";

/// A program that lets everything pass, attached to one interface until it is dropped.
#[derive(Debug)]
pub struct Receiver(#[expect(dead_code, reason = "keeps the program attached")] Ebpf);

impl Receiver {
    /// Attaches the program to `interface` in `namespace`.
    ///
    /// # Errors
    /// If there is no eBPF object, or the kernel refuses it.
    pub fn attach(namespace: &Namespace, interface: &str) -> Result<Self> {
        let object = object()?;
        namespace.enter(|| {
            let mut ebpf = Ebpf::load_file(&object).with_context(|| format!("cannot load {}", object.display()))?;
            let program = ebpf.program_mut(PROGRAM);
            let program: &mut Xdp = program.with_context(|| format!("no program {PROGRAM}"))?.try_into()?;
            program.load().with_context(|| format!("the kernel refuses {PROGRAM}"))?;
            program.attach(interface, XdpMode::Driver).with_context(|| format!("cannot attach to {interface}"))?;
            Ok(Self(ebpf))
        })
    }
}

fn object() -> Result<PathBuf> {
    let path = std::env::var_os(OBJECT_VARIABLE).map(PathBuf::from);
    let path = path.with_context(|| format!("{OBJECT_VARIABLE} is not set: `cargo xtask test` and `demo` set it"))?;
    if !path.is_file() {
        bail!("{OBJECT_VARIABLE} names {}, which is not a file", path.display());
    }
    Ok(path)
}
