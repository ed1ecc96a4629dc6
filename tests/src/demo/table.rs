//! The table: one row an attempt, printed as it happens, with what the XDP program counted meanwhile.

use std::fmt::Write as _;

use anyhow::Result;

use crate::lab::{Lab, Outcome};

/// Rows printed so far.
pub(super) struct Table<'a> {
    lab: &'a Lab,
    counters: Vec<(String, u64)>,
    rows: usize,
    differing: usize,
}

impl<'a> Table<'a> {
    /// Prints the head of the table.
    pub(super) fn begin(lab: &'a Lab) -> Self {
        let counters = lab.filter.status().map(|status| status.xdp_counters()).unwrap_or_default();
        print_row("with", "tried", "expected", "seen", "ok", "packets counted by XDP");
        println!("{}", "─".repeat(132));
        Self { lab, counters, rows: 0, differing: 0 }
    }

    /// Prints what the operator did between two attempts.
    pub(super) fn operator(command: &str) {
        println!("{:<9}$ {command}", "operator");
    }

    /// Prints what a command printed.
    pub(super) fn output(text: &str) {
        for line in text.lines() {
            println!("{:<11}{line}", "");
        }
    }

    /// Makes an attempt and prints its row. An attempt that cannot be made is a row that differs.
    pub(super) fn row(
        &mut self,
        with: &str,
        tried: &str,
        expected: &Outcome,
        attempt: impl FnOnce() -> Result<Outcome>,
    ) {
        let seen = attempt().unwrap_or_else(|error| Outcome::Other(format!("{error:#}")));
        let ok = seen == *expected;
        self.rows += 1;
        self.differing += usize::from(!ok);
        let counted = self.counted();
        print_row(with, tried, &expected.to_string(), &seen.to_string(), if ok { "yes" } else { "NO" }, &counted);
    }

    /// What XDP has counted since the last row.
    fn counted(&mut self) -> String {
        let now = self.lab.filter.status().map(|status| status.xdp_counters()).unwrap_or_default();
        let mut text = String::new();
        for (name, count) in &now {
            let before = self.counters.iter().find(|(had, _)| had == name).map_or(0, |(_, count)| *count);
            if *count > before {
                let comma = if text.is_empty() { "" } else { ", " };
                // Writing to a string cannot fail.
                let _ = write!(text, "{comma}{name} {}", count - before);
            }
        }
        self.counters = now;
        if text.is_empty() { "–".to_owned() } else { text }
    }

    /// Prints the sums, and returns how many rows differed.
    pub(super) fn end(self) -> Result<usize> {
        println!("{}", "─".repeat(132));
        let status = self.lab.filter.status()?;
        print_counters("packets, by the XDP program's reason", &status.xdp_counters());
        print_counters("requests and connections, by the workers' reason", &status.request_counters());
        println!("\n{} of {} rows as expected", self.rows - self.differing, self.rows);
        Ok(self.differing)
    }
}

fn print_row(with: &str, tried: &str, expected: &str, seen: &str, ok: &str, counted: &str) {
    println!("{with:<9}{tried:<52}{expected:<25}{seen:<25}{ok:<5}{counted}");
}

fn print_counters(title: &str, counters: &[(String, u64)]) {
    let counted: Vec<String> =
        counters.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name} {count}")).collect();
    if !counted.is_empty() {
        println!("{title}: {}", counted.join(", "));
    }
}
