//! Requests of ours within a dialog (RFC 3261 12.2.1, 13.2.2.4, 14.1).

use super::bench::*;
use super::uac;
use crate::auth::{Account, Credentials, Secret};
use crate::endpoint::*;
use crate::message::{Method, Request};

pub(super) fn ask(bench: &mut Bench, leg: LegId, id: u64, method: Method, body: &'static str) {
    let body = (!body.is_empty())
        .then(|| Body { content_type: "application/sdp".into(), bytes: Bytes::from_static(body.as_bytes()) });
    let (id, headers) = (OwnRequestId(id), vec![("X-Ours".into(), "1".into()), ("Via".into(), "no".into())]);
    bench.command(Command::Request { leg, id, method, headers, body });
}

/// A response to a request of ours within the dialog of [`confirmed`].
pub(super) fn reply(request: &Request, status: u16, more: &str) -> String {
    uac::reply(request, status, "pbx", more)
}

/// The last request that was sent.
pub(super) fn sent_request(bench: &Bench) -> Request {
    bench.last().request()
}

/// `7: 200`, `7: timeout`, or the name of another event, of all since the last time.
pub(super) fn results(bench: &mut Bench) -> Vec<String> {
    let tell = |event: Event| match event {
        Event::Response { id: OwnRequestId::REFRESH, result } => {
            format!("refresh: {}", result.unwrap().status)
        }
        Event::Response { id, result: Ok(response) } => format!("{}: {}", id.0, response.status),
        Event::Response { id, result: Err(Rejection::Response(response)) } => {
            format!("{}: refused {}", id.0, response.status)
        }
        Event::Response { id, result: Err(why) } => format!("{}: {why:?}", id.0),
        Event::Lost(why) => format!("{why:?}"),
        other => name(&other).to_owned(),
    };
    bench.events.drain(..).map(|event| tell(event.event)).collect()
}

#[test]
fn a_request_of_ours_is_of_its_dialog() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    ask(&mut bench, leg, 7, Method::Info, "Signal=1");
    let info = sent_request(&bench);
    let get = |name| info.headers.get(name).unwrap_or_default().to_owned();
    assert_eq!(info.uri.to_string(), "sip:100@192.0.2.1:5060");
    assert_eq!(get("From"), format!("<sip:+4930123@192.0.2.2>;tag={tag}"));
    assert_eq!(get("To"), "\"Desk\" <sip:100@192.0.2.1>;tag=pbx");
    assert_eq!((get("CSeq"), get("Call-ID"), get("X-Ours")), ("1 INFO".into(), "call-1".into(), "1".into()));
    assert!(get("Via").starts_with("SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK"));
    assert_eq!((get("Contact").as_str(), &info.body[..]), ("", &b"Signal=1"[..]));
    bench.advance(600);
    assert_eq!(bench.take_sent(), ["INFO", "INFO"], "resent");
    bench.receive(&reply(&info, 100, ""));
    bench.receive(&reply(&info, 202, ""));
    bench.receive(&reply(&info, 202, ""));
    assert_eq!(results(&mut bench), ["7: 202"]);
    for (id, status) in [(8, 415), (9, 503)] {
        ask(&mut bench, leg, id, Method::Message, "");
        let message = sent_request(&bench);
        bench.receive(&reply(&message, status, ""));
        assert_eq!(results(&mut bench), [format!("{id}: refused {status}")], "the call goes on");
    }
    bench.bye(leg);
    assert_eq!(sent_request(&bench).headers.get("CSeq"), Some("4 BYE"));
    bench.assert_forgotten();
}

#[test]
fn an_update_of_ours_carries_contact_allow_and_supported() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    for method in [Method::Update, Method::Invite] {
        ask(&mut bench, leg, 1, method.clone(), "v=0");
        let request = sent_request(&bench);
        assert_eq!(request.headers.get("Contact"), Some("<sip:192.0.2.2:5060>"));
        assert!(request.headers.get("Allow").is_some() && request.headers.get("Supported").is_some());
        bench.receive(&reply(&request, 200, ""));
    }
}

#[test]
fn several_at_a_time_and_the_rest_waits() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    for id in 0..30 {
        ask(&mut bench, leg, id, Method::Info, "");
    }
    let open: Vec<_> = bench.sent.iter().map(Sent::request).collect();
    assert_eq!(open.len(), 8, "on their way");
    assert_eq!(results(&mut bench).len(), 6, "30 less 8 less the 16 that may wait");
    bench.take_sent();
    bench.receive(&reply(&open[3], 200, ""));
    assert_eq!((results(&mut bench), bench.take_sent()), (vec!["3: 200".into()], vec!["INFO".into()]));
    bench.bye(leg);
    bench.assert_forgotten();
}

#[test]
fn what_is_no_request_of_a_dialog_is_not_sent() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    for method in [Method::Bye, Method::Ack, Method::Cancel, Method::Prack] {
        ask(&mut bench, leg, 1, method, "");
    }
    ask(&mut bench, leg, OwnRequestId::REFRESH.0, Method::Info, "");
    assert_eq!(bench.take_sent(), [""; 0]);
    assert_eq!(results(&mut bench), ["1: Transport"; 4]);
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", ""));
    ask(&mut bench, LegId(1), 2, Method::Update, "");
    assert_eq!(results(&mut bench), ["invite", "2: Transport"], "not before the answer");
    ask(&mut bench, LegId(99), 3, Method::Info, "");
    assert_eq!(results(&mut bench), [""; 0]);
}

#[test]
fn a_reinvite_of_ours_is_acknowledged_and_moves_the_target() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    ask(&mut bench, leg, 5, Method::Invite, "v=0 new");
    let invite = sent_request(&bench);
    assert_eq!(invite.headers.get("CSeq"), Some("1 INVITE"));
    bench.receive(&reply(&invite, 180, ""));
    bench.receive(&reply(&invite, 200, ""));
    let ack = sent_request(&bench);
    assert_eq!((ack.method, ack.headers.get("CSeq")), (Method::Ack, Some("1 ACK")));
    assert_eq!(ack.uri.to_string(), "sip:200@192.0.2.1:5080", "the Contact of the 2xx");
    assert_ne!(ack.headers.get("Via"), invite.headers.get("Via"));
    bench.receive(&reply(&invite, 200, ""));
    assert_eq!(bench.take_sent(), ["INVITE", "ACK", "ACK"], "each 2xx gets its ACK");
    assert_eq!(results(&mut bench), ["5: 200"]);
    bench.bye(leg);
    assert_eq!(sent_request(&bench).uri.to_string(), "sip:200@192.0.2.1:5080");
    bench.assert_forgotten();
}

#[test]
fn a_refused_reinvite_of_ours_leaves_the_call_as_it_was() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    ask(&mut bench, leg, 5, Method::Invite, "v=0");
    let invite = sent_request(&bench);
    bench.receive(&reply(&invite, 500, "Retry-After: 3"));
    assert_eq!(bench.take_sent(), ["INVITE", "ACK"]);
    assert_eq!(results(&mut bench), ["5: refused 500"]);
    bench.bye(leg);
    assert_eq!(sent_request(&bench).uri.to_string(), "sip:100@192.0.2.1:5060");
}

#[test]
fn our_answer_to_the_offer_in_a_2xx_goes_out_in_the_ack() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    ask(&mut bench, leg, 5, Method::Invite, "");
    let invite = sent_request(&bench);
    bench.take_sent();
    let offer = [&crate::testing::wire(&reply(&invite, 200, ""))[..], b"v=0 offer"].concat();
    bench.receive_from(PEER, &offer);
    bench.receive_from(PEER, &offer);
    ask(&mut bench, leg, 6, Method::Update, "v=0");
    bench.receive(&within("INVITE", "i2", 11, &tag, ""));
    assert_eq!(bench.take_sent(), ["100 INVITE", "491 INVITE"], "the offer is open");
    let body = Some(Body { content_type: "application/sdp".into(), bytes: "v=0 answer".into() });
    bench.command(Command::Acknowledge { leg, body });
    assert_eq!(&bench.sent[0].request().body[..], b"v=0 answer");
    assert_eq!(bench.take_sent(), ["ACK", "UPDATE"]);
    bench.receive_from(PEER, &offer);
    assert_eq!(bench.take_sent(), ["ACK"]);
    assert_eq!(results(&mut bench), ["5: 200"]);
}

#[test]
fn an_offer_that_the_user_never_answers_ends_the_call() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    ask(&mut bench, leg, 5, Method::Invite, "");
    let invite = sent_request(&bench);
    bench.receive_from(PEER, &[&crate::testing::wire(&reply(&invite, 200, ""))[..], b"v=0"].concat());
    bench.advance(16_000);
    assert_eq!(bench.take_sent(), ["INVITE", "ACK"]);
    assert_eq!(results(&mut bench), ["5: 200", "Gone"]);
    bench.bye(leg);
    bench.assert_forgotten();
}

#[test]
fn no_reinvite_before_the_ack_of_our_2xx() {
    let mut bench = Bench::new();
    let (leg, tag) = answered(&mut bench);
    bench.take_sent();
    ask(&mut bench, leg, 5, Method::Invite, "v=0");
    ask(&mut bench, leg, 6, Method::Info, "");
    assert_eq!(bench.take_sent(), ["INFO"]);
    bench.receive(&within("ACK", "a1", 10, &tag, ""));
    assert_eq!(bench.take_sent(), ["INVITE"]);
}

#[test]
fn a_peer_that_does_not_know_the_dialog_is_lost() {
    for (method, status) in [(Method::Info, 481), (Method::Invite, 481), (Method::Update, 408)] {
        let mut bench = Bench::new();
        let (leg, _) = confirmed(&mut bench);
        ask(&mut bench, leg, 5, method.clone(), "v=0");
        ask(&mut bench, leg, 6, Method::Options, "");
        let options = sent_request(&bench);
        let first = bench.sent[0].request();
        bench.receive(&reply(&first, status, ""));
        bench.receive(&reply(&options, 481, ""));
        let refused = [format!("5: refused {status}"), "Gone".into(), "6: refused 481".into()];
        assert_eq!(results(&mut bench), refused, "lost once");
        bench.bye(leg);
        bench.assert_forgotten();
    }
}

#[test]
fn a_notify_that_nobody_wants_does_not_end_the_call() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    ask(&mut bench, leg, 5, Method::Notify, "SIP/2.0 100 Trying");
    let notify = sent_request(&bench);
    assert!(notify.headers.get("Contact").is_some());
    bench.receive(&reply(&notify, 481, ""));
    assert_eq!(results(&mut bench), ["5: refused 481"], "the subscription is gone, the call is not");
}

#[test]
fn a_peer_that_says_nothing_is_lost() {
    for method in [Method::Info, Method::Update, Method::Invite] {
        let mut bench = Bench::new();
        let (leg, _) = confirmed(&mut bench);
        ask(&mut bench, leg, 5, method, "v=0");
        bench.advance(31_900);
        assert_eq!(results(&mut bench), [""; 0]);
        bench.advance(200);
        assert_eq!(results(&mut bench), ["5: Timeout", "Gone"]);
        bench.bye(leg);
        bench.assert_forgotten();
    }
}

#[test]
fn a_reinvite_that_stays_provisional_is_given_up() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    ask(&mut bench, leg, 5, Method::Invite, "v=0");
    let invite = sent_request(&bench);
    bench.receive(&reply(&invite, 100, ""));
    bench.advance(179_000);
    assert_eq!(results(&mut bench), [""; 0]);
    bench.advance(1000);
    assert_eq!(results(&mut bench), ["5: Timeout", "Gone"]);
    bench.bye(leg);
    bench.assert_forgotten();
}

#[test]
fn a_request_that_can_not_be_sent_fails() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    ask(&mut bench, leg, 5, Method::Info, "");
    let origin = bench.last().origin;
    bench.input(Input::TransportError { origin });
    assert_eq!(results(&mut bench), ["5: Transport"]);
    bench.bye(leg);
    bench.assert_forgotten();
}

#[test]
fn their_bye_drops_what_we_asked() {
    let mut bench = Bench::new();
    let (leg, tag) = confirmed(&mut bench);
    ask(&mut bench, leg, 5, Method::Info, "");
    ask(&mut bench, leg, 6, Method::Invite, "v=0");
    ask(&mut bench, leg, 7, Method::Update, "v=0");
    let invite = sent_request(&bench);
    bench.receive(&reply(&invite, 100, ""));
    bench.receive(&within("BYE", "b1", 11, &tag, ""));
    bench.receive(&reply(&invite, 487, ""));
    assert_eq!(bench.take_sent(), ["INFO", "INVITE", "200 BYE", "ACK"]);
    assert_eq!(results(&mut bench), ["bye", "ended"]);
    bench.assert_forgotten();
    assert_eq!(bench.take_sent(), [""; 0], "nothing is resent into a dead dialog");
}

#[test]
fn an_open_reinvite_outlives_its_dialog_by_32_s() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    ask(&mut bench, leg, 6, Method::Invite, "v=0");
    let invite = sent_request(&bench);
    bench.receive(&reply(&invite, 100, ""));
    bench.bye(leg);
    bench.advance(31_900);
    assert!(!bench.endpoint.clients.is_empty());
    bench.advance(200);
    assert!(bench.endpoint.clients.is_empty());
    assert_eq!(results(&mut bench), ["ended"]);
}

#[test]
fn our_bye_goes_out_beside_an_open_reinvite() {
    let mut bench = Bench::new();
    let (leg, _) = confirmed(&mut bench);
    ask(&mut bench, leg, 6, Method::Invite, "v=0");
    let invite = sent_request(&bench);
    bench.receive(&reply(&invite, 100, ""));
    bench.bye(leg);
    let bye = sent_request(&bench);
    assert_eq!(bye.headers.get("CSeq"), Some("2 BYE"));
    bench.receive(&reply(&invite, 200, ""));
    bench.receive(&reply(&invite, 200, ""));
    bench.receive(&reply(&bye, 200, ""));
    assert_eq!(
        bench.take_sent(),
        ["INVITE", "BYE", "ACK", "ACK"],
        "a 2xx that crosses the BYE is acknowledged"
    );
    assert_eq!(results(&mut bench), ["ended"]);
    bench.assert_forgotten();
}

const CHALLENGE: &str = "Proxy-Authenticate: Digest realm=\"pbx\", nonce=\"n1\", qop=\"auth\"";

fn with_account() -> TrunkProfile {
    let credentials = Credentials { user: "us".into(), password: Secret::new("secret") };
    TrunkProfile { outbound: Some(Account { credentials, realm: None }), ..TrunkProfile::default() }
}

#[test]
fn a_challenged_request_within_a_dialog_goes_out_again() {
    for method in [Method::Info, Method::Invite] {
        let mut bench = Bench::with(with_account());
        let (leg, _) = confirmed(&mut bench);
        ask(&mut bench, leg, 5, method.clone(), "v=0");
        let first = sent_request(&bench);
        bench.receive(&reply(&first, 407, CHALLENGE));
        let again = sent_request(&bench);
        assert!(again.headers.get("Proxy-Authorization").is_some());
        assert_eq!(again.headers.cseq().unwrap().number, 2);
        assert_eq!((&again.body, &again.method), (&first.body, &method));
        bench.receive(&reply(&again, 200, "Contact: <sip:100@192.0.2.1>"));
        assert_eq!(results(&mut bench), ["5: 200"]);
        if method == Method::Invite {
            let ack = sent_request(&bench);
            assert_eq!(ack.headers.get("CSeq"), Some("2 ACK"));
        }
        bench.bye(leg);
        bench.assert_forgotten();
    }
}

#[test]
fn a_challenge_that_comes_after_the_bye_is_not_answered() {
    let mut bench = Bench::with(with_account());
    let (leg, _) = confirmed(&mut bench);
    ask(&mut bench, leg, 5, Method::Invite, "v=0");
    let invite = sent_request(&bench);
    bench.receive(&reply(&invite, 100, ""));
    bench.bye(leg);
    bench.receive(&reply(&invite, 407, CHALLENGE));
    assert_eq!(bench.take_sent(), ["INVITE", "BYE", "ACK"]);
    bench.assert_forgotten();
}
