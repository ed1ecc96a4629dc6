//! The program with ten thousand hosts, a hundred thousand denied networks and a spliced connection of each family.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    process::Command,
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use filter_common::splice::Link;
use filter_user::kernel::{HostAction, KernelPlan, Network, Path, Program, SpliceTo};

use crate::frames::{ACK, FIN, PSH, SYN, Segment, client_hello, tcp_at, timestamps, with_blocks, word};

const HOSTS: usize = 10_000;
const NETWORKS: u32 = 100_000;
const SPLICED: &str = "spliced.example.com";
const UNKNOWN: &str = "unknown.example.com";
const DROP: u32 = 1;
const TRANSMIT: u32 = 3;
const REDIRECT: u32 = 4;
const SEQUENCE: u32 = 1_000_000;
const ORIGIN_SEQUENCE: u32 = 2_000_000;
const SYN_OPTIONS: [u8; 20] = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];
/// In a namespace of one interface, it is all there is.
const INTERFACE: u32 = 1;

/// A packet that is measured.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) packet: Vec<u8>,
    pub(crate) action: u32,
    /// Nanoseconds.
    pub(crate) goal: Option<u32>,
}

/// The ends of one family.
struct Ends {
    name: &'static str,
    client: SocketAddr,
    edge: SocketAddr,
    source: IpAddr,
    origin: SocketAddr,
}

/// The program, and somebody who listens.
pub(crate) struct Scene {
    pub(crate) program: Program,
    families: [Ends; 2],
    spliced: Vec<Spliced>,
    _listeners: Vec<TcpListener>,
}

impl Scene {
    pub(crate) fn new() -> Result<Self> {
        let families = [
            Ends {
                name: "IPv4",
                client: "198.51.100.9:50000".parse()?,
                edge: "192.0.2.1:443".parse()?,
                source: "192.0.2.2".parse()?,
                origin: "192.0.2.80:8443".parse()?,
            },
            Ends {
                name: "IPv6",
                client: "[2001:db8:1::9]:50000".parse()?,
                edge: "[2001:db8::1]:443".parse()?,
                source: "2001:db8::2".parse()?,
                origin: "[2001:db8::80]:8443".parse()?,
            },
        ];
        ip("link set lo up")?;
        ip("addr add 192.0.2.1/32 dev lo")?;
        ip("addr add 2001:db8::1/128 dev lo nodad")?;
        for setting in ["tcp_syncookies", "tcp_timestamps"] {
            fs::write(format!("/proc/sys/net/ipv4/{setting}"), "2").context(setting)?;
        }
        let listen = families.each_ref().map(|ends| ends.edge);
        let listeners = listen.iter().map(TcpListener::bind).collect::<Result<_, _>>()?;
        let mut program = Program::load(&listen, 0)?;
        program.apply(&plan(&families)?)?;
        program.answer_syns("lo")?;
        let link = Link { interface: INTERFACE, macs: [0x0202_0202; 3], ..Link::default() };
        program.route(|to| {
            families.iter().find(|ends| ends.origin == to).map(|ends| Path { source: ends.source, link })
        })?;
        let spliced = families.iter().map(|ends| splice(&mut program, ends)).collect::<Result<_>>()?;
        Ok(Self { program, families, spliced, _listeners: listeners })
    }

    /// What is measured. Not for long: cookies are valid for a minute.
    pub(crate) fn cases(&mut self) -> Result<Vec<Case>> {
        let mut cases = Vec::new();
        for index in 0..self.families.len() {
            self.family(index, &mut cases)?;
        }
        Ok(cases)
    }

    fn family(&mut self, index: usize, cases: &mut Vec<Case>) -> Result<()> {
        let (ends, spliced) = (&self.families[index], &self.spliced[index]);
        let goals = index == 0;
        let mut case = |name: &str, packet: Vec<u8>, action: u32, goal: u32| {
            let name = format!("{}: {name}", ends.name);
            cases.push(Case { name, packet, action, goal: (goals && goal != 0).then_some(goal) });
        };
        let denied =
            if index == 0 { SocketAddr::from(([10, 1, 2, 3], 50_000)) } else { "[2001:db8:bad::1]:50000".parse()? };
        case("SYN from a denied network", syn(ends, denied), DROP, 40);
        let mut client = ends.client;
        client.set_port(50_001);
        let question = syn(ends, client);
        let cookie = self.program.run(&question, 1)?.packet;
        case("SYN, answered with a cookie", question, TRANSMIT, 190);
        let (cookie, echo) = (word(&cookie, tcp_at(&cookie) + 4), word(&cookie, tcp_at(&cookie) + 28));
        let segment = |flags, payload: &[u8]| {
            let options = timestamps(10, echo);
            let (sequence, acknowledgement) = (SEQUENCE + 1, cookie.wrapping_add(1));
            Segment { from: client, to: ends.edge, flags, sequence, acknowledgement, options: &options, payload }
                .frame()
        };
        case("ACK of a handshake", segment(ACK, &[]), DROP, 0);
        case("hello for an unknown host", segment(ACK | PSH, &client_hello(UNKNOWN, 2)), TRANSMIT, 300);
        case("the same, the name the 61st extension", segment(ACK | PSH, &client_hello(UNKNOWN, 60)), TRANSMIT, 0);
        case("end of a connection before its hello", segment(ACK | FIN, &[]), TRANSMIT, 0);
        let data = |options: &[u8], payload: &[u8]| spliced.client_sends(ends, options, payload);
        case("spliced: data from the client", data(&timestamps(11, echo), &[7; 1400]), REDIRECT, 45);
        case("spliced: ACK from the client", data(&timestamps(11, echo), &[]), REDIRECT, 45);
        case("the same with a selective block", data(&with_blocks(&timestamps(11, echo), 1), &[]), REDIRECT, 0);
        case("the same with three", data(&with_blocks(&timestamps(11, echo), 3), &[]), REDIRECT, 0);
        case(
            "spliced: data from the origin",
            spliced.origin_sends(ends, ACK, &timestamps(12, 0), &[7; 1400]),
            REDIRECT,
            45,
        );
        Ok(())
    }
}

/// Splices a connection, packet by packet.
fn splice(program: &mut Program, ends: &Ends) -> Result<Spliced> {
    let answer = program.run(&syn(ends, ends.client), 1)?.packet;
    let (cookie, echo) = (word(&answer, tcp_at(&answer) + 4), word(&answer, tcp_at(&answer) + 28));
    let mut spliced = Spliced { cookie, port: 0, sequence: 0, timestamp: 0 };
    let hello = client_hello(SPLICED, 2);
    let opened = program.run(&spliced.client_sends(ends, &timestamps(10, echo), &hello), 1)?;
    ensure!(opened.action == REDIRECT, "no SYN to the origin: {opened:?}");
    let at = tcp_at(&opened.packet);
    spliced.port = (word(&opened.packet, at) >> 16) as u16;
    spliced.sequence = word(&opened.packet, at + 4);
    spliced.timestamp = word(&opened.packet, at + 28);
    let mut options = SYN_OPTIONS;
    options[12..16].copy_from_slice(&spliced.timestamp.to_be_bytes());
    let answer = program.run(&spliced.origin_sends(ends, SYN | ACK, &options, &[]), 1)?;
    program.run_replay(&answer.packet, 1)?;
    let open = program.flows()?.iter().filter(|flow| flow.origin == ends.origin && !flow.opening).count();
    ensure!(open == 1, "no spliced connection to {}", ends.origin);
    Ok(spliced)
}

/// A spliced connection.
struct Spliced {
    cookie: u32,
    port: u16,
    sequence: u32,
    timestamp: u32,
}

impl Spliced {
    fn client_sends(&self, ends: &Ends, options: &[u8], payload: &[u8]) -> Vec<u8> {
        let (sequence, acknowledgement) = (SEQUENCE + 1, self.cookie.wrapping_add(1));
        let (from, to) = (ends.client, ends.edge);
        Segment { from, to, flags: ACK | PSH, sequence, acknowledgement, options, payload }.frame()
    }

    fn origin_sends(&self, ends: &Ends, flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
        let (sequence, acknowledgement) = (ORIGIN_SEQUENCE, self.sequence.wrapping_add(1));
        let (from, to) = (ends.origin, SocketAddr::new(ends.source, self.port));
        Segment { from, to, flags, sequence, acknowledgement, options, payload }.frame()
    }
}

fn syn(ends: &Ends, client: SocketAddr) -> Vec<u8> {
    let (from, to, options) = (client, ends.edge, &SYN_OPTIONS);
    Segment { from, to, flags: SYN, sequence: SEQUENCE, acknowledgement: 0, options, payload: &[] }.frame()
}

fn plan(families: &[Ends; 2]) -> Result<KernelPlan> {
    let origins = families.iter().map(|ends| ends.origin).collect();
    let splice = HostAction::Splice(Arc::new(SpliceTo { origins, proxy_protocol: false }));
    let mut hosts: BTreeMap<_, _> =
        (1..HOSTS).map(|number| (format!("host-{number}.example.com"), HostAction::Terminate)).collect();
    hosts.insert(SPLICED.to_owned(), splice);
    // Every other one of the smallest networks of 10.0.0.0/8, so that none is part of another, and one of IPv6.
    let network = |number: u32| Network::new(Ipv4Addr::from_bits(0x0a00_0000 + number * 128).into(), 26);
    let mut deny =
        (0..NETWORKS - 1).map(network).collect::<Option<std::collections::BTreeSet<_>>>().context("prefix")?;
    deny.insert(Network::new("2001:db8:bad::".parse()?, 48).context("prefix")?);
    Ok(KernelPlan { hosts, deny })
}

fn ip(arguments: &str) -> Result<()> {
    let status = Command::new("ip").args(arguments.split(' ')).status().context("iproute2")?;
    ensure!(status.success(), "ip {arguments}");
    Ok(())
}
