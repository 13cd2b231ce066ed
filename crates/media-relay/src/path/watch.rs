//! Whether a side is still there: how long it has sent nothing.
//!
//! A silent side is filled in every 20 ms, and so looked at as often: the watch needs no timer.

use std::time::{Duration, Instant};

/// Watches one side.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// How long it may be silent; zero: for ever.
    limit: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Nothing need come.
    #[default]
    Resting,
    /// Heard last, or expected from then on.
    Counting { since: Instant },
    /// Nothing came for as long as it may.
    Silent,
}

impl Watch {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, state: State::Resting }
    }

    /// Something came. True when the side had been silent.
    pub(super) fn hear(&mut self, now: Instant) -> bool {
        let before = std::mem::replace(&mut self.state, State::Counting { since: now });
        before == State::Silent
    }

    /// Nothing has come; `expected` says whether something should. True when that has lasted too
    /// long, once. After a rest it counts anew.
    pub(super) fn look(&mut self, now: Instant, expected: bool) -> bool {
        if !expected || self.limit.is_zero() {
            self.state = State::Resting;
            return false;
        }
        match self.state {
            State::Resting => self.state = State::Counting { since: now },
            State::Counting { since } if now.saturating_duration_since(since) >= self.limit => {
                self.state = State::Silent;
                return true;
            }
            State::Counting { .. } | State::Silent => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::testing::{epoch, ms};

    #[test]
    fn silence_is_told_once_and_counts_from_the_last_packet() {
        let (start, mut watch) = (epoch(), Watch::new(ms(1000)));
        assert!(!watch.look(start, true));
        assert!(!watch.hear(start + ms(900)));
        assert!(!watch.look(start + ms(1899), true));
        assert!(watch.look(start + ms(1900), true));
        assert!(!watch.look(start + ms(9000), true), "told once");
        assert!(watch.hear(start + ms(9500)), "it is back");
        assert!(!watch.hear(start + ms(9520)));
        assert!(watch.look(start + ms(10_520), true));
    }

    #[test]
    fn a_rest_counts_for_nothing() {
        let (start, mut watch) = (epoch(), Watch::new(ms(1000)));
        assert!(!watch.hear(start));
        for at in 1..100 {
            assert!(!watch.look(start + ms(at * 100), false));
        }
        assert!(!watch.look(start + ms(10_000), true), "the hold is over: it begins anew");
        assert!(!watch.look(start + ms(10_999), true));
        assert!(watch.look(start + ms(11_000), true));
        let mut off = Watch::new(Duration::ZERO);
        assert!(!off.hear(start));
        assert!((0..9).all(|at| !off.look(start + ms(at * 100_000), true)), "0 is off");
    }
}
