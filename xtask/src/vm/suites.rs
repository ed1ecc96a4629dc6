//! What guests run of the privileged tests, and what of them they cannot.

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    build::Artifacts,
    run::{loudly, output},
};

/// Test suites that can run in a guest, the cheap one first.
pub(crate) const SUITES: [&str; 3] = ["packets", "end_to_end", "traps"];

/// The suite of which guests run every test, those too that are left out on hosts: what a host cannot be relied upon to have, a guest has.
const WITH_IGNORED: &str = "packets";

/// As many tests at a time as a guest has CPUs: an emulated one computes where a real one would wait.
const THREADS: &str = "2";

/// Tests that guests cannot run: the suite, what the test's name contains, and why. Each is run on the host by `cargo xtask test`.
const LEFT_OUT: [(&str, &str, &str); 1] = [(
    "end_to_end",
    "the_snippet_for_python_works_as_it_is",
    "there is no Python in a guest: it is an interpreter with thousands of files of its own, which differ from host to host",
)];

/// Tests of a suite to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    suite: &'static str,
    words: &'static [&'static str],
    filters: Vec<String>,
}

impl Selection {
    /// Tests whose names contain something that the developer asks for, which no test of this suite need do; all of them if nothing is asked for.
    pub(crate) fn asked_for(suite: &'static str, filters: &[String]) -> Self {
        Self { suite, words: &[], filters: filters.to_vec() }
    }

    /// Tests whose names contain one of these words, each of which some name must contain; all of them if there is no word.
    pub(crate) const fn of(suite: &'static str, words: &'static [&'static str]) -> Self {
        Self { suite, words, filters: Vec::new() }
    }

    /// The line by which PID 1 runs it: its name, its program, its arguments.
    pub(crate) fn line(&self) -> String {
        let mut line = format!("{0} /{0} --test-threads {THREADS}", self.suite);
        if self.suite == WITH_IGNORED {
            line += " --include-ignored";
        }
        for (_, test, _) in left_out(self.suite) {
            line += &format!(" --skip {test}");
        }
        for word in self.words.iter().copied().chain(self.filters.iter().map(String::as_str)) {
            line += &format!(" {word}");
        }
        line
    }
}

/// What of these suites is not run, and why: a line each.
pub(crate) fn left_out_of(selections: &[Selection]) -> Vec<String> {
    let left_out = selections.iter().flat_map(|selection| left_out(selection.suite));
    left_out.map(|(suite, test, why)| format!("not run in guests: {suite} {test}: {why}")).collect()
}

fn left_out(suite: &str) -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str)> {
    LEFT_OUT.iter().filter(move |(of, _, _)| *of == suite)
}

/// Builds test suites, and tells where each is.
pub(crate) fn build(artifacts: &Artifacts, selections: &[Selection]) -> Result<BTreeMap<&'static str, PathBuf>> {
    if selections.is_empty() {
        // To cargo, no name would be all of them.
        return Ok(BTreeMap::new());
    }
    let mut cargo = artifacts.cargo("test");
    // The same packages and features as for the tests on the host, so that nothing is built twice.
    cargo.args(["--features", "filter-tests/lab", "--no-run"]);
    for selection in selections {
        cargo.args(["--test", selection.suite]);
    }
    // Once for what the compiler says, once for where things are.
    loudly(&mut cargo)?;
    let messages = output(cargo.args(["--message-format", "json"]))?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut found = BTreeMap::new();
    for message in messages {
        let name = message.pointer("/target/name").and_then(serde_json::Value::as_str);
        let executable = message.get("executable").and_then(serde_json::Value::as_str);
        let (Some(name), Some(executable)) = (name, executable) else { continue };
        if let Some(selection) = selections.iter().find(|selection| selection.suite == name) {
            found.insert(selection.suite, PathBuf::from(executable));
        }
    }
    for Selection { suite, words, .. } in selections {
        let executable = found.get(suite).with_context(|| format!("cargo built no test {suite}"))?;
        let tests = output(Command::new(executable).args(["--list", "--format", "terse"]))?;
        require_known(suite, words, &tests)?;
    }
    Ok(found)
}

/// A name that no test has any more would leave out nothing, or run nothing, and nobody would know.
fn require_known(suite: &str, words: &[&str], tests: &str) -> Result<()> {
    let names = left_out(suite).map(|(_, test, _)| *test).chain(words.iter().copied());
    let unknown: Vec<_> = names.filter(|name| !tests.lines().any(|line| line.contains(name))).collect();
    if !unknown.is_empty() {
        bail!("no test of {suite} has a name with {}: see {}", unknown.join(" or "), file!());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_runs_what_was_chosen_without_what_it_cannot() {
        for (selection, expected) in [
            (Selection::of("traps", &[]), "traps /traps --test-threads 2"),
            (
                Selection::asked_for("packets", &["vlan".to_owned()]),
                "packets /packets --test-threads 2 --include-ignored vlan",
            ),
            (
                Selection::of("end_to_end", &["datapath::", "penalty"]),
                "end_to_end /end_to_end --test-threads 2 --skip the_snippet_for_python_works_as_it_is datapath:: penalty",
            ),
        ] {
            assert_eq!(selection.line(), expected);
        }
    }

    #[test]
    fn what_is_left_out_is_named_with_its_reason() {
        let said = left_out_of(&[Selection::of("packets", &[]), Selection::of("end_to_end", &[])]);
        assert_eq!(said.len(), LEFT_OUT.len());
        assert!(
            said[0].starts_with("not run in guests: end_to_end the_snippet_for_python_works_as_it_is: "),
            "{said:?}"
        );
        assert!(left_out_of(&[Selection::of("packets", &[])]).is_empty());
    }

    #[test]
    fn a_name_that_no_test_has_is_an_error() {
        let tests = "datapath::native::a: test\nsnippets::native::the_snippet_for_python_works_as_it_is: test\n";
        assert!(require_known("end_to_end", &["datapath::"], tests).is_ok());
        let error = require_known("end_to_end", &["gone"], tests).unwrap_err().to_string();
        assert!(error.contains("no test of end_to_end has a name with gone"), "{error}");
        let error = require_known("end_to_end", &[], "datapath::native::a: test\n").unwrap_err().to_string();
        assert!(error.contains("the_snippet_for_python_works_as_it_is"), "{error}");
    }
}
