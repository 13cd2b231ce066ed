//! An INVITE of ours that nothing at all comes back to.

use super::bench::*;
use super::uac::{LEG, outgoing, reply};
use crate::endpoint::*;
use crate::message::Request;
use crate::testing::ms;

fn calling() -> (Bench, Request) {
    let mut bench = Bench::new();
    let mut invite = outgoing();
    invite.answer_within = Some(ms(4000));
    bench.command(Command::Invite { leg: LEG, invite });
    let invite = bench.last().request();
    bench.sent.clear();
    (bench, invite)
}

fn given_up() -> (Bench, Request) {
    let (mut bench, invite) = calling();
    bench.advance(3999);
    assert_eq!(bench.take_events(), [""; 0]);
    bench.advance(1);
    assert_eq!(bench.take_events(), ["silence", "ended"]);
    bench.take_sent();
    (bench, invite)
}

#[test]
fn silence_ends_the_leg_and_the_invite_is_not_sent_again() {
    let (mut bench, _) = given_up();
    bench.advance(31_999);
    assert_eq!(bench.take_sent(), [""; 0]);
    assert_eq!(bench.endpoint.clients.len(), 1, "remembered for what comes late");
    bench.advance(1);
    assert!(bench.endpoint.clients.is_empty());
    assert_eq!(bench.take_events(), [""; 0]);
    bench.assert_forgotten();
}

#[test]
fn any_response_breaks_the_silence() {
    for status in [100, 180] {
        let (mut bench, invite) = calling();
        bench.advance(3900);
        bench.receive(&reply(&invite, status, "t1", ""));
        bench.take_events();
        bench.advance(120_000);
        assert_eq!(bench.take_events(), [""; 0], "{status}");
        bench.receive(&reply(&invite, 200, "t1", ""));
        assert_eq!(bench.take_events(), ["answered"]);
    }
}

#[test]
fn a_late_provisional_response_gets_one_cancel() {
    let (mut bench, invite) = given_up();
    bench.receive(&reply(&invite, 100, "", ""));
    bench.receive(&reply(&invite, 180, "t1", "Require: 100rel\nRSeq: 1"));
    let cancel = bench.last().request();
    assert_eq!(cancel.headers.via().unwrap().branch(), invite.headers.via().unwrap().branch());
    assert_eq!(bench.take_sent(), ["CANCEL"]);
    bench.receive(&reply(&cancel, 200, "t1", ""));
    bench.receive(&reply(&invite, 487, "t1", ""));
    bench.receive(&reply(&invite, 487, "t1", ""));
    assert_eq!(bench.take_sent(), ["ACK", "ACK"]);
    assert_eq!(bench.take_events(), [""; 0]);
    bench.assert_forgotten();
}

#[test]
fn a_late_answer_gets_ack_and_bye() {
    for provisional in [false, true] {
        let (mut bench, invite) = given_up();
        if provisional {
            bench.receive(&reply(&invite, 183, "t1", ""));
            bench.take_sent();
        }
        bench.receive(&reply(&invite, 200, "t1", ""));
        assert_eq!(bench.take_sent(), ["ACK", "BYE"]);
        bench.receive(&reply(&invite, 200, "t1", ""));
        assert_eq!(bench.take_sent(), ["ACK"]);
        assert_eq!(bench.take_events(), [""; 0]);
        bench.assert_forgotten();
    }
}

#[test]
fn a_late_refusal_gets_its_ack() {
    let (mut bench, invite) = given_up();
    bench.receive(&reply(&invite, 503, "t1", ""));
    assert_eq!(bench.take_sent(), ["ACK"]);
    assert_eq!(bench.take_events(), [""; 0]);
    bench.assert_forgotten();
}

#[test]
fn a_cancel_that_is_held_ends_with_the_silence() {
    let (mut bench, invite) = calling();
    bench.cancel(LEG);
    bench.advance(4000);
    assert_eq!(bench.take_events(), ["silence", "ended"]);
    bench.take_sent();
    bench.receive(&reply(&invite, 180, "t1", ""));
    assert_eq!(bench.take_sent(), ["CANCEL"]);
    bench.assert_forgotten();
}
