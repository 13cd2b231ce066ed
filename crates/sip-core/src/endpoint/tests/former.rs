//! A leg of a former life whose INVITE had no answer yet: 503 to the peer's, CANCEL for ours (RFC 3261 9, 17.1.1.3, 17.2.1).

use super::bench::*;
use super::uac::{LEG, calling, reply, ringing};
use crate::endpoint::*;
use crate::message::Request;

/// The recovered leg, in the new life.
pub(super) const AGAIN: LegId = LegId(4);
const IN: LegId = LegId(1);
const NOTHING: [&str; 0] = [];

/// The next life, with other branches and tags, and the record that the last one left of this leg.
pub(super) fn crash(bench: &Bench, leg: LegId) -> Bench {
    crash_to(bench, leg, TrunkProfile::default())
}

pub(super) fn crash_to(bench: &Bench, leg: LegId, profile: TrunkProfile) -> Bench {
    let mut next = Bench::with_profile(LOCAL, 8, profile).with_clock_of(bench);
    recover(&mut next, bench.record(leg));
    next
}

pub(super) fn recover(next: &mut Bench, record: LegRecord) {
    let headers = vec![("Reason".to_owned(), "SIP;cause=503;text=\"Restarted\"".to_owned())];
    next.command(Command::Recover { leg: AGAIN, record, headers });
}

fn rung() -> (Bench, String) {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    bench.respond(IN, 180);
    let tag = to_tag(&bench.last().response());
    (bench, tag)
}

fn reason(request: &Request) -> Option<String> {
    request.headers.reason()
}

#[test]
fn the_invite_of_the_peer_gets_503_with_the_tag_that_it_knows() {
    let (bench, tag) = rung();
    let mut next = crash(&bench, IN);
    let refused = next.last().response();
    assert_eq!(to_tag(&refused), tag);
    assert_eq!(refused.headers.get("Retry-After"), Some("10"));
    assert_eq!(refused.headers.get("Via"), bench.last().response().headers.get("Via"));
    assert_eq!(next.last().to, PEER);
    assert_eq!(next.take_records(AGAIN), ["incoming"]);
    assert_eq!(next.take_sent(), ["503 INVITE"], "and no 100 before it");
    next.advance(3600);
    assert_eq!(next.take_sent(), ["503 INVITE"; 3], "Timer G");
    next.receive(&within("ACK", "i1", 10, &tag, ""));
    assert_eq!(next.take_records(AGAIN), ["-"]);
    next.advance(4000);
    assert_eq!(next.take_sent(), NOTHING);
    next.assert_forgotten();
    assert!(next.events.is_empty(), "{:?}", next.events);
}

#[test]
fn without_an_ack_the_503_is_given_up_by_timer_h() {
    let mut next = crash(&rung().0, IN);
    next.advance(31_900);
    assert_eq!(next.take_records(AGAIN), ["incoming"]);
    next.advance(200);
    assert_eq!(next.take_records(AGAIN), ["-"]);
    next.assert_forgotten();
}

#[test]
fn the_invite_again_and_a_cancel_of_it_find_the_503() {
    let (bench, tag) = rung();
    let mut next = crash(&bench, IN);
    next.take_sent();
    next.receive(&request("INVITE", "i1", ""));
    assert_eq!(next.take_sent(), ["503 INVITE"], "it is no new call");
    next.receive(&request("CANCEL", "i1", ""));
    assert_eq!(to_tag(&next.last().response()), tag);
    assert_eq!(next.take_sent(), ["200 CANCEL"]);
    next.receive(&request("INVITE", "i2", ""));
    assert_eq!(next.take_sent(), ["482 INVITE"], "by another way it is the same one");
    next.receive(&within("ACK", "i1", 10, &tag, ""));
    next.assert_forgotten();
    assert!(next.events.is_empty(), "{:?}", next.events);
}

#[test]
fn an_invite_that_was_faster_than_its_record_is_a_call_of_this_life() {
    let (bench, _) = rung();
    let mut next = Bench::at(LOCAL, 8).with_clock_of(&bench);
    next.receive(&request("INVITE", "i1", ""));
    recover(&mut next, bench.record(IN));
    assert_eq!(next.take_sent(), ["100 INVITE"]);
    assert_eq!((next.take_records(AGAIN), next.take_events()), (vec!["-".to_owned()], vec!["invite"]));
}

#[test]
fn a_refusal_that_was_not_acknowledged_goes_on() {
    let (mut bench, tag) = rung();
    bench.respond(IN, 486);
    let mut next = crash(&bench, IN);
    assert_eq!(
        next.take_sent(),
        ["503 INVITE"],
        "the peer ignores it, or takes it for the one that was lost"
    );
    next.receive(&within("ACK", "i1", 10, &tag, ""));
    assert_eq!(next.take_records(AGAIN), ["incoming", "-"]);
    next.assert_forgotten();
}

/// Our INVITE rang when the program crashed.
fn cancelled() -> (Bench, Request) {
    let (bench, invite) = ringing();
    let next = crash(&bench, LEG);
    (next, invite)
}

#[test]
fn our_invite_gets_its_cancel() {
    let (mut next, invite) = cancelled();
    let cancel = next.last().request();
    assert_eq!((next.last().to.as_str(), next.sent.len()), (PEER, 1));
    for name in ["Via", "From", "To", "Call-ID"] {
        assert_eq!(cancel.headers.get(name), invite.headers.get(name), "{name}");
    }
    assert_eq!((&cancel.uri, cancel.headers.get("CSeq")), (&invite.uri, Some("1 CANCEL")));
    assert_eq!(reason(&cancel).unwrap(), "SIP;cause=503;text=\"Restarted\"");
    assert_eq!(next.take_records(AGAIN), ["outgoing"]);
    next.take_sent();
    next.advance(1600);
    assert_eq!(next.take_sent(), ["CANCEL", "CANCEL"], "Timer E");
}

#[test]
fn a_late_487_gets_its_ack_and_settles_it() {
    let (mut next, invite) = cancelled();
    let cancel = next.last().request();
    next.receive(&reply(&cancel, 200, "t1", ""));
    next.take_sent();
    next.receive(&reply(&invite, 487, "t1", ""));
    let ack = next.last().request();
    assert_eq!(ack.headers.get("Via"), invite.headers.get("Via"), "RFC 3261 17.1.1.3");
    assert_eq!(ack.headers.get("CSeq"), Some("1 ACK"));
    assert_eq!(ack.headers.to().unwrap().tag(), Some("t1"));
    assert_eq!(next.take_records(AGAIN), ["outgoing", "-"]);
    next.receive(&reply(&invite, 487, "t1", ""));
    assert_eq!(next.take_sent(), ["ACK", "ACK"], "after it is over, too");
    next.assert_forgotten();
    assert!(next.events.is_empty(), "{:?}", next.events);
}

#[test]
fn a_late_200_gets_its_ack_and_a_bye() {
    let (mut next, invite) = cancelled();
    next.take_sent();
    next.receive(&reply(&invite, 200, "t1", "Record-Route: <sip:192.0.2.9:5070;lr>"));
    let bye = next.last().request();
    assert_eq!(next.take_records(AGAIN), ["outgoing", "dialog"]);
    assert_eq!(next.last().to, "192.0.2.9:5070");
    assert_eq!(
        (bye.uri.to_string().as_str(), bye.headers.get("CSeq")),
        ("sip:200@192.0.2.1:5080", Some("100002 BYE"))
    );
    assert_eq!(reason(&bye).unwrap(), "SIP;cause=503;text=\"Restarted\"");
    assert_eq!(next.take_sent(), ["ACK", "BYE"], "above whatever PRACK the former life has sent");
    next.receive(&reply(&invite, 200, "t1", "Record-Route: <sip:192.0.2.9:5070;lr>"));
    assert_eq!(next.take_sent(), ["ACK"], "the 200 again");
    next.receive(&reply(&bye, 200, "t1", ""));
    assert_eq!(next.take_records(AGAIN), ["-"]);
    next.assert_forgotten();
    assert!(next.events.is_empty(), "{:?}", next.events);
}

#[test]
fn without_any_answer_it_is_given_up_after_64_t1() {
    let (mut next, _) = cancelled();
    next.advance(31_900);
    assert_eq!(next.take_records(AGAIN), ["outgoing"]);
    next.advance(200);
    assert_eq!(next.take_records(AGAIN), ["-"]);
    next.assert_forgotten();
}

#[test]
fn an_invite_that_the_peer_gets_after_the_cancel_is_cancelled_again() {
    let (bench, invite) = calling();
    let mut next = crash(&bench, LEG);
    let cancel = next.last().request();
    next.receive(&reply(&cancel, 481, "t1", ""));
    next.take_sent();
    next.receive(&reply(&invite, 180, "t1", ""));
    assert_eq!(reason(&next.last().request()).unwrap(), "SIP;cause=503;text=\"Restarted\"");
    assert_eq!(next.take_sent(), ["CANCEL"]);
    next.receive(&reply(&invite, 180, "t1", ""));
    assert_eq!(next.take_sent(), NOTHING, "one is on its way");
    next.receive(&reply(&cancel, 200, "t1", ""));
    next.receive(&reply(&invite, 487, "t1", ""));
    assert_eq!(next.take_records(AGAIN), ["outgoing", "-"]);
    next.assert_forgotten();
}

#[test]
fn an_invite_that_rings_before_its_cancel_is_refused_is_cancelled_again() {
    let (bench, invite) = calling();
    let mut next = crash(&bench, LEG);
    let cancel = next.last().request();
    next.receive(&reply(&invite, 180, "t1", ""));
    next.take_sent();
    next.receive(&reply(&cancel, 481, "t1", ""));
    assert_eq!(next.take_sent(), ["CANCEL"], "the 481 was overtaken");
    next.receive(&reply(&cancel, 200, "t1", ""));
    next.receive(&reply(&invite, 487, "t1", ""));
    assert_eq!(next.take_records(AGAIN), ["outgoing", "-"]);
    next.assert_forgotten();
}

#[test]
fn a_peer_that_rings_and_knows_of_nothing_is_not_cancelled_for_ever() {
    let (bench, invite) = calling();
    let mut next = crash(&bench, LEG);
    let cancel = next.last().request();
    for _ in 0..20 {
        next.receive(&reply(&cancel, 481, "t1", ""));
        next.receive(&reply(&invite, 180, "t1", ""));
        next.advance(400);
    }
    assert_eq!(next.take_sent().iter().filter(|name| *name == "CANCEL").count(), 3);
    next.assert_forgotten();
    assert_eq!(next.take_records(AGAIN), ["outgoing", "-"]);
}
