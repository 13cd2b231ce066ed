//! Digest authentication: of what comes in, and of what goes out.

use proptest::prelude::*;

use super::bench::*;
use super::robust::{mutate, mutation};
use super::uac::{outgoing, reply};
use crate::auth::{Account, Answered, Answerer, Authorization, Credentials, Realm, Secret, authorization};
use crate::endpoint::*;
use crate::message::{Method, Request, Response};
use crate::testing::{request as parsed, wire};

const LEG: LegId = LegId(2);

fn credentials(user: &str, password: &str) -> Credentials {
    Credentials { user: user.into(), password: Secret::new(password) }
}

pub(super) fn demanding() -> TrunkProfile {
    let realm = Realm::new("bridge", vec![credentials("pbx", "right")]);
    TrunkProfile { inbound: Some(realm), ..TrunkProfile::default() }
}

/// The peer's answer to our 401: the request again with another branch and the next number.
pub(super) fn answered_as(user: &str, password: &str, asked: &str, unauthorized: &Response) -> String {
    let account = Account { credentials: credentials(user, password), realm: None };
    let mut request = parsed(&wire(asked));
    let mut answered = Answered::default();
    Answerer::new(Some(account)).answer(unauthorized, &mut request, &mut answered, "c").unwrap();
    let value = request.headers.get("Authorization").unwrap().to_owned();
    let cseq = request.headers.cseq().unwrap();
    let next = format!("CSeq: {} ", cseq.number + 1);
    let again = asked.replace(&format!("CSeq: {} ", cseq.number), &next);
    format!("{}\nAuthorization: {value}", again.replace("branch=z9hG4bK", "branch=z9hG4bKagain").trim_end())
}

fn right(asked: &str, unauthorized: &Response) -> String {
    answered_as("pbx", "right", asked, unauthorized)
}

fn is_stale(response: &Response) -> bool {
    response.headers.get("WWW-Authenticate").unwrap().contains("stale=true")
}

#[test]
fn an_invite_must_say_who_it_is_from() {
    let mut bench = Bench::with(demanding());
    let asked = request("INVITE", "i1", "");
    bench.receive(&asked);
    let unauthorized = bench.last().response();
    assert_eq!(bench.take_sent(), ["401 INVITE"]);
    let offered: Vec<_> = unauthorized.headers.get_all("WWW-Authenticate").collect();
    assert!(offered[0].contains("SHA-256") && offered[1].contains("MD5"), "{offered:?}");
    assert!(bench.endpoint.legs.is_empty() && bench.endpoint.servers.is_empty(), "nothing is kept");
    bench.receive(&within("ACK", "i1", 10, &to_tag(&unauthorized), ""));
    assert_eq!((bench.take_sent(), bench.take_events()), (vec![], vec![]), "the ACK ends there");

    bench.receive(&right(&asked, &unauthorized));
    assert_eq!(bench.take_sent(), ["100 INVITE"]);
    assert_eq!(bench.take_events(), ["invite"]);
    assert_eq!(bench.endpoint.counters().challenged, 1);
    bench.receive(&right(&asked, &unauthorized));
    assert_eq!(bench.take_sent(), ["100 INVITE"], "a retransmission is one");
    assert_eq!(bench.take_events(), [""; 0]);
}

#[test]
fn a_captured_invite_is_worth_nothing() {
    let mut bench = Bench::with(demanding());
    let asked = request("INVITE", "i1", "");
    bench.receive(&asked);
    let captured = right(&asked, &bench.last().response());
    bench.receive(&captured);
    assert_eq!(bench.take_events(), ["invite"]);
    bench.take_sent();
    let replayed = captured.replace("z9hG4bK", "z9hG4bKother").replace("call-1", "call-2");
    bench.receive(&replayed);
    assert!(is_stale(&bench.last().response()));
    bench.receive(&replayed.replace("z9hG4bK", "z9hG4bK2").replace("nc=00000001", "nc=00000002"));
    assert!(!is_stale(&bench.last().response()), "who changes the count must know the password");
    bench.receive(&replayed.replace("z9hG4bK", "z9hG4bK3").replace("sip:+4930123@", "sip:+1900@"));
    assert_eq!(bench.take_sent(), ["401 INVITE", "401 INVITE", "401 INVITE"]);
    assert_eq!(bench.take_events(), [""; 0]);
}

#[test]
fn the_same_invite_by_a_second_way_is_merged_and_not_challenged() {
    let mut bench = Bench::with(demanding());
    let asked = request("INVITE", "i1", "");
    bench.receive(&asked);
    let answer = right(&asked, &bench.last().response());
    bench.receive(&answer);
    bench.receive(&answer.replace("z9hG4bK", "z9hG4bKsecond"));
    assert_eq!(bench.take_sent(), ["401 INVITE", "100 INVITE", "482 INVITE"]);
}

#[test]
fn nobody_learns_which_users_there_are() {
    let mut bench = Bench::with(demanding());
    let asked = request("INVITE", "i1", "");
    let answers = [("pbx", "wrong"), ("ghost", "right"), ("ghost", "nobody")];
    let mut told = Vec::new();
    for (user, password) in answers {
        bench.receive(&asked);
        let unauthorized = bench.last().response();
        bench.receive(&answered_as(user, password, &asked, &unauthorized));
        let again = bench.last().response();
        assert_eq!(again.status, 401);
        let names: Vec<_> = again.headers.iter().map(|(name, _)| name.to_owned()).collect();
        told.push((names, again.reason.clone(), is_stale(&again), bench.last().bytes.len()));
    }
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    assert_eq!(bench.take_events(), [""; 0]);
}

#[test]
fn an_old_nonce_is_stale_and_its_successor_gets_in() {
    let mut bench = Bench::with(demanding());
    let asked = request("INVITE", "i1", "");
    bench.receive(&asked);
    let late = right(&asked, &bench.last().response());
    bench.advance(30_000);
    bench.receive(&late);
    let stale = bench.last().response();
    assert!(is_stale(&stale));
    bench.receive(&right(&asked.replace("z9hG4bK", "z9hG4bKx"), &stale));
    assert_eq!(bench.take_events(), ["invite"]);
}

#[test]
fn what_is_challenged_out_of_a_dialog() {
    for (method, status) in [
        ("REGISTER", "401 REGISTER"),
        ("MESSAGE", "401 MESSAGE"),
        ("SUBSCRIBE", "401 SUBSCRIBE"),
        ("BYE", "401 BYE"),
        ("FROB", "401 FROB"),
        ("OPTIONS", "200 OPTIONS"),
        ("CANCEL", "481 CANCEL"),
    ] {
        let mut bench = Bench::with(demanding());
        bench.receive(&request(method, "m", ""));
        assert_eq!(bench.take_sent(), [status]);
        bench.assert_forgotten();
    }
}

#[test]
fn within_a_dialog_nobody_is_asked_again() {
    let mut bench = Bench::with(demanding());
    let asked = request("INVITE", "i1", "");
    bench.receive(&asked);
    bench.receive(&right(&asked, &bench.last().response()));
    let leg = bench.events[0].leg;
    bench.respond(leg, 200);
    let tag = to_tag(&bench.last().response());
    bench.receive(&within("ACK", "a1", 11, &tag, ""));
    bench.take_sent();
    bench.take_events();
    bench.receive(&within("INVITE", "r1", 12, &tag, ""));
    assert_eq!(bench.take_sent(), ["100 INVITE"]);
    assert_eq!(bench.take_events(), ["request"]);
    bench.receive(&within("BYE", "b1", 13, &tag, ""));
    assert!(bench.take_sent().contains(&"200 BYE".to_owned()));
    bench.assert_forgotten();
}

pub(super) fn with_account(realm: Option<&str>) -> TrunkProfile {
    let account = Account { credentials: credentials("us", "secret"), realm: realm.map(str::to_owned) };
    TrunkProfile { outbound: Some(account), ..TrunkProfile::default() }
}

/// An INVITE of ours that has gone out.
fn calling(profile: TrunkProfile) -> (Bench, Request) {
    let mut bench = Bench::with(profile);
    bench.command(Command::Invite { leg: LEG, invite: outgoing() });
    let invite = bench.last().request();
    assert_eq!(bench.take_sent(), ["INVITE"]);
    (bench, invite)
}

pub(super) const CHALLENGE: &str =
    "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256";
const PROXY: &str = "Proxy-Authenticate: Digest realm=\"proxy\", nonce=\"p1\", qop=\"auth\"";

fn sent_answer(request: &Request, field: &str) -> Authorization {
    let answer = authorization(request.headers.get(field).expect("an answer")).unwrap();
    assert!(answer.is_by(&Secret::new("secret"), request.method.as_str(), &request.body));
    assert_eq!(answer.uri, request.uri.to_string());
    answer
}

#[test]
fn a_challenged_invite_goes_out_again_with_credentials() {
    let (mut bench, invite) = calling(with_account(None));
    bench.receive(&reply(&invite, 401, "t0", CHALLENGE));
    assert_eq!(bench.events, [], "the user hears nothing of it");
    let again = bench.last().request();
    assert_eq!(bench.take_sent(), ["ACK", "INVITE"]);
    let get = |request: &Request, name| request.headers.get(name).map(str::to_owned);
    for same in ["Call-ID", "From", "To", "Contact", "X-Wacid"] {
        assert_eq!(get(&again, same), get(&invite, same), "{same}");
    }
    assert_eq!((get(&again, "CSeq").as_deref(), &again.body), (Some("2 INVITE"), &invite.body));
    assert_ne!(again.headers.via().unwrap().branch(), invite.headers.via().unwrap().branch());
    assert_eq!(again.headers.list("Via").count(), 1);
    assert_eq!(sent_answer(&again, "Authorization").nonce, "n1");

    bench.receive(&reply(&invite, 401, "t0", CHALLENGE));
    assert_eq!(bench.take_sent(), ["ACK"], "the 401 again gets its ACK again");
    bench.receive(&reply(&again, 180, "t1", ""));
    bench.receive(&reply(&again, 200, "t1", ""));
    assert_eq!(bench.take_events(), ["provisional", "answered"]);
    let ack = bench.last().request();
    assert_eq!(ack.headers.get("CSeq"), Some("2 ACK"));
    bench.take_sent();
    bench.bye(LEG);
    assert_eq!(bench.last().request().headers.get("CSeq"), Some("3 BYE"));
    let bye = bench.last().request();
    bench.receive(&reply(&bye, 200, "t1", ""));
    assert_eq!(bench.take_events(), ["ended"]);
    bench.assert_forgotten();
}

#[test]
fn the_ack_shows_the_credentials_to_nobody_but_the_trunk() {
    for (contact, shown) in [("192.0.2.1:5060", true), ("192.0.2.1:5080", false), ("203.0.113.9:5060", false)]
    {
        let (mut bench, invite) = calling(with_account(None));
        bench.receive(&reply(&invite, 407, "t0", PROXY));
        let again = bench.last().request();
        bench.receive(&reply(&again, 200, "t1", "").replace("192.0.2.1:5080", contact));
        let ack = bench.last().request();
        assert_eq!((ack.method, bench.last().to.as_str()), (Method::Ack, contact));
        let copied = ack.headers.get("Proxy-Authorization").is_some();
        assert_eq!(copied, shown, "{contact}");
        if copied {
            assert_eq!(ack.headers.get("Proxy-Authorization"), again.headers.get("Proxy-Authorization"));
        }
    }
}

#[test]
fn a_proxy_and_then_the_pbx_are_answered() {
    let (mut bench, invite) = calling(with_account(None));
    bench.receive(&reply(&invite, 407, "t0", PROXY));
    let second = bench.last().request();
    bench.receive(&reply(&second, 401, "t0", CHALLENGE));
    let third = bench.last().request();
    sent_answer(&third, "Proxy-Authorization");
    sent_answer(&third, "Authorization");
    assert_eq!(third.headers.get("CSeq"), Some("3 INVITE"));
    bench.receive(&reply(&third, 401, "t0", CHALLENGE));
    assert_eq!(bench.take_events(), ["rejected", "ended"], "asked twice: the password is wrong");
    bench.assert_forgotten();
}

#[test]
fn a_stale_nonce_is_replaced() {
    let (mut bench, invite) = calling(with_account(None));
    bench.receive(&reply(&invite, 401, "t0", CHALLENGE));
    let again = bench.last().request();
    bench.receive(&reply(&again, 401, "t0", &CHALLENGE.replace("\"n1\"", "\"n2\", stale=true")));
    assert_eq!(sent_answer(&bench.last().request(), "Authorization").nonce, "n2");
}

#[test]
fn without_credentials_or_of_another_realm_a_challenge_is_final() {
    for profile in [TrunkProfile::default(), with_account(Some("ours"))] {
        let (mut bench, invite) = calling(profile);
        bench.receive(&reply(&invite, 407, "t0", PROXY));
        assert_eq!(bench.take_sent(), ["ACK"]);
        assert_eq!(bench.take_events(), ["rejected", "ended"]);
        bench.assert_forgotten();
    }
}

#[test]
fn a_challenge_does_not_outrun_a_cancel() {
    let (mut bench, invite) = calling(with_account(None));
    bench.cancel(LEG);
    assert_eq!(bench.take_sent(), [""; 0], "nothing has come back yet");
    bench.receive(&reply(&invite, 401, "t0", CHALLENGE));
    assert_eq!(bench.take_sent(), ["ACK"]);
    assert_eq!(bench.take_events(), ["rejected", "ended"]);
    bench.assert_forgotten();
}

#[test]
fn the_cancel_is_of_the_invite_that_was_answered() {
    let (mut bench, invite) = calling(with_account(None));
    bench.receive(&reply(&invite, 183, "t0", ""));
    bench.receive(&reply(&invite, 401, "t0", CHALLENGE));
    let again = bench.last().request();
    bench.take_sent();
    bench.cancel(LEG);
    assert_eq!(bench.take_sent(), [""; 0], "the 183 was of another INVITE");
    bench.receive(&reply(&again, 100, "", ""));
    let cancel = bench.last().request();
    assert_eq!(bench.take_sent(), ["CANCEL"]);
    assert_eq!(cancel.headers.via().unwrap().branch(), again.headers.via().unwrap().branch());
    assert_eq!(cancel.headers.get("CSeq"), Some("2 CANCEL"));
    bench.receive(&reply(&cancel, 407, "t1", PROXY));
    assert_eq!(bench.take_sent(), [""; 0], "a CANCEL cannot be sent again");
    bench.receive(&reply(&again, 487, "t1", ""));
    assert_eq!(bench.take_sent(), ["ACK"]);
    assert_eq!(bench.take_events(), ["provisional", "rejected", "ended"]);
    bench.assert_forgotten();
}

#[test]
fn what_a_challenged_invite_began_is_over() {
    let (mut bench, invite) = calling(with_account(None));
    bench.receive(&reply(&invite, 183, "t0", ""));
    assert_eq!(bench.endpoint.dialogs.len(), 1);
    bench.receive(&reply(&invite, 401, "t0", CHALLENGE));
    assert_eq!(bench.endpoint.dialogs.len(), 0);
}

/// A call of ours that was answered.
fn answered(profile: TrunkProfile) -> Bench {
    let (mut bench, invite) = calling(profile);
    bench.receive(&reply(&invite, 200, "t1", ""));
    bench.take_sent();
    bench.take_events();
    bench
}

#[test]
fn a_challenged_bye_goes_out_again() {
    let mut bench = answered(with_account(None));
    bench.bye(LEG);
    let bye = bench.last().request();
    bench.take_sent();
    bench.receive(&reply(&bye, 407, "t1", PROXY));
    let again = bench.last().request();
    assert_eq!(bench.take_sent(), ["BYE"]);
    assert_eq!(bench.take_events(), [""; 0]);
    sent_answer(&again, "Proxy-Authorization");
    assert_eq!(again.headers.get("CSeq"), Some("3 BYE"));
    assert_eq!(
        (again.headers.get("Reason"), again.headers.get("To")),
        (bye.headers.get("Reason"), bye.headers.get("To"))
    );
    bench.receive(&reply(&again, 200, "t1", ""));
    assert_eq!(bench.take_events(), ["ended"]);
    bench.assert_forgotten();
}

#[test]
fn a_callee_that_answers_bye_with_407_learns_nothing() {
    for profile in [TrunkProfile::default(), with_account(Some("pbx"))] {
        let mut bench = answered(profile);
        bench.bye(LEG);
        let bye = bench.last().request();
        bench.take_sent();
        bench.receive(&reply(&bye, 407, "t1", &PROXY.replace("proxy", "evil")));
        assert_eq!(bench.take_sent(), [""; 0]);
        assert_eq!(bench.take_events(), ["ended"]);
        bench.assert_forgotten();
    }
}

#[test]
fn one_trunk_neither_answers_for_another_nor_with_its_credentials() {
    let mut bench = Bench::with(with_account(None));
    let mut invite = outgoing();
    invite.flow.trunk = TrunkId(1);
    let flow = invite.flow;
    bench.command(Command::Invite { leg: LEG, invite });
    let invite = bench.last().request();
    bench.take_sent();
    let challenge = wire(&reply(&invite, 401, "t0", CHALLENGE));
    bench.receive_from(PEER, &challenge);
    assert_eq!((bench.take_sent(), bench.endpoint.counters().stray_responses), (vec![], 1));
    bench.input(Input::Datagram { flow, bytes: &challenge });
    assert_eq!(bench.take_sent(), ["ACK"], "that trunk has no credentials");
    assert_eq!(bench.take_events(), ["rejected", "ended"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    /// Whatever a peer answers to whichever of our requests, and whenever the user hangs up: the leg ends once.
    #[test]
    fn a_call_that_is_challenged_at_any_moment_ends_once(
        steps in prop::collection::vec((0..4usize, 0..9usize, any::<usize>(), 0..3000u64), 1..25)
    ) {
        let mut bench = Bench::with(with_account(None));
        bench.command(Command::Invite { leg: LEG, invite: outgoing() });
        for (kind, which, at, pause) in steps {
            let ours: Vec<_> = bench.sent.iter().filter(|sent| sent.name() != "ACK" && !sent.name().starts_with(|c: char| c.is_ascii_digit())).collect();
            let asked = ours[at % ours.len()].request();
            let status = [100, 180, 200, 401, 401, 407, 407, 487, 503][which];
            let nonce = format!("\"n{at}\", stale={}", at % 2 == 0);
            let more = if status == 407 { PROXY.replace("\"p1\"", &nonce) } else { CHALLENGE.replace("\"n1\"", &nonce) };
            match kind {
                0 if which == 0 => bench.cancel(LEG),
                0 if which == 1 => bench.bye(LEG),
                _ => bench.receive(&reply(&asked, status, "t1", &more)),
            }
            bench.advance(pause);
        }
        bench.bye(LEG);
        bench.assert_forgotten();
        prop_assert_eq!(bench.take_events().iter().filter(|name| **name == "ended").count(), 1);
    }

    #[test]
    fn broken_answers_never_panic(mutations in prop::collection::vec(mutation(), 0..8)) {
        let mut bench = Bench::with(demanding());
        let asked = request("INVITE", "i1", "");
        bench.receive(&asked);
        let answer = wire(&right(&asked, &bench.last().response()));
        bench.receive_from(PEER, &mutate(answer, &mutations));
        for leg in (0..10).map(LegId) {
            bench.respond(leg, 500);
        }
        bench.assert_forgotten();
    }
}
