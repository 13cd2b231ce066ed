//! What a new offer meets while one is open in a reliable provisional response, in a PRACK or behind a held ACK
//! (RFC 3264 4, RFC 3311 5.2).

use std::time::Duration;

use super::bench::*;
use super::delayed_offer::{offering, offerless, sdp};
use super::in_dialog::{answer_last, with_body};
use super::uac::{LEG, reply};
use crate::endpoint::*;
use crate::message::{Method, Request, Response};
use crate::profile::SessionTimer;

const IN: LegId = LegId(1);
const RELIABLE: &str = "Require: 100rel\nRSeq: 9";

/// An UPDATE with an offer in the dialog of the incoming call gets this, or is handed up.
fn update(bench: &mut Bench, tag: &str, cseq: u32) -> Option<String> {
    bench.sent.clear();
    bench.receive_from(PEER, &with_body(&within("UPDATE", &format!("u{cseq}"), cseq, tag, "")));
    bench.sent.last().map(Sent::name)
}

/// The same in the dialog of the outgoing call.
fn update_to_caller(bench: &mut Bench, invite: &Request, cseq: u32) -> Option<String> {
    bench.sent.clear();
    let tag = invite.headers.from().unwrap().tag().unwrap().to_owned();
    let update = within("UPDATE", &format!("u{cseq}"), cseq, &tag, "");
    bench.receive_from(PEER, &with_body(&update.replace("tag=pbx", "tag=t1").replace("call-1", "out-1")));
    bench.sent.last().map(Sent::name)
}

fn progress(bench: &mut Bench, invite: &[u8]) -> Response {
    bench.receive_from(PEER, invite);
    let reply = Reply { body: sdp("ours"), ..Reply::new(183) };
    bench.command(Command::Respond { leg: IN, reply });
    bench.last().response()
}

fn prack(progress: &Response, cseq: u32) -> Vec<u8> {
    let rack = format!("RAck: {} 10 INVITE", progress.headers.get("RSeq").unwrap());
    with_body(&within("PRACK", "p1", cseq, &to_tag(progress), &rack))
}

#[test]
fn our_offer_in_a_reliable_response_is_open_until_its_prack() {
    let mut bench = Bench::new();
    let progress = progress(&mut bench, &crate::testing::wire(&request("INVITE", "i1", "Require: 100rel")));
    let tag = to_tag(&progress);
    assert_eq!(update(&mut bench, &tag, 11).as_deref(), Some("491 UPDATE"));
    bench.receive_from(PEER, &prack(&progress, 12));
    assert_eq!(update(&mut bench, &tag, 13), None, "handed up");
    answer_last(&mut bench, IN, 200);
    bench.respond(IN, 486);
    bench.assert_forgotten();
}

#[test]
fn their_offer_in_a_prack_is_open_until_its_200() {
    let mut bench = Bench::new();
    let progress = progress(&mut bench, &with_body(&request("INVITE", "i1", "Require: 100rel")));
    let tag = to_tag(&progress);
    bench.receive_from(PEER, &prack(&progress, 11));
    assert_eq!(update(&mut bench, &tag, 12).as_deref(), Some("500 UPDATE"));
    assert!(bench.last().response().headers.get("Retry-After").is_some());
    answer_last(&mut bench, IN, 200);
    assert_eq!(update(&mut bench, &tag, 13), None, "handed up");
    bench.respond(IN, 486);
    bench.assert_forgotten();
}

#[test]
fn their_offer_in_a_reliable_response_is_open_until_our_prack() {
    let mut bench = Bench::new();
    bench.command(Command::Invite { leg: LEG, invite: offerless() });
    let invite = bench.last().request();
    bench.receive_from(PEER, &offering(&invite, 183, "t1", RELIABLE));
    assert_eq!(update_to_caller(&mut bench, &invite, 1).as_deref(), Some("500 UPDATE"));
    bench.command(Command::Acknowledge { leg: LEG, body: sdp("answer") });
    assert_eq!(update_to_caller(&mut bench, &invite, 2), None, "handed up");
    bench.cancel(LEG);
    bench.assert_forgotten();
}

#[test]
fn nothing_is_offered_before_their_offer_in_the_2xx_has_its_answer() {
    let mut bench = Bench::new();
    bench.command(Command::Invite { leg: LEG, invite: offerless() });
    let invite = bench.last().request();
    bench.receive_from(PEER, &offering(&invite, 200, "t1", ""));
    assert_eq!(update_to_caller(&mut bench, &invite, 1).as_deref(), Some("500 UPDATE"));
    bench.take_sent();
    let id = OwnRequestId(1);
    let (method, headers, body) = (Method::Invite, Vec::new(), sdp("hold"));
    bench.command(Command::Request { leg: LEG, id, method, headers, body });
    assert_eq!(bench.take_sent(), [""; 0]);
    bench.command(Command::Acknowledge { leg: LEG, body: sdp("answer") });
    assert_eq!(bench.take_sent(), ["ACK", "INVITE"], "then ours goes out by itself");
    bench.bye(LEG);
    bench.assert_forgotten();
}

#[test]
fn a_refresh_by_reinvite_repeats_our_late_answer() {
    for early in [false, true] {
        let timer = SessionTimer { expires: Duration::from_secs(600), min_se: Duration::from_secs(90) };
        let mut bench = Bench::with(TrunkProfile { session_timer: Some(timer), ..TrunkProfile::default() });
        bench.command(Command::Invite { leg: LEG, invite: offerless() });
        let invite = bench.last().request();
        let answer = Command::Acknowledge { leg: LEG, body: sdp("answer") };
        let timed = "Session-Expires: 600;refresher=uac";
        if early {
            bench.receive_from(PEER, &offering(&invite, 183, "t1", RELIABLE));
            bench.command(answer);
            bench.receive(&reply(&bench.last().request(), 200, "t1", ""));
            bench.receive(&reply(&invite, 200, "t1", timed));
        } else {
            bench.receive_from(PEER, &offering(&invite, 200, "t1", timed));
            bench.command(answer);
        }
        bench.take_sent();
        bench.advance(300_000);
        let refresh = bench.sent.first().expect("no refresh").request();
        assert_eq!((&refresh.method, &refresh.body[..]), (&Method::Invite, &b"answer"[..]), "{early}");
        bench.bye(LEG);
        bench.assert_forgotten();
    }
}
