//! The packet plane's program, loaded and with its maps, not attached to anything.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use aws_lc_rs::rand;
use aya::{
    Ebpf,
    maps::{Array, MapData, PerCpuArray},
    programs::{ProgramFd, SchedClassifier, TestRun, TestRunOptions, TestRunResult, Xdp},
};
use filter_common::{
    ABI_VERSION, Reason,
    layout::{Config, Counter, TupleHash},
    maps::{CONFIG, COUNTERS, PROGRAM_ABI, PROGRAM_EDGE, PROGRAM_REPLAY},
};

use super::{
    Changes, Flow, HostCount, KernelError, KernelLog, KernelPlan, Path, Penalty, SPLICE_PORTS,
    cookies::Announced,
    deny::{Denied, Deny},
    flows::{Flows, monotonic},
    host,
    hosts::Hosts,
    listen, object,
    penalties::Penalties,
    pins::{Left, Pins},
};

/// Bytes of memory for what comes out of a test run: more than any packet that goes in.
const RUN_MAX: usize = 16 * 1024;

/// The program that decides about packets, and its maps.
pub struct Program {
    // Holds the program, and the maps that nobody took.
    pub(super) ebpf: Ebpf,
    hosts: Hosts,
    deny: Deny,
    flows: Flows,
    penalties: Penalties,
    counters: PerCpuArray<MapData, Counter>,
    config: Array<MapData, Config>,
    content: Config,
    /// The edge's interface, once SYNs are answered there.
    edge: Option<String>,
}

/// What was counted under one reason since the program was loaded, on all CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Why.
    pub reason: Reason,
    /// Packets.
    pub packets: u64,
    /// Their bytes, from the Ethernet header on.
    pub bytes: u64,
}

/// What a test run of one packet came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The XDP action: 1 drop, 2 pass, 3 transmit.
    pub action: u32,
    /// The packet afterwards.
    pub packet: Vec<u8>,
    /// Time for one run.
    pub duration: Duration,
}

impl Program {
    /// Loads the program and writes all maps but the host table, which is empty.
    pub fn load(listen: &[SocketAddr], log_sample: u32) -> Result<Self, KernelError> {
        host::check(host::LOAD)?;
        Self::fill(object::load()?, listen, log_sample, secret_hash()?)
    }

    /// The same, going on with what was left: the flows that are pinned, the hash that they are found by, and the numbers that they know
    /// their hosts by.
    pub(super) fn load_pinned(
        listen: &[SocketAddr],
        log_sample: u32,
        pins: &Pins,
        left: &Left,
    ) -> Result<Self, KernelError> {
        host::check(host::LOAD)?;
        let ebpf = object::load_pinned(pins)?;
        pins.pin_read(&ebpf)?;
        let tuple_hash = if left.adopted { left.tuple_hash } else { secret_hash()? };
        let mut program = Self::fill(ebpf, listen, log_sample, tuple_hash)?;
        program.hosts.adopt(left.numbers.clone());
        if !program.penalties()?.is_empty() {
            program.configure(Config { penalties: 1, ..program.content })?;
        }
        Ok(program)
    }

    /// Ends the connections that the tables would not let anybody open now.
    pub(super) fn end_strays(&mut self) -> Result<usize, KernelError> {
        self.flows.keep(&self.hosts.spliced(), &self.deny.all())
    }

    fn fill(
        mut ebpf: Ebpf,
        listen: &[SocketAddr],
        log_sample: u32,
        tuple_hash: TupleHash,
    ) -> Result<Self, KernelError> {
        let listen_hash = listen::fill(&mut ebpf, listen)?;
        object::program::<Xdp>(&mut ebpf, PROGRAM_EDGE)?.load().map_err(KernelError::program(PROGRAM_EDGE))?;
        let replay = object::program::<SchedClassifier>(&mut ebpf, PROGRAM_REPLAY)?;
        replay.load().map_err(KernelError::program(PROGRAM_REPLAY))?;
        let mut take = |name| ebpf.take_map(name).ok_or(KernelError::Missing { what: "map", name });
        let counters = PerCpuArray::try_from(take(COUNTERS)?).map_err(KernelError::reading(COUNTERS))?;
        let config = Array::try_from(take(CONFIG)?).map_err(KernelError::reading(CONFIG))?;
        let hosts = Hosts::take(&mut ebpf)?;
        let deny = Deny::take(&mut ebpf)?;
        let flows = Flows::take(&mut ebpf, tuple_hash)?;
        let penalties = Penalties::take(&mut ebpf)?;
        let mut program =
            Self { ebpf, hosts, deny, flows, penalties, counters, config, content: Config::default(), edge: None };
        let cpus = aya::util::nr_cpus().map_or(1, |cpus| cpus as u32).max(1);
        let ports = u32::from(SPLICE_PORTS.end() - SPLICE_PORTS.start()) + 1;
        program.configure(Config {
            abi_version: ABI_VERSION,
            log_sample,
            first_port: u32::from(*SPLICE_PORTS.start()),
            ports_per_cpu: (ports / cpus).max(1),
            listen_hash,
            tuple_hash,
            clock_ns: nanoseconds(monotonic()),
            ..Config::default()
        })?;
        Ok(program)
    }

    /// Takes every host off the fast path that is spliced and, by this plan, is not to be, and denies the networks that it
    /// denies: when this returns, new connections to those hosts are passed to workers, and those that were spliced, to them or
    /// from those networks, are gone. Returns how many were. A plan that cannot be applied changes nothing.
    pub fn protect(&mut self, plan: &KernelPlan) -> Result<usize, KernelError> {
        check(plan)?;
        let hosts = self.hosts.protect(plan)?;
        let denied = self.deny.protect(plan)?;
        if hosts.is_empty() && denied.is_empty() { Ok(0) } else { self.flows.kill(&hosts, &denied) }
    }

    /// Brings the maps to what the plan wants. A plan that cannot be applied changes nothing.
    pub fn apply(&mut self, plan: &KernelPlan) -> Result<Changes, KernelError> {
        self.protect(plan)?;
        self.fill_tables(plan)
    }

    /// The same for a program whose tables are empty, and that no packet comes by.
    pub(super) fn fill_tables(&mut self, plan: &KernelPlan) -> Result<Changes, KernelError> {
        check(plan)?;
        // Deny first, allow last: a failure between leaves more refused than the plan wants, never less.
        self.deny.protect(plan)?;
        let wildcards = u32::from(plan.hosts.keys().any(|host| host.starts_with('*')));
        // Looked for while there may be one.
        self.configure(Config { wildcards: wildcards | self.content.wildcards, ..self.content })?;
        let changes = self.hosts.apply(plan)?;
        self.deny.relax(plan)?;
        self.configure(Config { wildcards, splices: self.hosts.splices().into(), ..self.content })?;
        let (denied, allowed) = self.deny.take_changes();
        Ok(Changes { denied, allowed, ..changes })
    }

    /// The spliced connections.
    pub fn flows(&self) -> Result<Vec<Flow>, KernelError> {
        self.flows.list(&self.hosts.names())
    }

    /// Ends every spliced connection of a host, both ends with a reset. Returns how many there were.
    pub fn kill_flows(&mut self, host: &str) -> Result<usize, KernelError> {
        match self.hosts.number(host) {
            Some(number) => self.flows.kill(&[number], &Denied::default()),
            None => Ok(0),
        }
    }

    /// Ends spliced connections on which nothing was heard for so long, and forgets those that ended without saying so.
    /// Returns how many. To be called about once a second: this is also the clock by which XDP notes when it heard of them.
    pub fn sweep(&mut self, idle: Duration) -> Result<usize, KernelError> {
        let now = monotonic();
        let count = self.flows.sweep(idle, now);
        // The clock goes on even if that failed: it tells when the connections were heard of.
        self.configure(Config { clock_ns: nanoseconds(now), ..self.content })?;
        count
    }

    /// What became of the spliced connections of each host, since the host was spliced first.
    pub fn host_counters(&self) -> Result<Vec<HostCount>, KernelError> {
        self.flows.counters(&self.hosts.names())
    }

    /// The origins of the plan.
    pub fn origins(&self) -> Vec<SocketAddr> {
        self.hosts.targets().origins().collect()
    }

    /// Those of them that nobody knows the way to: workers get their connections.
    pub fn unreachable_origins(&self) -> Vec<SocketAddr> {
        self.hosts.targets().unreachable()
    }

    /// Writes the way to each origin as `find` knows it; an origin without one is not spliced to.
    pub fn route(&mut self, find: impl FnMut(SocketAddr) -> Option<Path>) -> Result<(), KernelError> {
        self.hosts.targets_mut().route(find)
    }

    /// Drops SYNs of this address for so long.
    pub fn punish(&mut self, address: IpAddr, duration: Duration) -> Result<(), KernelError> {
        self.configure(Config { penalties: 1, ..self.content })?;
        self.penalties.punish(address, duration)
    }

    /// The addresses that are punished now.
    pub fn penalties(&self) -> Result<Vec<Penalty>, KernelError> {
        self.penalties.list()
    }

    /// Takes a punishment back; false if there was none.
    pub fn pardon(&mut self, address: IpAddr) -> Result<bool, KernelError> {
        self.penalties.pardon(address)
    }

    /// What was counted, in the order of the reasons' numbers.
    pub fn counters(&self) -> Result<Vec<Count>, KernelError> {
        let count = |&reason: &Reason| {
            let cpus = self.counters.get(&reason.into(), 0).map_err(KernelError::reading(COUNTERS))?;
            let sum = |field: fn(&Counter) -> u64| cpus.iter().map(field).fold(0, u64::wrapping_add);
            Ok(Count { reason, packets: sum(|cpu| cpu.packets), bytes: sum(|cpu| cpu.bytes) })
        };
        Reason::ALL.iter().map(count).collect()
    }

    /// Logs one in so many packets for listen addresses from now on; 0 logs none.
    pub fn set_log_sample(&mut self, log_sample: u32) -> Result<(), KernelError> {
        self.configure(Config { log_sample, ..self.content })
    }

    /// Answers SYNs with cookies from now on, with what the kernel would announce on this interface. The kernel takes the
    /// cookies only with the settings that [`Kernel`](super::Kernel) makes.
    pub fn answer_syns(&mut self, interface: &str) -> Result<(), KernelError> {
        self.edge = Some(interface.to_owned());
        self.configure(Config { syn_cookies: 1, ..self.content })?;
        self.limit_packets(None)
    }

    /// Announces segments that fit into packets of so many bytes, if those of the edge's interface may be larger: they go on to
    /// origins as they come.
    pub fn limit_packets(&mut self, largest: Option<u32>) -> Result<(), KernelError> {
        let Some(edge) = &self.edge else { return Ok(()) };
        let announced = Announced::on(edge, largest.unwrap_or(u32::MAX));
        let Announced { window_scale, segment_size_v4, segment_size_v6 } = announced;
        self.configure(Config { window_scale, segment_size_v4, segment_size_v6, ..self.content })
    }

    fn configure(&mut self, content: Config) -> Result<(), KernelError> {
        if content != self.content {
            self.config.set(0, content, 0).map_err(KernelError::writing(CONFIG))?;
            self.content = content;
        }
        Ok(())
    }

    /// The program's debug lines, for whoever is the first to ask.
    pub fn take_log(&mut self) -> Option<KernelLog> {
        KernelLog::take(&mut self.ebpf)
    }

    /// How many instructions the kernel's verifier went through to accept the program; its limit is a million.
    pub fn verified_instructions(&mut self) -> Result<u32, KernelError> {
        let info = object::program::<Xdp>(&mut self.ebpf, PROGRAM_EDGE)?.info();
        Ok(info.map_err(KernelError::program(PROGRAM_EDGE))?.verified_instruction_count().unwrap_or(0))
    }

    /// The program itself, for another one to go on to.
    pub fn edge_program(&mut self) -> Result<ProgramFd, KernelError> {
        let program = object::program::<Xdp>(&mut self.ebpf, PROGRAM_EDGE)?;
        let fd = program.fd().map_err(KernelError::program(PROGRAM_EDGE))?;
        fd.try_clone().map_err(|error| KernelError::program(PROGRAM_EDGE)(error.into()))
    }

    /// Runs the program `repeat` times on a packet that never was on a wire (`BPF_PROG_TEST_RUN`).
    pub fn run(&mut self, packet: &[u8], repeat: u32) -> Result<Run, KernelError> {
        run::<Xdp>(&mut self.ebpf, PROGRAM_EDGE, packet, repeat)
    }

    /// Runs the program that answers origins on a packet that never was on a wire. What it sends goes out by the loopback
    /// interface of this network namespace.
    pub fn run_replay(&mut self, packet: &[u8], repeat: u32) -> Result<Run, KernelError> {
        run::<SchedClassifier>(&mut self.ebpf, PROGRAM_REPLAY, packet, repeat)
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Program")
    }
}

/// One that nobody else knows.
fn secret_hash() -> Result<TupleHash, KernelError> {
    let mut hash = TupleHash::default();
    for number in &mut hash.0 {
        let mut bytes = [0; size_of::<u64>()];
        rand::fill(&mut bytes).map_err(|_| KernelError::Random)?;
        *number = u64::from_ne_bytes(bytes);
    }
    Ok(hash)
}

/// For the maps, which have 584 years of room.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether all of the plan fits.
fn check(plan: &KernelPlan) -> Result<(), KernelError> {
    Deny::check(plan)?;
    Hosts::check(plan)
}

/// What the object's own ABI version is.
pub(super) fn abi_version(ebpf: &mut Ebpf) -> Result<u32, KernelError> {
    object::program::<Xdp>(ebpf, PROGRAM_ABI)?.load().map_err(KernelError::program(PROGRAM_ABI))?;
    // The smallest packet that a test run takes.
    run::<Xdp>(ebpf, PROGRAM_ABI, &[0; 64], 1).map(|run| run.action)
}

fn run<P>(ebpf: &mut Ebpf, name: &'static str, packet: &[u8], repeat: u32) -> Result<Run, KernelError>
where
    for<'a> &'a mut P: TryFrom<&'a mut aya::programs::Program>,
    P: for<'a> TestRun<Opts<'a> = TestRunOptions<'a>, Result = TestRunResult>,
{
    let program = object::program::<P>(ebpf, name)?;
    let mut out = vec![0; RUN_MAX];
    let options =
        TestRunOptions { data_in: Some(packet), data_out: Some(&mut out), repeat, ..TestRunOptions::default() };
    let result = program.test_run(options).map_err(KernelError::program(name))?;
    out.truncate(result.data_size_out as usize);
    Ok(Run { action: result.return_value, packet: out, duration: result.duration })
}
