//! How old a webhook is, and whether WhatsApp's clock and ours agree. Pure.
//!
//! What lies in the future is taken as now: clocks differ. That they do is said, since a clock of ours
//! that is fast makes every caller look as if they had called too long ago.

use std::time::{Duration, Instant};

/// How far the clocks may differ before somebody is told.
const AGREE: Duration = Duration::from_secs(60);
/// How often that is told at most.
const PAUSE: Duration = Duration::from_secs(3600);
/// So many webhooks, every one of them older than [`AGREE`], and it is not the delivery that is slow.
const ENOUGH: u32 = 10;

/// How old something is that was stamped in UNIX seconds; nothing when it lies in the future.
pub(crate) fn age(wall: Duration, stamp: u64) -> Duration {
    wall.saturating_sub(Duration::from_secs(stamp))
}

/// Whether a call that began then is too old to ring anybody. One without a stamp is not.
pub(crate) fn is_stale(wall: Duration, stamp: Option<u64>, limit: Duration) -> bool {
    stamp.is_some_and(|stamp| age(wall, stamp).as_secs() > limit.as_secs())
}

/// How the clocks differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skew {
    /// WhatsApp's clock is so far ahead of ours.
    Ahead(Duration),
    /// Our clock is so far ahead of WhatsApp's, or every webhook comes so late.
    Behind(Duration),
}

/// What is known of the clocks.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    told: Option<Instant>,
    late: u32,
    least_late: Duration,
}

impl Clocks {
    /// A webhook came. What it says of the clocks, once an hour.
    pub(crate) fn hear(&mut self, now: Instant, wall: Duration, stamp: u64) -> Option<Skew> {
        let ahead = Duration::from_secs(stamp).saturating_sub(wall);
        let late = age(wall, stamp);
        if late > AGREE {
            self.least_late = if self.late == 0 { late } else { self.least_late.min(late) };
            self.late = self.late.saturating_add(1);
        } else {
            self.late = 0;
        }
        let skew = if ahead > AGREE {
            Skew::Ahead(ahead)
        } else if self.late >= ENOUGH {
            Skew::Behind(self.least_late)
        } else {
            return None;
        };
        if self.told.is_some_and(|told| now < told + PAUSE) {
            return None;
        }
        self.told = Some(now);
        Some(skew)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    /// Our wall clock: any time.
    const WALL: Duration = Duration::from_secs(1_800_000_000);

    fn stamp(seconds: i64) -> u64 {
        WALL.as_secs().checked_add_signed(seconds).expect("a time")
    }

    #[test]
    fn a_connect_older_than_the_limit_is_stale() {
        let stale = |seconds| is_stale(WALL, Some(stamp(seconds)), 45 * SECOND);
        assert!(!stale(-20));
        assert!(!stale(-45));
        assert!(stale(-46));
        assert!(stale(-120));
        assert!(is_stale(WALL, Some(0), 45 * SECOND));
        assert!(!is_stale(WALL, None, 45 * SECOND));
    }

    #[test]
    fn a_timestamp_in_the_far_future_is_taken_as_now() {
        for future in [stamp(300), stamp(1_000_000), u64::MAX] {
            assert!(!is_stale(WALL, Some(future), 45 * SECOND));
            assert_eq!(age(WALL, future), Duration::ZERO);
        }
    }

    #[test]
    fn a_clock_that_is_ahead_by_more_than_a_minute_is_told_of_once_an_hour() {
        let (mut clocks, start) = (Clocks::default(), Instant::now());
        assert_eq!(clocks.hear(start, WALL, stamp(60)), None);
        assert_eq!(clocks.hear(start, WALL, stamp(61)), Some(Skew::Ahead(61 * SECOND)));
        assert_eq!(clocks.hear(start + 3599 * SECOND, WALL, stamp(300)), None);
        assert_eq!(clocks.hear(start + 3600 * SECOND, WALL, stamp(300)), Some(Skew::Ahead(300 * SECOND)));
        assert!(clocks.hear(start + 9000 * SECOND, WALL, u64::MAX).is_some(), "whatever is sent");
    }

    #[test]
    fn webhooks_that_are_all_late_speak_of_our_clock_and_one_does_not() {
        let (mut clocks, start) = (Clocks::default(), Instant::now());
        for _ in 0..ENOUGH - 1 {
            assert_eq!(clocks.hear(start, WALL, stamp(-90)), None, "a webhook that was sent again");
        }
        assert_eq!(clocks.hear(start, WALL, stamp(-1)), None, "the clocks agree");
        for _ in 0..ENOUGH - 1 {
            assert_eq!(clocks.hear(start, WALL, stamp(-300)), None);
        }
        assert_eq!(clocks.hear(start, WALL, stamp(-90)), Some(Skew::Behind(90 * SECOND)));
        assert_eq!(clocks.hear(start, WALL, stamp(-90)), None, "told");
    }
}
