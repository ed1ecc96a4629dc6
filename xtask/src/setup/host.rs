//! What this host can do: privilege, kernel version, BTF, BPF file system.

use std::{fmt, path::Path};

/// Helpers for raw SYN cookies are in 6.0, and 6.1 is the oldest kernel that is tested.
const KERNEL_MIN: (u32, u32) = (6, 1);
/// `CAP_NET_ADMIN`, `CAP_PERFMON` and `CAP_BPF`, which loading and attaching need; `CAP_NET_RAW`, which resets are sent with; and
/// `CAP_SYS_ADMIN`, which namespaces need.
const CAPABILITIES: [(u32, &str); 5] =
    [(12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW"), (21, "CAP_SYS_ADMIN"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];

/// Something this host lacks for XDP or for the lab, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// Capabilities that the process does not have.
    Capabilities(Vec<&'static str>),
    /// The kernel's release, which is too old.
    Kernel(String),
    /// No type information for the running kernel.
    Btf,
    /// The BPF file system is not mounted.
    BpfFileSystem,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capabilities(missing) => {
                write!(f, "no {}: run the demo and the privileged tests as root", missing.join(", "))
            }
            Self::Kernel(release) => write!(
                f,
                "kernel {release} is older than {}.{}: the XDP program needs a newer one; socket mode works",
                KERNEL_MIN.0, KERNEL_MIN.1
            ),
            Self::Btf => f.write_str("no /sys/kernel/btf/vmlinux: the kernel was built without CONFIG_DEBUG_INFO_BTF"),
            Self::BpfFileSystem => {
                f.write_str("/sys/fs/bpf is not a BPF file system: as root, `mount -t bpf bpf /sys/fs/bpf`")
            }
        }
    }
}

/// Everything that is wrong at once; empty when the host can run it all.
pub(crate) fn check() -> Vec<Problem> {
    let missing = missing_capabilities(&read("/proc/self/status"));
    let release = read("/proc/sys/kernel/osrelease").trim().to_owned();
    // Only where it is mounted can flows outlive the process; root mounts it, so that nobody has to.
    if is_root() && !bpf_file_system() {
        crate::run::say("mounting the BPF file system at /sys/fs/bpf");
        let _ = crate::run::output(std::process::Command::new("mount").args(["-t", "bpf", "bpf", "/sys/fs/bpf"]));
    }
    [
        (!missing.is_empty()).then_some(Problem::Capabilities(missing)),
        (!kernel_is_new_enough(&release)).then_some(Problem::Kernel(release)),
        (!Path::new("/sys/kernel/btf/vmlinux").exists()).then_some(Problem::Btf),
        (!bpf_file_system()).then_some(Problem::BpfFileSystem),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether the process's effective user is root.
pub(crate) fn is_root() -> bool {
    read("/proc/self/status")
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_whitespace().nth(1))
        .is_some_and(|effective| effective == "0")
}

fn missing_capabilities(status: &str) -> Vec<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default();
    CAPABILITIES.iter().filter(|(bit, _)| effective >> bit & 1 == 0).map(|&(_, name)| name).collect()
}

fn kernel_is_new_enough(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= KERNEL_MIN
}

fn bpf_file_system() -> bool {
    read("/proc/mounts").lines().any(|mount| {
        let mut fields = mount.split(' ').skip(1);
        fields.next() == Some("/sys/fs/bpf") && fields.next() == Some("bpf")
    })
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_are_compared_by_number() {
        for (release, expected) in [
            ("6.1.0-40-amd64", true),
            ("6.18.44-cloud", true),
            ("6.0.19", false),
            ("5.15.0", false),
            ("10.0", true),
            ("", false),
        ] {
            assert_eq!(kernel_is_new_enough(release), expected, "{release}");
        }
    }

    #[test]
    fn each_missing_capability_is_named() {
        assert_eq!(missing_capabilities("CapEff:\t000001ffffffffff\n"), Vec::<&str>::new());
        assert_eq!(
            missing_capabilities("CapEff:\t0000000000001000\n"),
            ["CAP_NET_RAW", "CAP_SYS_ADMIN", "CAP_PERFMON", "CAP_BPF"]
        );
        assert_eq!(
            missing_capabilities(""),
            ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_ADMIN", "CAP_PERFMON", "CAP_BPF"]
        );
    }
}
