//! Delayed offers (RFC 3261 13.2.1): the offer in the 2xx, the answer in the ACK.

use super::bench::*;
use super::uac::{LEG, outgoing, reply};
use crate::endpoint::*;
use crate::message::Request;
use crate::testing::wire;

pub(super) fn sdp(text: &'static str) -> Option<Body> {
    Some(Body { content_type: "application/sdp".into(), bytes: text.into() })
}

/// An INVITE of ours that holds no offer.
pub(super) fn offerless() -> Box<OutgoingInvite> {
    let mut invite = outgoing();
    invite.body = None;
    invite
}

fn calling() -> (Bench, Request) {
    let mut bench = Bench::new();
    bench.command(Command::Invite { leg: LEG, invite: offerless() });
    let invite = bench.last().request();
    bench.sent.clear();
    (bench, invite)
}

/// A response with an offer.
pub(super) fn offering(request: &Request, status: u16, tag: &str, more: &str) -> Vec<u8> {
    let more = format!("Content-Type: application/sdp\n{more}");
    [&wire(&reply(request, status, tag, &more))[..], b"offer"].concat()
}

fn answered() -> (Bench, Request) {
    let (mut bench, invite) = calling();
    bench.receive_from(PEER, &offering(&invite, 200, "t1", ""));
    assert_eq!(bench.take_events(), ["answered"]);
    assert_eq!(bench.take_sent(), [""; 0]);
    (bench, invite)
}

#[test]
fn the_ack_waits_for_our_answer_and_carries_it() {
    let (mut bench, invite) = answered();
    assert!(invite.body.is_empty() && invite.headers.get("Content-Type").is_none());
    bench.advance(500);
    bench.receive_from(PEER, &offering(&invite, 200, "t1", ""));
    assert_eq!(bench.take_sent(), [""; 0], "a retransmitted 2xx waits too");
    bench.command(Command::Acknowledge { leg: LEG, body: sdp("answer") });
    let ack = bench.last().clone();
    assert_eq!((&ack.request().body[..], ack.to.as_str()), (&b"answer"[..], "192.0.2.1:5080"));
    assert_eq!(ack.request().headers.get("Content-Type"), Some("application/sdp"));
    assert_eq!(ack.request().headers.get("CSeq"), Some("1 ACK"));
    assert_eq!(bench.take_sent(), ["ACK"]);
    bench.receive_from(PEER, &offering(&invite, 200, "t1", ""));
    assert_eq!(bench.last().bytes, ack.bytes, "and then gets the same ACK");
    bench.sent.clear();
    bench.command(Command::Acknowledge { leg: LEG, body: sdp("another") });
    bench.advance(60_000);
    assert_eq!(bench.take_sent(), [""; 0], "one answer an offer");
    assert_eq!(bench.take_events(), [""; 0]);
    bench.bye(LEG);
    bench.assert_forgotten();
}

#[test]
fn without_our_answer_the_call_ends() {
    let (mut bench, _) = answered();
    bench.advance(15_999);
    assert_eq!(bench.take_sent(), [""; 0]);
    bench.advance(1);
    assert!(bench.sent[0].request().body.is_empty());
    assert_eq!(bench.take_sent(), ["ACK", "BYE"]);
    assert_eq!(bench.events[0].event, Event::Lost(Lost::Gone));
    bench.assert_forgotten();
    assert_eq!(bench.take_events(), ["lost", "ended"]);
}

#[test]
fn hanging_up_instead_of_answering_sends_an_empty_ack_before_the_bye() {
    let (mut bench, invite) = answered();
    bench.bye(LEG);
    assert!(bench.sent[0].request().body.is_empty());
    assert_eq!(bench.take_sent(), ["ACK", "BYE"]);
    bench.receive_from(PEER, &offering(&invite, 200, "t1", ""));
    assert_eq!(bench.take_sent(), ["ACK"]);
    bench.command(Command::Acknowledge { leg: LEG, body: sdp("answer") });
    assert_eq!(bench.take_sent(), [""; 0]);
    bench.assert_forgotten();
}

#[test]
fn a_peer_that_hangs_up_before_our_answer_gets_its_ack() {
    let (mut bench, invite) = answered();
    let tag = invite.headers.from().unwrap().tag().unwrap().to_owned();
    bench.receive(&within("BYE", "b1", 1, &tag, "").replace("tag=pbx", "tag=t1").replace("call-1", "out-1"));
    assert_eq!(bench.take_sent(), ["200 BYE", "ACK"]);
    assert_eq!(bench.take_events(), ["bye", "ended"]);
    bench.assert_forgotten();
}

#[test]
fn a_2xx_without_an_offer_is_acknowledged_at_once() {
    let (mut bench, invite) = calling();
    bench.receive(&reply(&invite, 200, "t1", ""));
    assert_eq!(bench.take_sent(), ["ACK"]);
    assert_eq!(bench.take_events(), ["answered"]);
}

#[test]
fn a_second_fork_is_hung_up_while_the_first_waits() {
    let (mut bench, invite) = answered();
    bench.receive_from(PEER, &offering(&invite, 200, "t2", ""));
    assert_eq!(bench.last().request().headers.to().unwrap().tag(), Some("t2"));
    assert_eq!(bench.take_sent(), ["ACK", "BYE"]);
    bench.command(Command::Acknowledge { leg: LEG, body: sdp("answer") });
    assert_eq!(bench.last().request().headers.to().unwrap().tag(), Some("t1"));
    assert_eq!(bench.take_sent(), ["ACK"]);
    bench.bye(LEG);
    bench.assert_forgotten();
}

#[test]
fn a_2xx_with_an_offer_that_crosses_the_cancel_gets_ack_and_bye() {
    let (mut bench, invite) = calling();
    bench.cancel(LEG);
    bench.receive_from(PEER, &offering(&invite, 200, "t1", ""));
    assert_eq!(bench.take_sent(), ["ACK", "BYE"]);
    bench.assert_forgotten();
}

#[test]
fn an_invite_without_sdp_gets_its_offer_in_the_200_and_answers_in_the_ack() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    let reply = Reply { body: sdp("offer"), ..Reply::new(200) };
    bench.command(Command::Respond { leg: LegId(1), reply });
    let tag = to_tag(&bench.last().response());
    let ack = within("ACK", "a1", 10, &tag, "Content-Type: application/sdp");
    bench.receive_from(PEER, &[&wire(&ack)[..], b"answer"].concat());
    assert_eq!(bench.events[1].event, Event::Acked { body: "answer".into() });
}
