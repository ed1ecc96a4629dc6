//! `cargo xtask build`: the eBPF object first, then the daemon that carries it.
//!
//! `filter-user/build.rs` embeds the object named by [`OBJECT_VARIABLE`]; without it, it embeds a stub that fails by name when
//! loaded. So plain `cargo build` needs no BPF toolchain, and what this verb builds always holds the real program.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    run::{loudly, say, workspace_root},
    setup::{self, Toolchain},
};

/// Tells `filter-user/build.rs` where the eBPF object is.
pub(crate) const OBJECT_VARIABLE: &str = "MTLS_FILTER_BPF_OBJECT";
/// The end of the stub that `filter-user/build.rs` writes. Not its beginning, by which the daemon itself knows the stub and
/// which is therefore in every daemon.
const STUB_MARKER: &[u8] = b"object was built; use `cargo xtask build`\n";

/// Options of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Optimise the daemon. The eBPF object always is optimised: unoptimised code does not pass the kernel's verifier.
    #[arg(long)]
    release: bool,
}

/// How the daemon is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// For tests and the demo.
    Dev,
    /// For use.
    Release,
}

/// What was built.
#[derive(Debug)]
pub(crate) struct Artifacts {
    /// The eBPF object.
    pub(crate) object: PathBuf,
    /// The daemon.
    pub(crate) mtls_filter: PathBuf,
}

impl Artifacts {
    /// A `cargo` command of the developer's own toolchain that embeds the object; for tests and benches, which must see what was built.
    pub(crate) fn cargo(&self, verb: &str) -> Command {
        let mut cargo = cargo(verb);
        cargo.env(OBJECT_VARIABLE, &self.object);
        cargo
    }
}

/// The verb.
pub(crate) fn run(args: &Args) -> Result<()> {
    let artifacts = build(if args.release { Profile::Release } else { Profile::Dev })?;
    println!("{}", artifacts.mtls_filter.display());
    Ok(())
}

/// Builds the eBPF object and the daemon.
pub(crate) fn build(profile: Profile) -> Result<Artifacts> {
    let object = object(&setup::ensure()?)?;
    let (directory, flag) = match profile {
        Profile::Dev => ("debug", None),
        Profile::Release => ("release", Some("--release")),
    };
    let artifacts = Artifacts { object, mtls_filter: target_dir().join(directory).join("mtls-filter") };
    say(format_args!("building the daemon ({directory})"));
    loudly(artifacts.cargo("build").args(["--package", "filter-user", "--bin", "mtls-filter"]).args(flag))?;
    refuse_stub(&artifacts.mtls_filter)?;
    Ok(artifacts)
}

/// Builds the eBPF object.
pub(crate) fn object(toolchain: &Toolchain) -> Result<PathBuf> {
    say("building the eBPF object");
    loudly(ebpf_cargo(toolchain, "build").arg("--release"))?;
    let object = ebpf_target_dir().join(ebpf_target()).join("release/filter-ebpf");
    object.is_file().then_some(object).context("the eBPF crate was built, but its object is not where it should be")
}

/// A `cargo` command on the eBPF crate for the BPF target, with the toolchain that can do it.
pub(crate) fn ebpf_cargo(toolchain: &Toolchain, verb: &str) -> Command {
    let flags = [
        &format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH),
        // Packet data is at odd addresses, and every machine that the kernel's JIT is for reads words from there.
        "-Ctarget-feature=+allows-misaligned-mem-access",
        // 32-bit instructions, which the kernel has had since 5.1.
        "-Ctarget-cpu=v3",
        // BTF is made from the debug information.
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
        &format!("-Clinker={}", toolchain.linker.display()),
    ];
    let mut cargo = Command::new(&toolchain.cargo);
    cargo
        .current_dir(workspace_root())
        .arg(verb)
        .args(["--package", "filter-ebpf", "-Z", "build-std=core", "--target", ebpf_target(), "--target-dir"])
        .arg(ebpf_target_dir())
        .env("RUSTC", &toolchain.rustc)
        // A stable compiler takes -Z only with this; nightly does not mind.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("LD_LIBRARY_PATH", &toolchain.library_dir)
        // The caller's toolchain choice is about everything but this crate.
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER");
    cargo
}

fn cargo(verb: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace_root()).arg(verb).arg("--target-dir").arg(target_dir());
    cargo
}

fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace_root().join("target"), PathBuf::from)
}

/// Apart from the host's, so that two toolchains do not rebuild each other's output.
fn ebpf_target_dir() -> PathBuf {
    target_dir().join("ebpf")
}

fn ebpf_target() -> &'static str {
    if cfg!(target_endian = "big") { "bpfeb-unknown-none" } else { "bpfel-unknown-none" }
}

fn refuse_stub(daemon: &Path) -> Result<()> {
    let bytes = std::fs::read(daemon).with_context(|| format!("cannot read {}", daemon.display()))?;
    if bytes.windows(STUB_MARKER.len()).any(|window| window == STUB_MARKER) {
        bail!("{} holds the stub instead of the eBPF object; this is a defect of the build", daemon.display());
    }
    Ok(())
}
