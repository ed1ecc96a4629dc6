//! Spliced connections over bad links, made bad by the kernel's `netem`, in both directions and on both sides of the edge.
//!
//! Guests of `cargo xtask vm` have it, and run these; hosts may not, so here they are named and left out.

use std::thread;

use filter_common::Reason;
use filter_user::kernel::Mode;

use crate::{
    splice_lab::{World, echo, listen, noise},
    splicing::exchange,
};

/// Has so many connections of each family send so many bytes to an origin and get them back, while what both ends send meets `netem`.
fn exchanges_over(name: &str, netem: &str, connections: usize, bytes: usize) {
    let world = World::new(name, Mode::Native);
    world.origin(echo);
    for (namespace, link) in [(&world.network.client, "client0"), (&world.network.origin, "origin0")] {
        let arguments = format!("qdisc add dev {link} root netem {netem}");
        let status = namespace.command("tc").unwrap().args(arguments.split(' ')).status().unwrap();
        assert!(status.success(), "tc {arguments}");
    }
    let sent = noise(bytes);
    thread::scope(|scope| {
        for to in listen().into_iter().cycle().take(connections * 2) {
            let (world, sent) = (&world, &sent);
            scope.spawn(move || {
                let result = world.connect(to).and_then(|stream| exchange(stream, sent));
                result.unwrap_or_else(|error| panic!("{to}: {error}: {:?}", world.counts()));
            });
        }
    });
    assert!(world.packets(Reason::SpliceOpened) >= connections as u64 * 2, "{:?}", world.counts());
    assert_eq!(world.packets(Reason::Internal), 0, "{:?}", world.counts());
}

#[test]
#[ignore = "needs sch_netem, which guests of `cargo xtask vm` have"]
fn bytes_are_the_same_when_one_packet_in_a_hundred_is_lost() {
    exchanges_over("loss1", "loss 1%", 4, 2 << 20);
}

#[test]
#[ignore = "needs sch_netem, which guests of `cargo xtask vm` have"]
fn bytes_are_the_same_when_one_packet_in_ten_is_lost() {
    exchanges_over("loss10", "loss 10%", 4, 100_000);
}

#[test]
#[ignore = "needs sch_netem, which guests of `cargo xtask vm` have"]
fn bytes_are_the_same_when_packets_overtake_each_other() {
    exchanges_over("reorder", "delay 3ms 2ms reorder 25% 50%", 4, 1 << 20);
}
