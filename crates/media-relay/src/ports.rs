//! The ports of one side: taken in turn, and left to rest before they are
//! taken again, so that the late packets of one call do not reach the next.
#![expect(clippy::disallowed_methods, reason = "a port rests from the moment its socket closes")]

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many ports of a range a call tries to bind: many may belong to another process, such as an
/// older bridge that still serves its last calls. A try costs some microseconds.
pub(crate) const BIND_ATTEMPTS: usize = 1024;

struct Resting {
    port: u16,
    /// Not before: `None` if it has not been used yet.
    until: Option<Instant>,
}

/// The ports of one side. Used at the beginning and end of calls only.
pub(crate) struct PortPool {
    /// In the order in which they are ready: all rest equally long.
    free: Mutex<VecDeque<Resting>>,
    rest: Duration,
}

impl PortPool {
    /// Every port of the range.
    pub(crate) fn single(range: &RangeInclusive<u16>, rest: Duration) -> Arc<Self> {
        Self::of(range.clone(), rest)
    }

    /// The even ports whose odd neighbour is in the range too: RTP takes the
    /// even one, and RTCP of peers without rtcp-mux owns the odd one (RFC 3550 11).
    pub(crate) fn pairs(range: &RangeInclusive<u16>, rest: Duration) -> Arc<Self> {
        let last = *range.end();
        let even = range.clone().filter(move |port| port % 2 == 0 && *port < last);
        Self::of(even, rest)
    }

    fn of(ports: impl Iterator<Item = u16>, rest: Duration) -> Arc<Self> {
        let fresh = |port| Resting { port, until: None };
        let free = ports.filter(|port| *port != 0).map(fresh).collect();
        Arc::new(Self { free: Mutex::new(free), rest })
    }

    /// How many ports are there, resting or not.
    pub(crate) fn len(&self) -> usize {
        self.free().len()
    }

    /// The port that has rested longest.
    pub(crate) fn take(self: &Arc<Self>) -> Option<PortLease> {
        let port = self.take_at(Instant::now())?;
        Some(PortLease { pool: Arc::clone(self), port })
    }

    fn take_at(&self, now: Instant) -> Option<u16> {
        let mut free = self.free();
        let ready = |resting: &Resting| resting.until.is_none_or(|until| until <= now);
        if !free.front().is_some_and(ready) {
            return None;
        }
        free.pop_front().map(|resting| resting.port)
    }

    fn give_back(&self, port: u16, now: Instant) {
        let until = Some(now + self.rest);
        self.free().push_back(Resting { port, until });
    }

    fn free(&self) -> std::sync::MutexGuard<'_, VecDeque<Resting>> {
        // Nothing here panics halfway: the queue is whole even if poisoned.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port in use; it goes to rest when dropped. Drop it after its socket.
pub(crate) struct PortLease {
    pool: Arc<PortPool>,
    port: u16,
}

impl PortLease {
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for PortLease {
    fn drop(&mut self) {
        self.pool.give_back(self.port, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(10);

    #[test]
    fn pairs_are_even_and_whole() {
        let start = Instant::now();
        let ports = |range: RangeInclusive<u16>| {
            let pool = PortPool::pairs(&range, REST);
            std::iter::from_fn(|| pool.take_at(start)).collect::<Vec<_>>()
        };
        assert_eq!(ports(10_000..=10_005), [10_000, 10_002, 10_004]);
        assert_eq!(ports(10_001..=10_004), [10_002]);
        assert_eq!(ports(65_533..=65_535), [65_534]);
        assert_eq!(ports(10_000..=10_000), []);
        assert_eq!(ports(0..=1), []);
    }

    #[test]
    fn a_port_rests_before_it_is_used_again() {
        let start = Instant::now();
        let pool = PortPool::single(&(20_000..=20_001), REST);
        assert_eq!(pool.take_at(start), Some(20_000));
        assert_eq!(pool.take_at(start), Some(20_001));
        assert_eq!(pool.take_at(start), None);
        pool.give_back(20_001, start);
        pool.give_back(20_000, start + Duration::from_secs(1));
        assert_eq!(pool.take_at(start + REST - Duration::from_millis(1)), None);
        assert_eq!(pool.take_at(start + REST), Some(20_001));
        assert_eq!(pool.take_at(start + REST), None);
        assert_eq!(pool.take_at(start + REST + REST), Some(20_000));
    }

    #[test]
    fn a_dropped_lease_comes_back() {
        let pool = PortPool::single(&(20_000..=20_000), Duration::ZERO);
        let lease = pool.take().expect("one is free");
        assert_eq!(lease.port(), 20_000);
        assert!(pool.take().is_none());
        drop(lease);
        assert!(pool.take().is_some());
    }
}
