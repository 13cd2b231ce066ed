//! Session timers (RFC 4028) as the UAC of the INVITE sees them.

use super::bench::*;
use super::own_request::{ask, results};
use super::session_timer::{seconds, timed};
use super::uac::{outgoing, reply};
use crate::auth::{Account, Credentials, Secret};
use crate::endpoint::*;
use crate::message::{Method, Request};
use crate::testing::wire;

const LEG: LegId = LegId(2);

fn calling(profile: TrunkProfile) -> (Bench, Request) {
    let mut bench = Bench::with(profile);
    bench.command(Command::Invite { leg: LEG, invite: outgoing() });
    let invite = bench.last().request();
    bench.take_sent();
    (bench, invite)
}

fn answered(profile: TrunkProfile, more: &str) -> Bench {
    let (mut bench, invite) = calling(profile);
    bench.receive(&reply(&invite, 200, "t1", more));
    assert_eq!(bench.take_sent(), ["ACK"]);
    assert_eq!(bench.take_events(), ["answered"]);
    bench
}

fn get<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.get(name)
}

#[test]
fn the_invite_says_what_the_trunk_wants() {
    for (profile, expires, min_se) in [
        (TrunkProfile::default(), None, None),
        (timed(1800, 90), Some("1800"), None),
        (timed(600, 300), Some("600"), Some("300")),
        (timed(60, 20), Some("90"), None),
    ] {
        let (_, invite) = calling(profile);
        assert!(get(&invite, "Supported").unwrap().contains("timer"));
        assert_eq!((get(&invite, "Session-Expires"), get(&invite, "Min-SE")), (expires, min_se));
    }
}

#[test]
fn a_422_is_answered_with_a_longer_interval() {
    let (mut bench, invite) = calling(timed(120, 90));
    bench.receive(&reply(&invite, 100, "", ""));
    bench.receive(&reply(&invite, 422, "t1", "Min-SE: 400"));
    let again = bench.last().request();
    assert_eq!(bench.take_sent(), ["ACK", "INVITE"]);
    assert_eq!((get(&again, "Session-Expires"), get(&again, "Min-SE")), (Some("400"), Some("400")));
    assert_eq!(get(&again, "CSeq"), Some("2 INVITE"));
    for same in ["Call-ID", "From", "To", "Contact", "X-Wacid", "Content-Type"] {
        assert_eq!(get(&again, same), get(&invite, same));
    }
    assert_eq!((&again.body, &again.uri), (&invite.body, &invite.uri));
    assert_ne!(again.headers.via(), invite.headers.via());
    bench.receive(&reply(&invite, 422, "t1", "Min-SE: 400"));
    assert_eq!(bench.take_sent(), ["ACK"], "the old one is still acknowledged");
    bench.receive(&reply(&again, 180, "t2", ""));
    bench.receive(&reply(&again, 200, "t2", "Session-Expires: 400;refresher=uac\nAllow: UPDATE"));
    let ack = bench.last().request();
    assert_eq!((get(&ack, "CSeq"), bench.take_sent()), (Some("2 ACK"), vec!["ACK".to_owned()]));
    assert_eq!(bench.take_events(), ["provisional", "answered"]);
    seconds(&mut bench, 200);
    let update = bench.last().request();
    assert_eq!((get(&update, "CSeq"), get(&update, "Min-SE")), (Some("3 UPDATE"), Some("400")));
    bench.receive(&reply(&update, 200, "t2", ""));
    bench.bye(LEG);
    bench.assert_forgotten();
}

#[test]
fn a_422_that_asks_for_nothing_more_is_final() {
    let (mut bench, invite) = calling(timed(120, 100));
    bench.receive(&reply(&invite, 422, "t1", "Min-SE: 100"));
    assert_eq!((bench.take_events(), bench.take_sent()), (vec!["rejected", "ended"], vec!["ACK".to_owned()]));
    let (mut bench, invite) = calling(TrunkProfile::default());
    bench.receive(&reply(&invite, 422, "t1", "Min-SE: 400"));
    assert_eq!(bench.take_events(), ["rejected", "ended"], "we asked for no timer");
    let (mut bench, mut invite) = calling(timed(120, 100));
    let mut tries = 1;
    for least in 200..220 {
        bench.receive(&reply(&invite, 422, "t1", &format!("Min-SE: {least}")));
        let last = bench.last().clone();
        if bench.take_sent() == ["ACK"] {
            break;
        }
        tries += 1;
        invite = last.request();
    }
    assert_eq!(tries, 4, "it is never content");
    assert_eq!(bench.take_events(), ["rejected", "ended"]);
}

#[test]
fn an_invite_that_is_to_be_cancelled_is_not_tried_again() {
    let (mut bench, invite) = calling(timed(120, 90));
    bench.cancel(LEG);
    bench.receive(&reply(&invite, 422, "t1", "Min-SE: 400"));
    assert_eq!((bench.take_events(), bench.take_sent()), (vec!["rejected", "ended"], vec!["ACK".to_owned()]));
    bench.assert_forgotten();
}

#[test]
fn a_cancel_after_a_422_is_of_the_new_invite() {
    let (mut bench, invite) = calling(timed(120, 90));
    bench.receive(&reply(&invite, 183, "t1", ""));
    bench.receive(&reply(&invite, 422, "t1", "Min-SE: 400"));
    let again = bench.last().request();
    bench.receive(&reply(&again, 180, "t2", ""));
    bench.cancel(LEG);
    let cancel = bench.last().request();
    assert_eq!((get(&cancel, "CSeq"), cancel.headers.via()), (Some("2 CANCEL"), again.headers.via()));
    bench.receive(&reply(&again, 487, "t2", ""));
    bench.assert_forgotten();
}

#[test]
fn the_2xx_says_who_refreshes() {
    for (profile, more, sent) in [
        (timed(600, 90), "Session-Expires: 600;refresher=uac\nAllow: UPDATE", "UPDATE"),
        (timed(600, 90), "Session-Expires: 600;refresher=uac", "INVITE"),
        (timed(600, 90), "", "INVITE"),
        (TrunkProfile::default(), "Require: timer\nSession-Expires: 600;refresher=uac", "INVITE"),
    ] {
        let mut bench = answered(profile, more);
        seconds(&mut bench, 299);
        assert_eq!(bench.take_sent(), [""; 0]);
        seconds(&mut bench, 1);
        assert_eq!(bench.last().name(), sent);
        let refresh = bench.last().request();
        let expected = if sent == "INVITE" { &b"v=0\r\n"[..] } else { b"" };
        assert_eq!(&refresh.body[..], expected, "what the INVITE said");
        assert_eq!(get(&refresh, "Session-Expires"), Some("600;refresher=uac"));
    }
    let mut bench = answered(timed(600, 90), "Require: timer\nSession-Expires: 300;refresher=uas");
    seconds(&mut bench, 268);
    assert_eq!((results(&mut bench), bench.take_sent()), (vec!["Expired".into()], vec![]));
    let mut bench = answered(TrunkProfile::default(), "");
    seconds(&mut bench, 40);
    assert_eq!(bench.endpoint.deadline(), None, "nobody wants a timer");
}

/// As Asterisk does it: the callee has chosen to refresh, by re-INVITEs that are transactions of its own.
#[test]
fn a_callee_that_refreshes_by_reinvite_keeps_the_session() {
    let mut bench = answered(timed(600, 90), "Require: timer\nSession-Expires: 600;refresher=uas");
    let own_tag = bench.endpoint.dialogs.keys().next().unwrap().local_tag.clone();
    for cseq in 1..20 {
        seconds(&mut bench, 300);
        let within = |method: &str| {
            format!(
                "{method} sip:192.0.2.2:5060 SIP/2.0
                 Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{method}{cseq}
                 Max-Forwards: 70
                 From: <sip:200@192.0.2.1>;tag=t1
                 To: <sip:+49171@192.0.2.2>;tag={own_tag}
                 Call-ID: out-1
                 CSeq: {cseq} {method}
                 Contact: <sip:200@192.0.2.1:5080>
                 Allow: OPTIONS, REGISTER, SUBSCRIBE, NOTIFY, PUBLISH, INVITE, ACK, BYE, CANCEL, UPDATE, PRACK
                 Supported: 100rel, timer, replaces, norefersub
                 Session-Expires: 600;refresher=uac
                 Min-SE: 90"
            )
        };
        bench.receive(&within("INVITE"));
        let Some(Event::Request { id, .. }) = bench.events.pop().map(|event| event.event) else { panic!() };
        bench.command(Command::Answer { leg: LEG, request: id, reply: Reply::new(200) });
        let ok = bench.last().response();
        assert_eq!(ok.headers.get("Session-Expires"), Some("600;refresher=uac"));
        assert_eq!(ok.headers.get("Require"), Some("timer"));
        bench.receive(&within("ACK"));
        assert_eq!(results(&mut bench), ["acked"]);
    }
    bench.take_sent();
    seconds(&mut bench, 567);
    assert_eq!((results(&mut bench), bench.take_sent()), (vec![], vec![]), "the refreshing is not ours");
    seconds(&mut bench, 1);
    assert_eq!(results(&mut bench), ["Expired"]);
}

#[test]
fn a_peer_that_says_a_short_interval_does_not_make_us_flood_it() {
    let mut bench = answered(TrunkProfile::default(), "Session-Expires: 0;refresher=uac\nAllow: UPDATE");
    seconds(&mut bench, 44);
    assert_eq!(bench.take_sent(), [""; 0]);
}

#[test]
fn a_refresh_that_meets_theirs_is_tried_again() {
    let mut bench = answered(timed(600, 90), "Session-Expires: 600;refresher=uac");
    seconds(&mut bench, 300);
    let invite = bench.last().request();
    bench.receive(&reply(&invite, 491, "t1", ""));
    assert_eq!(bench.take_sent(), ["INVITE", "ACK"]);
    seconds(&mut bench, 4);
    let again = bench.sent[0].request();
    assert_eq!(again.method, Method::Invite);
    bench.receive(&reply(&again, 200, "t1", "Session-Expires: 600;refresher=uac"));
    assert_eq!(results(&mut bench), ["refresh: 200"]);
}

#[test]
fn a_422_after_a_challenge_keeps_the_credentials() {
    let credentials = Credentials { user: "us".into(), password: Secret::new("secret") };
    let outbound = Some(Account { credentials, realm: None });
    let (mut bench, invite) = calling(TrunkProfile { outbound, ..timed(120, 90) });
    bench.receive(&reply(&invite, 401, "t0", "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"n1\""));
    let known = bench.last().request();
    bench.receive(&reply(&known, 422, "t1", "Min-SE: 400"));
    let longer = bench.last().request();
    assert_eq!((get(&longer, "CSeq"), get(&longer, "Min-SE")), (Some("3 INVITE"), Some("400")));
    assert_eq!(get(&longer, "Authorization"), get(&known, "Authorization"));
    bench.receive(&reply(&longer, 200, "t2", ""));
    assert_eq!(bench.take_sent(), ["ACK", "INVITE", "ACK", "INVITE", "ACK"]);
    assert_eq!(bench.take_events(), ["answered"]);
}

#[test]
fn our_answer_to_a_delayed_offer_is_what_a_refresh_repeats() {
    let mut bench = Bench::with(timed(600, 90));
    let invite = Box::new(OutgoingInvite { body: None, ..*outgoing() });
    bench.command(Command::Invite { leg: LEG, invite });
    let invite = bench.last().request();
    let ok = reply(&invite, 200, "t1", "Session-Expires: 600;refresher=uac\nContent-Type: application/sdp");
    bench.receive_from(PEER, &[&wire(&ok)[..], b"v=0 offer"].concat());
    bench.take_sent();
    ask(&mut bench, LEG, 1, Method::Update, "v=0");
    assert_eq!(bench.take_sent(), [""; 0], "their offer is open");
    let body = Body { content_type: "application/sdp".into(), bytes: "v=0 answer".into() };
    bench.command(Command::Acknowledge { leg: LEG, body: Some(body) });
    let update = bench.last().request();
    assert_eq!(bench.take_sent(), ["ACK", "UPDATE"]);
    bench.receive(&reply(&update, 488, "t1", ""));
    seconds(&mut bench, 300);
    let refresh = bench.last().request();
    assert_eq!((refresh.method.clone(), &refresh.body[..]), (Method::Invite, &b"v=0 answer"[..]));
}
