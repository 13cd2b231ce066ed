//! The timers of RFC 3261 table 4.

use std::time::{Duration, Instant};

/// The base values that all timers derive from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// Round-trip time estimate: 500 ms.
    pub t1: Duration,
    /// The longest interval between retransmissions of a non-INVITE request and of responses to INVITE: 4 s.
    pub t2: Duration,
    /// How long a message stays in the network: 5 s.
    pub t4: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl Timers {
    /// 64*T1: Timers B, F, H, J, L and M.
    pub fn timeout(&self) -> Duration {
        self.t1 * 64
    }

    /// Timer D, "at least 32 s" on an unreliable transport.
    pub(crate) fn linger(&self) -> Duration {
        self.timeout()
    }
}

/// A retransmission that backs off: Timers A, E and G.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    at: Instant,
    interval: Duration,
}

impl Backoff {
    /// First due after T1.
    pub(crate) fn start(now: Instant, t1: Duration) -> Self {
        Self { at: now + t1, interval: t1 }
    }

    /// Next due after a whole `interval`, at which it stays.
    pub(crate) fn settled(now: Instant, interval: Duration) -> Self {
        Self { at: now + interval, interval }
    }

    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.at <= now
    }

    /// Doubles the interval, up to `cap` if there is one.
    pub(crate) fn next(&mut self, now: Instant, cap: Option<Duration>) {
        let doubled = self.interval * 2;
        self.interval = cap.map_or(doubled, |cap| doubled.min(cap));
        self.at = now + self.interval;
    }
}
