//! Looking events up.

use std::sync::Arc;
use std::time::SystemTime;

use crate::telemetry::{AccessRecord, Event, EventAction, Events};

/// Events that are looked at without letting go of the lock that the thread needs which takes new ones.
const STRIDE: usize = 1_024;

/// Which events of a zone; what is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct Sought {
    /// The zone's name.
    pub zone: String,
    /// Not before.
    pub since: Option<SystemTime>,
    /// Not after.
    pub until: Option<SystemTime>,
    /// The host, in normal form.
    pub host: Option<String>,
    /// Id of the rule that decided, or of a `log` rule that matched.
    pub rule: Option<String>,
    /// The client's certificate.
    pub certificate: Option<SoughtCertificate>,
    /// Why it is an event.
    pub action: Option<EventAction>,
    /// The one of a ray id.
    pub ray_id: Option<String>,
}

/// How a certificate is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SoughtCertificate {
    /// SHA-256 of it, lower-case hexadecimal.
    Fingerprint(String),
    /// Its serial, upper-case hexadecimal without leading zeros; in two readings if it may be decimal.
    Serial([String; 2]),
}

impl SoughtCertificate {
    /// Of a fingerprint or a serial, hexadecimal or decimal, as other parts of the API show them.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        if digits.len() == 64 {
            return Some(Self::Fingerprint(digits.to_ascii_lowercase()));
        }
        let hexadecimal = significant(&digits.to_ascii_uppercase()).to_owned();
        // Serials of other authorities can be longer, and are shown in hexadecimal only.
        let decimal = digits.parse::<u128>().map_or_else(|_| hexadecimal.clone(), |number| format!("{number:X}"));
        Some(Self::Serial([hexadecimal, decimal]))
    }

    fn is_of(&self, record: &AccessRecord) -> bool {
        let Some(certificate) = &record.certificate else { return false };
        match self {
            Self::Fingerprint(fingerprint) => certificate.fingerprint_sha256 == *fingerprint,
            Self::Serial(readings) => readings.iter().any(|serial| significant(&certificate.serial) == serial),
        }
    }
}

/// A number without leading zeros.
fn significant(digits: &str) -> &str {
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() { "0" } else { significant }
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// The events, in the order that was asked for.
    pub events: Vec<Arc<Event>>,
    /// Whether there are others.
    pub more: bool,
}

impl Sought {
    /// Whether an event is one of those.
    pub fn is(&self, record: &AccessRecord) -> bool {
        let same = |sought: &Option<String>, value: &str| sought.as_ref().is_none_or(|sought| sought == value);
        record.zone.as_deref() == Some(self.zone.as_str())
            && same(&self.host, &record.host)
            && same(&self.ray_id, &record.ray_id)
            && self.action.is_none_or(|action| record.action == Some(action))
            && self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time <= until)
            && self.rule.as_ref().is_none_or(|rule| record.rule.as_ref() == Some(rule) || record.logged.contains(rule))
            && self.certificate.as_ref().is_none_or(|certificate| certificate.is_of(record))
    }

    /// The newest `limit` of them before a number.
    pub fn find(&self, events: &Events, before: u64, limit: usize) -> Found {
        newest_first(events, before, limit, |record| self.is(record))
    }
}

/// The newest `limit` events of a kind before a number. Looks at every event in memory if few are of that kind: not for a thread that must
/// not wait.
pub fn newest_first(events: &Events, before: u64, limit: usize, is: impl Fn(&AccessRecord) -> bool) -> Found {
    let (mut found, mut before) = (Vec::new(), before);
    loop {
        let stride = events.before(before, STRIDE);
        let Some(last) = stride.last() else { return Found { events: found, more: false } };
        before = last.number;
        for event in stride.into_iter().filter(|event| is(&event.record)) {
            if found.len() == limit {
                return Found { events: found, more: true };
            }
            found.push(event);
        }
    }
}

/// The oldest `limit` events of a kind that are in memory. The same goes for it.
pub fn oldest_first(events: &Events, limit: usize, is: impl Fn(&AccessRecord) -> bool) -> Found {
    let (mut found, mut after) = (Vec::new(), 0);
    loop {
        let stride = events.after(after, STRIDE).events;
        let Some(last) = stride.last() else { return Found { events: found, more: false } };
        after = last.number;
        for event in stride.into_iter().filter(|event| is(&event.record)) {
            if found.len() == limit {
                return Found { events: found, more: true };
            }
            found.push(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::{AccessLog, blocked};

    fn sought() -> Sought {
        Sought { zone: "example.com".to_owned(), ..Sought::default() }
    }

    #[test]
    fn an_event_is_found_by_each_of_its_parts_and_by_no_other() {
        let record = AccessRecord { logged: vec!["logged".to_owned()], ..blocked("ray") };
        let moment = |change: i64| {
            Some(
                record.time.checked_add(Duration::from_secs(1)).unwrap()
                    - Duration::from_secs(u64::try_from(1 - change).unwrap()),
            )
        };
        let text = |text: &str| Some(text.to_owned());
        for (sought, expected) in [
            (sought(), true),
            (Sought { zone: "example.org".to_owned(), ..sought() }, false),
            (Sought { since: moment(0), until: moment(0), ..sought() }, true),
            (Sought { since: moment(1), ..sought() }, false),
            (Sought { until: moment(-1), ..sought() }, false),
            (Sought { host: text("api.example.com"), ..sought() }, true),
            (Sought { host: text("www.example.com"), ..sought() }, false),
            (Sought { rule: record.rule.clone(), ..sought() }, true),
            (Sought { rule: text("logged"), ..sought() }, true),
            (Sought { rule: text("other"), ..sought() }, false),
            (Sought { action: Some(EventAction::Block), ..sought() }, true),
            (Sought { action: Some(EventAction::Log), ..sought() }, false),
            (Sought { ray_id: text("ray"), ..sought() }, true),
            (Sought { ray_id: text("other"), ..sought() }, false),
            (Sought { certificate: SoughtCertificate::parse(&"ab".repeat(32)), ..sought() }, true),
            (Sought { certificate: SoughtCertificate::parse(&"ac".repeat(32)), ..sought() }, false),
        ] {
            assert_eq!(sought.is(&record), expected, "{sought:?}");
        }
        let anonymous = AccessRecord { certificate: None, ..record };
        assert!(!Sought { certificate: SoughtCertificate::parse("0A1B"), ..sought() }.is(&anonymous));
    }

    #[test]
    fn a_certificate_is_named_in_every_form_that_is_shown_somewhere() {
        let record = blocked("ray");
        for (text, expected) in [
            ("0A1B", Some(true)),
            ("a1b", Some(true)),
            ("0a:1b", Some(true)),
            ("2587", Some(true)),
            ("2588", Some(false)),
            (&"AB".repeat(32), Some(true)),
            (&"AB:".repeat(32), Some(true)),
            (&"F".repeat(40), Some(false)),
            ("", None),
            ("phone", None),
        ] {
            assert_eq!(SoughtCertificate::parse(text).map(|named| named.is_of(&record)), expected, "{text}");
        }
    }

    #[test]
    fn more_than_a_stride_is_searched_and_parts_join_without_gap() {
        let (recorder, events, writers) = Events::start(AccessLog::off(), usize::MAX, None).unwrap();
        for number in 0..2 * STRIDE {
            while !recorder.wants(Some(EventAction::Block)) {
                std::thread::yield_now();
            }
            let host = if number % 100 == 0 { "rare" } else { "common" };
            recorder.write(AccessRecord { host: host.to_owned(), ..blocked(&number.to_string()) });
        }
        drop(recorder);
        writers.into_iter().for_each(crate::telemetry::Writer::join);
        let rare = Sought { host: Some("rare".to_owned()), ..sought() };
        let mut rays = Vec::new();
        let (mut before, mut parts) = (u64::MAX, 0);
        loop {
            let found = rare.find(&events, before, 7);
            parts += 1;
            before = found.events.last().map_or(before, |event| event.number);
            rays.extend(found.events.iter().map(|event| event.record.ray_id.clone()));
            if !found.more {
                break;
            }
        }
        let expected: Vec<_> = (0..2 * STRIDE).rev().filter(|n| n % 100 == 0).map(|n| n.to_string()).collect();
        assert_eq!((rays, parts), (expected, 3), "21 events in parts of 7");
    }
}
