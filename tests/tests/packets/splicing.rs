//! Spliced connections on real links, with real TCP at both ends.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    thread,
};

use filter_common::Reason;
use filter_user::kernel::Mode;

use crate::splice_lab::{World, echo, hello, listen, noise};

/// Sends `bytes` behind the hello, ends that direction, and expects all of it back.
fn exchange(stream: TcpStream, bytes: &[u8]) -> io::Result<()> {
    let mut reader = stream.try_clone()?;
    let mut writer = stream;
    let back = thread::scope(|scope| {
        let written = scope.spawn(|| {
            writer.write_all(bytes)?;
            writer.shutdown(Shutdown::Write)
        });
        let mut back = Vec::new();
        let read = reader.read_to_end(&mut back);
        written.join().unwrap().and(read).map(|_| back)
    })?;
    let expected = [&hello()[..], bytes].concat();
    assert_eq!(back.len(), expected.len());
    assert!(back == expected, "the bytes are not those that were sent");
    Ok(())
}

fn exchanges_by_both_families(name: &str, mode: Mode, bytes: &[u8]) {
    let world = World::new(name, mode);
    world.origin(echo);
    for to in listen() {
        let result = world.connect(to).and_then(|stream| exchange(stream, bytes));
        result.unwrap_or_else(|error| panic!("{to}: {error}: {:?}", world.counts()));
    }
    world.wait_until_no_flows();
    assert_eq!(world.packets(Reason::SpliceOpened), 2, "{:?}", world.counts());
    assert_eq!(world.packets(Reason::Internal), 0, "{:?}", world.counts());
}

#[test]
fn bytes_go_both_ways_unchanged_and_half_closes_are_kept_in_native_mode() {
    exchanges_by_both_families("native", Mode::Native, &noise(1 << 20));
}

#[test]
fn bytes_go_both_ways_unchanged_and_half_closes_are_kept_in_generic_mode() {
    exchanges_by_both_families("generic", Mode::Generic, &noise(1 << 20));
}
