//! Puts the daemon together, runs it, and takes it apart again.
//!
//! Order: whatever can fail without being seen from outside comes first (store, authorities, rules), then the sockets, then the XDP
//! program, which finds its listeners there, then the workers.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Context;
use nix::sched::sched_getaffinity;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::config::{self, Config, Penalty};
use crate::control::crl::Crls;
use crate::control::tokens;
use crate::control::{AdminServer, Control, Current, Parts, Server, authorities};
use crate::datapath::{Datapath, WorkerListeners};
use crate::kernel::KernelLog;
use crate::origins::{self, Origins};
use crate::penalty::{self, Offences};
use crate::revocation::RevocationSet;
use crate::snapshot::{Publisher, compile};
use crate::store::{MasterKey, RedbStore, Store};
use crate::telemetry::{AccessLog, Events, Recorder, Writer};
use crate::worker::{Spawn, Worker, WorkerThread, bind_listener};

/// A daemon that serves traffic.
pub struct App {
    control: Arc<Control>,
    server: Server,
    admin: Option<AdminServer>,
    threads: Vec<WorkerThread>,
    draining: watch::Sender<bool>,
    /// The threads that write.
    writers: Vec<Writer>,
    /// What the workers report of blocked addresses, if anybody is to be punished.
    offences: Option<mpsc::Receiver<IpAddr>>,
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

        warn_of_shared_origins(&config);
        let origins = Origins::of(&config);
        let server = Server::bind(&config.control.socket)?;
        let admin = config.control.admin.as_ref();
        let admin = admin.map(|admin| AdminServer::bind(admin, &config.store.directory)).transpose()?;
        let (access, recorder, events, writers) = records(&config)?;
        let listeners = bind_listeners(&config.edge)?;
        let (draining, drain) = watch::channel(false);
        // Before the workers take the listeners, and after the listeners exist: nobody is turned away in between.
        let datapath = Datapath::open(&config.edge, config.log.packets, &listeners, &snapshot, origins.clone())?;
        let (offences, reported) = match &config.edge.penalty {
            Some(_) if datapath.has_xdp() => {
                let (offences, reported) = Offences::queue();
                (offences, Some(reported))
            }
            Some(_) | None => (Offences::default(), None),
        };
        let (workers, threads) = spawn_workers(listeners, |index, (cpu, listeners)| Spawn {
            index,
            cpu,
            listeners,
            snapshot: snapshot.clone(),
            revocations: revocations.reader(),
            geo: config.geo.clone(),
            origins: origins.clone(),
            relay_idle_timeout: config.passthrough.idle_timeout,
            offences: offences.clone(),
            recorder: recorder.clone(),
            draining: drain.clone(),
        })?;
        let publisher = Publisher::new(workers, datapath);
        let current = Current { revision, state, snapshot };
        let control = Control::new(Parts {
            config,
            origins,
            access,
            events,
            publisher,
            revocations,
            crls,
            store,
            master_key,
            current,
        });
        Ok(Self { control, server, admin, threads, draining, writers, offences: reported })
    }

    /// Serves until SIGTERM or SIGINT, then lets open connections end.
    ///
    /// # Errors
    /// When the control socket fails.
    pub async fn run(self) -> anyhow::Result<()> {
        let Self { control, server, admin, threads, draining, writers, offences } = self;
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        control.crls().start();
        let mut background = JoinSet::new();
        background.spawn(housekeeping(control.clone()));
        background.spawn(sweep(control.clone()));
        if let (Some(penalty), Some(offences)) = (control.config.edge.penalty.clone(), offences) {
            background.spawn(punish(control.clone(), penalty, offences));
        }
        if let Some(check) = control.config.passthrough.check {
            let changed = Arc::new(Notify::new());
            background.spawn(origins::check(control.origins.clone(), check, changed.clone()));
            background.spawn(follow_origins(control.clone(), changed));
        }
        let log = (control.config.log.packets > 0).then(|| control.publisher.datapath().take_log()).flatten();
        if let Some(log) = log {
            background.spawn(packet_log(log));
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
        control.events.end();
        stop.send_replace(true);
        serving.await.context("the control socket's task ended badly")?.context("the control socket failed")?;
        if let Some(administering) = administering {
            administering
                .await
                .context("the admin listener's task ended badly")?
                .context("the admin listener failed")?;
        }
        background.shutdown().await;
        for thread in threads {
            if let Err(error) = thread.join() {
                tracing::error!(%error, "a worker did not end in good order");
            }
        }
        drop(control);
        writers.into_iter().for_each(Writer::join);
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

/// Ends spliced connections on which nothing moves.
async fn sweep(control: Arc<Control>) {
    let idle = control.config.passthrough.idle_timeout;
    let mut tick = tokio::time::interval(std::time::Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let control = control.clone();
        // With a hundred thousand connections the kernel takes a while to list them.
        let swept = tokio::task::spawn_blocking(move || control.publisher.datapath().sweep(idle)).await;
        if let Ok(Err(error)) = swept {
            tracing::error!(%error, "idle spliced connections cannot be ended");
        }
    }
}

/// Drops those who were blocked too often.
async fn punish(control: Arc<Control>, penalty: Penalty, offences: mpsc::Receiver<IpAddr>) {
    penalty::judge(penalty, offences, |address, duration| {
        match control.publisher.datapath().punish(address, duration) {
            Ok(()) => tracing::info!(%address, ?duration, "an address was blocked too often and is dropped"),
            Err(error) => tracing::error!(%address, %error, "an address cannot be dropped"),
        }
    })
    .await;
}

/// Keeps the fast path to the origins that answer.
async fn follow_origins(control: Arc<Control>, changed: Arc<Notify>) {
    loop {
        changed.notified().await;
        if let Err(error) = control.reroute().await {
            tracing::error!(%error, "the fast path does not know which origins answer");
        }
    }
}

/// Tells of what the configuration allows against better judgement.
fn warn_of_shared_origins(config: &Config) {
    for (_, host) in config.hosts() {
        if let Some(shared) = host.passthrough.as_ref().and_then(|passthrough| passthrough.shared.as_ref()) {
            tracing::warn!(
                host = %host.name,
                "an origin of this host also serves {shared}: a client can ask for it inside a connection that is passed on, past every rule"
            );
        }
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

/// The access log and the events, and where workers put what belongs in them.
fn records(config: &Config) -> anyhow::Result<(AccessLog, Recorder, Events, Vec<Writer>)> {
    let access = match &config.log.access {
        config::AccessLog::Off => None,
        config::AccessLog::Stdout => Some(AccessLog::to_stdout().context("cannot start the access log")?),
        config::AccessLog::File(path) => {
            let opened = AccessLog::to_file(path);
            Some(opened.with_context(|| format!("cannot write the access log {}", path.display()))?)
        }
    };
    let (access, access_writer) = access.map_or_else(|| (AccessLog::off(), None), |(log, writer)| (log, Some(writer)));
    let config::Events { memory, file } = &config.events;
    let (recorder, events, mut writers) = Events::start(access.clone(), *memory, file.clone()).with_context(|| {
        let file = file.as_ref().map_or_else(|| "without a file".to_owned(), |file| file.path.display().to_string());
        format!("cannot start the events, {file}; `events.file` can be another one, or \"off\"")
    })?;
    writers.extend(access_writer);
    Ok((access, recorder, events, writers))
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
