//! The host table while the program runs.

use filter_common::Reason;
use filter_user::kernel::{Changes, HostAction, KernelError, KernelPlan};

use crate::{
    corpus::{client_hello, server_name},
    frame::{Frame, shapes},
    plane::Plane,
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
    assert_eq!(changes, Changes { written: 1, removed: 1 });
    assert_eq!(reason(&mut plane, "one.example"), Reason::HostUnknown);
    assert_eq!(reason(&mut plane, "two.example"), Reason::HostTerminate);
}

#[test]
fn an_equal_plan_writes_nothing() {
    let mut plane = Plane::new(&["one.example", "*.two.example"]);
    let changes = plane.program.apply(&KernelPlan::terminating(["ONE.example", "*.two.example"])).unwrap();
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
    let hosts = |from: u32| (from..from + 65_536).map(|n| (format!("h{n}.example"), HostAction::Terminate)).collect();
    plane.program.apply(&KernelPlan { hosts: hosts(0) }).unwrap();
    for (name, expected) in [
        ("h0.example", Reason::HostTerminate),
        ("h65535.example", Reason::HostTerminate),
        ("h65536.example", Reason::HostUnknown),
    ] {
        assert_eq!(reason(&mut plane, name), expected, "{name}");
    }
    // A full table that moves by one: room is made before it is needed.
    let changes = plane.program.apply(&KernelPlan { hosts: hosts(1) }).unwrap();
    assert_eq!(changes, Changes { written: 1, removed: 1 });
    assert_eq!(reason(&mut plane, "h65536.example"), Reason::HostTerminate);
    assert_eq!(reason(&mut plane, "h0.example"), Reason::HostUnknown);
}
