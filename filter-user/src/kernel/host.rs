//! What this host allows: capabilities and kernel version, asked before anything is loaded, so that the error is about the
//! cause and not about the first system call that failed.

use super::KernelError;

/// The oldest kernel that is tested; helpers for raw SYN cookies came in 6.0.
const KERNEL_MIN: (u32, u32) = (6, 1);

/// A capability of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capability {
    bit: u32,
    name: &'static str,
    /// Whether CAP_SYS_ADMIN, which came before it was split, allows the same.
    in_sys_admin: bool,
}

const CAP_SYS_ADMIN: u32 = 21;
const CAP_BPF: Capability = Capability { bit: 39, name: "CAP_BPF", in_sys_admin: true };
const CAP_PERFMON: Capability = Capability { bit: 38, name: "CAP_PERFMON", in_sys_admin: true };
const CAP_NET_ADMIN: Capability = Capability { bit: 12, name: "CAP_NET_ADMIN", in_sys_admin: true };
const CAP_NET_RAW: Capability = Capability { bit: 13, name: "CAP_NET_RAW", in_sys_admin: false };

/// What loading the program that decides about packets needs, and later the raw sockets by which the connections that it splices are reset.
/// Asked for at the start: a rule that ends such connections must not find out when it is deployed.
pub(super) const LOAD: &[Capability] = &[CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_NET_RAW];
/// What loading and attaching the program that chooses workers needs.
pub(super) const STEER: &[Capability] = &[CAP_BPF, CAP_NET_ADMIN];

/// Fails if the process or the kernel cannot do it.
pub(super) fn check(capabilities: &[Capability]) -> Result<(), KernelError> {
    let release = read("/proc/sys/kernel/osrelease").trim().to_owned();
    if !new_enough(&release) {
        return Err(KernelError::KernelTooOld { release });
    }
    let missing = missing(capabilities, &read("/proc/self/status"));
    if missing.is_empty() { Ok(()) } else { Err(KernelError::Privilege { missing }) }
}

fn missing(capabilities: &[Capability], status: &str) -> Vec<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default();
    let has = |bit: u32| effective >> bit & 1 == 1;
    let is_there = |of: &Capability| has(of.bit) || of.in_sys_admin && has(CAP_SYS_ADMIN);
    capabilities.iter().filter(|capability| !is_there(capability)).map(|capability| capability.name).collect()
}

fn new_enough(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= KERNEL_MIN
}

/// A file of procfs; what cannot be read says nothing, and the checks on it fail.
fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_capabilities_are_named() {
        for (mask, to_load, to_steer) in [
            ("000001ffffffffff", &[][..], &[][..]),
            ("0000000000200000", &["CAP_NET_RAW"], &[]),
            ("0000000000202000", &[], &[]),
            ("000000c000003000", &[], &[]),
            ("000000c000001000", &["CAP_NET_RAW"], &[]),
            ("0000000000003000", &["CAP_BPF", "CAP_PERFMON"], &["CAP_BPF"]),
            (
                "0000000000000000",
                &["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN", "CAP_NET_RAW"],
                &["CAP_BPF", "CAP_NET_ADMIN"],
            ),
        ] {
            let status = format!("Name:\tx\nCapEff:\t{mask}\n");
            assert_eq!(missing(LOAD, &status), to_load, "{mask}");
            assert_eq!(missing(STEER, &status), to_steer, "{mask}");
        }
    }

    #[test]
    fn kernel_releases_are_compared_by_number() {
        for (release, expected) in
            [("6.1.0-40-amd64", true), ("6.0.19", false), ("5.15.0", false), ("10.0", true), ("", false)]
        {
            assert_eq!(new_enough(release), expected, "{release}");
        }
    }
}
