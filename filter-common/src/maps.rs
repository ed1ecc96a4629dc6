//! Names and sizes of maps and programs. The loader and the tests use these, never literals.

/// Addresses the filter answers for: array of [`Listener`](crate::layout::Listener), indexed by
/// [`ListenHash::slot`](crate::layout::ListenHash::slot).
pub const LISTENERS: &str = "LISTENERS";
/// Configured hosts with short names: [`ShortName`](crate::layout::ShortName) → [`HostValue`](crate::splice::HostValue).
pub const HOSTS: &str = "HOSTS";
/// Configured hosts with long names: [`LongName`](crate::layout::LongName) → [`HostValue`](crate::splice::HostValue).
pub const LONG_HOSTS: &str = "LONG_HOSTS";
/// Per-CPU array of [`Counter`](crate::layout::Counter), indexed by [`Reason`](crate::Reason).
pub const COUNTERS: &str = "COUNTERS";
/// One [`Config`](crate::layout::Config).
pub const CONFIG: &str = "CONFIG";
/// Groups of listeners that share an address: [`ListenKey`](crate::layout::ListenKey) → [`GroupValue`](crate::layout::GroupValue).
pub const GROUPS: &str = "GROUPS";
/// Listening sockets, [`CPUS_MAX`] a group, indexed within it by the CPU that the worker is pinned to.
pub const SOCKETS: &str = "SOCKETS";

/// IPv4 networks whose SYNs are dropped: array of [`DenyBlock`](crate::layout::DenyBlock), indexed by the first two bytes.
pub const DENY_V4: &str = "DENY_V4";
/// Those smaller than 256 addresses: the first three bytes, in the machine's order → [`DenyPart`](crate::layout::DenyPart).
pub const DENY_V4_PARTS: &str = "DENY_V4_PARTS";
/// IPv6 networks whose SYNs are dropped, the longest prefix first: bits and [`Address`](crate::layout::Address) → 1.
pub const DENY_V6: &str = "DENY_V6";
/// Connections that live in the kernel: array of [`PassedBucket`](crate::layout::PassedBucket), indexed by
/// [`passed_place`](crate::layout::passed_place). A cache: what it forgot is asked of the kernel.
pub const PASSED: &str = "PASSED";
/// Spliced connections, an entry for each direction: the [`TupleHash`](crate::layout::TupleHash) of its
/// [`ConnectionKey`](crate::layout::ConnectionKey) → [`Flow`](crate::splice::Flow). The kernel hashes and compares a key of eight bytes in half
/// the time of the whole one, which the flow holds.
pub const FLOWS: &str = "FLOWS";
/// First segments of clients whose origin has not answered yet: [`ConnectionKey`](crate::layout::ConnectionKey) →
/// [`Stash`](crate::splice::Stash).
pub const STASH: &str = "STASH";
/// The second segments.
pub const STASH_SECOND: &str = "STASH_SECOND";
/// Where hosts are spliced to: the number in a [`HostValue`](crate::splice::HostValue) → [`Target`](crate::splice::Target).
pub const TARGETS: &str = "TARGETS";
/// Array of [`Origin`](crate::splice::Origin).
pub const ORIGINS: &str = "ORIGINS";
/// What became of flows: the number of a host → [`HostCounter`](crate::splice::HostCounter) of each CPU.
pub const HOST_COUNTERS: &str = "HOST_COUNTERS";
/// Addresses whose SYNs are dropped for a while: [`Address`](crate::layout::Address) → the end of that, in the kernel's
/// monotonic nanoseconds.
pub const PENALTIES: &str = "PENALTIES";

/// The XDP program of the edge's interfaces.
pub const PROGRAM_EDGE: &str = "mtls_filter";
/// The traffic-control program of the interfaces towards origins: turns their answers into what clients said to them.
pub const PROGRAM_REPLAY: &str = "mtls_replay";
/// The program that chooses the worker.
pub const PROGRAM_STEER: &str = "mtls_steer";
/// Passes everything: for the peer of a veth, which delivers what was sent by `XDP_TX` only if it has a program too.
pub const PROGRAM_PASS: &str = "xdp_pass";
/// The same, but for one frame in ten.
pub const PROGRAM_LOSSY: &str = "xdp_lossy";
/// Returns [`ABI_VERSION`](crate::ABI_VERSION); run once by the loader, never attached.
pub const PROGRAM_ABI: &str = "mtls_abi";

/// Most addresses that can be listened on.
pub const LISTEN_MAX: u32 = 64;
/// Most hosts, exact and wildcard names, short and long, together.
pub const HOSTS_MAX: u32 = 65_536;
/// Entries of [`DENY_V4`].
pub const DENY_V4_BLOCKS: u32 = 65_536;
/// Most networks that are denied.
pub const DENY_MAX: u32 = 131_072;
/// Buckets of [`PASSED`]: with four connections each, a megabyte.
pub const PASSED_BUCKETS: u32 = 65_536;
/// Most CPUs that connections are steered by; on a CPU beyond, the kernel chooses the worker.
pub const CPUS_MAX: u32 = 256;
/// Most sockets: one for each CPU and address.
pub const SOCKETS_MAX: u32 = LISTEN_MAX * CPUS_MAX;
/// Most entries of [`FLOWS`]: two for each spliced connection.
pub const FLOWS_MAX: u32 = 131_072;
/// How many clients' first segments are kept at a time.
pub const STASH_MAX: u32 = 4096;
/// Most origins, of all hosts.
pub const ORIGINS_MAX: u32 = 4096;
/// Most addresses that are punished at a time; the one that was seen the longest ago goes first.
pub const PENALTIES_MAX: u32 = 65_536;
