//! Outgoing INVITEs.

use super::bench::*;
use crate::endpoint::*;
use crate::message::{NameAddr, Request};

pub(super) const LEG: LegId = LegId(2);

pub(super) fn outgoing() -> Box<OutgoingInvite> {
    let name_addr = |text: &str| text.parse::<NameAddr>().unwrap();
    Box::new(OutgoingInvite {
        flow: Flow::udp(PEER.parse().unwrap()),
        answer_within: None,
        request_uri: "sip:200@192.0.2.1".parse().unwrap(),
        from: name_addr("\"Ann \\\"A\\\"\" <sip:+49171@192.0.2.2>"),
        to: name_addr("<sip:200@192.0.2.1>;tag=not-ours-to-say"),
        call_id: "out-1".into(),
        max_forwards: 69,
        headers: vec![("X-Wacid".into(), "w1".into()), ("P-Asserted-Identity".into(), "<tel:+49171>".into())],
        body: Some(Body { content_type: "application/sdp".into(), bytes: "v=0\r\n".into() }),
    })
}

pub(super) fn calling() -> (Bench, Request) {
    let mut bench = Bench::new();
    bench.command(Command::Invite { leg: LEG, invite: outgoing() });
    let invite = bench.last().request();
    assert_eq!(bench.take_sent(), ["INVITE"]);
    (bench, invite)
}

pub(super) fn ringing() -> (Bench, Request) {
    let (mut bench, invite) = calling();
    bench.receive(&reply(&invite, 180, "t1", ""));
    assert_eq!(bench.take_events(), ["provisional"]);
    (bench, invite)
}

/// A response of the peer to a request of ours.
pub(super) fn reply(request: &Request, status: u16, tag: &str, more: &str) -> String {
    let get = |name| request.headers.get(name).unwrap();
    let tag = if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
    let to = request.headers.to().unwrap().uri;
    format!(
        "SIP/2.0 {status} Reason
         Via: {};received=192.0.2.2
         From: {}
         To: <{to}>{tag}
         Call-ID: {}
         CSeq: {}
         Contact: <sip:200@192.0.2.1:5080>
         {more}",
        get("Via"),
        get("From"),
        get("Call-ID"),
        get("CSeq"),
    )
}

#[test]
fn the_invite() {
    let (mut bench, invite) = calling();
    let get = |name| invite.headers.get(name).unwrap();
    assert_eq!(invite.uri.to_string(), "sip:200@192.0.2.1");
    assert!(get("Via").starts_with("SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK"));
    assert!(get("From").starts_with("\"Ann \\\"A\\\"\" <sip:+49171@192.0.2.2>;tag="));
    assert_eq!(get("To"), "<sip:200@192.0.2.1>");
    assert_eq!((get("Max-Forwards"), get("Contact")), ("69", "<sip:192.0.2.2:5060>"));
    assert_eq!((get("X-Wacid"), get("Content-Type")), ("w1", "application/sdp"));
    assert_eq!(&invite.body[..], b"v=0\r\n");
    bench.command(Command::Invite { leg: LEG, invite: outgoing() });
    assert_eq!(bench.take_sent(), [""; 0], "one INVITE a leg");
}

#[test]
fn no_response_at_all() {
    let (mut bench, _) = calling();
    bench.advance(40_000);
    let times: Vec<_> = bench.take_timed().into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [500, 1500, 3500, 7500, 15_500, 31_500]);
    assert_eq!(bench.take_events(), ["timeout", "ended"]);
    bench.assert_forgotten();
}

#[test]
fn the_transport_fails() {
    let mut bench = Bench::new();
    bench.command(Command::Invite { leg: LEG, invite: outgoing() });
    let origin = bench.last().origin;
    bench.input(Input::TransportError { origin });
    assert_eq!(bench.take_events(), ["transport", "ended"]);
    bench.assert_forgotten();
}

#[test]
fn answered_and_hung_up_by_the_peer() {
    let (mut bench, invite) = calling();
    bench.receive(&reply(&invite, 100, "", ""));
    assert_eq!(bench.take_events(), [""; 0]);
    bench.receive(&reply(&invite, 183, "t1", ""));
    bench.receive(&reply(&invite, 200, "t1", "Record-Route: <sip:192.0.2.9:5070;lr>"));
    assert_eq!(bench.take_events(), ["provisional", "answered"]);
    assert_eq!(bench.last().to, "192.0.2.9:5070");
    let ack = bench.last().clone();
    assert_eq!(ack.request().uri.to_string(), "sip:200@192.0.2.1:5080");
    assert_eq!(ack.request().headers.get("CSeq"), Some("1 ACK"));
    assert_ne!(ack.request().headers.via().unwrap().branch(), invite.headers.via().unwrap().branch());
    assert_eq!(bench.take_sent(), ["ACK"]);

    bench.receive(&reply(&invite, 200, "t1", "Record-Route: <sip:192.0.2.9:5070;lr>"));
    assert_eq!(bench.last().bytes, ack.bytes, "a retransmitted 2xx gets its ACK again");
    assert_eq!(bench.take_sent(), ["ACK"]);
    assert_eq!(bench.take_events(), [""; 0]);

    let our_tag = invite.headers.from().unwrap().tag().unwrap().to_owned();
    let bye = within("BYE", "b1", 1, &our_tag, "").replace("tag=pbx", "tag=t1").replace("call-1", "out-1");
    bench.receive(&bye);
    assert_eq!(bench.take_sent(), ["200 BYE"]);
    assert_eq!(bench.take_events(), ["bye", "ended"]);
    bench.assert_forgotten();
}

#[test]
fn answered_and_hung_up_by_us() {
    let (mut bench, invite) = ringing();
    bench.receive(&reply(&invite, 200, "t1", ""));
    bench.bye(LEG);
    let bye = bench.last().request();
    assert_eq!((bench.last().to.as_str(), bye.headers.get("CSeq")), ("192.0.2.1:5080", Some("2 BYE")));
    assert_eq!(bench.take_sent(), ["ACK", "BYE"]);
    bench.advance(600);
    assert_eq!(bench.take_sent(), ["BYE"]);
    bench.receive(&reply(&bye, 200, "t1", ""));
    assert_eq!(bench.take_events(), ["answered", "ended"]);
    bench.assert_forgotten();
}

#[test]
fn rejected() {
    let (mut bench, invite) = ringing();
    bench.receive(&reply(&invite, 486, "t1", ""));
    bench.receive(&reply(&invite, 486, "t1", ""));
    assert_eq!(bench.take_sent(), ["ACK", "ACK"]);
    assert_eq!(bench.take_events(), ["rejected", "ended"]);
    bench.advance(31_000);
    bench.receive(&reply(&invite, 486, "t1", ""));
    assert_eq!(bench.take_sent(), ["ACK"], "Timer D");
    bench.assert_forgotten();
}

#[test]
fn cancel_after_a_provisional() {
    let (mut bench, invite) = ringing();
    bench.cancel(LEG);
    bench.cancel(LEG);
    let cancel = bench.last().request();
    assert_eq!(bench.take_sent(), ["CANCEL"]);
    for name in ["Via", "From", "To", "Call-ID"] {
        assert_eq!(cancel.headers.get(name), invite.headers.get(name), "{name}");
    }
    assert_eq!(cancel.headers.get("CSeq"), Some("1 CANCEL"));
    assert_eq!((cancel.headers.get("Reason"), &cancel.uri), (Some("SIP;cause=487"), &invite.uri));
    bench.receive(&reply(&cancel, 200, "t1", ""));
    assert_eq!(bench.take_events(), [""; 0]);
    bench.receive(&reply(&invite, 487, "t1", ""));
    assert_eq!(bench.take_sent(), ["ACK"]);
    assert_eq!(bench.take_events(), ["rejected", "ended"]);
    bench.assert_forgotten();
}

#[test]
fn cancel_is_held_until_a_provisional() {
    let (mut bench, invite) = calling();
    bench.cancel(LEG);
    bench.advance(600);
    assert_eq!(bench.take_sent(), ["INVITE"]);
    bench.receive(&reply(&invite, 100, "", ""));
    assert_eq!(bench.take_sent(), ["CANCEL"]);
    bench.receive(&reply(&invite, 180, "t1", ""));
    assert_eq!(bench.take_events(), [""; 0], "ringing is no news any more");
    bench.receive(&reply(&invite, 487, "t1", ""));
    assert_eq!(bench.take_events(), ["rejected", "ended"]);
    bench.assert_forgotten();
}

#[test]
fn cancel_without_any_response() {
    let (mut bench, _) = calling();
    bench.cancel(LEG);
    bench.advance(40_000);
    assert_eq!(bench.take_events(), ["timeout", "ended"]);
    bench.assert_forgotten();
}

#[test]
fn cancel_without_a_final_response_ends_after_64_t1() {
    let (mut bench, _) = ringing();
    bench.cancel(LEG);
    bench.advance(31_999);
    assert_eq!(bench.take_events(), [""; 0]);
    bench.advance(1);
    assert_eq!(bench.take_events(), ["timeout", "ended"]);
    bench.assert_forgotten();
}

#[test]
fn a_200_that_crosses_the_cancel_gets_ack_and_bye() {
    for held in [true, false] {
        let (mut bench, invite) = if held { calling() } else { ringing() };
        bench.cancel(LEG);
        bench.take_sent();
        bench.receive(&reply(&invite, 200, "t1", ""));
        let bye = bench.last().request();
        assert_eq!(bye.headers.get("Reason"), Some("SIP;cause=487"));
        assert_eq!(bench.take_sent(), ["ACK", "BYE"]);
        assert_eq!(bench.take_events(), [""; 0]);
        bench.receive(&reply(&invite, 200, "t1", ""));
        assert_eq!(bench.take_sent(), ["ACK"]);
        bench.receive(&reply(&bye, 200, "t1", ""));
        assert_eq!(bench.take_events(), ["ended"]);
        bench.assert_forgotten();
    }
}

#[test]
fn cancel_of_an_answered_leg_is_a_bye() {
    let (mut bench, invite) = ringing();
    bench.receive(&reply(&invite, 200, "t1", ""));
    bench.take_sent();
    bench.cancel(LEG);
    assert_eq!(bench.take_sent(), ["BYE"]);
}

#[test]
fn bye_of_an_unanswered_leg_is_a_cancel() {
    let (mut bench, _) = ringing();
    bench.bye(LEG);
    assert_eq!(bench.take_sent(), ["CANCEL"]);
}

#[test]
fn a_second_answer_gets_ack_and_bye() {
    let (mut bench, invite) = ringing();
    bench.receive(&reply(&invite, 183, "t2", ""));
    bench.receive(&reply(&invite, 200, "t2", ""));
    bench.receive(&reply(&invite, 200, "t1", ""));
    let bye = bench.last().request();
    assert_eq!(bye.headers.to().unwrap().tag(), Some("t1"));
    assert_eq!(bench.take_sent(), ["ACK", "ACK", "BYE"]);
    assert_eq!(bench.take_events(), ["provisional", "answered"]);
    bench.receive(&reply(&bye, 200, "t1", ""));
    assert_eq!(bench.take_events(), [""; 0], "the call goes on with the first");
    bench.bye(LEG);
    assert_eq!(bench.last().request().headers.to().unwrap().tag(), Some("t2"));
    bench.assert_forgotten();
}

#[test]
fn forks_without_end_are_bounded() {
    let (mut bench, invite) = calling();
    for n in 0..1000 {
        bench.receive(&reply(&invite, 180, &format!("t{n}"), ""));
    }
    assert!(bench.endpoint.dialogs.len() < 20);
    for n in 0..1000 {
        bench.receive(&reply(&invite, 200, &format!("t{n}"), ""));
    }
    assert!(bench.endpoint.clients.len() < 20);
    bench.bye(LEG);
    bench.assert_forgotten();
}

#[test]
fn a_response_with_the_names_of_another_dialog_leaves_that_one_alone() {
    for statuses in [&[180][..], &[200], &[180, 200]] {
        let mut bench = Bench::new();
        let (other, other_tag) = confirmed(&mut bench);
        bench.command(Command::Invite { leg: LEG, invite: outgoing() });
        let invite = bench.last().request();
        let our_tag = invite.headers.from().unwrap().tag().unwrap().to_owned();
        bench.take_sent();
        for status in statuses {
            let foreign = reply(&invite, *status, "pbx", "")
                .replace(&format!("tag={our_tag}"), &format!("tag={other_tag}"))
                .replace("out-1", "call-1");
            bench.receive(&foreign);
        }
        bench.take_events();

        bench.receive(&within("BYE", "b1", 11, &other_tag, ""));
        let events: Vec<_> = bench.events.iter().map(|event| (event.leg, name(&event.event))).collect();
        assert_eq!(events, [(other, "bye"), (other, "ended")], "{statuses:?}");
        assert_eq!(bench.last().name(), "200 BYE");

        bench.bye(LEG);
        let (end, acks) = if statuses.contains(&200) { ("BYE", 1) } else { ("CANCEL", 0) };
        let ours: Vec<_> = bench.sent.iter().filter(|sent| sent.name() != "200 BYE").collect();
        assert_eq!(ours.iter().filter(|sent| sent.name() == "ACK").count(), acks, "{statuses:?}");
        assert_eq!(ours.last().unwrap().name(), end);
        for sent in ours {
            assert_eq!(sent.request().headers.get("Call-ID"), Some("out-1"), "{statuses:?}");
            assert_eq!(sent.request().headers.get("From"), invite.headers.get("From"), "{statuses:?}");
        }
        bench.assert_forgotten();
    }
}

#[test]
fn a_2xx_without_our_tag_is_acknowledged() {
    let (mut bench, invite) = calling();
    let tag = invite.headers.from().unwrap().tag().unwrap().to_owned();
    bench.receive(&reply(&invite, 200, "t1", "").replace(&format!(";tag={tag}"), ""));
    assert_eq!(bench.last().request().headers.get("From"), invite.headers.get("From"));
    assert_eq!(bench.take_sent(), ["ACK"]);
    assert_eq!(bench.take_events(), ["answered"]);
    let bye = within("BYE", "b1", 1, &tag, "").replace("tag=pbx", "tag=t1").replace("call-1", "out-1");
    bench.receive(&bye);
    assert_eq!(bench.take_events(), ["bye", "ended"]);
    bench.assert_forgotten();
}

#[test]
fn a_response_with_two_vias_is_not_ours() {
    let (mut bench, invite) = calling();
    bench.receive(&reply(&invite, 200, "t1", "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK9"));
    assert_eq!(bench.take_events(), [""; 0]);
    assert_eq!(bench.endpoint.counters().stray_responses, 1);
}

#[test]
fn requests_in_an_early_dialog() {
    let (mut bench, invite) = ringing();
    let tag = invite.headers.from().unwrap().tag().unwrap().to_owned();
    let within = |method: &str, branch: &str, cseq: u32| {
        within(method, branch, cseq, &tag, "").replace("tag=pbx", "tag=t1").replace("call-1", "out-1")
    };
    bench.receive(&within("INVITE", "x1", 5));
    assert_eq!(bench.take_sent(), ["100 INVITE", "491 INVITE"]);
    bench.receive(&within("MESSAGE", "x2", 6));
    let Event::Request { id, .. } = bench.events[0].event else { panic!() };
    bench.receive(&reply(&invite, 200, "t1", ""));
    bench.take_sent();
    bench.command(Command::Answer { leg: LEG, request: id, reply: Reply::new(200) });
    assert_eq!(bench.take_sent(), ["200 MESSAGE"], "what was open in the early dialog is open in the dialog");
    bench.receive(&within("INFO", "x3", 5));
    assert_eq!(bench.take_sent(), ["500 INFO"], "and the sequence numbers go on");
}
