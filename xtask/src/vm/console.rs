//! How a guest ended, by what it reported and what its kernel said.

use std::fmt;

/// What begins the line with which a guest ends well.
const DONE: &str = "guest: done";

/// What a kernel says when something is wrong with it, the gravest first.
const COMPLAINTS: [&str; 7] =
    ["Kernel panic", "Oops", "BUG:", "soft lockup", "detected stall", "blocked for more than", "WARNING:"];

/// How a guest ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With its last line, and its kernel had nothing to complain of.
    Done,
    /// Its kernel complained: the line.
    Complained(String),
    /// It said nothing for so many seconds.
    Stalled(u64),
    /// It ended before its last line, without a complaint of the kernel: what was last on its console.
    Silent(String),
}

impl Ending {
    /// Judges the report and the console of a guest that is no more; `stalled` if it had to be ended.
    pub(crate) fn judge(last_report: &str, console: &str, stalled: Option<u64>) -> Self {
        let complaint = COMPLAINTS.iter().find_map(|complaint| console.lines().find(|line| line.contains(complaint)));
        match (complaint, stalled) {
            (Some(line), _) => Self::Complained(line.trim().to_owned()),
            (None, Some(seconds)) => Self::Stalled(seconds),
            (None, None) if last_report == DONE => Self::Done,
            (None, None) => Self::Silent(console.trim_end().lines().next_back().unwrap_or_default().to_owned()),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Complained(line) => write!(f, "its kernel said: {line}"),
            Self::Stalled(seconds) => write!(f, "it said nothing for {seconds} s"),
            Self::Silent(line) => write!(f, "it ended before it was done; last on its console: {line}"),
        }
    }
}

/// A line of a guest's report that is the guest's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// It is up, with this kernel.
    Up(&'a str),
    /// A program begins.
    Begin(&'a str),
    /// It ended, with this code.
    End(&'a str, i32),
    /// A program's line.
    Printed(&'a str),
}

impl<'a> Line<'a> {
    /// Reads a line.
    pub(crate) fn parse(line: &'a str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        match *words {
            ["guest:", "up", version] => Self::Up(version),
            ["guest:", "begin", name] => Self::Begin(name),
            ["guest:", "end", name, code] => Self::End(name, code.parse().unwrap_or(-1)),
            _ => Self::Printed(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_line_and_a_quiet_kernel_are_a_good_end() {
        let quiet = "[    0.5] clocksource: Switched to clocksource tsc\n[    9.1] reboot: Power down\n";
        let panic = "[    1.2] Kernel panic - not syncing: sysrq triggered crash\n[    1.3] end\n";
        let lockup = "[   42.0] watchdog: BUG: soft lockup - CPU#1 stuck for 120s! [packets:77]\n";
        let complained = |line: &str| Ending::Complained(line.trim().to_owned());
        for (last, console, stalled, expected) in [
            ("guest: done", quiet, None, Ending::Done),
            ("guest: end packets 0", quiet, None, Ending::Silent("[    9.1] reboot: Power down".into())),
            ("", "", None, Ending::Silent(String::new())),
            ("test a ... ok", quiet, Some(60), Ending::Stalled(60)),
            (
                "test a ... ok",
                panic,
                Some(60),
                complained("[    1.2] Kernel panic - not syncing: sysrq triggered crash"),
            ),
            ("guest: done", lockup, None, complained(lockup)),
        ] {
            assert_eq!(Ending::judge(last, console, stalled), expected, "{last}");
        }
    }

    #[test]
    fn lines_of_the_guest_are_told_from_those_of_its_programs() {
        for (line, expected) in [
            ("guest: up 6.1.0-56-cloud-amd64", Line::Up("6.1.0-56-cloud-amd64")),
            ("guest: begin packets", Line::Begin("packets")),
            ("guest: end packets 101", Line::End("packets", 101)),
            ("test guest: begin x", Line::Printed("test guest: begin x")),
            ("", Line::Printed("")),
        ] {
            assert_eq!(Line::parse(line), expected);
        }
    }
}
