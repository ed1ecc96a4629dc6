//! When a source is looked at.

use std::sync::Arc;
use std::time::Duration;

use super::{CrlRefusal, Crls, Entry, Way, lock};
use crate::model::{AuthorityId, CrlSource, Timestamp};
use crate::pki::CrlError;

/// How often a file is looked at; that is one question to the kernel.
pub(super) const FILE_EVERY: Duration = Duration::from_secs(2);

/// How long after a first failure a source is looked at again; each further one doubles it.
const BACK_OFF: Duration = Duration::from_secs(5);

/// What back-off of a file does not exceed.
const FILE_BACK_OFF: Duration = Duration::from_secs(30);

/// What back-off of a server does not exceed while the list that is loaded is not current.
const STALE_BACK_OFF: Duration = Duration::from_secs(60);

/// Watches what an entry asks for, unless that is being done.
pub(super) fn start(crls: &Arc<Crls>, entry: &mut Entry) {
    if !entry.watchers.is_empty() {
        return;
    }
    let (id, record) = (entry.authority.id(), entry.record.clone());
    let refresh = Duration::from_secs(record.refresh_seconds.into());
    for (way, source) in [(Way::Source, &record.source), (Way::Delta, &record.delta_source)] {
        let Some(source) = source else { continue };
        let is_file = matches!(source, CrlSource::File(_));
        let crls = Arc::downgrade(crls);
        entry.watchers.spawn(async move {
            let mut failures = 0;
            while let Some(crls) = crls.upgrade() {
                let checked = crls.check(id, way).await;
                if let Err(CrlRefusal::List(CrlError::Gap { .. })) = checked {
                    // Whatever comes of it is noted where it belongs.
                    let _ = crls.check(id, Way::Source).await;
                }
                failures = if checked.is_ok() { 0 } else { u32::saturating_add(failures, 1) };
                let wait = wait(is_file, refresh, failures, crls.until_stale(id));
                drop(crls);
                tokio::time::sleep(jittered(wait)).await;
            }
        });
    }
}

impl Crls {
    /// How long the list of an authority is current; nothing if it is not, `None` if it is for ever.
    fn until_stale(&self, id: AuthorityId) -> Option<Duration> {
        let entries = lock(&self.entries);
        let Some(crl) = entries.get(&id)?.crl.as_ref() else { return Some(Duration::ZERO) };
        let left = crl.next_update()?.unix_seconds().saturating_sub(Timestamp::now().unix_seconds());
        Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)))
    }
}

/// How long to wait before the next look.
fn wait(is_file: bool, refresh: Duration, failures: u32, until_stale: Option<Duration>) -> Duration {
    let usual = if is_file { FILE_EVERY } else { refresh };
    let is_stale = until_stale == Some(Duration::ZERO);
    if failures == 0 {
        // The next list should be there when this one ends. One that was late is asked for as often as after a failure.
        let soon = until_stale.map_or(usual, |left| left.max(STALE_BACK_OFF));
        return usual.min(soon);
    }
    let longest = match (is_file, is_stale) {
        (true, _) => FILE_BACK_OFF,
        (false, true) => STALE_BACK_OFF,
        (false, false) => refresh,
    };
    BACK_OFF.saturating_mul(2_u32.saturating_pow(failures - 1)).min(longest)
}

/// Up to a quarter less: a fleet that was started together should not ask together.
fn jittered(wait: Duration) -> Duration {
    let mut random = [0];
    // Without a random number everybody waits alike, which is no reason to stop.
    let _ = aws_lc_rs::rand::fill(&mut random);
    wait.saturating_sub(wait.mul_f64(f64::from(random[0]) / 1_024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_looked_at_as_often_as_asked_and_sooner_when_the_list_ends() {
        let seconds = Duration::from_secs;
        let hour = seconds(3_600);
        for (is_file, failures, until_stale, expected) in [
            (true, 0, None, FILE_EVERY),
            (true, 0, Some(hour), FILE_EVERY),
            (true, 0, Some(Duration::ZERO), FILE_EVERY),
            (false, 0, None, hour),
            (false, 0, Some(seconds(100_000)), hour),
            (false, 0, Some(seconds(600)), seconds(600)),
            (false, 0, Some(Duration::ZERO), STALE_BACK_OFF),
            (false, 1, None, BACK_OFF),
            (false, 2, None, BACK_OFF * 2),
            (false, 5, Some(hour), seconds(80)),
            (false, 5, Some(Duration::ZERO), STALE_BACK_OFF),
            (false, 40, Some(hour), hour),
            (false, u32::MAX, None, hour),
            (true, 2, None, BACK_OFF * 2),
            (true, 40, None, FILE_BACK_OFF),
        ] {
            let found = wait(is_file, hour, failures, until_stale);
            assert_eq!(found, expected, "file {is_file}, {failures} failures, {until_stale:?} left");
        }
    }

    #[test]
    fn jitter_takes_a_quarter_at_most() {
        let wait = Duration::from_secs(1_000);
        for _ in 0..100 {
            let found = jittered(wait);
            assert!(found <= wait && found >= wait * 3 / 4, "{found:?}");
        }
    }
}
