//! Requests of a peer that knows the password, and of others.

use proptest::prelude::*;

use super::*;
use crate::auth::{Account, Answered, Answerer, Credentials};
use crate::message::Response;
use crate::testing::{ms, request, start, wire};

fn credentials(user: &str, password: &str) -> Credentials {
    Credentials { user: user.into(), password: Secret::new(password) }
}

fn authenticator() -> Authenticator {
    Authenticator::new(&Realm::new("pbx", vec![credentials("trunk", "right")]), "trunk 1", &[7; 32])
}

fn invite() -> Request {
    request(&wire(
        "INVITE sip:+4930123@192.0.2.2:5060;user=phone SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1
         From: <sip:100@192.0.2.1>;tag=pbx
         To: <sip:+4930123@192.0.2.2>
         Call-ID: call-1
         CSeq: 10 INVITE",
    ))
}

fn unauthorized(challenges: &[String]) -> Response {
    let headers = challenges.iter().map(|value| ("WWW-Authenticate", value.as_str())).collect();
    Response { status: 401, reason: String::new(), headers, body: bytes::Bytes::new() }
}

/// The INVITE of a client with this password, in answer to these challenges.
fn answered_by(with: Credentials, challenges: &[String]) -> Request {
    let mut invite = invite();
    let account = Account { credentials: with, realm: None };
    let mut answerer = Answerer::new(Some(account));
    answerer.answer(&unauthorized(challenges), &mut invite, &mut Answered::default(), "cnonce").unwrap();
    invite
}

fn right() -> Credentials {
    credentials("trunk", "right")
}

const FRESH: Verdict = Verdict::Challenge { stale: false };
const STALE: Verdict = Verdict::Challenge { stale: true };

fn accepted() -> Verdict {
    Verdict::Accepted("trunk".into())
}

#[test]
fn whoever_knows_the_password_comes_in() {
    let (mut server, now) = (authenticator(), start());
    assert_eq!(server.verify(now, &invite()), FRESH);
    let challenges = server.challenges(now, false);
    assert!(challenges[0].contains("algorithm=SHA-256") && challenges[1].contains("algorithm=MD5"));
    assert!(challenges.iter().all(|value| value.starts_with("Digest realm=\"pbx\", nonce=\"")));
    assert!(challenges.iter().all(|value| value.contains("qop=\"auth\"") && !value.contains("stale")));
    assert_eq!(server.verify(now, &answered_by(right(), &challenges)), accepted());
    let md5 = server.challenges(now, false).split_off(1);
    assert_eq!(server.verify(now, &answered_by(right(), &md5)), accepted());
}

#[test]
fn the_same_answer_again_is_stale() {
    let (mut server, now) = (authenticator(), start());
    let captured = answered_by(right(), &server.challenges(now, false));
    assert_eq!(server.verify(now, &captured), accepted());
    assert_eq!(server.verify(now, &captured), STALE);
    assert!(server.challenges(now, true)[0].ends_with(", stale=true"));
}

#[test]
fn an_expired_nonce_and_one_of_another_life_are_stale() {
    let (mut server, now) = (authenticator(), start());
    let answer = answered_by(right(), &server.challenges(now, false));
    assert_eq!(server.verify(now + ms(30_000), &answer), STALE);
    let mut reborn = Authenticator::new(&Realm::new("pbx", vec![right()]), "trunk 1", &[8; 32]);
    assert_eq!(reborn.verify(now, &answer), STALE);
}

#[test]
fn an_unknown_user_is_told_what_a_wrong_password_is_told() {
    let (mut server, now) = (authenticator(), start());
    let challenges = server.challenges(now, false);
    // "nobody" is what stands in for the password of those who have none.
    for (user, password) in
        [("trunk", "wrong"), ("ghost", "right"), ("ghost", "nobody"), ("", ""), ("Trunk", "right")]
    {
        let answer = answered_by(credentials(user, password), &challenges);
        assert_eq!(server.verify(now, &answer), FRESH, "{user} {password}");
        assert_eq!(server.verify(now + ms(60_000), &answer), FRESH, "an old nonce tells nothing either");
    }
    let right = answered_by(right(), &challenges);
    assert_eq!(server.verify(now, &right), accepted(), "failures do not use the nonce up");
}

#[test]
fn an_answer_is_good_for_its_method_and_its_uri_only() {
    let (mut server, now) = (authenticator(), start());
    let mut verdict = |change: fn(&mut Request)| {
        let mut answer = answered_by(right(), &server.challenges(now, false));
        change(&mut answer);
        server.verify(now, &answer)
    };
    assert_eq!(verdict(|request| request.method = Method::Register), FRESH);
    assert_eq!(verdict(|request| request.uri.user = Some("+1900".into())), FRESH);
    assert_eq!(verdict(|request| request.uri.user = None), FRESH);
    assert_eq!(verdict(|request| request.uri.host = "192.0.2.3".into()), FRESH);
    assert_eq!(verdict(|request| request.uri.port = Some(5070)), FRESH);
    assert_eq!(verdict(|request| request.uri.port = None), accepted());
    assert_eq!(verdict(|request| request.uri.params.remove("user")), accepted());
    assert_eq!(verdict(|request| request.uri.user = Some("%2B4930123".into())), accepted());
}

#[test]
fn what_was_not_offered_is_not_taken() {
    let now = start();
    let only_sha = Realm { algorithms: vec![Algorithm::Sha256], ..Realm::new("pbx", vec![right()]) };
    let mut server = Authenticator::new(&only_sha, "trunk 1", &[7; 32]);
    let challenges = server.challenges(now, false);
    assert_eq!(challenges.len(), 1);
    for (from, to) in
        [("SHA-256", "MD5"), ("SHA-256, ", "MD5-sess, "), ("\"auth\"", "\"auth-int\""), ("pbx", "other")]
    {
        let changed = [challenges[0].replace(from, to)];
        if to != "MD5-sess, " {
            assert_eq!(server.verify(now, &answered_by(right(), &changed)), FRESH, "{to}");
        }
    }
    let mut session = answered_by(right(), &challenges);
    let value = session.headers.get("Authorization").unwrap().replace("SHA-256", "SHA-256-sess");
    session.headers.set("Authorization", value);
    assert_eq!(server.verify(now, &session), FRESH);
}

#[test]
fn a_client_of_rfc_2069_may_use_a_nonce_once() {
    let (mut server, now) = (authenticator(), start());
    let old = |server: &mut Authenticator| [server.challenges(now, false)[1].replace(", qop=\"auth\"", "")];
    let answer = answered_by(right(), &old(&mut server));
    assert_eq!(server.verify(now, &answer), accepted());
    assert_eq!(server.verify(now, &answer), STALE);
    let again = answered_by(right(), &old(&mut server));
    assert_eq!(server.verify(now, &again), accepted());
}

#[test]
fn the_nonce_of_one_trunk_is_nothing_on_another() {
    let now = start();
    let realm = Realm::new("pbx", vec![right()]);
    let (mut one, mut two) =
        (Authenticator::new(&realm, "trunk 1", &[7; 32]), Authenticator::new(&realm, "trunk 2", &[7; 32]));
    two.challenges(now, false);
    let answer = answered_by(right(), &one.challenges(now, false));
    assert_eq!(two.verify(now, &answer), STALE);
    assert_eq!(one.verify(now, &answer), accepted());
}

#[test]
fn the_answer_may_stand_beside_others() {
    let (mut server, now) = (authenticator(), start());
    let mut answer = answered_by(right(), &server.challenges(now, false));
    let good = answer.headers.get("Authorization").unwrap().to_owned();
    answer.headers.set("Authorization", good.replace("realm=\"pbx\"", "realm=\"proxy\""));
    answer.headers.push("Authorization", "Basic dXNlcjpwYXNz");
    answer.headers.push("Authorization", good);
    assert_eq!(server.verify(now, &answer), accepted());
}

#[test]
fn what_is_challenged() {
    for (method, challenged) in [
        ("INVITE", true),
        ("REGISTER", true),
        ("FROB", true),
        ("ACK", false),
        ("CANCEL", false),
        ("OPTIONS", false),
    ] {
        assert_eq!(is_challenged(&Method::parse(method).unwrap()), challenged, "{method}");
    }
}

proptest! {
    #[test]
    fn no_answer_that_is_made_up_comes_in(value in r#"Digest (username="trunk"|realm="pbx"|nonce="[0-9a-f]{56}"|uri="sip:\+4930123@192.0.2.2"|response="[0-9a-f]{32}"|qop=auth|nc=00000001|cnonce="x"|,){0,20}"#) {
        let mut request = invite();
        request.headers.push("Authorization", value);
        prop_assert_eq!(authenticator().verify(start(), &request), FRESH);
    }
}
