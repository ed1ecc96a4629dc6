//! The data path in use: which of native XDP, generic XDP and plain sockets this machine can do, and why not better.
//!
//! Whichever it is, the workers behind it give the same verdicts. XDP rejects unknown hosts early; without it a worker does.

mod plan;

use std::fmt;
use std::net::{IpAddr, TcpListener};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::plan::plan;
use crate::config::{self, Edge};
use crate::kernel::{
    AttachedMode, Count, Flow, Group, HostCount, Kernel, KernelConfig, KernelError, KernelLog, KernelPlan,
    Mode as XdpMode, Penalty, Steering, with_causes,
};
use crate::origins::Origins;
use crate::snapshot::{PacketPlane, Snapshot};

/// How packets reach the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Through XDP in the driver.
    Native,
    /// Through XDP in the kernel's generic receive path.
    Generic,
    /// Through the kernel's sockets alone.
    Socket,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Socket => "socket",
        })
    }
}

/// The data path. Dropping it detaches the XDP program.
#[derive(Debug)]
pub struct Datapath {
    /// Present with XDP. Taken to read counters and to write maps; never by a worker.
    kernel: Option<Mutex<Kernel>>,
    mode: Mode,
    notes: Vec<String>,
    /// Which origins connections may be spliced to.
    origins: Arc<Origins>,
    /// Keeps the program that chooses the worker listed under this process.
    _steering: Option<Steering>,
}

/// A worker's listeners, in the order of `edge.listen`, and the CPU it is pinned to.
pub type WorkerListeners = (Option<usize>, Vec<TcpListener>);

impl Datapath {
    /// Takes new connections to the worker of the CPU that handles them, and attaches XDP as `edge` asks for it.
    ///
    /// # Errors
    /// When XDP was asked for by name and cannot be had. With `auto` the reason becomes a note.
    pub fn open(
        edge: &Edge,
        packet_log: u32,
        workers: &[WorkerListeners],
        snapshot: &Snapshot,
        origins: Arc<Origins>,
    ) -> Result<Self, KernelError> {
        let mut notes = Vec::new();
        let steering = steer(edge, workers, &mut notes);
        let kernel = load(edge, packet_log, &plan(snapshot, &origins), &mut notes)?;
        if kernel.is_none() && edge.penalty.is_some() {
            notes.push("the penalty box needs XDP: nobody is dropped for being blocked".to_owned());
        }
        let mode = kernel.as_ref().map_or(Mode::Socket, |kernel| match kernel.mode() {
            AttachedMode::Native => Mode::Native,
            AttachedMode::Generic => Mode::Generic,
        });
        for note in &notes {
            tracing::warn!(datapath = %mode, "{note}");
        }
        Ok(Self { kernel: kernel.map(Mutex::new), mode, notes, origins, _steering: steering })
    }

    /// What is in use.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether XDP is in use.
    pub fn has_xdp(&self) -> bool {
        self.kernel.is_some()
    }

    /// Why it is nothing better.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Kernel settings that were changed, and are changed back at the end.
    pub fn settings(&self) -> Vec<String> {
        self.lock().map_or_else(Vec::new, |kernel| kernel.settings().iter().map(ToString::to_string).collect())
    }

    /// What the XDP program counted; nothing without XDP.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn packets(&self) -> Result<Vec<Count>, KernelError> {
        self.lock().map_or_else(|| Ok(Vec::new()), |kernel| kernel.counters())
    }

    /// The spliced connections; none without XDP.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn flows(&self) -> Result<Vec<Flow>, KernelError> {
        self.lock().map_or_else(|| Ok(Vec::new()), |kernel| kernel.flows())
    }

    /// What was spliced, by host; nothing without XDP.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn spliced(&self) -> Result<Vec<HostCount>, KernelError> {
        self.lock().map_or_else(|| Ok(Vec::new()), |kernel| kernel.host_counters())
    }

    /// Ends spliced connections that were silent for `idle`, and returns how many; to be called about once a second.
    ///
    /// # Errors
    /// When the maps cannot be read or written.
    pub fn sweep(&self, idle: Duration) -> Result<usize, KernelError> {
        self.lock().map_or(Ok(0), |mut kernel| kernel.sweep(idle))
    }

    /// Drops the SYNs of an address for so long; nothing without XDP.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn punish(&self, address: IpAddr, duration: Duration) -> Result<(), KernelError> {
        self.lock().map_or(Ok(()), |mut kernel| kernel.punish(address, duration))
    }

    /// The addresses whose SYNs are dropped; none without XDP.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn penalties(&self) -> Result<Vec<Penalty>, KernelError> {
        self.lock().map_or_else(|| Ok(Vec::new()), |kernel| kernel.penalties())
    }

    /// Serves an address again; false if it was not dropped.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn pardon(&self, address: IpAddr) -> Result<bool, KernelError> {
        self.lock().map_or(Ok(false), |mut kernel| kernel.pardon(address))
    }

    /// The XDP program's debug lines, for whoever is the first to ask.
    pub fn take_log(&self) -> Option<KernelLog> {
        self.lock()?.take_log()
    }

    /// A panic with the lock held left the maps as they were.
    fn lock(&self) -> Option<MutexGuard<'_, Kernel>> {
        self.kernel.as_ref().map(|kernel| kernel.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl PacketPlane for Datapath {
    fn protect(&self, snapshot: &Snapshot) -> Result<(), KernelError> {
        let Some(mut kernel) = self.lock() else { return Ok(()) };
        let ended = kernel.protect(&plan(snapshot, &self.origins))?;
        if ended > 0 {
            tracing::info!(connections = ended, "ended the spliced connections of hosts that a rule can reach now");
        }
        Ok(())
    }

    fn relax(&self, snapshot: &Snapshot) -> Result<(), KernelError> {
        match self.lock() {
            Some(mut kernel) => kernel.apply(&plan(snapshot, &self.origins)).map(drop),
            None => Ok(()),
        }
    }
}

/// Steering makes connections cheaper, not safer: without the privilege for it the kernel spreads them.
fn steer(edge: &Edge, workers: &[WorkerListeners], notes: &mut Vec<String>) -> Option<Steering> {
    let groups: Vec<Group<'_>> = edge
        .listen
        .iter()
        .enumerate()
        .map(|(address, listen)| Group { listen: *listen, workers: pinned(workers, address).collect() })
        .collect();
    match Steering::attach(&groups) {
        Ok(steering) => Some(steering),
        Err(error) => {
            notes.push(format!("connections are spread by the kernel, not by CPU: {}", with_causes(&error)));
            None
        }
    }
}

/// The listeners on one address of the workers that are pinned.
fn pinned(workers: &[WorkerListeners], address: usize) -> impl Iterator<Item = (u32, std::os::fd::BorrowedFd<'_>)> {
    workers.iter().filter_map(move |(cpu, listeners)| {
        let cpu = u32::try_from((*cpu)?).ok()?;
        Some((cpu, listeners.get(address)?.as_fd()))
    })
}

fn load(
    edge: &Edge,
    packet_log: u32,
    plan: &KernelPlan,
    notes: &mut Vec<String>,
) -> Result<Option<Kernel>, KernelError> {
    let mode = match edge.datapath {
        config::Datapath::Auto => XdpMode::Auto,
        config::Datapath::Native => XdpMode::Native,
        config::Datapath::Generic => XdpMode::Generic,
        config::Datapath::Socket => return Ok(None),
    };
    // The configuration has an interface unless the data path is `socket`.
    let interface = edge.interface.clone().unwrap_or_default();
    let config = KernelConfig {
        interface,
        listen: edge.listen.clone(),
        mode,
        log_sample: packet_log,
        syn_cookies: edge.syn_cookies,
    };
    let loaded = Kernel::load(&config, plan).or_else(|error| match error {
        // As in a container with /proc/sys read-only: XDP without cookies is better than none, and as safe.
        KernelError::Setting { .. } => {
            notes.push(format!("SYNs are not answered with cookies: {}", with_causes(&error)));
            Kernel::load(&KernelConfig { syn_cookies: false, ..config.clone() }, plan)
        }
        other => Err(other),
    });
    match loaded {
        Ok(kernel) => {
            notes.extend(kernel.failed().iter().map(|(mode, why)| format!("XDP in {mode} mode cannot be used: {why}")));
            Ok(Some(kernel))
        }
        Err(error) if edge.datapath == config::Datapath::Auto => {
            notes.push(format!("XDP cannot be used: {}", with_causes(&error)));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
