//! From a description of a scenario to the running lab, and back to nothing.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use super::client::{Curl, Load, Openssl, Tls};
use super::config::{self, Config, ECHO_PORT, Host, NGINX_PORT, Zone};
use super::datapath::Datapath;
use super::filter::{CommandOutcome, Filter, Privilege};
use super::host::Aftermath;
use super::network::{EDGE_IPV4, Network, ORIGIN_IPV4};
use super::origin::{Echo, Nginx};
use super::pki::{self, Authority, ClientCertificate};
use super::receiver::Receiver;
use super::registry::{self, Resource};
use super::{Upstream, programs};

/// The host that scenarios protect: it asks its clients for a certificate.
pub const API: &str = "api.example.com";
/// A second one that asks for a certificate.
pub const OTHER_API: &str = "other.example.com";
/// A host of the same zone that does not.
pub const WWW: &str = "www.example.com";
/// A host that is not configured.
pub const UNKNOWN: &str = "unknown.example.com";

/// Lines of the filter's log that a failure shows.
const REPORT_LINES: usize = 60;

thread_local! {
    /// What the lab of this thread's test looked like at its end, for the case that the test returns an error.
    static REPORT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A description of a scenario. Unless told otherwise it has the zone `example.com` with [`API`], [`OTHER_API`] and [`WWW`], all in
/// front of the echo origin, and no rule.
#[derive(Clone, Debug)]
pub struct Setup {
    config: Config,
    privilege: Privilege,
}

impl Setup {
    /// The usual scenario with this datapath.
    #[must_use]
    pub fn new(datapath: Datapath) -> Self {
        let hosts = [Host::mtls(API), Host::mtls(OTHER_API), Host::plain(WWW)];
        let zones = vec![Zone::new("example.com", hosts)];
        Self { config: Config { datapath, port: 443, workers: 2, penalty: None, zones }, privilege: Privilege::Root }
    }

    /// How packets will reach the workers.
    #[must_use]
    pub fn datapath(&self) -> Datapath {
        self.config.datapath
    }

    /// Has these zones instead of the usual one.
    #[must_use]
    pub fn zones(mut self, zones: impl IntoIterator<Item = Zone>) -> Self {
        self.config.zones = zones.into_iter().collect();
        self
    }

    /// Has these hosts in `example.com` instead of the usual ones.
    #[must_use]
    pub fn hosts(self, hosts: impl IntoIterator<Item = Host>) -> Self {
        self.zones([Zone::new("example.com", hosts)])
    }

    /// Has a penalty box with these lines of configuration.
    #[must_use]
    pub fn penalty(mut self, lines: &str) -> Self {
        self.config.penalty = Some(lines.to_owned());
        self
    }

    /// Runs the filter as a user without privileges, on a port that needs none.
    #[must_use]
    pub fn unprivileged(mut self) -> Self {
        self.privilege = Privilege::Nobody;
        self.config.port = 8443;
        self
    }

    /// Runs the filter as root who has every capability but `CAP_NET_RAW`.
    #[must_use]
    pub fn without_raw_sockets(mut self) -> Self {
        self.privilege = Privilege::RootWithoutRawSockets;
        self
    }

    /// Makes the network and starts origins and filter.
    ///
    /// # Errors
    /// If anything that is needed is missing or does not start; nothing is left behind.
    pub fn start(self) -> Result<Lab> {
        programs::require_root()?;
        let name = registry::unique_name();
        let aftermath = Aftermath::of(&name)?;
        let directory = Directory::create(&name)?;
        let pins = Pins::of(&directory.0)?;
        let network = Network::create(&name)?;
        let receivers = if self.config.datapath == Datapath::Socket { Vec::new() } else { receivers(&network)? };
        let echo = Echo::start(&network.origin, (ORIGIN_IPV4, ECHO_PORT).into())?;
        let authority = Authority::create(&directory.0, "servers")?;
        let hosts = || self.config.zones.iter().flat_map(|zone| &zone.hosts);
        let passed: Vec<&str> = hosts().filter_map(Host::passed_name).collect();
        let tls = if passed.is_empty() { None } else { Some(authority.origin(&passed)?) };
        let wants_nginx = tls.is_some() || hosts().any(|host| host.is_on(Upstream::Nginx));
        let nginx = wants_nginx
            .then(|| Nginx::start(&network.origin, (ORIGIN_IPV4, NGINX_PORT).into(), &directory.0, tls.as_ref()))
            .transpose()?;
        let config = self.config.write(&directory.0, &authority)?;
        let filter = Filter::start(&network.edge, &config, self.privilege)?;
        Ok(Lab {
            name,
            filter,
            echo,
            nginx,
            tls,
            authority,
            port: self.config.port,
            receivers,
            network,
            pins,
            directory,
            aftermath,
        })
    }
}

/// A running lab. Its parts go in the order they are named in.
#[derive(Debug)]
pub struct Lab {
    name: String,
    /// The daemon under test.
    pub filter: Filter,
    /// The origin that tells what it was asked.
    pub echo: Echo,
    nginx: Option<Nginx>,
    /// Certificate and key of the origin that terminates TLS itself.
    tls: Option<(PathBuf, PathBuf)>,
    authority: Authority,
    port: u16,
    #[expect(dead_code, reason = "keeps the programs attached")]
    receivers: Vec<Receiver>,
    /// The namespaces.
    pub network: Network,
    pins: Pins,
    directory: Directory,
    #[expect(dead_code, reason = "looks, when everything else is gone, whether it is")]
    aftermath: Aftermath,
}

impl Lab {
    /// What its namespaces' names and its directory's name begin with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A run of curl that asks for `host`.
    #[must_use]
    pub fn curl(&self, host: &str) -> Curl<'_> {
        Curl::new(&self.network.client, self.directory.0.clone(), host, self.port, self.authority.certificate_file())
    }

    /// A run of `openssl s_client` that asks for `host`.
    #[must_use]
    pub fn openssl(&self, host: &str) -> Openssl<'_> {
        Openssl::new(&self.network.client, host, self.port, self.authority.certificate_file())
    }

    /// A connection of the lab's own client that asks for `host`.
    #[must_use]
    pub fn connect(&self, host: &str) -> Tls<'_> {
        Tls::new(&self.network.client, host, self.port, self.authority.certificate_file())
    }

    /// Starts `clients` clients that send requests until they are stopped.
    ///
    /// # Errors
    /// If they cannot be started.
    pub fn load(&self, tls: &Tls<'_>, clients: usize) -> Result<Load> {
        Load::start(tls, clients)
    }

    /// The real nginx, if a host of the scenario has it for its upstream.
    ///
    /// # Errors
    /// If none has.
    pub fn nginx(&self) -> Result<&Nginx> {
        self.nginx.as_ref().context("no host of this scenario has nginx for its upstream")
    }

    /// Ends nginx at once.
    pub fn stop_nginx(&mut self) {
        self.nginx = None;
    }

    /// Starts nginx again.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start_nginx(&mut self) -> Result<()> {
        let address = (ORIGIN_IPV4, NGINX_PORT).into();
        self.nginx = Some(Nginx::start(&self.network.origin, address, &self.directory.0, self.tls.as_ref())?);
        Ok(())
    }

    /// Runs a program of a client in `directory`. It trusts the servers' authority where it asks the usual variables for one, and curl
    /// finds the host of the filter by the names in `hosts`.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn run_client(
        &self,
        program: &str,
        arguments: &[&str],
        directory: &Path,
        hosts: &[&str],
    ) -> Result<CommandOutcome> {
        let resolve = hosts.iter().map(|host| format!("resolve = \"{host}:{}:{EDGE_IPV4}\"\n", self.port));
        fs::write(directory.join(".curlrc"), resolve.chain(["silent\n".to_owned()]).collect::<String>())?;
        let authority = self.authority.certificate_file();
        let mut command = self.network.client.command(programs::find(program)?)?;
        command.args(arguments).current_dir(directory);
        command.env("CURL_HOME", directory).env("CURL_CA_BUNDLE", &authority).env("SSL_CERT_FILE", &authority);
        Ok(CommandOutcome::of(&programs::output(&mut command)?))
    }

    /// A client's certificate from an authority that no zone knows.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn foreign_certificate(&self, common_name: &str) -> Result<ClientCertificate> {
        Authority::create(&self.directory.0, "foreign")?.client(common_name)
    }

    /// A client's certificate from an authority that has the name and the certificate of the zone's, but not its key.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn impostor_certificate(&self, zone: &str, common_name: &str) -> Result<ClientCertificate> {
        Authority::impostor(&self.directory.0, &self.filter.authority(zone)?)?.client(common_name)
    }

    /// A certificate that a client signed with its own, which is no authority's.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn certificate_signed_by(&self, client: &ClientCertificate, common_name: &str) -> Result<ClientCertificate> {
        Authority::usurper(&self.directory.0, client)?.client(common_name)
    }

    /// A new key, and a signing request for it. Returns the files of request and key.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn signing_request(&self, common_name: &str) -> Result<(PathBuf, PathBuf)> {
        pki::signing_request(&self.directory.0, common_name)
    }

    /// Where this lab keeps its files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory.0
    }

    /// What the filter has pinned, in a BPF file system.
    #[must_use]
    pub fn pins(&self) -> &Path {
        &self.pins.0
    }

    /// Runs `mtls-filter detach` on what the filter has pinned, where the filter runs.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn detach(&self) -> Result<CommandOutcome> {
        self.network.edge.enter(|| self.filter.attempt(&["detach", "--pin", &self.pins.0.to_string_lossy()]))
    }

    /// Kills the daemon and starts it again on the same files.
    ///
    /// # Errors
    /// If it does not come up again.
    pub fn crash_and_restart(&mut self) -> Result<()> {
        self.filter.kill()?;
        self.filter.start_again(&self.network.edge)
    }

    /// A certificate of `example.com` that expires at a moment of choice: see [`Filter::certificate_expiring_at`].
    ///
    /// # Errors
    /// If it cannot be issued, or the filter does not come up again.
    pub fn certificate_expiring_at(&mut self, common_name: &str, expires: SystemTime) -> Result<ClientCertificate> {
        self.filter.certificate_expiring_at(&self.network.edge, common_name, expires)
    }

    fn report(&self) -> String {
        let requests = self.echo.requests();
        let seen: String = requests.iter().map(|request| format!("  {} {}\n", request.method, request.uri)).collect();
        let log = programs::tail(&self.directory.0.join("mtls-filter.log"), REPORT_LINES);
        format!("--- the filter's log ends with\n{log}--- requests at the echo origin: {}\n{seen}", requests.len())
    }
}

impl Drop for Lab {
    /// The end of every scenario is an assertion of its own: the daemon has not panicked. `Aftermath` adds that nothing is left.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.report());
            return;
        }
        REPORT.with_borrow_mut(|report| *report = self.report());
        let log = self.filter.log();
        assert!(!log.contains("panicked at"), "the filter panicked:\n{log}");
    }
}

/// Runs one test: see [`crate::on_every_datapath`]. Afterwards nothing of a lab may be left.
///
/// # Errors
/// Whatever the test returns; what the lab looked like is printed beside it.
pub fn run(datapath: Datapath, test: impl FnOnce(Setup) -> Result<()>) -> Result<()> {
    let result = test(Setup::new(datapath));
    if result.is_err() {
        REPORT.with_borrow(|report| eprintln!("{report}"));
    }
    result
}

/// Makes both neighbours of the edge take what XDP sends them.
fn receivers(network: &Network) -> Result<Vec<Receiver>> {
    Ok(vec![Receiver::attach(&network.client, "client0")?, Receiver::attach(&network.origin, "origin0")?])
}

/// What the filter pins in a BPF file system, removed when it is dropped.
#[derive(Debug)]
struct Pins(PathBuf);

impl Pins {
    /// Of the filter whose files are in `directory`.
    fn of(directory: &Path) -> Result<Self> {
        let path = config::pins(directory);
        registry::register(Resource::Pins(path.clone()), || Ok(()))?;
        Ok(Self(path))
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        if let Err(error) = registry::remove(&Resource::Pins(self.0.clone())) {
            eprintln!("clean-up: {error:#}");
        }
    }
}

/// A directory of the lab, removed with everything in it when it is dropped.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn create(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(name);
        // `create_dir` refuses what exists already, so nobody can have prepared the directory for us.
        registry::register(Resource::Directory(path.clone()), || {
            fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))
        })?;
        let directory = Self(path);
        if !directory.0.is_absolute() {
            bail!("the directory for temporary files, {}, must be an absolute path", directory.0.display());
        }
        Ok(directory)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = registry::remove(&Resource::Directory(self.0.clone())) {
            eprintln!("clean-up: {error:#}");
        }
    }
}
