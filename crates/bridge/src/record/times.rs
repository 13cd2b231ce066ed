//! The times of a call: one reading of the wall clock at its begin, and the monotonic clock for all the
//! rest. A wall clock that jumps meanwhile moves nothing. Pure.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::call::action::Outcome;

/// When things happened, since 1970, and how long they took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) began: Duration,
    pub(super) rang: Option<Duration>,
    pub(super) answered: Option<Duration>,
    pub(super) ended: Duration,
    /// Until it rang, or what came in its place.
    pub(super) setup: Duration,
    pub(super) ringing: Option<Duration>,
    pub(super) talk: Option<Duration>,
}

impl Times {
    /// `wall` is what the wall clock said when the call began.
    pub(super) fn of(wall: Duration, outcome: &Outcome) -> Self {
        let Outcome { began, rang, answered, ended, .. } = *outcome;
        let on_wall = |at: Instant| wall.saturating_add(at.saturating_duration_since(began));
        // Never later than the answer or the end: ringing may be reported late.
        let until = answered.unwrap_or(ended);
        let rang = rang.map(|at| at.min(until));
        Self {
            began: wall,
            rang: rang.map(on_wall),
            answered: answered.map(on_wall),
            ended: on_wall(ended),
            setup: rang.unwrap_or(until).saturating_duration_since(began),
            ringing: rang.map(|at| until.saturating_duration_since(at)),
            talk: answered.map(|at| ended.saturating_duration_since(at)),
        }
    }
}

/// RFC 3339, UTC, with milliseconds. A time that no calendar has is the begin of 1970.
pub(super) fn rfc3339(since_1970: Duration) -> String {
    let milliseconds = i64::try_from(since_1970.as_millis()).unwrap_or(0);
    let at = Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{at:.3}")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]

    use super::*;
    use crate::call::cause::Cause;

    const WALL: Duration = Duration::from_millis(1_795_325_158_123);

    fn after(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Of what happened so many seconds after the begin.
    fn outcome(rang: Option<u64>, answered: Option<u64>, ended: u64) -> Outcome {
        let began = Instant::now() + after(1000);
        let at = |seconds: u64| began + after(seconds);
        Outcome {
            cause: Cause::UserHungUp,
            began,
            rang: rang.map(at),
            answered: answered.map(at),
            ended: at(ended),
            whatsapp_ended: true,
        }
    }

    #[test]
    fn a_time_is_rfc_3339_with_milliseconds() {
        assert_eq!(rfc3339(WALL), "2026-11-22T05:25:58.123Z");
        assert_eq!(rfc3339(Duration::ZERO), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(Duration::MAX), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn durations_are_those_between_ringing_answer_and_end() {
        let times = Times::of(WALL, &outcome(Some(2), Some(7), 67));
        assert_eq!((times.setup, times.ringing, times.talk), (after(2), Some(after(5)), Some(after(60))));
        assert_eq!(times.ended, WALL + after(67));
        let times = Times::of(WALL, &outcome(None, None, 3));
        assert_eq!((times.setup, times.ringing, times.talk), (after(3), None, None));
        let times = Times::of(WALL, &outcome(None, Some(4), 9));
        assert_eq!((times.setup, times.ringing, times.talk), (after(4), None, Some(after(5))));
        let times = Times::of(WALL, &outcome(Some(1), None, 31));
        assert_eq!((times.setup, times.ringing, times.talk), (after(1), Some(after(30)), None));
    }

    /// The wall clock is read once, at the begin; whatever it says later is not asked for.
    #[test]
    fn failure_27_a_wall_clock_that_jumps_makes_no_duration_longer_or_negative() {
        let outcome = outcome(Some(2), Some(7), 67);
        for wall in [Duration::ZERO, after(1), WALL - after(86_400), WALL, WALL + after(86_400)] {
            let times = Times::of(wall, &outcome);
            assert_eq!((times.setup, times.ringing, times.talk), (after(2), Some(after(5)), Some(after(60))));
            assert_eq!((times.began, times.ended), (wall, wall + after(67)));
            assert!(times.rang <= times.answered && times.answered <= Some(times.ended));
        }
    }

    #[test]
    fn what_was_told_in_another_order_gives_no_negative_duration() {
        let times = Times::of(WALL, &outcome(Some(9), Some(7), 5));
        assert_eq!((times.setup, times.ringing, times.talk), (after(7), Some(after(0)), Some(after(0))));
        assert_eq!(Times::of(WALL, &outcome(Some(9), None, 5)).ringing, Some(after(0)));
    }
}
