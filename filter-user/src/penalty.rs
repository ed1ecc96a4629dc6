//! The penalty box: who was blocked too often is dropped by XDP for a while.
//!
//! Workers report the address of every block verdict over a bounded queue, without waiting. One task counts them and asks the packet plane
//! to drop the SYNs of those who overdo it. What does not fit into the queue is not counted: the box spares work, it is no defence.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::config::Penalty;

/// Block verdicts that may wait to be counted.
const QUEUE: usize = 4096;

/// Addresses that are counted at a time; when there are more, those who were blocked long ago are forgotten.
pub const MAX_SOURCES: usize = 65_536;

/// The workers' end of the queue. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Offences(Option<mpsc::Sender<IpAddr>>);

impl Offences {
    /// A queue, and its other end.
    pub fn queue() -> (Self, mpsc::Receiver<IpAddr>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(Some(sender)), receiver)
    }

    /// Reports that a request from this address was blocked.
    pub fn report(&self, address: IpAddr) {
        if let Some(queue) = &self.0 {
            // A full queue means that there are more than can be counted.
            let _ = queue.try_send(address);
        }
    }
}

/// Counts what is reported, until nobody can report any more, and has those `punish`ed who were blocked too often.
pub async fn judge(penalty: Penalty, mut offences: mpsc::Receiver<IpAddr>, mut punish: impl FnMut(IpAddr, Duration)) {
    let mut tally = Tally::new(penalty);
    while let Some(address) = offences.recv().await {
        if tally.note(address, Instant::now()) {
            punish(address, tally.penalty.drop_for);
        }
    }
}

/// Who was blocked when.
#[derive(Debug)]
struct Tally {
    penalty: Penalty,
    /// The last moments at which each address was blocked, fewer than it takes for a punishment.
    blocked: HashMap<IpAddr, VecDeque<Instant>>,
}

impl Tally {
    fn new(penalty: Penalty) -> Self {
        Self { penalty, blocked: HashMap::new() }
    }

    /// Notes that a request of `address` was blocked. True if that was once too often.
    fn note(&mut self, address: IpAddr, now: Instant) -> bool {
        if self.penalty.spares(address) {
            return false;
        }
        let within = self.penalty.within;
        let is_old = |moment: &Instant| now.saturating_duration_since(*moment) > within;
        if self.blocked.len() >= MAX_SOURCES && !self.blocked.contains_key(&address) {
            self.blocked.retain(|_, moments| moments.back().is_some_and(|last| !is_old(last)));
            if self.blocked.len() >= MAX_SOURCES {
                return false;
            }
        }
        let moments = self.blocked.entry(address).or_default();
        moments.push_back(now);
        while moments.front().is_some_and(is_old) {
            moments.pop_front();
        }
        let too_often = moments.len() >= self.penalty.blocked;
        if too_often {
            self.blocked.remove(&address);
        }
        too_often
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn penalty(blocked: usize) -> Penalty {
        let allow = vec!["192.0.2.0/24".parse().unwrap()];
        Penalty { blocked, within: Duration::from_secs(10), drop_for: Duration::from_secs(60), allow }
    }

    #[test]
    fn an_address_is_punished_when_it_is_blocked_often_enough_in_time() {
        let (start, address) = (Instant::now(), "198.51.100.1".parse().unwrap());
        let mut tally = Tally::new(penalty(3));
        for (second, punished) in [
            (0, false),
            (5, false),
            (11, false),
            (12, true),
            (13, false),
            (14, false),
            (23, true),
            (40, false),
            (41, false),
            (52, false),
        ] {
            assert_eq!(tally.note(address, start + Duration::from_secs(second)), punished, "after {second} s");
        }
    }

    #[test]
    fn addresses_are_counted_apart_and_some_never() {
        let now = Instant::now();
        let mut tally = Tally::new(penalty(2));
        for (address, punished) in [
            ("198.51.100.1", false),
            ("198.51.100.2", false),
            ("192.0.2.7", false),
            ("192.0.2.7", false),
            ("2001:db8::1", false),
            ("198.51.100.2", true),
            ("2001:db8::1", true),
        ] {
            assert_eq!(tally.note(address.parse().unwrap(), now), punished, "{address}");
        }
        assert!(Tally::new(penalty(1)).note("198.51.100.1".parse().unwrap(), now), "the first, if once is too often");
    }

    #[test]
    fn as_many_addresses_are_counted_as_there_is_room_for() {
        let start = Instant::now();
        let mut tally = Tally::new(penalty(2));
        let address = |n: usize| IpAddr::from((n as u128).to_be_bytes());
        for n in 0..MAX_SOURCES {
            tally.note(address(n), start);
        }
        assert!(tally.note(address(MAX_SOURCES - 1), start), "the last that fitted");
        tally.note(address(MAX_SOURCES), start);
        let surplus = address(MAX_SOURCES + 1);
        assert!(!tally.note(surplus, start) && !tally.note(surplus, start), "one past it");
        let later = start + Duration::from_secs(11);
        assert!(!tally.note(surplus, later) && tally.note(surplus, later), "once the others are forgotten");
    }

    #[tokio::test]
    async fn what_workers_report_reaches_whoever_punishes() {
        let (offences, queue) = Offences::queue();
        let address = "198.51.100.1".parse().unwrap();
        (0..5).for_each(|_| offences.report(address));
        drop(offences);
        let mut punished = Vec::new();
        judge(penalty(2), queue, |address, duration| punished.push((address, duration))).await;
        assert_eq!(punished, [(address, Duration::from_secs(60)); 2]);
        Offences::default().report(address);
    }
}
