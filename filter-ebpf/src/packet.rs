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
pub(crate) unsafe trait Wire: Copy {
    /// Writes the value to a place that it has room at.
    ///
    /// # Safety
    ///
    /// The place may be written to, as far as the value's size.
    #[inline(always)]
    unsafe fn write_to(self, place: *mut Self) {
        // SAFETY: the caller's promise.
        unsafe { place.write_unaligned(self) };
    }
}

// SAFETY: integers.
unsafe impl Wire for u8 {}
// SAFETY: integers.
unsafe impl Wire for u16 {}
// SAFETY: integers, without anything between them.
unsafe impl<const N: usize> Wire for [u16; N] {}
// SAFETY: integers, without anything between them.
unsafe impl<const N: usize> Wire for [u32; N] {
    #[inline(always)]
    unsafe fn write_to(self, place: *mut Self) {
        // SAFETY: the caller's promise.
        unsafe { put_words(&self, place) };
    }
}

/// Writes words one by one: LLVM would call memmove for all of them, a loop over bytes.
///
/// # Safety
///
/// The place may be written to, as far as the words' size.
#[inline(always)]
pub(crate) unsafe fn put_words<const N: usize>(words: &[u32; N], place: *mut [u32; N]) {
    let place: *mut Word = place.cast();
    for (index, word) in words.iter().enumerate() {
        // SAFETY: the caller's promise. Volatile, or LLVM puts the loop together again.
        unsafe { place.add(index).write_volatile(Word(*word)) };
    }
}

/// Four bytes anywhere.
#[repr(C, packed)]
#[derive(Clone, Copy)]
struct Word(u32);

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

    /// The same for a function that does nothing with its context but this, and is not inlined: LLVM would pass it the two ends
    /// of the packet instead, as halves of registers, which the verifier does not take for pointers.
    #[inline(always)]
    pub(crate) fn of_argument(ctx: &XdpContext) -> Self {
        Self::new(&XdpContext::new(opaque_address(ctx.ctx as usize) as *mut _))
    }

    /// The packet between these addresses, which must be those that the kernel names.
    #[inline(always)]
    pub(crate) fn between(start: usize, end: usize) -> Self {
        Self { start, end }
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
        unsafe { value.write_to(place) };
        Some(())
    }

    /// The bytes at `offset` as a `T`, to be read and changed where they are. One at a time: nothing stops two from being the same.
    #[inline(always)]
    pub(crate) fn view<T: Wire>(&self, offset: u32) -> Option<&'static mut T> {
        const { assert!(align_of::<T>() == 1) };
        let place = self.place::<T>(offset)?;
        // SAFETY: as for reading and writing, and of no alignment. It is not used once the packet's size was changed, nor beside
        // another of the same bytes.
        Some(unsafe { &mut *place })
    }

    /// Copies `N` words from `offset` to the beginning of `to`, if the packet reaches that far. The kernel's helper copies with an
    /// instruction that a processor takes long to begin, and whose stores it does not hand on to the loads behind.
    #[inline(always)]
    pub(crate) fn copy<const N: usize, const SIZE: usize>(&self, offset: u32, to: &mut [u8; SIZE]) -> Option<()> {
        const { assert!(N * size_of::<u32>() <= SIZE) };
        let from: *const Word = self.place::<[u32; N]>(offset)?.cast_const().cast();
        let to: *mut Word = to.as_mut_ptr().cast();
        for word in 0..N {
            // SAFETY: both are that long. Volatile, or LLVM puts the loop together again and calls memcpy.
            unsafe { to.add(word).write_volatile(from.add(word).read_volatile()) };
        }
        Some(())
    }

    #[inline(always)]
    fn place<T: Wire>(&self, offset: u32) -> Option<*mut T> {
        let place = self.start + offset as usize;
        // Opaque, or LLVM turns the check of a single byte into `place >= end`, from which the verifier learns nothing.
        if opaque_address(place + size_of::<T>()) > self.end { None } else { Some(place as *mut T) }
    }
}
