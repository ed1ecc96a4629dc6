//! How often somebody may fail to say who he is.
//!
//! A secret cannot be guessed, so the limit is no defence of the secrets: it keeps a misconfigured or hostile client from filling the
//! audit. A good token is always taken, however many bad ones came from the same address: otherwise whoever shares an address with an
//! operator could lock him out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures of one address in a [`WINDOW`] that are answered and kept one by one.
pub(super) const FAILURES: u32 = 10;

/// How long a failure counts.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// Addresses that are remembered. When there are more, new ones count as one address.
pub(super) const ADDRESSES: usize = 4_096;

/// Counts failures by address; IPv6 addresses by their /64, which is what one client has.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    counted: Mutex<HashMap<Option<IpAddr>, Count>>,
}

#[derive(Debug)]
struct Count {
    since: Instant,
    failures: u32,
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Answer it, and keep it for the audit.
    Within,
    /// The first one too many: keep that there are more, and answer no more than when to come back.
    LastKept(Duration),
    /// Answer when to come back.
    Beyond(Duration),
}

impl Attempts {
    /// Counts a failure.
    pub(super) fn failed(&self, address: IpAddr, now: Instant) -> Failure {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Some(network(address));
        if !counted.contains_key(&key) && counted.len() >= ADDRESSES {
            counted.retain(|_, count| now.duration_since(count.since) < WINDOW);
        }
        let key = if counted.contains_key(&key) || counted.len() < ADDRESSES { key } else { None };
        let count = counted.entry(key).or_insert(Count { since: now, failures: 0 });
        if now.duration_since(count.since) >= WINDOW {
            *count = Count { since: now, failures: 0 };
        }
        count.failures = count.failures.saturating_add(1);
        let wait = WINDOW.saturating_sub(now.duration_since(count.since));
        match count.failures {
            ..=FAILURES => Failure::Within,
            failures if failures == FAILURES.saturating_add(1) => Failure::LastKept(wait),
            _ => Failure::Beyond(wait),
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn failures_up_to_the_limit_are_answered_and_the_next_must_wait() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        for _ in 0..FAILURES {
            assert_eq!(attempts.failed(address("192.0.2.1"), start), Failure::Within);
        }
        assert_eq!(attempts.failed(address("192.0.2.1"), start), Failure::LastKept(WINDOW));
        let later = start + WINDOW / 2;
        assert_eq!(attempts.failed(address("192.0.2.1"), later), Failure::Beyond(WINDOW / 2));
        assert_eq!(attempts.failed(address("192.0.2.2"), later), Failure::Within, "another address");
        assert_eq!(attempts.failed(address("192.0.2.1"), start + WINDOW), Failure::Within, "a new window");
    }

    #[test]
    fn an_ipv6_client_is_its_64_and_a_mapped_address_is_ipv4() {
        assert_eq!(network(address("2001:db8::1")), network(address("2001:db8::ffff:2")));
        assert_ne!(network(address("2001:db8::1")), network(address("2001:db8:0:1::1")));
        assert_eq!(network(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }

    #[test]
    fn more_addresses_than_are_remembered_count_as_one_until_old_ones_go() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let nth = |n: usize| IpAddr::from((n as u32).to_be_bytes());
        for n in 0..ADDRESSES {
            attempts.failed(nth(n), start);
        }
        for n in 0..FAILURES as usize {
            assert_eq!(attempts.failed(nth(ADDRESSES + n), start), Failure::Within);
        }
        assert_eq!(attempts.failed(nth(ADDRESSES + 99), start), Failure::LastKept(WINDOW));
        assert_eq!(attempts.counted.lock().unwrap().len(), ADDRESSES + 1);
        assert_eq!(attempts.failed(nth(ADDRESSES + 99), start + WINDOW), Failure::Within);
        assert_eq!(attempts.counted.lock().unwrap().len(), 1, "the old ones are forgotten");
    }
}
