//! Offers that meet (RFC 3261 14.1, 14.2, RFC 3311 5.2), and two endpoints that ask at once.

use super::bench::*;
use super::own_request::{ask, reply, results, sent_request};
use super::pair::{LEG, Pair, first_two_lost, nothing_lost};
use super::uac;
use crate::endpoint::*;
use crate::message::{Method, Request};
use crate::testing::wire;

fn offering(text: &str) -> Vec<u8> {
    [&wire(text)[..], b"v=0\r\n"].concat()
}

fn answer_last(bench: &mut Bench, leg: LegId, status: u16) {
    let asked = bench.events.iter().rev().find_map(|event| match event.event {
        Event::Request { id, .. } => Some(id),
        _ => None,
    });
    let body = (status == 200).then(|| Body { content_type: "application/sdp".into(), bytes: "v=0".into() });
    let reply = Reply { body, ..Reply::new(status) };
    bench.command(Command::Answer { leg, request: asked.expect("no request is open"), reply });
}

/// Lets the time pass in steps of 10 ms until something is sent; gives the milliseconds.
fn until_sent(bench: &mut Bench) -> u64 {
    let mut waited = 0;
    while bench.sent.is_empty() && waited < 10_000 {
        bench.advance(10);
        waited += 10;
    }
    waited
}

#[test]
fn theirs_meets_ours() {
    for (ours, body, theirs, expected) in [
        (Method::Invite, "v=0", "INVITE", 491),
        (Method::Invite, "v=0", "UPDATE", 491),
        (Method::Update, "v=0", "INVITE", 491),
        (Method::Update, "v=0", "UPDATE", 491),
        (Method::Update, "", "INVITE", 0),
        (Method::Info, "", "INVITE", 0),
    ] {
        let mut bench = Bench::new();
        let (leg, tag) = confirmed(&mut bench);
        ask(&mut bench, leg, 1, ours.clone(), body);
        bench.take_sent();
        bench.receive_from(PEER, &offering(&within(theirs, "x1", 11, &tag, "")));
        let refused = bench.take_sent().contains(&format!("{expected} {theirs}"));
        assert_eq!(refused, expected > 0, "{ours} meets {theirs}");
        assert_eq!(bench.take_events().contains(&"request"), !refused);
    }
}

#[test]
fn an_update_without_an_offer_meets_nothing_of_ours() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    ask(&mut bench, leg, 1, Method::Invite, "v=0");
    bench.receive(&within("UPDATE", "x1", 11, &tag, ""));
    assert_eq!(bench.take_sent(), ["INVITE", "200 UPDATE"]);
}

#[test]
fn theirs_meets_theirs() {
    for (first, second, body, status) in [
        ("INVITE", "INVITE", true, 500),
        ("INVITE", "UPDATE", true, 500),
        ("UPDATE", "INVITE", true, 500),
        ("UPDATE", "UPDATE", true, 500),
        ("UPDATE", "UPDATE", false, 500),
        ("INVITE", "UPDATE", false, 200),
    ] {
        let mut bench = Bench::new();
        let (leg, tag) = confirmed(&mut bench);
        bench.receive_from(PEER, &offering(&within(first, "x1", 11, &tag, "")));
        let text = within(second, "x2", 12, &tag, "");
        bench.receive_from(PEER, &if body { offering(&text) } else { wire(&text) });
        let refused = bench.last().response();
        assert_eq!(refused.status, status, "{second} meets {first}");
        let wait = refused.headers.get("Retry-After").and_then(|value| value.parse::<u64>().ok());
        assert_eq!(wait.is_some_and(|seconds| seconds <= 10), status == 500);
        assert_eq!(bench.take_events(), ["request"]);
        bench.bye(leg);
        bench.assert_forgotten();
    }
}

#[test]
fn ours_waits_until_theirs_is_answered() {
    for status in [200, 488] {
        let mut bench = Bench::new();
        let (leg, tag) = confirmed(&mut bench);
        bench.receive_from(PEER, &offering(&within("INVITE", "x1", 11, &tag, "")));
        bench.take_sent();
        ask(&mut bench, leg, 1, Method::Update, "v=0");
        ask(&mut bench, leg, 2, Method::Info, "");
        assert_eq!(bench.take_sent(), ["INFO"]);
        answer_last(&mut bench, leg, status);
        if status == 200 {
            assert_eq!(bench.take_sent(), ["200 INVITE"], "the ACK is still to come");
            bench.receive(&within("ACK", "x2", 11, &tag, ""));
            assert_eq!(bench.take_sent(), ["UPDATE"]);
        } else {
            assert_eq!(bench.take_sent(), ["488 INVITE", "UPDATE"]);
        }
    }
}

#[test]
fn ours_waits_until_theirs_is_cancelled() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    bench.receive_from(PEER, &offering(&within("INVITE", "x1", 11, &tag, "")));
    ask(&mut bench, leg, 1, Method::Invite, "v=0");
    bench.receive(&within("CANCEL", "x1", 11, &tag, ""));
    assert_eq!(bench.take_sent(), ["100 INVITE", "200 CANCEL", "487 INVITE", "INVITE"]);
}

#[test]
fn one_of_ours_at_a_time() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    ask(&mut bench, leg, 1, Method::Invite, "v=0");
    let invite = sent_request(&bench);
    ask(&mut bench, leg, 2, Method::Update, "v=0");
    assert_eq!(bench.take_sent(), ["INVITE"]);
    bench.receive(&reply(&invite, 200, ""));
    assert_eq!(bench.take_sent(), ["ACK", "UPDATE"]);
}

#[test]
fn after_a_491_the_one_whose_call_id_it_is_waits_longer() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    for n in 1..6 {
        ask(&mut bench, leg, n, Method::Invite, "v=0");
        let first = sent_request(&bench);
        bench.receive(&reply(&first, 491, ""));
        bench.take_sent();
        let waited = until_sent(&mut bench);
        assert!(waited <= 2010, "{waited}");
        let again = sent_request(&bench);
        assert_eq!((&again.body[..], again.method.clone()), (&b"v=0"[..], Method::Invite));
        let number = |request: &Request| request.headers.cseq().unwrap().number;
        assert_eq!(number(&again), number(&first) + 1);
        bench.receive(&reply(&again, 200, ""));
        assert_eq!(results(&mut bench), [format!("{n}: 200")]);
    }
    let (mut bench, invite) = uac::calling();
    bench.receive(&uac::reply(&invite, 200, "t1", ""));
    results(&mut bench);
    for n in 1..6 {
        ask(&mut bench, LEG, n, Method::Update, "v=0");
        let first = sent_request(&bench);
        bench.receive(&uac::reply(&first, 491, "t1", ""));
        bench.take_sent();
        let waited = until_sent(&mut bench);
        assert!((2100..=4000).contains(&waited), "{waited}");
        let again = sent_request(&bench);
        bench.receive(&uac::reply(&again, 200, "t1", ""));
        assert_eq!(results(&mut bench), [format!("{n}: 200")]);
    }
}

#[test]
fn the_wait_after_a_491_ends_with_the_call() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    ask(&mut bench, leg, 1, Method::Invite, "v=0");
    let invite = sent_request(&bench);
    bench.receive(&reply(&invite, 491, ""));
    bench.receive(&within("BYE", "b1", 11, &tag, ""));
    assert_eq!(results(&mut bench), ["bye", "ended"]);
    bench.take_sent();
    bench.assert_forgotten();
    assert_eq!(bench.take_sent(), [""; 0]);
}

#[test]
fn a_newer_request_takes_the_place_of_one_that_waits_after_a_491() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    ask(&mut bench, leg, 1, Method::Invite, "v=0 old");
    let invite = sent_request(&bench);
    bench.receive(&reply(&invite, 491, ""));
    ask(&mut bench, leg, 2, Method::Invite, "v=0 new");
    assert_eq!(&sent_request(&bench).body[..], b"v=0 new");
    assert_eq!(results(&mut bench), ["1: refused 491"]);
    bench.take_sent();
    bench.advance(2500);
    assert!(bench.sent.iter().all(|sent| sent.request().body.ends_with(b"new")));
}

#[test]
fn what_waits_behind_a_491_waits_with_it() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    ask(&mut bench, leg, 1, Method::Update, "v=0 first");
    ask(&mut bench, leg, 2, Method::Update, "v=0 second");
    let update = sent_request(&bench);
    bench.receive(&reply(&update, 491, ""));
    assert_eq!(bench.take_sent(), ["UPDATE"], "the peer has something open");
    until_sent(&mut bench);
    let again = sent_request(&bench);
    assert_eq!(&again.body[..], b"v=0 first");
    bench.receive(&reply(&again, 200, ""));
    assert_eq!(&sent_request(&bench).body[..], b"v=0 second");
    assert_eq!(results(&mut bench), ["1: 200"]);
}

#[test]
fn a_peer_that_says_491_for_ever_is_told_to_the_user() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    ask(&mut bench, leg, 1, Method::Update, "v=0");
    for n in 0..9 {
        let update = sent_request(&bench);
        assert_eq!(bench.take_sent(), ["UPDATE"]);
        bench.receive(&reply(&update, 491, ""));
        assert_eq!(results(&mut bench).len(), usize::from(n == 8));
        until_sent(&mut bench);
    }
    assert_eq!(bench.take_sent(), [""; 0]);
}

#[test]
fn theirs_is_taken_while_ours_waits_after_a_491() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    ask(&mut bench, leg, 1, Method::Invite, "v=0");
    let invite = sent_request(&bench);
    bench.receive(&reply(&invite, 491, ""));
    bench.receive_from(PEER, &offering(&within("INVITE", "x1", 11, &tag, "")));
    bench.take_sent();
    bench.advance(3000);
    assert_eq!(bench.take_sent(), [""; 0], "theirs is open");
    answer_last(&mut bench, leg, 200);
    bench.receive(&within("ACK", "x2", 11, &tag, ""));
    assert_eq!(bench.take_sent(), ["200 INVITE", "INVITE"]);
}

#[test]
fn an_update_before_our_answer_is_too_early() {
    let mut bench = Bench::new();
    bench.receive_from(PEER, &offering(&request("INVITE", "i1", "")));
    let leg = LegId(1);
    bench.respond(leg, 180);
    let tag = to_tag(&bench.last().response());
    bench.receive_from(PEER, &offering(&within("UPDATE", "u1", 11, &tag, "")));
    assert!(bench.last().response().headers.get("Retry-After").is_some());
    bench.take_events();
    assert_eq!(bench.take_sent().last().unwrap(), "500 UPDATE");
    let body = Some(Body { content_type: "application/sdp".into(), bytes: "v=0".into() });
    bench.command(Command::Respond { leg, reply: Reply { body, ..Reply::new(183) } });
    bench.receive_from(PEER, &offering(&within("UPDATE", "u2", 12, &tag, "")));
    assert_eq!(bench.take_events(), ["request"], "our offer has its answer");
    assert_eq!(bench.take_sent(), ["183 INVITE"]);
}

#[test]
fn an_update_of_the_callee_before_its_answer_meets_our_offer() {
    let (mut bench, invite) = uac::calling();
    bench.receive(&uac::reply(&invite, 180, "t1", ""));
    let from = invite.headers.get("From").unwrap();
    let update = |branch: &str, cseq: u32| {
        offering(&format!(
            "UPDATE sip:192.0.2.2:5060 SIP/2.0
             Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch}
             Max-Forwards: 70
             From: <sip:200@192.0.2.1>;tag=t1
             To: {from}
             Call-ID: out-1
             CSeq: {cseq} UPDATE
             Contact: <sip:200@192.0.2.1>"
        ))
    };
    bench.receive_from(PEER, &update("u1", 1));
    assert_eq!(bench.take_sent(), ["491 UPDATE"]);
    bench.receive_from(PEER, &offering(&uac::reply(&invite, 183, "t1", "")));
    bench.receive(&uac::reply(&invite, 180, "t1", ""));
    bench.receive_from(PEER, &update("u2", 2));
    assert_eq!(bench.take_sent(), [""; 0]);
    assert_eq!(bench.take_events(), ["provisional", "provisional", "provisional", "request"]);
}

#[test]
fn an_update_meets_the_offer_in_our_2xx() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    let body = Some(Body { content_type: "application/sdp".into(), bytes: "v=0".into() });
    bench.command(Command::Respond { leg: LegId(1), reply: Reply { body, ..Reply::new(200) } });
    let tag = to_tag(&bench.last().response());
    bench.take_sent();
    bench.receive_from(PEER, &offering(&within("UPDATE", "u1", 11, &tag, "")));
    assert_eq!(bench.take_sent(), ["491 UPDATE"], "its answer comes in the ACK");
    bench.receive_from(PEER, &offering(&within("ACK", "a1", 10, &tag, "")));
    bench.receive_from(PEER, &offering(&within("UPDATE", "u2", 12, &tag, "")));
    assert_eq!(bench.take_sent(), [""; 0]);
}

/// Both ask at once; whatever the peer asks is answered at once.
fn both_reinvite(loss: super::pair::Loss, step: u64) {
    let mut pair = Pair::call(nothing_lost);
    pair.b.respond(LegId(1), 200);
    pair.run(1000, nothing_lost);
    pair.events();
    ask(&mut pair.a, LEG, 1, Method::Invite, "v=0 a");
    ask(&mut pair.b, LegId(1), 2, Method::Invite, "v=0 b");
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..120_000 / step {
        pair.run(step, loss);
        for (bench, leg) in [(&mut pair.a, LEG), (&mut pair.b, LegId(1))] {
            if bench.events.iter().any(|event| matches!(event.event, Event::Request { .. })) {
                answer_last(bench, leg, 200);
            }
        }
        a.extend(results(&mut pair.a));
        b.extend(results(&mut pair.b));
    }
    a.sort();
    b.sort();
    assert_eq!(a, ["1: 200", "acked", "request"]);
    assert_eq!(b, ["2: 200", "acked", "request"]);
    pair.a.bye(LEG);
    pair.run(20_000, nothing_lost);
    pair.assert_forgotten();
}

#[test]
fn two_endpoints_that_reinvite_at_once_both_succeed() {
    both_reinvite(nothing_lost, 100);
}

#[test]
fn two_endpoints_that_reinvite_at_once_both_succeed_though_much_is_lost() {
    both_reinvite(first_two_lost, 8000);
}
