//! Two endpoints and a network that loses what it is told to.

use super::bench::*;
use crate::endpoint::*;

pub(super) const LEG: LegId = LegId(2);

pub(super) struct Pair {
    /// Calls.
    pub(super) a: Bench,
    /// Is called.
    pub(super) b: Bench,
}

/// Says of the n-th datagram of this name whether it is lost.
pub(super) type Loss = fn(&str, usize) -> bool;

impl Pair {
    /// Each with its manners.
    pub(super) fn of(a: TrunkProfile, b: TrunkProfile) -> Self {
        let a = Bench::with_profile(PEER, 1, a);
        let b = Bench::with_profile(LOCAL, 2, b).with_clock_of(&a);
        Self { a, b }
    }

    pub(super) fn call(loss: Loss) -> Self {
        Self::call_between(Default::default(), loss)
    }

    /// A call between two of these manners.
    pub(super) fn call_between([a, b]: [TrunkProfile; 2], loss: Loss) -> Self {
        let mut pair = Self::of(a, b);
        pair.invite(super::uac::outgoing(), loss);
        pair
    }

    pub(super) fn invite(&mut self, mut invite: Box<OutgoingInvite>, loss: Loss) {
        invite.flow = Flow::udp(LOCAL.parse().unwrap());
        self.a.command(Command::Invite { leg: LEG, invite });
        self.run(2000, loss);
    }

    /// Delivers at once and lets the time pass in small steps.
    pub(super) fn run(&mut self, milliseconds: u64, loss: Loss) {
        let mut seen: HashMap<String, usize> = HashMap::new();
        for _ in 0..milliseconds / 100 {
            loop {
                let from_a: Vec<_> = self.a.sent.drain(..).collect();
                let from_b: Vec<_> = self.b.sent.drain(..).collect();
                if from_a.is_empty() && from_b.is_empty() {
                    break;
                }
                let mut lost = |sent: &Sent| {
                    let count = seen.entry(sent.name()).or_default();
                    *count += 1;
                    loss(&sent.name(), *count)
                };
                for sent in from_a.iter().filter(|sent| !lost(sent)) {
                    assert_eq!(sent.to, LOCAL);
                    self.b.receive_from(PEER, &sent.bytes);
                }
                for sent in from_b.iter().filter(|sent| !lost(sent)) {
                    assert_eq!(sent.to, PEER);
                    self.a.receive_from(LOCAL, &sent.bytes);
                }
            }
            self.a.advance(100);
            self.b.advance(100);
        }
    }

    pub(super) fn events(&mut self) -> (Vec<&'static str>, Vec<&'static str>) {
        (self.a.take_events(), self.b.take_events())
    }

    pub(super) fn assert_forgotten(&mut self) {
        self.a.assert_forgotten();
        self.b.assert_forgotten();
    }
}

pub(super) fn nothing_lost(_: &str, _: usize) -> bool {
    false
}

/// The first two of every message are lost: everything rests on the retransmissions.
pub(super) fn first_two_lost(_: &str, count: usize) -> bool {
    count <= 2
}

/// Provisional responses are not retransmitted, so they are let through.
fn finals_and_requests_lost(name: &str, count: usize) -> bool {
    !name.starts_with('1') && count <= 2
}

#[test]
fn a_call_that_either_side_ends() {
    for caller_ends in [true, false] {
        let mut pair = Pair::call(nothing_lost);
        pair.b.respond(LegId(1), 180);
        pair.b.respond(LegId(1), 200);
        pair.run(1000, nothing_lost);
        assert_eq!(pair.events(), (vec!["provisional", "answered"], vec!["invite", "acked"]));
        if caller_ends {
            pair.a.bye(LEG);
        } else {
            pair.b.bye(LegId(1));
        }
        pair.run(1000, nothing_lost);
        let (by_us, by_them) = (vec!["ended"], vec!["bye", "ended"]);
        let expected = if caller_ends { (by_us, by_them) } else { (by_them, by_us) };
        assert_eq!(pair.events(), expected);
        pair.assert_forgotten();
    }
}

#[test]
fn a_call_through_a_network_that_loses_much() {
    let mut pair = Pair::call(first_two_lost);
    pair.run(4000, nothing_lost);
    pair.b.respond(LegId(1), 200);
    pair.run(20_000, first_two_lost);
    assert_eq!(pair.events(), (vec!["answered"], vec!["invite", "acked"]));
    pair.b.bye(LegId(1));
    pair.run(20_000, first_two_lost);
    assert_eq!(pair.events(), (vec!["bye", "ended"], vec!["ended"]));
    pair.assert_forgotten();
}

#[test]
fn a_cancelled_call_through_a_network_that_loses_much() {
    let mut pair = Pair::call(finals_and_requests_lost);
    pair.a.cancel(LEG);
    pair.run(20_000, finals_and_requests_lost);
    assert_eq!(pair.events(), (vec![], vec!["invite", "cancelled"]));
    pair.b.respond(LegId(1), 487);
    pair.run(20_000, finals_and_requests_lost);
    assert_eq!(pair.events(), (vec!["rejected", "ended"], vec!["ended"]));
    pair.assert_forgotten();
}

#[test]
fn the_answer_and_the_cancel_cross() {
    let mut pair = Pair::call(nothing_lost);
    pair.a.cancel(LEG);
    pair.b.respond(LegId(1), 200);
    pair.run(2000, nothing_lost);
    assert_eq!(pair.events(), (vec!["ended"], vec!["invite", "acked", "bye", "ended"]));
    pair.assert_forgotten();
}

#[test]
fn both_hang_up_at_once() {
    let mut pair = Pair::call(nothing_lost);
    pair.b.respond(LegId(1), 200);
    pair.run(1000, nothing_lost);
    pair.events();
    pair.a.bye(LEG);
    pair.b.bye(LegId(1));
    pair.run(1000, nothing_lost);
    assert_eq!(pair.events(), (vec!["ended"], vec!["ended"]));
    pair.assert_forgotten();
}

#[test]
fn the_callee_vanishes() {
    let mut pair = Pair::call(nothing_lost);
    pair.b.respond(LegId(1), 200);
    pair.run(1000, nothing_lost);
    pair.events();
    pair.a.bye(LEG);
    pair.run(33_000, |_, _| true);
    assert_eq!(pair.events(), (vec!["ended"], vec![]));
}
