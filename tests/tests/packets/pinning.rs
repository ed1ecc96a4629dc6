//! Spliced connections outlive the process, by pins.

use std::{
    fs,
    io::{Read as _, Write as _},
    mem,
    net::TcpStream,
    path::{Path, PathBuf},
    time::Duration,
};

use aya::maps::{Array, Map, MapData};
use filter_common::{
    Reason,
    layout::{Address, Config, ConnectionKey, TupleHash},
    maps::{CONFIG, FLOWS, FLOWS_MAX},
    splice,
};
use filter_user::kernel::{Kernel, KernelConfig, KernelPlan, Mode, detach_pinned};

use crate::splice_lab::{HOST, World, config, echo, hello, listen, network, plan};

/// A directory for pins, removed with what is in it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        Self(PathBuf::from(format!("/sys/fs/bpf/mtls-filter-test-{}-{name}", std::process::id())))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        detach_pinned(&self.0);
    }
}

/// Sends something and waits for it to come back.
fn ping(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, bytes);
}

/// The world after the process that loaded its packet plane was killed, and another one came.
fn restarted(world: World, directory: &Path, plan: &KernelPlan) -> (World, Kernel) {
    let kernel = world.network.edge.enter(|| Ok(Kernel::load_pinned(&config(Mode::Native), plan, directory)?)).unwrap();
    (world, kernel)
}

fn setting(world: &World, name: &str) -> String {
    world
        .network
        .edge
        .enter(|| Ok(fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"))?))
        .unwrap()
        .trim()
        .to_owned()
}

#[test]
fn connections_go_on_without_a_process_and_with_the_next() {
    let directory = Directory::new("on");
    let pins = &directory.0;
    let network = network("pins");
    let mut world = World::loaded(network, |config| Kernel::load_pinned(config, &plan(false), pins), Mode::Native);
    assert!(!world.kernel.adopted());
    world.origin(echo);
    let mut streams: Vec<_> = listen().into_iter().map(|to| world.connect(to).unwrap()).collect();
    for stream in &mut streams {
        stream.read_exact(&mut vec![0; hello().len()]).unwrap();
    }
    // Dropped in good order or killed: what is pinned stays. Nothing of the process is asked any more from here.
    let before = mem::replace(
        &mut world.kernel,
        world.network.edge.enter(|| Ok(Kernel::load(&elsewhere(), &KernelPlan::default())?)).unwrap(),
    );
    drop(before);
    for stream in &mut streams {
        ping(stream, b"nobody is there");
    }
    // A listener is not needed for new ones either.
    for to in listen() {
        let mut stream = world.connect(to).unwrap();
        stream.read_exact(&mut vec![0; hello().len()]).unwrap();
        streams.push(stream);
    }
    let (world, mut kernel) = restarted(world, pins, &plan(false));
    assert!(kernel.adopted());
    let flows = kernel.flows().unwrap();
    assert_eq!((flows.len(), flows.iter().all(|flow| flow.host == HOST)), (4, true), "{flows:#?}");
    for stream in &mut streams {
        ping(stream, b"somebody is there again");
    }
    assert!(kernel.settings().iter().any(|setting| setting.to_string() == "net.ipv4.tcp_syncookies = 2 (was 1)"));
    world.network.edge.enter(|| Ok(kernel.sweep(Duration::from_secs(60))?)).unwrap();
    let spliced = |kernel: &Kernel| {
        let counts = kernel.counters().unwrap();
        counts.iter().find(|count| count.reason == Reason::SpliceFromClient).unwrap().packets
    };
    assert!(spliced(&kernel) > 0, "the new program is not the one at work");
    drop(kernel);
    // A process whose rules forbid them ends them as it starts.
    let (world, kernel) = restarted(world, pins, &KernelPlan::terminating([HOST]));
    assert!(kernel.flows().unwrap().is_empty());
    for stream in &mut streams {
        assert!(stream.read(&mut [0; 1]).is_err());
    }
    drop(kernel);
    assert_eq!(setting(&world, "tcp_syncookies"), "2");
    assert!(world.network.edge.enter(|| Ok(detach_pinned(pins))).unwrap());
    assert!(!world.network.edge.enter(|| Ok(detach_pinned(pins))).unwrap());
    assert_eq!(setting(&world, "tcp_syncookies"), "1");
    assert_eq!(setting(&world, "ip_local_reserved_ports"), "");
    assert!(!world.network.edge.ip(&["link", "show", "edge0"]).unwrap().contains("xdp"));
    assert!(!pins.exists());
}

/// An interface that is not part of the scene.
fn elsewhere() -> KernelConfig {
    KernelConfig { interface: "lo".to_owned(), syn_cookies: false, ..config(Mode::Generic) }
}

#[test]
fn what_another_abi_has_left_is_replaced() {
    let directory = Directory::new("abi");
    let pins = &directory.0;
    let world = World::loaded(network("abi"), |config| Kernel::load_pinned(config, &plan(false), pins), Mode::Native);
    world.origin(echo);
    let mut stream = world.connect(listen()[0]).unwrap();
    stream.read_exact(&mut vec![0; hello().len()]).unwrap();
    // As if the version were another.
    let mut map: Array<_, Config> = Map::Array(MapData::from_pin(pins.join(CONFIG)).unwrap()).try_into().unwrap();
    let mut content = map.get(&0, 0).unwrap();
    content.abi_version += 1;
    map.set(0, content, 0).unwrap();
    let (world, kernel) = restarted(world, pins, &plan(false));
    assert!(!kernel.adopted());
    assert!(kernel.flows().unwrap().is_empty());
    drop(kernel);
    drop(world);
}

/// The map of flows that is pinned in a directory.
struct Flows {
    map: aya::maps::HashMap<MapData, u64, splice::Flow>,
    hash: TupleHash,
}

impl Flows {
    fn pinned(pins: &Path) -> Self {
        let map = Map::HashMap(MapData::from_pin(pins.join(FLOWS)).unwrap()).try_into().unwrap();
        let config: Array<_, Config> = Map::Array(MapData::from_pin(pins.join(CONFIG)).unwrap()).try_into().unwrap();
        Self { map, hash: config.get(&0, 0).unwrap().tuple_hash }
    }

    /// Adds one of many connections that nobody has; false if there is no room.
    fn insert(&mut self, number: u32) -> bool {
        self.insert_in_place_of(&nobody(number), number)
    }

    /// Adds it where another one belongs.
    fn insert_in_place_of(&mut self, key: &ConnectionKey, number: u32) -> bool {
        let flow = splice::Flow { key: nobody(number), ..splice::Flow::default() };
        self.map.insert(self.hash.of(key), flow, 0).is_ok()
    }

    fn has(&self, number: u32) -> bool {
        self.map.get(&self.hash.of(&nobody(number)), 0).is_ok()
    }

    fn remove(&mut self, number: u32) {
        self.map.remove(&self.hash.of(&nobody(number))).unwrap();
    }
}

fn nobody(number: u32) -> ConnectionKey {
    ConnectionKey { client: Address([0xfd, 0, 0, number]), ..ConnectionKey::default() }
}

#[test]
fn connections_that_find_no_room_are_workers() {
    let directory = Directory::new("full");
    let pins = &directory.0;
    let world = World::loaded(network("full"), |config| Kernel::load_pinned(config, &plan(false), pins), Mode::Native);
    world.origin(echo);
    world.worker();
    let mut flows = Flows::pinned(pins);
    let full = (0..=FLOWS_MAX).find(|&number| !flows.insert(number));
    assert_eq!(full, Some(FLOWS_MAX));
    for to in listen() {
        let mut stream = world.connect(to).unwrap();
        stream.read_exact(&mut [0; 6]).unwrap_or_else(|error| panic!("{to}: {error}: {:?}", world.counts()));
    }
    assert_eq!(world.packets(Reason::SpliceNoRoom), 2, "{:?}", world.counts());
    // Room for one.
    for number in [0, 1] {
        flows.remove(number);
    }
    let mut stream = world.connect(listen()[0]).unwrap();
    stream.read_exact(&mut vec![0; hello().len()]).unwrap();
    assert_eq!(world.packets(Reason::SpliceOpened), 1, "{:?}", world.counts());
}

#[test]
fn a_connection_with_the_hash_of_another_is_a_workers() {
    let directory = Directory::new("hash");
    let pins = &directory.0;
    let world = World::loaded(network("hash"), |config| Kernel::load_pinned(config, &plan(false), pins), Mode::Native);
    world.origin(echo);
    world.worker();
    let mut flows = Flows::pinned(pins);
    for to in listen() {
        let mut stream = world.open(to).unwrap();
        let client = stream.local_addr().unwrap();
        let key = ConnectionKey {
            client: client.ip().into(),
            edge: to.ip().into(),
            client_port: client.port().to_be(),
            edge_port: to.port().to_be(),
        };
        assert!(flows.insert_in_place_of(&key, 1));
        stream.write_all(&hello()).unwrap();
        let mut answer = [0; 6];
        stream.read_exact(&mut answer).unwrap_or_else(|error| panic!("{to}: {error}: {:?}", world.counts()));
        assert_eq!(&answer, b"worker");
    }
    assert_eq!(world.packets(Reason::SpliceNoRoom), 2, "{:?}", world.counts());
    assert_eq!(world.packets(Reason::SpliceOpened), 0, "{:?}", world.counts());
}

#[test]
fn half_of_a_connection_that_a_process_left_is_swept_away() {
    let directory = Directory::new("half");
    let pins = &directory.0;
    let mut world =
        World::loaded(network("half"), |config| Kernel::load_pinned(config, &plan(false), pins), Mode::Native);
    let mut flows = Flows::pinned(pins);
    // Nothing was heard of it since the machine was started, which is a while ago.
    assert!(flows.insert(1));
    world.sweep(Duration::from_secs(3600));
    assert!(!flows.has(1));
}
