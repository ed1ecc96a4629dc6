//! The tables of hosts and denied networks while the program runs.

use std::net::Ipv4Addr;

use filter_common::Reason;
use filter_user::kernel::{Changes, HostAction, KernelError, KernelPlan, Network};

use crate::{
    corpus::{client_hello, server_name},
    frame::{Frame, SYN, shapes},
    plane::{DENIED, Plane},
};

fn reason(plane: &mut Plane, name: &str) -> Reason {
    let hello = client_hello(&[server_name(name.as_bytes())]);
    plane.run(&Frame::data(hello).build(shapes().next().unwrap())).0
}

#[test]
fn a_plan_takes_effect_on_the_next_packet() {
    let mut plane = Plane::new(&["one.example"]);
    assert_eq!(reason(&mut plane, "one.example"), Reason::HostTerminate);
    assert_eq!(reason(&mut plane, "two.example"), Reason::HostUnknown);
    let changes = plane.program.apply(&KernelPlan::terminating(["two.example"])).unwrap();
    assert_eq!(changes, Changes { written: 1, removed: 1, denied: 0, allowed: DENIED.len() });
    assert_eq!(reason(&mut plane, "one.example"), Reason::HostUnknown);
    assert_eq!(reason(&mut plane, "two.example"), Reason::HostTerminate);
}

#[test]
fn an_equal_plan_writes_nothing() {
    let mut plane = Plane::new(&["one.example", "*.two.example"]);
    let plan = KernelPlan::terminating(["ONE.example", "*.two.example"]);
    plane.program.apply(&plan).unwrap();
    let changes = plane.program.apply(&plan).unwrap();
    assert_eq!(changes, Changes::default());
}

#[test]
fn a_plan_that_cannot_be_applied_changes_nothing() {
    let mut plane = Plane::new(&["one.example"]);
    let bad = KernelPlan::terminating(["two.example", "*.*.example"]);
    assert!(matches!(plane.program.apply(&bad), Err(KernelError::HostName { .. })));
    assert_eq!(reason(&mut plane, "one.example"), Reason::HostTerminate);
    assert_eq!(reason(&mut plane, "two.example"), Reason::HostUnknown);
}

#[test]
fn the_table_holds_as_many_hosts_as_its_limit() {
    let mut plane = Plane::new(&[]);
    let hosts = |from: u32| KernelPlan {
        hosts: (from..from + 65_536).map(|n| (format!("h{n}.example"), HostAction::Terminate)).collect(),
        ..KernelPlan::default()
    };
    plane.program.apply(&hosts(0)).unwrap();
    for (name, expected) in [
        ("h0.example", Reason::HostTerminate),
        ("h65535.example", Reason::HostTerminate),
        ("h65536.example", Reason::HostUnknown),
    ] {
        assert_eq!(reason(&mut plane, name), expected, "{name}");
    }
    // A full table that moves by one: room is made before it is needed.
    let changes = plane.program.apply(&hosts(1)).unwrap();
    assert_eq!(changes, Changes { written: 1, removed: 1, ..Changes::default() });
    assert_eq!(reason(&mut plane, "h65536.example"), Reason::HostTerminate);
    assert_eq!(reason(&mut plane, "h0.example"), Reason::HostUnknown);
}

fn networks(from: u32, count: u32) -> KernelPlan {
    let network = |n: u32| Network::new(Ipv4Addr::from(0x0a00_0000 + n).into(), 32).unwrap();
    KernelPlan { deny: (from..from + count).map(network).collect(), ..KernelPlan::default() }
}

fn syn_reason(plane: &mut Plane, client: &str) -> Reason {
    let frame = Frame::tcp(SYN, []).with(|frame| frame.client = Some(client.parse().unwrap()));
    plane.run(&frame.build(shapes().next().unwrap())).0
}

#[test]
fn the_tables_hold_as_many_networks_as_its_limit() {
    let mut plane = Plane::new(&[]);
    let changes = plane.program.apply(&networks(0, 131_072)).unwrap();
    assert_eq!(changes, Changes { denied: 131_072, allowed: DENIED.len(), ..Changes::default() });
    assert_eq!(syn_reason(&mut plane, "10.0.0.0"), Reason::Denied);
    assert_eq!(syn_reason(&mut plane, "10.1.255.255"), Reason::Denied);
    assert_eq!(syn_reason(&mut plane, "10.2.0.0"), Reason::Control);
    let error = plane.program.apply(&networks(1, 131_073)).unwrap_err();
    assert!(matches!(error, KernelError::TooManyNetworks { count: 131_073, max: 131_072 }), "{error}");
    assert_eq!(syn_reason(&mut plane, "10.0.0.0"), Reason::Denied);
    // Full tables that move by one.
    let changes = plane.program.apply(&networks(1, 131_072)).unwrap();
    assert_eq!(changes, Changes { denied: 1, allowed: 1, ..Changes::default() });
    assert_eq!(syn_reason(&mut plane, "10.0.0.0"), Reason::Control);
    assert_eq!(syn_reason(&mut plane, "10.2.0.0"), Reason::Denied);
}

fn denying(networks: &[(&str, u8)]) -> KernelPlan {
    let network = |(ip, prefix): &(&str, u8)| Network::new(ip.parse().unwrap(), *prefix).unwrap();
    KernelPlan { deny: networks.iter().map(network).collect(), ..KernelPlan::default() }
}

#[test]
fn networks_of_every_size_are_denied_up_to_their_edges() {
    let mut plane = Plane::new(&[]);
    for prefix in 1..=32 {
        plane.program.apply(&denying(&[("172.21.133.77", prefix)])).unwrap();
        let (inside, mask) = (u32::from_be_bytes([172, 21, 133, 77]), u32::MAX << (32 - prefix));
        let (first, last) = (inside & mask, inside | !mask);
        for (address, expected) in [
            (first, Reason::Denied),
            (inside, Reason::Denied),
            (last, Reason::Denied),
            (first.wrapping_sub(1), Reason::Control),
            (last.wrapping_add(1), Reason::Control),
        ] {
            let address = Ipv4Addr::from(address).to_string();
            assert_eq!(syn_reason(&mut plane, &address), expected, "{address} by /{prefix}");
        }
    }
}

#[test]
fn a_network_goes_without_those_that_it_is_part_of() {
    let mut plane = Plane::new(&[]);
    let (large, small) = (("10.1.2.0", 24), ("10.1.2.8", 29));
    for (networks, inside, beside) in [
        (&[large, small][..], Reason::Denied, Reason::Denied),
        (&[small], Reason::Denied, Reason::Control),
        (&[small, large], Reason::Denied, Reason::Denied),
        (&[large], Reason::Denied, Reason::Denied),
        (&[("10.1.2.9", 32), ("10.1.2.200", 32)], Reason::Denied, Reason::Control),
        (&[("10.1.2.200", 32)], Reason::Control, Reason::Control),
        (&[], Reason::Control, Reason::Control),
    ] {
        plane.program.apply(&denying(networks)).unwrap();
        let found = (syn_reason(&mut plane, "10.1.2.9"), syn_reason(&mut plane, "10.1.2.100"));
        assert_eq!(found, (inside, beside), "{networks:?}");
    }
}

#[test]
fn the_longest_prefix_goes_without_the_shorter_one() {
    let mut plane = Plane::new(&[]);
    plane.program.apply(&denying(&[("10.0.0.0", 8), ("10.1.0.0", 16)])).unwrap();
    plane.program.apply(&denying(&[("10.1.0.0", 16)])).unwrap();
    assert_eq!(syn_reason(&mut plane, "10.1.2.3"), Reason::Denied);
    assert_eq!(syn_reason(&mut plane, "10.2.2.3"), Reason::Control);
    plane.program.apply(&denying(&[("0.0.0.0", 0)])).unwrap();
    assert_eq!(syn_reason(&mut plane, "10.2.2.3"), Reason::Denied);
}
