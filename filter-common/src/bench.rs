//! What the bench of the packet plane and its program share; no part of the ABI between daemon and programs.

/// Most bytes of a packet.
pub const TEMPLATE_BYTES: usize = 2048;

/// The map with the one packet: an array of one [`Template`].
pub const TEMPLATE: &str = "TEMPLATE";
/// The map with the one program that is measured.
pub const MEASURED: &str = "MEASURED";
/// The program that puts the packet back and goes on to the one that is measured.
pub const PROGRAM_AGAIN: &str = "again";
/// A program that does nothing.
pub const PROGRAM_NOTHING: &str = "nothing";

/// A packet.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Template {
    /// Its length.
    pub length: u32,
    /// Its bytes, then anything.
    pub bytes: [u8; TEMPLATE_BYTES],
}

const _: () = assert!(size_of::<Template>() == 4 + TEMPLATE_BYTES && TEMPLATE_BYTES.is_power_of_two());

/// Userspace may hand it to the kernel as bytes.
#[cfg(feature = "user")]
// SAFETY: `repr(C)` of integers, with no implicit padding: the assertion on the size would fail with any.
unsafe impl aya::Pod for Template {}
