//! RFC 3261 12.1 and 12.2: what a dialog is made of and what its requests look like.

use std::sync::Arc;

use super::*;
use crate::endpoint::Listener;
use crate::profile::Nat;
use crate::testing::{request, response, wire};
use crate::transport::Transport;

fn peer() -> Flow {
    Flow::udp("192.0.2.50:5060".parse().unwrap())
}

fn paths() -> Paths {
    let here = Listener::new(Transport::Udp, "192.0.2.2:5060".parse().unwrap());
    Paths { peer: peer(), nat: Nat::Auto, listeners: Arc::new([here]) }
}

fn invite(contact: &str) -> Request {
    request(&wire(&format!(
        "INVITE sip:b@192.0.2.2 SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1
         Record-Route: <sip:192.0.2.11;lr>, <sip:192.0.2.12:5070;lr>
         From: \"A\" <sip:a@pbx>;tag=theirs
         To: <sip:b@pbx>
         Call-ID: c1
         CSeq: 41 INVITE
         Contact: {contact}"
    )))
}

fn ok() -> crate::message::Response {
    response(&wire(
        "SIP/2.0 200 OK
         Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1
         Record-Route: <sip:192.0.2.11;lr>, <sip:proxy.example;lr>
         From: \"A\" <sip:a@pbx>;tag=ours
         To: <sip:b@pbx>;tag=theirs
         Call-ID: c1
         CSeq: 41 INVITE
         Contact: <sip:b@192.0.2.77:5062>",
    ))
}

fn routes(request: &Request) -> Vec<String> {
    request.headers.list("Route").map(str::to_owned).collect()
}

#[test]
fn the_uas_keeps_the_order_of_record_route() {
    let mut dialog = Dialog::uas(&invite("<sip:a@192.0.2.1:5062>"), "ours", paths()).unwrap();
    let (bye, flow) = dialog.request(Method::Bye);
    assert_eq!(bye.uri.to_string(), "sip:a@192.0.2.1:5062");
    assert_eq!(routes(&bye), ["<sip:192.0.2.11;lr>", "<sip:192.0.2.12:5070;lr>"]);
    assert_eq!(flow, Flow::udp("192.0.2.11:5060".parse().unwrap()));
    assert_eq!(bye.headers.get("From"), Some("<sip:b@pbx>;tag=ours"));
    assert_eq!(bye.headers.get("To"), Some("\"A\" <sip:a@pbx>;tag=theirs"));
    assert_eq!(bye.headers.get("CSeq"), Some("1 BYE"));
    assert_eq!(dialog.request(Method::Bye).0.headers.get("CSeq"), Some("2 BYE"));
}

#[test]
fn the_uac_turns_it_round() {
    let dialog = Dialog::uac(&invite("<sip:x@192.0.2.1>"), &ok(), paths()).unwrap();
    let (ack, flow) = dialog.ack(41);
    assert_eq!(ack.uri.to_string(), "sip:b@192.0.2.77:5062");
    assert_eq!(routes(&ack), ["<sip:proxy.example;lr>", "<sip:192.0.2.11;lr>"]);
    assert_eq!(flow, peer(), "a name as next hop: where the peer is known to be");
    assert_eq!(ack.headers.get("CSeq"), Some("41 ACK"));
}

#[test]
fn without_a_contact_there_is_no_dialog_to_answer_in() {
    assert!(Dialog::uas(&invite("*"), "ours", paths()).is_none());
}

#[test]
fn sequence_numbers_must_not_go_back() {
    let mut dialog = Dialog::uas(&invite("<sip:a@192.0.2.1>"), "ours", paths()).unwrap();
    assert_eq!(dialog.note_cseq(40), Err(OutOfOrder));
    assert_eq!(dialog.note_cseq(45), Ok(()));
    assert_eq!(dialog.note_cseq(44), Err(OutOfOrder));
    assert_eq!(dialog.note_cseq(46), Ok(()));
}

#[test]
fn the_target_is_refreshed() {
    let mut dialog = Dialog::uas(&invite("<sip:a@192.0.2.1>"), "ours", paths()).unwrap();
    dialog.refresh_target("sip:new@192.0.2.99".parse().unwrap());
    assert_eq!(dialog.request(Method::Bye).0.uri.to_string(), "sip:new@192.0.2.99");
}
