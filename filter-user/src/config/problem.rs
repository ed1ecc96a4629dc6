//! What is wrong with a configuration file, and where.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// A position in the file. Both numbers start at 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line number.
    pub line: usize,
    /// Column number, in characters.
    pub column: usize,
}

impl Position {
    /// The position of byte `offset` in `source`; the end of the file for an offset past it.
    pub fn of(source: &str, offset: usize) -> Self {
        let before = source.get(..offset).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Self { line, column }
    }
}

/// One thing that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the offending key or value stands.
    pub position: Position,
    /// What is wrong, for the operator.
    pub message: String,
}

/// Everything that is wrong with a file, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The file, as it was named on the command line.
    pub file: PathBuf,
    /// The problems; never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Problems {
    /// One line a problem, in the `FILE:LINE:COLUMN: message` form that editors follow.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { position: Position { line, column }, message }) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{}:{line}:{column}: {message}", self.file.display())?;
        }
        Ok(())
    }
}

/// Collects problems while the file is read, so that one run of `check` shows them all.
#[derive(Debug)]
pub(super) struct Collector<'a> {
    source: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self { source, problems: Vec::new() }
    }

    /// Notes that what stands at `span` is wrong.
    pub(super) fn push(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.problems.push(Problem { position: Position::of(self.source, span.start), message: message.into() });
    }

    /// The problems in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.position);
        self.problems
    }
}

#[cfg(test)]
mod tests {
    use super::Position;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let source = "a = 1\nbü = \"x\"\n";
        let cases = [(0, (1, 1)), (4, (1, 5)), (5, (1, 6)), (6, (2, 1)), (9, (2, 3)), (15, (2, 9)), (999, (3, 1))];
        for (offset, (line, column)) in cases {
            assert_eq!(Position::of(source, offset), Position { line, column }, "offset {offset}");
        }
    }
}
