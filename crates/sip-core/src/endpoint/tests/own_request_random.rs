//! Whatever is asked and answered in a dialog, in whatever order: each request of ours has one outcome, a session is lost
//! once, nothing is left behind.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::bench::*;
use super::own_request::{ask, reply};
use super::pair::{LEG, Pair, nothing_lost};
use super::session_timer::timed;
use crate::endpoint::*;
use crate::message::Method;
use crate::testing::wire;

const STATUSES: [u16; 12] = [100, 180, 200, 200, 202, 408, 422, 481, 487, 491, 500, 603];
const SAID: [&str; 6] = [
    "",
    "Session-Expires: 90;refresher=uac",
    "Session-Expires: 90;refresher=uas\nAllow: UPDATE",
    "Supported: timer\nSession-Expires: 120",
    "Supported: timer\nSession-Expires: 20\nMin-SE: 200",
    "Min-SE: 4294967295\nContact: <sip:new@192.0.2.1>\nRetry-After: 3",
];

#[derive(Debug, Clone)]
enum Step {
    /// The user asks.
    Ask {
        method: usize,
        body: bool,
    },
    /// The peer responds to one of the requests that it got.
    Respond {
        which: usize,
        status: usize,
        said: usize,
        body: bool,
    },
    /// The peer asks.
    Request {
        method: usize,
        said: usize,
        body: bool,
    },
    /// The user answers.
    Answer {
        status: usize,
        body: bool,
    },
    /// The peer acknowledges the last response.
    Ack,
    /// The user answers an offer in a 2xx.
    Acknowledge,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (some, flag) = (0..100usize, any::<bool>());
    prop_oneof![
        (some.clone(), flag).prop_map(|(method, body)| Step::Ask { method, body }),
        (some.clone(), some.clone(), some.clone(), flag)
            .prop_map(|(which, status, said, body)| Step::Respond { which, status, said, body }),
        (some.clone(), some.clone(), flag).prop_map(|(method, said, body)| Step::Request {
            method,
            said,
            body
        }),
        (some, flag).prop_map(|(status, body)| Step::Answer { status, body }),
        Just(Step::Ack),
        Just(Step::Acknowledge),
        (0..60_000u64).prop_map(Step::Wait),
    ]
}

/// Often none: then they meet.
fn wait() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..5000u64]
}

fn described(text: &str, body: bool) -> Vec<u8> {
    if body { [&wire(text)[..], b"v=0\r\n"].concat() } else { wire(text) }
}

fn description(body: bool) -> Option<Body> {
    body.then(|| Body { content_type: "application/sdp".into(), bytes: "v=0".into() })
}

/// A peer that does what it is told to.
struct Play {
    bench: Bench,
    tag: String,
    cseq: u32,
    asked: u64,
}

impl Play {
    fn step(&mut self, step: &Step) {
        let leg = LegId(1);
        match *step {
            Step::Ask { method, body } => {
                let methods = [Method::Info, Method::Update, Method::Invite, Method::Notify];
                self.asked += 1;
                let method = methods[method % methods.len()].clone();
                ask(&mut self.bench, leg, self.asked, method, if body { "v=0" } else { "" });
            }
            Step::Respond { which, status, said, body } => {
                let got: Vec<_> = self.bench.sent.iter().filter(|sent| !sent.name().contains(' ')).collect();
                let Some(request) = got.get(which % got.len().max(1)).map(|sent| sent.request()) else {
                    return;
                };
                if request.method != Method::Ack {
                    let text = reply(&request, STATUSES[status % STATUSES.len()], SAID[said % SAID.len()]);
                    self.bench.receive_from(PEER, &described(&text, body));
                }
            }
            Step::Request { method, said, body } => {
                self.cseq += 1;
                let method = ["UPDATE", "INVITE", "INFO"][method % 3];
                let branch = format!("p{}", self.cseq);
                let text = within(method, &branch, self.cseq, &self.tag, SAID[said % SAID.len()]);
                self.bench.receive_from(PEER, &described(&text, body));
            }
            Step::Answer { status, body } => {
                let open = self.bench.events.iter().rev().find_map(|event| match event.event {
                    Event::Request { id, .. } => Some(id),
                    _ => None,
                });
                if let Some(request) = open {
                    let status = STATUSES[2..][status % 10];
                    let reply = Reply { body: description(body), ..Reply::new(status) };
                    self.bench.command(Command::Answer { leg, request, reply });
                }
            }
            Step::Ack => self.bench.receive(&within("ACK", "ack", self.cseq, &self.tag, "")),
            Step::Acknowledge => {
                self.bench.command(Command::Acknowledge { leg, body: description(true) });
            }
            Step::Wait(milliseconds) => self.bench.advance(milliseconds),
        }
    }
}

/// How often each request of ours had an outcome, and how often the session was lost.
fn outcomes(events: &[LegEvent]) -> (BTreeMap<OwnRequestId, usize>, usize) {
    let mut outcomes = BTreeMap::new();
    for event in events {
        if let Event::Response { id, .. } = event.event
            && id != OwnRequestId::REFRESH
        {
            *outcomes.entry(id).or_default() += 1;
        }
    }
    (outcomes, events.iter().filter(|event| matches!(event.event, Event::Lost(_))).count())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_dialog_in_disorder(
        wants in any::<bool>(),
        hangs_up in any::<bool>(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut bench = Bench::with(if wants { timed(120, 90) } else { TrunkProfile::default() });
        let (leg, tag) = confirmed(&mut bench);
        let mut play = Play { bench, tag, cseq: 10, asked: 0 };
        for step in &steps {
            play.step(step);
        }
        let mut bench = play.bench;
        if hangs_up {
            bench.bye(leg);
            let bye = bench.last().clone();
            if bye.name() == "BYE" {
                bench.receive(&reply(&bye.request(), 200, ""));
            }
        } else {
            bench.receive(&within("BYE", "bye", 1000, &play.tag, ""));
        }
        bench.advance(64_000);
        let (outcomes, lost) = outcomes(&bench.events);
        prop_assert!(outcomes.values().all(|count| *count == 1), "{outcomes:?}");
        prop_assert!(lost <= 1);
        prop_assert!(matches!(bench.events.last().unwrap().event, Event::Ended));
        bench.assert_forgotten();
    }

    /// Each of the two asks what it likes when it likes; everything is answered sooner or later.
    #[test]
    fn two_that_renegotiate_at_random(plan in prop::collection::vec((any::<bool>(), any::<bool>(), wait()), 1..12)) {
        let mut pair = Pair::call(nothing_lost);
        pair.b.respond(LegId(1), 200);
        pair.run(1000, nothing_lost);
        pair.events();
        let (mut heard_a, mut heard_b) = (Vec::new(), Vec::new());
        let mut asked = 0;
        for (ours, invite, wait) in plan.iter().map(|step| (step.0, step.1, step.2)).chain((0..60).map(|_| (false, false, 1000))) {
            let method = if invite { Method::Invite } else { Method::Update };
            if asked < plan.len() {
                asked += 1;
                let (bench, leg) = if ours { (&mut pair.a, LEG) } else { (&mut pair.b, LegId(1)) };
                ask(bench, leg, asked as u64, method, "v=0");
            }
            for _ in 0..wait / 200 {
                pair.run(200, nothing_lost);
                answer_all(&mut pair.a, LEG, &mut heard_a);
                answer_all(&mut pair.b, LegId(1), &mut heard_b);
            }
        }
        heard_a.extend(heard_b);
        let (outcomes, lost) = outcomes(&heard_a);
        prop_assert_eq!((outcomes.len(), lost), (plan.len(), 0));
        prop_assert!(outcomes.values().all(|count| *count == 1));
        pair.a.bye(LEG);
        pair.run(1000, nothing_lost);
        pair.assert_forgotten();
    }
}

fn answer_all(bench: &mut Bench, leg: LegId, heard: &mut Vec<LegEvent>) {
    for event in std::mem::take(&mut bench.events) {
        if let Event::Request { id, .. } = event.event {
            let reply = Reply { body: description(true), ..Reply::new(200) };
            bench.command(Command::Answer { leg, request: id, reply });
        }
        heard.push(event);
    }
}
