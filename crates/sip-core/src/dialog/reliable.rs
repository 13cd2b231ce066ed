//! Reliable provisional responses (RFC 3262): the numbers of those that we send and of those that we receive.

use std::time::Instant;

use bytes::Bytes;

use super::awaited_ack::Due;
use crate::message::{Headers, Method, text};
use crate::transaction::timer::{Backoff, Timers};

/// The option tag.
pub(crate) const TAG: &str = "100rel";

/// UAS: the reliable provisional responses to one INVITE, one at a time.
#[derive(Debug)]
pub(crate) struct Sender {
    next: u32,
    open: Option<Open>,
}

/// One that waits for its PRACK.
#[derive(Debug)]
struct Open {
    rseq: u32,
    status: u16,
    response: Bytes,
    resend: Backoff,
    give_up: Instant,
}

impl Sender {
    /// The first one gets this number.
    pub(crate) fn new(first: u32) -> Self {
        Self { next: first, open: None }
    }

    /// Does one wait for its PRACK?
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The RSeq of the next one.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    /// The next one has gone out.
    pub(crate) fn sent(&mut self, now: Instant, timers: &Timers, status: u16, response: Bytes) {
        self.open = Some(Open {
            rseq: self.next,
            status,
            response,
            resend: Backoff::start(now, timers.t1),
            give_up: now + timers.timeout(),
        });
        self.next = self.next.wrapping_add(1);
    }

    /// A PRACK of this number came. Is it that of the open one?
    pub(crate) fn acknowledge(&mut self, rseq: u32) -> bool {
        self.open.take_if(|open| open.rseq == rseq).is_some()
    }

    /// The interval doubles without a cap (RFC 3262 3).
    pub(crate) fn due(&mut self, now: Instant) -> Due {
        match &mut self.open {
            Some(open) if open.give_up <= now => Due::GiveUp,
            Some(open) if open.resend.is_due(now) => {
                open.resend.next(now, None);
                Due::Resend { status: open.status, response: open.response.clone() }
            }
            Some(_) | None => Due::Nothing,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.resend.at().min(open.give_up))
    }
}

/// UAC: the last reliable provisional response of one early dialog.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    last: Option<u32>,
}

impl Receiver {
    /// Is it the next one? Repeated ones, and those that come before their turn, are not (RFC 3262 4).
    pub(crate) fn take(&mut self, rseq: u32) -> bool {
        let next = self.last.is_none_or(|last| last.checked_add(1) == Some(rseq));
        if next {
            self.last = Some(rseq);
        }
        next
    }
}

/// The RAck header field: which response to which request is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RAck {
    pub(crate) rseq: u32,
    pub(crate) cseq: u32,
    pub(crate) method: Method,
}

impl RAck {
    pub(crate) fn of(headers: &Headers) -> Option<Self> {
        let mut parts = headers.get("RAck")?.split_ascii_whitespace();
        let (rseq, cseq) = (text::number(parts.next()?)?, text::number(parts.next()?)?);
        let method = Method::parse(parts.next()?)?;
        parts.next().is_none().then_some(Self { rseq, cseq, method })
    }
}

/// The RSeq of a response that wants a PRACK.
pub(crate) fn rseq(headers: &Headers) -> Option<u32> {
    let required = headers.list("Require").any(|tag| tag.eq_ignore_ascii_case(TAG));
    text::number(headers.get("RSeq")?).filter(|_| required)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reliable_response_is_sent_at_t1_doubling_until_64_t1() {
        let start = crate::testing::start();
        let mut sender = Sender::new(7);
        assert_eq!(sender.deadline(), None);
        sender.sent(start, &Timers::default(), 180, Bytes::from_static(b"180"));
        let mut sent = Vec::new();
        loop {
            let now = sender.deadline().unwrap();
            match sender.due(now) {
                Due::Resend { .. } => sent.push((now - start).as_millis()),
                Due::GiveUp => break assert_eq!((now - start).as_millis(), 32_000),
                Due::Nothing => panic!("a deadline without a reason"),
            }
        }
        assert_eq!(sent, [500, 1500, 3500, 7500, 15_500, 31_500]);
    }

    #[test]
    fn each_has_the_next_number_and_its_own_prack() {
        let start = crate::testing::start();
        let mut sender = Sender::new(7);
        sender.sent(start, &Timers::default(), 180, Bytes::new());
        assert_eq!((sender.acknowledge(6), sender.acknowledge(8), sender.is_open()), (false, false, true));
        assert_eq!((sender.acknowledge(7), sender.acknowledge(7), sender.is_open()), (true, false, false));
        assert_eq!((sender.next(), sender.deadline()), (8, None));
    }

    #[test]
    fn only_the_next_one_is_taken() {
        let mut receiver = Receiver::default();
        let taken = [40, 40, 42, 41, 40, 42].map(|rseq| receiver.take(rseq));
        assert_eq!(taken, [true, false, false, true, false, true]);
        let mut last = Receiver::default();
        assert!(last.take(u32::MAX) && !last.take(0), "the numbers do not wrap (RFC 3262 3)");
    }

    #[test]
    fn rack() {
        let of = |value: &str| RAck::of(&Headers::from_iter([("RAck", value)]));
        assert_eq!(of("776656  1 INVITE"), Some(RAck { rseq: 776_656, cseq: 1, method: Method::Invite }));
        for bad in ["", "1 INVITE", "1 x INVITE", "1 2", "1 2 INVITE 3", "-1 2 INVITE", "4294967296 1 INVITE"]
        {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
