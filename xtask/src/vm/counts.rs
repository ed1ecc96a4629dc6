//! How much work the programs are for each kernel's verifier: measured in the guest, held against a table that is checked in.
//!
//! A program that grows towards the verifier's limit of a million instructions fails one day, on one kernel, at a user's. The table shows
//! it in review; growth by more than a fifth fails the run until the table is written anew (`cargo xtask vm --bless`).

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::run::workspace_root;

const TABLE: &str = "tests/verifier.toml";
const HEADER: &str = "\
# What the programs of the packet plane are to the verifier of each kernel: instructions, and instructions walked through to accept them
# (its limit is 1,000,000). Written by `cargo xtask vm --bless`; more than a fifth above it fails `cargo xtask vm`.
";

/// What a program is to a verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Count {
    instructions: u64,
    verified: u64,
}

/// Programs by name.
pub(crate) type Counts = BTreeMap<String, Count>;

/// Counts by kernel.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Table(BTreeMap<String, Counts>);

impl Table {
    /// The table that is checked in; an empty one where there is none.
    pub(crate) fn read() -> Result<Self> {
        match fs::read_to_string(path()) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {TABLE}")),
        }
    }

    /// Replaces what is known of a kernel, and writes the table.
    pub(crate) fn bless(&mut self, kernel: &str, counts: Counts) -> Result<()> {
        self.0.insert(kernel.to_owned(), counts);
        fs::write(path(), self.print()).with_context(|| format!("cannot write {TABLE}"))
    }

    /// What has grown by more than a fifth, is not in the table, or is in it and was not measured: a line each.
    pub(crate) fn objections(&self, kernel: &str, measured: &Counts) -> Vec<String> {
        let Some(known) = self.0.get(kernel) else {
            return vec![format!("{TABLE} knows nothing of {kernel}: `cargo xtask vm --bless {kernel}`")];
        };
        let grown = measured.iter().filter_map(|(program, now)| match known.get(program) {
            None => Some(format!("{program} is new to {TABLE}: `cargo xtask vm --bless {kernel}`")),
            Some(then) if now.verified * 5 > then.verified * 6 => Some(format!(
                "{program} has the verifier walk through {} instructions, {} before: `cargo xtask vm --bless {kernel}` if that is meant",
                now.verified, then.verified
            )),
            Some(_) => None,
        });
        let gone = known.keys().filter(|program| !measured.contains_key(*program));
        grown.chain(gone.map(|program| format!("{program} was not measured on {kernel}"))).collect()
    }

    fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).map(Self).with_context(|| format!("{TABLE} is not as it should be"))
    }

    fn print(&self) -> String {
        let mut text = HEADER.to_owned();
        for (kernel, counts) in &self.0 {
            // Writing to a string does not fail.
            let _ = writeln!(text, "\n[{kernel:?}]");
            for (program, Count { instructions, verified }) in counts {
                let _ = writeln!(text, "{program} = {{ instructions = {instructions}, verified = {verified} }}");
            }
        }
        text
    }
}

/// Reads a line of the guest's, `verifier mtls_filter 1163 2253`.
pub(crate) fn parse_line(line: &str) -> Option<(String, Count)> {
    let words: Vec<&str> = line.split(' ').collect();
    match *words {
        ["verifier", program, instructions, verified] => {
            let count = Count { instructions: instructions.parse().ok()?, verified: verified.parse().ok()? };
            Some((program.to_owned(), count))
        }
        _ => None,
    }
}

fn path() -> PathBuf {
    workspace_root().join(TABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(verified: u64) -> Counts {
        Counts::from([("front".to_owned(), Count { instructions: 10, verified })])
    }

    #[test]
    fn growth_by_a_fifth_is_the_most() {
        let table = Table(BTreeMap::from([("6.1".to_owned(), counts(100))]));
        for (kernel, measured, objections) in [
            ("6.1", counts(100), 0),
            ("6.1", counts(120), 0),
            ("6.1", counts(121), 1),
            ("6.1", counts(1), 0),
            ("6.1", Counts::new(), 1),
            ("6.12", counts(100), 1),
        ] {
            assert_eq!(table.objections(kernel, &measured).len(), objections, "{kernel} {measured:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let table = Table(BTreeMap::from([("6.1".to_owned(), counts(100)), ("sid".to_owned(), counts(7))]));
        assert_eq!(Table::parse(&table.print()).unwrap(), table);
    }

    #[test]
    fn lines_of_the_guest_are_read() {
        let expected = ("mtls_filter".to_owned(), Count { instructions: 3, verified: 9 });
        assert_eq!(parse_line("verifier mtls_filter 3 9"), Some(expected));
        assert_eq!(parse_line("verifier mtls_filter x 9"), None);
        assert_eq!(parse_line("test verifier ... ok"), None);
    }
}
