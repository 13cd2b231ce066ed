//! Waiting until nothing is on its way, which the end of the program does.

use super::bench::*;
use super::uac::{LEG, calling, reply, ringing};
use crate::endpoint::*;

#[test]
fn an_endpoint_is_settled_when_its_last_bye_was_answered() {
    let (mut bench, invite) = calling();
    bench.receive(&reply(&invite, 200, "t1", ""));
    assert!(!bench.endpoint.is_settled(), "a call lives");
    bench.bye(LEG);
    let bye = bench.last().request();
    bench.advance(600);
    assert_eq!(bench.take_sent(), ["ACK", "BYE", "BYE"], "it is sent again");
    assert!(!bench.endpoint.is_settled());
    bench.receive(&reply(&bye, 200, "t1", ""));
    assert!(bench.endpoint.is_settled());
    assert_ne!(bench.endpoint.load().transactions, 0, "what only takes up repetitions is not waited for");
}

#[test]
fn a_peer_that_never_answers_the_bye_is_waited_for_until_timer_f() {
    let (mut bench, invite) = calling();
    bench.receive(&reply(&invite, 200, "t1", ""));
    bench.bye(LEG);
    bench.advance(31_999);
    assert!(!bench.endpoint.is_settled());
    bench.advance(1);
    assert!(bench.endpoint.is_settled());
}

#[test]
fn a_cancelled_invite_is_waited_for_until_its_487() {
    let (mut bench, invite) = ringing();
    bench.cancel(LEG);
    let cancel = bench.last().request();
    bench.receive(&reply(&cancel, 200, "t1", ""));
    assert!(!bench.endpoint.is_settled());
    bench.receive(&reply(&invite, 487, "t1", ""));
    assert!(bench.endpoint.is_settled());
}

#[test]
fn a_refusal_is_sent_until_its_ack() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    let Some(LegEvent { leg, .. }) = bench.events.pop() else { panic!("no call") };
    bench.respond(leg, 503);
    let refusal = bench.last().response();
    assert!(!bench.endpoint.is_settled());
    bench.receive(&within("ACK", "i1", 10, &to_tag(&refusal), ""));
    assert!(bench.endpoint.is_settled());
}
