//! The data path in use: which of native XDP, generic XDP and plain sockets this machine can do, and why not better.
//!
//! Whichever it is, the workers behind it give the same verdicts. XDP rejects unknown hosts early; without it a worker does.

mod load;
mod pins;
mod plan;

use std::fmt;
use std::net::{IpAddr, TcpListener};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use self::load::DatapathError;
pub use self::pins::{PinError, detach};

use self::load::Loaded;
use self::pins::PinDirectory;
use self::plan::plan;
use crate::config::{self, Edge};
use crate::kernel::{
    AttachedMode, Count, Flow, Group, HostCount, Kernel, KernelError, KernelLog, Penalty, Steering, with_causes,
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

/// The data path. Dropping it detaches the XDP program, unless it is pinned.
#[derive(Debug)]
pub struct Datapath {
    /// Present with XDP. Taken to read counters and to write maps; never by a worker.
    kernel: Option<Mutex<Kernel>>,
    /// Where XDP is pinned, if it is. After the kernel: nobody may take the directory while that is at work.
    pins: Option<PinDirectory>,
    mode: Mode,
    notes: Vec<String>,
    /// Generation of the snapshot that the maps were filled from last.
    generation: AtomicU64,
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
    ) -> Result<Self, DatapathError> {
        let mut notes = Vec::new();
        let steering = steer(edge, workers, &mut notes);
        let (plan, may_splice) = (plan(snapshot, &origins), !origins.is_empty());
        let Loaded { mut kernel, pins } = load::load(edge, packet_log, &plan, may_splice, &mut notes)?;
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
        if let Some(kernel) = kernel.as_mut().filter(|kernel| kernel.adopted()) {
            tracing::info!(connections = kernel.flows()?.len(), "went on with what an earlier process spliced");
            pardon(kernel, edge.penalty.as_ref())?;
        }
        let (kernel, generation) = (kernel.map(Mutex::new), AtomicU64::new(snapshot.generation));
        Ok(Self { kernel, pins, mode, notes, generation, origins, _steering: steering })
    }

    /// What is in use.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether XDP is in use.
    pub fn has_xdp(&self) -> bool {
        self.kernel.is_some()
    }

    /// Why it is nothing better, and what cannot be spliced now though the rules allow it.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        if let Some(kernel) = self.lock() {
            let refused = kernel.refused_interfaces().into_iter();
            notes.extend(refused.map(|(interface, why)| format!("nothing can be spliced by {interface}: {why}")));
            let unknown = kernel.unreachable_origins().into_iter();
            notes.extend(unknown.map(|origin| format!("the way to {origin} is not known: workers relay to it")));
        }
        notes
    }

    /// Where XDP is pinned; `None` if it ends with this process.
    pub fn pin(&self) -> Option<&Path> {
        self.pins.as_ref().map(PinDirectory::path)
    }

    /// Generation of the snapshot that the maps agree with; `None` without XDP.
    pub fn generation(&self) -> Option<u64> {
        self.has_xdp().then(|| self.generation.load(Ordering::Relaxed))
    }

    /// Kernel settings that were changed, and are changed back at the end: of this process, or of what it has pinned.
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
            Some(mut kernel) => kernel.apply(&plan(snapshot, &self.origins))?,
            None => return Ok(()),
        };
        self.generation.store(snapshot.generation, Ordering::Relaxed);
        Ok(())
    }
}

/// Serves those again whom an earlier process punished, and this one would not.
fn pardon(kernel: &mut Kernel, penalty: Option<&config::Penalty>) -> Result<(), KernelError> {
    for punished in kernel.penalties()? {
        if penalty.is_none_or(|penalty| penalty.spares(punished.address)) {
            kernel.pardon(punished.address)?;
        }
    }
    Ok(())
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
