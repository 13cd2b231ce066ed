//! Requests of the user outside of any dialog, and readiness.

use super::auth::{CHALLENGE, with_account};
use super::bench::*;
use super::uac::reply;
use crate::endpoint::*;
use crate::message::{Method, Request};

const ID: OwnRequestId = OwnRequestId(5);

fn apart(id: u64, method: Method) -> Command {
    Command::Send(Box::new(OutgoingRequest {
        id: OwnRequestId(id),
        flow: Flow::udp(PEER.parse().unwrap()),
        method,
        request_uri: "sip:192.0.2.1".parse().unwrap(),
        from: "<sip:bridge@192.0.2.2>".parse().unwrap(),
        to: "<sip:192.0.2.1>;tag=not-ours-to-say".parse().unwrap(),
        call_id: "apart-1".into(),
        cseq: 3,
        headers: vec![("X-More".into(), "1".into())],
    }))
}

fn asked() -> (Bench, Request) {
    let mut bench = Bench::new();
    bench.command(apart(5, Method::Options));
    let request = bench.last().request();
    bench.sent.clear();
    (bench, request)
}

#[test]
fn options_and_its_response() {
    let (mut bench, request) = asked();
    let get = |name| request.headers.get(name).unwrap();
    assert_eq!((get("CSeq"), get("To"), get("X-More")), ("3 OPTIONS", "<sip:192.0.2.1>", "1"));
    assert_eq!((get("Call-ID"), get("Max-Forwards"), get("Accept")), ("apart-1", "70", "application/sdp"));
    assert!(get("From").starts_with("<sip:bridge@192.0.2.2>;tag="));
    bench.receive(&reply(&request, 100, "", ""));
    assert!(bench.replies.is_empty());
    bench.receive(&reply(&request, 503, "t1", ""));
    bench.receive(&reply(&request, 503, "t1", ""));
    let [(ID, Ok(response))] = &bench.replies[..] else { panic!("{:?}", bench.replies) };
    assert_eq!(response.status, 503);
    bench.assert_forgotten();
}

#[test]
fn a_challenged_request_goes_out_again_with_credentials() {
    let mut bench = Bench::with(with_account(None));
    bench.command(apart(5, Method::Register));
    let first = bench.last().request();
    bench.receive(&reply(&first, 401, "t1", CHALLENGE));
    let second = bench.last().request();
    assert_eq!(bench.take_sent(), ["REGISTER", "REGISTER"]);
    assert!(second.headers.get("Authorization").is_some());
    assert_eq!(second.headers.get("CSeq"), Some("4 REGISTER"));
    bench.receive(&reply(&second, 200, "t1", ""));
    let [(ID, Ok(response))] = &bench.replies[..] else { panic!("{:?}", bench.replies) };
    assert_eq!(response.headers.cseq().unwrap().number, 4);
    bench.assert_forgotten();
}

#[test]
fn no_response_and_no_way_to_send() {
    let (mut bench, _) = asked();
    bench.advance(32_000);
    assert_eq!(bench.take_sent().len(), 10);
    assert_eq!(bench.replies, [(ID, Err(Rejection::Timeout))]);
    bench.assert_forgotten();

    let mut bench = Bench::new();
    bench.command(apart(5, Method::Register));
    let origin = bench.last().origin;
    bench.input(Input::TransportError { origin });
    assert_eq!(bench.replies, [(ID, Err(Rejection::Transport))]);
    bench.assert_forgotten();
}

#[test]
fn what_makes_or_needs_a_dialog_is_not_sent() {
    let mut bench = Bench::new();
    for method in [Method::Invite, Method::Ack, Method::Cancel, Method::Bye, Method::Refer, Method::Subscribe]
    {
        bench.command(apart(5, method));
    }
    assert_eq!(bench.take_sent(), [""; 0]);
    assert_eq!(bench.replies.len(), 6);
    bench.assert_forgotten();
}

#[test]
fn their_number_is_bounded() {
    let mut bench = Bench::new();
    let most = u64::try_from(MAX_OWN_REQUESTS).unwrap();
    for id in 0..=most {
        bench.command(apart(id, Method::Options));
    }
    assert_eq!(bench.replies, [(OwnRequestId(most), Err(Rejection::Transport))]);
    bench.advance(40_000);
    assert_eq!(bench.replies.len(), MAX_OWN_REQUESTS + 1);
    bench.sent.clear();
    bench.command(apart(0, Method::Options));
    assert_eq!(bench.take_sent(), ["OPTIONS"]);
    bench.assert_forgotten();
}

#[test]
fn options_of_a_trunk_that_is_not_ready_is_503_and_nothing_else_is() {
    let mut bench = Bench::new();
    let (_, tag) = confirmed(&mut bench);
    let ready = |trunk: Option<u16>, ready| Command::Ready { trunk: trunk.map(TrunkId), ready };
    let status = |bench: &mut Bench| {
        bench.receive(&request("OPTIONS", "o1", ""));
        bench.last().response().status
    };
    bench.command(ready(Some(1), false));
    assert_eq!(status(&mut bench), 200, "another trunk");
    bench.command(ready(Some(0), false));
    assert_eq!(status(&mut bench), 503);
    assert_eq!(bench.last().response().headers.get("Retry-After"), Some("10"));
    bench.receive(&within("OPTIONS", "o2", 11, &tag, ""));
    assert_eq!(bench.last().name(), "200 OPTIONS", "a call goes on");
    bench.receive(&request("INVITE", "i9", "").replace("call-1", "call-9"));
    assert_eq!(bench.last().name(), "100 INVITE", "whether to take it is the user's to say");
    bench.command(ready(None, true));
    assert_eq!(status(&mut bench), 200);
}
