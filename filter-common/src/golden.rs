//! The ABI as text, compared with `abi.txt`.

use std::{format, mem::offset_of, string::String, vec::Vec};

use crate::{
    ABI_VERSION, Reason,
    layout::{
        Config, ConnectionKey, Counter, GroupValue, HOST_TERMINATE, HostValue, ListenKey, ListenValue, LongName,
        NAME_MAX, SHORT_NAME_MAX, ShortName,
    },
    maps,
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
        ListenValue { told_at_ns }
        ConnectionKey { client, edge, client_port, edge_port }
        GroupValue { first_socket }
        ShortName { name, length }
        LongName { name, length }
        HostValue { action }
        Counter { packets, bytes }
        Config { abi_version, log_sample, syn_cookies, window_scale, segment_size_v4, segment_size_v6 }
    );
    lines.push(format!("NAME_MAX {NAME_MAX} SHORT_NAME_MAX {SHORT_NAME_MAX} HOST_TERMINATE {HOST_TERMINATE}"));
    for (name, key, value, entries) in [
        (maps::LISTEN, "ListenKey", "ListenValue", maps::LISTEN_MAX),
        (maps::HOSTS, "ShortName", "HostValue", maps::HOSTS_MAX),
        (maps::LONG_HOSTS, "LongName", "HostValue", maps::HOSTS_MAX),
        (maps::COUNTERS, "u32", "Counter", crate::REASONS),
        (maps::CONFIG, "u32", "Config", 1),
        (maps::GROUPS, "ListenKey", "GroupValue", maps::LISTEN_MAX),
        (maps::DENY, "u32 Address", "u32", maps::DENY_MAX),
        (maps::PASSED, "ConnectionKey", "u32", maps::PASSED_MAX),
        (maps::SOCKETS, "u32", "u32", maps::SOCKETS_MAX),
    ] {
        lines.push(format!("map {name}: {key} -> {value}, {entries} entries"));
    }
    for program in [maps::PROGRAM_EDGE, maps::PROGRAM_STEER, maps::PROGRAM_PASS, maps::PROGRAM_ABI] {
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
