//! How long spliced connections are silent, by a clock that this process sets for XDP.

use std::time::Duration;

/// The clock of XDP that was not set for so long has stopped: nobody was there to set it.
const LATE: Duration = Duration::from_secs(10);

/// Since when the clock of XDP goes. All times are the kernel's monotonic ones.
#[derive(Debug)]
pub(super) struct Watch {
    /// When it was set last.
    set: Duration,
    /// Since when it was set about every second. What was heard before this is not known: nothing is taken for silent since longer.
    since: Duration,
}

impl Watch {
    /// It goes from now on.
    pub(super) fn begin(now: Duration) -> Self {
        Self { set: now, since: now }
    }

    /// It is set now.
    pub(super) fn set(&mut self, now: Duration) {
        if now.saturating_sub(self.set) > LATE {
            self.since = now;
        }
        self.set = now;
    }

    /// How long what was heard of at this time of XDP's clock has been silent.
    pub(super) fn silence(&self, now: Duration, heard: Duration) -> Duration {
        now.saturating_sub(heard.max(self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_stood_still_is_no_silence() {
        let seconds = Duration::from_secs;
        let mut watch = Watch::begin(seconds(100));
        assert_eq!(watch.silence(seconds(100), seconds(7)), seconds(0), "heard of under another process");
        for now in 101..=160 {
            watch.set(seconds(now));
        }
        assert_eq!(watch.silence(seconds(160), seconds(7)), seconds(60));
        assert_eq!(watch.silence(seconds(160), seconds(150)), seconds(10));
        // As late as it may be is not late.
        watch.set(seconds(160) + LATE);
        assert_eq!(watch.silence(seconds(170), seconds(150)), seconds(20));
        let late = seconds(171) + LATE;
        watch.set(late);
        assert_eq!(watch.silence(late, seconds(150)), seconds(0), "whoever spoke meanwhile was not heard");
        assert_eq!(watch.silence(late + seconds(5), seconds(150)), seconds(5));
    }
}
