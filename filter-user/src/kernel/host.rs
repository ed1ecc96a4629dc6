//! What this host allows: capabilities and kernel version, asked before anything is loaded, so that the error is about the
//! cause and not about the first system call that failed.

use super::KernelError;

/// The oldest kernel that is tested; helpers for raw SYN cookies came in 6.0.
const KERNEL_MIN: (u32, u32) = (6, 1);

/// What loading a program needs.
pub(super) const LOAD: &[(u32, &str)] = &[(39, "CAP_BPF"), (38, "CAP_PERFMON"), (12, "CAP_NET_ADMIN")];
/// What loading and attaching the program that chooses workers needs.
pub(super) const STEER: &[(u32, &str)] = &[(39, "CAP_BPF"), (12, "CAP_NET_ADMIN")];
/// Allows the rest.
const CAP_SYS_ADMIN: u32 = 21;

/// Fails if the process or the kernel cannot do it.
pub(super) fn check(capabilities: &[(u32, &'static str)]) -> Result<(), KernelError> {
    let release = read("/proc/sys/kernel/osrelease").trim().to_owned();
    if !new_enough(&release) {
        return Err(KernelError::KernelTooOld { release });
    }
    let missing = missing(capabilities, &read("/proc/self/status"));
    if missing.is_empty() { Ok(()) } else { Err(KernelError::Privilege { missing }) }
}

fn missing(capabilities: &[(u32, &'static str)], status: &str) -> Vec<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default();
    let has = |bit: u32| effective >> bit & 1 == 1;
    capabilities.iter().filter(|&&(bit, _)| !has(bit) && !has(CAP_SYS_ADMIN)).map(|&(_, name)| name).collect()
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
        for (mask, expected) in [
            ("000001ffffffffff", &[][..]),
            ("0000000000200000", &[]),
            ("000000c000001000", &[]),
            ("0000000000001000", &["CAP_BPF", "CAP_PERFMON"]),
            ("0000000000000000", &["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]),
        ] {
            assert_eq!(missing(LOAD, &format!("Name:\tx\nCapEff:\t{mask}\n")), expected, "{mask}");
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
