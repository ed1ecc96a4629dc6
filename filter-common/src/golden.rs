//! The ABI as text, compared with `abi.txt`.

use std::{format, mem::offset_of, string::String, vec::Vec};

use crate::{
    ABI_VERSION, Reason,
    layout::{
        Config, ConnectionKey, Counter, DenyBlock, GroupValue, ListenKey, Listener, LongName, NAME_MAX, SHORT_NAME_MAX,
        ShortName,
    },
    maps,
    splice::{self, Flow, HostCounter, HostValue, Link, Origin, Stash, Target},
};

macro_rules! layout {
    ($lines:ident: $($name:ident { $($field:ident),+ })+) => {$(
        $lines.push(format!("{} size {} align {}", stringify!($name), size_of::<$name>(), align_of::<$name>()));
        $($lines.push(format!("    {} at {}", stringify!($field), offset_of!($name, $field)));)+
        // Naming every field makes a new one a compile error here.
        let _ = |value: $name| { let $name { $($field: _),+ } = value; };
    )+};
}

fn abi() -> String {
    let mut lines: Vec<String> = Vec::new();
    lines.push(format!("ABI_VERSION {ABI_VERSION}"));
    layout!(lines:
        ListenKey { address, port, padding }
        Listener { address, port, padding, is_used, told_at_ns }
        DenyBlock { whole, part }
        ConnectionKey { client, edge, client_port, edge_port }
        GroupValue { first_socket }
        ShortName { name, length }
        LongName { name, length }
        HostValue { action, host, target }
        Target { flags, v4, v6 }
        Origin { address, source, port, padding, flags, link }
        Link { interface, macs, tags, tag_count }
        Flow {
            opened_ns, seen_ns, bytes, flags, key, source, destination, source_port, destination_port, link, ip_sum, tcp_sum,
            sequence_add, acknowledgement_add, timestamp_add, echo_add, echo_floor, window_shift, acknowledged,
            fin_acknowledgement, first_sequence, peer_first_sequence, first_timestamp, offered, attempts, host, origin
        }
        Stash { sequence, length, sum, window, bytes }
        HostCounter { opened, closed, from_clients, from_origins }
        Counter { packets, bytes }
        Config { clock_ns, abi_version, log_sample, syn_cookies, window_scale, segment_size_v4, segment_size_v6, splices, penalties, first_port, ports_per_cpu, wildcards, padding, listen_hash, tuple_hash }
    );
    lines.push(format!("NAME_MAX {NAME_MAX} SHORT_NAME_MAX {SHORT_NAME_MAX}"));
    for (name, value) in [
        ("HOST_TERMINATE", splice::HOST_TERMINATE),
        ("HOST_SPLICE", splice::HOST_SPLICE),
        ("NO_ORIGIN", splice::NO_ORIGIN.into()),
        ("TARGET_PROXY_PROTOCOL", splice::TARGET_PROXY_PROTOCOL),
        ("ORIGIN_REACHABLE", splice::ORIGIN_REACHABLE),
        ("ORIGIN_WITHOUT_TIMESTAMPS", splice::ORIGIN_WITHOUT_TIMESTAMPS),
        ("FLOW_FROM_CLIENT", splice::FLOW_FROM_CLIENT as u32),
        ("FLOW_OPENING", splice::FLOW_OPENING as u32),
        ("FLOW_TIMESTAMPS", splice::FLOW_TIMESTAMPS as u32),
        ("FLOW_PEER_FIN", splice::FLOW_PEER_FIN as u32),
        ("FLOW_PEER_FIN_ACKNOWLEDGED", splice::FLOW_PEER_FIN_ACKNOWLEDGED as u32),
        ("FLOW_CLOSING", splice::FLOW_CLOSING as u32),
        ("FLOW_HEADER_PENDING", splice::FLOW_HEADER_PENDING as u32),
        ("FLOW_STRIP_SELECTIVE", splice::FLOW_STRIP_SELECTIVE as u32),
        ("FLOW_PROXY_PROTOCOL", splice::FLOW_PROXY_PROTOCOL as u32),
        ("OFFERED_SCALE_SHIFT", splice::OFFERED_SCALE_SHIFT),
        ("OFFERED_SCALE_MASK", splice::OFFERED_SCALE_MASK),
        ("OFFERED_SELECTIVE", splice::OFFERED_SELECTIVE),
        ("OFFERED_TIMESTAMPS", splice::OFFERED_TIMESTAMPS),
    ] {
        lines.push(format!("{name} {value}"));
    }
    for (name, key, value, entries) in [
        (maps::LISTENERS, "u32", "Listener", crate::layout::LISTEN_SLOTS),
        (maps::HOSTS, "ShortName", "HostValue", maps::HOSTS_MAX),
        (maps::LONG_HOSTS, "LongName", "HostValue", maps::HOSTS_MAX),
        (maps::COUNTERS, "u32", "Counter", crate::REASONS),
        (maps::CONFIG, "u32", "Config", 1),
        (maps::GROUPS, "ListenKey", "GroupValue", maps::LISTEN_MAX),
        (maps::DENY_V4, "u32", "DenyBlock", maps::DENY_V4_BLOCKS),
        (maps::DENY_V4_PARTS, "u32", "DenyPart", maps::DENY_MAX),
        (maps::DENY_V6, "u32 Address", "u32", maps::DENY_MAX),
        (maps::PASSED, "u32", "PassedBucket", maps::PASSED_BUCKETS),
        (maps::SOCKETS, "u32", "u32", maps::SOCKETS_MAX),
        (maps::FLOWS, "u64", "Flow", maps::FLOWS_MAX),
        (maps::STASH, "ConnectionKey", "Stash", maps::STASH_MAX),
        (maps::STASH_SECOND, "ConnectionKey", "Stash", maps::STASH_MAX),
        (maps::TARGETS, "u32", "Target", maps::HOSTS_MAX),
        (maps::ORIGINS, "u32", "Origin", maps::ORIGINS_MAX),
        (maps::HOST_COUNTERS, "u32", "HostCounter", maps::HOSTS_MAX),
        (maps::PENALTIES, "Address", "u64", maps::PENALTIES_MAX),
    ] {
        lines.push(format!("map {name}: {key} -> {value}, {entries} entries"));
    }
    for program in [
        maps::PROGRAM_EDGE,
        maps::PROGRAM_REPLAY,
        maps::PROGRAM_STEER,
        maps::PROGRAM_PASS,
        maps::PROGRAM_LOSSY,
        maps::PROGRAM_ABI,
    ] {
        lines.push(format!("program {program}"));
    }
    for reason in Reason::ALL {
        lines.push(format!("reason {} {} {:?}", u32::from(reason), reason.name(), reason.action()));
    }
    lines.join("\n") + "\n"
}

/// Set to write the file instead of comparing it.
const BLESS: &str = "MTLS_FILTER_BLESS";

#[test]
fn abi_is_the_golden_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/abi.txt");
    let abi = abi();
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(path, &abi).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(golden, abi, "the ABI changed: raise ABI_VERSION and run this test with {BLESS}=1");
}
