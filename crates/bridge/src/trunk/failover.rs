//! Whether a refused INVITE goes to the next target, and how long a target is left alone.
//!
//! A call moves on only when the target itself failed, and never after an 18x: then somebody's phone
//! has rung, and another one would ring for the same call.

use std::time::{Duration, Instant};

use super::target::Destination;

/// Statuses that may be configured to move a call on. Busy (486, 600), decline (603), not found (404)
/// and the like are an answer for the call, and every target would give the same.
pub const MAY_MOVE_ON: [u16; 6] = [408, 480, 500, 502, 503, 504];
/// Longest that a target is left alone, whatever its `Retry-After` says.
pub const LONGEST_REST: Duration = Duration::from_secs(3600);
/// Most targets that rest at a time, for all trunks. When it is full, the one that would be back
/// first is tried again.
const MAX_RESTS: usize = 256;

/// When a call goes to the next target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long a target may say nothing at all.
    pub silence: Duration,
    /// The statuses that move a call on; only those of [`MAY_MOVE_ON`] count.
    pub on: Vec<u16>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { silence: Duration::from_secs(4), on: vec![500, 502, 503, 504] }
    }
}

/// Why an INVITE failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A final response.
    Status {
        /// Its code, 300 to 699.
        status: u16,
        /// Its `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// No response at all within [`Policy::silence`].
    Silence,
    /// The transaction timed out (RFC 3261 timer B).
    Timeout,
    /// It could not be sent, or its connection broke.
    Transport,
}

/// What follows from a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the call tries the next target.
    pub next: bool,
    /// How long this target is left alone.
    pub rest: Option<Duration>,
}

impl Policy {
    /// What follows from a refusal; `has_rung` says whether an 18x came before it.
    #[must_use]
    pub fn verdict(&self, refusal: Refusal, has_rung: bool) -> Verdict {
        let (fails, rest) = match refusal {
            // Without Retry-After a 503 is like a 500 (RFC 3261 21.5.4).
            Refusal::Status { status, retry_after } => (
                MAY_MOVE_ON.contains(&status) && self.on.contains(&status),
                retry_after.filter(|_| status == 503).map(|rest| rest.min(LONGEST_REST)),
            ),
            Refusal::Silence | Refusal::Timeout | Refusal::Transport => (true, None),
        };
        Verdict { next: fails && !has_rung, rest: rest.filter(|rest| !rest.is_zero()) }
    }
}

/// The targets that asked to be left alone.
#[derive(Debug, Default)]
pub struct Rests {
    until: Vec<(Destination, Instant)>,
}

impl Rests {
    /// Leaves a target alone for `rest`.
    pub fn rest(&mut self, now: Instant, destination: Destination, rest: Duration) {
        self.until.retain(|(other, until)| *until > now && *other != destination);
        if self.until.len() >= MAX_RESTS {
            let first = self.until.iter().enumerate().min_by_key(|(_, (_, until))| *until);
            if let Some((index, _)) = first {
                self.until.swap_remove(index);
            }
        }
        self.until.push((destination, now + rest.min(LONGEST_REST)));
    }

    /// Whether a target is to be left alone.
    #[must_use]
    pub fn is_resting(&self, now: Instant, destination: &Destination) -> bool {
        self.until.iter().any(|(other, until)| other == destination && *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trunk::target::Target;

    fn status(status: u16) -> Refusal {
        Refusal::Status { status, retry_after: None }
    }

    fn destination(text: &str) -> Destination {
        text.parse::<Target>().ok().and_then(|target| target.literal()).expect(text)
    }

    #[test]
    fn a_failing_target_moves_the_call_on_and_an_answer_does_not() {
        let policy = Policy::default();
        for refusal in [Refusal::Silence, Refusal::Timeout, Refusal::Transport] {
            assert!(policy.verdict(refusal, false).next, "{refusal:?}");
        }
        for moves_on in [500, 502, 503, 504] {
            assert!(policy.verdict(status(moves_on), false).next, "{moves_on}");
        }
        let answers = [
            302, 400, 401, 403, 404, 408, 480, 481, 484, 486, 487, 488, 491, 501, 505, 513, 600, 603, 604,
            606,
        ];
        for answer in answers {
            assert!(!policy.verdict(status(answer), false).next, "{answer}");
        }
    }

    #[test]
    fn busy_and_decline_never_move_a_call_on_even_if_listed() {
        let policy = Policy { on: vec![408, 480, 486, 600, 603, 404], ..Policy::default() };
        let moved: Vec<_> = (300..700).filter(|code| policy.verdict(status(*code), false).next).collect();
        assert_eq!(moved, [408, 480]);
    }

    #[test]
    fn no_second_phone_rings_after_an_18x() {
        let policy = Policy { on: MAY_MOVE_ON.to_vec(), ..Policy::default() };
        for refusal in [Refusal::Silence, Refusal::Timeout, Refusal::Transport, status(503), status(480)] {
            assert!(!policy.verdict(refusal, true).next, "{refusal:?}");
        }
    }

    #[test]
    fn a_503_with_retry_after_rests_its_target_for_that_time_and_not_for_ever() {
        let policy = Policy::default();
        let rest = |status, seconds| {
            let retry_after = Some(Duration::from_secs(seconds));
            policy.verdict(Refusal::Status { status, retry_after }, false).rest.map(|rest| rest.as_secs())
        };
        assert_eq!(rest(503, 30), Some(30));
        assert_eq!(rest(503, 0), None);
        assert_eq!(rest(503, u64::MAX), Some(3600));
        assert_eq!(rest(500, 30), None);
        assert_eq!(rest(486, 30), None, "a busy phone is not a busy PBX");
        let rung = policy.verdict(Refusal::Status { status: 503, retry_after: Some(LONGEST_REST) }, true);
        assert_eq!(rung, Verdict { next: false, rest: Some(LONGEST_REST) });
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
    fn a_rest_ends() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let (one, other) = (destination("10.0.0.1"), destination("10.0.0.2"));
        let mut rests = Rests::default();
        rests.rest(now, one.clone(), 10 * second);
        assert!(rests.is_resting(now + 9 * second, &one) && !rests.is_resting(now, &other));
        assert!(!rests.is_resting(now + 10 * second, &one));
        rests.rest(now, one.clone(), second);
        assert!(!rests.is_resting(now + second, &one), "the last word counts");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
    fn rests_are_bounded() {
        let now = Instant::now();
        let mut rests = Rests::default();
        let target = |n: usize| destination(&format!("10.0.{}.{}", n / 250, n % 250 + 1));
        for n in 0..MAX_RESTS + 10 {
            rests.rest(now, target(n), Duration::from_secs(100 + n as u64));
        }
        assert_eq!(rests.until.len(), MAX_RESTS);
        assert!(!rests.is_resting(now, &target(0)) && rests.is_resting(now, &target(MAX_RESTS + 9)));
    }
}
