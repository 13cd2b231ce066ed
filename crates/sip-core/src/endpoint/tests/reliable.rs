//! Reliable provisional responses (RFC 3262), as their UAS, as their UAC, and between two endpoints.

use super::auth::{CHALLENGE, with_account};
use super::bench::*;
use super::delayed_offer::{offering, offerless, sdp};
use super::in_dialog::{answer_last, with_body};
use super::pair::{self, Pair, first_two_lost, nothing_lost};
use super::uac::{LEG, calling, outgoing, reply};
use crate::endpoint::*;
use crate::message::{Request, Response};
use crate::profile::Reliable;
use crate::testing::wire;

const IN: LegId = LegId(1);

fn requiring() -> TrunkProfile {
    TrunkProfile { reliable: Reliable::Required, ..TrunkProfile::default() }
}

fn rseq(response: &Response) -> u32 {
    response.headers.get("RSeq").unwrap().parse().unwrap()
}

/// An INVITE that requires 100rel, rung with 180; gives that 180.
fn rung(bench: &mut Bench, offers: bool) -> Response {
    let invite = request("INVITE", "i1", "Require: 100rel");
    let invite = if offers { with_body(&invite) } else { wire(&invite) };
    bench.receive_from(PEER, &invite);
    bench.respond(IN, 180);
    let ringing = bench.last().response();
    bench.take_sent();
    bench.take_events();
    ringing
}

fn prack(ringing: &Response, branch: &str, cseq: u32) -> String {
    let rack = format!("RAck: {} 10 INVITE\nContent-Type: application/sdp", rseq(ringing));
    within("PRACK", branch, cseq, &to_tag(ringing), &rack)
}

#[test]
fn a_required_180_is_sent_until_its_prack() {
    let mut bench = Bench::new();
    let ringing = rung(&mut bench, true);
    assert_eq!((ringing.status, ringing.headers.get("Require")), (180, Some("100rel")));
    assert!(ringing.headers.get("Contact").is_some() && (1..1 << 31).contains(&rseq(&ringing)));
    bench.advance(4000);
    assert!(bench.sent.iter().all(|sent| sent.response() == ringing));
    let times: Vec<_> = bench.take_timed().into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [500, 1500, 3500]);
    bench.receive(&prack(&ringing, "p1", 11));
    bench.receive(&prack(&ringing, "p1", 11));
    assert_eq!(bench.take_sent(), ["200 PRACK", "200 PRACK"]);
    bench.advance(40_000);
    assert_eq!(bench.take_sent(), [""; 0]);
    assert_eq!(bench.take_events(), [""; 0]);
    bench.receive(&prack(&ringing, "p2", 12));
    assert_eq!(bench.take_sent(), ["481 PRACK"], "it is acknowledged already");
    bench.respond(IN, 486);
    bench.assert_forgotten();
}

#[test]
fn a_prack_that_matches_nothing_is_481() {
    let mut bench = Bench::new();
    let ringing = rung(&mut bench, true);
    let good = format!("RAck: {} 10 INVITE", rseq(&ringing));
    let next = format!("RAck: {} 10 INVITE", rseq(&ringing) + 1);
    for (n, rack) in (11..).zip([
        "",
        "RAck: nonsense",
        &next,
        &good.replace("10 INVITE", "9 INVITE"),
        &good.replace("INVITE", "UPDATE"),
    ]) {
        bench.receive(&within("PRACK", &format!("p{n}"), n, &to_tag(&ringing), rack));
        assert_eq!(bench.take_sent(), ["481 PRACK"], "{rack}");
    }
    bench.advance(500);
    assert_eq!(bench.take_sent(), ["180 INVITE"], "it is still open");
}

#[test]
fn without_a_prack_the_invite_gets_504_after_64_t1() {
    let mut bench = Bench::new();
    rung(&mut bench, true);
    bench.respond(IN, 200);
    bench.advance(31_999);
    assert_eq!(bench.take_sent(), ["180 INVITE"; 6]);
    bench.advance(1);
    assert_eq!(bench.take_sent(), ["504 INVITE"]);
    assert_eq!(bench.take_events(), ["lost", "ended"]);
    bench.assert_forgotten();
}

#[test]
fn the_next_reliable_response_waits_for_the_prack_of_the_one_before() {
    let mut bench = Bench::new();
    let ringing = rung(&mut bench, true);
    bench.respond(IN, 183);
    bench.respond(IN, 182);
    assert_eq!(bench.take_sent(), [""; 0]);
    bench.receive(&prack(&ringing, "p1", 11));
    let second = bench.last().response();
    assert_eq!(bench.take_sent(), ["200 PRACK", "183 INVITE"]);
    assert_eq!(rseq(&second), rseq(&ringing) + 1);
    bench.receive(&prack(&second, "p2", 12));
    assert_eq!(bench.take_sent(), ["200 PRACK", "182 INVITE"]);
}

#[test]
fn what_waits_is_bounded() {
    let mut bench = Bench::new();
    let mut ringing = rung(&mut bench, true);
    for status in 181..199 {
        bench.respond(IN, status);
    }
    let mut sent = Vec::new();
    for n in 11..30 {
        bench.receive(&prack(&ringing, &format!("p{n}"), n));
        if bench.last().name() == "200 PRACK" {
            break;
        }
        ringing = bench.last().response();
        sent.push(ringing.status);
    }
    assert_eq!(sent, [195, 196, 197, 198], "the oldest ones are left out");
}

#[test]
fn the_200_waits_for_the_prack() {
    let mut bench = Bench::new();
    let ringing = rung(&mut bench, true);
    bench.respond(IN, 183);
    bench.respond(IN, 200);
    bench.respond(IN, 200);
    assert_eq!(bench.take_sent(), [""; 0]);
    bench.receive(&prack(&ringing, "p1", 11));
    let ok = bench.last().response();
    assert_eq!((ok.headers.get("RSeq"), ok.headers.get("Supported")), (None, Some("timer, 100rel")));
    assert_eq!(bench.take_sent(), ["200 PRACK", "200 INVITE"], "the 200 overtakes the empty 183");
    bench.receive(&within("ACK", "a1", 10, &to_tag(&ringing), ""));
    assert_eq!(bench.take_events(), ["acked"]);
    bench.receive(&prack(&ringing, "p2", 12));
    assert_eq!(bench.take_sent(), ["481 PRACK"]);
    bench.bye(IN);
    bench.assert_forgotten();
}

#[test]
fn a_refusal_does_not_wait_and_ends_the_retransmission() {
    let mut bench = Bench::new();
    let ringing = rung(&mut bench, true);
    bench.respond(IN, 200);
    bench.respond(IN, 486);
    assert_eq!(bench.take_sent(), ["486 INVITE"]);
    assert_eq!(bench.take_events(), ["ended"]);
    bench.receive(&within("ACK", "i1", 10, &to_tag(&ringing), ""));
    bench.advance(40_000);
    assert_eq!(bench.take_sent(), [""; 0]);
    bench.assert_forgotten();
}

#[test]
fn a_cancel_while_the_200_waits_ends_the_invite() {
    let mut bench = Bench::new();
    rung(&mut bench, true);
    bench.respond(IN, 200);
    bench.receive(&request("CANCEL", "i1", ""));
    assert_eq!(bench.take_sent(), ["200 CANCEL", "487 INVITE"]);
    assert_eq!(bench.take_events(), ["cancelled", "ended"]);
    bench.respond(IN, 487);
    bench.assert_forgotten();
}

#[test]
fn hanging_up_while_the_200_waits_is_a_refusal() {
    let mut bench = Bench::new();
    rung(&mut bench, true);
    bench.respond(IN, 200);
    bench.bye(IN);
    assert_eq!(bench.take_sent(), ["480 INVITE"]);
    bench.assert_forgotten();
}

#[test]
fn bye_and_cancel_end_the_retransmission() {
    for method in ["BYE", "CANCEL"] {
        let mut bench = Bench::new();
        let ringing = rung(&mut bench, true);
        if method == "BYE" {
            bench.receive(&within("BYE", "b1", 11, &to_tag(&ringing), ""));
            assert_eq!(bench.take_sent(), ["200 BYE", "487 INVITE"]);
        } else {
            bench.receive(&request("CANCEL", "i1", ""));
            bench.respond(IN, 487);
            assert_eq!(bench.take_sent(), ["200 CANCEL", "487 INVITE"]);
        }
        bench.receive(&within("ACK", "i1", 10, &to_tag(&ringing), ""));
        bench.advance(40_000);
        assert_eq!(bench.take_sent(), [""; 0]);
        bench.assert_forgotten();
    }
}

#[test]
fn an_offer_in_the_prack_is_answered_in_its_200_before_anything_else_goes_out() {
    let mut bench = Bench::new();
    let ringing = rung(&mut bench, true);
    bench.receive_from(PEER, &with_body(&prack(&ringing, "p1", 11)));
    assert_eq!(bench.take_sent(), [""; 0]);
    let Event::Request { id, request } = bench.events[0].event.clone() else { panic!() };
    assert_eq!(&request.body[..], b"v=0\r\n");
    bench.respond(IN, 200);
    assert_eq!(bench.take_sent(), [""; 0], "no 2xx with an open offer");
    let reply = Reply { body: sdp("answer"), ..Reply::new(200) };
    bench.command(Command::Answer { leg: IN, request: id, reply });
    assert_eq!(&bench.sent[0].response().body[..], b"answer");
    assert_eq!(bench.take_sent(), ["200 PRACK", "200 INVITE"]);
}

#[test]
fn the_prack_answers_the_offer_in_our_reliable_response() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", "Require: 100rel"));
    let reply = Reply { body: sdp("offer"), ..Reply::new(183) };
    bench.command(Command::Respond { leg: IN, reply });
    let progress = bench.last().response();
    bench.take_sent();
    bench.receive_from(PEER, &with_body(&prack(&progress, "p1", 11)));
    assert_eq!(bench.take_sent(), ["200 PRACK"]);
    assert_eq!(bench.events[1].event, Event::Acked { body: "v=0\r\n".into() });
    bench.respond(IN, 180);
    let second = bench.last().response();
    bench.receive_from(PEER, &with_body(&prack(&second, "p2", 12)));
    let names: Vec<_> = bench.events.iter().map(|event| name(&event.event)).collect();
    assert_eq!(names, ["invite", "acked", "request"], "what comes next is an offer");
    answer_last(&mut bench, IN, 200);
    bench.respond(IN, 486);
    bench.assert_forgotten();
}

#[test]
fn a_profile_that_requires_it_makes_it_so_where_the_peer_can() {
    for (more, reliable) in [("Supported: timer, 100rel", true), ("k: 100REL", true), ("", false)] {
        let mut bench = Bench::with(requiring());
        bench.receive(&request("INVITE", "i1", more));
        bench.respond(IN, 180);
        assert_eq!(bench.last().response().headers.get("RSeq").is_some(), reliable, "{more}");
    }
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", "Supported: 100rel"));
    bench.respond(IN, 180);
    assert_eq!(bench.last().response().headers.get("RSeq"), None, "offered is not required");
}

#[test]
fn the_trunks_profile_says_what_our_invite_offers() {
    for (reliable, supported, required) in [
        (Reliable::Off, "timer", None),
        (Reliable::Supported, "timer, 100rel", None),
        (Reliable::Required, "timer, 100rel", Some("100rel")),
    ] {
        let mut bench = Bench::with(TrunkProfile { reliable, ..TrunkProfile::default() });
        bench.command(Command::Invite { leg: LEG, invite: outgoing() });
        let headers = bench.last().request().headers;
        assert_eq!((headers.get("Supported"), headers.get("Require")), (Some(supported), required));
    }
}

fn reliable(invite: &Request, status: u16, tag: &str, rseq: u32) -> String {
    reply(invite, status, tag, &format!("Require: 100rel\nRSeq: {rseq}"))
}

#[test]
fn a_reliable_response_gets_its_prack_once_and_in_order() {
    let (mut bench, invite) = calling();
    bench.receive(&reliable(&invite, 180, "t1", 40));
    let prack = bench.last().clone();
    let get = |name| prack.request().headers.get(name).map(str::to_owned);
    assert_eq!(get("RAck").as_deref(), Some("40 1 INVITE"));
    assert_eq!((get("CSeq").as_deref(), prack.to.as_str()), (Some("2 PRACK"), "192.0.2.1:5080"));
    bench.receive(&reply(&prack.request(), 200, "t1", ""));
    bench.receive(&reliable(&invite, 180, "t1", 40));
    bench.receive(&reliable(&invite, 183, "t1", 42));
    assert_eq!(bench.take_sent(), ["PRACK"], "neither a repeated one nor one before its turn");
    assert_eq!(bench.take_events(), ["provisional"]);
    bench.receive(&reliable(&invite, 183, "t1", 41));
    bench.receive(&reliable(&invite, 180, "t2", 7));
    let of_other = bench.last().request();
    assert_eq!(of_other.headers.get("RAck"), Some("7 1 INVITE"), "each fork counts for itself");
    assert_eq!(of_other.headers.to().unwrap().tag(), Some("t2"));
    assert_eq!(bench.take_sent(), ["PRACK", "PRACK"]);
    assert_eq!(bench.take_events(), ["provisional", "provisional"]);
    bench.receive(&reply(&invite, 200, "t1", ""));
    bench.bye(LEG);
    assert_eq!(bench.last().request().headers.get("CSeq"), Some("4 BYE"));
    bench.assert_forgotten();
}

#[test]
fn without_rseq_or_require_there_is_no_prack() {
    let (mut bench, invite) = calling();
    bench.receive(&reply(&invite, 180, "t1", "RSeq: 5"));
    bench.receive(&reply(&invite, 180, "t1", "Require: 100rel"));
    bench.receive(&reply(&invite, 100, "t1", "Require: 100rel\nRSeq: 5"));
    assert_eq!(bench.take_sent(), [""; 0]);
    assert_eq!(bench.take_events(), ["provisional", "provisional"]);
}

#[test]
fn a_prack_that_fails_does_not_end_the_call() {
    let (mut bench, invite) = calling();
    bench.receive(&reliable(&invite, 180, "t1", 1));
    let prack = bench.last().request();
    bench.receive(&reply(&prack, 481, "t1", ""));
    bench.receive(&reliable(&invite, 183, "t1", 2));
    bench.advance(32_000);
    assert_eq!(bench.take_events(), ["provisional", "provisional"]);
    bench.receive(&reply(&invite, 200, "t1", ""));
    assert_eq!(bench.take_events(), ["answered"]);
}

#[test]
fn a_challenged_prack_goes_out_again_with_credentials() {
    let mut bench = Bench::with(with_account(None));
    bench.command(Command::Invite { leg: LEG, invite: outgoing() });
    let first = bench.last().request();
    bench.receive(&reply(&first, 401, "t1", CHALLENGE));
    let invite = bench.last().request();
    bench.receive(&reliable(&invite, 180, "t2", 1));
    let prack = bench.last().request();
    assert_eq!(prack.headers.get("RAck"), Some("1 2 INVITE"), "of the INVITE that went out again");
    bench.receive(&reply(&prack, 401, "t2", CHALLENGE));
    let again = bench.last().request();
    assert_eq!(bench.take_sent(), ["INVITE", "ACK", "INVITE", "PRACK", "PRACK"]);
    assert_eq!(again.headers.get("RAck"), Some("1 2 INVITE"));
    assert_eq!(again.headers.get("CSeq"), Some("4 PRACK"));
    assert!(again.headers.get("Authorization").is_some());
    bench.cancel(LEG);
    bench.assert_forgotten();
}

#[test]
fn an_offer_in_a_reliable_response_is_answered_in_its_prack() {
    let mut bench = Bench::new();
    bench.command(Command::Invite { leg: LEG, invite: offerless() });
    let invite = bench.last().request();
    bench.take_sent();
    let progress = offering(&invite, 183, "t1", "Require: 100rel\nRSeq: 9");
    bench.receive_from(PEER, &progress);
    bench.advance(500);
    bench.receive_from(PEER, &progress);
    assert_eq!(bench.take_sent(), [""; 0]);
    assert_eq!(bench.take_events(), ["provisional"]);
    bench.command(Command::Acknowledge { leg: LEG, body: sdp("answer") });
    let prack = bench.last().request();
    assert_eq!((&prack.body[..], prack.headers.get("RAck")), (&b"answer"[..], Some("9 1 INVITE")));
    bench.receive(&reliable(&invite, 180, "t1", 10));
    assert_eq!(bench.take_sent(), ["PRACK", "PRACK"], "no offer, nothing to wait for");
    bench.receive_from(PEER, &offering(&invite, 200, "t1", ""));
    assert_eq!(bench.take_sent(), ["ACK"], "the offer has its answer");
    bench.bye(LEG);
    bench.assert_forgotten();
}

#[test]
fn a_2xx_before_our_answer_to_the_offer_takes_it_in_the_ack() {
    let mut bench = Bench::new();
    bench.command(Command::Invite { leg: LEG, invite: offerless() });
    let invite = bench.last().request();
    bench.receive_from(PEER, &offering(&invite, 183, "t1", "Require: 100rel\nRSeq: 9"));
    bench.take_sent();
    bench.receive(&reply(&invite, 200, "t1", ""));
    assert_eq!(bench.take_sent(), [""; 0]);
    bench.command(Command::Acknowledge { leg: LEG, body: sdp("answer") });
    assert_eq!(&bench.last().request().body[..], b"answer");
    assert_eq!(bench.take_sent(), ["ACK"]);
}

#[test]
fn after_our_cancel_an_offer_gets_its_prack_without_an_answer() {
    let mut bench = Bench::new();
    bench.command(Command::Invite { leg: LEG, invite: offerless() });
    let invite = bench.last().request();
    bench.cancel(LEG);
    bench.take_sent();
    bench.receive_from(PEER, &offering(&invite, 183, "t1", "Require: 100rel\nRSeq: 9"));
    assert!(bench.sent[0].request().body.is_empty());
    assert_eq!(bench.take_sent(), ["PRACK", "CANCEL"]);
    bench.command(Command::Acknowledge { leg: LEG, body: sdp("answer") });
    assert_eq!(bench.take_sent(), [""; 0]);
    bench.assert_forgotten();
}

#[test]
fn forks_without_end_get_a_bounded_number_of_pracks() {
    let (mut bench, invite) = calling();
    for n in 0..1000 {
        bench.receive(&reliable(&invite, 180, &format!("t{n}"), 1));
    }
    assert!(bench.sent.len() <= 16, "{}", bench.sent.len());
    bench.cancel(LEG);
    bench.assert_forgotten();
}

#[test]
fn two_endpoints_ring_reliably_through_a_network_that_loses_much() {
    for (a, b) in [(requiring(), TrunkProfile::default()), (TrunkProfile::default(), requiring())] {
        let mut pair = Pair::of(a, b);
        pair.invite(outgoing(), nothing_lost);
        pair.b.respond(IN, 180);
        pair.b.respond(IN, 183);
        pair.b.respond(IN, 200);
        pair.run(20_000, first_two_lost);
        assert_eq!(pair.events(), (vec!["provisional", "answered"], vec!["invite", "acked"]));
        pair.a.bye(pair::LEG);
        pair.run(20_000, first_two_lost);
        assert_eq!(pair.events(), (vec!["ended"], vec!["bye", "ended"]));
        pair.assert_forgotten();
    }
}

#[test]
fn two_endpoints_offer_in_the_183_and_answer_in_the_prack() {
    let mut pair = Pair::of(requiring(), TrunkProfile::default());
    pair.invite(offerless(), nothing_lost);
    let reply = Reply { body: sdp("offer"), ..Reply::new(183) };
    pair.b.command(Command::Respond { leg: IN, reply });
    pair.b.respond(IN, 200);
    pair.run(2000, nothing_lost);
    assert_eq!(pair.events(), (vec!["provisional"], vec!["invite"]));
    pair.a.command(Command::Acknowledge { leg: pair::LEG, body: sdp("answer") });
    pair.run(2000, nothing_lost);
    assert_eq!(pair.b.events[0].event, Event::Acked { body: "answer".into() });
    assert_eq!(pair.events(), (vec!["answered"], vec!["acked", "acked"]));
    pair.b.bye(IN);
    pair.run(2000, nothing_lost);
    pair.assert_forgotten();
}
