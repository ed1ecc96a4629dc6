//! Output of the commands.

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

/// Whoever read the output has seen enough, as in `mtls-filter status | head`. Not worth a word.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
pub struct Closed;

/// What went wrong, and why, in one line. Errors that name their cause themselves, as many do, are not followed by it once more.
pub fn mistake(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

/// Prints a text as it is.
pub(super) fn text(text: fmt::Arguments<'_>) -> anyhow::Result<()> {
    io::stdout().lock().write_fmt(text).map_err(failed)
}

/// Prints a line.
pub(super) fn line(line: fmt::Arguments<'_>) -> anyhow::Result<()> {
    text(format_args!("{line}\n"))
}

/// Why nothing was printed.
pub(super) fn failed(error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::BrokenPipe { Closed.into() } else { error.into() }
}

/// Prints JSON, indented.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(format_args!("{}", serde_json::to_string_pretty(value)?))
}

/// A number of bytes as people write it, in powers of 1024.
pub(super) fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// Prints the parts of one thing, each on a line of its own behind its name.
pub(super) fn record(parts: &[(&str, &str)]) -> anyhow::Result<()> {
    let width = parts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    for (name, value) in parts {
        line(format_args!("{}", format!("{name:width$}  {value}").trim_end()))?;
    }
    Ok(())
}

/// Prints rows under headings, each column as wide as its widest cell.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> anyhow::Result<()> {
    let headings = headings.map(str::to_owned);
    let mut widths = [0; N];
    for row in rows.iter().chain([&headings]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in [&headings].into_iter().chain(rows) {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        line(format_args!("{}", cells.join("  ").trim_end()))?;
    }
    Ok(())
}

/// A text that others chose, without what a terminal obeys.
pub(super) fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            harmless.extend(character.escape_default());
        } else {
            harmless.push(character);
        }
    }
    harmless
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open it: {0}")]
    struct Unreadable(#[source] io::Error);

    #[test]
    fn a_cause_is_told_once_whether_or_not_the_error_names_it_itself() {
        let cause = || io::Error::other("no such file");
        for (error, told) in [
            (anyhow::Error::from(Unreadable(cause())), "cannot open it: no such file"),
            (anyhow::Error::from(Unreadable(cause())).context("no"), "no: cannot open it: no such file"),
            (anyhow::Error::from(cause()).context("cannot open it"), "cannot open it: no such file"),
            (anyhow::anyhow!("no"), "no"),
        ] {
            assert_eq!(mistake(&error), told);
        }
    }

    #[test]
    fn a_terminal_is_not_told_what_to_do() {
        assert_eq!(harmless("/\u{1b}[31m\u{9b}0m\n/ä"), "/\\u{1b}[31m\\u{9b}0m\\n/ä");
    }

    #[test]
    fn bytes_are_shown_in_the_unit_that_fits() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            (1 << 40, "1.0 TiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(self::bytes(bytes), expected);
        }
    }
}
