//! Attaching the program to the edge's interface.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::Path,
    time::Duration,
};

use super::{
    Changes, Count, Flow, HostCount, KernelError, KernelLog, KernelPlan, Penalty, Program, Setting,
    cookies::Settings,
    interfaces::Interfaces,
    pins::{Left, Pins},
    routes::Routes,
};

/// How XDP is to be attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Native, and generic if the driver cannot.
    #[default]
    Auto,
    /// In the driver.
    Native,
    /// Behind the driver, in the kernel's network stack: any interface can, but slower.
    Generic,
}

impl Mode {
    pub(super) fn attempts(self) -> &'static [AttachedMode] {
        match self {
            Self::Auto => &[AttachedMode::Native, AttachedMode::Generic],
            Self::Native => &[AttachedMode::Native],
            Self::Generic => &[AttachedMode::Generic],
        }
    }
}

/// How XDP is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachedMode {
    /// In the driver.
    Native,
    /// In the kernel's network stack.
    Generic,
}

impl fmt::Display for AttachedMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
        })
    }
}

/// Where the packet plane works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelConfig {
    /// The edge's interface.
    pub interface: String,
    /// The addresses it answers for; an unspecified one stands for all that the host has.
    pub listen: Vec<SocketAddr>,
    /// How to attach.
    pub mode: Mode,
    /// One in so many packets for listen addresses is logged; 0 logs none.
    pub log_sample: u32,
    /// Answer SYNs with cookies: until a client has said hello, nothing in the kernel knows of its connection.
    pub syn_cookies: bool,
}

/// The ports that splices use towards origins. They are reserved while some host is spliced, so that the kernel takes others for
/// connections of its own.
pub const SPLICE_PORTS: RangeInclusive<u16> = 10_240..=32_767;

/// The packet plane at work. Dropping it detaches the program, unless it was pinned.
#[derive(Debug)]
pub struct Kernel {
    // In this order: the program is detached before the settings go back to what they were.
    program: Program,
    interfaces: Interfaces,
    settings: Option<Settings>,
    routes: Routes,
    pins: Option<Pins>,
    adopted: bool,
    interface: String,
    failed: Vec<(AttachedMode, String)>,
}

impl Kernel {
    /// Loads the program, fills its maps with the plan, and attaches it, in this order: a program in front of an empty host
    /// table would reset every connection.
    pub fn load(config: &KernelConfig, plan: &KernelPlan) -> Result<Self, KernelError> {
        check_interface(config)?;
        let program = Program::load(&config.listen, config.log_sample)?;
        let settings = config.syn_cookies.then(Settings::apply).transpose();
        Self::start(config, plan, program, None, settings)
    }

    /// The same, but the program stays when this is dropped, or the process killed: connections that are spliced go on, and
    /// new ones to spliced hosts are spliced; whatever needs a worker is refused. The next call with the same directory goes on
    /// with them, if the ABI is the same; [`detach_pinned`] ends it.
    ///
    /// `directory` is in a BPF file system (`/sys/fs/bpf/mtls-filter/<instance>`), and made if it is not there.
    pub fn load_pinned(config: &KernelConfig, plan: &KernelPlan, directory: &Path) -> Result<Self, KernelError> {
        check_interface(config)?;
        let (pins, left) = Pins::open(directory)?;
        let adopted = left.adopted;
        Self::go_on(config, plan, &pins, left).inspect_err(|_| {
            // What the last process has left goes on without this one; what this one has begun does not.
            if !adopted {
                detach_pinned(directory);
            }
        })
    }

    fn go_on(config: &KernelConfig, plan: &KernelPlan, pins: &Pins, left: Left) -> Result<Self, KernelError> {
        let program = Program::load_pinned(&config.listen, config.log_sample, pins, &left)?;
        let Left { settings, adopted, .. } = left;
        let settings = config.syn_cookies.then(|| Settings::adopt(settings)).transpose();
        let mut kernel = Self::start(config, plan, program, Some(pins.clone()), settings)?;
        kernel.adopted = adopted;
        pins.settle()?;
        kernel.program.end_strays()?;
        Ok(kernel)
    }

    fn start(
        config: &KernelConfig,
        plan: &KernelPlan,
        mut program: Program,
        pins: Option<Pins>,
        settings: Result<Option<Settings>, KernelError>,
    ) -> Result<Self, KernelError> {
        program.fill_tables(plan)?;
        let settings = settings?;
        if config.syn_cookies {
            program.answer_syns(&config.interface)?;
        }
        let routes = Routes::open().map_err(KernelError::Routes)?;
        let interface = config.interface.clone();
        let (interfaces, failed) = Interfaces::attach(&mut program, &interface, config.mode, pins.clone())?;
        let mut kernel = Self { program, interfaces, settings, routes, pins, adopted: false, interface, failed };
        kernel.remember_settings();
        kernel.look_up_ways()?;
        Ok(kernel)
    }

    /// Whether it goes on with what an earlier process has left.
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// With pins, settings stay as long as they do.
    fn remember_settings(&mut self) {
        if let (Some(pins), Some(settings)) = (&self.pins, &mut self.settings) {
            settings.keep();
            pins.write_settings(settings.list());
        }
    }

    /// The first step of putting a plan in force, before the workers change: takes every host off the fast path that is
    /// spliced and, by this plan, is not to be. When this returns, new connections to it are passed to workers, and those that
    /// were spliced are gone. Returns how many were. A plan that cannot be applied changes nothing.
    pub fn protect(&mut self, plan: &KernelPlan) -> Result<usize, KernelError> {
        self.program.protect(plan)
    }

    /// The last step of putting a plan in force, after the workers have changed: brings the maps to what it wants. A plan that
    /// cannot be applied changes nothing.
    pub fn apply(&mut self, plan: &KernelPlan) -> Result<Changes, KernelError> {
        let changes = self.program.apply(plan)?;
        self.look_up_ways()?;
        Ok(changes)
    }

    /// The spliced connections.
    pub fn flows(&self) -> Result<Vec<Flow>, KernelError> {
        self.program.flows()
    }

    /// Ends every spliced connection of a host, both ends with a reset. Returns how many there were.
    pub fn kill_flows(&mut self, host: &str) -> Result<usize, KernelError> {
        self.program.kill_flows(host)
    }

    /// Ends spliced connections on which nothing was heard for so long, forgets those that ended without saying so, and looks
    /// the ways to the origins up again. Returns how many connections ended. To be called about once a second.
    pub fn sweep(&mut self, idle: Duration) -> Result<usize, KernelError> {
        // The clock of the program goes on whatever becomes of the ways.
        let ways = self.look_up_ways();
        let count = self.program.sweep(idle)?;
        ways.map(|()| count)
    }

    /// Origins of the plan that nothing is spliced to, as the way to them is not known (no route, no neighbour, on this host) or
    /// the program is not attached there; workers relay.
    pub fn unreachable_origins(&self) -> Vec<SocketAddr> {
        self.program.unreachable_origins()
    }

    /// Interfaces towards origins that the program could not be attached to, and why; what goes that way, workers relay.
    pub fn refused_interfaces(&self) -> Vec<(String, String)> {
        self.interfaces.refused().map(|(name, why)| (name, why.to_owned())).collect()
    }

    /// What became of the spliced connections of each host, since the host was spliced first.
    pub fn host_counters(&self) -> Result<Vec<HostCount>, KernelError> {
        self.program.host_counters()
    }

    /// Drops SYNs of this address for so long. Not for addresses that somebody vouches for: the caller knows them.
    pub fn punish(&mut self, address: IpAddr, duration: Duration) -> Result<(), KernelError> {
        self.program.punish(address, duration)
    }

    /// The addresses that are punished now.
    pub fn penalties(&self) -> Result<Vec<Penalty>, KernelError> {
        self.program.penalties()
    }

    /// Takes a punishment back; false if there was none.
    pub fn pardon(&mut self, address: IpAddr) -> Result<bool, KernelError> {
        self.program.pardon(address)
    }

    /// What was counted, in the order of the reasons' numbers.
    pub fn counters(&self) -> Result<Vec<Count>, KernelError> {
        self.program.counters()
    }

    /// How the program is attached.
    pub fn mode(&self) -> AttachedMode {
        self.interfaces.mode()
    }

    /// The modes that were tried before, and why each failed.
    pub fn failed(&self) -> &[(AttachedMode, String)] {
        &self.failed
    }

    /// Kernel settings that were changed for SYN cookies, until this is dropped.
    pub fn settings(&self) -> &[Setting] {
        self.settings.as_ref().map_or(&[], Settings::list)
    }

    /// The interface it is attached to.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Logs one in so many packets for listen addresses from now on; 0 logs none.
    pub fn set_log_sample(&mut self, log_sample: u32) -> Result<(), KernelError> {
        self.program.set_log_sample(log_sample)
    }

    /// The program's debug lines, for whoever is the first to ask.
    pub fn take_log(&mut self) -> Option<KernelLog> {
        self.program.take_log()
    }

    /// Finds the way to each origin, and attaches the program where it leads.
    fn look_up_ways(&mut self) -> Result<(), KernelError> {
        let origins = self.program.origins();
        if origins.is_empty() {
            return Ok(());
        }
        if self.settings.as_mut().is_some_and(|settings| settings.reserve(&SPLICE_PORTS)) {
            self.remember_settings();
        }
        let mut ways = HashMap::new();
        for origin in origins {
            match self.routes.way(origin).map_err(KernelError::Routes)? {
                Some(way) if self.interfaces.ensure(&mut self.program, way.path.link.interface) => {
                    ways.insert(origin, way);
                }
                Some(_) | None => {}
            }
        }
        self.program.limit_packets(ways.values().map(|way| way.mtu).min())?;
        self.program.route(|origin| ways.get(&origin).map(|way| way.path))
    }
}

/// Detaches what [`Kernel::load_pinned`] has left in this directory, and sets the kernel's settings back. False if there was
/// nothing.
pub fn detach_pinned(directory: &Path) -> bool {
    let pins = Pins::at(directory);
    let (settings, was_there) = pins.remove_all();
    pins.remove_directory();
    Settings::restore(settings);
    was_there
}

fn check_interface(config: &KernelConfig) -> Result<(), KernelError> {
    let no_interface = |_| KernelError::NoInterface { interface: config.interface.clone() };
    nix::net::if_::if_nametoindex(config.interface.as_str()).map(drop).map_err(no_interface)
}
