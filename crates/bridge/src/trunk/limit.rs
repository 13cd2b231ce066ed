//! How many calls may be at a time, and how many may begin in a second.

use std::time::{Duration, Instant};

use crate::call::cause::Cause;

/// How many calls there may be; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// At a time.
    pub calls: u32,
    /// That begin in a second.
    pub calls_per_second: u32,
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// As many calls as may be are there.
    Calls,
    /// Too many began in this second.
    Rate,
}

impl From<Full> for Cause {
    fn from(full: Full) -> Self {
        match full {
            Full::Calls => Self::TooManyCalls,
            Full::Rate => Self::TooManyCallsPerSecond,
        }
    }
}

/// Counts the calls of a trunk, or of all of them.
#[derive(Debug)]
pub struct Gate {
    limits: Limits,
    calls: u32,
    /// When the bucket of the rate will be empty of calls: each adds its share of a second.
    drained: Option<Instant>,
}

/// What a bucket holds: the calls of one second may come at once.
const BURST: Duration = Duration::from_secs(1);

impl Gate {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, calls: 0, drained: None }
    }

    /// Other limits; the calls that are there stay counted.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether one more call fits. OPTIONS is answered 503 where none does, so that the PBX routes
    /// elsewhere.
    ///
    /// # Errors
    /// Why it does not fit.
    pub fn check(&self, now: Instant) -> Result<(), Full> {
        if self.limits.calls != 0 && self.calls >= self.limits.calls {
            return Err(Full::Calls);
        }
        let level = self.drained.map_or(Duration::ZERO, |drained| drained.saturating_duration_since(now));
        match self.share() {
            Some(share) if level + share > BURST => Err(Full::Rate),
            Some(_) | None => Ok(()),
        }
    }

    /// Counts a call that begins.
    fn take(&mut self, now: Instant) {
        self.calls = self.calls.saturating_add(1);
        if let Some(share) = self.share() {
            let begins = self.drained.map_or(now, |drained| drained.max(now));
            self.drained = Some(begins + share);
        }
    }

    /// A call has ended.
    pub fn release(&mut self) {
        self.calls = self.calls.saturating_sub(1);
    }

    /// How many calls there are.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.calls
    }

    fn share(&self) -> Option<Duration> {
        BURST.checked_div(self.limits.calls_per_second)
    }
}

/// Lets a call through all gates, or through none: one that is refused by the second takes nothing of
/// the first.
///
/// # Errors
/// Why it is refused.
pub fn admit(now: Instant, gates: &mut [&mut Gate]) -> Result<(), Full> {
    gates.iter().try_for_each(|gate| gate.check(now))?;
    gates.iter_mut().for_each(|gate| gate.take(now));
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    fn gate(calls: u32, calls_per_second: u32) -> Gate {
        Gate::new(Limits { calls, calls_per_second })
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn no_more_calls_than_may_be() {
        let (now, mut gate) = (start(), gate(2, 0));
        let mut one = || admit(now, &mut [&mut gate]);
        assert_eq!([one(), one(), one()], [Ok(()), Ok(()), Err(Full::Calls)]);
        gate.release();
        assert_eq!(gate.check(now), Ok(()));
        assert_eq!(gate.calls(), 1);
    }

    #[test]
    fn the_calls_of_a_second_may_come_at_once_and_then_one_by_one() {
        let (now, mut gate) = (start(), gate(0, 4));
        let mut at = |after: Duration| admit(now + after, &mut [&mut gate]).is_ok();
        assert_eq!([(); 5].map(|()| at(Duration::ZERO)), [true, true, true, true, false]);
        assert!(!at(SECOND / 4 - Duration::from_millis(1)));
        assert!(at(SECOND / 4) && !at(SECOND / 4));
        // A pause fills it again, and no further.
        assert_eq!([(); 5].map(|()| at(60 * SECOND)), [true, true, true, true, false]);
    }

    #[test]
    fn zero_is_no_limit() {
        let (now, mut gate) = (start(), gate(0, 0));
        assert!((0..10_000).all(|_| admit(now, &mut [&mut gate]).is_ok()));
    }

    #[test]
    fn a_refused_call_takes_nothing_of_the_other_gate() {
        let (now, mut trunk, mut whole) = (start(), gate(0, 10), gate(1, 0));
        assert!(admit(now, &mut [&mut trunk, &mut whole]).is_ok());
        for _ in 0..20 {
            assert_eq!(admit(now, &mut [&mut trunk, &mut whole]), Err(Full::Calls));
        }
        assert_eq!(trunk.calls(), 1);
        assert_eq!(trunk.check(now), Ok(()));
    }

    #[test]
    fn each_refusal_is_a_503_with_retry_after() {
        for full in [Full::Calls, Full::Rate] {
            let row = Cause::from(full).row();
            assert!(row.status == 503 && row.retry_after.is_some(), "{row:?}");
        }
    }

    proptest! {
        #[test]
        fn a_rate_holds_over_any_window(
            rate in 1_u32..50,
            gaps in proptest::collection::vec(0_u64..400, 1..300),
        ) {
            let (start, mut gate) = (start(), gate(0, rate));
            let mut now = start;
            let mut admitted = 0_u32;
            for gap in gaps {
                now += Duration::from_millis(gap);
                admitted += u32::from(admit(now, &mut [&mut gate]).is_ok());
                let seconds = (now - start).as_secs_f64();
                // One over, for the share of a second is rounded down.
                prop_assert!(f64::from(admitted) <= f64::from(rate) * (1.0 + seconds) + 1.0);
            }
        }
    }
}
