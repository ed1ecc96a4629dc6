//! The one place where packet memory is read and written.

use aya_ebpf::programs::XdpContext;
use filter_common::opaque_address;

/// Types that can be read from and written to a packet, wherever they are in it: any bytes are a value.
///
/// Their fields are integers whose bytes in memory are in network order. Not arrays of bytes: LLVM would put those on the
/// stack and then write words over them at addresses that the verifier refuses.
///
/// # Safety
///
/// No padding, no invalid bit patterns.
pub(crate) unsafe trait Wire: Copy {}

// SAFETY: integers.
unsafe impl Wire for u8 {}
// SAFETY: integers.
unsafe impl Wire for u16 {}
// SAFETY: integers, without anything between them.
unsafe impl<const N: usize> Wire for [u16; N] {}
// SAFETY: integers, without anything between them.
unsafe impl<const N: usize> Wire for [u32; N] {}

/// The memory of the packet a program runs on.
#[derive(Clone, Copy)]
pub(crate) struct Packet {
    start: usize,
    end: usize,
}

impl Packet {
    /// The packet of `ctx`. Must be made anew after its size was changed.
    #[inline(always)]
    pub(crate) fn new(ctx: &XdpContext) -> Self {
        Self { start: ctx.data(), end: ctx.data_end() }
    }

    /// Bytes from the Ethernet header on.
    #[inline(always)]
    pub(crate) fn length(&self) -> u32 {
        (self.end - self.start) as u32
    }

    /// The value at `offset`, if the packet reaches that far.
    #[inline(always)]
    pub(crate) fn read<T: Wire>(&self, offset: u32) -> Option<T> {
        let place = self.place::<T>(offset)?.cast_const();
        // SAFETY: `place` checked that the value lies within the packet; `Wire` types have no invalid values.
        Some(unsafe { place.read_unaligned() })
    }

    /// Replaces the value at `offset`, if the packet reaches that far.
    #[inline(always)]
    pub(crate) fn write<T: Wire>(&self, offset: u32, value: T) -> Option<()> {
        let place = self.place::<T>(offset)?;
        // SAFETY: as for reading; packet memory is this program's alone while it runs.
        unsafe { place.write_unaligned(value) };
        Some(())
    }

    #[inline(always)]
    fn place<T: Wire>(&self, offset: u32) -> Option<*mut T> {
        let place = self.start + offset as usize;
        // Opaque, or LLVM turns the check of a single byte into `place >= end`, from which the verifier learns nothing.
        if opaque_address(place + size_of::<T>()) > self.end { None } else { Some(place as *mut T) }
    }
}
