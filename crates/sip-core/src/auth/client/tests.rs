//! Challenges to our own requests.

use super::*;
use crate::auth::{Authorization, Secret, authorization};
use crate::testing::{simple_request, simple_response};

fn account(realm: Option<&str>) -> Account {
    let credentials = Credentials { user: "us".into(), password: Secret::new("secret") };
    Account { credentials, realm: realm.map(str::to_owned) }
}

fn challenged(status: u16, values: &[&str]) -> Response {
    let mut response = *simple_response("INVITE", status);
    let name = if status == 407 { "Proxy-Authenticate" } else { "WWW-Authenticate" };
    for value in values {
        response.headers.push(name, *value);
    }
    response
}

struct Client {
    answerer: Answerer,
    answered: Answered,
    request: Request,
}

impl Client {
    fn new(account: Option<Account>) -> Self {
        let request = simple_request("INVITE");
        Self { answerer: Answerer::new(account), answered: Answered::default(), request }
    }

    fn answer(&mut self, status: u16, values: &[&str]) -> Result<(), Refused> {
        let response = challenged(status, values);
        self.answerer.answer(&response, &mut self.request, &mut self.answered, "cnonce")
    }

    fn sent(&self, field: &str) -> Vec<Authorization> {
        self.request.headers.get_all(field).map(|value| authorization(value).unwrap()).collect()
    }
}

const MD5: &str = r#"Digest realm="pbx", nonce="n1", qop="auth", opaque="o""#;
const SHA: &str = r#"Digest realm="pbx", nonce="n2", qop="auth", algorithm=SHA-256"#;
const OTHER: &str = r#"Digest realm="evil", nonce="n3", qop="auth", algorithm=SHA-256"#;

#[test]
fn without_credentials_nothing_is_answered() {
    let mut client = Client::new(None);
    assert_eq!(client.answer(407, &[MD5]), Err(Refused::NoCredentials));
    assert_eq!(client.request, simple_request("INVITE"));
}

#[test]
fn the_strongest_challenge_is_answered() {
    let mut client = Client::new(Some(account(None)));
    client.answer(401, &[r#"Basic realm="pbx""#, MD5, SHA]).unwrap();
    let [sent] = &client.sent("Authorization")[..] else { panic!() };
    assert_eq!((sent.user.as_str(), sent.nonce.as_str()), ("us", "n2"));
    assert_eq!(sent.uri, "sip:b@192.0.2.2");
    let counted = sent.counted.as_ref().unwrap();
    assert_eq!((counted.nc, counted.cnonce.as_str()), (1, "cnonce"));
    assert!(sent.is_by(&Secret::new("secret"), "INVITE", b""));
}

#[test]
fn only_the_configured_realm_is_answered() {
    let mut client = Client::new(Some(account(Some("pbx"))));
    assert_eq!(client.answer(401, &[OTHER]), Err(Refused::NoMatch));
    client.answer(401, &[OTHER, MD5]).unwrap();
    let [sent] = &client.sent("Authorization")[..] else { panic!() };
    assert_eq!((sent.realm.as_str(), sent.opaque.as_deref()), ("pbx", Some("o")));
}

#[test]
fn what_we_cannot_do_is_not_answered() {
    let mut client = Client::new(Some(account(None)));
    let session = r#"Digest realm="pbx", nonce="n", algorithm=MD5-sess, qop="auth""#;
    assert_eq!(client.answer(401, &[session, "Negotiate"]), Err(Refused::NoMatch));
    assert_eq!(client.answer(401, &[]), Err(Refused::NoMatch));
    assert_eq!(client.answer(403, &[MD5]), Err(Refused::NoMatch));
}

#[test]
fn a_second_challenge_means_that_the_password_is_wrong() {
    let mut client = Client::new(Some(account(None)));
    client.answer(401, &[MD5]).unwrap();
    assert_eq!(client.answer(401, &[MD5]), Err(Refused::NotAccepted));
    assert_eq!(client.answer(401, &[SHA]), Err(Refused::NotAccepted), "another nonce changes nothing");
}

#[test]
fn a_stale_nonce_is_replaced_but_not_for_ever() {
    let mut client = Client::new(Some(account(None)));
    client.answer(401, &[MD5]).unwrap();
    let stale = |n: u32| format!(r#"Digest realm="pbx", nonce="s{n}", qop="auth", stale=true"#);
    client.answer(401, &[&stale(1)]).unwrap();
    let [sent] = &client.sent("Authorization")[..] else { panic!("the old answer is gone") };
    assert_eq!(sent.nonce, "s1");
    client.answer(401, &[&stale(2)]).unwrap();
    assert_eq!(client.answer(401, &[&stale(3)]), Err(Refused::TooMany));
}

#[test]
fn a_proxy_and_the_server_behind_it_are_both_answered() {
    let mut client = Client::new(Some(account(None)));
    client.answer(407, &[r#"Digest realm="proxy", nonce="p""#]).unwrap();
    client.answer(401, &[MD5]).unwrap();
    assert_eq!(client.sent("Proxy-Authorization")[0].nonce, "p");
    assert_eq!(client.sent("Authorization")[0].nonce, "n1");
    client.answer(407, &[r#"Digest realm="proxy2", nonce="q""#]).unwrap();
    assert_eq!(client.sent("Proxy-Authorization").len(), 2);
}

#[test]
fn a_nonce_that_comes_again_is_counted() {
    let mut client = Client::new(Some(account(None)));
    for nc in 1..4 {
        client.answered = Answered::default();
        client.answer(401, &[MD5]).unwrap();
        let [sent] = &client.sent("Authorization")[..] else { panic!() };
        assert_eq!(sent.counted.as_ref().unwrap().nc, nc);
    }
    for n in 0..1000 {
        client.answered = Answered::default();
        client.answer(401, &[&MD5.replace("n1", &format!("x{n}"))]).unwrap();
    }
    assert_eq!(client.answerer.uses.len(), MAX_NONCES);
}
