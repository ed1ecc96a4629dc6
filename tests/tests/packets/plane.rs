//! The program under test, with the one reason that a packet was counted under.

use filter_common::Reason;
use filter_user::kernel::{Count, KernelPlan, Network, Program, Run};

use crate::frame::{EDGE_V4, EDGE_V6};

/// Networks that are denied in every test.
pub(crate) const DENIED: [(&str, u8); 3] = [("203.0.113.0", 24), ("203.0.112.128", 25), ("2001:db8:bad::", 48)];

/// A loaded program that listens on the two addresses of the frames.
pub(crate) struct Plane {
    pub(crate) program: Program,
    before: Vec<Count>,
}

impl Plane {
    pub(crate) fn new(hosts: &[&str]) -> Self {
        Self::with_plan(KernelPlan::terminating(hosts.iter().copied()))
    }

    pub(crate) fn with_plan(plan: KernelPlan) -> Self {
        let listen = [EDGE_V4.parse().unwrap(), EDGE_V6.parse().unwrap()];
        let mut program = Program::load(&listen, 0).unwrap_or_else(|error| {
            panic!("packet tests need root and an eBPF object, as `cargo xtask test` gives them: {error}: {error:?}")
        });
        let denied = DENIED.map(|(address, prefix)| Network::new(address.parse().unwrap(), prefix).unwrap());
        let plan = KernelPlan { deny: denied.into(), ..plan };
        program.apply(&plan).unwrap();
        let before = program.counters().unwrap();
        Self { program, before }
    }

    /// Runs one packet; panics unless it is counted once, under one reason, with all its bytes.
    pub(crate) fn run(&mut self, packet: &[u8]) -> (Reason, Run) {
        let run = self.program.run(packet, 1).unwrap();
        let after = self.program.counters().unwrap();
        let counted: Vec<_> = after.iter().zip(&self.before).filter(|(after, before)| after != before).collect();
        let [(after_one, before_one)] = counted.as_slice() else {
            panic!("counted under {} reasons: {counted:?}", counted.len());
        };
        assert_eq!(after_one.packets, before_one.packets + 1, "{}", after_one.reason.name());
        assert_eq!(after_one.bytes, before_one.bytes + packet.len() as u64, "{}", after_one.reason.name());
        let reason = after_one.reason;
        self.before = after;
        (reason, run)
    }
}
