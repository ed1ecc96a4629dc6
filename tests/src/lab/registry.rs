//! What this process has made on the machine, so that it goes away however the process ends.
//!
//! Guards remove things in the normal case and when a test panics. A signal runs no destructors, so a thread waits for it
//! and removes what is registered here. A `kill -9` leaves things behind; they carry the process id in their name, and the
//! next lab on the machine removes those whose process is gone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

use super::patience::patience;
use super::programs::ip;

/// Begins the name of every namespace and directory of a lab.
const PREFIX: &str = "mtls-lab";
/// Where the filters of labs pin their XDP programs.
pub(super) const PINS: &str = "/sys/fs/bpf/mtls-filter";
/// Where they remember what kernel settings were before.
const SETTINGS: &str = "/run/mtls-filter";
/// Where `ip netns` keeps its names.
const NAMESPACES: &str = "/run/netns";
/// How long killed processes may take to be gone.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// A thing to remove.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resource {
    /// A directory with all its content. Sorts first, and is removed last.
    Directory(PathBuf),
    /// A directory of a BPF file system in which the lab's filter pins its XDP program.
    Pins(PathBuf),
    /// A network namespace with all processes in it.
    Namespace(String),
}

static LIVE: Mutex<BTreeSet<Resource>> = Mutex::new(BTreeSet::new());
static NEXT: AtomicU32 = AtomicU32::new(1);
static START: Once = Once::new();

/// A lab name no other living process uses, and the first thing any lab asks for: it also starts the signal thread and
/// removes what dead processes left.
#[must_use]
pub fn unique_name() -> String {
    START.call_once(|| {
        sweep();
        thread::spawn(remove_all_on_signal);
    });
    format!("{PREFIX}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Makes a resource by `make` and remembers it. Both under one lock, so that a signal cannot come between.
pub(super) fn register(resource: Resource, make: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut live = lock();
    make()?;
    live.insert(resource);
    Ok(())
}

/// Removes a resource and forgets it.
pub(super) fn remove(resource: &Resource) -> Result<()> {
    let mut live = lock();
    live.remove(resource);
    destroy(resource)
}

/// The namespaces that there are of the lab `name`.
pub(super) fn namespaces_of(name: &str) -> Result<Vec<String>> {
    let beginning = format!("{name}-");
    Ok(namespaces()?.into_iter().filter(|namespace| namespace.starts_with(&beginning)).collect())
}

fn lock() -> MutexGuard<'static, BTreeSet<Resource>> {
    // A set of names cannot be left half changed by a panic.
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn destroy(resource: &Resource) -> Result<()> {
    match resource {
        Resource::Directory(path) => {
            fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))
        }
        Resource::Pins(path) => remove_pins(path),
        Resource::Namespace(name) => {
            kill_all_in(name)?;
            ip(&["netns", "delete", name]).map(drop)
        }
    }
}

/// Removes pins, if a filter has left any. The kernel settings that they were for went with their namespace.
fn remove_pins(path: &Path) -> Result<()> {
    let settings = path.to_string_lossy().trim_start_matches('/').replace('/', "-");
    for removed in [fs::remove_dir_all(path), fs::remove_file(Path::new(SETTINGS).join(settings))] {
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Ends every process whose namespace this is, and waits until they are gone: a namespace lives as long as its processes.
fn kill_all_in(namespace: &str) -> Result<()> {
    let deadline = Instant::now() + patience(KILL_TIMEOUT);
    loop {
        let listed = ip(&["netns", "pids", namespace])?;
        let pids: Vec<i32> =
            listed.lines().filter_map(|line| line.trim().parse().ok()).filter(|pid| is_running(*pid)).collect();
        if pids.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("processes {pids:?} in namespace {namespace} did not end");
        }
        for pid in pids {
            // It may have ended since it was listed.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// A zombie is listed until its parent asks for it, but holds nothing any more.
fn is_running(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

fn namespaces() -> Result<Vec<String>> {
    match fs::read_dir(NAMESPACES) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()),
        // Nobody has made a namespace since the machine started.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).context(format!("cannot list {NAMESPACES}")),
    }
}

/// Removes what labs of dead processes left. Another lab may be doing the same: losing that race is fine.
fn sweep() {
    for name in namespaces().unwrap_or_default().into_iter().filter(|name| is_orphan(name)) {
        let _ = destroy(&Resource::Namespace(name));
    }
    for entry in fs::read_dir(PINS).into_iter().flatten().flatten() {
        if is_orphan(&entry.file_name().to_string_lossy()) {
            let _ = destroy(&Resource::Pins(entry.path()));
        }
    }
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        if is_orphan(&entry.file_name().to_string_lossy()) {
            let _ = destroy(&Resource::Directory(entry.path()));
        }
    }
}

fn is_orphan(name: &str) -> bool {
    let owner =
        name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-')).and_then(|rest| rest.split('-').next());
    owner.is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists())
}

fn remove_all_on_signal() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let number = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).ok()?;
        let mut terminate = signal(SignalKind::terminate()).ok()?;
        let mut hangup = signal(SignalKind::hangup()).ok()?;
        Some(tokio::select! {
            _ = interrupt.recv() => 2,
            _ = terminate.recv() => 15,
            _ = hangup.recv() => 1,
        })
    });
    let Some(number) = number else { return };
    // The lock is kept to the end of the process: nothing new is made while everything is removed.
    let live = lock();
    for resource in live.iter().rev() {
        if let Err(error) = destroy(resource) {
            eprintln!("clean-up: {error:#}");
        }
    }
    std::process::exit(128 + number)
}
