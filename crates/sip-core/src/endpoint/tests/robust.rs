//! Nothing that a peer sends makes the endpoint panic or remember for ever.

use proptest::prelude::*;

use super::bench::*;
use crate::endpoint::*;
use crate::message::{Message, parse};
use crate::testing::wire;

/// One change of the bytes of a message.
#[derive(Debug, Clone)]
pub(super) enum Mutation {
    Set(usize, u8),
    Remove(usize, usize),
    Repeat(usize, usize),
    Insert(usize, &'static str),
}

const PIECES: [&str; 14] = [
    "\r\n",
    "\r\n ",
    "\"",
    "<",
    ">",
    ";",
    ",",
    ";;tag=",
    "[::1]",
    "\\",
    "%00",
    "SIP/2.0",
    ": ",
    "99999999999",
];

pub(super) fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<usize>();
    prop_oneof![
        (at, any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (any::<usize>(), 1..20usize).prop_map(|(at, length)| Mutation::Remove(at, length)),
        (any::<usize>(), 1..60usize).prop_map(|(at, length)| Mutation::Repeat(at, length)),
        (any::<usize>(), 0..PIECES.len()).prop_map(|(at, piece)| Mutation::Insert(at, PIECES[piece])),
    ]
}

pub(super) fn mutate(mut bytes: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        let length = bytes.len().max(1);
        match mutation {
            Mutation::Set(at, byte) => {
                if let Some(old) = bytes.get_mut(at % length) {
                    *old = *byte;
                }
            }
            Mutation::Remove(at, count) => {
                let from = (at % length).min(bytes.len());
                let to = (from + count).min(bytes.len());
                bytes.drain(from..to);
            }
            Mutation::Repeat(at, count) => {
                let from = (at % length).min(bytes.len());
                let to = (from + count).min(bytes.len());
                let piece = bytes[from..to].to_vec();
                bytes.splice(from..from, piece);
            }
            Mutation::Insert(at, piece) => {
                let at = (at % length).min(bytes.len());
                bytes.splice(at..at, piece.bytes());
            }
        }
    }
    bytes
}

/// What a peer may send at any moment of a call.
fn script(tag: &str, rseq: u32) -> Vec<String> {
    vec![
        request("INVITE", "i1", "Record-Route: <sip:192.0.2.9;lr>, \"a,b\" <sip:[2001:db8::1]>"),
        request("OPTIONS", "o1", "Subject: =?x\nl: 0"),
        request("CANCEL", "i1", "Reason: SIP;cause=200;text=\"x;y\""),
        within("ACK", "a1", 10, tag, ""),
        within("INVITE", "i2", 11, tag, "Contact: \"x\" <sip:100@192.0.2.1;transport=udp>;q=1"),
        within("UPDATE", "u1", 12, tag, "Contact: <sip:new@192.0.2.1>"),
        within("MESSAGE", "m1", 12, tag, ""),
        within("INFO", "n1", 13, tag, "Content-Length: 0"),
        within("BYE", "b1", 14, tag, ""),
        request("INVITE", "i1", "Require: 100rel\nSupported: timer"),
        within("PRACK", "p1", 12, tag, &format!("RAck: {rseq} 10 INVITE")),
        request("INVITE", "i3", &format!("Replaces: call-1;to-tag={tag};from-tag=pbx"))
            .replacen("call-1", "call-3", 1),
        within("REFER", "r1", 15, tag, "Refer-To: <sip:1@192.0.2.1>"),
    ]
}

/// What a user may want at any moment; `new` is a leg that was never used.
fn commands(leg: LegId, new: LegId) -> Vec<Command> {
    let reply = Reply::new;
    vec![
        Command::Respond { leg, reply: reply(180) },
        Command::Respond { leg, reply: reply(200) },
        Command::Respond { leg, reply: reply(486) },
        Command::Cancel { leg, headers: vec![] },
        Command::Bye { leg, headers: vec![] },
        Command::Invite { leg: new, invite: super::uac::outgoing() },
        Command::Cancel { leg: LegId(2), headers: vec![] },
        Command::Bye { leg: LegId(4), headers: vec![] },
        Command::Invite { leg: new, invite: super::delayed_offer::offerless() },
        Command::Acknowledge { leg, body: None },
        Command::Respond { leg, reply: reply(183) },
        Command::Ready { trunk: None, ready: false },
    ]
}

fn rseq_of(sent: &Sent) -> Option<u32> {
    match parse::datagram(&sent.bytes) {
        Ok(Message::Response(response)) => response.headers.get("RSeq")?.parse().ok(),
        _ => None,
    }
}

/// Answers what is open, so that the user owes nothing.
fn settle(bench: &mut Bench) {
    for leg in (0..120).map(LegId) {
        bench.respond(leg, 500);
        bench.bye(leg);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn mutated_messages_never_panic(
        which in 0..13usize,
        mutations in prop::collection::vec(mutation(), 0..8),
    ) {
        let mut bench = Bench::new();
        let (_, tag) = answered(&mut bench);
        let bytes = mutate(wire(&script(&tag, 1)[which]), &mutations);
        if let Ok(message) = parse::datagram(&bytes) {
            let again = parse::datagram(&message.to_bytes());
            prop_assert!(again.is_ok(), "what we read we can write: {again:?}");
        }
        bench.receive_from(PEER, &bytes);
        settle(&mut bench);
        bench.assert_forgotten();
    }

    #[test]
    fn mutated_responses_never_panic(
        status in prop::sample::select(vec![100u16, 180, 200, 302, 401, 487, 503, 603]),
        cancelled in any::<bool>(),
        mutations in prop::collection::vec(mutation(), 0..8),
    ) {
        let (mut bench, invite) = super::uac::calling();
        if cancelled {
            bench.cancel(LegId(2));
        }
        let response = super::uac::reply(&invite, status, "t1", "Record-Route: <sip:192.0.2.9;lr>");
        bench.receive_from(PEER, &mutate(wire(&response), &mutations));
        bench.receive_from(PEER, &wire(&response));
        settle(&mut bench);
        bench.assert_forgotten();
        prop_assert_eq!(bench.take_events().iter().filter(|name| **name == "ended").count(), 1);
    }

    /// Any order of messages, commands and pauses: each leg ends exactly once, last, and nothing is left.
    #[test]
    fn every_leg_ends_once(steps in prop::collection::vec((0..12usize, 0..3u8, 0..4000u64), 1..25)) {
        let mut bench = Bench::with(TrunkProfile { transfer: true, ..TrunkProfile::default() });
        let (mut tag, mut rseq) = (String::from("none"), 0);
        for (new, (which, kind, pause)) in (1..).zip(steps) {
            match kind {
                0 => bench.receive(&script(&tag, rseq)[which]),
                1 => {
                    let leg = bench.events.last().map_or(LegId(1), |event| event.leg);
                    bench.command(commands(leg, LegId(2 * new))[which].clone());
                }
                _ => {
                    let open = bench.events.iter().rev().find_map(|event| match &event.event {
                        Event::Request { id, .. } => Some((event.leg, *id)),
                        _ => None,
                    });
                    if let Some((leg, request)) = open {
                        bench.command(Command::Answer { leg, request, reply: Reply::new(200) });
                    }
                }
            }
            if let Some(found) = bench.sent.iter().find(|sent| sent.name() == "200 INVITE" || sent.name() == "180 INVITE") {
                tag = to_tag(&found.response());
            }
            if let Some(number) = bench.sent.iter().rev().find_map(rseq_of) {
                rseq = number;
            }
            bench.advance(pause);
        }
        settle(&mut bench);
        bench.assert_forgotten();
        let legs: std::collections::BTreeSet<_> = bench.events.iter().map(|event| event.leg).collect();
        for leg in legs {
            let of_leg: Vec<_> = bench.events.iter().filter(|event| event.leg == leg).collect();
            let ends = of_leg.iter().filter(|event| event.event == Event::Ended).count();
            prop_assert_eq!(ends, 1);
            prop_assert_eq!(&of_leg.last().unwrap().event, &Event::Ended);
        }
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut bench = Bench::new();
        bench.receive_from(PEER, &bytes);
        let mut line = b"INVITE sip:a@b SIP/2.0\r\n".to_vec();
        line.extend(&bytes);
        bench.receive_from(PEER, &line);
        bench.assert_forgotten();
    }
}
