//! The state as JSON lines, for backups and for moving it.
//!
//! The first line says what the file is, each further one is a record, the last one says how many there were: a file that
//! was cut off is not imported. Private keys stay sealed; they open only with the master key they were sealed with.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read as _, Write};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Revision, SCHEMA};
use crate::model::{Record, RecordKey, State};

/// Bytes of the longest line that is read: the rules of a full zone take 5 MB.
pub const EXPORT_LINE_BYTES: u64 = 16 * 1024 * 1024;

/// What the first line says the file is.
const FORMAT: &str = "mtls-filter state";

/// Why a file is not imported. Nothing was changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file cannot be read.
    #[error("the export cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Not one of our files.
    #[error("this is no export of mtls-filter: the first line must be its header")]
    NotAnExport,
    /// A newer program wrote it.
    #[error(
        "the export has schema {found}, but this version of mtls-filter knows schemas up to {SCHEMA}: use the newer version"
    )]
    NewerSchema {
        /// The schema of the file.
        found: u64,
    },
    /// A line that is no record.
    #[error("line {line}: {problem}")]
    Line {
        /// Which line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The end is missing.
    #[error("the export is cut off: its last line is missing")]
    CutOff,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    schema: u64,
    revision: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Footer {
    records: usize,
}

/// Writes a state.
pub fn export(revision: Revision, state: &State, to: &mut impl Write) -> io::Result<()> {
    write_line(to, &Header { format: FORMAT.to_owned(), schema: SCHEMA, revision: revision.number() })?;
    let mut records = 0_usize;
    for record in state.records() {
        write_line(to, record)?;
        records = records.saturating_add(1);
    }
    write_line(to, &Footer { records })?;
    to.flush()
}

fn write_line(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *to, value)?;
    to.write_all(b"\n")
}

/// Reads a state. The revision is the one it had; a store that takes it counts on from its own.
pub fn import(from: &mut impl BufRead) -> Result<(Revision, State), ImportError> {
    let header: Header = match next_line(from, 1)? {
        Some(line) => serde_json::from_slice(&line).map_err(|_| ImportError::NotAnExport)?,
        None => return Err(ImportError::NotAnExport),
    };
    if header.format != FORMAT {
        return Err(ImportError::NotAnExport);
    }
    if header.schema > SCHEMA {
        return Err(ImportError::NewerSchema { found: header.schema });
    }
    let (mut records, mut keys) = (Vec::new(), BTreeSet::<RecordKey>::new());
    loop {
        let number = records.len().saturating_add(2);
        let problem = |problem: String| ImportError::Line { line: number, problem };
        let line = next_line(from, number)?.ok_or(ImportError::CutOff)?;
        if let Ok(footer) = serde_json::from_slice::<Footer>(&line) {
            if footer.records != records.len() {
                return Err(problem(format!("{} records were written, {} are here", footer.records, records.len())));
            }
            break;
        }
        let record: Record = serde_json::from_slice(&line).map_err(|error| problem(error.to_string()))?;
        if !keys.insert(record.key()) {
            return Err(problem(format!("{} is here twice", record.key())));
        }
        records.push(record);
    }
    Ok((Revision::new(header.revision), State::from_records(records)))
}

/// A line without its end; `None` at the end of the file. A line that the file ends in was cut off.
fn next_line(from: &mut impl BufRead, number: usize) -> Result<Option<Vec<u8>>, ImportError> {
    let mut line = Vec::new();
    from.take(EXPORT_LINE_BYTES.saturating_add(1)).read_until(b'\n', &mut line)?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if u64::try_from(line.len()).unwrap_or(u64::MAX) >= EXPORT_LINE_BYTES => {
            let problem = format!("it is longer than {EXPORT_LINE_BYTES} bytes");
            Err(ImportError::Line { line: number, problem })
        }
        Some(_) => Err(ImportError::CutOff),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::redb_store::tests::{audit, everything};
    use crate::store::{RedbStore, Store as _};

    fn exported() -> (Revision, State, String) {
        let store = RedbStore::in_memory().unwrap();
        let revision = store.commit(Revision::ZERO, &everything(), audit("everything")).unwrap();
        let (_, state) = store.load().unwrap();
        let mut text = Vec::new();
        export(revision, &state, &mut text).unwrap();
        (revision, state, String::from_utf8(text).unwrap())
    }

    #[test]
    fn a_state_survives_export_and_import() {
        let (revision, state, text) = exported();
        assert_eq!(import(&mut text.as_bytes()).unwrap(), (revision, state));
    }

    #[test]
    fn an_empty_state_survives_too() {
        let mut text = Vec::new();
        export(Revision::ZERO, &State::default(), &mut text).unwrap();
        assert_eq!(import(&mut text.as_slice()).unwrap(), (Revision::ZERO, State::default()));
    }

    #[test]
    fn an_export_holds_no_open_key() {
        let (_, _, text) = exported();
        assert!(text.contains("sealed") && !text.contains("PRIVATE KEY"));
    }

    #[test]
    fn wherever_an_export_is_cut_it_is_refused() {
        let (_, _, text) = exported();
        for end in 0..text.len() {
            assert!(import(&mut &text.as_bytes()[..end]).is_err(), "cut after {end} of {} bytes", text.len());
        }
    }

    #[test]
    fn a_file_that_is_not_ours_whole_or_of_today_is_refused_with_its_reason() {
        let (_, _, text) = exported();
        let lines: Vec<_> = text.lines().collect();
        let join = |lines: &[&str]| lines.join("\n") + "\n";
        let newer = text.replacen("\"schema\":1", "\"schema\":2", 1);
        let twice = join(&[&lines[..2], &lines[1..]].concat());
        let fewer = join(&[&lines[..1], &lines[2..]].concat());
        let broken = join(&[&lines[..1], &["{\"record\":\"unknown\"}"], &lines[1..]].concat());
        let table = [
            (String::new(), "no export"),
            ("{}\n".to_owned(), "no export"),
            (text.replacen(FORMAT, "other", 1), "no export"),
            (newer, "schema 2"),
            (twice, "line 3: authority/"),
            (fewer, "records were written"),
            (broken, "line 2: unknown variant"),
        ];
        for (text, reason) in table {
            let error = import(&mut text.as_bytes()).expect_err(reason).to_string();
            assert!(error.contains(reason), "{error:?} instead of {reason:?}");
        }
    }

    #[test]
    fn a_line_past_the_limit_is_not_read() {
        let (_, _, text) = exported();
        let header = text.lines().next().unwrap();
        let length = usize::try_from(EXPORT_LINE_BYTES).unwrap();
        let long = format!("{header}\n{}\n", " ".repeat(length + 1));
        let error = import(&mut long.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("line 2: it is longer than"), "{error}");
        // At the limit the line is read, and is found to be no record.
        let fits = format!("{header}\n{}\n", " ".repeat(length));
        let error = import(&mut fits.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("line 2: EOF"), "{error}");
    }
}
