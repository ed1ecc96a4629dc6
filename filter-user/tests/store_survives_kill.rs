//! Kill -9 at any moment loses nothing that was acknowledged.
//!
//! This binary starts itself as the writer: a process that commits as fast as it can and reports each revision *after* the
//! commit returned. It is killed in the middle of writing, over and over; each time the store must open, hold every
//! revision that was reported, and be whole.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use filter_user::model::{Change, SettingRecord, Timestamp, ZoneId};
use filter_user::store::{Audit, RedbStore, Revision, Store as _};

/// Tells the writer apart from the test.
const DIRECTORY: &str = "FILTER_TEST_KILLED_WRITER_DIRECTORY";
const ROUNDS: u32 = 20;
/// Settings that each commit writes together; they must never differ.
const TOGETHER: [&str; 3] = ["one", "two", "three"];
/// Makes a commit span many pages.
const PADDING: usize = 10_000;

fn change(name: &str, revision: Revision) -> Change {
    let value = serde_json::json!([revision.number() + 1, "x".repeat(PADDING)]);
    let (zone, modified) = (ZoneId::of_name("example.com"), Timestamp::from_unix_seconds(0));
    Change::SetSetting(SettingRecord { zone, name: name.to_owned(), value, modified })
}

/// The part that gets killed. As a test of its own it finds nothing to do.
#[test]
fn writer() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let store = RedbStore::open(Path::new(&directory)).expect("the store opens after a kill");
    let (mut revision, _) = store.load().expect("the store loads");
    let mut output = std::io::stdout();
    loop {
        let changes = TOGETHER.map(|name| change(name, revision));
        let [actor, origin, action] = ["writer", "test", "set"].map(str::to_owned);
        let audit = Audit { at: Timestamp::from_unix_seconds(0), actor, origin, action };
        revision = store.commit(revision, &changes, audit).expect("the commit succeeds");
        writeln!(output, "committed {revision}").expect("somebody listens");
        output.flush().expect("somebody listens");
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kill() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut last = 0;
    for round in 0..ROUNDS {
        // Another moment each time: while opening, while committing, between two commits.
        let acknowledged = write_until_killed(directory.path(), Duration::from_micros(u64::from(round) * 3_700));
        check(directory.path(), acknowledged.unwrap_or(last));
        last = acknowledged.unwrap_or(last).max(last);
    }
    assert!(last > u64::from(ROUNDS), "the writer hardly wrote: {last} commits");
}

/// Runs a writer, kills it some time after its first commit, and tells the last revision it reported.
fn write_until_killed(directory: &Path, after: Duration) -> Option<u64> {
    let executable: PathBuf = std::env::current_exe().expect("this test has a file");
    let mut writer = Command::new(executable)
        .args(["--exact", "writer", "--nocapture", "--quiet"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the writer starts");
    let output = BufReader::new(writer.stdout.take().expect("its output is ours"));
    let mut last = None;
    let mut deadline = None;
    for line in output.lines() {
        // A line that the kill cut off was not acknowledged.
        let number =
            line.ok().and_then(|line| line.rsplit_once("committed ").and_then(|(_, number)| number.parse().ok()));
        last = number.or(last);
        let deadline = *deadline.get_or_insert_with(|| Instant::now() + after);
        if last.is_some() && Instant::now() >= deadline {
            // SIGKILL. Whatever is in the pipe already is still read: it was acknowledged.
            writer.kill().expect("the writer can be killed");
        }
    }
    writer.wait().expect("the writer ends");
    last
}

fn check(directory: &Path, acknowledged: u64) {
    let store = RedbStore::open(directory).expect("the store opens after a kill");
    let (revision, state) = store.load().expect("the store loads");
    // The commit that was under way may have made it to disk before it was reported; no more than that one.
    let found = revision.number();
    assert!(
        found == acknowledged || found == acknowledged + 1,
        "revision {acknowledged} was acknowledged, {found} is there"
    );
    for name in TOGETHER {
        let setting = state.setting(ZoneId::of_name("example.com"), name).expect("a committed setting is there");
        assert_eq!(setting.value.get(0), Some(&found.into()), "setting {name} is of another commit");
    }
    let audit = store.audit(None, usize::MAX).expect("the audit loads");
    let revisions: Vec<_> = audit.iter().map(|record| record.revision).collect();
    assert_eq!(revisions, (1..=found).rev().collect::<Vec<_>>(), "an audit record is missing");
}
