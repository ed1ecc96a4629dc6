//! Looking a server name up in the table of hosts: as it is, then as one label below a wildcard.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use filter_common::{
    Reason,
    hello::{last_byte_is_unusual, u64_at},
    layout::{Config, LongName, Name, SHORT_NAME_MAX, ShortName},
    opaque,
    splice::{HOST_SPLICE, HOST_TERMINATE, HostValue},
};

use crate::maps::{self, KeyWords, Scratch};

/// What the table says about a name.
pub(crate) enum Found {
    /// A worker terminates this host's connections.
    Terminate,
    /// This host's connections are spliced.
    Splice(*const HostValue),
    /// Not in the table, but userspace may read the name otherwise.
    Unusual,
    /// Not in the table.
    Nothing,
}

/// Looks up the name of `length` bytes (1 to 255) at `at` in the payload that was loaded.
#[inline(always)]
pub(crate) fn find(at: u32, length: u32, config: &Config) -> Result<Found, Reason> {
    let exact = lookup(at, length)?;
    let Scratch { first_dot, key, .. } = maps::scratch().ok_or(Reason::Internal)?;
    let (dot, last) = (*first_dot, byte_of(key, length.wrapping_sub(1)));
    // A name that begins with a dot is none, and must not meet the key of a wildcard.
    if dot > 0 {
        if let Some(found) = exact {
            return Ok(found);
        }
        if config.wildcards != 0
            && dot < length
            && let Some(found) = lookup(at + dot, length - dot)?
        {
            return Ok(found);
        }
    }
    Ok(if last_byte_is_unusual(last) { Found::Unusual } else { Found::Nothing })
}

/// Looks up these bytes as a key, in the table for names of their length.
#[inline(always)]
fn lookup(at: u32, length: u32) -> Result<Option<Found>, Reason> {
    let value: Option<&HostValue> = if length as usize <= SHORT_NAME_MAX {
        let key: &ShortName = load(at, length)?;
        // SAFETY: the map is not preallocated, so the entry is not reused while this program looks at it.
        unsafe { maps::HOSTS.get(key) }
    } else {
        let key: &LongName = load(at, length)?;
        // SAFETY: as above.
        unsafe { maps::LONG_HOSTS.get(key) }
    };
    Ok(value.map(|value| match value.action {
        HOST_TERMINATE => Found::Terminate,
        HOST_SPLICE => Found::Splice(value),
        // An action of a later version: the worker knows.
        _ => Found::Unusual,
    }))
}

#[inline(always)]
fn byte_of(key: &KeyWords, at: u32) -> u8 {
    let bytes: *const u8 = key.as_ptr().cast();
    // SAFETY: the mask keeps the byte within the key.
    unsafe { bytes.add(opaque(at) as usize & (size_of::<KeyWords>() - 1)).read() }
}

/// Puts these bytes of the payload into the key of the work area, in lower case, and notes their first dot.
#[inline(always)]
fn load<const MAX: usize>(at: u32, length: u32) -> Result<&'static Name<MAX>, Reason> {
    let words = size_of::<Name<MAX>>() / 8;
    let scratch = maps::scratch().ok_or(Reason::Internal)?;
    (scratch.name_at, scratch.name_length, scratch.first_dot) = (at, length, length);
    if MAX == SHORT_NAME_MAX {
        // Nearly every name: to go through the few words costs less than to call back for those that are used.
        for index in 0..words {
            clear_word(scratch, index);
        }
        for index in 0..words {
            if index as u32 * 8 >= length {
                break;
            }
            load_word(scratch, index);
        }
    } else {
        // SAFETY: the callback has the signature that the helper expects, and takes no context.
        unsafe { bpf_loop(words as u32, step as *mut c_void, core::ptr::null_mut(), 0) };
    }
    let name: *mut Name<MAX> = maps::scratch().ok_or(Reason::Internal)?.key.as_mut_ptr().cast();
    // SAFETY: the work area has room for the longest name, is aligned for it, and any bytes are one.
    let name = unsafe { &mut *name };
    name.length = length as u8;
    Ok(name)
}

/// Eight bytes of a long name. Returns 1 to end the loop.
unsafe extern "C" fn step(index: u32, _context: *mut c_void) -> i64 {
    let Some(scratch) = maps::scratch() else { return 1 };
    load_word(scratch, opaque(index) as usize & (KEY_WORDS - 1));
    0
}

/// Volatile, or LLVM would call memset for all of them.
#[inline(always)]
fn clear_word(scratch: &mut Scratch, index: usize) {
    #[expect(clippy::indexing_slicing, reason = "the caller's promise")]
    let place = &raw mut scratch.key[index];
    // SAFETY: a field of the work area.
    unsafe { place.write_volatile(0) };
}

/// A word of the key, whose number is below that of those that there are: zeros behind the name.
#[inline(always)]
fn load_word(scratch: &mut Scratch, index: usize) {
    let from = index as u32 * 8;
    let left = scratch.name_length.saturating_sub(from);
    let word = match left {
        0 => 0,
        1..8 => lower_case(u64_at(&scratch.stash.bytes, scratch.name_at + from) & first_bytes(left)),
        _ => lower_case(u64_at(&scratch.stash.bytes, scratch.name_at + from)),
    };
    #[expect(clippy::indexing_slicing, reason = "the caller's promise")]
    let place = &mut scratch.key[index];
    *place = word;
    if scratch.first_dot > from + first_dot(word) {
        scratch.first_dot = from + first_dot(word);
    }
}

/// The bits of the first 1 to 7 bytes of a word.
#[inline(always)]
fn first_bytes(count: u32) -> u64 {
    (u64::MAX >> (64 - count * 8)).to_le()
}

const KEY_WORDS: usize = size_of::<KeyWords>() / 8;
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
