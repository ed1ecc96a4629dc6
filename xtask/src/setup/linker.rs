//! `bpf-linker`, built once from crates.io into the tool cache.
//!
//! It must link with the same major version of LLVM that the compiler uses. 0.10.3 is the last release that can load the
//! LLVM inside a rustup toolchain (0.11 dropped that); with a distribution's LLVM the present release is used.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::run::{cache_dir, loudly, say};

/// Where Debian's `llvm-22-dev` lives.
pub(crate) const DEBIAN_LLVM_PREFIX: &str = "/usr/lib/llvm-22";
const DEBIAN_LLVM: u32 = 22;

/// The linker that loads the LLVM of a rustup toolchain.
pub(crate) fn for_rustup(llvm: u32) -> Result<PathBuf> {
    if !(20..=22).contains(&llvm) {
        bail!("its LLVM is {llvm}, and bpf-linker can load 20 to 22 from a Rust toolchain");
    }
    install("0.10.3", &format!("rust-llvm-{llvm}"), None)
}

/// The linker that is linked with Debian's LLVM.
pub(crate) fn for_debian(llvm: u32) -> Result<PathBuf> {
    if llvm != DEBIAN_LLVM {
        bail!("its rustc uses LLVM {llvm}, not {DEBIAN_LLVM}");
    }
    install("0.13.0", &format!("llvm-{DEBIAN_LLVM}"), Some(DEBIAN_LLVM_PREFIX))
}

/// Whether Debian's LLVM is installed with what linking needs.
pub(crate) fn debian_llvm() -> bool {
    Path::new(DEBIAN_LLVM_PREFIX).join("lib/libPolly.a").is_file()
}

fn install(version: &str, feature: &str, llvm_prefix: Option<&str>) -> Result<PathBuf> {
    let root = cache_dir()?.join(format!("bpf-linker-{version}-{feature}"));
    let linker = root.join("bin/bpf-linker");
    if linker.is_file() {
        return Ok(linker);
    }
    say(format_args!("building bpf-linker {version} ({feature}) into {}; this takes a minute or two", root.display()));
    // The developer's own cargo: a linker is an ordinary program.
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["install", "--quiet", "bpf-linker", "--version", version, "--locked", "--no-default-features"])
        .args(["--features", feature, "--no-track", "--root"])
        .arg(&root)
        // Not inside the checkout, whose .cargo and lock files are about this workspace.
        .current_dir(cache_dir()?);
    if let Some(prefix) = llvm_prefix {
        cargo.env("LLVM_PREFIX", prefix);
    }
    loudly(&mut cargo).context("bpf-linker did not build")?;
    Ok(linker)
}
