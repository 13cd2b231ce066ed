//! One structure for the deadlines of all calls of a worker: a binary heap
//! with lazy deletion.
//!
//! A call has one live entry at most. A deadline that moves away leaves it in
//! place (it fires, and the call says when the next is due); only one that
//! comes nearer adds an entry, and the old one is skipped when it surfaces.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// What of a call its timer knows: the instant of its live entry.
#[derive(Default)]
pub(super) struct Armed(Option<Instant>);

/// Deadlines by call id.
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, u64)>>,
}

impl Timers {
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::with_capacity(1024) }
    }

    /// Makes sure that `call` fires at `deadline` or before.
    pub(super) fn arm(&mut self, call: u64, armed: &mut Armed, deadline: Instant) {
        if armed.0.is_none_or(|at| deadline < at) {
            armed.0 = Some(deadline);
            self.heap.push(Reverse((deadline, call)));
        }
    }

    /// The next entry that is due, dead ones included: ask [`Armed::fires`].
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(Instant, u64)> {
        let Reverse((at, _)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// When to wake up. Perhaps for a dead entry, which does no harm.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }
}

impl Armed {
    /// Whether the entry that surfaced is the live one; if so it is used up.
    pub(super) fn fires(&mut self, at: Instant) -> bool {
        let live = self.0 == Some(at);
        if live {
            self.0 = None;
        }
        live
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "virtual time needs a beginning")]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_call_fires_once_at_its_earliest_deadline() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let (mut timers, mut one, mut two) = (Timers::new(), Armed::default(), Armed::default());
        timers.arm(1, &mut one, at(30));
        timers.arm(1, &mut one, at(20));
        timers.arm(1, &mut one, at(40));
        timers.arm(2, &mut two, at(25));
        assert_eq!(timers.next(), Some(at(20)));
        assert_eq!(timers.pop_due(at(19)), None);

        let mut fired = Vec::new();
        while let Some((when, call)) = timers.pop_due(at(50)) {
            let armed = if call == 1 { &mut one } else { &mut two };
            if armed.fires(when) {
                fired.push((call, when));
            }
        }
        assert_eq!(fired, [(1, at(20)), (2, at(25))]);
        timers.arm(1, &mut one, at(60));
        assert_eq!(timers.next(), Some(at(60)));
    }

    #[test]
    fn a_deadline_that_moves_away_adds_no_entry() {
        let start = Instant::now();
        let (mut timers, mut armed) = (Timers::new(), Armed::default());
        for packet in 0..10_000 {
            timers.arm(1, &mut armed, start + Duration::from_millis(packet));
        }
        assert_eq!(timers.heap.len(), 1);
    }
}
