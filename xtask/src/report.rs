//! Reads what `cargo test` and its test programs print, and sums it up.

use std::fmt;

/// What ran, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    suites: Vec<Suite>,
    notes: Vec<String>,
}

/// One test binary, or the doc tests of a crate.
#[derive(Debug, Default, PartialEq)]
struct Suite {
    name: String,
    passed: usize,
    failed: usize,
    /// As libtest prints it.
    time: String,
    /// Names of the tests that failed, or why the suite could not run.
    failures: Vec<String>,
    /// Tests that were left out, with the reason that stands beside them.
    ignored: Vec<String>,
    finished: bool,
}

/// One run of `cargo test`.
pub(crate) struct Run<'a> {
    report: &'a mut Report,
    what: String,
    first: usize,
}

impl Report {
    /// Begins to read the output of one run.
    pub(crate) fn begin(&mut self, what: &str) -> Run<'_> {
        let first = self.suites.len();
        Run { report: self, what: what.to_owned(), first }
    }

    /// Notes a suite that could not run. It counts as a failure: what was not tested is not known to work.
    pub(crate) fn could_not_run(&mut self, name: &str, why: &str) {
        let failures = vec![format!("could not run: {why}")];
        self.suites.push(Suite { name: name.to_owned(), failed: 1, failures, finished: true, ..Suite::default() });
    }

    /// Adds a remark.
    pub(crate) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// How many tests and suites failed.
    pub(crate) fn failed(&self) -> usize {
        self.suites.iter().map(|suite| suite.failed).sum()
    }

    /// How many tests passed.
    pub(crate) fn passed(&self) -> usize {
        self.suites.iter().map(|suite| suite.passed).sum()
    }

    /// The last line.
    pub(crate) fn verdict(&self) -> String {
        format!("{} passed, {} failed", self.passed(), self.failed())
    }
}

impl Run<'_> {
    /// Begins a suite that cargo does not announce.
    pub(crate) fn suite(&mut self, name: String) {
        self.report.suites.push(Suite { name, ..Suite::default() });
    }

    /// Takes in a test of the suite that was begun last.
    pub(crate) fn tested(&mut self, name: &str, outcome: Result<(), String>) {
        let Some(suite) = self.report.suites.get_mut(self.first..).and_then(<[Suite]>::last_mut) else { return };
        suite.finished = true;
        match outcome {
            Ok(()) => suite.passed += 1,
            Err(why) => {
                suite.failed += 1;
                suite.failures.push(format!("{name}: {why}"));
            }
        }
    }

    /// Takes in one line.
    pub(crate) fn line(&mut self, line: &str) {
        if let Some(name) = suite_name(line) {
            self.suite(name);
            return;
        }
        let Some(suite) = self.report.suites.get_mut(self.first..).and_then(<[Suite]>::last_mut) else { return };
        if let Some(result) = line.strip_prefix("test result: ") {
            suite.passed += count(result, " passed");
            suite.failed += count(result, " failed");
            suite.time = result.rsplit("finished in ").next().unwrap_or_default().to_owned();
            suite.finished = true;
        } else if let Some((name, outcome)) = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... ")) {
            if outcome == "FAILED" {
                suite.failures.push(name.to_owned());
            } else if let Some(reason) = outcome.strip_prefix("ignored") {
                suite.ignored.push(format!("{name}{reason}"));
            }
        }
    }

    /// Ends the run. A suite without a result has crashed; a run that failed although no test did has not been built.
    pub(crate) fn end(self, success: bool) {
        let Self { report, what, first } = self;
        let suites = report.suites.get_mut(first..).unwrap_or_default();
        for suite in suites.iter_mut().filter(|suite| !suite.finished) {
            suite.failed += 1;
            suite.failures.push("ended without a result".to_owned());
        }
        if !success && suites.iter().all(|suite| suite.failed == 0) {
            report.could_not_run(&what, "it failed before or after the tests, see above");
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{:<52}{:>8}{:>8}{:>10}", "suite", "passed", "failed", "time")?;
        for suite in self.suites.iter().filter(|suite| suite.passed + suite.failed > 0) {
            writeln!(out, "{:<52}{:>8}{:>8}{:>10}", suite.name, suite.passed, suite.failed, suite.time)?;
        }
        for suite in &self.suites {
            for ignored in &suite.ignored {
                writeln!(out, "not run: {} {ignored}", suite.name)?;
            }
        }
        for note in &self.notes {
            writeln!(out, "{note}")?;
        }
        for suite in &self.suites {
            for failure in &suite.failures {
                writeln!(out, "FAILED: {} {failure}", suite.name)?;
            }
        }
        Ok(())
    }
}

/// The suite that a line of cargo's announces: `Running unittests src/lib.rs (target/debug/deps/filter_rules-0123)` or
/// `Doc-tests filter_rules`.
fn suite_name(line: &str) -> Option<String> {
    let line = line.trim_start();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name} (documentation)"));
    }
    let (source, binary) = line.strip_prefix("Running ")?.strip_suffix(')')?.split_once(" (")?;
    let binary = binary.rsplit('/').next()?;
    let name = binary.rsplit_once('-').map_or(binary, |(name, _)| name);
    Some(match source.strip_prefix("unittests ") {
        Some(source) => format!("{name} ({source})"),
        None => name.to_owned(),
    })
}

fn count(result: &str, unit: &str) -> usize {
    let before = result.split(unit).next().unwrap_or_default();
    before.rsplit(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, success: bool) -> Report {
        let mut report = Report::default();
        let mut run = report.begin("unit");
        text.lines().for_each(|line| run.line(line));
        run.end(success);
        report
    }

    const RESULT: &str =
        "test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.14s";

    #[test]
    fn suites_are_summed_up() {
        let text = format!(
            "   Compiling x v0.1.0\n     Running unittests src/lib.rs (target/debug/deps/filter_rules-0a1b)\n\
             test a::b ... ok\ntest c ... ignored, for a reason\n{RESULT}\n   Doc-tests filter_rules\n{RESULT}\n"
        );
        let report = read(&text, true);
        assert_eq!(report.verdict(), "8 passed, 0 failed");
        let shown = report.to_string();
        for part in ["filter_rules (src/lib.rs)", "1.14s", "filter_rules (documentation)", "c, for a reason"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }

    #[test]
    fn failures_are_named() {
        let text = "     Running tests/traps/main.rs (target/debug/deps/traps-0a1b)\ntest zones::native::x ... FAILED\n\
                    test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 2.00s\n";
        let report = read(text, false);
        assert_eq!(report.verdict(), "1 passed, 1 failed");
        assert!(report.to_string().contains("FAILED: traps zones::native::x"), "{report}");
    }

    #[test]
    fn a_suite_without_a_result_has_failed() {
        let report = read("     Running tests/traps/main.rs (target/debug/deps/traps-0a1b)\ntest x ... ok\n", false);
        assert_eq!(report.verdict(), "0 passed, 1 failed");
    }

    #[test]
    fn a_build_that_fails_is_a_failure() {
        assert_eq!(read("error: could not compile `x`\n", false).verdict(), "0 passed, 1 failed");
    }

    #[test]
    fn what_could_not_run_is_a_failure() {
        let mut report = Report::default();
        report.could_not_run("packets", "no root");
        assert_eq!(report.verdict(), "0 passed, 1 failed");
        assert!(report.to_string().contains("FAILED: packets could not run: no root"), "{report}");
    }
}
