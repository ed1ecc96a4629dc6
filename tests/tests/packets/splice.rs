//! Spliced connections as a table: packet by packet, from the hello to the end, through both programs.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    thread,
    time::Duration,
};

use filter_common::{Reason, splice::Link};
use filter_user::kernel::{HostAction, KernelPlan, Path, SPLICE_PORTS, SpliceTo};

use crate::{
    frame::{ACK, CLIENT_V4, CLIENT_V6, EDGE_V4, EDGE_V6, FIN, Family, Frame, PSH, RST, SEQUENCE, SYN, Shape, shapes},
    front::{Handshake, LINUX_OPTIONS, in_front_with},
    table::{action_number, hello, on_one_cpu},
};

const HOST: &str = "www.example.com";
/// In a namespace of one interface, packets "to the origin" leave by that one.
pub(crate) const INTERFACE: u32 = 1;
pub(crate) const ORIGIN_MACS: [u8; 12] = [2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 2];
/// What the programs of the traffic-control hook return: drop, or go on.
const SHOT: u32 = 2;
const GO_ON: u32 = u32::MAX;
pub(crate) const CLIENT_TIMESTAMP: u32 = 0xa1a2_a3a4;
pub(crate) const ORIGIN_SEQUENCE: u32 = 0xffff_fff0;
pub(crate) const ORIGIN_TIMESTAMP: u32 = 0x0102_0304;
pub(crate) const CLIENT_MACS: [u8; 12] = [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1];

pub(crate) fn origin(family: Family) -> SocketAddr {
    match family {
        Family::V4 => "203.0.113.80:8443".parse().unwrap(),
        Family::V6 => "[2001:db8:2::80]:8443".parse().unwrap(),
    }
}

fn source(family: Family) -> IpAddr {
    match family {
        Family::V4 => "203.0.113.1".parse().unwrap(),
        Family::V6 => "2001:db8:2::1".parse().unwrap(),
    }
}

pub(crate) fn client(family: Family) -> SocketAddr {
    if family == Family::V4 { CLIENT_V4 } else { CLIENT_V6 }.parse().unwrap()
}

pub(crate) fn edge(family: Family) -> SocketAddr {
    if family == Family::V4 { EDGE_V4 } else { EDGE_V6 }.parse().unwrap()
}

pub(crate) fn plan(proxy_protocol: bool) -> KernelPlan {
    let origins = [Family::V4, Family::V6].map(origin).into();
    let to = SpliceTo { origins, proxy_protocol };
    KernelPlan { hosts: BTreeMap::from([(HOST.to_owned(), HostAction::Splice(Arc::new(to)))]), deny: BTreeSet::new() }
}

/// The way to the origin with these tags.
pub(crate) fn path(to: SocketAddr, tags: &[u16]) -> Path {
    let word = |at: usize| u32::from_ne_bytes(ORIGIN_MACS[at..at + 4].try_into().unwrap());
    let tag = |index: usize| {
        tags.get(index).map_or(0, |tag| {
            let ([a, b], [c, d]) = (tag.to_be_bytes(), (100 + index as u16).to_be_bytes());
            u32::from_ne_bytes([a, b, c, d])
        })
    };
    let link = Link {
        interface: INTERFACE,
        macs: [word(0), word(4), word(8)],
        tags: [tag(0), tag(1)],
        tag_count: tags.len() as u32,
    };
    Path { source: source(if to.is_ipv4() { Family::V4 } else { Family::V6 }), link }
}

/// A client whose connection is being spliced.
pub(crate) struct Splice<'a> {
    pub(crate) client: Handshake<'a>,
    /// Tags of frames to and from the origin.
    pub(crate) origin_tags: &'static [u16],
    /// The timestamp of our SYN-ACK to the client.
    pub(crate) cookie_timestamp: u32,
    /// The edge's port towards the origin.
    pub(crate) port: u16,
    /// Our sequence number towards the origin, and our clock.
    pub(crate) sequence: u32,
    pub(crate) timestamp: u32,
}

impl<'a> Splice<'a> {
    pub(crate) fn new(mut client: Handshake<'a>, origin_tags: &'static [u16]) -> Self {
        client.plane.program.route(|to| Some(path(to, origin_tags))).unwrap();
        let answer = client.syn(&LINUX_OPTIONS);
        let at = crate::frame::answer_transport_at(client.shape) + 28;
        let cookie_timestamp = u32::from_be_bytes(answer[at..at + 4].try_into().unwrap());
        Self { client, origin_tags, cookie_timestamp, port: 0, sequence: 0, timestamp: 0 }
    }

    pub(crate) fn family(&self) -> Family {
        self.client.shape.family
    }

    /// The first segment of the client.
    pub(crate) fn hello(&self, payload: &[u8]) -> Frame {
        let options = timestamps(CLIENT_TIMESTAMP, self.cookie_timestamp);
        self.client.frame(ACK | PSH, payload).with(|f| f.tcp_options = options)
    }

    /// Sends the hello and looks at the SYN that it becomes.
    pub(crate) fn open(&mut self, payload: &[u8]) {
        let frame = self.hello(payload);
        let syn = self.client.expect(&frame, Reason::SpliceOpened);
        self.check_syn(&syn, true);
    }

    pub(crate) fn check_syn(&mut self, syn: &[u8], first: bool) {
        let family = self.family();
        let at = 14 + 4 * self.origin_tags.len() + if family == Family::V4 { 20 } else { 40 };
        let word = |at: usize| u32::from_be_bytes(syn[at..at + 4].try_into().unwrap());
        let port = (word(at) >> 16) as u16;
        assert!(SPLICE_PORTS.contains(&port), "{port}");
        if first {
            (self.port, self.sequence, self.timestamp) = (port, word(at + 4), word(at + 28));
        }
        let size: [u8; 2] = if family == Family::V4 { 1460_u16 } else { 1440 }.to_be_bytes();
        let mut options = [&[2, 4][..], &size, &[4, 2, 8, 10]].concat();
        options.extend(self.timestamp.to_be_bytes().into_iter().chain([0, 0, 0, 0, 1, 3, 3, 7]));
        let expected = self.to_origin(SYN, &[]).with(|f| {
            (f.sequence, f.acknowledgement, f.tcp_options) = (self.sequence, 0, options);
            (f.identification, f.life) = (0, 64);
        });
        assert_eq!(syn, self.origin_frame(&expected, ORIGIN_MACS));
    }

    /// A segment from the edge to the origin.
    pub(crate) fn to_origin(&self, flags: u8, payload: &[u8]) -> Frame {
        Frame::tcp(flags, payload).with(|f| {
            f.ends = Some((SocketAddr::new(source(self.family()), self.port), origin(self.family())));
        })
    }

    /// A segment from the origin to the edge, with the numbers that follow its SYN-ACK.
    pub(crate) fn origin_sends(&self, flags: u8, payload: &[u8]) -> Frame {
        Frame::tcp(flags, payload).with(|f| {
            f.ends = Some((origin(self.family()), SocketAddr::new(source(self.family()), self.port)));
            f.sequence = ORIGIN_SEQUENCE.wrapping_add(u32::from(flags & SYN == 0));
            f.acknowledgement = self.sequence.wrapping_add(1);
        })
    }

    /// A frame on the origin's side.
    pub(crate) fn origin_frame(&self, frame: &Frame, macs: [u8; 12]) -> Vec<u8> {
        let mut bytes = frame.build(Shape { family: self.family(), tags: self.origin_tags });
        bytes[..12].copy_from_slice(&macs);
        bytes
    }

    /// Lets the edge see a segment of the origin.
    pub(crate) fn origin_says(&mut self, frame: &Frame, reason: Reason) -> Vec<u8> {
        let packet = self.origin_frame(frame, opposite(ORIGIN_MACS));
        let (found, run) = self.client.plane.run(&packet);
        let tags = self.origin_tags.len();
        assert_eq!(found, reason, "{:?}, {tags} tags, flags {:#x}", self.client.shape, frame.flags);
        assert_eq!(run.action, action_number(reason));
        self.client.hit.push(found);
        run.packet
    }

    pub(crate) fn syn_ack(&self) -> Frame {
        let mut options = vec![2, 4, 5, 180, 4, 2];
        options.extend(&timestamps(ORIGIN_TIMESTAMP, self.timestamp)[2..]);
        options.extend([1, 3, 3, 9]);
        self.origin_sends(SYN | ACK, &[]).with(|f| f.tcp_options = options)
    }

    /// The origin answers, and gets what the client said.
    pub(crate) fn answer(&mut self, payload: &[u8]) {
        let frame = self.syn_ack();
        let passed = self.origin_says(&frame, Reason::SpliceAnswered);
        let run = self.client.plane.program.run_replay(&passed, 1).unwrap();
        assert_eq!(run.action, SHOT);
        let expected = self.to_origin(ACK | PSH, payload).with(|f| {
            (f.sequence, f.acknowledgement) = (self.sequence.wrapping_add(1), ORIGIN_SEQUENCE.wrapping_add(1));
            f.tcp_options = timestamps(self.timestamp, ORIGIN_TIMESTAMP);
            (f.identification, f.life) = (0, 64);
        });
        assert_eq!(run.packet, self.origin_frame(&expected, ORIGIN_MACS));
    }
}

/// What goes back to where a frame came from.
pub(crate) fn opposite(macs: [u8; 12]) -> [u8; 12] {
    let (receiver, sender) = macs.split_at(6);
    [sender, receiver].concat().try_into().unwrap()
}

pub(crate) fn timestamps(value: u32, echo: u32) -> Vec<u8> {
    [&[1, 1, 8, 10][..], &value.to_be_bytes(), &echo.to_be_bytes()].concat()
}

type Scene = fn(&mut Splice<'_>);
const SCENES: [Scene; 11] = [
    closed,
    refused,
    given_up,
    begun_again,
    never_answered,
    too_long,
    in_two_segments,
    reset,
    met_another,
    too_big,
    lost_meanwhile,
];

/// Plays each scene for each shape, and returns the reasons that were hit.
pub(crate) fn run_splices() -> Vec<Reason> {
    in_front_with(plan(false), |plane| {
        let mut hit = Vec::new();
        for (index, shape) in (0..).zip(shapes()) {
            // One that has no way to its origin yet is a worker's.
            let mut client = Handshake::new(plane, shape, 20_000 + index);
            client.syn(&LINUX_OPTIONS);
            client.says(ACK | PSH, &hello(HOST), Reason::SpliceNoOrigin);
            hit.extend(client.hit);
        }
        for (index, shape) in (0..).zip(shapes()) {
            let tags: [&'static [u16]; 3] = [&[], &[0x8100], &[0x88a8, 0x8100]];
            for (port, scene) in (10_000 + index * 100..).zip(SCENES) {
                let origin_tags = tags[(usize::from(index) + usize::from(port)) % tags.len()];
                let mut splice = Splice::new(Handshake::new(plane, shape, port), origin_tags);
                scene(&mut splice);
                hit.append(&mut splice.client.hit);
            }
        }
        for client in ["198.51.100.9", "2001:db8:1::9"] {
            plane.program.punish(client.parse().unwrap(), Duration::from_secs(60)).unwrap();
        }
        for shape in shapes() {
            let mut client = Handshake::new(plane, shape, 30_000);
            client.says(SYN, &[], Reason::Punished);
            hit.extend(client.hit);
        }
        hit
    })
}

fn closed(splice: &mut Splice<'_>) {
    splice.open(&hello(HOST));
    splice.client.says(ACK, &[], Reason::SpliceHeld);
    let frame = splice.hello(&hello(HOST));
    let syn = splice.client.expect(&frame, Reason::SpliceRetried);
    splice.check_syn(&syn, false);
    splice.answer(&hello(HOST));
    assert_eq!(splice.client.plane.program.flows().unwrap().len(), 1);
    let received = ORIGIN_SEQUENCE.wrapping_add(1);
    let sent = splice.sequence.wrapping_add(1 + hello(HOST).len() as u32);
    // Five bytes and a FIN from the origin, then a FIN from the client; the last acknowledgement takes the flow along.
    splice
        .origin_says(&splice.origin_sends(ACK, b"hello").with(|f| f.acknowledgement = sent), Reason::SpliceFromOrigin);
    let fin = splice
        .origin_sends(FIN | ACK, &[])
        .with(|f| (f.sequence, f.acknowledgement) = (received.wrapping_add(5), sent));
    splice.origin_says(&fin, Reason::SpliceFromOrigin);
    let client_fin = splice.client.frame(FIN | ACK, &[]).with(|f| {
        f.sequence = SEQUENCE + 1 + hello(HOST).len() as u32;
        f.acknowledgement = splice.client.cookie.wrapping_add(1 + 5 + 1);
    });
    splice.client.expect(&client_fin, Reason::SpliceFromClient);
    assert_eq!(splice.client.plane.program.flows().unwrap().len(), 1);
    let last = splice.origin_sends(ACK, &[]).with(|f| {
        (f.sequence, f.acknowledgement) = (received.wrapping_add(6), sent.wrapping_add(1));
    });
    splice.origin_says(&last, Reason::SpliceFromOrigin);
    assert!(splice.client.plane.program.flows().unwrap().is_empty());
}

fn refused(splice: &mut Splice<'_>) {
    splice.open(&hello(HOST));
    // Not by somebody who does not know the sequence number.
    let forged = splice.origin_sends(RST | ACK, &[]).with(|f| f.acknowledgement = splice.sequence.wrapping_add(2));
    splice.origin_says(&forged, Reason::SpliceRefused);
    assert_eq!(splice.client.plane.program.flows().unwrap().len(), 1);
    splice.origin_says(&splice.origin_sends(RST | ACK, &[]), Reason::SpliceRefused);
    assert!(splice.client.plane.program.flows().unwrap().is_empty());
    let frame = splice.hello(&hello(HOST));
    splice.client.expect(&frame, Reason::Established);
}

fn given_up(splice: &mut Splice<'_>) {
    splice.open(&hello(HOST));
    let reset = splice.client.frame(RST, &[]).with(|f| f.sequence += hello(HOST).len() as u32);
    splice.client.expect(&reset, Reason::SpliceHeld);
    assert!(splice.client.plane.program.flows().unwrap().is_empty());
    // The answer that comes after that is the kernel's to reset.
    splice.origin_says(&splice.syn_ack(), Reason::OtherAddress);
}

fn begun_again(splice: &mut Splice<'_>) {
    splice.open(&hello(HOST));
    // The origin has not answered: another connection from the same port begins as the first did.
    splice.client.syn(&LINUX_OPTIONS);
    assert!(splice.client.plane.program.flows().unwrap().is_empty());
    splice.open(&hello(HOST));
    splice.answer(&hello(HOST));
    splice.client.plane.program.kill_flows(HOST).unwrap();
}

fn never_answered(splice: &mut Splice<'_>) {
    splice.open(&hello(HOST));
    let frame = splice.hello(&hello(HOST));
    for _ in 0..3 {
        let syn = splice.client.expect(&frame, Reason::SpliceRetried);
        splice.check_syn(&syn, false);
    }
    splice.client.expect(&frame, Reason::SpliceNoOrigin);
    assert!(splice.client.plane.program.flows().unwrap().is_empty());
    splice.client.expect(&frame, Reason::Established);
}

fn too_long(splice: &mut Splice<'_>) {
    let mut long = hello(HOST);
    long.resize(2049, 0);
    let frame = splice.hello(&long);
    splice.client.expect(&frame, Reason::SpliceUnfit);
}

fn in_two_segments(splice: &mut Splice<'_>) {
    let (first, second) = (hello(HOST), vec![0x5a; 700]);
    splice.open(&first);
    let behind = |splice: &Splice<'_>, at: usize| splice.hello(&second).with(|f| f.sequence += at as u32);
    // Not what leaves a gap; the client repeats that.
    let gap = behind(splice, first.len() + 1);
    splice.client.expect(&gap, Reason::SpliceHeld);
    let frame = behind(splice, first.len());
    splice.client.expect(&frame, Reason::SpliceHeld);
    let passed = splice.origin_says(&splice.syn_ack(), Reason::SpliceAnswered);
    let run = splice.client.plane.program.run_replay(&passed, 1).unwrap();
    assert_eq!(run.action, SHOT);
    // What was sent last.
    let expected = splice.to_origin(ACK | PSH, &second).with(|f| {
        f.sequence = splice.sequence.wrapping_add(1 + first.len() as u32);
        f.acknowledgement = ORIGIN_SEQUENCE.wrapping_add(1);
        f.tcp_options = timestamps(splice.timestamp, ORIGIN_TIMESTAMP);
        (f.identification, f.life) = (0, 64);
    });
    assert_eq!(run.packet, splice.origin_frame(&expected, ORIGIN_MACS));
    // Repeated, it is a segment like any other.
    splice.client.expect(&frame, Reason::SpliceFromClient);
    splice.client.plane.program.kill_flows(HOST).unwrap();
}

fn reset(splice: &mut Splice<'_>) {
    splice.open(&hello(HOST));
    splice.answer(&hello(HOST));
    splice.client.says(ACK, &[], Reason::SpliceFromClient);
    // One that the client would not believe goes on, and changes nothing here.
    let far = splice.origin_sends(RST, &[]).with(|f| f.sequence = f.sequence.wrapping_add(65_536));
    splice.origin_says(&far, Reason::SpliceFromOrigin);
    assert_eq!(splice.client.plane.program.flows().unwrap().len(), 1);
    splice.origin_says(&splice.origin_sends(RST, &[]), Reason::SpliceFromOrigin);
    assert!(splice.client.plane.program.flows().unwrap().is_empty());
}

fn met_another(splice: &mut Splice<'_>) {
    splice.open(&hello(HOST));
    // The origin still has the port's last connection, and says so: it is reset.
    let challenge = splice.origin_sends(ACK, &[]).with(|f| f.acknowledgement = 77);
    splice.origin_says(&challenge, Reason::FlowUnknown);
    splice.origin_says(&splice.origin_sends(0, &[]), Reason::SpliceHeld);
    splice.answer(&hello(HOST));
    // At the end of its life here, and one before.
    let old = splice.origin_sends(ACK, &[]).with(|f| f.life = 1);
    splice.origin_says(&old, Reason::SpliceExpired);
    let frame = splice.client.frame(ACK, &[]).with(|f| f.life = 1);
    splice.client.expect(&frame, Reason::SpliceExpired);
    // A SYN with the same ends: the origin is asked.
    splice.client.says(SYN, &[], Reason::SpliceFromClient);
    let reset = splice.client.frame(RST, &[]).with(|f| f.sequence = SEQUENCE + 1);
    splice.client.expect(&reset, Reason::SpliceFromClient);
}

fn lost_meanwhile(splice: &mut Splice<'_>) {
    splice.open(&hello(HOST));
    splice.answer(&hello(HOST));
    // Nothing comes of a segment that is neither an answer nor of a flow that waits for its header.
    let data = splice.origin_frame(&splice.origin_sends(ACK, b"data"), opposite(ORIGIN_MACS));
    let run = splice.client.plane.program.run_replay(&data, 1).unwrap();
    assert_eq!((run.action, run.packet), (GO_ON, data));
    // The origin repeats its SYN-ACK, as it has not got our answer.
    splice.answer(&hello(HOST));
    splice.client.plane.program.kill_flows(HOST).unwrap();
}

/// A router's message about a packet that was sent from one end to the other, with as much of it as IPv4's routers quote.
fn message(splice: &Splice<'_>, about: &Frame, from_origins_side: bool) -> Vec<u8> {
    let family = splice.family();
    let quoted = about.build(Shape { family, tags: &[] });
    let (ip_size, kind, protocol): (_, [u8; 8], _) = match family {
        Family::V4 => (20, [3, 4, 0, 0, 0, 0, 5, 0], 1),
        Family::V6 => (40, [2, 0, 0, 0, 0, 0, 5, 0], 58),
    };
    let payload = [&kind[..], &quoted[14..14 + ip_size + 8]].concat();
    let (sender, _) = about.ends.unwrap_or((client(family), edge(family)));
    let router: SocketAddr = if family == Family::V4 { "192.0.2.200:0" } else { "[2001:db8::200]:0" }.parse().unwrap();
    let frame = Frame::tcp(0, []).with(|f| f.ends = Some((router, sender)));
    let tags = if from_origins_side { splice.origin_tags } else { splice.client.shape.tags };
    let mut bytes = frame.build(Shape { family, tags });
    let at = bytes.len() - 20;
    bytes.truncate(at);
    bytes.extend(payload);
    finish_message(&mut bytes, at, protocol);
    let macs = if from_origins_side { opposite(ORIGIN_MACS) } else { opposite(CLIENT_MACS) };
    bytes[..12].copy_from_slice(&macs);
    bytes
}

/// Fills in protocol, lengths and checksums of a message of ICMP at `at`.
fn finish_message(bytes: &mut [u8], at: usize, protocol: u8) {
    let (length, v4) = (bytes.len() - at, protocol == 1);
    bytes[at + 2..at + 4].fill(0);
    if v4 {
        let ip = at - 20;
        bytes[ip + 9] = protocol;
        bytes[ip + 2..ip + 4].copy_from_slice(&((20 + length) as u16).to_be_bytes());
        bytes[ip + 10..ip + 12].fill(0);
        let sum = crate::frame::checksum(&bytes[ip..at]);
        bytes[ip + 10..ip + 12].copy_from_slice(&sum);
        let sum = crate::frame::checksum(&bytes[at..]);
        bytes[at + 2..at + 4].copy_from_slice(&sum);
    } else {
        let ip = at - 40;
        bytes[ip + 6] = protocol;
        bytes[ip + 4..ip + 6].copy_from_slice(&(length as u16).to_be_bytes());
        let address = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&bytes[at..at + 16]).unwrap());
        let sum = crate::frame::transport_checksum(address(ip + 8), address(ip + 24), protocol, &bytes[at..]);
        bytes[at + 2..at + 4].copy_from_slice(&sum);
    }
}

fn too_big(splice: &mut Splice<'_>) {
    splice.open(&hello(HOST));
    splice.answer(&hello(HOST));
    let family = splice.family();
    // About what the edge sent to the origin: for the client, as the client sent it.
    let about = splice.to_origin(ACK, &[7; 100]).with(|f| f.sequence = splice.sequence.wrapping_add(1000));
    let mut sent = splice.client.frame(ACK, &[7; 100]).with(|f| f.sequence = SEQUENCE + 1000);
    sent.ends = Some((with_port(client(family), splice.client.port), edge(family)));
    forwards(splice, &about, true, &sent);
    // About what the edge sent to the client: for the origin.
    let about = Frame::tcp(ACK, [7; 100]).with(|f| {
        f.ends = Some((edge(family), with_port(client(family), splice.client.port)));
        f.sequence = splice.client.cookie.wrapping_add(1 + 500);
    });
    let sent = splice.origin_sends(ACK, &[7; 100]).with(|f| f.sequence = ORIGIN_SEQUENCE.wrapping_add(1 + 500));
    forwards(splice, &about, false, &sent);
    // About a connection that is not spliced, or of another kind: the kernel's.
    let other = about.with(|f| f.ends = Some((edge(family), with_port(client(family), 9))));
    let packet = message(splice, &other, false);
    let (reason, run) = splice.client.plane.run(&packet);
    assert_eq!((reason, run.packet), (Reason::OtherProtocol, packet));
    let reset = splice.client.frame(RST, &[]).with(|f| f.sequence = SEQUENCE + 1);
    splice.client.expect(&reset, Reason::SpliceFromClient);
}

fn with_port(address: SocketAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.ip(), port)
}

/// A message about `about` becomes one about `sent`, to whoever sent it, from whom it was sent to.
fn forwards(splice: &mut Splice<'_>, about: &Frame, from_origins_side: bool, sent: &Frame) {
    let packet = message(splice, about, from_origins_side);
    let (reason, run) = splice.client.plane.run(&packet);
    assert_eq!(reason, Reason::SpliceTooBig, "{:?}", splice.client.shape);
    assert_eq!(run.action, action_number(reason));
    splice.client.hit.push(reason);
    let mut expected = message(splice, sent, !from_origins_side);
    let macs = if from_origins_side { CLIENT_MACS } else { ORIGIN_MACS };
    expected[..12].copy_from_slice(&macs);
    // The router's address is replaced by the end that the packet was for.
    let (_, receiver) = sent.ends.unwrap();
    let family = splice.family();
    let tags = if from_origins_side { splice.client.shape.tags } else { splice.origin_tags };
    let ip = 14 + 4 * tags.len();
    let (at, place, octets) = match receiver.ip() {
        IpAddr::V4(v4) => (ip + 20, ip + 12, v4.octets().to_vec()),
        IpAddr::V6(v6) => (ip + 40, ip + 8, v6.octets().to_vec()),
    };
    expected[place..place + octets.len()].copy_from_slice(&octets);
    // The header that is quoted keeps what was wrong with it: here nothing is, but its time to live.
    finish_message(&mut expected, at, if family == Family::V4 { 1 } else { 58 });
    assert_eq!(run.packet, expected, "{:?}", splice.client.shape);
}

#[test]
fn each_segment_of_a_splice_gets_its_reason_and_becomes_what_it_should() {
    run_splices();
}

#[test]
fn a_segment_that_belongs_to_nothing_is_reset_when_it_goes_on() {
    in_front_with(plan(false), |plane| {
        for (index, shape) in (0..).zip(shapes()) {
            let mut client = Handshake::new(plane, shape, 40_000 + index);
            client.cookie = 0x1234_5678;
            client.says(ACK | PSH, b"data", Reason::CookieInvalid);
        }
        thread::sleep(Duration::from_millis(3100));
        for (index, shape) in (0..).zip(shapes()) {
            let mut client = Handshake::new(plane, shape, 40_000 + index);
            client.cookie = 0x1234_5678;
            let frame = client.frame(ACK | PSH, b"data");
            assert_eq!(client.expect(&frame, Reason::FlowUnknown), crate::frame::expected_reset(&frame, shape));
            // Never an answer to a reset, nor to what acknowledges nothing.
            client.says(RST | ACK, &[], Reason::CookieInvalid);
            client.says(FIN, &[], Reason::CookieInvalid);
        }
        // At most so many in a second.
        let mut client = Handshake::new(plane, shapes().next().unwrap(), 40_000);
        client.cookie = 0x1234_5678;
        let frame = client.frame(ACK | PSH, b"data").build(client.shape);
        let before = client.plane.program.counters().unwrap();
        for _ in 0..1500 {
            client.plane.program.run(&frame, 1).unwrap();
        }
        let after = client.plane.program.counters().unwrap();
        let resets = u32::from(Reason::FlowUnknown) as usize;
        let sent = after[resets].packets - before[resets].packets;
        assert!((500..=1500).contains(&sent), "{sent} resets");
    });
}

/// Opens connections until there is no port left, and returns the reasons that were hit.
pub(crate) fn run_out_of_ports() -> Vec<Reason> {
    in_front_with(plan(false), |plane| {
        on_one_cpu();
        let shape = shapes().next().unwrap();
        plane.program.route(|to| Some(path(to, &[]))).unwrap();
        let mut hit = Vec::new();
        for port in 1.. {
            let mut client = Handshake::new(plane, shape, port);
            client.syn(&LINUX_OPTIONS);
            let frame = client.frame(ACK | PSH, &hello(HOST)).build(shape);
            hit.push(client.plane.run(&frame).0);
            if hit.last() != Some(&Reason::SpliceOpened) {
                break;
            }
        }
        hit
    })
}

#[test]
fn when_no_port_is_left_a_connection_is_a_workers() {
    let mut hit = run_out_of_ports();
    assert_eq!(hit.pop(), Some(Reason::SpliceNoRoom));
    // Each CPU has its share of the ports.
    assert_eq!(hit, vec![Reason::SpliceOpened; SPLICE_PORTS.len() / aya::util::nr_cpus().unwrap()]);
}
