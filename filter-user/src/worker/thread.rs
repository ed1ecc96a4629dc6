//! The thread of a worker: its runtime, its listeners, its queue of commands.

use std::cell::RefCell;
use std::io;
use std::net::TcpListener as StdListener;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;

use super::connection;
use super::context::{Context, InForce};
use super::limits::{CHAIN_CACHE, DRAIN_TIMEOUT, MAX_CONNECTIONS};
use super::ray::RayIds;
use super::relay::RelayReport;
use super::upstream::Upstreams;
use crate::geo::Databases;
use crate::origins::Origins;
use crate::penalty::Offences;
use crate::pki::ChainCache;
use crate::revocation::RevocationReader;
use crate::snapshot::Snapshot;
use crate::telemetry::{Counters, Reason, Recorder};

/// What the control plane asks of a worker.
#[derive(Debug)]
pub enum Command {
    /// Decide by this snapshot from now on; acknowledged when no decision by an older one can come any more.
    Publish(Arc<Snapshot>, oneshot::Sender<()>),
    /// Acknowledge that every decision made before this command was received is made: what shared state was changed before is in force.
    Fence(oneshot::Sender<()>),
    /// Close the connections whose certificate is revoked, of hosts that want it; acknowledged when they are closed.
    CloseRevoked(oneshot::Sender<()>),
    /// Say what is passed on unopened.
    Relays(oneshot::Sender<RelayReport>),
}

/// What a worker is made of.
pub struct Spawn {
    /// Number of the worker, from 0.
    pub index: usize,
    /// CPU it is pinned to; `None` leaves it to the scheduler.
    pub cpu: Option<usize>,
    /// Its listeners, one an address.
    pub listeners: Vec<StdListener>,
    /// The first snapshot.
    pub snapshot: Arc<Snapshot>,
    /// The worker's view of the revocation set.
    pub revocations: RevocationReader,
    /// Where addresses are.
    pub geo: Arc<Databases>,
    /// The origins of passthrough hosts.
    pub origins: Arc<Origins>,
    /// How long nothing may move on a connection that is passed on.
    pub relay_idle_timeout: Duration,
    /// Where blocked addresses are reported.
    pub offences: Offences,
    /// Where requests are written down.
    pub recorder: Recorder,
    /// Becomes true when the worker is to finish what it serves and end.
    pub draining: watch::Receiver<bool>,
}

/// Why a worker could not be started or reached.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The thread could not be started.
    #[error("cannot start worker {0}: {1}")]
    Start(usize, #[source] io::Error),
    /// The thread has ended: it panicked, or it was told to.
    #[error("worker {0} has ended")]
    Ended(usize),
    /// No acknowledgement in time.
    #[error("worker {0} did not answer within {1:?}: its thread is stuck")]
    Stuck(usize, Duration),
}

/// The control plane's end of a worker.
#[derive(Debug)]
pub struct Worker {
    index: usize,
    commands: mpsc::UnboundedSender<Command>,
    counters: Arc<Counters>,
}

/// The running thread of a worker.
#[derive(Debug)]
pub struct WorkerThread {
    index: usize,
    handle: JoinHandle<()>,
}

impl WorkerThread {
    /// Waits for the end of the thread, which comes after `draining` was set.
    ///
    /// # Errors
    /// When the thread panicked.
    pub fn join(self) -> Result<(), WorkerError> {
        self.handle.join().map_err(|_| WorkerError::Ended(self.index))
    }
}

/// How long a worker may take to acknowledge: it answers between two polls, which take microseconds.
const ACKNOWLEDGE: Duration = Duration::from_secs(5);

/// How often an idle worker lets go of an outdated version of the revocation set.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the thread or its runtime cannot be made.
    pub fn spawn(spawn: Spawn) -> Result<(Self, WorkerThread), WorkerError> {
        let index = spawn.index;
        let failed = |error| WorkerError::Start(index, error);
        let counters = Arc::new(Counters::new());
        let (commands, queue) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let own_counters = counters.clone();
        let handle = thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || LocalSet::new().block_on(&runtime, run(spawn, own_counters, queue)))
            .map_err(failed)?;
        Ok((Self { index, commands, counters }, WorkerThread { index, handle }))
    }

    /// Number of the worker, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// What the worker counted.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Makes the worker decide by `snapshot`; returns once it does.
    ///
    /// # Errors
    /// When the worker is gone or stuck.
    pub async fn publish(&self, snapshot: Arc<Snapshot>) -> Result<(), WorkerError> {
        self.command(|acknowledge| Command::Publish(snapshot, acknowledge)).await
    }

    /// Returns once no decision of this worker is older than the call.
    ///
    /// # Errors
    /// When the worker is gone or stuck.
    pub async fn fence(&self) -> Result<(), WorkerError> {
        self.command(Command::Fence).await
    }

    /// Closes the connections whose certificate is revoked, of hosts that want it; returns when they are closed.
    ///
    /// # Errors
    /// When the worker is gone or stuck.
    pub async fn close_revoked(&self) -> Result<(), WorkerError> {
        self.command(Command::CloseRevoked).await
    }

    /// What the worker passes on unopened.
    ///
    /// # Errors
    /// When the worker is gone or stuck.
    pub async fn relays(&self) -> Result<RelayReport, WorkerError> {
        self.command(Command::Relays).await
    }

    async fn command<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, WorkerError> {
        let (acknowledge, acknowledged) = oneshot::channel();
        self.commands.send(command(acknowledge)).map_err(|_| WorkerError::Ended(self.index))?;
        match tokio::time::timeout(ACKNOWLEDGE, acknowledged).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(WorkerError::Ended(self.index)),
            Err(_) => Err(WorkerError::Stuck(self.index, ACKNOWLEDGE)),
        }
    }
}

async fn run(spawn: Spawn, counters: Arc<Counters>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let Spawn {
        index,
        cpu,
        listeners,
        snapshot,
        revocations,
        geo,
        origins,
        relay_idle_timeout,
        offences,
        recorder,
        mut draining,
    } = spawn;
    if let Some(cpu) = cpu
        && let Err(error) = pin_to(cpu)
    {
        tracing::warn!(worker = index, cpu, %error, "cannot pin the worker to its CPU; it runs where the scheduler puts it");
    }
    counters.set_generation(snapshot.generation);
    let context = Rc::new(Context {
        index,
        in_force: RefCell::new(InForce::new(snapshot)),
        revocations,
        geo,
        chains: RefCell::new(ChainCache::new(CHAIN_CACHE)),
        upstreams: Upstreams::default(),
        sessions: Rc::default(),
        relays: Rc::default(),
        origins,
        relay_idle_timeout,
        offences,
        counters,
        recorder,
        rays: RayIds::new(),
        draining: draining.clone(),
    });
    for listener in listeners {
        match TcpListener::from_std(listener) {
            Ok(listener) => drop(tokio::task::spawn_local(accept(context.clone(), listener))),
            Err(error) => tracing::error!(worker = index, %error, "a listener cannot be served"),
        }
    }
    let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
    loop {
        tokio::select! {
            biased;
            command = commands.recv() => match command {
                Some(command) => obey(&context, command),
                None => break,
            },
            _ = housekeeping.tick() => context.revocations.refresh(),
            _ = draining.wait_for(|draining| *draining) => break,
        }
    }
    drain(&context, &mut commands).await;
}

/// Commands are carried out between two polls of this thread's tasks, so no decision is half made. None waits here for anything: where
/// an answer must, a task of its own gives it.
fn obey(context: &Context, command: Command) {
    // If nobody waits for an answer any more, the command was carried out all the same.
    match command {
        Command::Publish(snapshot, acknowledge) => {
            context.counters.set_generation(snapshot.generation);
            let lost = context.relays.withdraw(|server_name, client, relayed| {
                let passthrough = snapshot.host(server_name).and_then(|host| host.passthrough.as_ref());
                passthrough.is_some_and(|now| now.origins == relayed.origins && !now.blocked.contains(client.ip()))
            });
            context.in_force.replace(InForce::new(snapshot));
            acknowledge_when_ended(lost, acknowledge);
        }
        Command::CloseRevoked(acknowledge) => {
            acknowledge_when_ended(context.sessions.close_revoked(context), acknowledge);
        }
        Command::Fence(acknowledge) => drop(acknowledge.send(())),
        Command::Relays(answer) => drop(answer.send(context.relays.report())),
    }
}

/// Acknowledges a command when all these connections have ended.
fn acknowledge_when_ended(lost: Vec<oneshot::Receiver<()>>, acknowledge: oneshot::Sender<()>) {
    tokio::task::spawn_local(async move {
        for ended in lost {
            // An error is what is waited for: the connection is gone, and its end of the channel with it.
            let _ = ended.await;
        }
        let _ = acknowledge.send(());
    });
}

/// Waits for the open connections, which have seen `draining` too; rules can still be changed meanwhile.
async fn drain(context: &Context, commands: &mut mpsc::UnboundedReceiver<Command>) {
    let deadline = tokio::time::sleep(DRAIN_TIMEOUT);
    tokio::pin!(deadline);
    let mut check = tokio::time::interval(Duration::from_millis(20));
    while context.counters.open() > 0 {
        tokio::select! {
            Some(command) = commands.recv() => obey(context, command),
            _ = check.tick() => {}
            () = &mut deadline => {
                tracing::warn!(worker = context.index, open = context.counters.open(), "connections are cut: they did not end in time");
                break;
            }
        }
    }
}

async fn accept(context: Rc<Context>, listener: TcpListener) {
    let mut draining = context.draining.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = draining.wait_for(|draining| *draining) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => start(&context, stream, client),
            Err(error) => {
                // Out of descriptors or memory: accepting again at once would only spin.
                tracing::warn!(worker = context.index, %error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn start(context: &Rc<Context>, stream: TcpStream, client: std::net::SocketAddr) {
    if usize::try_from(context.counters.open()).is_ok_and(|open| open >= MAX_CONNECTIONS) {
        context.counters.count(Reason::TooManyConnections);
        return;
    }
    let (Ok(server), Ok(())) = (stream.local_addr(), stream.set_nodelay(true)) else {
        return;
    };
    let open = context.counters.connection();
    let context = context.clone();
    tokio::task::spawn_local(async move {
        connection::serve(context, stream, client, server).await;
        drop(open);
    });
}

fn pin_to(cpu: usize) -> nix::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set)
}
