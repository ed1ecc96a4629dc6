//! What outlives the process: maps and links in a directory of a BPF file system, and the settings that were there before.
//!
//! The maps of flows, and whatever flows need, are used again by the next process; the tables that a plan fills are not: the next
//! process makes its own, fills them, and swaps the programs in one step, so that no packet sees half a table. Only the hosts'
//! old table is read, for the numbers that flows know their hosts by.

use std::{
    collections::HashMap,
    fs, io, mem,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    maps::{self, Map, MapData, MapError},
    programs::{
        SchedClassifier, TcAttachType, Xdp,
        links::{FdLink, PinnedLink},
        tc::{self, SchedClassifierLink},
        xdp::XdpLink,
    },
    util::KernelVersion,
};
use filter_common::{
    ABI_VERSION,
    layout::{Config, HostKey, LongName, ShortName, TupleHash},
    maps::{
        CONFIG, FLOWS, HOST_COUNTERS, HOSTS, LONG_HOSTS, PASSED, PENALTIES, PROGRAM_EDGE, PROGRAM_REPLAY, STASH,
        STASH_SECOND,
    },
    splice::HostValue,
};

use super::{AttachedMode, KernelError, Setting, error::with_causes, object};

/// Maps that are used again.
pub(super) const KEPT: [&str; 6] = [FLOWS, HOST_COUNTERS, PASSED, PENALTIES, STASH, STASH_SECOND];
/// Maps that are only read again.
const READ: [&str; 3] = [CONFIG, HOSTS, LONG_HOSTS];
const XDP: &str = "xdp";
const REPLAY: &str = "replay";
/// Where settings are remembered: they must not outlive a reboot, as the pins do not.
const SETTINGS: &str = "/run/mtls-filter";

/// A directory of pins.
#[derive(Clone, Debug)]
pub(super) struct Pins {
    directory: PathBuf,
}

/// What a process that is gone has left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// The hosts' numbers.
    pub(super) numbers: HashMap<HostKey, u32>,
    /// The hash by which its connections are found.
    pub(super) tuple_hash: TupleHash,
    /// What kernel settings were before it.
    pub(super) settings: Vec<Setting>,
    /// Whether there is anything, so that flows go on.
    pub(super) adopted: bool,
}

impl Pins {
    /// The pins of a directory, if there are any.
    pub(super) fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Opens or makes the directory. What a process of another ABI has left there is removed.
    pub(super) fn open(directory: &Path) -> Result<(Self, Left), KernelError> {
        let pins = Self::at(directory);
        fs::create_dir_all(directory).map_err(|source| pins.error(source))?;
        let left = match pins.left() {
            Some(left) => left,
            None => {
                if pins.names().next().is_some() {
                    tracing::warn!(
                        directory = %directory.display(),
                        "an XDP program of another version was left here: it is replaced, and connections that it splices end"
                    );
                }
                let (settings, _) = pins.remove_all();
                Left { settings, ..Left::default() }
            }
        };
        Ok((pins, left))
    }

    /// Where a kept map is pinned.
    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// What the last process has left, if this one can go on with it.
    fn left(&self) -> Option<Left> {
        let config = MapData::from_pin(self.map(CONFIG)).ok()?;
        let config: maps::Array<_, Config> = Map::Array(config).try_into().ok()?;
        let config = config.get(&0, 0).ok()?;
        if config.abi_version != ABI_VERSION {
            return None;
        }
        let mut numbers = HashMap::new();
        self.read_numbers::<ShortName>(HOSTS, HostKey::Short, &mut numbers)?;
        self.read_numbers::<LongName>(LONG_HOSTS, HostKey::Long, &mut numbers)?;
        Some(Left { numbers, tuple_hash: config.tuple_hash, settings: self.read_settings(), adopted: true })
    }

    fn read_numbers<K: aya::Pod>(
        &self,
        name: &str,
        key: fn(K) -> HostKey,
        numbers: &mut HashMap<HostKey, u32>,
    ) -> Option<()> {
        let map: maps::HashMap<_, K, HostValue> =
            Map::HashMap(MapData::from_pin(self.map(name)).ok()?).try_into().ok()?;
        let entries: Result<Vec<_>, MapError> = map.iter().collect();
        let known = entries.ok()?.into_iter().filter(|(_, value)| value.host != 0);
        numbers.extend(known.map(|(name, value)| (key(name), value.host)));
        Some(())
    }

    /// Pins the maps that the next process reads, beside those of the last one. Before the maps are taken out of the object.
    pub(super) fn pin_read(&self, ebpf: &Ebpf) -> Result<(), KernelError> {
        for name in READ {
            let map = ebpf.map(name).ok_or(KernelError::Missing { what: "map", name })?;
            let _ = fs::remove_file(self.map(&next(name)));
            map.pin(self.map(&next(name))).map_err(|error| self.error(io::Error::other(with_causes(&error))))?;
        }
        Ok(())
    }

    /// Puts them in the place of those, when the new programs are.
    pub(super) fn settle(&self) -> Result<(), KernelError> {
        let settle = |name| fs::rename(self.map(&next(name)), self.map(name)).map_err(|source| self.error(source));
        READ.into_iter().try_for_each(settle)
    }

    /// Puts the new programs in the place of the old ones, wherever these are attached in one of these modes; elsewhere they are
    /// detached. Returns the interfaces, how they are attached, and whether the program that answers origins is.
    pub(super) fn swap(&self, ebpf: &mut Ebpf, modes: &[AttachedMode]) -> Vec<(u32, AttachedMode, bool)> {
        let mut interfaces: HashMap<u32, (AttachedMode, bool)> = HashMap::new();
        for mode in [AttachedMode::Native, AttachedMode::Generic] {
            for index in self.indexes(&format!("{XDP}-{mode}-")) {
                // It fails when the interface is gone.
                if modes.contains(&mode) && self.swap_xdp(ebpf, mode, index).is_ok() {
                    interfaces.insert(index, (mode, false));
                } else {
                    self.remove(&xdp(mode, index));
                }
            }
        }
        for index in self.indexes(&format!("{REPLAY}-")) {
            match (self.swap_replay(ebpf, index), interfaces.get_mut(&index)) {
                (Ok(()), Some((_, replays))) => *replays = true,
                _ => self.remove(&replay(index)),
            }
        }
        interfaces.into_iter().map(|(index, (mode, replays))| (index, mode, replays)).collect()
    }

    fn swap_xdp(&self, ebpf: &mut Ebpf, mode: AttachedMode, index: u32) -> Result<(), String> {
        let link = PinnedLink::from_pin(self.directory.join(xdp(mode, index))).map_err(|error| with_causes(&error))?;
        let link = XdpLink::try_from(FdLink::from(link)).map_err(|error| with_causes(&error))?;
        let program = object::program::<Xdp>(ebpf, PROGRAM_EDGE).map_err(|error| with_causes(&error))?;
        program.attach_to_link(link).map(drop).map_err(|error| with_causes(&error))
    }

    fn swap_replay(&self, ebpf: &mut Ebpf, index: u32) -> Result<(), String> {
        let link = PinnedLink::from_pin(self.directory.join(replay(index))).map_err(|error| with_causes(&error))?;
        let link = SchedClassifierLink::try_from(FdLink::from(link)).map_err(|error| with_causes(&error))?;
        let program = object::program::<SchedClassifier>(ebpf, PROGRAM_REPLAY).map_err(|error| with_causes(&error))?;
        program.attach_to_link(link).map(drop).map_err(|error| with_causes(&error))
    }

    /// Pins a link that was made now.
    pub(super) fn keep_xdp(&self, mode: AttachedMode, index: u32, link: XdpLink) -> Result<(), String> {
        let link = FdLink::try_from(link).map_err(|error| with_causes(&error))?;
        link.pin(self.directory.join(xdp(mode, index))).map(drop).map_err(|error| with_causes(&error))
    }

    /// The same. Before Linux 6.6 there is no link: the program stays with its interface by itself.
    pub(super) fn keep_replay(&self, index: u32, link: SchedClassifierLink) -> Result<(), String> {
        if KernelVersion::current().is_ok_and(|version| version < KernelVersion::new(6, 6, 0)) {
            // Dropping it would detach the program.
            mem::forget(link);
            return Ok(());
        }
        let link = FdLink::try_from(link).map_err(|error| with_causes(&error))?;
        link.pin(self.directory.join(replay(index))).map(drop).map_err(|error| with_causes(&error))
    }

    /// Remembers what settings were before they were made.
    pub(super) fn write_settings(&self, settings: &[Setting]) {
        let line = |setting: &Setting| format!("{}\t{}\t{}\n", setting.name, setting.value, setting.before);
        let text: String = settings.iter().map(line).collect();
        let written = fs::create_dir_all(SETTINGS).and_then(|()| fs::write(self.settings_file(), text));
        if let Err(error) = written {
            tracing::warn!(%error, "kernel settings will not be known to have been changed after a restart");
        }
    }

    fn read_settings(&self) -> Vec<Setting> {
        let text = fs::read_to_string(self.settings_file()).unwrap_or_default();
        let setting = |line: &str| {
            let mut fields = line.split('\t').map(str::to_owned);
            Some(Setting { name: fields.next()?, value: fields.next()?, before: fields.next()? })
        };
        text.lines().filter_map(setting).collect()
    }

    fn settings_file(&self) -> PathBuf {
        // The whole path: instances of two namespaces may have the same name.
        Path::new(SETTINGS).join(self.directory.to_string_lossy().trim_start_matches('/').replace('/', "-"))
    }

    /// Removes everything, which detaches the programs. Returns the settings that were changed, and whether there was anything.
    pub(super) fn remove_all(&self) -> (Vec<Setting>, bool) {
        let settings = self.read_settings();
        let names: Vec<_> = self.names().collect();
        for mode in [AttachedMode::Native, AttachedMode::Generic] {
            for index in self.indexes(&format!("{XDP}-{mode}-")) {
                detach_replay(index);
            }
        }
        for name in &names {
            self.remove(name);
        }
        let _ = fs::remove_file(self.settings_file());
        (settings, !names.is_empty())
    }

    /// Removes the directory, if nothing is in it.
    pub(super) fn remove_directory(&self) {
        let _ = fs::remove_dir(&self.directory);
    }

    fn remove(&self, name: &str) {
        if let Err(error) = fs::remove_file(self.directory.join(name)) {
            tracing::warn!(%error, name, "a pin cannot be removed");
        }
    }

    fn names(&self) -> impl Iterator<Item = String> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
    }

    /// The interfaces that pins with this prefix are of.
    fn indexes(&self, prefix: &str) -> Vec<u32> {
        self.names().filter_map(|name| name.strip_prefix(prefix)?.parse().ok()).collect()
    }

    fn error(&self, source: io::Error) -> KernelError {
        KernelError::Pin { directory: self.directory.clone(), source }
    }
}

/// Takes the program that answers origins off an interface, where it is a filter without a link.
pub(super) fn detach_replay(index: u32) {
    if let Ok(name) = nix::net::if_::if_indextoname(index) {
        // Nearly always there is none.
        let _ = tc::qdisc_detach_program(&name.to_string_lossy(), TcAttachType::Ingress, PROGRAM_REPLAY);
    }
}

/// What a map is pinned as until the new programs are in place. The file system takes no dots.
fn next(name: &str) -> String {
    format!("{name}-next")
}

fn xdp(mode: AttachedMode, index: u32) -> String {
    format!("{XDP}-{mode}-{index}")
}

fn replay(index: u32) -> String {
    format!("{REPLAY}-{index}")
}
