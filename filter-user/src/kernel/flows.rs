//! Spliced connections: listing, ending, counting.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    os::fd::{AsFd as _, OwnedFd},
    time::Duration,
};

use aya::{
    Ebpf,
    maps::{self, Map, MapData, MapError},
};
use filter_common::{
    batch,
    layout::{Address, ConnectionKey, TupleHash},
    maps::{FLOWS, HOST_COUNTERS},
    splice::{self, FLOW_CLOSING, FLOW_FROM_CLIENT, FLOW_OPENING, HostCounter},
};
use nix::time::{ClockId, clock_gettime};
use rustix::thread::MembarrierCommand;

use super::{KernelError, deny::Denied, error::is_absent, reset::Resets, watch::Watch};

/// How long a connection that has begun to end, or has not begun, may be silent.
const CLOSING_IDLE: Duration = Duration::from_secs(60);

/// A spliced connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The host's name as it is configured, with the asterisk of a wildcard.
    pub host: String,
    /// The client.
    pub client: SocketAddr,
    /// The listen address that it connected to.
    pub listen: SocketAddr,
    /// The edge's address and port towards the origin.
    pub source: SocketAddr,
    /// The origin.
    pub origin: SocketAddr,
    /// Bytes from the client, headers included.
    pub from_client: u64,
    /// Bytes from the origin, headers included.
    pub from_origin: u64,
    /// Since when it is there.
    pub age: Duration,
    /// Since when nothing was heard on it, from either end, to a second; at most since the connections are watched.
    pub idle: Duration,
    /// Whether the origin has not answered yet.
    pub opening: bool,
    /// Whether one end has said that it is done.
    pub closing: bool,
}

/// What became of the spliced connections of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostCount {
    /// The host's name as it is configured.
    pub host: String,
    /// Connections that were opened.
    pub opened: u64,
    /// Connections that are open.
    pub open: u64,
    /// Bytes from clients, headers included.
    pub from_clients: u64,
    /// Bytes from origins, headers included.
    pub from_origins: u64,
}

/// The map of flows, and the counters of those that ended.
pub(super) struct Flows {
    flows: maps::HashMap<MapData, u64, splice::Flow>,
    /// By which it is searched.
    hash: TupleHash,
    /// The same map, to be read as a whole.
    whole: OwnedFd,
    counters: maps::PerCpuHashMap<MapData, u32, HostCounter>,
    /// What XDP has not counted: connections that were ended from here.
    ended: HashMap<u32, HostCounter>,
    resets: Option<Resets>,
    watch: Watch,
}

/// Both directions of a connection; the origin's may be missing for a moment.
struct Pair {
    key: ConnectionKey,
    from_client: splice::Flow,
    from_origin: Option<splice::Flow>,
}

impl Flows {
    pub(super) fn take(ebpf: &mut Ebpf, hash: TupleHash) -> Result<Self, KernelError> {
        let mut take = |name| ebpf.take_map(name).ok_or(KernelError::Missing { what: "map", name });
        let flows = take(FLOWS)?;
        let Map::HashMap(data) = &flows else { return Err(KernelError::Missing { what: "hash map", name: FLOWS }) };
        Ok(Self {
            whole: data.fd().as_fd().try_clone_to_owned().map_err(KernelError::List)?,
            hash,
            flows: maps::HashMap::try_from(flows).map_err(KernelError::reading(FLOWS))?,
            counters: maps::PerCpuHashMap::try_from(take(HOST_COUNTERS)?)
                .map_err(KernelError::reading(HOST_COUNTERS))?,
            ended: HashMap::new(),
            resets: None,
            watch: Watch::begin(monotonic()),
        })
    }

    pub(super) fn list(&self, names: &HashMap<u32, String>) -> Result<Vec<Flow>, KernelError> {
        let now = monotonic();
        Ok(self.pairs()?.iter().map(|pair| pair.flow(names, now, &self.watch)).collect())
    }

    /// Ends the connections of these hosts, and of clients in these networks, which nothing may open any more.
    pub(super) fn kill(&mut self, hosts: &[u32], denied: &Denied) -> Result<usize, KernelError> {
        self.end_for_good(|pair| hosts.contains(&pair.from_client.host) || denied.covers(pair.key.client.ip()))
    }

    /// Ends all connections but those of these hosts with clients outside of these networks.
    pub(super) fn keep(&mut self, hosts: &[u32], denied: &Denied) -> Result<usize, KernelError> {
        self.end_for_good(|pair| !hosts.contains(&pair.from_client.host) || denied.covers(pair.key.client.ip()))
    }

    fn end_for_good(&mut self, which: impl Fn(&Pair) -> bool) -> Result<usize, KernelError> {
        // A packet that is under way may still open a flow, by what the tables said before.
        fence()?;
        let count = self.end(which)?;
        // And one may still go on by a flow that was there.
        fence()?;
        Ok(count)
    }

    /// Ends connections that were silent for too long. The clock of XDP is to be set to `now` after this.
    pub(super) fn sweep(&mut self, idle: Duration, now: Duration) -> Result<usize, KernelError> {
        self.watch.set(now);
        let entries = self.entries()?;
        let is_silent = |pair: &Pair| {
            let limit = if pair.has(FLOW_CLOSING | FLOW_OPENING) { idle.min(CLOSING_IDLE) } else { idle };
            pair.idle(now, &self.watch) >= limit
        };
        let count = self.end_pairs(pairs(&entries).into_iter().filter(is_silent).collect())?;
        self.remove_strays(&entries, now)?;
        Ok(count)
    }

    /// Removes what an origin sends on a connection that its client has no entry for: left by a process that was killed between
    /// the two.
    fn remove_strays(
        &mut self,
        entries: &HashMap<ConnectionKey, splice::Flow>,
        now: Duration,
    ) -> Result<(), KernelError> {
        let is_stray = |(_, flow): &(&ConnectionKey, &splice::Flow)| {
            let silent = now.saturating_sub(Duration::from_nanos(flow.seen_ns.max(flow.opened_ns)));
            flow.flags & FLOW_FROM_CLIENT == 0 && silent >= CLOSING_IDLE && !entries.contains_key(&peer_key(flow))
        };
        for (key, _) in entries.iter().filter(is_stray) {
            self.remove(key)?;
        }
        Ok(())
    }

    pub(super) fn counters(&self, names: &HashMap<u32, String>) -> Result<Vec<HostCount>, KernelError> {
        let mut counts: BTreeMap<&str, HostCount> = BTreeMap::new();
        for (number, name) in names {
            let count = counts.entry(name).or_default();
            count.host.clone_from(name);
            let cpus = match self.counters.get(number, 0) {
                Ok(cpus) => cpus.iter().copied().collect(),
                Err(MapError::KeyNotFound) => Vec::new(),
                Err(error) => return Err(KernelError::reading(HOST_COUNTERS)(error)),
            };
            for counter in cpus.iter().chain(self.ended.get(number)) {
                count.opened = count.opened.wrapping_add(counter.opened);
                count.from_clients = count.from_clients.wrapping_add(counter.from_clients);
                count.from_origins = count.from_origins.wrapping_add(counter.from_origins);
            }
        }
        for pair in self.pairs()? {
            let name = names.get(&pair.from_client.host).map_or("", String::as_str);
            let Some(count) = counts.get_mut(name) else { continue };
            count.open += 1;
            count.from_clients = count.from_clients.wrapping_add(pair.from_client.bytes);
            count.from_origins = count.from_origins.wrapping_add(pair.from_origin.map_or(0, |flow| flow.bytes));
        }
        Ok(counts.into_values().collect())
    }

    fn end(&mut self, which: impl Fn(&Pair) -> bool) -> Result<usize, KernelError> {
        let ending = self.pairs()?.into_iter().filter(which).collect();
        self.end_pairs(ending)
    }

    fn end_pairs(&mut self, ending: Vec<Pair>) -> Result<usize, KernelError> {
        for pair in &ending {
            self.remove(&pair.key)?;
            self.remove(&pair.origin_key())?;
            let counter = self.ended.entry(pair.from_client.host).or_default();
            counter.closed += 1;
            counter.from_clients = counter.from_clients.wrapping_add(pair.from_client.bytes);
            counter.from_origins = counter.from_origins.wrapping_add(pair.from_origin.map_or(0, |flow| flow.bytes));
        }
        self.reset(&ending)?;
        Ok(ending.len())
    }

    /// Tells both ends. The connections are over already: an end that cannot be told will find out.
    fn reset(&mut self, ended: &[Pair]) -> Result<(), KernelError> {
        if ended.is_empty() {
            return Ok(());
        }
        let resets = match self.resets.take() {
            Some(resets) => resets,
            None => Resets::open().map_err(KernelError::Resets)?,
        };
        for pair in ended {
            let (key, flow) = (&pair.key, &pair.from_client);
            let (client, listen) = (socket(key.client, key.client_port), socket(key.edge, key.edge_port));
            let (source, origin) =
                (socket(flow.source, flow.source_port), socket(flow.destination, flow.destination_port));
            let to_client = resets.send(listen, client, flow.acknowledged);
            let to_origin = pair.from_origin.map_or(Ok(()), |back| resets.send(source, origin, back.acknowledged));
            if let Err(error) = to_client.and(to_origin) {
                tracing::debug!(%error, %client, %origin, "an end of a spliced connection cannot be reset");
            }
        }
        self.resets = Some(resets);
        Ok(())
    }

    /// One that ended by itself meanwhile is as good.
    fn remove(&mut self, key: &ConnectionKey) -> Result<(), KernelError> {
        match self.flows.remove(&self.hash.of(key)) {
            Ok(()) => Ok(()),
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(KernelError::writing(FLOWS)(error)),
        }
    }

    fn entries(&self) -> Result<HashMap<ConnectionKey, splice::Flow>, KernelError> {
        let entries: Vec<(u64, splice::Flow)> = batch::entries(self.whole.as_fd()).map_err(KernelError::List)?;
        Ok(entries.into_iter().map(|(_, flow)| (flow.key, flow)).collect())
    }

    fn pairs(&self) -> Result<Vec<Pair>, KernelError> {
        Ok(pairs(&self.entries()?))
    }
}

/// The connections that these are the directions of.
fn pairs(entries: &HashMap<ConnectionKey, splice::Flow>) -> Vec<Pair> {
    let pair = |(key, flow): (&ConnectionKey, &splice::Flow)| {
        let from_origin = entries.get(&peer_key(flow)).copied();
        Pair { key: *key, from_client: *flow, from_origin }
    };
    entries.iter().filter(|(_, flow)| flow.flags & FLOW_FROM_CLIENT != 0).map(pair).collect()
}

impl Pair {
    /// Key of what the origin sends.
    fn origin_key(&self) -> ConnectionKey {
        peer_key(&self.from_client)
    }

    fn has(&self, flags: u64) -> bool {
        self.from_client.flags & flags != 0 || self.from_origin.is_some_and(|flow| flow.flags & flags != 0)
    }

    fn idle(&self, now: Duration, watch: &Watch) -> Duration {
        let seen = self.from_client.seen_ns.max(self.from_origin.map_or(0, |flow| flow.seen_ns));
        watch.silence(now, Duration::from_nanos(seen))
    }

    fn flow(&self, names: &HashMap<u32, String>, now: Duration, watch: &Watch) -> Flow {
        let (key, flow) = (&self.key, &self.from_client);
        Flow {
            host: names.get(&flow.host).cloned().unwrap_or_default(),
            client: socket(key.client, key.client_port),
            listen: socket(key.edge, key.edge_port),
            source: socket(flow.source, flow.source_port),
            origin: socket(flow.destination, flow.destination_port),
            from_client: flow.bytes,
            from_origin: self.from_origin.map_or(0, |flow| flow.bytes),
            age: now.saturating_sub(Duration::from_nanos(flow.opened_ns)),
            idle: self.idle(now, watch),
            opening: self.has(FLOW_OPENING),
            closing: self.has(FLOW_CLOSING),
        }
    }
}

/// Key of the other direction.
fn peer_key(flow: &splice::Flow) -> ConnectionKey {
    ConnectionKey {
        client: flow.destination,
        edge: flow.source,
        client_port: flow.destination_port,
        edge_port: flow.source_port,
    }
}

fn socket(address: Address, port: u16) -> SocketAddr {
    SocketAddr::new(address.ip(), u16::from_be(port))
}

/// Returns when every program that runs now is through.
fn fence() -> Result<(), KernelError> {
    rustix::thread::membarrier(MembarrierCommand::Global).map_err(|errno| KernelError::Fence(errno.into()))
}

/// The kernel's monotonic clock, which XDP writes times of.
pub(super) fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}
