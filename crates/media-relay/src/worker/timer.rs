//! One structure for the deadlines of all calls of a worker: a binary heap
//! with lazy deletion.
//!
//! A call has one live entry at most. A deadline that moves away leaves it in
//! place until it surfaces, and moves it then: nobody is woken for it. Only
//! one that comes nearer adds an entry, and the old one is dropped when it surfaces.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::time::Instant;

/// What of a call its timer knows.
#[derive(Default)]
pub(super) struct Armed {
    /// Of its live entry.
    entry: Option<Instant>,
    /// Its deadline.
    wanted: Option<Instant>,
}

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
        armed.wanted = Some(deadline);
        if armed.entry.is_none_or(|at| deadline < at) {
            armed.entry = Some(deadline);
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

    /// When to wake up. `wanted` says when a call's entry of an instant is really due.
    pub(super) fn next(
        &mut self,
        mut wanted: impl FnMut(u64, Instant) -> Option<Instant>,
    ) -> Option<Instant> {
        loop {
            let mut top = self.heap.peek_mut()?;
            let Reverse((at, call)) = *top;
            match wanted(call, at) {
                Some(due) if due > at => *top = Reverse((due, call)),
                Some(_) => return Some(at),
                None => drop(PeekMut::pop(top)),
            }
        }
    }
}

impl Armed {
    /// Whether the entry that surfaced is the live one; if so it is used up.
    pub(super) fn fires(&mut self, at: Instant) -> bool {
        let live = self.entry == Some(at);
        if live {
            *self = Self::default();
        }
        live
    }

    /// An entry of this instant has surfaced: when it is due. `None` when it is not the live one.
    pub(super) fn surfaces(&mut self, at: Instant) -> Option<Instant> {
        if self.entry != Some(at) {
            return None;
        }
        self.entry = self.wanted.max(self.entry);
        self.entry
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
        assert_eq!(timers.next(|_, at| Some(at)), Some(at(20)));
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
        assert_eq!(timers.next(|_, at| one.surfaces(at)), Some(at(60)));
    }

    #[test]
    fn nobody_is_woken_for_a_deadline_that_has_moved_away() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let (mut timers, mut armed) = (Timers::new(), [Armed::default(), Armed::default()]);
        timers.arm(0, &mut armed[0], at(20));
        timers.arm(0, &mut armed[0], at(50));
        timers.arm(1, &mut armed[1], at(40));
        timers.arm(1, &mut armed[1], at(30));
        timers.arm(1, &mut armed[1], at(70));
        let mut next = || timers.next(|call, at| armed[call as usize].surfaces(at));
        assert_eq!(next(), Some(at(50)));
        assert_eq!(next(), Some(at(50)));
        assert_eq!(timers.pop_due(at(60)), Some((at(50), 0)));
        assert!(armed[0].fires(at(50)));
        let next = timers.next(|call, at| armed[call as usize].surfaces(at));
        assert_eq!(next, Some(at(70)));
        assert_eq!(timers.heap.len(), 1);
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
