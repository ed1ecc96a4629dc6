//! The embedded eBPF object.

use aya::{Ebpf, EbpfLoader, programs::Program};
use filter_common::ABI_VERSION;

use super::{
    KernelError,
    pins::{KEPT, Pins},
    program,
};

/// What `build.rs` embedded: the object, or the stub.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/filter-ebpf.o"));

/// What the stub starts with; `build.rs` writes it.
const STUB_MARKER: &[u8] = b"mtls-filter stub: no eBPF";

/// Creates the object's maps; its programs are loaded one by one.
pub(super) fn load() -> Result<Ebpf, KernelError> {
    load_from(OBJECT, None)
}

/// The same, but some of its maps are those that are pinned, or are pinned now.
pub(super) fn load_pinned(pins: &Pins) -> Result<Ebpf, KernelError> {
    load_from(OBJECT, Some(pins))
}

fn load_from(object: &[u8], pins: Option<&Pins>) -> Result<Ebpf, KernelError> {
    if object.starts_with(STUB_MARKER) {
        return Err(KernelError::Stub);
    }
    let mut loader = EbpfLoader::new();
    if let Some(pins) = pins {
        for name in KEPT {
            loader.map_pin_path(name, pins.map(name));
        }
    }
    let mut ebpf = loader.load(object).map_err(|source| KernelError::Object(Box::new(source)))?;
    check_abi(&mut ebpf)?;
    Ok(ebpf)
}

/// A program of the object by its name and type.
pub(super) fn program<'a, P>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, KernelError>
where
    &'a mut P: TryFrom<&'a mut Program>,
{
    ebpf.program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or(KernelError::Missing { what: "program", name })
}

/// Asks the object for the ABI it was compiled with, by running the program that returns it.
fn check_abi(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    let object = program::abi_version(ebpf)?;
    if object == ABI_VERSION { Ok(()) } else { Err(KernelError::Abi { object, daemon: ABI_VERSION }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stub_fails_by_name() {
        let error = load_from(b"mtls-filter stub: no eBPF object was built\n", None).unwrap_err();
        assert!(matches!(error, KernelError::Stub) && error.to_string().contains("cargo xtask build"), "{error}");
    }

    #[test]
    fn what_is_neither_object_nor_stub_is_refused() {
        assert!(matches!(load_from(b"\x7fELF and then nothing", None), Err(KernelError::Object(_))));
    }

    #[test]
    fn what_is_embedded_is_an_object_or_the_stub() {
        assert!(OBJECT.starts_with(b"\x7fELF") || OBJECT.starts_with(STUB_MARKER));
    }
}
