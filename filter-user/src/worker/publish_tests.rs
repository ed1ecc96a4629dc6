//! In which order a snapshot comes into force: real workers, and a packet plane that notes what they decide by when it is called.

use std::sync::{Arc, Mutex};
use std::task::Poll;

use super::tests::Fixture;
use crate::datapath::Datapath;
use crate::kernel::KernelError;
use crate::snapshot::{PacketPlane, PublishError, Publisher, Snapshot, compile};
use crate::telemetry::Counters;

/// A packet plane that notes what the workers decide by when it is asked for something, and may refuse.
struct Witness {
    counters: Vec<Arc<Counters>>,
    refuses_to_protect: bool,
    seen: Mutex<Vec<(&'static str, Vec<u64>)>>,
}

impl Witness {
    fn note(&self, step: &'static str) {
        let generations = self.counters.iter().map(|counters| counters.generation()).collect();
        self.seen.lock().unwrap().push((step, generations));
    }
}

impl PacketPlane for Witness {
    fn protect(&self, _: &Snapshot) -> Result<(), KernelError> {
        self.note("protect");
        if self.refuses_to_protect { Err(KernelError::Missing { what: "map", name: "HOSTS" }) } else { Ok(()) }
    }

    fn relax(&self, _: &Snapshot) -> Result<(), KernelError> {
        self.note("relax");
        Ok(())
    }
}

/// Publishes a second generation to these workers. Returns what the packet plane saw and what came of it.
async fn publish_second(
    fixtures: Vec<Fixture>,
    refuses_to_protect: bool,
) -> (Vec<(&'static str, Vec<u64>)>, Vec<u64>, Result<(), PublishError>) {
    for fixture in &fixtures {
        // A worker that has ended refuses; one that has just been started decides by the first generation when it has answered.
        let _ = fixture.worker.fence().await;
    }
    let snapshot = Arc::new(compile(&fixtures[0].config, &fixtures[0].state, 2, None).unwrap());
    let counters: Vec<_> = fixtures.iter().map(|fixture| fixture.worker.counters().clone()).collect();
    let witness = Witness { counters: counters.clone(), refuses_to_protect, seen: Mutex::default() };
    let (workers, _drains): (Vec<_>, Vec<_>) =
        fixtures.into_iter().map(|fixture| (fixture.worker, fixture.drain)).unzip();
    let publisher = Publisher::new(workers, witness);
    let published = publisher.publish(&snapshot).await;
    let seen = publisher.datapath().seen.lock().unwrap().clone();
    (seen, counters.iter().map(|counters| counters.generation()).collect(), published)
}

#[tokio::test]
async fn publishing_protects_first_and_relaxes_when_every_worker_has_changed() {
    let fixtures = vec![Fixture::new(&[]).await, Fixture::new(&[]).await];
    let (seen, _, published) = publish_second(fixtures, false).await;
    published.unwrap();
    assert_eq!(seen, [("protect", vec![1, 1]), ("relax", vec![2, 2])]);
}

#[tokio::test]
async fn what_fails_in_the_middle_of_publishing_leaves_the_safe_side() {
    let (dead, alive) = (Fixture::new(&[]).await, Fixture::new(&[]).await);
    dead.end().await;
    let (seen, generations, published) = publish_second(vec![dead, alive], false).await;
    assert_eq!(published.unwrap_err().to_string(), "worker 0 has ended");
    assert_eq!((seen, generations), (vec![("protect", vec![1, 1])], vec![1, 2]), "nothing is relaxed");

    let fixtures = vec![Fixture::new(&[]).await, Fixture::new(&[]).await];
    let (seen, generations, published) = publish_second(fixtures, true).await;
    assert!(matches!(published, Err(PublishError::Kernel(_))));
    assert_eq!((seen, generations), (vec![("protect", vec![1, 1])], vec![2, 2]), "the workers block all the same");
}

#[tokio::test]
async fn a_fence_asks_every_worker_though_one_has_ended() {
    let (dead, alive) = (Fixture::new(&[]).await, Fixture::new(&[]).await);
    dead.end().await;
    let snapshot = compile(&alive.config, &alive.state, 7, None).unwrap();
    let datapath = Datapath::open(&alive.config.edge, 0, &[], &snapshot, Arc::default()).unwrap();
    let counters = alive.worker.counters().clone();
    // A snapshot that nobody waits for: a fence that comes after it in the worker's queue returns after it too.
    let mut publishing = Box::pin(alive.worker.publish(Arc::new(snapshot)));
    // Begun, whether or not the worker is as quick.
    let _ = std::future::poll_fn(|context| Poll::Ready(publishing.as_mut().poll(context))).await;
    drop(publishing);
    let publisher = Publisher::new(vec![dead.worker, alive.worker], datapath);
    assert_eq!(publisher.fence().await.unwrap_err().to_string(), "worker 0 has ended");
    assert_eq!(counters.generation(), 7);
}
