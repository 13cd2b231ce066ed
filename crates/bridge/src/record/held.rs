//! Records that wait for WhatsApp's last word. Pure.
//!
//! When the PBX hangs up, the call is over before WhatsApp has told how long it lasted, for its own bill.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::schema::Record;

/// How long WhatsApp's last webhook is waited for.
const HOLD: Duration = Duration::from_secs(5);
/// The most records that wait; then the oldest go as they are.
const MOST: usize = 10_000;

/// The records that wait, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Held {
    records: VecDeque<(Instant, Record)>,
}

impl Held {
    /// Whether WhatsApp still has something to say: of calls that were answered, and not yet by it.
    pub(super) fn is_worth_it(record: &Record) -> bool {
        let is_told = record.whatsapp_duration_s.is_some() || record.whatsapp_end.is_some();
        record.wacid.is_some() && record.answered_at.is_some() && record.whatsapp_ended && !is_told
    }

    /// Keeps a record; gives the one that has to give way.
    pub(super) fn hold(&mut self, now: Instant, record: Record) -> Option<Record> {
        self.records.push_back((now + HOLD, record));
        (self.records.len() > MOST).then(|| self.records.pop_front()).flatten().map(|(_, record)| record)
    }

    /// The record of this WhatsApp call.
    pub(super) fn take(&mut self, wacid: &str) -> Option<Record> {
        let at = self.records.iter().position(|(_, record)| record.wacid.as_deref() == Some(wacid))?;
        self.records.remove(at).map(|(_, record)| record)
    }

    /// Those that have waited for long enough.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Record> {
        let count = self.records.iter().take_while(|(due, _)| *due <= now).count();
        self.records.drain(..count).map(|(_, record)| record).collect()
    }

    /// All of them.
    pub(super) fn all(&mut self) -> Vec<Record> {
        self.records.drain(..).map(|(_, record)| record).collect()
    }

    /// When the next is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.records.front().map(|(due, _)| *due)
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]

    use super::*;

    fn record(wacid: &str) -> Record {
        let answered_at = Some("2026-11-22T05:25:58.123Z".to_owned());
        Record { wacid: Some(wacid.to_owned()), answered_at, whatsapp_ended: true, ..Record::default() }
    }

    #[test]
    fn a_record_waits_for_its_webhook_and_no_longer_than_the_limit() {
        let (mut held, now) = (Held::default(), Instant::now());
        for wacid in ["a", "b", "c"] {
            assert!(held.hold(now, record(wacid)).is_none());
        }
        assert_eq!(held.take("b"), Some(record("b")));
        assert_eq!(held.take("b"), None);
        assert!(held.due(now).is_empty());
        assert_eq!(held.next_due(), Some(now + HOLD));
        assert_eq!(held.due(now + HOLD), [record("a"), record("c")]);
        assert_eq!(held.len(), 0);
    }

    #[test]
    fn only_an_answered_call_whose_length_is_not_told_waits() {
        assert!(Held::is_worth_it(&record("a")));
        let told = Record { whatsapp_duration_s: Some(5), ..record("a") };
        let unanswered = Record { answered_at: None, ..record("a") };
        let refused = Record { wacid: None, ..record("a") };
        let open = Record { whatsapp_ended: false, ..record("a") };
        assert!([told, unanswered, refused, open].iter().all(|record| !Held::is_worth_it(record)));
    }

    #[test]
    fn the_oldest_goes_as_it_is_when_too_many_wait() {
        let (mut held, now) = (Held::default(), Instant::now());
        let gone: Vec<_> = (0..=MOST).filter_map(|at| held.hold(now, record(&at.to_string()))).collect();
        assert_eq!(gone, [record("0")]);
        assert_eq!(held.len(), MOST);
    }
}
