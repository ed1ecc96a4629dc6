//! The SYN-cookie front as a table: handshakes, packet by packet, in a namespace with real listeners on the frames' addresses.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
};

use filter_common::Reason;
use filter_user::kernel::KernelPlan;
use socket2::{Domain, Socket, Type};

use crate::{
    frame::{
        ACK, Answer, CLIENT_V4, CLIENT_V6, EDGE_V4, EDGE_V6, FIN, Family, Frame, PSH, RST, SEQUENCE, SYN, Shape,
        answer_transport_at, expected_answer, expected_reset, shapes,
    },
    loader::{in_namespace, ip},
    plane::Plane,
    table::{action_number, hello},
};

const HOST: &str = "www.example.com";
/// MSS, selective acknowledgement, timestamp, window scale of 7, as Linux writes them.
pub(crate) const LINUX_OPTIONS: [u8; 20] = [2, 4, 5, 180, 4, 2, 8, 10, 0xa1, 0xa2, 0xa3, 0xa4, 0, 0, 0, 0, 1, 3, 3, 7];

/// A namespace in which the frames' addresses are the loopback interface's, and somebody listens.
fn in_front<T: Send + 'static>(test: impl FnOnce(&mut Plane) -> T + Send + 'static) -> T {
    in_front_with(KernelPlan::terminating([HOST]), test)
}

/// The same with another plan.
pub(crate) fn in_front_with<T: Send + 'static>(
    plan: KernelPlan,
    test: impl FnOnce(&mut Plane) -> T + Send + 'static,
) -> T {
    in_namespace(|| {
        addresses();
        let _listeners = [EDGE_V4, EDGE_V6].map(|edge| TcpListener::bind(edge).unwrap());
        let mut plane = Plane::with_plan(plan);
        plane.program.answer_syns("lo").unwrap();
        test(&mut plane)
    })
}

fn addresses() {
    ip("link set lo up");
    for address in [
        "192.0.2.1/32 dev lo",
        "198.51.100.9/32 dev lo",
        "2001:db8::1/128 dev lo nodad",
        "2001:db8:1::9/128 dev lo nodad",
    ] {
        ip(&format!("addr add {address}"));
    }
    for setting in ["tcp_syncookies", "tcp_timestamps"] {
        fs::write(format!("/proc/sys/net/ipv4/{setting}"), "2").unwrap();
    }
}

fn plane() -> Plane {
    let mut plane = Plane::new(&[HOST]);
    plane.program.answer_syns("lo").unwrap();
    plane
}

/// Says hello to the front from one client port.
pub(crate) struct Handshake<'a> {
    pub(crate) plane: &'a mut Plane,
    pub(crate) shape: Shape,
    pub(crate) port: u16,
    pub(crate) cookie: u32,
    pub(crate) hit: Vec<Reason>,
}

impl<'a> Handshake<'a> {
    pub(crate) fn new(plane: &'a mut Plane, shape: Shape, port: u16) -> Self {
        Self { plane, shape, port, cookie: 0, hit: Vec::new() }
    }

    pub(crate) fn syn(&mut self, options: &[u8]) -> Vec<u8> {
        let frame = self.frame(SYN, &[]).with(|f| f.tcp_options = options.to_vec());
        let answer = self.expect(&frame, Reason::SynAnswered);
        let at = answer_transport_at(self.shape) + 4;
        self.cookie = u32::from_be_bytes(answer[at..at + 4].try_into().unwrap());
        answer
    }

    /// The client's segment behind the handshake.
    pub(crate) fn frame(&self, flags: u8, payload: &[u8]) -> Frame {
        Frame::tcp(flags, payload).with(|f| {
            f.client_port = self.port;
            f.sequence = if flags & SYN == 0 { SEQUENCE + 1 } else { SEQUENCE };
            f.acknowledgement = if flags & ACK == 0 { 0 } else { self.cookie.wrapping_add(1) };
        })
    }

    pub(crate) fn expect(&mut self, frame: &Frame, reason: Reason) -> Vec<u8> {
        let (found, run) = self.plane.run(&frame.build(self.shape));
        assert_eq!(found, reason, "{:?}, {} tags, flags {:#x}", self.shape.family, self.shape.tags.len(), frame.flags);
        assert_eq!(run.action, action_number(reason));
        self.hit.push(found);
        run.packet
    }

    pub(crate) fn says(&mut self, flags: u8, payload: &[u8], reason: Reason) -> Vec<u8> {
        let frame = self.frame(flags, payload);
        self.expect(&frame, reason)
    }
}

/// Runs each kind of handshake for each shape and returns the reasons that were hit.
pub(crate) fn run_handshakes() -> Vec<Reason> {
    in_front(|plane| {
        let mut hit = Vec::new();
        // Another port for each, so that none remembers another.
        for (index, shape) in (0..).zip(shapes()) {
            let handshakes = [served, refused, given_up, forged, without_options];
            for (port, handshake) in (10_000 + index * 100..).zip(handshakes) {
                let mut client = Handshake::new(plane, shape, port);
                handshake(&mut client);
                hit.extend(client.hit);
            }
        }
        hit
    })
}

fn served(client: &mut Handshake<'_>) {
    client.syn(&LINUX_OPTIONS);
    // Nothing was kept: the same SYN gets the same cookie, and the ACK may come twice or never.
    let cookie = client.cookie;
    client.syn(&LINUX_OPTIONS);
    assert_eq!(client.cookie, cookie);
    client.says(ACK, &[], Reason::HandshakeAck);
    client.says(ACK, &[], Reason::HandshakeAck);
    client.says(ACK | PSH, &hello(HOST), Reason::HostTerminate);
    // From here on the connection lives in the kernel.
    client.says(ACK | PSH, &hello(HOST), Reason::Established);
    client.says(ACK, &[], Reason::Established);
    client.says(FIN | ACK, &[], Reason::Established);
    client.says(RST, &[], Reason::Established);
}

fn refused(client: &mut Handshake<'_>) {
    client.syn(&LINUX_OPTIONS);
    client.says(ACK, &[], Reason::HandshakeAck);
    let frame = client.frame(ACK | PSH, &hello("unknown.example"));
    for _ in 0..2 {
        assert_eq!(client.expect(&frame, Reason::HostUnknown), expected_reset(&frame, client.shape));
    }
}

fn given_up(client: &mut Handshake<'_>) {
    client.syn(&LINUX_OPTIONS);
    client.says(ACK, &[], Reason::HandshakeAck);
    let frame = client.frame(FIN | ACK, &[]);
    assert_eq!(client.expect(&frame, Reason::ClosedEarly), expected_reset(&frame, client.shape));
}

fn forged(client: &mut Handshake<'_>) {
    client.cookie = 0x1234_5678;
    for flags in [ACK, FIN | ACK, RST, RST | ACK, SYN | ACK, SYN | FIN, SYN | RST, FIN, 0] {
        client.says(flags, &[], Reason::CookieInvalid);
    }
    client.says(ACK | PSH, &hello(HOST), Reason::CookieInvalid);
    // A right cookie from a wrong place in the stream, and for a wrong port.
    client.syn(&LINUX_OPTIONS);
    // Not by one: the kernel's cookie holds one of four segment sizes, and the next place is the next size.
    let frame = client.frame(ACK, &[]).with(|f| f.sequence += 4);
    client.expect(&frame, Reason::CookieInvalid);
    let frame = client.frame(ACK, &[]).with(|f| f.client_port += 50);
    client.expect(&frame, Reason::CookieInvalid);
}

/// What cannot be parsed further is the kernel's, as without the front.
fn without_options(client: &mut Handshake<'_>) {
    client.syn(&[]);
    client.says(ACK | PSH, b"GET / HTTP/1.1\r\n\r\n", Reason::Data);
    client.says(ACK, &[], Reason::Established);
}

#[test]
fn each_segment_of_a_handshake_gets_its_reason_and_answer() {
    run_handshakes();
}

/// What the SYN-ACK offers when the SYN offers `options`; the timestamp's place is filled with zeros.
fn offered(client: &mut Handshake<'_>, options: &[u8]) -> (Vec<u8>, u32) {
    let answer = client.syn(options);
    let frame = client.frame(SYN, &[]).with(|f| f.tcp_options = options.to_vec());
    let at = answer_transport_at(client.shape) + 20;
    let said = Answer {
        sequence: client.cookie,
        acknowledgement: SEQUENCE + 1,
        flags: SYN | ACK,
        window: 0xffff,
        options: &answer[at..],
    };
    assert_eq!(answer, expected_answer(&frame, client.shape, &said));
    assert!(answer.len() <= frame.build(client.shape).len(), "longer than the SYN");
    let mut options = answer[at..].to_vec();
    let mut timestamp = 0;
    if let Some(place) = options.get_mut(8..12) {
        timestamp = u32::from_be_bytes(place.try_into().unwrap());
        place.fill(0);
    }
    (options, timestamp)
}

#[test]
fn a_syn_ack_offers_what_the_syn_offers_and_the_cookie_can_hold() {
    in_front(|plane| {
        let scale = kernels_window_scale();
        // The loopback interface has an MTU of 65,536.
        let size = |shape: Shape| match shape.family {
            Family::V4 => [2, 4, 0xff, 0xd7],
            Family::V6 => [2, 4, 0xff, 0xc4],
        };
        let echo = &[0, 0, 0, 0, 0xa1, 0xa2, 0xa3, 0xa4][..];
        for shape in shapes() {
            let mut client = Handshake::new(plane, shape, 40_000);
            let size = size(shape);
            let (options, timestamp) = offered(&mut client, &LINUX_OPTIONS);
            assert_eq!(options, [&size[..], &[4, 2, 8, 10], echo, &[1, 3, 3, scale]].concat());
            assert_eq!(timestamp & 0x3f, 0x17, "window scale 7 and selective acknowledgement");

            let mut none = LINUX_OPTIONS;
            none[4..6].fill(1);
            none[17..20].fill(1);
            let (options, timestamp) = offered(&mut client, &none);
            assert_eq!(options, [&size[..], &[1, 1, 8, 10], echo, &[1, 1, 1, 1]].concat());
            assert_eq!(timestamp & 0x3f, 0x0f, "no window scale, no selective acknowledgement");

            let mut large = LINUX_OPTIONS;
            large[19] = 255;
            assert_eq!(offered(&mut client, &large).1 & 0x3f, 0x1e, "a window scale above 14 is 14");

            // Odd order and offsets, as some stacks write them.
            let odd = [&[1, 3, 3, 7, 1, 1, 1][..], &LINUX_OPTIONS[6..16], &[4, 2, 1, 2, 4, 5, 180]].concat();
            let odd = [odd, vec![0, 9, 9, 9]].concat();
            assert_eq!(offered(&mut client, &odd[..28]).0.len(), 20);

            assert_eq!(offered(&mut client, &[2, 4, 5, 180]).0, size);
            assert_eq!(offered(&mut client, &[2, 4, 5, 180, 1, 3, 3, 7]).0, size, "no place for it without timestamp");
            assert!(offered(&mut client, &[]).0.is_empty());
            assert!(offered(&mut client, &[1, 1, 1, 1]).0.is_empty());
            // An option that claims more than there is, or nothing.
            assert!(offered(&mut client, &[2, 40, 5, 180]).0.is_empty());
            assert!(offered(&mut client, &[2, 0, 5, 180]).0.is_empty());
        }
    });
}

/// `ilog2` of the largest receive buffer, less 15: what the kernel computes for a socket that it makes from a cookie.
fn kernels_window_scale() -> u8 {
    let last = |path: &str| -> u32 {
        fs::read_to_string(path).map_or(0, |text| text.split_whitespace().last().unwrap().parse().unwrap())
    };
    let buffer = last("/proc/sys/net/ipv4/tcp_rmem").max(last("/proc/sys/net/core/rmem_max"));
    buffer.ilog2() as u8 - 15
}

#[test]
fn a_syn_that_nobody_listens_for_is_the_kernels() {
    in_namespace(|| {
        addresses();
        let mut plane = plane();
        for shape in shapes() {
            Handshake::new(&mut plane, shape, 20_000).says(SYN, &[], Reason::Control);
        }
    });
}

/// A connection that the kernel made without the front.
fn connection(client: &str, edge: &str) -> Socket {
    let (client, edge): (SocketAddr, SocketAddr) = (client.parse().unwrap(), edge.parse().unwrap());
    let socket = Socket::new(Domain::for_address(client), Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&client.into()).unwrap();
    socket.connect(&edge.into()).unwrap();
    socket
}

#[test]
fn connections_that_are_older_than_the_program_go_on() {
    in_namespace(|| {
        addresses();
        let listeners = [EDGE_V4, EDGE_V6].map(|edge| TcpListener::bind(edge).unwrap());
        for (index, (client, edge)) in [(CLIENT_V4, EDGE_V4), (CLIENT_V6, EDGE_V6)].into_iter().enumerate() {
            let socket = connection(client, edge);
            let (accepted, _) = listeners[index].accept().unwrap();
            let mut plane = plane();
            let shape = shapes().find(|shape| (shape.family == Family::V6) == (index == 1)).unwrap();
            let mut client = Handshake::new(&mut plane, shape, 50_000);
            client.says(ACK, &[], Reason::Established);
            client.says(ACK | PSH, &hello("unknown.example"), Reason::Established);
            client.says(SYN, &[], Reason::Established);
            // Closed here first, so that the kernel keeps it in TIME_WAIT: what a SYN is to that, the kernel knows.
            drop(accepted);
            drop(socket);
            client.says(SYN, &[], Reason::Established);
        }
    });
}

#[test]
fn a_port_whose_connection_is_gone_is_answered_by_the_front_again() {
    in_front(|plane| {
        for shape in shapes() {
            let mut client = Handshake::new(plane, shape, 30_000);
            client.syn(&LINUX_OPTIONS);
            client.says(ACK | PSH, &hello(HOST), Reason::HostTerminate);
            // The packet was never given to the kernel, which has no such connection then.
            client.syn(&LINUX_OPTIONS);
            client.says(ACK, &[], Reason::HandshakeAck);
            client.says(ACK | PSH, &hello("unknown.example"), Reason::HostUnknown);
        }
    });
}
