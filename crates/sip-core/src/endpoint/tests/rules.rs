//! Rules of RFC 3261 that belong to no one part: what an INVITE may look like, races, loops.

use super::bench::*;
use super::in_dialog::with_body;
use super::uac::{LEG, calling, outgoing, reply, ringing};
use crate::endpoint::*;
use crate::testing::wire;

/// The status that this INVITE gets, and the header fields that go with it.
fn refused(more: &str) -> (u16, crate::message::Headers) {
    let mut bench = Bench::new();
    bench.receive_from(PEER, &with_body(&request("INVITE", "i1", more)));
    let response = bench.last().response();
    assert_eq!(bench.events.is_empty(), response.status != 100, "{more}");
    (response.status, response.headers)
}

#[test]
fn an_invite_of_ours_that_comes_back_is_482() {
    let (mut bench, invite) = calling();
    let ours = invite.headers.get("Via").unwrap();
    let proxied = |above: &str| {
        request("INVITE", "p1", "")
            .replacen(";rport", &format!(";rport{above}"), 1)
            .replace("call-1", "call-2")
    };
    for above in [
        format!("\nVia: {ours};received=192.0.2.9"),
        format!(", SIP/2.0/TCP proxy.example;branch=z9hG4bKp, {ours}"),
    ] {
        bench.receive(&proxied(&above));
        assert_eq!(bench.take_sent(), ["482 INVITE"], "{above}");
    }
    bench.input(Input::Datagram { flow: Flow::udp(PEER.parse().unwrap()), bytes: &invite.to_bytes() });
    assert_eq!(bench.take_sent(), ["482 INVITE"], "sent straight back");
    assert_eq!(bench.take_events(), [""; 0]);
    let foreign = ours.replace("z9hG4bK", "z9hG4bK0").replace("192.0.2.2", "192.0.2.3");
    bench.receive(&proxied(&format!("\nVia: {foreign}")));
    assert_eq!(bench.take_events(), ["invite"], "another's branch is no loop");
}

#[test]
fn max_forwards_0_is_483_to_an_invite_and_answered_to_options() {
    let mut bench = Bench::new();
    for method in ["INVITE", "OPTIONS"] {
        bench.receive(&request(method, "m", "").replace("Max-Forwards: 70", "Max-Forwards: 0"));
    }
    assert_eq!(bench.take_sent(), ["483 INVITE", "200 OPTIONS"]);
    bench.receive(&request("INVITE", "n", "").replace("Max-Forwards: 70", "X-Max: 0"));
    assert_eq!(bench.take_sent(), ["100 INVITE"], "a client of RFC 2543 sends none");
}

#[test]
fn an_accept_without_sdp_is_406() {
    for (accept, status) in [
        ("Accept: application/sdp", 100),
        ("Accept: text/html, Application/SDP;level=1", 100),
        ("Accept: text/html\nAccept: application/*;q=0.5", 100),
        ("Accept: */*", 100),
        ("Accept: text/html, application/isup", 406),
        ("Accept:", 406),
    ] {
        let (got, headers) = refused(accept);
        assert_eq!(got, status, "{accept}");
        assert_eq!(headers.get("Accept"), (status == 406).then_some("application/sdp"));
    }
}

#[test]
fn an_accept_without_sdp_is_406_to_a_reinvite_too() {
    let mut bench = Bench::new();
    let (_, tag) = confirmed(&mut bench);
    bench.receive(&within("INVITE", "i2", 11, &tag, "Accept: text/html"));
    assert_eq!(bench.take_sent(), ["406 INVITE"]);
    assert_eq!(bench.take_events(), [""; 0]);
}

#[test]
fn unsupported_names_what_we_lack_and_nothing_else() {
    let (status, headers) = refused("Require: 100rel, precondition\nRequire: foo");
    assert_eq!((status, headers.get("Unsupported")), (420, Some("precondition, foo")));
    assert_eq!(refused("Require: 100rel").0, 100);
}

#[test]
fn ack_and_cancel_are_never_refused_for_an_extension() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    bench.receive(&request("CANCEL", "i1", "Require: nothing"));
    assert_eq!(bench.take_sent(), ["100 INVITE", "200 CANCEL"]);
    bench.respond(LegId(1), 487);
    bench.take_sent();
    bench.receive(&within("ACK", "i1", 10, "x", "Require: nothing"));
    bench.advance(20_000);
    assert_eq!(bench.take_sent(), [""; 0]);
}

#[test]
fn tel_and_sips_name_a_number_too() {
    for uri in ["tel:+4930123", "sips:+4930123@192.0.2.2"] {
        let mut bench = Bench::new();
        let invite = request("INVITE", "i1", "").replacen("sip:+4930123@192.0.2.2", uri, 1);
        bench.receive(&invite.replacen("To: <sip:+4930123@192.0.2.2>", &format!("To: <{uri}>"), 1));
        let Event::Invite { request, .. } = &bench.events[0].event else { panic!() };
        assert_eq!(request.uri.user.as_deref(), Some("+4930123"), "{uri}");
        bench.respond(LegId(1), 200);
        let tag = to_tag(&bench.last().response());
        bench.receive(&within("ACK", "a1", 10, &tag, ""));
        bench.bye(LegId(1));
        let bye = bench.last().request();
        assert_eq!(bye.headers.from().unwrap().uri.to_string(), uri);
        assert_eq!(bye.uri.to_string(), "sip:100@192.0.2.1:5060");
    }
}

#[test]
fn every_via_comes_back_in_its_order() {
    let mut bench = Bench::new();
    let more = ", SIP/2.0/UDP b.example;branch=z9hG4bKb\nv: SIP/2.0/TLS c.example;branch=c,SIP/2.0/UDP d";
    let rport = ";rport";
    bench.receive(&request("INVITE", "i1", "").replacen(rport, &format!("{rport}{more}"), 1));
    let hosts: Vec<_> = bench.last().response().headers.list("Via").map(str::to_owned).collect();
    let hosts: Vec<_> = hosts.iter().map(|via| via.split([' ', ';']).nth(1).unwrap()).collect();
    assert_eq!(hosts, ["192.0.2.1:5060", "b.example", "c.example", "d"]);
}

#[test]
fn a_call_in_compact_names_and_latin_1_without_content_length() {
    let mut bench = Bench::new();
    let mut invite = with_body(&request("INVITE", "i1", "c: application/sdp\nk: timer"));
    for (long, short) in
        [("Via:", "v:"), ("From:", "f:"), ("To:", "t:"), ("Call-ID:", "i:"), ("Contact:", "m:")]
    {
        let at = invite.windows(long.len()).position(|window| window == long.as_bytes()).unwrap();
        invite.splice(at..at + long.len(), short.bytes());
    }
    let at = invite.windows(6).position(|window| window == b"\"Desk\"").unwrap();
    invite.splice(at..at + 6, b"\"B\xfcro\"".iter().copied());
    bench.receive_from(PEER, &invite);
    let Event::Invite { request, .. } = &bench.events[0].event else { panic!() };
    assert_eq!(&request.body[..], b"v=0\r\n");
    assert_eq!(request.headers.from().unwrap().display.as_deref(), Some("B\u{fc}ro"));
    bench.respond(LegId(1), 200);
    assert!(bench.last().bytes.windows(5).any(|window| window == b"\"B\xfcro"), "as it was sent");
    let tag = to_tag(&bench.last().response());
    bench.receive(&within("ACK", "a1", 10, &tag, ""));
    bench.receive(&within("BYE", "b1", 11, &tag, ""));
    assert_eq!(bench.take_events(), ["invite", "acked", "bye", "ended"]);
}

#[test]
fn a_header_field_that_may_be_there_once_is_400_when_it_is_there_twice() {
    for more in [
        "t: <sip:x@h>",
        "From: <sip:x@h>;tag=1",
        "CSeq: 10 INVITE",
        "i: call-1",
        "Max-Forwards: 70",
        "Content-Type: application/sdp\nc: application/sdp",
    ] {
        assert_eq!(refused(more).0, 400, "{more}");
    }
}

#[test]
fn a_cancel_before_any_provisional_response_of_the_user() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    bench.receive(&request("CANCEL", "i1", ""));
    let cancelled = to_tag(&bench.last().response());
    bench.respond(LegId(1), 487);
    assert_eq!(to_tag(&bench.last().response()), cancelled, "one To tag in both");
    assert_eq!(bench.take_sent(), ["100 INVITE", "200 CANCEL", "487 INVITE"]);
    assert_eq!(bench.take_events(), ["invite", "cancelled", "ended"]);
    bench.assert_forgotten();
}

#[test]
fn a_200_that_crosses_the_peers_cancel_stands() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    bench.receive(&request("CANCEL", "i1", ""));
    bench.respond(LegId(1), 200);
    let tag = to_tag(&bench.last().response());
    assert_eq!(bench.take_sent(), ["100 INVITE", "200 CANCEL", "200 INVITE"]);
    bench.receive(&within("ACK", "a1", 10, &tag, ""));
    bench.receive(&within("BYE", "b1", 11, &tag, ""));
    assert_eq!(bench.take_events(), ["invite", "cancelled", "acked", "bye", "ended"]);
    bench.assert_forgotten();
}

#[test]
fn a_cancel_of_an_acknowledged_call_leaves_it_alone() {
    let mut bench = Bench::new();
    let (_, tag) = confirmed(&mut bench);
    bench.receive(&request("CANCEL", "i1", ""));
    assert_eq!(bench.take_sent(), ["200 CANCEL"]);
    bench.receive(&within("BYE", "b1", 11, &tag, ""));
    assert_eq!(bench.take_events(), ["bye", "ended"]);
}

#[test]
fn what_comes_after_our_cancel_is_no_news() {
    let (mut bench, invite) = ringing();
    bench.cancel(LEG);
    bench.receive(&reply(&invite, 183, "t2", ""));
    bench.receive(&reply(&invite, 180, "t1", ""));
    assert_eq!(bench.take_sent(), ["CANCEL"]);
    assert_eq!(bench.take_events(), [""; 0]);
    bench.receive(&reply(&invite, 487, "t1", ""));
    bench.receive(&reply(&invite, 200, "t2", ""));
    assert_eq!(bench.take_sent(), ["ACK"], "a 2xx after a final response is none");
    bench.assert_forgotten();
}

#[test]
fn a_bye_of_one_fork_ends_that_early_dialog_alone() {
    let (mut bench, invite) = ringing();
    bench.receive(&reply(&invite, 183, "t2", ""));
    let tag = invite.headers.from().unwrap().tag().unwrap().to_owned();
    let of_fork = |text: String, fork: &str| text.replace("tag=pbx", fork).replace("call-1", "out-1");
    bench.receive(&of_fork(within("BYE", "b1", 1, &tag, ""), "tag=t1"));
    bench.receive(&of_fork(within("INFO", "n1", 2, &tag, ""), "tag=t1"));
    assert_eq!(bench.take_sent(), ["200 BYE", "481 INFO"]);
    bench.receive(&reply(&invite, 200, "t2", ""));
    assert_eq!(bench.take_events(), ["provisional", "answered"]);
    bench.bye(LEG);
    bench.assert_forgotten();
}

#[test]
fn a_redirection_is_the_users_to_judge() {
    let (mut bench, invite) = calling();
    bench.receive(&reply(&invite, 302, "t1", ""));
    let Event::Rejected(Rejection::Response(response)) = &bench.events[0].event else { panic!() };
    assert_eq!(response.headers.contact().unwrap().uri.to_string(), "sip:200@192.0.2.1:5080");
    assert_eq!(bench.take_sent(), ["ACK"]);
}

#[test]
fn a_response_of_another_method_or_branch_is_stray() {
    let (mut bench, invite) = calling();
    let good = reply(&invite, 200, "t1", "");
    bench.receive(&good.replace("1 INVITE", "1 OPTIONS"));
    bench.receive(&good.replace("branch=z9hG4bK", "branch=z9hG4bKx"));
    bench.receive(&good.replace(";branch=", ";x="));
    assert_eq!(bench.take_events(), [""; 0]);
    assert_eq!(bench.take_sent(), [""; 0]);
    assert_eq!(bench.endpoint.counters().stray_responses, 3);
}

#[test]
fn without_a_final_response_the_call_rings_on_however_long() {
    let (mut bench, _) = ringing();
    bench.advance(600_000);
    assert_eq!(
        bench.take_events(),
        [""; 0],
        "Timer B ends with the first provisional response; C is a proxy's"
    );
    assert_eq!(bench.take_sent(), [""; 0]);
}

#[test]
fn the_users_own_max_forwards_goes_out() {
    let mut bench = Bench::new();
    let mut invite = outgoing();
    invite.max_forwards = 3;
    bench.command(Command::Invite { leg: LEG, invite });
    assert_eq!(bench.last().request().headers.get("Max-Forwards"), Some("3"));
}

#[test]
fn a_subscription_is_405_and_a_notify_the_users_to_judge() {
    let mut bench = Bench::with(TrunkProfile { transfer: true, ..TrunkProfile::default() });
    let (_, tag) = confirmed(&mut bench);
    bench.receive(&within("SUBSCRIBE", "s1", 11, &tag, "Event: refer"));
    assert_eq!(bench.take_sent(), ["405 SUBSCRIBE"]);
    bench.receive_from(PEER, &wire(&within("NOTIFY", "n1", 12, &tag, "Event: refer")));
    assert_eq!(bench.take_events(), ["request"]);
}
