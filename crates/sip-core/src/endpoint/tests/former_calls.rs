//! A dialog of a former life: its BYE (RFC 3261 15), and what crosses it.

use super::bench::*;
use super::former::{AGAIN, crash, crash_to, recover};
use super::records::{CHALLENGE, challenged};
use super::uac::{LEG, reply, ringing};

const NOTHING: [&str; 0] = [];

#[test]
fn a_dialog_of_the_uas_gets_its_bye() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    let mut next = crash(&bench, leg);
    let bye = next.last().request();
    assert_eq!((bye.uri.to_string().as_str(), next.last().to.as_str()), ("sip:100@192.0.2.1:5060", PEER));
    assert_eq!(bye.headers.get("From"), Some(&*format!("<sip:+4930123@192.0.2.2>;tag={tag}")));
    assert_eq!(bye.headers.get("To"), Some("\"Desk\" <sip:100@192.0.2.1>;tag=pbx"));
    assert_eq!((bye.headers.get("Call-ID"), bye.headers.get("CSeq")), (Some("call-1"), Some("100001 BYE")));
    assert_eq!(bye.headers.reason().unwrap(), "SIP;cause=503;text=\"Restarted\"");
    assert_eq!(
        (next.take_records(AGAIN), next.take_sent()),
        (vec!["dialog".to_owned()], vec!["BYE".to_owned()])
    );
    next.advance(1600);
    assert_eq!(next.take_sent(), ["BYE", "BYE"], "Timer E");
    next.receive(&reply(&bye, 200, "pbx", ""));
    assert_eq!(next.take_records(AGAIN), ["-"]);
    next.assert_forgotten();
    assert!(next.events.is_empty(), "{:?}", next.events);
}

#[test]
fn a_dialog_of_the_uac_gets_its_bye_along_its_route() {
    let (mut bench, invite) = ringing();
    bench.receive(&reply(
        &invite,
        200,
        "t1",
        "Record-Route: <sip:192.0.2.9:5070;lr>, <sip:proxy.example;lr>",
    ));
    let mut next = crash(&bench, LEG);
    let bye = next.last().request();
    assert_eq!(bye.uri.to_string(), "sip:200@192.0.2.1:5080");
    let routes: Vec<_> = bye.headers.list("Route").collect();
    assert_eq!(routes, ["<sip:proxy.example;lr>", "<sip:192.0.2.9:5070;lr>"]);
    assert_eq!(next.last().to, PEER, "a name: where the peer was known to be");
    assert_eq!(bye.headers.get("From"), invite.headers.get("From"));
    next.receive(&reply(&bye, 200, "t1", ""));
    assert_eq!(next.take_records(AGAIN), ["dialog", "-"]);
    next.assert_forgotten();
}

#[test]
fn whatever_comes_of_the_bye_settles_it() {
    for status in [404, 408, 481, 503] {
        let mut bench = Bench::new();
        let (leg, _) = confirmed(&mut bench);
        let mut next = crash(&bench, leg);
        let bye = next.last().request();
        next.receive(&reply(&bye, status, "pbx", ""));
        assert_eq!(next.take_records(AGAIN), ["dialog", "-"], "{status}");
        next.assert_forgotten();
    }
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    let mut next = crash(&bench, leg);
    next.advance(32_100);
    assert_eq!(next.take_records(AGAIN), ["dialog", "-"], "Timer F");
    next.assert_forgotten();
}

#[test]
fn a_challenge_to_the_bye_is_answered() {
    let mut bench = Bench::with(challenged());
    let (leg, _) = confirmed(&mut bench);
    let mut next = crash_to(&bench, leg, challenged());
    let bye = next.last().request();
    next.receive(&reply(&bye, 401, "pbx", CHALLENGE));
    let again = next.last().request();
    assert_eq!(again.headers.get("CSeq"), Some("100002 BYE"));
    assert!(again.headers.get("Authorization").unwrap().contains("username=\"us\""));
    assert_eq!(next.take_records(AGAIN), ["dialog"]);
    next.receive(&reply(&again, 200, "pbx", ""));
    assert_eq!(next.take_records(AGAIN), ["-"]);
    next.assert_forgotten();
}

#[test]
fn a_bye_of_theirs_crosses_ours() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    let mut next = crash(&bench, leg);
    next.take_sent();
    next.receive(&within("BYE", "b1", 11, &tag, ""));
    assert_eq!(next.take_sent(), ["200 BYE"]);
    assert_eq!(next.take_records(AGAIN), ["dialog", "-"]);
    assert!(next.events.is_empty(), "{:?}", next.events);
    next.assert_forgotten();
}

#[test]
fn anything_else_in_the_dialog_gets_481() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    let mut next = crash(&bench, leg);
    next.take_sent();
    for (cseq, method) in (11..).zip(["INVITE", "UPDATE", "INFO"]) {
        next.receive(&within(method, &format!("m{cseq}"), cseq, &tag, "Contact: <sip:100@192.0.2.1>"));
        assert_eq!(next.take_sent().pop(), Some(format!("481 {method}")));
    }
    assert!(next.events.is_empty(), "{:?}", next.events);
    next.assert_forgotten();
}

#[test]
fn a_bye_that_was_on_its_way_when_the_program_crashed_is_sent_again() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    bench.bye(leg);
    let mut next = crash(&bench, leg);
    assert_eq!(next.take_sent(), ["BYE"]);
    next.assert_forgotten();
    assert_eq!(next.take_records(AGAIN), ["dialog", "-"]);
}

#[test]
fn an_answer_without_its_ack_gets_503_in_case_it_was_lost_and_bye_in_case_it_was_not() {
    let mut bench = Bench::new();
    let (leg, tag) = answered(&mut bench);
    let mut next = crash(&bench, leg);
    let bye = next.last().request();
    assert_eq!(next.take_sent(), ["503 INVITE", "BYE"]);
    assert_eq!(next.take_records(AGAIN), ["incoming+dialog"]);
    next.receive(&within("ACK", "a1", 10, &tag, ""));
    assert_eq!(next.take_records(AGAIN), [""; 0], "the ACK of the 2xx is not that of the 503");
    next.receive(&reply(&bye, 481, "pbx", ""));
    assert_eq!(next.take_records(AGAIN), [""; 0], "its 2xx may still come through");
    next.receive(&within("ACK", "i1", 10, &tag, ""));
    assert_eq!(next.take_records(AGAIN), ["-"]);
    next.assert_forgotten();
    assert!(next.events.is_empty(), "{:?}", next.events);
}

#[test]
fn a_peer_that_learns_of_its_answer_after_our_bye_gets_another_one() {
    // To a BYE that overtakes the 2xx a peer may say either: it ends an early dialog, or none.
    for status in [481, 200] {
        let mut bench = Bench::new();
        let (leg, tag) = answered(&mut bench);
        let mut next = crash(&bench, leg);
        let bye = next.last().request();
        next.receive(&reply(&bye, status, "pbx", ""));
        next.receive(&within("ACK", "a1", 10, &tag, ""));
        next.take_sent();
        next.advance(4000);
        let again = next.sent.iter().find(|sent| sent.name() == "BYE").expect("no BYE").request();
        next.receive(&reply(&again, 200, "pbx", ""));
        assert_eq!(next.take_records(AGAIN), ["incoming+dialog"]);
        next.assert_forgotten();
        assert_eq!(next.take_records(AGAIN), ["dialog", "-"], "Timer H");
    }
}

#[test]
fn both_answers_of_a_fork_are_hung_up() {
    let (mut bench, invite) = ringing();
    bench.receive(&reply(&invite, 200, "t1", ""));
    bench.receive(&reply(&invite, 200, "t2", ""));
    let mut next = crash(&bench, LEG);
    let byes: Vec<_> = next.sent.iter().map(Sent::request).collect();
    let tags: Vec<_> = byes.iter().map(|bye| bye.headers.to().unwrap().tag().unwrap().to_owned()).collect();
    assert_eq!(tags, ["t1", "t2"]);
    next.receive(&reply(&byes[0], 200, "t1", ""));
    assert_eq!(next.take_records(AGAIN), ["dialog+dialog", "dialog"]);
    next.receive(&reply(&byes[1], 200, "t2", ""));
    assert_eq!(next.take_records(AGAIN), ["-"]);
    next.assert_forgotten();
}

#[test]
fn a_second_crash_loses_nothing() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    let next = crash(&bench, leg);
    let mut third = Bench::at(LOCAL, 9).with_clock_of(&next);
    recover(&mut third, next.record(AGAIN));
    let bye = third.last().request();
    assert_eq!(bye.headers.get("CSeq"), Some("200001 BYE"), "higher than that of the second life");
    third.receive(&reply(&bye, 200, "pbx", ""));
    assert_eq!(third.take_records(AGAIN), ["dialog", "-"]);
    third.assert_forgotten();
}

#[test]
fn a_leg_that_is_known_is_left_alone() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    let mut next = crash(&bench, leg);
    next.take_sent();
    recover(&mut next, bench.record(leg));
    assert_eq!(next.take_sent(), NOTHING);
    next.assert_forgotten();
    assert_eq!(next.take_records(AGAIN), ["dialog", "-"]);
}
