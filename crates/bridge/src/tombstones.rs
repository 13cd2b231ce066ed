//! Ended WhatsApp calls, remembered for a day: what comes late of them starts nothing. Pure.
//!
//! A webhook may come again for days, and in any order. A call is remembered by a 64-bit hash of its
//! id, whose secret key is drawn at the start: nobody outside can make two ids meet, and among a
//! million by chance two do once in forty million such sets.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

/// The most calls that are remembered; the oldest gives way. They take 16 bytes each in the order of
/// their ends and at most 19 in the set: 35 MB when it is full, and 35 kB for a thousand calls.
pub(crate) const MOST: usize = 1_000_000;

/// The ended calls.
#[derive(Debug)]
pub(crate) struct Tombstones {
    most: usize,
    remember: Duration,
    /// What the seconds are counted from.
    origin: Option<Instant>,
    ended: HashSet<u64>,
    /// The second of each end, the oldest first.
    order: VecDeque<(u32, u64)>,
    gave_way: u64,
}

impl Tombstones {
    pub(crate) fn new(most: usize, remember: Duration) -> Self {
        let (ended, order) = (HashSet::new(), VecDeque::new());
        Self { most: most.max(1), remember, origin: None, ended, order, gave_way: 0 }
    }

    /// From now on calls are remembered for so long.
    pub(crate) fn remember_for(&mut self, remember: Duration) {
        self.remember = remember;
    }

    /// A call has ended. Said again it is nothing new: the first end counts.
    pub(crate) fn bury(&mut self, now: Instant, call: u64) {
        self.tidy(now);
        if !self.ended.insert(call) {
            return;
        }
        while self.order.len() >= self.most
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.ended.remove(&oldest);
            self.gave_way += 1;
        }
        let second = self.second(now);
        self.order.push_back((second, call));
    }

    /// Whether the call has ended, as far as is remembered.
    pub(crate) fn knows(&mut self, now: Instant, call: u64) -> bool {
        self.tidy(now);
        self.ended.contains(&call)
    }

    /// How many are remembered, and how many had to give way before their time.
    pub(crate) fn counts(&self) -> (usize, u64) {
        (self.order.len(), self.gave_way)
    }

    /// Forgets what is old enough.
    fn tidy(&mut self, now: Instant) {
        let second = self.second(now);
        let remember = u32::try_from(self.remember.as_secs()).unwrap_or(u32::MAX);
        while let Some((ended, call)) = self.order.front()
            && second.saturating_sub(*ended) > remember
        {
            self.ended.remove(call);
            self.order.pop_front();
        }
    }

    fn second(&mut self, now: Instant) -> u32 {
        let origin = *self.origin.get_or_insert(now);
        u32::try_from(now.saturating_duration_since(origin).as_secs()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn tombstones(most: usize) -> Tombstones {
        Tombstones::new(most, 24 * HOUR)
    }

    #[test]
    fn an_ended_call_is_remembered_for_24_hours() {
        let (mut tombstones, start) = (tombstones(10), Instant::now());
        tombstones.bury(start, 1);
        tombstones.bury(start + HOUR, 2);
        assert!(tombstones.knows(start + 24 * HOUR, 1));
        assert!(!tombstones.knows(start + 24 * HOUR + Duration::from_secs(1), 1));
        assert!(tombstones.knows(start + 25 * HOUR, 2));
        assert!(!tombstones.knows(start + 26 * HOUR, 2));
        assert_eq!(tombstones.counts(), (0, 0), "nobody had to give way");
    }

    #[test]
    fn an_end_said_again_takes_no_second_place() {
        let (mut tombstones, start) = (tombstones(2), Instant::now());
        for _ in 0..5 {
            tombstones.bury(start, 1);
        }
        tombstones.bury(start, 2);
        assert!(tombstones.knows(start, 1) && tombstones.knows(start, 2));
        assert_eq!(tombstones.counts(), (2, 0));
    }

    #[test]
    fn the_oldest_gives_way_and_is_counted() {
        let (mut tombstones, start) = (tombstones(3), Instant::now());
        for call in 0..5 {
            tombstones.bury(start, call);
        }
        assert_eq!(
            (0..5).map(|call| tombstones.knows(start, call)).collect::<Vec<_>>(),
            [false, false, true, true, true]
        );
        assert_eq!(tombstones.counts(), (3, 2));
    }

    #[test]
    fn a_shorter_memory_holds_from_the_reload_on() {
        let (mut tombstones, start) = (tombstones(3), Instant::now());
        tombstones.bury(start, 1);
        tombstones.remember_for(HOUR);
        assert!(tombstones.knows(start + HOUR, 1));
        assert!(!tombstones.knows(start + 2 * HOUR, 1));
    }

    #[test]
    fn a_million_calls_take_no_more_than_what_is_said() {
        let (mut tombstones, start) = (tombstones(MOST), Instant::now());
        for call in 0..MOST as u64 + 1000 {
            tombstones.bury(start, call);
        }
        assert_eq!(tombstones.counts(), (MOST, 1000));
        let order = tombstones.order.capacity() * size_of::<(u32, u64)>();
        // The set keeps a byte beside each place, and a seventh of its places free.
        let set = (tombstones.ended.capacity() * 8 / 7) * (size_of::<u64>() + 1);
        assert!(order + set <= 36_000_000, "{order} + {set}");
    }
}
