//! The newest events, in memory: as many as fit, the oldest make room.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::record::AccessRecord;

/// A request that was blocked or logged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number: larger than that of every event before, those before a restart included.
    pub number: u64,
    /// What is written of the request.
    #[serde(flatten)]
    pub record: AccessRecord,
}

/// Events that follow another one.
#[derive(Debug)]
pub struct Following {
    /// The events, oldest first.
    pub events: Vec<Arc<Event>>,
    /// Whether older ones that followed had to make room already.
    pub incomplete: bool,
}

#[derive(Debug)]
pub(super) struct Ring {
    /// In the order of their numbers.
    events: VecDeque<Arc<Event>>,
    /// Memory that the events take.
    size: usize,
    limit: usize,
    /// Number of the last event that had to make room.
    forgotten: u64,
}

impl Ring {
    /// One for events that take no more than `limit` bytes together.
    pub(super) fn new(limit: usize) -> Self {
        Self { events: VecDeque::new(), size: 0, limit, forgotten: 0 }
    }

    pub(super) fn push(&mut self, event: Arc<Event>) {
        self.size = self.size.saturating_add(size(&event));
        self.events.push_back(event);
        while self.size > self.limit
            && let Some(oldest) = self.events.pop_front()
        {
            self.size = self.size.saturating_sub(size(&oldest));
            self.forgotten = oldest.number;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Number of the newest event.
    pub(super) fn newest(&self) -> Option<u64> {
        self.events.back().map(|event| event.number)
    }

    /// The newest events before a number, newest first.
    pub(super) fn before(&self, number: u64, count: usize) -> Vec<Arc<Event>> {
        let end = self.events.partition_point(|event| event.number < number);
        self.events.range(..end).rev().take(count).cloned().collect()
    }

    /// The oldest events after a number.
    pub(super) fn after(&self, number: u64, count: usize) -> Following {
        let start = self.events.partition_point(|event| event.number <= number);
        let events = self.events.range(start..).take(count).cloned().collect();
        Following { events, incomplete: self.forgotten > number }
    }
}

fn size(event: &Event) -> usize {
    size_of::<Arc<Event>>().saturating_add(event.record.size())
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::blocked;
    use super::*;

    fn event(number: u64) -> Arc<Event> {
        Arc::new(Event { number, record: blocked("0123456789abcdef") })
    }

    fn numbers(events: &[Arc<Event>]) -> Vec<u64> {
        events.iter().map(|event| event.number).collect()
    }

    #[test]
    fn as_many_events_stay_as_fit_and_the_oldest_goes_for_one_more() {
        let mut ring = Ring::new(3 * size(&event(0)));
        for number in [10, 11, 20] {
            ring.push(event(number));
        }
        assert_eq!(numbers(&ring.before(u64::MAX, 9)), [20, 11, 10]);
        assert!(!ring.after(9, 9).incomplete);
        ring.push(event(21));
        assert_eq!(numbers(&ring.before(u64::MAX, 9)), [21, 20, 11]);
        assert_eq!((ring.len(), ring.newest()), (3, Some(21)));
        assert!(ring.after(9, 9).incomplete);
        assert!(!ring.after(10, 9).incomplete, "who had the one that went misses nothing");
    }

    #[test]
    fn events_are_found_on_both_sides_of_a_number() {
        let mut ring = Ring::new(usize::MAX);
        for number in [10, 11, 20, 21] {
            ring.push(event(number));
        }
        for (number, before, after) in [
            (0, &[][..], &[10, 11][..]),
            (10, &[], &[11, 20]),
            (15, &[11, 10], &[20, 21]),
            (20, &[11, 10], &[21]),
            (21, &[20, 11], &[]),
            (u64::MAX, &[21, 20], &[]),
        ] {
            assert_eq!(numbers(&ring.before(number, 2)), before, "before {number}");
            assert_eq!(numbers(&ring.after(number, 2).events), after, "after {number}");
        }
    }

    #[test]
    fn an_event_that_fits_nowhere_leaves_an_empty_ring() {
        let mut ring = Ring::new(1);
        ring.push(event(1));
        assert_eq!((ring.len(), ring.size), (0, 0));
    }
}
