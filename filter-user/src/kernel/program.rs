//! The packet plane's program, loaded and with its maps, not attached to anything.

use std::{net::SocketAddr, time::Duration};

use aya::{
    Ebpf,
    maps::{Array, MapData, PerCpuArray},
    programs::{TestRun, TestRunOptions, Xdp},
};
use filter_common::{
    ABI_VERSION, Reason,
    layout::{Config, Counter},
    maps::{CONFIG, COUNTERS, PROGRAM_ABI, PROGRAM_EDGE},
};

use super::{
    Changes, KernelError, KernelLog, KernelPlan, cookies::Announced, deny::Deny, host, hosts::Hosts, listen, object,
};

/// Bytes of memory for what comes out of a test run: more than any packet that goes in.
const RUN_MAX: usize = 16 * 1024;

/// The program that decides about packets, and its maps.
pub struct Program {
    // Holds the program, and the maps that nobody took.
    pub(super) ebpf: Ebpf,
    hosts: Hosts,
    deny: Deny,
    counters: PerCpuArray<MapData, Counter>,
    config: Array<MapData, Config>,
    content: Config,
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
        let mut ebpf = object::load()?;
        listen::fill(&mut ebpf, listen)?;
        object::program::<Xdp>(&mut ebpf, PROGRAM_EDGE)?.load().map_err(KernelError::program(PROGRAM_EDGE))?;
        let mut take = |name| ebpf.take_map(name).ok_or(KernelError::Missing { what: "map", name });
        let counters = PerCpuArray::try_from(take(COUNTERS)?).map_err(KernelError::reading(COUNTERS))?;
        let config = Array::try_from(take(CONFIG)?).map_err(KernelError::reading(CONFIG))?;
        let hosts = Hosts::take(&mut ebpf)?;
        let deny = Deny::take(&mut ebpf)?;
        let content = Config { abi_version: ABI_VERSION, log_sample, ..Config::default() };
        let mut program = Self { ebpf, hosts, deny, counters, config, content };
        program.write_config()?;
        Ok(program)
    }

    /// Brings the maps to what the plan wants. A plan that cannot be applied changes nothing.
    pub fn apply(&mut self, plan: &KernelPlan) -> Result<Changes, KernelError> {
        Deny::check(plan)?;
        Hosts::check(plan)?;
        let before = self.deny.count();
        // Protect first, relax last: a failure between leaves more refused than the plan wants, never less.
        let denied = self.deny.protect(plan)?;
        let changes = self.hosts.apply(plan)?;
        self.deny.relax(plan)?;
        let allowed = before + denied - self.deny.count();
        Ok(Changes { denied, allowed, ..changes })
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
        self.content.log_sample = log_sample;
        self.write_config()
    }

    /// Answers SYNs with cookies from now on, with what the kernel would announce on this interface. The kernel takes the
    /// cookies only with the settings that [`Kernel`](super::Kernel) makes.
    pub fn answer_syns(&mut self, interface: &str) -> Result<(), KernelError> {
        let Announced { window_scale, segment_size_v4, segment_size_v6 } = Announced::on(interface);
        self.content = Config { syn_cookies: 1, window_scale, segment_size_v4, segment_size_v6, ..self.content };
        self.write_config()
    }

    fn write_config(&mut self) -> Result<(), KernelError> {
        self.config.set(0, self.content, 0).map_err(KernelError::writing(CONFIG))
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

    /// Runs the program `repeat` times on a packet that never was on a wire (`BPF_PROG_TEST_RUN`).
    pub fn run(&mut self, packet: &[u8], repeat: u32) -> Result<Run, KernelError> {
        run(&mut self.ebpf, PROGRAM_EDGE, packet, repeat)
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Program")
    }
}

/// What the object's own ABI version is.
pub(super) fn abi_version(ebpf: &mut Ebpf) -> Result<u32, KernelError> {
    object::program::<Xdp>(ebpf, PROGRAM_ABI)?.load().map_err(KernelError::program(PROGRAM_ABI))?;
    // The smallest packet that a test run takes.
    run(ebpf, PROGRAM_ABI, &[0; 64], 1).map(|run| run.action)
}

fn run(ebpf: &mut Ebpf, name: &'static str, packet: &[u8], repeat: u32) -> Result<Run, KernelError> {
    let program = object::program::<Xdp>(ebpf, name)?;
    let mut out = vec![0; RUN_MAX];
    let options =
        TestRunOptions { data_in: Some(packet), data_out: Some(&mut out), repeat, ..TestRunOptions::default() };
    let result = program.test_run(options).map_err(KernelError::program(name))?;
    out.truncate(result.data_size_out as usize);
    Ok(Run { action: result.return_value, packet: out, duration: result.duration })
}
