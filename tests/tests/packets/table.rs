//! The table: a packet, the reason it is counted under, what becomes of it.

use std::{collections::BTreeSet, thread};

use filter_common::{Action, Reason};

use crate::{
    corpus::{Extension, client_hello, server_name},
    frame::{ACK, FIN, Family, Frame, RST, SYN, expected_reset, shapes},
    front,
    plane::Plane,
    splice,
};

/// XDP_DROP, XDP_PASS, XDP_TX and XDP_REDIRECT.
const XDP: [(Action, u32); 4] = [(Action::Drop, 1), (Action::Pass, 2), (Action::Transmit, 3), (Action::Redirect, 4)];
const KNOWN: [&str; 6] = ["www.example.com", "*.wild.example", "10.20.30.40", "Config-UPPER.example", NAME_63, NAME_64];
/// The longest name of the table of short names, and the shortest of the other.
const NAME_63: &str = "a23456789-b23456789-c23456789-d23456789-e23456789-f2345.63.test";
const NAME_64: &str = "a23456789-b23456789-c23456789-d23456789-e23456789-f23456.64.test";

struct Row {
    name: &'static str,
    /// `None`: both.
    family: Option<Family>,
    frame: Frame,
    reason: Reason,
}

fn both(name: &'static str, frame: Frame, reason: Reason) -> Row {
    Row { name, family: None, frame, reason }
}

fn v4(name: &'static str, frame: Frame, reason: Reason) -> Row {
    Row { name, family: Some(Family::V4), frame, reason }
}

fn v6(name: &'static str, frame: Frame, reason: Reason) -> Row {
    Row { name, family: Some(Family::V6), frame, reason }
}

pub(crate) fn hello(name: &str) -> Vec<u8> {
    client_hello(&[Extension(43, vec![2, 3, 4]), server_name(name.as_bytes()), Extension(13, vec![0, 2, 8, 4])])
}

fn hello_with(extensions: &[Extension]) -> Frame {
    Frame::data(client_hello(extensions))
}

fn from(client: &'static str) -> impl FnOnce(&mut Frame) {
    move |frame| frame.client = Some(client.parse().unwrap())
}

fn name_of(length: usize) -> String {
    let labels = "abcdefg.".repeat(length / 8 + 1);
    // Neither a dot nor a digit at the end.
    format!("{}z", &labels[..length - 1])
}

fn headers() -> Vec<Row> {
    let known = || Frame::data(hello("www.example.com"));
    let unknown = || Frame::data(hello("unknown.example"));
    let extensions = |kinds: &[u8]| kinds.iter().map(|&kind| (kind, vec![0; 16])).collect::<Vec<_>>();
    vec![
        both("syn", Frame::tcp(SYN, []), Reason::Control),
        both("handshake ack", Frame::tcp(ACK, []), Reason::Control),
        both("fin", Frame::tcp(FIN | ACK, []), Reason::Control),
        both("reset", Frame::tcp(RST, []), Reason::Control),
        both("padding is no payload", Frame::tcp(ACK, []).with(|f| f.padding = 20), Reason::Control),
        both("padding behind a hello", unknown().with(|f| f.padding = 20), Reason::HostUnknown),
        both("tcp options", known().with(|f| f.tcp_options = vec![1; 40]), Reason::HostTerminate),
        both(
            "tcp options of an odd kind",
            unknown().with(|f| f.tcp_options = vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]),
            Reason::HostUnknown,
        ),
        both("tcp header cut", Frame::tcp(ACK, []).with(|f| f.cut = 1), Reason::Malformed),
        both("other port", known().with(|f| f.destination_port = 8443), Reason::OtherAddress),
        both("other address", known().with(|f| f.other_address = true), Reason::OtherAddress),
        both("quic", Frame::data([0xc0; 1200]).with(|f| f.protocol = 17), Reason::Udp),
        both(
            "udp to another port",
            Frame::data([1; 9]).with(|f| (f.protocol, f.destination_port) = (17, 53)),
            Reason::OtherAddress,
        ),
        both("icmp", Frame::data([8; 8]).with(|f| f.protocol = 1), Reason::OtherProtocol),
        both("longer by its header than the frame", known().with(|f| f.cut = 1), Reason::Malformed),
        v4("syn from a denied network", Frame::tcp(SYN, []).with(from("203.0.113.255")), Reason::Denied),
        v4("syn from another denied network", Frame::tcp(SYN, []).with(from("203.0.112.128")), Reason::Denied),
        v4("syn from one address below it", Frame::tcp(SYN, []).with(from("203.0.112.127")), Reason::Control),
        v4(
            "syn from one address above a denied network",
            Frame::tcp(SYN, []).with(from("203.0.114.0")),
            Reason::Control,
        ),
        v4(
            "a connection from a denied network is a worker's",
            known().with(from("203.0.113.1")),
            Reason::HostTerminate,
        ),
        v6("syn from a denied network", Frame::tcp(SYN, []).with(from("2001:db8:bad:ffff::1")), Reason::Denied),
        v6("syn from one network above", Frame::tcp(SYN, []).with(from("2001:db8:bae::")), Reason::Control),
        v6(
            "ipv6 that ends like a denied network",
            Frame::tcp(SYN, []).with(from("2001:db8::203.0.113.1")),
            Reason::Control,
        ),
        v4("ip options", unknown().with(|f| f.ip_options = vec![1; 40]), Reason::HostUnknown),
        v4("ip options before a known host", known().with(|f| f.ip_options = vec![1; 4]), Reason::HostTerminate),
        v4("first fragment", known().with(|f| f.fragment = 0x2000), Reason::Fragment),
        v4("later fragment", known().with(|f| f.fragment = 0x0010), Reason::Fragment),
        v4("reserved bit is no fragment", known().with(|f| f.fragment = 0x8000), Reason::HostTerminate),
        v6(
            "extension headers",
            unknown().with(|f| f.extension_headers = extensions(&[0, 43, 60])),
            Reason::HostUnknown,
        ),
        v6(
            "as many extension headers as are followed",
            known().with(|f| f.extension_headers = extensions(&[0, 60, 43, 60])),
            Reason::HostTerminate,
        ),
        v6(
            "one extension header more",
            known().with(|f| f.extension_headers = extensions(&[0, 60, 43, 60, 60])),
            Reason::ExtensionHeaders,
        ),
        v6("mobility header", known().with(|f| f.extension_headers = extensions(&[135])), Reason::ExtensionHeaders),
        v6("fragment header", known().with(|f| f.extension_headers = vec![(44, vec![0; 8])]), Reason::Fragment),
        v6(
            "fragment header behind another",
            known().with(|f| f.extension_headers = vec![(60, vec![0; 8]), (44, vec![0; 8])]),
            Reason::Fragment,
        ),
        v6(
            "authentication header",
            known().with(|f| f.extension_headers = vec![(51, vec![0; 16])]),
            Reason::OtherProtocol,
        ),
    ]
}

fn hellos() -> Vec<Row> {
    let filler = |count: u16| (0..count).map(|n| Extension(0x2a00 + n, vec![0])).collect::<Vec<_>>();
    let behind = |count: u16| [filler(count), vec![server_name(b"unknown.example")]].concat();
    let whole = hello("unknown.example");
    vec![
        both("data", Frame::data(*b"\x17\x03\x03\x00\x10................"), Reason::Data),
        both("one byte of data", Frame::data([0x17]), Reason::Data),
        both("first byte of a record", Frame::data([0x16]), Reason::HelloIncomplete),
        both("alert", Frame::data([0x15, 3, 3, 0, 2, 1, 0]), Reason::Data),
        both("server hello", Frame::data([0x16, 3, 3, 0, 4, 2, 0, 0, 0]), Reason::Data),
        both("sslv2 hello", Frame::data([0x80, 0x2e, 1, 3, 1, 0, 0x15, 0, 0, 0, 0x10]), Reason::Data),
        both("http", Frame::data(*b"GET / HTTP/1.1\r\n\r\n"), Reason::Data),
        both("hello without ack flag", Frame::tcp(SYN, whole.clone()), Reason::Data),
        both("hello with fin", Frame::tcp(ACK | FIN, whole.clone()), Reason::HostUnknown),
        both("known", Frame::data(hello("www.example.com")), Reason::HostTerminate),
        both("known in upper case", Frame::data(hello("WWW.EXAMPLE.COM")), Reason::HostTerminate),
        both("configured in upper case", Frame::data(hello("config-upper.example")), Reason::HostTerminate),
        both("wildcard", Frame::data(hello("a.wild.example")), Reason::HostTerminate),
        both("wildcard in upper case", Frame::data(hello("A.Wild.Example")), Reason::HostTerminate),
        both(
            "long label below a wildcard",
            Frame::data(hello(&format!("{}.wild.example", "a".repeat(200)))),
            Reason::HostTerminate,
        ),
        both("wildcard covers one label only", Frame::data(hello("a.b.wild.example")), Reason::HostUnknown),
        both("wildcard does not cover its own domain", Frame::data(hello("wild.example")), Reason::HostUnknown),
        both("empty label below a wildcard", Frame::data(hello(".wild.example")), Reason::HostUnknown),
        both("unknown", Frame::data(hello("unknown.example")), Reason::HostUnknown),
        both("known name and one letter", Frame::data(hello("www.example.comm")), Reason::HostUnknown),
        both("known name less one letter", Frame::data(hello("www.example.co")), Reason::HostUnknown),
        both("known name and a zero byte", Frame::data(hello("www.example.com\0")), Reason::HostUnknown),
        both("no dot", Frame::data(hello("localhost")), Reason::HostUnknown),
        both("one letter", Frame::data(hello("a")), Reason::HostUnknown),
        both("bytes above 127", Frame::data(hello("bücher.example")), Reason::HostUnknown),
        both("final dot", Frame::data(hello("www.example.com.")), Reason::HelloNameUnusual),
        both("address", Frame::data(hello("192.0.2.1")), Reason::HelloNameUnusual),
        both("a configured name may end with a digit", Frame::data(hello("10.20.30.40")), Reason::HostTerminate),
        both("known, 63 bytes", Frame::data(hello(NAME_63)), Reason::HostTerminate),
        both("known, 64 bytes", Frame::data(hello(NAME_64)), Reason::HostTerminate),
        both("known, 64 bytes, upper case", Frame::data(hello(&NAME_64.to_ascii_uppercase())), Reason::HostTerminate),
        both("63 bytes of a longer name", Frame::data(hello(&NAME_64[1..])), Reason::HostUnknown),
        both("255 bytes", Frame::data(hello(&name_of(255))), Reason::HostUnknown),
        both("256 bytes", Frame::data(hello(&name_of(256))), Reason::HelloNameTooLong),
        both("name is the 64th extension", hello_with(&behind(63)), Reason::HostUnknown),
        both("name is the 65th extension", hello_with(&behind(64)), Reason::HelloTooManyExtensions),
        both("64 extensions without name", hello_with(&filler(64)), Reason::HelloNoName),
        both("65 extensions without name", hello_with(&filler(65)), Reason::HelloTooManyExtensions),
        both("no extensions", hello_with(&[]), Reason::HelloNoName),
        both("empty server_name", hello_with(&[Extension(0, vec![])]), Reason::HelloMalformed),
        both("server_name without name", hello_with(&[Extension(0, vec![0, 3, 0, 0, 0])]), Reason::HelloMalformed),
        both(
            "two names",
            hello_with(&[Extension(0, [&[0, 8][..], b"\0\0\x01a\0\0\x01b"].concat())]),
            Reason::HelloMalformed,
        ),
        both("name of another type", hello_with(&[Extension(0, vec![0, 4, 1, 0, 1, b'a'])]), Reason::HelloMalformed),
        both("hello cut in the name", Frame::data(&whole[..whole.len() - 20]), Reason::HelloIncomplete),
        both("hello cut behind the name", Frame::data(&whole[..whole.len() - 2]), Reason::HostUnknown),
        both("hello cut in the random", Frame::data(&whole[..20]), Reason::HelloIncomplete),
        both("extension beyond the extensions", Frame::data(lying(&whole)), Reason::HelloMalformed),
        both("record of five bytes", Frame::data(fragmented(&whole, 5)), Reason::HelloIncomplete),
    ]
}

/// The first extension claims to be longer than all of them.
fn lying(hello: &[u8]) -> Vec<u8> {
    let mut hello = hello.to_vec();
    let at = hello.windows(4).position(|window| window == [0, 43, 0, 3]).unwrap();
    hello[at + 2] = 0xff;
    hello
}

/// The same handshake message, in a first record of so many bytes and a second one.
fn fragmented(hello: &[u8], first: u16) -> Vec<u8> {
    let (head, body) = hello.split_at(5);
    let (one, two) = body.split_at(usize::from(first));
    [&head[..3], &first.to_be_bytes(), one, &head[..3], &(two.len() as u16).to_be_bytes(), two].concat()
}

/// Frames that are not IP packets to begin with, with the reason.
fn raw() -> Vec<(&'static str, Vec<u8>, Reason)> {
    let frame = |tags: &[u16], content: &[u8]| {
        let mut bytes = vec![2; 12];
        for tag in tags {
            bytes.extend(tag.to_be_bytes().into_iter().chain([0, 7]));
        }
        bytes.extend(content);
        bytes
    };
    let mut v4_version = vec![0x08, 0x00];
    v4_version.extend([0x60; 60]);
    let mut v6_version = vec![0x86, 0xdd];
    v6_version.extend([0x45; 60]);
    let mut short_header = vec![0x08, 0x00, 0x44, 0, 0, 40];
    short_header.extend([0; 60]);
    let mut short_total = vec![0x08, 0x00, 0x45, 0, 0, 19];
    short_total.extend([0; 60]);
    vec![
        ("arp", frame(&[], &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]), Reason::NotIp),
        ("lldp", frame(&[], &[0x88, 0xcc, 2, 7, 4]), Reason::NotIp),
        ("three tags", frame(&[0x88a8, 0x8100, 0x8100], &[0x08, 0x00, 0x45]), Reason::NotIp),
        ("tag and nothing else", frame(&[0x8100], &[]), Reason::NotIp),
        ("ipv4 of which one byte is there", frame(&[], &[0x08, 0x00, 0x45]), Reason::Malformed),
        ("ipv6 of which one byte is there", frame(&[], &[0x86, 0xdd, 0x60]), Reason::Malformed),
        ("ipv4 that says it is version 6", frame(&[], &v4_version), Reason::Malformed),
        ("ipv6 that says it is version 4", frame(&[], &v6_version), Reason::Malformed),
        ("ipv4 header of 16 bytes", frame(&[], &short_header), Reason::Malformed),
        ("ipv4 shorter than its header", frame(&[], &short_total), Reason::Malformed),
    ]
}

/// Refuses unverified senders until there were too many of them in a second, and the rest is left to workers.
fn run_out_of_resets() -> Vec<Reason> {
    thread::spawn(|| {
        on_one_cpu();
        let mut plane = Plane::new(&KNOWN);
        let packet = Frame::data(hello("unknown.example")).build(shapes().next().unwrap());
        let mut passed = (0..100_000).map(|_| plane.program.run(&packet, 1).unwrap()).filter(|run| run.action == 2);
        assert_eq!(passed.next().map(|run| run.packet).as_ref(), Some(&packet));
        let counts = plane.program.counters().unwrap();
        let packets = |reason| counts[u32::from(reason) as usize].packets;
        assert_eq!(packets(Reason::ResetLimited), 1);
        assert!(packets(Reason::HostUnknown) >= 1000, "{}", packets(Reason::HostUnknown));
    })
    .join()
    .unwrap();
    vec![Reason::ResetLimited]
}

#[test]
fn unverified_senders_are_reset_a_thousand_times_in_a_second_and_cpu() {
    run_out_of_resets();
}

/// Keeps this thread on the first CPU.
pub(crate) fn on_one_cpu() {
    let mut set = nix::sched::CpuSet::new();
    set.set(0).unwrap();
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set).unwrap();
}

pub(crate) fn action_number(reason: Reason) -> u32 {
    XDP.iter().find(|(action, _)| *action == reason.action()).unwrap().1
}

/// Runs the whole table and returns how often each reason was hit.
fn run_table() -> Vec<Reason> {
    let mut plane = Plane::new(&KNOWN);
    let mut hit = Vec::new();
    for row in headers().into_iter().chain(hellos()) {
        for shape in shapes().filter(|shape| row.family.is_none_or(|family| family == shape.family)) {
            let packet = row.frame.build(shape);
            let (reason, run) = plane.run(&packet);
            let case = format!("{} ({:?}, {} tags)", row.name, shape.family, shape.tags.len());
            assert_eq!(reason, row.reason, "{case}");
            assert_eq!(run.action, action_number(reason), "{case}");
            let expected = match reason.action() {
                Action::Pass | Action::Drop => packet,
                Action::Transmit => expected_reset(&row.frame, shape),
                Action::Redirect => panic!("{case}: no row of this table is of a spliced connection"),
            };
            assert_eq!(run.packet, expected, "{case}");
            hit.push(reason);
        }
    }
    for (name, packet, reason) in raw() {
        let (found, run) = plane.run(&packet);
        assert_eq!((found, run.action), (reason, action_number(reason)), "{name}");
        assert_eq!(run.packet, packet, "{name}");
        hit.push(reason);
    }
    hit
}

#[test]
fn each_packet_of_the_table_gets_its_reason_and_answer() {
    run_table();
}

#[test]
fn every_reason_is_hit_by_a_row() {
    let hit: BTreeSet<Reason> =
        [run_table(), run_out_of_resets(), front::run_handshakes(), splice::run_splices(), splice::run_out_of_ports()]
            .concat()
            .into_iter()
            .collect();
    // Counted only when a kernel helper refuses what it cannot refuse.
    assert_eq!((NAME_63.len(), NAME_64.len()), (63, 64));
    let unreachable = [Reason::Internal];
    let missed: Vec<_> =
        Reason::ALL.iter().filter(|reason| !hit.contains(reason) && !unreachable.contains(reason)).collect();
    assert!(missed.is_empty(), "no row for {missed:?}");
}

#[test]
fn counters_sum_to_the_packets() {
    let mut plane = Plane::new(&KNOWN);
    let shape = shapes().next().unwrap();
    let packets = [
        Frame::tcp(SYN, []),
        Frame::data(hello("www.example.com")),
        Frame::data(hello("unknown.example")),
        Frame::data([1; 500]).with(|f| f.protocol = 17),
    ]
    .map(|frame| frame.build(shape));
    // A packet is rewritten by the first of repeated runs, so only those that stay as they are repeat.
    let runs = [(0, 1000), (1, 100), (2, 1), (3, 10)];
    let mut expected = (0, 0);
    for (index, repeat) in runs {
        plane.program.run(&packets[index], repeat).unwrap();
        expected.0 += u64::from(repeat);
        expected.1 += u64::from(repeat) * packets[index].len() as u64;
    }
    let counts = plane.program.counters().unwrap();
    let total = (counts.iter().map(|count| count.packets).sum(), counts.iter().map(|count| count.bytes).sum());
    assert_eq!(total, expected);
}
