//! Looking a server name up in the table of hosts: as it is, then as one label below a wildcard.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_loop, bpf_xdp_load_bytes},
    programs::XdpContext,
};
use filter_common::{
    Reason,
    hello::last_byte_is_unusual,
    layout::{HOST_TERMINATE, HostKey},
    opaque,
};

use crate::maps::{self, Scratch};

/// A key is compared and hashed whole, and put together eight bytes at a time.
const KEY_WORDS: usize = size_of::<HostKey>() / 8;

/// What the table says about a name.
pub(crate) enum Found {
    /// A worker terminates this host's connections.
    Terminate,
    /// Not in the table, but userspace may read the name otherwise.
    Unusual,
    /// Not in the table.
    Nothing,
}

/// Looks up the name of `length` bytes (1 to 255) at `at`.
#[inline(always)]
pub(crate) fn find(ctx: &XdpContext, at: u32, length: u32) -> Result<Found, Reason> {
    let exact = load(ctx, at, length)?;
    let last = byte_of(&exact.key, length.wrapping_sub(1));
    let dot = exact.first_dot;
    // A name that begins with a dot is none, and must not meet the key of a wildcard.
    if dot > 0 {
        if let Some(found) = lookup(&exact.key) {
            return Ok(found);
        }
        if dot < length {
            let wildcard = load(ctx, at + dot, length - dot)?;
            if let Some(found) = lookup(&wildcard.key) {
                return Ok(found);
            }
        }
    }
    Ok(if last_byte_is_unusual(last) { Found::Unusual } else { Found::Nothing })
}

#[inline(always)]
fn lookup(key: &HostKey) -> Option<Found> {
    // SAFETY: the map is not preallocated, so the entry is not reused while this program looks at it.
    let value = unsafe { maps::HOSTS.get(key) }?;
    match value.action {
        HOST_TERMINATE => Some(Found::Terminate),
        // An action of a later version: the worker knows.
        _ => Some(Found::Unusual),
    }
}

#[inline(always)]
fn byte_of(key: &HostKey, at: u32) -> u8 {
    let bytes: *const u8 = (&raw const *key).cast();
    // SAFETY: the mask keeps the byte within the key, which has no padding.
    unsafe { bytes.add(opaque(at) as usize & (size_of::<HostKey>() - 1)).read() }
}

/// Puts the name in lower case into the key of the work area and notes its first dot.
#[inline(always)]
fn load(ctx: &XdpContext, at: u32, length: u32) -> Result<&'static Scratch, Reason> {
    let scratch = maps::scratch().ok_or(Reason::Internal)?;
    let key: *mut HostKey = &raw mut scratch.key;
    let words: *mut u64 = key.cast();
    for word in 0..KEY_WORDS {
        // SAFETY: within the key, whose alignment is that of a word. Volatile, or LLVM makes it a call of memset, which the
        // verifier would walk byte by byte.
        unsafe { words.add(word).write_volatile(0) };
    }
    // For the verifier: between 1 and the size of the key, whose last byte is written below.
    let loaded = (opaque(length.wrapping_sub(1)) & (size_of::<HostKey>() as u32 - 1)) + 1;
    // SAFETY: `ctx` is the program's own context, and `loaded` does not exceed the size of the key.
    if unsafe { bpf_xdp_load_bytes(ctx.as_ptr().cast(), at, key.cast(), loaded) } != 0 {
        return Err(Reason::Internal);
    }
    scratch.first_dot = length;
    // SAFETY: the callback has the signature that the helper expects, and takes no context.
    unsafe { bpf_loop(length.div_ceil(8), lower as *mut c_void, core::ptr::null_mut(), 0) };
    let scratch = maps::scratch().ok_or(Reason::Internal)?;
    scratch.key.length = length as u8;
    Ok(scratch)
}

/// Eight bytes of the key to lower case. Returns 1 to end the loop.
unsafe extern "C" fn lower(index: u32, _context: *mut c_void) -> i64 {
    let Some(scratch) = maps::scratch() else { return 1 };
    let index = opaque(index) as usize & (KEY_WORDS - 1);
    let words: *mut u64 = (&raw mut scratch.key).cast();
    // SAFETY: the mask keeps the word within the key, whose alignment is that of a word.
    let place = unsafe { words.add(index) };
    // SAFETY: as above; any bytes are a word.
    let word = unsafe { place.read() };
    if scratch.first_dot > index as u32 * 8 + first_dot(word) {
        scratch.first_dot = index as u32 * 8 + first_dot(word);
    }
    // SAFETY: as above.
    unsafe { place.write(lower_case(word)) };
    0
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// A to Z to a to z in each byte; other bytes, also those above 127, stay.
#[inline(always)]
fn lower_case(word: u64) -> u64 {
    let low_bits = word & !HIGH_BITS;
    let from_a = low_bits + ONES * (0x80 - b'A' as u64);
    let above_z = low_bits + ONES * (0x7f - b'Z' as u64);
    let upper = (from_a ^ above_z) & !word & HIGH_BITS;
    // The case bit is 0x20, two places below the high bit.
    word | upper >> 2
}

/// How many bytes are in front of the first dot of a word; a large number if there is none.
#[inline(always)]
fn first_dot(word: u64) -> u32 {
    let word = u64::from_le(word) ^ (ONES * b'.' as u64);
    // The high bit of each byte that became zero; bits above the lowest one may be false, and are not looked at.
    let zeros = word.wrapping_sub(ONES) & !word & HIGH_BITS;
    if zeros == 0 {
        return u32::MAX >> 1;
    }
    // All bits of the bytes below the lowest one.
    let below = ((zeros & zeros.wrapping_neg()) >> 7) - 1;
    ((below & ONES).wrapping_mul(ONES) >> 56) as u32
}
