//! Session timers (RFC 4028) as the UAS of the INVITE sees them, and refreshing in either role.

use super::bench::*;
use super::own_request::{ask, reply, results, sent_request};
use crate::endpoint::*;
use crate::message::{Method, Request, Response};
use crate::profile::SessionTimer;
use crate::testing::{ms, wire};

/// A trunk with timers of its own.
pub(super) fn timed(expires: u64, min_se: u64) -> TrunkProfile {
    let session_timer = Some(SessionTimer { expires: ms(expires * 1000), min_se: ms(min_se * 1000) });
    TrunkProfile { session_timer, ..TrunkProfile::default() }
}

pub(super) fn sdp(text: &'static str) -> Option<Body> {
    Some(Body { content_type: "application/sdp".into(), bytes: text.into() })
}

/// A call whose INVITE says this, answered with a session description and acknowledged; gives its 2xx and our tag.
fn call(bench: &mut Bench, more: &str) -> (Response, String) {
    bench.receive_from(PEER, &[&wire(&request("INVITE", "i1", more))[..], b"v=0 theirs"].concat());
    bench.command(Command::Respond {
        leg: LegId(1),
        reply: Reply { body: sdp("v=0 ours"), ..Reply::new(200) },
    });
    let ok = bench.last().response();
    let tag = to_tag(&ok);
    bench.receive(&within("ACK", "a1", 10, &tag, ""));
    bench.take_sent();
    bench.take_events();
    (ok, tag)
}

fn header<'a>(request: &'a Request, name: &'static str) -> &'a str {
    request.headers.get(name).unwrap_or_default()
}

/// Lets seconds pass.
pub(super) fn seconds(bench: &mut Bench, seconds: u64) {
    bench.advance(seconds * 1000);
}

const TIMER: &str = "Supported: timer\nAllow: INVITE, ACK, BYE, UPDATE\n";

#[test]
fn an_interval_that_is_too_short_gets_422() {
    for (profile, least) in [(TrunkProfile::default(), "90"), (timed(1800, 120), "120")] {
        let mut bench = Bench::with(profile);
        bench.receive(&request("INVITE", "i1", "k: timer\nx: 89;refresher=uac"));
        let refused = bench.last().response();
        assert_eq!((refused.status, refused.headers.get("Min-SE")), (422, Some(least)));
        assert_eq!(bench.take_events(), [""; 0]);
        bench.receive(&request("INVITE", "i2", "x: 89"));
        assert_eq!(bench.take_events(), ["invite"], "422 would mean nothing to it");
        bench.respond(LegId(1), 486);
        bench.receive(&request("ACK", "i2", ""));
        bench.assert_forgotten();
    }
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    bench.receive(&within("UPDATE", "u1", 11, &tag, "Supported: timer\nSession-Expires: 60"));
    bench.receive(&within("INVITE", "i2", 12, &tag, "Supported: timer\nSession-Expires: 60"));
    assert_eq!(bench.take_sent(), ["422 UPDATE", "100 INVITE", "422 INVITE"]);
    bench.receive(&within("ACK", "i2", 12, &tag, ""));
    bench.bye(leg);
    bench.assert_forgotten();
}

#[test]
fn the_2xx_says_who_refreshes() {
    for (asked, expires, require) in [
        ("Require: timer\nSession-Expires: 1800;refresher=uac", Some("1800;refresher=uac"), Some("timer")),
        ("Supported: timer\nSession-Expires: 600;refresher=uas", Some("600;refresher=uas"), Some("timer")),
        ("Supported: timer\nSession-Expires: 600", Some("600;refresher=uac"), Some("timer")),
        ("Session-Expires: 600", Some("600;refresher=uas"), None),
        ("Supported: timer", None, None),
    ] {
        let (ok, _) = call(&mut Bench::new(), asked);
        assert_eq!(ok.headers.get("Session-Expires"), expires);
        assert_eq!(ok.headers.get("Require"), require);
        assert!(ok.headers.get("Supported").unwrap().contains("timer"));
    }
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", "Supported: timer\nSession-Expires: 1800"));
    bench.respond(LegId(1), 180);
    assert_eq!(bench.last().response().headers.get("Session-Expires"), None);
    bench.respond(LegId(1), 486);
    assert_eq!(bench.last().response().headers.get("Session-Expires"), None);
}

#[test]
fn the_user_does_not_say_session_expires() {
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", "Supported: timer\nSession-Expires: 1800"));
    let headers = vec![("Session-Expires".into(), "5".into()), ("x".into(), "5".into())];
    bench.command(Command::Respond { leg: LegId(1), reply: Reply { headers, ..Reply::new(200) } });
    let ok = bench.last().response();
    let all: Vec<_> = ok.headers.get_all("Session-Expires").collect();
    assert_eq!(all, ["1800;refresher=uac"]);
}

#[test]
fn without_a_wish_on_either_side_there_is_no_timer() {
    let mut bench = Bench::new();
    call(&mut bench, TIMER);
    seconds(&mut bench, 40);
    assert_eq!(bench.endpoint.deadline(), None);
}

#[test]
fn a_session_that_the_peer_does_not_refresh_is_lost() {
    for (interval, end) in [(1800, 1768), (90, 60)] {
        let mut bench = Bench::new();
        call(&mut bench, &format!("{TIMER}Session-Expires: {interval};refresher=uac"));
        seconds(&mut bench, end - 1);
        assert_eq!(results(&mut bench), [""; 0]);
        seconds(&mut bench, 1);
        assert_eq!((results(&mut bench), bench.take_sent()), (vec!["Expired".into()], vec![]));
        bench.bye(LegId(1));
        bench.assert_forgotten();
    }
}

#[test]
fn a_refresh_of_theirs_starts_the_timer_again() {
    let mut bench = Bench::new();
    let (_, tag) = call(&mut bench, &format!("{TIMER}Session-Expires: 1800;refresher=uac"));
    seconds(&mut bench, 900);
    let again = "Supported: timer\nSession-Expires: 1800;refresher=uac\nContact: <sip:100@192.0.2.1>";
    bench.receive(&within("UPDATE", "u1", 11, &tag, again));
    let ok = bench.last().response();
    assert_eq!(ok.headers.get("Session-Expires"), Some("1800;refresher=uac"));
    assert_eq!(ok.headers.get("Require"), Some("timer"));
    seconds(&mut bench, 900);
    bench.receive(&within("INVITE", "i2", 12, &tag, again));
    let Some(Event::Request { id, .. }) = bench.events.pop().map(|event| event.event) else { panic!() };
    bench.command(Command::Answer { leg: LegId(1), request: id, reply: Reply::new(200) });
    let ok = bench.last().response();
    assert_eq!(ok.headers.get("Session-Expires"), Some("1800;refresher=uac"));
    bench.receive(&within("ACK", "a2", 12, &tag, ""));
    seconds(&mut bench, 1767);
    assert_eq!(results(&mut bench), ["acked"]);
    seconds(&mut bench, 1);
    assert_eq!(results(&mut bench), ["Expired"]);
}

#[test]
fn a_reinvite_that_is_refused_refreshes_nothing() {
    let mut bench = Bench::new();
    let (_, tag) = call(&mut bench, &format!("{TIMER}Session-Expires: 1800;refresher=uac"));
    seconds(&mut bench, 900);
    bench.receive(&within("INVITE", "i2", 11, &tag, "Supported: timer\nSession-Expires: 1800"));
    let Some(Event::Request { id, .. }) = bench.events.pop().map(|event| event.event) else { panic!() };
    bench.command(Command::Answer { leg: LegId(1), request: id, reply: Reply::new(488) });
    bench.receive(&within("ACK", "i2", 11, &tag, ""));
    seconds(&mut bench, 868);
    assert_eq!(results(&mut bench), ["Expired"]);
}

#[test]
fn we_refresh_by_update_at_half_of_the_interval() {
    let mut bench = Bench::new();
    call(&mut bench, &format!("{TIMER}Session-Expires: 1800;refresher=uas\nMin-SE: 100"));
    for _ in 0..3 {
        seconds(&mut bench, 899);
        assert_eq!(bench.take_sent(), [""; 0]);
        seconds(&mut bench, 1);
        let update = sent_request(&bench);
        assert_eq!((update.method.clone(), update.body.len()), (Method::Update, 0));
        assert_eq!(header(&update, "Session-Expires"), "1800;refresher=uac");
        assert_eq!(header(&update, "Min-SE"), "100");
        assert!(header(&update, "Supported").contains("timer"));
        assert_eq!(header(&update, "Contact"), "<sip:192.0.2.2:5060>");
        bench.receive(&reply(&update, 200, "Require: timer\nSession-Expires: 1800;refresher=uac"));
        assert_eq!(bench.take_sent(), ["UPDATE"]);
        assert_eq!(results(&mut bench), [""; 0], "nothing that the user could use");
    }
}

#[test]
fn the_peer_takes_the_refreshing_over() {
    let mut bench = Bench::new();
    call(&mut bench, &format!("{TIMER}Session-Expires: 1800;refresher=uas"));
    seconds(&mut bench, 900);
    let update = sent_request(&bench);
    bench.receive(&reply(&update, 200, "Session-Expires: 600;refresher=uas"));
    bench.take_sent();
    seconds(&mut bench, 568);
    assert_eq!((results(&mut bench), bench.take_sent()), (vec!["Expired".into()], vec![]));
}

#[test]
fn we_refresh_a_peer_without_update_by_a_reinvite_that_repeats_our_sdp() {
    let mut bench = Bench::new();
    call(&mut bench, "Supported: timer\nSession-Expires: 600;refresher=uas\nAllow: INVITE, BYE");
    seconds(&mut bench, 300);
    let invite = sent_request(&bench);
    assert_eq!((invite.method.clone(), &invite.body[..]), (Method::Invite, &b"v=0 ours"[..]));
    assert_eq!(header(&invite, "Content-Type"), "application/sdp");
    assert_eq!(header(&invite, "Session-Expires"), "600;refresher=uac");
    bench.receive(&reply(&invite, 200, "Session-Expires: 600;refresher=uac"));
    assert_eq!(bench.take_sent(), ["INVITE", "ACK"]);
    assert_eq!(results(&mut bench), ["refresh: 200"], "its answer may have changed");
    ask(&mut bench, LegId(1), 1, Method::Invite, "v=0 newer");
    let invite = sent_request(&bench);
    assert_eq!(header(&invite, "Session-Expires"), "600;refresher=uac");
    bench.receive(&reply(&invite, 200, "Session-Expires: 600;refresher=uac"));
    bench.take_sent();
    seconds(&mut bench, 300);
    assert_eq!(&sent_request(&bench).body[..], b"v=0 newer", "what was said last");
}

#[test]
fn a_peer_that_says_later_that_it_takes_update_gets_it() {
    let mut bench = Bench::new();
    let (_, tag) =
        call(&mut bench, "Supported: timer\nSession-Expires: 600;refresher=uas\nAllow: INVITE, BYE");
    ask(&mut bench, LegId(1), 1, Method::Invite, "v=0");
    let invite = sent_request(&bench);
    bench.receive(&reply(&invite, 200, "Session-Expires: 600;refresher=uac\nAllow: INVITE, update"));
    bench.take_sent();
    seconds(&mut bench, 300);
    let update = sent_request(&bench);
    bench.receive(&reply(&update, 200, "Session-Expires: 600;refresher=uac"));
    assert_eq!(bench.take_sent(), ["UPDATE"]);
    let without = "Allow: INVITE, BYE\nSupported: timer\nSession-Expires: 600;refresher=uas";
    bench.receive(&within("UPDATE", "u1", 11, &tag, without));
    bench.take_sent();
    seconds(&mut bench, 300);
    assert_eq!(bench.take_sent(), ["INVITE"]);
}

#[test]
fn a_peer_that_allows_update_and_does_not_know_it_is_refreshed_by_reinvite() {
    for status in [405, 501] {
        let mut bench = Bench::new();
        call(&mut bench, &format!("{TIMER}Session-Expires: 1800;refresher=uas"));
        seconds(&mut bench, 900);
        let update = sent_request(&bench);
        bench.receive(&reply(&update, status, ""));
        assert_eq!(bench.take_sent(), ["UPDATE", "INVITE"]);
        assert_eq!(results(&mut bench), [""; 0]);
    }
}

#[test]
fn a_peer_without_timers_is_refreshed_where_the_trunk_wants_it() {
    let mut bench = Bench::with(timed(1200, 90));
    let (ok, _) = call(&mut bench, "Allow: UPDATE");
    assert_eq!(ok.headers.get("Session-Expires"), Some("1200;refresher=uas"));
    assert_eq!(ok.headers.get("Require"), None);
    for _ in 0..3 {
        seconds(&mut bench, 600);
        let update = sent_request(&bench);
        assert_eq!(bench.take_sent(), ["UPDATE"]);
        bench.receive(&reply(&update, 200, ""));
    }
    seconds(&mut bench, 600);
    let update = sent_request(&bench);
    bench.receive(&reply(&update, 481, ""));
    assert_eq!(results(&mut bench), ["Gone"]);
}

#[test]
fn a_422_to_a_refresh_raises_the_interval() {
    let mut bench = Bench::new();
    call(&mut bench, &format!("{TIMER}Session-Expires: 200;refresher=uas"));
    seconds(&mut bench, 100);
    let update = sent_request(&bench);
    bench.receive(&reply(&update, 422, "Min-SE: 500"));
    let again = sent_request(&bench);
    assert_eq!(header(&again, "Session-Expires"), "500;refresher=uac");
    assert_eq!((header(&again, "Min-SE"), header(&again, "CSeq")), ("500", "2 UPDATE"));
    bench.receive(&reply(&again, 422, "Min-SE: 500"));
    assert_eq!(bench.take_sent(), ["UPDATE", "UPDATE"], "it got what it asked for");
    seconds(&mut bench, 17);
    assert_eq!(bench.take_sent(), ["UPDATE"], "later");
}

#[test]
fn a_refresh_that_fails_is_tried_again_until_the_session_expires() {
    let mut bench = Bench::new();
    call(&mut bench, &format!("{TIMER}Session-Expires: 300;refresher=uas"));
    let mut tries = 0;
    while bench.events.is_empty() {
        seconds(&mut bench, 1);
        for sent in std::mem::take(&mut bench.sent) {
            tries += 1;
            bench.receive(&reply(&sent.request(), 503, ""));
        }
    }
    assert_eq!(results(&mut bench), ["Expired"]);
    assert!((3..30).contains(&tries), "{tries}");
    seconds(&mut bench, 300);
    assert_eq!((results(&mut bench), bench.take_sent()), (vec![], vec![]), "once");
}

#[test]
fn a_peer_that_does_not_answer_a_refresh_is_gone() {
    let mut bench = Bench::new();
    call(&mut bench, &format!("{TIMER}Session-Expires: 1800;refresher=uas"));
    seconds(&mut bench, 932);
    assert_eq!(results(&mut bench), ["Gone"]);
    bench.take_sent();
    seconds(&mut bench, 2000);
    assert_eq!((results(&mut bench), bench.take_sent()), (vec![], vec![]));
    bench.bye(LegId(1));
    bench.assert_forgotten();
}

#[test]
fn a_refresh_waits_for_an_offer_that_is_open() {
    let mut bench = Bench::new();
    let (_, tag) = call(&mut bench, &format!("{TIMER}Session-Expires: 600;refresher=uas"));
    seconds(&mut bench, 299);
    bench.receive(&within("INVITE", "i2", 11, &tag, "Supported: timer"));
    seconds(&mut bench, 2);
    assert_eq!(bench.take_sent(), ["100 INVITE"]);
    let Some(Event::Request { id, .. }) = bench.events.pop().map(|event| event.event) else { panic!() };
    bench.command(Command::Answer { leg: LegId(1), request: id, reply: Reply::new(488) });
    assert_eq!(bench.take_sent(), ["488 INVITE", "UPDATE"]);
}

#[test]
fn a_reinvite_of_the_user_is_refresh_enough() {
    let mut bench = Bench::new();
    call(&mut bench, &format!("{TIMER}Session-Expires: 600;refresher=uas"));
    seconds(&mut bench, 299);
    ask(&mut bench, LegId(1), 1, Method::Invite, "v=0");
    let invite = sent_request(&bench);
    bench.receive(&reply(&invite, 100, ""));
    seconds(&mut bench, 2);
    bench.receive(&reply(&invite, 200, "Session-Expires: 600;refresher=uac"));
    assert_eq!(bench.take_sent(), ["INVITE", "ACK"]);
    seconds(&mut bench, 299);
    assert_eq!(bench.take_sent(), [""; 0]);
    seconds(&mut bench, 1);
    assert_eq!(bench.take_sent(), ["UPDATE"]);
}

#[test]
fn a_timer_that_the_peer_does_not_repeat_goes_on_where_we_keep_it() {
    let mut bench = Bench::new();
    let (_, tag) = call(&mut bench, &format!("{TIMER}Session-Expires: 600;refresher=uas"));
    bench.receive(&within("UPDATE", "u1", 11, &tag, "Supported: timer"));
    let ok = bench.last().response();
    assert_eq!(ok.headers.get("Session-Expires"), Some("600;refresher=uas"));
    bench.take_sent();
    seconds(&mut bench, 300);
    assert_eq!(bench.take_sent(), ["UPDATE"]);
    let mut bench = Bench::new();
    let (_, tag) = call(&mut bench, &format!("{TIMER}Session-Expires: 600;refresher=uac"));
    bench.receive(&within("UPDATE", "u1", 11, &tag, "Supported: timer"));
    assert_eq!(bench.last().response().headers.get("Session-Expires"), None);
    seconds(&mut bench, 700);
    assert_eq!(results(&mut bench), [""; 0], "it has ended the timer that it kept");
}

#[test]
fn the_call_ends_while_a_refresh_is_open() {
    for ours in [true, false] {
        let mut bench = Bench::new();
        let (_, tag) = call(&mut bench, "Supported: timer\nSession-Expires: 600;refresher=uas");
        seconds(&mut bench, 300);
        if ours {
            bench.bye(LegId(1));
        } else {
            bench.receive(&within("BYE", "b1", 11, &tag, ""));
        }
        assert_eq!(bench.take_sent(), ["INVITE", if ours { "BYE" } else { "200 BYE" }]);
        bench.assert_forgotten();
        assert!(!results(&mut bench).iter().any(|event| event == "Gone" || event == "Expired"));
    }
}
