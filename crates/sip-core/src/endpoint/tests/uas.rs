//! Incoming INVITEs.

use super::bench::*;
use crate::endpoint::*;
use crate::message::Method;

#[test]
fn a_new_call_gets_100_at_once_and_is_handed_up() {
    let mut bench = Bench::new();
    bench.receive_from("192.0.2.1:1024", &crate::testing::wire(&request("INVITE", "i1", "")));
    let trying = bench.last().response();
    assert_eq!((trying.status, bench.last().to.as_str()), (100, "192.0.2.1:1024"));
    assert_eq!(trying.headers.to().unwrap().tag(), None);
    let via = trying.headers.get("Via").unwrap();
    assert!(via.contains("rport=1024") && via.contains("received=192.0.2.1"), "{via}");
    let LegEvent { leg: LegId(1), event: Event::Invite { request, flow, replaces: None } } = &bench.events[0]
    else {
        panic!("{:?}", bench.events);
    };
    assert_eq!(request.uri.user.as_deref(), Some("+4930123"));
    assert_eq!(flow.to_string(), "udp 192.0.2.1:1024");
}

#[test]
fn an_answered_call_that_the_peer_ends() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", "Record-Route: <sip:192.0.2.9;lr>"));
    let leg = bench.events[0].leg;
    bench.respond(leg, 180);
    bench.respond(leg, 183);
    let body = Body { content_type: "application/sdp".into(), bytes: "v=0\r\n".into() };
    let reply = Reply { body: Some(body), headers: vec![("X-Call".into(), "7".into())], ..Reply::new(200) };
    bench.command(Command::Respond { leg, reply });
    let ok = bench.last().response();
    assert_eq!(&ok.body[..], b"v=0\r\n");
    for (header, value) in [
        ("Contact", "<sip:192.0.2.2:5060>"),
        ("Record-Route", "<sip:192.0.2.9;lr>"),
        ("X-Call", "7"),
        ("Content-Type", "application/sdp"),
    ] {
        assert_eq!(ok.headers.get(header), Some(value));
    }
    let tags: Vec<_> = bench.sent[1..].iter().map(|sent| to_tag(&sent.response())).collect();
    assert!(tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
    assert_eq!(bench.take_sent(), ["100 INVITE", "180 INVITE", "183 INVITE", "200 INVITE"]);

    bench.receive(&within("ACK", "a1", 10, &tags[0], ""));
    bench.receive(&within("BYE", "b1", 11, &tags[0], "Reason: Q.850;cause=16\nReason: SIP;cause=200"));
    let Event::Bye { reason } = &bench.events[2].event else { panic!() };
    assert_eq!(reason.as_deref(), Some("Q.850;cause=16, SIP;cause=200"));
    assert_eq!(bench.take_events(), ["invite", "acked", "bye", "ended"]);
    assert_eq!(bench.take_sent(), ["200 BYE"]);

    bench.receive(&within("BYE", "b1", 11, &tags[0], ""));
    assert_eq!(bench.take_sent(), ["200 BYE"], "a retransmission is answered by its transaction");
    bench.receive(&within("BYE", "b2", 12, &tags[0], ""));
    assert_eq!(bench.take_sent(), ["481 BYE"]);
    assert_eq!(bench.take_events(), [""; 0]);
    bench.assert_forgotten();
}

#[test]
fn a_retransmitted_invite_gets_the_last_response() {
    let mut bench = Bench::new();
    let invite = request("INVITE", "i1", "");
    bench.receive(&invite);
    bench.receive(&invite);
    let leg = bench.events[0].leg;
    bench.respond(leg, 180);
    bench.receive(&invite);
    bench.respond(leg, 486);
    bench.receive(&invite);
    let sent = bench.take_sent();
    assert_eq!(sent, ["100 INVITE", "100 INVITE", "180 INVITE", "180 INVITE", "486 INVITE", "486 INVITE"]);
    assert_eq!(bench.take_events(), ["invite", "ended"]);
    bench.receive(&within("ACK", "i1", 10, "x", ""));
    bench.advance(3000);
    assert_eq!(bench.take_sent(), [""; 0], "the ACK ends the retransmission");
    bench.assert_forgotten();
}

#[test]
fn a_rejection_without_ack_is_sent_again_until_timer_h() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    bench.respond(bench.events[0].leg, 404);
    bench.take_sent();
    bench.advance(40_000);
    let times: Vec<_> = bench.take_timed().into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    bench.assert_forgotten();
}

#[test]
fn a_final_after_a_final_is_ignored() {
    let mut bench = Bench::new();
    let (leg, _) = answered(&mut bench);
    bench.take_sent();
    bench.respond(leg, 486);
    bench.respond(leg, 180);
    assert_eq!(bench.take_sent(), [""; 0]);
    bench.respond(LegId(99), 200);
    assert_eq!(bench.take_events(), ["invite"]);
}

#[test]
fn a_lost_200_is_sent_again_until_its_ack() {
    let mut bench = Bench::new();
    let (_, tag) = answered(&mut bench);
    let first = bench.last().bytes.clone();
    bench.sent.clear();
    bench.advance(4000);
    assert!(bench.sent.iter().all(|sent| sent.bytes == first));
    let times: Vec<_> = bench.take_timed().into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [500, 1500, 3500]);
    bench.receive(&within("ACK", "a1", 9, &tag, ""));
    assert_eq!(bench.take_events(), ["invite"], "an ACK of another CSeq is none");
    bench.receive(&within("ACK", "a1", 10, &tag, ""));
    bench.receive(&within("ACK", "a1", 10, &tag, ""));
    bench.advance(60_000);
    assert_eq!(bench.take_events(), ["acked"]);
    assert_eq!(bench.take_sent(), [""; 0]);
}

#[test]
fn a_lost_ack_ends_in_ack_timeout_and_the_user_hangs_up() {
    let mut bench = Bench::new();
    let (leg, tag) = answered(&mut bench);
    bench.take_sent();
    bench.advance(31_999);
    assert_eq!(bench.take_events(), ["invite"]);
    assert_eq!(bench.take_sent().len(), 10);
    bench.advance(1);
    assert_eq!(bench.take_events(), ["ack timeout"]);
    bench.bye(leg);
    let bye = bench.last().request();
    assert_eq!(bye.headers.get("Reason"), Some("SIP;cause=200"));
    assert_eq!(bye.headers.from().unwrap().tag(), Some(tag.as_str()));
    bench.advance(40_000);
    assert_eq!(bench.take_sent().len(), 11, "the BYE is sent until Timer F");
    assert_eq!(bench.take_events(), ["ended"]);
    bench.assert_forgotten();
}

#[test]
fn a_bye_of_ours_waits_for_the_ack() {
    let mut bench = Bench::new();
    let (leg, tag) = answered(&mut bench);
    bench.take_sent();
    bench.bye(leg);
    bench.bye(leg);
    assert_eq!(bench.take_sent(), [""; 0]);
    bench.receive(&within("ACK", "a1", 10, &tag, ""));
    assert_eq!(bench.last().to, PEER);
    assert_eq!(bench.take_sent(), ["BYE"]);
    assert_eq!(bench.take_events(), ["invite", "acked"]);
}

#[test]
fn a_bye_of_ours_goes_out_after_the_ack_timeout_too() {
    let mut bench = Bench::new();
    let (leg, _) = answered(&mut bench);
    bench.bye(leg);
    bench.take_sent();
    bench.advance(32_000);
    assert_eq!(bench.take_sent().last().map(String::as_str), Some("BYE"));
    assert_eq!(bench.take_events(), ["invite"]);
    bench.advance(32_000);
    assert_eq!(bench.take_events(), ["ended"]);
    bench.assert_forgotten();
}

#[test]
fn cancel() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    let leg = bench.events[0].leg;
    bench.respond(leg, 180);
    let tag = to_tag(&bench.last().response());
    bench.take_sent();
    let cancel = request("CANCEL", "i1", "Reason: SIP;cause=200;text=\"Call completed elsewhere\"");
    bench.receive(&cancel);
    assert_eq!(to_tag(&bench.last().response()), tag);
    bench.receive(&cancel);
    assert_eq!(bench.take_sent(), ["200 CANCEL", "200 CANCEL"]);
    let Event::Cancelled { reason } = &bench.events[1].event else { panic!() };
    assert_eq!(reason.as_deref(), Some("SIP;cause=200;text=\"Call completed elsewhere\""));
    assert_eq!(bench.take_events(), ["invite", "cancelled"]);
    bench.respond(leg, 487);
    assert_eq!(to_tag(&bench.last().response()), tag);
    assert_eq!(bench.take_sent(), ["487 INVITE"]);
    bench.receive(&within("ACK", "i1", 10, &tag, ""));
    assert_eq!(bench.take_events(), ["ended"]);
    bench.assert_forgotten();
}

#[test]
fn cancel_after_the_final_is_200_and_nothing_else() {
    let mut bench = Bench::new();
    answered(&mut bench);
    bench.take_events();
    bench.take_sent();
    bench.receive(&request("CANCEL", "i1", ""));
    assert_eq!(bench.take_sent(), ["200 CANCEL"]);
    assert_eq!(bench.take_events(), [""; 0]);
}

#[test]
fn cancel_of_nothing_is_481() {
    let mut bench = Bench::new();
    bench.receive(&request("CANCEL", "none", ""));
    assert_eq!(bench.take_sent(), ["481 CANCEL"]);
    bench.assert_forgotten();
}

#[test]
fn bye_before_the_answer_ends_the_invite_with_487() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    let leg = bench.events[0].leg;
    bench.respond(leg, 180);
    let tag = to_tag(&bench.last().response());
    bench.take_sent();
    bench.receive(&within("BYE", "b1", 11, &tag, ""));
    assert_eq!(bench.take_sent(), ["200 BYE", "487 INVITE"]);
    assert_eq!(bench.take_events(), ["invite", "bye", "ended"]);
    bench.respond(leg, 200);
    assert_eq!(bench.take_sent(), [""; 0]);
    bench.assert_forgotten();
}

#[test]
fn bye_before_the_ack_ends_the_call() {
    let mut bench = Bench::new();
    let (_, tag) = answered(&mut bench);
    bench.take_sent();
    bench.receive(&within("BYE", "b1", 11, &tag, ""));
    bench.advance(10_000);
    assert_eq!(bench.take_sent(), ["200 BYE"], "the 200 to INVITE is not sent again");
    assert_eq!(bench.take_events(), ["invite", "bye", "ended"]);
    bench.assert_forgotten();
}

#[test]
fn a_bye_command_before_the_answer_is_a_480() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    bench.bye(bench.events[0].leg);
    let response = bench.last().response();
    assert_eq!((response.status, response.headers.get("Reason")), (480, Some("SIP;cause=200")));
    assert_eq!(bench.take_events(), ["invite", "ended"]);
    bench.assert_forgotten();
}

#[test]
fn our_bye_ends_with_any_final_response() {
    for status in [200, 408, 481, 500] {
        let mut bench = Bench::new();
        let (leg, _) = confirmed(&mut bench);
        bench.bye(leg);
        let bye = bench.last().request();
        assert_eq!((&bye.method, bye.uri.to_string().as_str()), (&Method::Bye, "sip:100@192.0.2.1:5060"));
        let via = bye.headers.get("Via").unwrap();
        let (from, to) = (bye.headers.get("From").unwrap(), bye.headers.get("To").unwrap());
        let response = |status| {
            format!("SIP/2.0 {status} x\nVia: {via}\nFrom: {from}\nTo: {to}\nCall-ID: call-1\nCSeq: 1 BYE")
        };
        bench.receive(&response(100));
        assert_eq!(bench.take_events(), [""; 0]);
        bench.receive(&response(status));
        bench.receive(&response(status));
        assert_eq!(bench.take_events(), ["ended"]);
        bench.assert_forgotten();
    }
}

#[test]
fn crossing_byes() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    bench.bye(leg);
    bench.receive(&within("BYE", "b1", 11, &tag, ""));
    assert_eq!(bench.take_sent(), ["BYE", "200 BYE"]);
    assert_eq!(bench.take_events(), ["ended"]);
    bench.advance(40_000);
    assert_eq!(bench.take_events(), [""; 0]);
    bench.assert_forgotten();
}

#[test]
fn the_bye_follows_the_route_set_and_a_refreshed_target() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", "Record-Route: <sip:192.0.2.8:5070;lr>, <sip:192.0.2.9;lr>"));
    let leg = bench.events[0].leg;
    bench.respond(leg, 200);
    let tag = to_tag(&bench.last().response());
    bench.receive(&within("ACK", "a1", 10, &tag, ""));
    bench.receive(&within("INVITE", "i2", 11, &tag, "Contact: <sip:moved@192.0.2.1:5099>"));
    let Some(Event::Request { id, .. }) = bench.events.last().map(|event| event.event.clone()) else {
        panic!();
    };
    bench.command(Command::Answer { leg, request: id, reply: Reply::new(200) });
    bench.receive(&within("ACK", "a2", 11, &tag, ""));
    bench.bye(leg);
    assert_eq!(bench.last().to, "192.0.2.8:5070");
    let bye = bench.last().request();
    assert_eq!(bye.uri.to_string(), "sip:moved@192.0.2.1:5099");
    assert_eq!(bye.headers.list("Route").count(), 2);
}

#[test]
fn headers_that_are_not_the_users_stay_ours() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    let headers = [("Via", "x"), ("v", "x"), ("CSeq", "1 X"), ("Allow", "INVITE"), ("Contact", "<sip:me@h>")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let reply = Reply { headers, ..Reply::new(200) };
    bench.command(Command::Respond { leg: LegId(1), reply });
    let ok = bench.last().response();
    assert_eq!(ok.headers.get_all("Via").count(), 1);
    assert_eq!(ok.headers.cseq().unwrap().number, 10);
    assert_eq!(ok.headers.get_all("Allow").collect::<Vec<_>>(), ["INVITE"]);
    assert_eq!(ok.headers.get_all("Contact").collect::<Vec<_>>(), ["<sip:me@h>"]);
}
