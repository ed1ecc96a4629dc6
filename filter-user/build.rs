//! Embeds the eBPF object that `cargo xtask build` made, or a stub that fails by name when it is loaded.
//!
//! So `cargo check`, clippy, rust-analyzer and plain `cargo test` need neither the BPF toolchain nor root.

use std::{env, error::Error, fs, path::PathBuf};

/// Set by xtask, which checks that what it built does not hold the stub.
const OBJECT_VARIABLE: &str = "MTLS_FILTER_BPF_OBJECT";
/// `kernel::object` knows the stub by its beginning, xtask by its end.
const STUB: &[u8] = b"mtls-filter stub: no eBPF object was built; use `cargo xtask build`\n";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed={OBJECT_VARIABLE}");
    let embedded = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?).join("filter-ebpf.o");
    match env::var_os(OBJECT_VARIABLE) {
        Some(object) => {
            let object = PathBuf::from(object);
            println!("cargo::rerun-if-changed={}", object.display());
            fs::copy(&object, &embedded).map_err(|error| {
                format!("{OBJECT_VARIABLE} names {}, which cannot be read: {error}", object.display())
            })?;
        }
        None => fs::write(&embedded, STUB)?,
    }
    Ok(())
}
