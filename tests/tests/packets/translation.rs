//! A model of the translation in plain Rust, compared with the program on random packets of one spliced connection.

use std::net::{IpAddr, SocketAddr};

use filter_common::Reason;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::{
    frame::{ACK, Family, Frame, PSH, checksum, shapes, transport_checksum},
    front::{Handshake, in_front_with},
    splice::{
        CLIENT_MACS, CLIENT_TIMESTAMP, ORIGIN_MACS, ORIGIN_SEQUENCE, ORIGIN_TIMESTAMP, Splice, client, edge, plan,
        timestamps,
    },
    table::hello,
};

/// What becomes of packets of one direction.
struct Direction {
    ends: (SocketAddr, SocketAddr),
    macs: [u8; 12],
    tags: &'static [u16],
    sequence: u32,
    acknowledgement: u32,
    timestamp: u32,
    echo: u32,
    echo_floor: u32,
    window: fn(u16) -> u16,
}

impl Direction {
    /// Takes the packet apart, changes it, and computes all checksums anew.
    fn translate(&self, packet: &[u8], tags: usize) -> Vec<u8> {
        let mut ip = packet[14 + 4 * tags..].to_vec();
        let (source, destination) = self.ends;
        let transport = if ip[0] >> 4 == 4 {
            let header = usize::from(ip[0] & 15) * 4;
            ip[8] -= 1;
            ip[12..16].copy_from_slice(&octets(source.ip()));
            ip[16..20].copy_from_slice(&octets(destination.ip()));
            ip[10..12].fill(0);
            let sum = checksum(&ip[..header]);
            ip[10..12].copy_from_slice(&sum);
            header
        } else {
            ip[7] -= 1;
            ip[8..24].copy_from_slice(&octets(source.ip()));
            ip[24..40].copy_from_slice(&octets(destination.ip()));
            let (mut kind, mut at) = (ip[6], 40);
            while kind != 6 {
                (kind, at) = (ip[at], at + (usize::from(ip[at + 1]) + 1) * 8);
            }
            at
        };
        let end = if ip[0] >> 4 == 4 { usize::from(word16(&ip, 2)) } else { 40 + usize::from(word16(&ip, 4)) };
        self.transport(&mut ip[transport..end]);
        let mut frame = self.macs.to_vec();
        for (id, tag) in (100_u16..).zip(self.tags) {
            frame.extend(tag.to_be_bytes().into_iter().chain(id.to_be_bytes()));
        }
        frame.extend(&packet[12 + 4 * tags..14 + 4 * tags]);
        frame.extend(ip);
        frame
    }

    fn transport(&self, tcp: &mut [u8]) {
        let (source, destination) = self.ends;
        tcp[0..2].copy_from_slice(&source.port().to_be_bytes());
        tcp[2..4].copy_from_slice(&destination.port().to_be_bytes());
        add(tcp, 4, self.sequence);
        if tcp[13] & ACK != 0 {
            add(tcp, 8, self.acknowledgement);
        }
        let window = (self.window)(word16(tcp, 14));
        tcp[14..16].copy_from_slice(&window.to_be_bytes());
        let end = usize::from(tcp[12] >> 4) * 4;
        self.options(&mut tcp[20..end]);
        tcp[16..18].fill(0);
        let sum = transport_checksum(source.ip(), destination.ip(), 6, tcp);
        tcp[16..18].copy_from_slice(&sum);
    }

    fn options(&self, options: &mut [u8]) {
        let mut at = 0;
        while at < options.len() && options[at] != 0 {
            if options[at] == 1 {
                at += 1;
                continue;
            }
            let length = options.get(at + 1).map_or(0, |length| usize::from(*length));
            if length < 2 || at + length > options.len() {
                break;
            }
            match options[at] {
                5 => (0..(length - 2) / 4).for_each(|edge| add(options, at + 2 + edge * 4, self.acknowledgement)),
                8 if length == 10 => {
                    add(options, at + 2, self.timestamp);
                    add(options, at + 6, self.echo);
                    let echo = u32::from_be_bytes(options[at + 6..at + 10].try_into().unwrap());
                    if (echo.wrapping_sub(self.echo_floor) as i32) < 0 {
                        options[at + 6..at + 10].copy_from_slice(&self.echo_floor.to_be_bytes());
                    }
                }
                _ => {}
            }
            at += length;
        }
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn word16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn add(bytes: &mut [u8], at: usize, number: u32) {
    let sum = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()).wrapping_add(number);
    bytes[at..at + 4].copy_from_slice(&sum.to_be_bytes());
}

/// Options that nobody would send as well as those that everybody does; any of them padded to words.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let word = || any::<u32>();
    let blocks = |edges: Vec<u32>| {
        let mut option = vec![5, 2 + edges.len() as u8 * 4];
        option.extend(edges.iter().flat_map(|edge| edge.to_be_bytes()));
        option
    };
    let usual_blocks = move |edges: Vec<u32>| [vec![1, 1], blocks(edges)].concat();
    let edges = |most: usize| {
        prop::collection::vec((any::<u32>(), any::<u32>()), 1..=most)
            .prop_map(|blocks| blocks.into_iter().flat_map(|(left, right)| [left, right]).collect::<Vec<_>>())
    };
    prop_oneof![
        Just(Vec::new()),
        (word(), word()).prop_map(|(value, echo)| timestamps(value, echo)),
        (word(), word(), edges(3)).prop_map(move |(v, e, edges)| [timestamps(v, e), usual_blocks(edges)].concat()),
        edges(4).prop_map(usual_blocks),
        // The same in another order, at odd places, and with something in between.
        (word(), word(), edges(2), 0..3_usize).prop_map(move |(v, e, edges, nothing)| {
            [vec![1; nothing], blocks(edges), timestamps(v, e)[2..].to_vec(), vec![254, 3, 7]].concat()
        }),
        prop::collection::vec(any::<u8>(), 0..=40),
    ]
    .prop_map(|mut options| {
        options.truncate(40);
        options.resize(options.len().div_ceil(4) * 4, 0);
        options
    })
}

/// A segment from the client, or else from the origin.
fn segments() -> impl Strategy<Value = (bool, Frame)> {
    let flags = prop_oneof![Just(ACK), Just(ACK | PSH), Just(ACK | 0x20), Just(ACK | 0xc0), Just(PSH)];
    let payload = prop::collection::vec(any::<u8>(), 0..1400);
    let numbers = (any::<u32>(), any::<u32>(), any::<u16>(), 2..=255_u8, any::<u8>());
    let ip_options = prop_oneof![Just(Vec::new()), Just(vec![1; 8])];
    let segment = (any::<bool>(), flags, payload, numbers, options(), ip_options, any::<bool>());
    segment.prop_map(|(is_client, flags, payload, numbers, options, ip, extended)| {
        let frame = Frame::tcp(flags, payload).with(|f| {
            (f.sequence, f.acknowledgement, f.window, f.life, f.service) = numbers;
            (f.tcp_options, f.ip_options) = (options, ip);
            f.extension_headers = if extended { vec![(60, vec![0; 8])] } else { Vec::new() };
            f.padding = usize::from(extended) * 7;
        });
        (is_client, frame)
    })
}

/// What is right for both directions of a spliced connection, found out by packets of the simplest kind.
fn model(splice: &mut Splice<'_>, scale: u8) -> [Direction; 2] {
    let family = splice.family();
    let (client_end, edge_end) = (SocketAddr::new(client(family).ip(), splice.client.port), edge(family));
    let (to_origin, from_origin) =
        (splice.to_origin(ACK, &[]).ends.unwrap(), splice.origin_sends(ACK, &[]).ends.unwrap());
    assert_eq!(from_origin, (to_origin.1, to_origin.0));
    let cookie = splice.client.cookie;
    let sequence = splice.sequence.wrapping_sub(crate::frame::SEQUENCE);
    let acknowledgement = ORIGIN_SEQUENCE.wrapping_sub(cookie);
    let timestamp = splice.timestamp.wrapping_sub(CLIENT_TIMESTAMP);
    // The clock that the client knows goes on: only the time of the origin's answer is not known here.
    let probe = splice.origin_sends(ACK, &[]).with(|f| f.tcp_options = timestamps(ORIGIN_TIMESTAMP, splice.timestamp));
    let out = splice.origin_says(&probe, Reason::SpliceFromOrigin);
    let at = out.len() - 8;
    let clock = u32::from_be_bytes(out[at..at + 4].try_into().unwrap());
    assert!(clock.wrapping_sub(splice.cookie_timestamp) < 10_000, "{clock} after {}", splice.cookie_timestamp);
    assert_eq!(out[at + 4..], CLIENT_TIMESTAMP.to_be_bytes());
    let back = clock.wrapping_sub(ORIGIN_TIMESTAMP);
    assert_eq!(scale, 10, "the origin's scale of 9 is one less");
    [
        Direction {
            ends: to_origin,
            macs: ORIGIN_MACS,
            tags: splice.origin_tags,
            sequence,
            acknowledgement,
            timestamp,
            echo: back.wrapping_neg(),
            echo_floor: ORIGIN_TIMESTAMP,
            window: |window| window,
        },
        Direction {
            ends: (edge_end, client_end),
            macs: CLIENT_MACS,
            tags: splice.client.shape.tags,
            sequence: acknowledgement.wrapping_neg(),
            acknowledgement: sequence.wrapping_neg(),
            timestamp: back,
            echo: timestamp.wrapping_neg(),
            echo_floor: CLIENT_TIMESTAMP,
            window: |window| window >> 1,
        },
    ]
}

#[test]
fn the_program_translates_as_the_model_does() {
    in_front_with(plan(false), |plane| {
        // What the window is shifted by follows from the kernel's settings, so they are made what the model knows.
        std::fs::write("/proc/sys/net/ipv4/tcp_rmem", "4096 131072 33554432").unwrap();
        plane.program.answer_syns("lo").unwrap();
        for (index, shape) in (0..).zip(shapes()) {
            let tags: [&'static [u16]; 3] = [&[], &[0x8100], &[0x88a8, 0x8100]];
            let mut splice = Splice::new(Handshake::new(plane, shape, 50_000 + index), tags[usize::from(index) % 3]);
            splice.open(&hello("www.example.com"));
            splice.answer(&hello("www.example.com"));
            let directions = model(&mut splice, 10);
            let splice = std::cell::RefCell::new(splice);
            let mut runner = TestRunner::new(Config { cases: 500, failure_persistence: None, ..Config::default() });
            let result = runner.run(&segments(), |(is_client, frame)| {
                let mut splice = splice.borrow_mut();
                let (packet, tags, direction, reason) = if is_client {
                    let frame = frame.with(|f| f.client_port = splice.client.port);
                    let packet = frame.build(shape);
                    (packet, shape.tags.len(), &directions[0], Reason::SpliceFromClient)
                } else {
                    let ends = splice.origin_sends(ACK, &[]).ends;
                    let frame = frame.with(|f| f.ends = ends);
                    let packet = splice.origin_frame(&frame, crate::splice::opposite(ORIGIN_MACS));
                    (packet, splice.origin_tags.len(), &directions[1], Reason::SpliceFromOrigin)
                };
                let (found, run) = splice.client.plane.run(&packet);
                prop_assert_eq!(found, reason);
                prop_assert_eq!(run.packet, direction.translate(&packet, tags));
                Ok(())
            });
            result.unwrap_or_else(|error| panic!("{shape:?}: {error}"));
        }
    });
}

#[test]
fn a_frame_of_another_family_is_of_no_flow() {
    // IPv4 addresses as IPv6 writes them, which the map's keys have for IPv4: no such packet is on any wire.
    in_front_with(plan(false), |plane| {
        let shape = shapes().next().unwrap();
        let mut splice = Splice::new(Handshake::new(plane, shape, 60_000), &[]);
        splice.open(&hello("www.example.com"));
        splice.answer(&hello("www.example.com"));
        let mapped = |address: SocketAddr| match address.ip() {
            IpAddr::V4(v4) => SocketAddr::new(v4.to_ipv6_mapped().into(), address.port()),
            IpAddr::V6(_) => address,
        };
        let frame = splice.hello(&hello("www.example.com")).with(|f| {
            f.ends = Some((mapped(SocketAddr::new(client(Family::V4).ip(), 60_000)), mapped(edge(Family::V4))));
        });
        let packet = frame.build(crate::frame::Shape { family: Family::V6, tags: &[] });
        let (reason, run) = splice.client.plane.run(&packet);
        assert_eq!((reason, run.packet == packet), (Reason::Malformed, true));
    });
}
