//! Reading a whole hash map with few system calls, which aya does not do: by key and value it takes two for each entry, and begins
//! again when the entry that it stands at goes.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsRawFd as _, BorrowedFd},
    vec::Vec,
};

use aya::Pod;

/// `BPF_MAP_LOOKUP_BATCH`, for hash maps since Linux 5.6.
const LOOKUP_BATCH: libc::c_int = 24;
/// Entries of one call at least: the kernel gives whole buckets, and refuses those that do not fit.
const BATCH: usize = 4096;

/// The part of `union bpf_attr` for batches.
#[repr(C)]
struct Attributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// All entries of a hash map with such keys and values. Those that come or go meanwhile may be among them or not.
///
/// # Errors
///
/// What the kernel says: that the map is of another kind, or that this process may not read it.
pub fn entries<K: Pod, V: Pod>(map: BorrowedFd<'_>) -> io::Result<Vec<(K, V)>> {
    let mut entries = Vec::new();
    let mut keys = Vec::<MaybeUninit<K>>::new();
    let mut values = Vec::<MaybeUninit<V>>::new();
    let mut room = BATCH;
    // Where the next batch begins: for hash maps the number of a bucket.
    let (mut from, mut to) = (0_u32, 0_u32);
    let mut is_first = true;
    loop {
        keys.resize_with(room, MaybeUninit::uninit);
        values.resize_with(room, MaybeUninit::uninit);
        let mut attributes = Attributes {
            in_batch: if is_first { 0 } else { address(&mut from) },
            out_batch: address(&mut to),
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: room as u32,
            map: map.as_raw_fd() as u32,
            element_flags: 0,
            flags: 0,
        };
        // SAFETY: the structure is what the kernel expects for this command, and holds the addresses of a number and of arrays with
        // room for `count` keys and values of the map; that theirs are the sizes is checked by the caller's types, which are those
        // that the map was made with.
        let result = unsafe {
            libc::syscall(libc::SYS_bpf, LOOKUP_BATCH, &raw mut attributes, size_of::<Attributes>() as libc::c_uint)
        };
        let error = if result < 0 { Some(io::Error::last_os_error()) } else { None };
        match error.as_ref().and_then(io::Error::raw_os_error) {
            // A bucket that does not fit.
            Some(libc::ENOSPC) => {
                room *= 2;
                continue;
            }
            // ENOENT: this was the last batch.
            None | Some(libc::ENOENT) => {}
            Some(errno) => return Err(io::Error::from_raw_os_error(errno)),
        }
        let count = (attributes.count as usize).min(room);
        for (key, value) in keys.iter().zip(&values).take(count) {
            // SAFETY: the kernel has written the first `count` of them, and any bytes are a value of types that are `Pod`.
            entries.push(unsafe { (key.assume_init_read(), value.assume_init_read()) });
        }
        if error.is_some() {
            return Ok(entries);
        }
        (from, is_first) = (to, false);
    }
}

fn address<T>(place: &mut T) -> u64 {
    &raw mut *place as u64
}
