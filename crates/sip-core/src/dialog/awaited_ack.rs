//! The 2xx that waits for its ACK (RFC 3261 13.3.1.4): retransmitted by the user agent core itself.

use std::time::Instant;

use bytes::Bytes;

use crate::transaction::TransactionId;
use crate::transaction::timer::{Backoff, Timers};

/// A 2xx to an INVITE or re-INVITE, not acknowledged yet.
#[derive(Debug)]
pub(crate) struct AwaitedAck {
    pub(crate) cseq: u32,
    pub(crate) invite: TransactionId,
    /// The header fields of a BYE that waits for the ACK (RFC 3261 15).
    pub(crate) bye: Option<Vec<(String, String)>>,
    response: Bytes,
    status: u16,
    resend: Backoff,
    give_up: Instant,
    t2: std::time::Duration,
}

/// What the time brings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Resend { status: u16, response: Bytes },
    GiveUp,
}

impl AwaitedAck {
    pub(crate) fn new(
        now: Instant,
        timers: &Timers,
        invite: TransactionId,
        cseq: u32,
        status: u16,
        response: Bytes,
    ) -> Self {
        Self {
            cseq,
            invite,
            bye: None,
            response,
            status,
            resend: Backoff::start(now, timers.t1),
            give_up: now + timers.timeout(),
            t2: timers.t2,
        }
    }

    pub(crate) fn due(&mut self, now: Instant) -> Due {
        if self.give_up <= now {
            return Due::GiveUp;
        }
        if !self.resend.is_due(now) {
            return Due::Nothing;
        }
        self.resend.next(now, Some(self.t2));
        Due::Resend { status: self.status, response: self.response.clone() }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.resend.at().min(self.give_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_2xx_is_sent_at_t1_doubling_to_t2_until_64_t1() {
        let start = crate::testing::start();
        let timers = Timers::default();
        let mut awaited =
            AwaitedAck::new(start, &timers, TransactionId(1), 1, 200, Bytes::from_static(b"200"));
        let mut sent = Vec::new();
        loop {
            let now = awaited.deadline();
            match awaited.due(now) {
                Due::Resend { .. } => sent.push((now - start).as_millis()),
                Due::GiveUp => break assert_eq!((now - start).as_millis(), 32_000),
                Due::Nothing => panic!("a deadline without a reason"),
            }
            assert_eq!(awaited.due(now), Due::Nothing);
        }
        assert_eq!(sent, [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    }
}
