//! Names and sizes of maps and programs. The loader and the tests use these, never literals.

/// Addresses the filter answers for: [`ListenKey`](crate::layout::ListenKey) → [`ListenValue`](crate::layout::ListenValue).
pub const LISTEN: &str = "LISTEN";
/// Configured hosts with short names: [`ShortName`](crate::layout::ShortName) → [`HostValue`](crate::layout::HostValue).
pub const HOSTS: &str = "HOSTS";
/// Configured hosts with long names: [`LongName`](crate::layout::LongName) → [`HostValue`](crate::layout::HostValue).
pub const LONG_HOSTS: &str = "LONG_HOSTS";
/// Per-CPU array of [`Counter`](crate::layout::Counter), indexed by [`Reason`](crate::Reason).
pub const COUNTERS: &str = "COUNTERS";
/// One [`Config`](crate::layout::Config).
pub const CONFIG: &str = "CONFIG";
/// Groups of listeners that share an address: [`ListenKey`](crate::layout::ListenKey) → [`GroupValue`](crate::layout::GroupValue).
pub const GROUPS: &str = "GROUPS";
/// Listening sockets, [`CPUS_MAX`] a group, indexed within it by the CPU that the worker is pinned to.
pub const SOCKETS: &str = "SOCKETS";

/// Networks whose SYNs are dropped, the longest prefix first: bits and [`Address`](crate::layout::Address) → 1. An IPv4
/// prefix is 96 bits longer here.
pub const DENY: &str = "DENY";
/// Connections that live in the kernel: [`ConnectionKey`](crate::layout::ConnectionKey) → 1. A cache: what it forgot is asked
/// of the kernel.
pub const PASSED: &str = "PASSED";

/// The XDP program of the edge's interface.
pub const PROGRAM_EDGE: &str = "mtls_filter";
/// The program that chooses the worker.
pub const PROGRAM_STEER: &str = "mtls_steer";
/// Passes everything: for the peer of a veth, which delivers what was sent by `XDP_TX` only if it has a program too.
pub const PROGRAM_PASS: &str = "xdp_pass";
/// Returns [`ABI_VERSION`](crate::ABI_VERSION); run once by the loader, never attached.
pub const PROGRAM_ABI: &str = "mtls_abi";

/// Most addresses that can be listened on.
pub const LISTEN_MAX: u32 = 64;
/// Most hosts, exact and wildcard names, short and long, together.
pub const HOSTS_MAX: u32 = 65_536;
/// Most networks that are denied.
pub const DENY_MAX: u32 = 131_072;
/// How many connections that live in the kernel are remembered.
pub const PASSED_MAX: u32 = 65_536;
/// Most CPUs that connections are steered by; on a CPU beyond, the kernel chooses the worker.
pub const CPUS_MAX: u32 = 256;
/// Most sockets: one for each CPU and address.
pub const SOCKETS_MAX: u32 = LISTEN_MAX * CPUS_MAX;
