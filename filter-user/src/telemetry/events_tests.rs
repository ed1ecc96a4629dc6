//! Behaviour of the events.

use std::fs;

use super::super::record::tests::blocked;
use super::*;

const PLENTY: usize = 1024 * 1024;

/// Events without an access log.
fn start(file: Option<Rotation>) -> (Recorder, Events, Vec<Writer>) {
    Events::start(AccessLog::off(), PLENTY, file).unwrap()
}

fn end(recorder: Recorder, writers: Vec<Writer>) {
    drop(recorder);
    writers.into_iter().rev().for_each(Writer::join);
}

fn rays(events: &Events) -> Vec<String> {
    events.before(u64::MAX, 100).iter().map(|event| event.record.ray_id.clone()).collect()
}

#[test]
fn events_are_numbered_kept_and_written() {
    let directory = tempfile::tempdir().unwrap();
    let rotation = Rotation { path: directory.path().join("events.jsonl"), size: 1 << 20, files: 2 };
    let (recorder, events, writers) = start(Some(rotation.clone()));
    let begin = events.tail().borrow().newest;
    for ray_id in ["one", "two"] {
        assert!(recorder.wants(Some(EventAction::Block)));
        recorder.write(blocked(ray_id));
    }
    recorder.write(AccessRecord { action: None, ..blocked("neither") });
    end(recorder, writers);
    assert_eq!(rays(&events), ["two", "one"]);
    let numbers: Vec<_> = events.after(begin, 9).events.iter().map(|event| event.number).collect();
    assert_eq!(numbers, [begin + 1, begin + 2]);
    assert_eq!(*events.tail().borrow(), Tail { newest: begin + 2, ended: false });
    let text = fs::read_to_string(&rotation.path).unwrap();
    let written: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(written, events.after(begin, 9).events.iter().map(|event| (**event).clone()).collect::<Vec<_>>());
    assert_eq!(
        events.status(),
        EventsStatus { recorded: 2, dropped: 0, kept: 2, file: Some((rotation, Losses::default())) }
    );
}

#[test]
fn a_restart_goes_on_with_what_the_files_hold_and_with_greater_numbers() {
    let directory = tempfile::tempdir().unwrap();
    // Each event gets a file of its own; two are kept.
    let rotation = Rotation { path: directory.path().join("events.jsonl"), size: 1, files: 2 };
    let (recorder, _, writers) = start(Some(rotation.clone()));
    ["one", "two", "three"].into_iter().for_each(|ray_id| recorder.write(blocked(ray_id)));
    end(recorder, writers);
    let path = directory.path().join("events.jsonl.1");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("no event\n{text}")).unwrap();
    let (recorder, events, writers) = start(Some(rotation));
    assert_eq!(rays(&events), ["three", "two"]);
    let before = events.before(u64::MAX, 1).first().unwrap().number;
    recorder.write(blocked("four"));
    end(recorder, writers);
    assert_eq!(rays(&events), ["four", "three", "two"]);
    assert!(events.before(u64::MAX, 1).first().unwrap().number > before);
}

#[test]
fn an_event_that_finds_the_queue_full_is_dropped_and_counted() {
    let (queue, records) = bounded(1);
    let (recorder, ..) = start(None);
    let recorder = Recorder { queue, ..recorder };
    assert!(recorder.wants(Some(EventAction::Log)));
    recorder.write(blocked("fits"));
    assert_eq!(recorder.events.status().dropped, 0);
    assert!(!recorder.wants(Some(EventAction::Log)), "it need not even be made");
    recorder.write(blocked("late"));
    assert_eq!(recorder.events.status().dropped, 2);
    assert!(!recorder.wants(None), "no event, and no access log");
    assert_eq!(records.recv().unwrap().ray_id, "fits");
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missing").join("events.jsonl");
    let started = Events::start(AccessLog::off(), PLENTY, Some(Rotation { path, size: 1, files: 1 }));
    assert_eq!(started.unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[tokio::test]
async fn who_follows_is_woken_and_told_of_the_end() {
    let (recorder, events, _) = start(None);
    let mut tail = events.tail();
    let begin = tail.borrow_and_update().newest;
    recorder.write(blocked("one"));
    tail.changed().await.unwrap();
    assert_eq!(tail.borrow_and_update().newest, begin + 1);
    assert_eq!(events.after(begin, 9).events.len(), 1);
    events.end();
    tail.changed().await.unwrap();
    assert!(tail.borrow().ended);
}
