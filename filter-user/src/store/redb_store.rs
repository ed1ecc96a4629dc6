//! The embedded store: one file, one writer.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{
    Database, DatabaseError, Durability, Error as RedbError, ReadableDatabase as _, ReadableTable as _,
    ReadableTableMetadata as _, Table, TableDefinition, TableError, WriteTransaction,
};

use super::audit::{AUDIT_RECORDS, Audit, AuditRecord, REFUSALS, Refusal};
use super::error::StoreError;
use super::{Revision, Store};
use crate::model::{Change, Edit, Record, State};

/// The form in which records are written.
pub const SCHEMA: u64 = 1;

/// Name of the database in the state directory.
const FILE: &str = "state.redb";

/// Numbers about the store itself.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Records as JSON, by the text form of their keys.
const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
/// Audit records as JSON, by revision.
const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit");
/// Refused attempts as JSON, numbered in their order.
const REFUSED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("refused");

const META_SCHEMA: &str = "schema";
const META_REVISION: &str = "revision";

/// A [`Store`] in a file of the state directory.
pub struct RedbStore {
    database: Database,
    /// What is on disk; the lock makes commits happen one after the other.
    current: Mutex<(Revision, State)>,
}

impl RedbStore {
    /// Opens the store of a state directory; makes both if they are not there, for their owner only.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Directory { path: directory.to_owned(), source };
        let path = directory.join(FILE);
        let file = open_file(directory, &path).map_err(failed)?;
        let opened = FileBackend::new(file).and_then(|file| Database::builder().create_with_backend(file));
        let database = opened.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.clone()),
            other => StoreError::Database(other.into()),
        })?;
        Self::with_database(database)
    }

    /// A store that is gone when it is dropped: the same code over memory, for tests and dry runs.
    pub fn in_memory() -> Result<Self, StoreError> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).map_err(RedbError::from)?;
        Self::with_database(database)
    }

    fn with_database(database: Database) -> Result<Self, StoreError> {
        prepare(&database)?;
        let current = read(&database)?;
        Ok(Self { database, current: Mutex::new(current) })
    }

    /// A commit that panicked never replaced what is in here.
    fn lock(&self) -> MutexGuard<'_, (Revision, State)> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, edit: &Edit, before: &State, revision: Revision, audit: Audit) -> Result<(), StoreError> {
        let transaction = begin(&self.database)?;
        {
            let mut records = transaction.open_table(RECORDS).map_err(RedbError::from)?;
            for key in &edit.touched {
                let name = key.to_string();
                match edit.state.record(key) {
                    Some(record) => {
                        let json = to_json(&name, record)?;
                        records.insert(name.as_str(), json.as_slice()).map_err(RedbError::from)?;
                    }
                    None => _ = records.remove(name.as_str()).map_err(RedbError::from)?,
                }
            }
            let mut audits = transaction.open_table(AUDIT).map_err(RedbError::from)?;
            let record = AuditRecord::new(revision, audit, edit.touched.iter(), before, &edit.state);
            let json = to_json("audit", &record)?;
            audits.insert(revision.number(), json.as_slice()).map_err(RedbError::from)?;
            forget_oldest(&mut audits, AUDIT_RECORDS)?;
            let mut meta = transaction.open_table(META).map_err(RedbError::from)?;
            meta.insert(META_REVISION, revision.number()).map_err(RedbError::from)?;
        }
        transaction.commit().map_err(RedbError::from)?;
        Ok(())
    }
}

impl Store for RedbStore {
    fn load(&self) -> Result<(Revision, State), StoreError> {
        Ok(self.lock().clone())
    }

    fn commit(&self, expected: Revision, changes: &[Change], audit: Audit) -> Result<Revision, StoreError> {
        let mut current = self.lock();
        let (actual, before) = &*current;
        if *actual != expected {
            return Err(StoreError::Conflict { expected, actual: *actual });
        }
        let edit = before.apply(changes)?;
        let revision = actual.next();
        self.write(&edit, before, revision, audit)?;
        *current = (revision, edit.state);
        Ok(revision)
    }

    fn restore(&self, expected: Revision, state: State, audit: Audit) -> Result<Revision, StoreError> {
        let mut current = self.lock();
        let (actual, before) = &*current;
        if *actual != expected {
            return Err(StoreError::Conflict { expected, actual: *actual });
        }
        let touched = before.records().chain(state.records()).map(Record::key).collect();
        let edit = Edit { state, touched };
        let revision = actual.next();
        self.write(&edit, before, revision, audit)?;
        *current = (revision, edit.state);
        Ok(revision)
    }

    fn audit(&self, before: Option<Revision>, limit: usize) -> Result<Vec<AuditRecord>, StoreError> {
        let transaction = self.database.begin_read().map_err(RedbError::from)?;
        let audits = transaction.open_table(AUDIT).map_err(RedbError::from)?;
        let end = before.map_or(u64::MAX, Revision::number);
        let range = audits.range(..end).map_err(RedbError::from)?;
        let newest_first = range.rev().take(limit).map(|entry| {
            let (revision, json) = entry.map_err(RedbError::from)?;
            serde_json::from_slice(json.value())
                .map_err(|error| StoreError::corrupt(format!("audit/{}", revision.value()), error))
        });
        newest_first.collect()
    }

    fn refuse(&self, refusal: &Refusal) -> Result<(), StoreError> {
        let transaction = begin(&self.database)?;
        {
            let mut refused = transaction.open_table(REFUSED).map_err(RedbError::from)?;
            let last = refused.last().map_err(RedbError::from)?.map(|(number, _)| number.value());
            let json = to_json("refused", refusal)?;
            let number = last.map_or(0, |last| last.saturating_add(1));
            refused.insert(number, json.as_slice()).map_err(RedbError::from)?;
            forget_oldest(&mut refused, REFUSALS)?;
        }
        transaction.commit().map_err(RedbError::from)?;
        Ok(())
    }

    fn refusals(&self, limit: usize) -> Result<Vec<Refusal>, StoreError> {
        let transaction = self.database.begin_read().map_err(RedbError::from)?;
        let refused = match transaction.open_table(REFUSED) {
            Ok(refused) => refused,
            // It is made when there is something to keep.
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(RedbError::from(error).into()),
        };
        let newest_first = refused.iter().map_err(RedbError::from)?.rev().take(limit).map(|entry| {
            let (number, json) = entry.map_err(RedbError::from)?;
            serde_json::from_slice(json.value())
                .map_err(|error| StoreError::corrupt(format!("refused/{}", number.value()), error))
        });
        newest_first.collect()
    }
}

/// Removes the oldest records until no more than `kept` are left.
fn forget_oldest(audits: &mut Table<'_, u64, &'static [u8]>, kept: u64) -> Result<(), StoreError> {
    while audits.len().map_err(RedbError::from)? > kept {
        audits.pop_first().map_err(RedbError::from)?;
    }
    Ok(())
}

/// Opens the database file, and makes sure that a new one is still there after a power cut.
fn open_file(directory: &Path, path: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let is_new = !fs::exists(path)?;
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if is_new {
        File::open(directory)?.sync_all()?;
    }
    Ok(file)
}

/// A transaction that is on disk when it is committed, and after which a killed process opens its store at once.
fn begin(database: &Database) -> Result<WriteTransaction, StoreError> {
    let mut transaction = database.begin_write().map_err(RedbError::from)?;
    transaction.set_durability(Durability::Immediate).map_err(RedbError::from)?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// Makes the tables of a new store, and refuses one from the future.
fn prepare(database: &Database) -> Result<(), StoreError> {
    let transaction = begin(database)?;
    {
        let mut meta = transaction.open_table(META).map_err(RedbError::from)?;
        let found = meta.get(META_SCHEMA).map_err(RedbError::from)?.map(|schema| schema.value());
        match found {
            None => {
                meta.insert(META_SCHEMA, SCHEMA).map_err(RedbError::from)?;
                meta.insert(META_REVISION, Revision::ZERO.number()).map_err(RedbError::from)?;
                transaction.open_table(RECORDS).map_err(RedbError::from)?;
                transaction.open_table(AUDIT).map_err(RedbError::from)?;
            }
            Some(SCHEMA) => return Ok(()),
            Some(found) if found > SCHEMA => return Err(StoreError::NewerSchema { found, supported: SCHEMA }),
            // There has been no earlier schema; the first migration comes here.
            Some(found) => return Err(StoreError::corrupt(META_SCHEMA, format!("there never was a schema {found}"))),
        }
    }
    transaction.commit().map_err(RedbError::from)?;
    Ok(())
}

fn read(database: &Database) -> Result<(Revision, State), StoreError> {
    let transaction = database.begin_read().map_err(RedbError::from)?;
    let meta = transaction.open_table(META).map_err(RedbError::from)?;
    let revision = meta.get(META_REVISION).map_err(RedbError::from)?.map(|revision| revision.value());
    let revision = revision.ok_or_else(|| StoreError::corrupt(META_REVISION, "it is missing"))?;
    let table = transaction.open_table(RECORDS).map_err(RedbError::from)?;
    let mut records = Vec::new();
    for entry in table.iter().map_err(RedbError::from)? {
        let (key, json) = entry.map_err(RedbError::from)?;
        let record: Record =
            serde_json::from_slice(json.value()).map_err(|error| StoreError::corrupt(key.value(), error))?;
        if record.key().to_string() != key.value() {
            return Err(StoreError::corrupt(key.value(), format!("it holds the record {}", record.key())));
        }
        records.push(record);
    }
    Ok((Revision::new(revision), State::from_records(records)))
}

fn to_json(key: &str, value: &impl serde::Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::corrupt(key, error))
}

#[cfg(test)]
#[path = "redb_store_tests.rs"]
pub(super) mod tests;
