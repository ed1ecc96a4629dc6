//! What SYN cookies in XDP need of the kernel: two settings of the network namespace, and the numbers that the SYN-ACK of the
//! XDP program must share with the socket that the kernel makes later.

use std::{fmt, fs, io, ops::RangeInclusive, path::PathBuf};

use super::KernelError;

/// Settings that SYN cookies in XDP need, with the value they need.
///
/// * `tcp_syncookies = 2`: the kernel looks at a cookie though its own queue never was full.
/// * `tcp_timestamps = 2`: no random offset, which only the kernel would know; the timestamp carries the options.
const NEEDED: [(&str, &str); 2] = [("net/ipv4/tcp_syncookies", "2"), ("net/ipv4/tcp_timestamps", "2")];
/// Ports that the kernel leaves alone when it chooses one.
const RESERVED_PORTS: &str = "net/ipv4/ip_local_reserved_ports";
/// The kernel's default, for an interface that has no IPv6 to say otherwise.
const MTU: u32 = 1500;
/// Headers without options.
const HEADERS_V4: u32 = 40;
const HEADERS_V6: u32 = 60;
/// TCP's smallest and largest segment that is worth announcing.
const SEGMENT_SIZES: RangeInclusive<u32> = 536..=65_495;
/// RFC 7323, 2.3.
const WINDOW_SCALE_MAX: u32 = 14;

/// A setting that was changed, with what it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name as `sysctl` writes it.
    pub name: String,
    /// Its value now.
    pub value: String,
    /// Its value before.
    pub before: String,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} (was {})", self.name, self.value, self.before)
    }
}

/// The settings while SYN cookies are answered by XDP. Dropping it restores them; a process that is killed leaves them, which
/// does no harm: the kernel then answers all SYNs with cookies.
#[derive(Debug)]
pub(super) struct Settings {
    list: Vec<Setting>,
    /// Not to be restored when this is dropped.
    kept: bool,
}

impl Settings {
    /// Makes the changes that are needed; if one cannot be made, none is.
    pub(super) fn apply() -> Result<Self, KernelError> {
        Self::adopt(Vec::new())
    }

    /// The same after a process that has made some already: what was before them is what was before it.
    pub(super) fn adopt(list: Vec<Setting>) -> Result<Self, KernelError> {
        let mut applied = Self { list, kept: false };
        for (path, value) in NEEDED {
            let setting = |source| KernelError::Setting { name: name(path), value, source };
            let before = read(path).map_err(setting)?;
            fs::write(file(path), value).map_err(setting)?;
            if !applied.has(path) {
                applied.list.push(Setting { name: name(path), value: value.to_owned(), before });
            }
        }
        Ok(applied)
    }

    /// Leaves the settings as they are when this is dropped.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    /// Sets back what a process that is gone has set.
    pub(super) fn restore(list: Vec<Setting>) {
        drop(Self { list, kept: false });
    }

    fn has(&self, path: &str) -> bool {
        self.list.iter().any(|setting| setting.name == name(path))
    }

    /// Reserves ports, so that the kernel does not take one of them for a connection of its own; once, however often it is
    /// called. Without it some connection may, now and then, meet the port of another.
    /// Returns whether it changed something.
    pub(super) fn reserve(&mut self, ports: &RangeInclusive<u16>) -> bool {
        if self.has(RESERVED_PORTS) {
            return false;
        }
        let reserve = || {
            let before = read(RESERVED_PORTS)?;
            let range = format!("{}-{}", ports.start(), ports.end());
            let all = if before.is_empty() { range } else { format!("{before},{range}") };
            fs::write(file(RESERVED_PORTS), all)?;
            // The kernel writes it in its own way, which is what it is compared with later.
            Ok(Setting { name: name(RESERVED_PORTS), value: read(RESERVED_PORTS)?, before })
        };
        match reserve() {
            Ok(setting) => {
                self.list.push(setting);
                true
            }
            Err(error) => {
                let error: io::Error = error;
                tracing::warn!(%error, "the ports of spliced connections cannot be reserved ({})", name(RESERVED_PORTS));
                false
            }
        }
    }

    /// What was set, and what was there.
    pub(super) fn list(&self) -> &[Setting] {
        &self.list
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        for setting in &self.list {
            let path = setting.name.replace('.', "/");
            // Somebody else's change since then is not undone.
            // An empty list of ports is written as a line.
            let before = format!("{}\n", setting.before);
            if read(&path).is_ok_and(|now| now == setting.value) && fs::write(file(&path), before).is_err() {
                tracing::warn!("{} could not be set back to {}", setting.name, setting.before);
            }
        }
    }
}

/// What the SYN-ACK announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) window_scale: u32,
    pub(super) segment_size_v4: u32,
    pub(super) segment_size_v6: u32,
}

impl Announced {
    /// What the kernel would announce on this interface, for packets of at most `largest` bytes.
    pub(super) fn on(interface: &str, largest: u32) -> Self {
        let number = |path: &str| read(path).ok().and_then(|text| text.split_whitespace().last()?.parse().ok());
        let buffer = number("net/ipv4/tcp_rmem").max(number("net/core/rmem_max")).unwrap_or(0);
        let mtu = number(&format!("net/ipv6/conf/{interface}/mtu")).unwrap_or(MTU).min(largest);
        Self {
            window_scale: window_scale(buffer),
            segment_size_v4: segment_size(mtu, HEADERS_V4),
            segment_size_v6: segment_size(mtu, HEADERS_V6),
        }
    }
}

/// The window scale that the kernel chooses for a socket whose receive buffer may grow to `buffer` bytes
/// (`tcp_select_initial_window`).
fn window_scale(buffer: u32) -> u32 {
    buffer.checked_ilog2().unwrap_or(0).saturating_sub(15).min(WINDOW_SCALE_MAX)
}

fn segment_size(mtu: u32, headers: u32) -> u32 {
    mtu.saturating_sub(headers).clamp(*SEGMENT_SIZES.start(), *SEGMENT_SIZES.end())
}

fn read(path: &str) -> io::Result<String> {
    fs::read_to_string(file(path)).map(|text| text.trim().to_owned())
}

fn file(path: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(path)
}

fn name(path: &str) -> String {
    path.replace('/', ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_scale_is_the_kernels() {
        for (buffer, expected) in [(0, 0), (65_535, 0), (65_536, 1), (6_291_456, 7), (33_554_432, 10), (u32::MAX, 14)] {
            assert_eq!(window_scale(buffer), expected, "{buffer}");
        }
    }

    #[test]
    fn the_segment_size_leaves_room_for_headers() {
        for (mtu, expected) in
            [(1500, (1460, 1440)), (9000, (8960, 8940)), (65_536, (65_495, 65_476)), (68, (536, 536))]
        {
            assert_eq!((segment_size(mtu, HEADERS_V4), segment_size(mtu, HEADERS_V6)), expected, "{mtu}");
        }
    }
}
