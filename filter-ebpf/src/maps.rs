//! Every map of the packet plane. Names, keys, values and sizes are those of `filter_common`.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, PerCpuHashMap, ReusePortSockArray},
};
use filter_common::{
    REASONS, Reason, hello,
    layout::{
        Address, Config, ConnectionKey, Counter, DenyBlock, DenyPart, GroupValue, LISTEN_SLOTS, ListenKey, Listener,
        LongName, PassedBucket, ShortName,
    },
    maps::{
        DENY_MAX, DENY_V4_BLOCKS, FLOWS_MAX, HOSTS_MAX, LISTEN_MAX, ORIGINS_MAX, PASSED_BUCKETS, PENALTIES_MAX,
        SOCKETS_MAX, STASH_MAX,
    },
    opaque,
    splice::{Flow, HostCounter, HostValue, Origin, Stash, Target},
};

use crate::{options, parse::Segment, syn::Offer, too_big};

#[map]
pub(crate) static LISTENERS: Array<Listener> = Array::with_max_entries(LISTEN_SLOTS, 0);

// Not preallocated: memory for as many hosts as there may be would be tens of megabytes, and an entry that is removed is not
// reused before the programs that look at it are through.
#[map]
pub(crate) static HOSTS: HashMap<ShortName, HostValue> = HashMap::with_max_entries(HOSTS_MAX, BPF_F_NO_PREALLOC);

#[map]
pub(crate) static LONG_HOSTS: HashMap<LongName, HostValue> = HashMap::with_max_entries(HOSTS_MAX, BPF_F_NO_PREALLOC);

#[map]
pub(crate) static COUNTERS: PerCpuArray<Counter> = PerCpuArray::with_max_entries(REASONS, 0);

#[map]
pub(crate) static CONFIG: Array<Config> = Array::with_max_entries(1, 0);

#[map]
pub(crate) static GROUPS: HashMap<ListenKey, GroupValue> = HashMap::with_max_entries(LISTEN_MAX, 0);

#[map]
pub(crate) static SOCKETS: ReusePortSockArray = ReusePortSockArray::with_max_entries(SOCKETS_MAX, 0);

#[map]
pub(crate) static DENY_V4: Array<DenyBlock> = Array::with_max_entries(DENY_V4_BLOCKS, 0);

#[map]
pub(crate) static DENY_V4_PARTS: HashMap<u32, DenyPart> = HashMap::with_max_entries(DENY_MAX, BPF_F_NO_PREALLOC);

#[map]
pub(crate) static DENY_V6: LpmTrie<Address, u32> = LpmTrie::with_max_entries(DENY_MAX, BPF_F_NO_PREALLOC);

#[map]
pub(crate) static PASSED: Array<PassedBucket> = Array::with_max_entries(PASSED_BUCKETS, 0);

// Not preallocated: a host with few splices should not pay for a hundred thousand.
#[map]
pub(crate) static FLOWS: HashMap<u64, Flow> = HashMap::with_max_entries(FLOWS_MAX, BPF_F_NO_PREALLOC);

#[map]
pub(crate) static STASH: LruHashMap<ConnectionKey, Stash> = LruHashMap::with_max_entries(STASH_MAX, 0);

#[map]
pub(crate) static STASH_SECOND: LruHashMap<ConnectionKey, Stash> = LruHashMap::with_max_entries(STASH_MAX, 0);

#[map]
pub(crate) static TARGETS: HashMap<u32, Target> = HashMap::with_max_entries(HOSTS_MAX, BPF_F_NO_PREALLOC);

#[map]
pub(crate) static ORIGINS: Array<Origin> = Array::with_max_entries(ORIGINS_MAX, 0);

#[map]
pub(crate) static HOST_COUNTERS: PerCpuHashMap<u32, HostCounter> =
    PerCpuHashMap::with_max_entries(HOSTS_MAX, BPF_F_NO_PREALLOC);

#[map]
pub(crate) static PENALTIES: LruHashMap<Address, u64> = LruHashMap::with_max_entries(PENALTIES_MAX, 0);

// Private to the programs, so not part of the ABI: when a segment came that belongs to nothing.
#[map]
pub(crate) static ORPHANS: LruHashMap<ConnectionKey, u64> = LruHashMap::with_max_entries(ORPHANS_MAX, 0);

const ORPHANS_MAX: u32 = 16_384;

/// The time by userspace's clock, to a second.
#[inline(always)]
pub(crate) fn clock_ns() -> u64 {
    CONFIG.get(0).map_or(0, |config| config.clock_ns)
}

/// The hash of a connection, by which it is found.
#[inline(always)]
pub(crate) fn hash(connection: &ConnectionKey) -> u64 {
    CONFIG.get(0).map_or(0, |config| config.tuple_hash.of(connection))
}

/// Room for the longest key of a host. Keys are put together eight bytes at a time.
pub(crate) type KeyWords = [u64; size_of::<LongName>() / 8];

/// Room for a TCP header: as much as a masked length can be.
pub(crate) type TcpBytes = [u8; 80];

/// Most options of a TCP header: each has at least one byte.
pub(crate) const OPTIONS_MAX: u32 = 40;

/// A byte of a TCP header; any byte of it if there are not so many.
#[inline(always)]
pub(crate) fn tcp_byte(tcp: &TcpBytes, at: u32) -> u8 {
    #[expect(clippy::indexing_slicing, reason = "the mask is less than the length")]
    tcp[opaque(at) as usize & 63]
}

/// Replaces a byte of a TCP header.
#[inline(always)]
pub(crate) fn set_tcp_byte(tcp: &mut TcpBytes, at: u32, byte: u8) {
    #[expect(clippy::indexing_slicing, reason = "the mask is less than the length")]
    let place = &mut tcp[opaque(at) as usize & 63];
    *place = byte;
}

/// Four bytes of a TCP header as they are in memory.
#[inline(always)]
pub(crate) fn tcp_word(tcp: &TcpBytes, at: u32) -> u32 {
    let place = tcp.as_ptr().wrapping_add(opaque(at) as usize & 63);
    // SAFETY: the mask leaves room for a word.
    unsafe { place.cast::<u32>().read_unaligned() }
}

/// Replaces four bytes of a TCP header.
#[inline(always)]
pub(crate) fn set_tcp_word(tcp: &mut TcpBytes, at: u32, word: u32) {
    let place = tcp.as_mut_ptr().wrapping_add(opaque(at) as usize & 63);
    // SAFETY: the mask leaves room for a word.
    unsafe { place.cast::<u32>().write_unaligned(word) };
}

/// Work area of the program that runs on a CPU: what does not fit on a stack of 512 bytes.
#[repr(C)]
pub(crate) struct Scratch {
    /// What was found: a reason, and whether it is of a segment for a listen address.
    pub(crate) found: u32,
    /// The segment that is decided about.
    pub(crate) segment: Segment,
    /// Its IP header, without options or extension headers.
    pub(crate) ip: [u8; 40],
    /// Its TCP header with options, which has 60 bytes at most.
    pub(crate) tcp: TcpBytes,
    /// The same before it was changed.
    pub(crate) tcp_before: TcpBytes,
    /// The walk over its options.
    pub(crate) options: options::Walk,
    /// Its addresses and ports as the kernel wants them for a look-up of its socket.
    pub(crate) tuple: [u32; 9],
    /// What it offers, if it is a SYN.
    pub(crate) offer: Offer,
    /// The beginning of a segment's payload, as it is kept for an origin that has not answered yet.
    pub(crate) stash: Stash,
    /// A connection that is being made: from the client.
    pub(crate) flow: Flow,
    /// From the origin.
    pub(crate) back: Flow,
    /// Its key.
    pub(crate) origin_key: ConnectionKey,
    /// A router's message.
    pub(crate) message: too_big::Message,
    /// What a counter begins with: zeros, as all of this does.
    pub(crate) no_counter: HostCounter,
    /// Where the search for a port goes on, on this CPU.
    pub(crate) port_cursor: u32,
    /// How many resets may still be sent to addresses that nobody has verified.
    pub(crate) resets_left: u32,
    /// When there were more.
    pub(crate) resets_counted_ns: u64,
    /// The parser's state between two extensions.
    pub(crate) walk: hello::Walk,
    /// Where the name that is looked up is in the payload.
    pub(crate) name_at: u32,
    /// Its length.
    pub(crate) name_length: u32,
    /// The name, as it is looked up.
    pub(crate) key: KeyWords,
    /// Where its first dot is; its length if it has none.
    pub(crate) first_dot: u32,
}

// Private to the programs, so not part of the ABI.
#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// This CPU's work area.
#[inline(always)]
pub(crate) fn scratch() -> Option<&'static mut Scratch> {
    let scratch = SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the entry exists as long as the map, which the program keeps alive. XDP runs in softirq context and is not
    // interrupted by another packet on this CPU. No reference is used after another was asked for: functions ask again after
    // `bpf_loop`, whose callbacks ask too.
    Some(unsafe { &mut *scratch })
}

/// The segment that this CPU decides about.
#[inline(always)]
pub(crate) fn segment() -> Result<&'static Segment, Reason> {
    scratch().map(|scratch| &scratch.segment).ok_or(Reason::Internal)
}
