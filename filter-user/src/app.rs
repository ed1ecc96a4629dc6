//! Puts the daemon together, runs it, and takes it apart again.
//!
//! Order: whatever can fail without being seen from outside comes first (store, authorities, rules), then the sockets, then the XDP
//! program, which finds its listeners there, then the workers.

use std::sync::Arc;

use anyhow::Context;
use nix::sched::sched_getaffinity;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::config::{self, Config};
use crate::control::crl::Crls;
use crate::control::tokens;
use crate::control::{AdminServer, Control, Current, Parts, Server, authorities};
use crate::datapath::{Datapath, WorkerListeners};
use crate::kernel::KernelLog;
use crate::revocation::RevocationSet;
use crate::snapshot::{Publisher, compile};
use crate::store::{MasterKey, RedbStore, Store};
use crate::telemetry::{AccessLog, AccessLogWriter};
use crate::worker::{Spawn, Worker, WorkerThread, bind_listener};

/// A daemon that serves traffic.
pub struct App {
    control: Arc<Control>,
    server: Server,
    admin: Option<AdminServer>,
    threads: Vec<WorkerThread>,
    draining: watch::Sender<bool>,
    access_writer: Option<AccessLogWriter>,
}

impl App {
    /// Puts the daemon together; it serves traffic when this returns.
    ///
    /// # Errors
    /// When a part of it cannot be started. Nothing is left behind but the directory of the store.
    pub fn build(config: Config) -> anyhow::Result<Self> {
        raise_descriptor_limit();
        let config = Arc::new(config);
        let store = RedbStore::open(&config.store.directory)?;
        let master_key = MasterKey::load_or_create(&config.store.master_key)?;
        if config.control.admin.is_some()
            && let Some(secret) = tokens::first(&store)?
        {
            // At once: a start that fails further on leaves the token in the store, and nobody could ever learn its secret.
            println!("first API token, shown this once: {}", secret.expose());
        }
        let (revision, state) = authorities::ensure(&config, &store, &master_key)?;
        let store: Arc<dyn Store> = Arc::new(store);
        let revocations = RevocationSet::new();
        revocations.load(state.revocation_keys());
        let crls = Crls::open(&config.store.directory, &state, revocations.clone())
            .with_context(|| format!("cannot keep CRLs in {}", config.store.directory.display()))?;
        let snapshot = Arc::new(compile(&config, &state, revision.number(), None)?);

        let server = Server::bind(&config.control.socket)?;
        let admin = config.control.admin.as_ref();
        let admin = admin.map(|admin| AdminServer::bind(admin, &config.store.directory)).transpose()?;
        let (access, access_writer) = access_log(&config.log.access)?;
        let listeners = bind_listeners(&config.edge)?;
        let (draining, drain) = watch::channel(false);
        // Before the workers take the listeners, and after the listeners exist: nobody is turned away in between.
        let datapath = Datapath::open(&config.edge, config.log.packets, &listeners, &snapshot)?;
        let (workers, threads) = spawn_workers(listeners, |index, (cpu, listeners)| Spawn {
            index,
            cpu,
            listeners,
            snapshot: snapshot.clone(),
            revocations: revocations.reader(),
            geo: config.geo.clone(),
            access: access.clone(),
            draining: drain.clone(),
        })?;
        let publisher = Publisher::new(workers, datapath);
        let current = Current { revision, state, snapshot };
        let control = Control::new(Parts { config, access, publisher, revocations, crls, store, master_key, current });
        Ok(Self { control, server, admin, threads, draining, access_writer })
    }

    /// Serves until SIGTERM or SIGINT, then lets open connections end.
    ///
    /// # Errors
    /// When the control socket fails.
    pub async fn run(self) -> anyhow::Result<()> {
        let Self { control, server, admin, threads, draining, access_writer } = self;
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        control.crls().start();
        let housekeeping = tokio::spawn(housekeeping(control.clone()));
        let log = (control.config.log.packets > 0).then(|| control.publisher.datapath().take_log()).flatten();
        if let Some(log) = log {
            tokio::spawn(packet_log(log));
        }
        let (stop, stopped) = watch::channel(false);
        announce(&control, admin.as_ref());
        let serving = tokio::spawn(server.serve(control.clone(), until(stopped.clone())));
        let administering = admin.map(|admin| tokio::spawn(admin.serve(control.clone(), until(stopped))));
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: open connections may end");
        draining.send_replace(true);
        stop.send_replace(true);
        serving.await.context("the control socket's task ended badly")?.context("the control socket failed")?;
        if let Some(administering) = administering {
            administering
                .await
                .context("the admin listener's task ended badly")?
                .context("the admin listener failed")?;
        }
        housekeeping.abort();
        for thread in threads {
            if let Err(error) = thread.join() {
                tracing::error!(%error, "a worker did not end in good order");
            }
        }
        drop(control);
        if let Some(writer) = access_writer {
            writer.join();
        }
        Ok(())
    }
}

/// Ready when the value is true.
async fn until(mut stopped: watch::Receiver<bool>) {
    // The sender is dropped only after it has sent.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// The line on standard output that tells whoever started the daemon that it serves.
fn announce(control: &Control, admin: Option<&AdminServer>) {
    if let Some(admin) = admin {
        tracing::info!(url = admin.url(), "the API is served");
    }
    let listen: Vec<_> = control.config.edge.listen.iter().map(ToString::to_string).collect();
    let workers = control.publisher.workers().len();
    let mode = control.publisher.datapath().mode();
    println!("ready: {mode} datapath, {workers} workers, on {}", listen.join(", "));
}

/// Frees what the revocation set no longer needs, and says which CRLs are not current.
async fn housekeeping(control: Arc<Control>) {
    let mut tick = tokio::time::interval(std::time::Duration::from_secs(2));
    loop {
        tick.tick().await;
        control.revocations.reclaim();
        control.crls().announce();
    }
}

/// Passes the XDP program's debug lines on. They are samples for whoever looks into something, so a look every now and then is enough.
async fn packet_log(mut log: KernelLog) {
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(200));
    loop {
        tick.tick().await;
        log.flush();
    }
}

fn access_log(log: &config::AccessLog) -> anyhow::Result<(AccessLog, Option<AccessLogWriter>)> {
    let (log, writer) = match log {
        config::AccessLog::Off => return Ok((AccessLog::off(), None)),
        config::AccessLog::Stdout => AccessLog::to_stdout().context("cannot start the access log")?,
        config::AccessLog::File(path) => {
            AccessLog::to_file(path).with_context(|| format!("cannot write the access log {}", path.display()))?
        }
    };
    Ok((log, Some(writer)))
}

/// The CPU of each worker: those that this process may run on, one each; beyond that, workers go where the scheduler puts them.
fn worker_cpus(edge: &config::Edge) -> Vec<Option<usize>> {
    let allowed = sched_getaffinity(Pid::from_raw(0));
    let usable = |cpu: &usize| allowed.as_ref().is_ok_and(|set| set.is_set(*cpu).unwrap_or(false));
    let cpus: Vec<usize> = (0..nix::sched::CpuSet::count()).filter(usable).collect();
    let count = edge.workers.map_or(cpus.len().max(1), std::num::NonZeroUsize::get);
    (0..count).map(|index| cpus.get(index).copied()).collect()
}

/// Every worker's CPU and listeners.
fn bind_listeners(edge: &config::Edge) -> anyhow::Result<Vec<WorkerListeners>> {
    let bind = |address| bind_listener(address).with_context(|| format!("cannot listen on {address}"));
    let worker = |cpu| Ok((cpu, edge.listen.iter().copied().map(bind).collect::<anyhow::Result<_>>()?));
    worker_cpus(edge).into_iter().map(worker).collect()
}

fn spawn_workers(
    listeners: Vec<WorkerListeners>,
    spawn: impl Fn(usize, WorkerListeners) -> Spawn,
) -> anyhow::Result<(Vec<Worker>, Vec<WorkerThread>)> {
    let workers = listeners.into_iter().enumerate().map(|(index, listeners)| Worker::spawn(spawn(index, listeners)));
    Ok(workers.collect::<Result<_, _>>()?)
}

/// Each connection takes two descriptors: asks for as many as this process may have.
fn raise_descriptor_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, soft, hard, "cannot raise the limit of open files");
    }
}
