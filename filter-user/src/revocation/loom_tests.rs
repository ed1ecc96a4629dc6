//! Every interleaving of readers and writers of the set, checked by loom.
//!
//! The set itself is the one that runs; only its cell is replaced by one over loom's atomics, with the orderings that
//! `arc-swap` uses: a store that releases, a load that acquires, and a reader that looks with a *relaxed* load whether the
//! pointer it has is still the one.

use std::sync::{Arc, Mutex};

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread::{Builder, JoinHandle};

use super::cell::Cell;
use super::key::{IssuerKeyHash, RevocationKey};
use super::set::{Core, Layers};

/// Versions are kept in a list that only grows; the pointer is a place in it. The list is not part of the model.
struct LoomCell {
    versions: Mutex<Vec<Arc<Layers>>>,
    current: AtomicUsize,
    writer: loom::sync::Mutex<()>,
}

impl LoomCell {
    fn version(&self, place: usize) -> Arc<Layers> {
        Arc::clone(&self.versions.lock().unwrap()[place])
    }
}

struct LoomReader {
    cell: Arc<LoomCell>,
    place: usize,
    version: Arc<Layers>,
}

impl Cell for LoomCell {
    type Reader = LoomReader;

    fn new(layers: Layers) -> Self {
        let versions = Mutex::new(vec![Arc::new(layers)]);
        Self { versions, current: AtomicUsize::new(0), writer: loom::sync::Mutex::new(()) }
    }

    fn read<R>(&self, ask: impl FnOnce(&Layers) -> R) -> R {
        ask(&self.version(self.current.load(Ordering::Acquire)))
    }

    fn replace(&self, make: impl FnOnce(&Layers) -> Layers) {
        let _one_writer = self.writer.lock().unwrap();
        let next = make(&self.version(self.current.load(Ordering::Acquire)));
        let place = {
            let mut versions = self.versions.lock().unwrap();
            versions.push(Arc::new(next));
            versions.len() - 1
        };
        self.current.store(place, Ordering::Release);
    }

    fn reclaim(&self) -> usize {
        0
    }

    fn reader(cell: &Arc<Self>) -> LoomReader {
        let place = cell.current.load(Ordering::Acquire);
        LoomReader { cell: Arc::clone(cell), place, version: cell.version(place) }
    }

    fn read_with<R>(reader: &mut LoomReader, ask: impl FnOnce(&Layers) -> R) -> R {
        if reader.cell.current.load(Ordering::Relaxed) != reader.place {
            reader.place = reader.cell.current.load(Ordering::Acquire);
            reader.version = reader.cell.version(reader.place);
        }
        ask(&reader.version)
    }
}

/// Words of a thread's stack. A version of the set is some KiB that are copied as a whole, and loom's own threads have little room.
const STACK_WORDS: usize = 0x1_0000;

fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().stack_size(STACK_WORDS).spawn(body).unwrap()
}

/// Checks every interleaving, with a thread that has room in place of the model's first one.
fn model(body: impl Fn() + Clone + Send + Sync + 'static) {
    loom::model(move || spawn(body.clone()).join().unwrap());
}

fn keys<const N: usize>() -> [RevocationKey; N] {
    let issuer = IssuerKeyHash::of_spki(b"issuer");
    std::array::from_fn(|serial| RevocationKey::new(&issuer, &[u8::try_from(serial).unwrap()]))
}

#[test]
fn whoever_hears_that_a_revocation_is_done_sees_it() {
    model(|| {
        let (set, [key]) = (Core::<LoomCell>::new(), keys());
        let done = Arc::new(AtomicBool::new(false));
        let reader = set.reader();
        let writer = spawn({
            let done = Arc::clone(&done);
            move || {
                set.update_local(&[key], &[]);
                done.store(true, Ordering::Release);
            }
        });
        let told = done.load(Ordering::Acquire);
        let seen = reader.contains(&key);
        assert!(seen || !told, "the revocation was reported, but not seen");
        writer.join().unwrap();
        assert!(reader.contains(&key));
    });
}

#[test]
fn a_revocation_once_seen_stays_seen() {
    model(|| {
        let (set, [key, other]) = (Core::<LoomCell>::new(), keys());
        let reader = set.reader();
        let writer = spawn(move || {
            set.update_local(&[key], &[]);
            set.update_local(&[other], &[]);
        });
        let first = reader.contains(&key);
        let second = reader.contains(&key);
        assert!(second || !first, "a revocation was seen and lost again");
        writer.join().unwrap();
    });
}

#[test]
fn writers_at_once_lose_nothing() {
    model(|| {
        let (set, [local, imported, stays]) = (Core::<LoomCell>::new(), keys());
        set.update_local(&[stays], &[]);
        let writers = [
            spawn({
                let set = set.clone();
                move || set.update_local(&[local], &[])
            }),
            spawn({
                let set = set.clone();
                move || set.update_imported(&[imported], &[])
            }),
        ];
        for writer in writers {
            writer.join().unwrap();
        }
        assert!([local, imported, stays].iter().all(|key| set.contains(key)));
    });
}

#[test]
fn a_key_that_stays_is_never_missed_while_everything_around_it_is_replaced() {
    model(|| {
        let (set, [stays, goes, comes]) = (Core::<LoomCell>::new(), keys());
        set.update_local(&[stays, goes], &[]);
        let reader = set.reader();
        let writer = spawn({
            let set = set.clone();
            move || {
                set.update_local(&[comes], &[goes]);
                set.load_local(vec![stays, comes]);
            }
        });
        assert!(reader.contains(&stays) && set.contains(&stays) && reader.contains(&stays));
        writer.join().unwrap();
        assert!(reader.contains(&comes) && !reader.contains(&goes));
    });
}

#[test]
fn a_batch_is_seen_as_a_whole_or_not_at_all() {
    model(|| {
        let (set, [one, two]) = (Core::<LoomCell>::new(), keys());
        let writer = spawn({
            let set = set.clone();
            move || set.update_local(&[one, two], &[])
        });
        let reader = set.reader();
        // Asked in the other order than a half-done write would show.
        let (first, second) = (reader.contains(&one), reader.contains(&two));
        assert!(second || !first);
        writer.join().unwrap();
    });
}
