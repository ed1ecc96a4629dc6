//! The parser in the kernel, its twin in userspace, and rustls, on the same bytes.

use std::collections::HashSet;

use filter_common::{
    Reason,
    hello::{self, Hello, last_byte_is_unusual},
    layout::HostKey,
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use rustls::server::Acceptor;

use crate::{
    corpus::{Specimen, client_hello, recorded, server_name, specimens},
    frame::{Frame, shapes},
    plane::Plane,
};

const NAME: &str = "www.example.com";
const HOSTS: [&str; 2] = [NAME, "*.wild.example"];

/// What the program must say about this payload, found by its twin.
fn predicted(payload: &[u8]) -> Reason {
    match hello::server_name(payload) {
        Hello::Not => Reason::Data,
        Hello::Incomplete if payload.first() == Some(&22) => Reason::HelloIncomplete,
        Hello::Incomplete => Reason::Data,
        Hello::Malformed => Reason::HelloMalformed,
        Hello::NoName => Reason::HelloNoName,
        Hello::TooManyExtensions => Reason::HelloTooManyExtensions,
        Hello::NameTooLong => Reason::HelloNameTooLong,
        Hello::Name { at, length } => {
            let name = &payload[at as usize..(at + length) as usize];
            if is_configured(name) {
                Reason::HostTerminate
            } else if name.last().is_some_and(|&last| last_byte_is_unusual(last)) {
                Reason::HelloNameUnusual
            } else {
                Reason::HostUnknown
            }
        }
    }
}

fn is_configured(name: &[u8]) -> bool {
    let hosts: HashSet<HostKey> = HOSTS.iter().filter_map(|host| HostKey::new(host)).collect();
    [HostKey::exact(name), HostKey::wildcard(name)].iter().flatten().any(|key| hosts.contains(key))
}

fn said_by_the_kernel(plane: &mut Plane, payload: &[u8]) -> Reason {
    match plane.run(&Frame::data(payload).build(shapes().next().unwrap())).0 {
        // There were many in this second.
        Reason::ResetLimited => Reason::HostUnknown,
        reason => reason,
    }
}

/// The name that rustls reads in this hello, in lower case; `None` if it finds none or no hello.
fn read_by_rustls(hello: &[u8]) -> Option<String> {
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut &*hello).ok()?;
    let accepted = acceptor.accept().ok()??;
    accepted.client_hello().server_name().map(str::to_ascii_lowercase)
}

/// Hellos from real programs, and some with names that are none.
fn corpus() -> Vec<Specimen> {
    let names = [NAME, "a.wild.example", "unknown.example", "Upper.WILD.example"];
    let odd = [".wild.example", "www.example.com.", "192.0.2.1", "www..example.com", "a\0.wild.example"]
        .map(|name| Specimen { from: "like nobody's", bytes: client_hello(&[server_name(name.as_bytes())]) });
    names.iter().flat_map(|name| specimens(name)).chain(recorded()).chain(odd).collect()
}

#[test]
fn kernel_and_twin_agree_on_hellos_split_at_every_byte() {
    let mut plane = Plane::new(&HOSTS);
    let mut seen = HashSet::new();
    for Specimen { from, bytes } in corpus() {
        for end in 1..=bytes.len() {
            let expected = predicted(&bytes[..end]);
            assert_eq!(said_by_the_kernel(&mut plane, &bytes[..end]), expected, "{from}, first {end} bytes");
            seen.insert(expected);
        }
    }
    let must = [Reason::HelloIncomplete, Reason::HostTerminate, Reason::HostUnknown, Reason::HelloNoName];
    assert!(must.iter().all(|reason| seen.contains(reason)), "the corpus is too tame: {seen:?}");
}

#[test]
fn a_whole_hello_of_a_real_program_gives_the_name_that_rustls_reads() {
    let mut plane = Plane::new(&HOSTS);
    for Specimen { from, bytes } in corpus() {
        let known = match read_by_rustls(&bytes).as_deref() {
            Some("www.example.com" | "a.wild.example" | "upper.wild.example") => Reason::HostTerminate,
            Some(_) => Reason::HostUnknown,
            // What is only in the style of a program may lack what rustls insists on.
            None if from.starts_with("like") => continue,
            None => Reason::HelloNoName,
        };
        assert_eq!(said_by_the_kernel(&mut plane, &bytes), known, "{from}");
    }
}

#[test]
fn kernel_twin_and_rustls_agree_on_mutated_hellos() {
    let mut plane = Plane::new(&HOSTS);
    let corpus = corpus();
    let mutations =
        (0..corpus.len(), vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), any::<prop::sample::Index>());
    let mut runner = TestRunner::new(Config { cases: 4000, failure_persistence: None, ..Config::default() });
    let plane = std::cell::RefCell::new(&mut plane);
    let result = runner.run(&mutations, |(specimen, bytes, end)| {
        let mut hello = corpus[specimen].bytes.clone();
        for (at, byte) in &bytes {
            // The lengths are near the beginning, and the names are short: hit those more often than the key shares.
            let reach = hello.len().min(200);
            hello[at.index(reach)] = *byte;
        }
        hello.truncate(end.index(hello.len() * 4).max(1));
        let said = said_by_the_kernel(&mut plane.borrow_mut(), &hello);
        prop_assert_eq!(said, predicted(&hello));
        if said == Reason::HostUnknown {
            // Refused: then a worker must not find a known host in it.
            let read = read_by_rustls(&hello);
            prop_assert!(!read.as_deref().is_some_and(|name| is_configured(name.as_bytes())), "{:?}", read);
        }
        Ok(())
    });
    result.unwrap();
}
