//! Client, edge and origin in namespaces of their own, with the packet plane at the edge and no worker: whatever gets through was
//! spliced.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _, Write as _},
    net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use aya::Ebpf;
use filter_common::{Reason, maps::PROGRAM_LOSSY};
use filter_tests::lab::{EDGE_IPV4, EDGE_IPV6, Namespace, Network, ORIGIN_IPV4};
use filter_user::kernel::{HostAction, Kernel, KernelConfig, KernelError, KernelPlan, Mode, SpliceTo};

use crate::{
    corpus::{client_hello, server_name},
    link::{receive_on, receive_with},
};

pub(crate) const HOST: &str = "www.example.com";
pub(crate) const ORIGIN_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd77, 2, 0, 0, 0, 0, 0, 2);
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The world of a test.
pub(crate) struct World {
    // Dropped first: it detaches from interfaces of the network.
    pub(crate) kernel: Kernel,
    receivers: [Option<Ebpf>; 2],
    pub(crate) network: Network,
}

/// How the edge's packet plane is made.
pub(crate) fn config(mode: Mode) -> KernelConfig {
    KernelConfig { interface: "edge0".to_owned(), listen: listen(), mode, log_sample: 0, syn_cookies: true }
}

/// A network of a name of its own.
pub(crate) fn network(name: &str) -> Network {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    Network::create(&format!("sp{}x{}-{name}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))).unwrap()
}

/// Where clients connect to, in each family.
pub(crate) fn listen() -> Vec<SocketAddr> {
    vec![SocketAddr::from((EDGE_IPV4, 443)), SocketAddr::from((EDGE_IPV6, 443))]
}

/// Where the origin serves, in each family.
pub(crate) fn origins() -> Vec<SocketAddr> {
    vec![SocketAddr::from((ORIGIN_IPV4, 8443)), SocketAddr::from((ORIGIN_IPV6, 8443))]
}

/// A plan that splices the host to the origin.
pub(crate) fn plan(proxy_protocol: bool) -> KernelPlan {
    let to = SpliceTo { origins: origins().into_iter().collect(), proxy_protocol };
    KernelPlan { hosts: BTreeMap::from([(HOST.to_owned(), HostAction::Splice(Arc::new(to)))]), deny: BTreeSet::new() }
}

impl World {
    pub(crate) fn new(name: &str, mode: Mode) -> Self {
        Self::with(name, mode, &plan(false))
    }

    pub(crate) fn with(name: &str, mode: Mode, plan: &KernelPlan) -> Self {
        Self::loaded(network(name), |config| Kernel::load(config, plan), mode)
    }

    /// A world whose packet plane is loaded by `load`.
    pub(crate) fn loaded(
        network: Network,
        load: impl FnOnce(&KernelConfig) -> Result<Kernel, KernelError> + Send,
        mode: Mode,
    ) -> Self {
        let receiver = |namespace: &Namespace, link: &'static str| namespace.enter(|| Ok(receive_on(link))).unwrap();
        let receivers = [receiver(&network.client, "client0"), receiver(&network.origin, "origin0")].map(Some);
        let kernel = network.edge.enter(|| Ok(load(&config(mode))?)).unwrap();
        let mut world = Self { kernel, receivers, network };
        let start = Instant::now();
        while !world.kernel.unreachable_origins().is_empty() {
            let refused = world.kernel.refused_interfaces();
            assert!(start.elapsed() < PATIENCE, "{:?}, {refused:?}", world.kernel.unreachable_origins());
            thread::sleep(Duration::from_millis(100));
            world.sweep(Duration::from_secs(3600));
        }
        world
    }

    /// Loses one in ten of the frames that the edge sends.
    pub(crate) fn lose_frames(&mut self) {
        for (index, (namespace, link)) in
            [(&self.network.client, "client0"), (&self.network.origin, "origin0")].into_iter().enumerate()
        {
            // A link has one program at a time.
            self.receivers[index] = None;
            let lossy = namespace.enter(|| Ok(receive_with(PROGRAM_LOSSY, link))).unwrap();
            self.receivers[index] = Some(lossy);
        }
    }

    /// How many frames were lost so.
    pub(crate) fn lost_frames(&self) -> u64 {
        let lost = [(&self.network.client, "client0"), (&self.network.origin, "origin0")].map(|(namespace, link)| {
            let output = namespace.command("ethtool").unwrap().args(["-S", link]).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let drops = text.lines().filter_map(|line| line.split_once("_xdp_drops: "));
            drops.map(|(_, count)| count.parse::<u64>().unwrap()).sum()
        });
        lost.iter().sum()
    }

    /// Does something with the kernel inside the edge's namespace.
    pub(crate) fn edge<T: Send>(&mut self, body: impl FnOnce(&mut Kernel) -> T + Send) -> T {
        let kernel = &mut self.kernel;
        self.network.edge.enter(|| Ok(body(kernel))).unwrap()
    }

    pub(crate) fn sweep(&mut self, idle: Duration) -> usize {
        self.edge(|kernel| kernel.sweep(idle)).unwrap()
    }

    pub(crate) fn packets(&self, reason: Reason) -> u64 {
        self.kernel.counters().unwrap().iter().find(|count| count.reason == reason).unwrap().packets
    }

    /// Waits until nothing is spliced any more.
    pub(crate) fn wait_until_no_flows(&self) {
        let start = Instant::now();
        while !self.kernel.flows().unwrap().is_empty() {
            assert!(start.elapsed() < PATIENCE, "{:#?}\n{:?}", self.kernel.flows(), self.counts());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What was counted, for messages.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = self.kernel.counters().unwrap();
        counts.iter().filter(|count| count.packets > 0).map(|count| (count.reason.name(), count.packets)).collect()
    }

    /// Serves each connection at the origin by `serve`, on a thread of its own.
    pub(crate) fn origin(&self, serve: fn(TcpStream)) {
        self.serve(&origins(), serve);
    }

    /// The same for an origin with other addresses.
    pub(crate) fn serve(&self, addresses: &[SocketAddr], serve: fn(TcpStream)) {
        for address in addresses {
            let listener = self.network.origin.enter(|| Ok(TcpListener::bind(address)?)).unwrap();
            thread::spawn(move || {
                for stream in listener.incoming() {
                    thread::spawn(move || serve(stream.unwrap()));
                }
            });
        }
    }

    /// Listens at the edge, in the place of workers, and says so to whoever says something.
    pub(crate) fn worker(&self) {
        for address in listen() {
            let listener = self.network.edge.enter(|| Ok(TcpListener::bind(address)?)).unwrap();
            thread::spawn(move || {
                for mut stream in listener.incoming().flatten() {
                    if stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {
                        let _ = stream.write_all(b"worker");
                    }
                }
            });
        }
    }

    /// Connects from the client.
    pub(crate) fn open(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let stream = self.network.client.enter(|| Ok(TcpStream::connect_timeout(&to, PATIENCE))).unwrap()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Connects from the client and says hello.
    pub(crate) fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let mut stream = self.open(to)?;
        stream.write_all(&hello())?;
        Ok(stream)
    }
}

/// What each connection begins with.
pub(crate) fn hello() -> Vec<u8> {
    client_hello(&[server_name(HOST.as_bytes())])
}

/// Sends back what comes; the first bytes are the hello.
pub(crate) fn echo(mut stream: TcpStream) {
    let mut bytes = vec![0; 65_536];
    while let Ok(count) = stream.read(&mut bytes) {
        if count == 0 || stream.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
}

/// Bytes that are nowhere the same.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend(next());
    }
    bytes.truncate(length);
    bytes
}
