//! Reads where events are kept.

use std::path::Path;

use super::read::Reader;
use super::table::Table;
use super::{Events, MAX_EVENTS_FILE, MAX_EVENTS_MEMORY};
use crate::telemetry::{MAX_FILES, Rotation};

/// Name of the file in the store's directory unless `file` says otherwise.
const FILE: &str = "events.jsonl";

/// Default of `memory`, in MiB.
const MEMORY: u64 = 32;

/// Default of `file_size`, in MiB.
const FILE_SIZE: u64 = 16;

/// Default of `files`.
const FILES: u64 = 5;

const MIB: u64 = 1024 * 1024;

impl Reader<'_> {
    /// Takes `[events]`. `directory` is that of the store.
    pub(super) fn events(&mut self, mut table: Table<'_>, directory: &Path) -> Events {
        let memory = table.integer(&mut self.problems, "memory", 1..=MAX_EVENTS_MEMORY).unwrap_or(MEMORY);
        let size = table.integer(&mut self.problems, "file_size", 1..=MAX_EVENTS_FILE).unwrap_or(FILE_SIZE);
        let most = u64::try_from(MAX_FILES).unwrap_or(u64::MAX);
        let files = table.integer(&mut self.problems, "files", 1..=most).unwrap_or(FILES);
        let path = match table.string(&mut self.problems, "file") {
            None => Some(directory.join(FILE)),
            Some(text) if text.value == "off" => None,
            Some(text) if text.value.is_empty() => {
                self.problems.push(text.span, "`file` cannot be empty; \"off\" is for none");
                None
            }
            Some(text) => Some(self.directory.join(text.value)),
        };
        table.finish(&mut self.problems, &["file", "file_size", "files", "memory"]);
        let file = path.map(|path| Rotation {
            path,
            size: size.saturating_mul(MIB),
            files: usize::try_from(files).unwrap_or(MAX_FILES),
        });
        Events { memory: usize::try_from(memory.saturating_mul(MIB)).unwrap_or(usize::MAX), file }
    }
}
