//! Exactly the records that each shape of a call leaves: one at each step that changes how it is to be ended, none when
//! all has ended.

use super::bench::*;
use super::uac::{LEG, calling, outgoing, reply, ringing};
use crate::auth::{Account, Credentials, Secret};
use crate::endpoint::*;
use crate::testing::ms;

const IN: LegId = LegId(1);
const NOTHING: [&str; 0] = [];

#[test]
fn an_incoming_call_that_the_peer_ends() {
    let mut bench = Bench::new();
    let (_, tag) = answered(&mut bench);
    assert_eq!(bench.take_records(IN), ["incoming", "incoming+dialog"]);
    bench.receive(&within("ACK", "a1", 10, &tag, ""));
    assert_eq!(bench.take_records(IN), ["dialog"]);
    bench.receive(&within("BYE", "b1", 11, &tag, ""));
    assert_eq!(bench.take_records(IN), ["-"]);
    bench.assert_forgotten();
    assert_eq!(bench.take_records(IN), NOTHING);
}

#[test]
fn an_incoming_call_that_we_end_is_recorded_until_its_bye_is_answered() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    bench.take_records(IN);
    bench.bye(leg);
    assert_eq!(bench.take_records(IN), NOTHING, "the BYE may not have come through");
    let bye = bench.last().request();
    bench.receive(&reply(&bye, 481, "pbx", ""));
    assert_eq!(bench.take_records(IN), ["-"]);
    bench.assert_forgotten();
}

#[test]
fn a_bye_without_an_answer_is_settled_by_its_time_out() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    bench.take_records(IN);
    bench.bye(leg);
    bench.advance(31_900);
    assert_eq!(bench.take_records(IN), NOTHING);
    bench.advance(200);
    assert_eq!(bench.take_records(IN), ["-"]);
}

#[test]
fn a_refusal_is_recorded_until_its_ack() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    bench.respond(IN, 486);
    assert_eq!(bench.take_events(), ["invite", "ended"]);
    assert_eq!(bench.take_records(IN), ["incoming"], "it outlives the leg");
    let tag = to_tag(&bench.last().response());
    bench.receive(&within("ACK", "i1", 10, &tag, ""));
    assert_eq!(bench.take_records(IN), ["-"]);
    bench.assert_forgotten();
}

#[test]
fn a_refusal_without_its_ack_is_settled_by_timer_h() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    bench.respond(IN, 486);
    bench.advance(31_900);
    assert_eq!(bench.take_records(IN), ["incoming"]);
    bench.advance(200);
    assert_eq!(bench.take_records(IN), ["-"]);
}

#[test]
fn a_call_that_the_peer_cancels() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    bench.respond(IN, 180);
    bench.receive(&request("CANCEL", "i1", ""));
    bench.respond(IN, 487);
    assert_eq!(bench.take_records(IN), ["incoming"]);
    let tag = to_tag(&bench.last().response());
    bench.receive(&within("ACK", "i1", 10, &tag, ""));
    assert_eq!(bench.take_records(IN), ["-"]);
    bench.assert_forgotten();
}

#[test]
fn an_answer_that_is_never_acknowledged() {
    let mut bench = Bench::new();
    let (leg, _) = answered(&mut bench);
    bench.take_records(IN);
    bench.advance(32_100);
    assert_eq!(bench.take_records(IN), ["dialog"]);
    bench.bye(leg);
    bench.assert_forgotten();
    assert_eq!(bench.take_records(IN), ["-"]);
}

#[test]
fn an_outgoing_call_that_either_side_ends() {
    for ours in [true, false] {
        let (mut bench, invite) = ringing();
        assert_eq!(bench.take_records(LEG), ["outgoing"], "a provisional response changes nothing");
        bench.receive(&reply(&invite, 200, "t1", ""));
        assert_eq!(bench.take_records(LEG), ["dialog"]);
        if ours {
            bench.bye(LEG);
            let bye = bench.last().request();
            assert_eq!(bench.take_records(LEG), NOTHING);
            bench.receive(&reply(&bye, 200, "t1", ""));
        } else {
            let tag = invite.headers.from().unwrap().tag().unwrap().to_owned();
            let bye = within("BYE", "b1", 1, &tag, "").replace("tag=pbx", "tag=t1");
            bench.receive(&bye.replace("call-1", "out-1"));
        }
        assert_eq!(bench.take_records(LEG), ["-"]);
        bench.assert_forgotten();
    }
}

#[test]
fn an_invite_that_is_refused_or_not_answered() {
    let (mut bench, invite) = ringing();
    bench.receive(&reply(&invite, 486, "t1", ""));
    assert_eq!(bench.take_records(LEG), ["outgoing", "-"]);
    let (mut bench, _) = calling();
    bench.advance(32_100);
    assert_eq!(bench.take_records(LEG), ["outgoing", "-"]);
}

#[test]
fn a_cancelled_invite_is_recorded_until_it_is_settled() {
    let (mut bench, invite) = ringing();
    bench.take_records(LEG);
    bench.cancel(LEG);
    assert_eq!(bench.take_records(LEG), NOTHING);
    bench.receive(&reply(&invite, 487, "t1", ""));
    assert_eq!(bench.take_records(LEG), ["-"]);

    let (mut bench, invite) = ringing();
    bench.take_records(LEG);
    bench.cancel(LEG);
    bench.receive(&reply(&invite, 200, "t1", ""));
    assert_eq!(bench.take_records(LEG), ["dialog"], "the answer was faster: BYE");
    let bye = bench.last().request();
    bench.receive(&reply(&bye, 200, "t1", ""));
    assert_eq!(bench.take_records(LEG), ["-"]);

    let (mut bench, _) = ringing();
    bench.take_records(LEG);
    bench.cancel(LEG);
    bench.advance(32_100);
    assert_eq!(bench.take_records(LEG), ["-"], "nothing came of it");
}

#[test]
fn an_invite_that_was_given_up_is_recorded_as_long_as_it_may_ring() {
    let mut bench = Bench::new();
    let invite = OutgoingInvite { answer_within: Some(ms(3000)), ..*outgoing() };
    bench.command(Command::Invite { leg: LEG, invite: Box::new(invite) });
    let invite = bench.last().request();
    bench.advance(3000);
    assert_eq!(bench.take_events(), ["silence", "ended"]);
    assert_eq!(bench.take_records(LEG), ["outgoing"]);
    bench.receive(&reply(&invite, 200, "t1", ""));
    assert_eq!(bench.take_records(LEG), ["dialog"], "a late answer gets ACK and BYE");
    let bye = bench.last().request();
    bench.receive(&reply(&bye, 200, "t1", ""));
    assert_eq!(bench.take_records(LEG), ["-"]);
    bench.assert_forgotten();
}

#[test]
fn a_second_answer_is_recorded_until_its_own_bye_is_answered() {
    let (mut bench, invite) = ringing();
    bench.receive(&reply(&invite, 200, "t1", ""));
    bench.take_records(LEG);
    bench.receive(&reply(&invite, 200, "t2", ""));
    assert_eq!(bench.take_records(LEG), ["dialog+dialog"]);
    let bye = bench.last().request();
    bench.receive(&reply(&bye, 200, "t2", ""));
    assert_eq!(bench.take_records(LEG), ["dialog"]);
    bench.bye(LEG);
    bench.assert_forgotten();
    assert_eq!(bench.take_records(LEG), ["-"]);
}

pub(super) fn challenged() -> TrunkProfile {
    let credentials = Credentials { user: "us".into(), password: Secret::new("secret") };
    TrunkProfile { outbound: Some(Account { credentials, realm: None }), ..TrunkProfile::default() }
}

pub(super) const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"n1\", qop=\"auth\"";

#[test]
fn an_invite_that_was_sent_again_with_credentials_is_recorded_as_it_was_sent_last() {
    let mut bench = Bench::with(challenged());
    bench.command(Command::Invite { leg: LEG, invite: outgoing() });
    let first = bench.last().request();
    bench.receive(&reply(&first, 401, "t0", CHALLENGE));
    let again = bench.last().request();
    let branch = again.headers.via().unwrap().branch().unwrap().to_owned();
    let record = bench.record(LEG);
    let text = String::from_utf8_lossy(record.as_bytes()).into_owned();
    assert!(text.contains(&branch) && text.contains("CSeq: 2 INVITE"), "{text}");
    assert!(!text.contains("Authorization") && !text.contains("v=0"), "{text}");
    assert_eq!(bench.take_records(LEG), ["outgoing", "outgoing"]);
    bench.receive(&reply(&again, 486, "t1", ""));
    assert_eq!(bench.take_records(LEG), ["-"]);
    bench.assert_forgotten();
}

#[test]
fn a_dialog_is_recorded_again_when_its_peer_moves() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    bench.take_records(IN);
    let reinvite = |bench: &mut Bench, cseq: u32, contact: &str| {
        let contact = format!("Contact: <sip:100@{contact}>");
        bench.receive(&within("INVITE", &format!("r{cseq}"), cseq, &tag, &contact));
        let Some(Event::Request { id, .. }) = bench.events.last().map(|event| event.event.clone()) else {
            panic!("no request");
        };
        bench.command(Command::Answer { leg, request: id, reply: Reply::new(200) });
        bench.receive(&within("ACK", &format!("k{cseq}"), cseq, &tag, ""));
    };
    reinvite(&mut bench, 11, "192.0.2.1:5060");
    assert_eq!(bench.take_records(IN), NOTHING, "it is where it was");
    reinvite(&mut bench, 12, "192.0.2.1:5090");
    assert_eq!(bench.take_records(IN), ["dialog"]);
    bench.receive(&within("UPDATE", "u1", 13, &tag, "Contact: <sip:100@192.0.2.1:5091>"));
    assert_eq!(bench.take_records(IN), ["dialog"]);
    bench.receive(&within("BYE", "b1", 14, &tag, ""));
    assert_eq!(bench.take_records(IN), ["-"]);
}

#[test]
fn nothing_is_recorded_unless_it_is_wanted() {
    let mut bench = Bench::new();
    let config = EndpointConfig { record: false, ..bench.endpoint.config.clone() };
    bench.endpoint = Endpoint::new(config);
    let (leg, _) = confirmed(&mut bench);
    bench.bye(leg);
    bench.assert_forgotten();
    assert!(bench.records.is_empty());
}
