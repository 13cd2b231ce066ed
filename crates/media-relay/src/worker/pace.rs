//! How long a worker rests after a turn. With few calls not at all: a packet is passed on as it comes.
//! With many, each packet would wake the worker by itself, and the waking costs more than the packet:
//! then it looks at its sockets once in a while, and takes all that has come.

use std::time::{Duration, Instant};

/// The load is counted over this.
const WINDOW: Duration = Duration::from_millis(20);
/// Ready sockets in a window from which on it rests: a packet each way of 100 calls.
const BUSY: usize = 200;
/// Below this it stops resting, so that a load at the edge does not go to and fro.
const CALM: usize = 150;
/// From waking up to waking up. What a packet waits for is half of it in the mean, and with what the
/// kernel adds to a sleep (50 us) half a millisecond at the most.
const ROUND: Duration = Duration::from_micros(450);

/// The pace of one worker.
pub(super) struct Pace {
    since: Instant,
    /// Ready sockets in this window so far.
    ready: usize,
    busy: bool,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, ready: 0, busy: false }
    }

    /// A turn that began at `woken` with so many ready sockets ends `now`: how long to rest before the next.
    pub(super) fn rest(&mut self, woken: Instant, now: Instant, ready: usize) -> Option<Duration> {
        self.ready += ready;
        if now.saturating_duration_since(self.since) >= WINDOW {
            self.busy = self.ready >= if self.busy { CALM } else { BUSY };
            self.since = now;
            self.ready = 0;
        }
        let left = ROUND.saturating_sub(now.saturating_duration_since(woken));
        (self.busy && !left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "virtual time needs a beginning")]
mod tests {
    use super::*;

    /// Rests a second of turns of 1 ms with so many packets each.
    fn rests(pace: &mut Pace, now: &mut Instant, packets: usize) -> usize {
        let turn = |_: &usize| {
            let woken = *now;
            *now += Duration::from_millis(1);
            pace.rest(woken, woken + Duration::from_micros(50), packets) == Some(Duration::from_micros(400))
        };
        (0..1000).filter(turn).count()
    }

    #[test]
    fn wake_ups_are_put_together_above_a_hundred_calls() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        assert_eq!(rests(&mut pace, &mut now, 9), 0, "90 calls: 9 packets a millisecond");
        assert!(rests(&mut pace, &mut now, 11) > 970, "110 calls");
        assert!(rests(&mut pace, &mut now, 9) == 1000, "90 after more");
        assert!(rests(&mut pace, &mut now, 5) <= 21, "50 calls: it ends with the window");
    }

    #[test]
    fn a_turn_that_took_as_long_as_a_round_is_followed_at_once() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let later = start + WINDOW;
        assert_eq!(pace.rest(later - ROUND, later, BUSY), None);
        assert_eq!(pace.rest(later, later + ROUND / 2, 1), Some(ROUND / 2));
        assert_eq!(pace.rest(later, later + 2 * ROUND, 1), None);
    }
}
