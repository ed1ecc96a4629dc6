//! From TOML text to a checked [`Config`].

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use crate::geo::Databases;

use super::passthrough::{self, PassedHosts};
use super::penalty;
use super::problem::{Collector, Problem};
use super::table::{Located, Table};
use super::{AccessLog, Config, Control, Datapath, Edge, HostName, Log, MAX_LISTEN, MAX_WORKERS, PIN_DIRECTORY, Store};

/// Default of `control.socket`.
const CONTROL_SOCKET: &str = "/run/mtls-filter/control.sock";

/// Default of `store.directory`.
const STORE_DIRECTORY: &str = "/var/lib/mtls-filter";

/// Longest name of a network interface in bytes (`IFNAMSIZ` − 1, `include/uapi/linux/if.h`).
const MAX_INTERFACE: usize = 15;

/// Reads `source`; relative paths in it are taken from `directory`.
pub(super) fn config(source: &str, directory: &Path) -> Result<Config, Vec<Problem>> {
    let mut problems = Collector::new(source);
    let (root, errors) = DeTable::parse_recoverable(source);
    for error in &errors {
        problems.push(error.span().unwrap_or_default(), error.message());
    }
    let mut reader = Reader { directory, problems, hosts: HashMap::new(), passed: PassedHosts::default() };
    // After a syntax error the tree is a guess: what it lacks may well be in the text.
    let config = if errors.is_empty() { reader.root(Table::new("the file", 0..0, root.into_inner())) } else { None };
    let problems = reader.problems.finish();
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problems),
    }
}

/// Reads the file; the part that reads zones and hosts is in `read_host`.
pub(super) struct Reader<'a> {
    pub(super) directory: &'a Path,
    pub(super) problems: Collector<'a>,
    /// Every host seen so far, with its zone: a name may stand once.
    pub(super) hosts: HashMap<HostName, HostName>,
    /// Where hosts are passed through to.
    pub(super) passed: PassedHosts,
}

impl Reader<'_> {
    /// `None` only after a problem was noted.
    fn root(&mut self, mut root: Table<'_>) -> Option<Config> {
        let edge = root.table(&mut self.problems, "edge");
        let edge = self.edge(edge);
        let control = root.table(&mut self.problems, "control");
        let control = self.control(control);
        let store = root.table(&mut self.problems, "store");
        let store = self.store(store);
        let log = root.table(&mut self.problems, "log");
        let log = self.log(log);
        let events = root.table(&mut self.problems, "events");
        let events = self.events(events, &store.directory);
        root.require(&mut self.problems, "zone", "write at least one [[zone]] with a [[zone.host]]");
        let geo = root.table(&mut self.problems, "geo");
        let geo = self.geo(geo);
        let passthrough = root.table(&mut self.problems, "passthrough");
        let passthrough = passthrough::settings(passthrough, &mut self.problems);
        let tables = root.tables(&mut self.problems, "zone", "[[zone]]");
        let mut zones: Vec<_> = tables.into_iter().filter_map(|table| self.zone(table)).collect();
        root.finish(&mut self.problems, &["edge", "control", "store", "log", "events", "geo", "passthrough", "zone"]);
        let listen = edge.as_ref().map(|edge| edge.listen.as_slice()).unwrap_or_default();
        self.passed.check(listen, &mut zones, &mut self.problems);
        Some(Config { edge: edge?, control, store, log, events, geo, passthrough, zones })
    }

    fn edge(&mut self, mut table: Table<'_>) -> Option<Edge> {
        table.require(&mut self.problems, "listen", "write the addresses of this host, like [\"192.0.2.1:443\"]");
        let listen = table.strings(&mut self.problems, "listen");
        let listen = listen.map(|listen| self.listen(&listen)).unwrap_or_default();
        let datapath = table
            .string(&mut self.problems, "datapath")
            .map_or(Some(Datapath::default()), |text| text.parse_with(&mut self.problems, |text| text.parse()));
        if datapath.is_some_and(|datapath| datapath != Datapath::Socket) {
            let why = "name the interface that the clients' packets arrive on, or set datapath = \"socket\"";
            table.require(&mut self.problems, "interface", why);
        }
        let interface = table.string(&mut self.problems, "interface").and_then(|name| {
            name.parse_with(&mut self.problems, |name| match name.len() {
                1..=MAX_INTERFACE => Ok(name.clone()),
                _ => Err(format!("an interface name has 1 to {MAX_INTERFACE} bytes")),
            })
        });
        let workers = table.integer(&mut self.problems, "workers", 1..=MAX_WORKERS);
        let workers = workers.and_then(|workers| NonZeroUsize::new(usize::try_from(workers).ok()?));
        let syn_cookies = table.boolean(&mut self.problems, "syn_cookies").unwrap_or(true);
        let pin = self.path(&mut table, "pin").map_or_else(|| PIN_DIRECTORY.into(), |pin| pin.value);
        let penalty = penalty::penalty(&mut table, &mut self.problems);
        let known = ["listen", "interface", "datapath", "syn_cookies", "pin", "workers", "penalty"];
        table.finish(&mut self.problems, &known);
        Some(Edge { listen, interface, datapath: datapath?, syn_cookies, pin, workers, penalty })
    }

    fn listen(&mut self, listen: &Located<Vec<Located<String>>>) -> Vec<SocketAddr> {
        if listen.value.is_empty() || listen.value.len() > MAX_LISTEN {
            self.problems.push(listen.span.clone(), format!("`listen` must have 1 to {MAX_LISTEN} addresses"));
        }
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for text in &listen.value {
            let address = text.parse_with(&mut self.problems, |text| address(text, &addresses));
            addresses.extend(address);
        }
        addresses
    }

    fn control(&mut self, mut table: Table<'_>) -> Control {
        let socket = self.path(&mut table, "socket").map_or_else(|| CONTROL_SOCKET.into(), |socket| socket.value);
        let admin = self.admin(&mut table);
        let known: Vec<&str> = std::iter::once("socket").chain(super::admin::KEYS).collect();
        table.finish(&mut self.problems, &known);
        Control { socket, admin }
    }

    fn store(&mut self, mut table: Table<'_>) -> Store {
        let directory =
            self.path(&mut table, "directory").map_or_else(|| PathBuf::from(STORE_DIRECTORY), |path| path.value);
        let master_key =
            self.path(&mut table, "master_key").map_or_else(|| directory.join("master.key"), |path| path.value);
        table.finish(&mut self.problems, &["directory", "master_key"]);
        Store { directory, master_key }
    }

    fn log(&mut self, mut table: Table<'_>) -> Log {
        let access = match table.string(&mut self.problems, "access") {
            None => AccessLog::Stdout,
            Some(text) if text.value == "-" => AccessLog::Stdout,
            Some(text) if text.value == "off" => AccessLog::Off,
            Some(text) => AccessLog::File(self.directory.join(text.value)),
        };
        let packets = table.integer(&mut self.problems, "packets", 0..=u32::MAX.into());
        let packets = packets.and_then(|packets| u32::try_from(packets).ok()).unwrap_or(0);
        table.finish(&mut self.problems, &["access", "packets"]);
        Log { access, packets }
    }

    fn geo(&mut self, mut table: Table<'_>) -> Arc<Databases> {
        let mut read = |key, kinds: &[&str]| {
            let path = self.path(&mut table, key)?;
            path.parse_with(&mut self.problems, |path| Databases::read(path, kinds))
        };
        let location = read("location", &["City", "Country", "Enterprise"]);
        let asn = read("asn", &["ASN", "ISP"]);
        table.finish(&mut self.problems, &["location", "asn"]);
        Arc::new(Databases::new(location, asn))
    }

    pub(super) fn host_name(&mut self, table: &mut Table<'_>, why: &str) -> Option<Located<HostName>> {
        table.require(&mut self.problems, "name", why);
        let text = table.string(&mut self.problems, "name")?;
        let value = text.parse_with(&mut self.problems, |text| HostName::parse(text))?;
        Some(Located { value, span: text.span })
    }

    pub(super) fn path(&mut self, table: &mut Table<'_>, key: &str) -> Option<Located<PathBuf>> {
        let text = table.string(&mut self.problems, key)?;
        if text.value.is_empty() {
            self.problems.push(text.span, format!("`{key}` cannot be empty"));
            return None;
        }
        Some(Located { value: self.directory.join(text.value), span: text.span })
    }

    /// Reads the file that `key` names; a file that must be there.
    pub(super) fn file<T>(
        &mut self,
        table: &mut Table<'_>,
        key: &str,
        read: impl FnOnce(&Path) -> Result<T, String>,
    ) -> Option<Located<T>> {
        table.require(&mut self.problems, key, "a host needs a certificate and its private key, as PEM files");
        let path = self.path(table, key)?;
        let value = path.parse_with(&mut self.problems, |path| read(path))?;
        Some(Located { value, span: path.span })
    }
}

/// An address with a port that can be connected to.
pub(super) fn address(text: &str, before: &[SocketAddr]) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| format!("`{text}` is no address with a port, like \"192.0.2.1:443\" or \"[2001:db8::1]:443\""))?;
    if address.port() == 0 {
        return Err(format!("`{text}`: port 0 is no port that can be connected to"));
    }
    if before.contains(&address) {
        return Err(format!("`{text}` stands twice"));
    }
    Ok(address)
}
