//! On ordinary messages our parser and that of `rsip`, written by others, must read the same.

use rsip::prelude::{HasHeaders, HeadersExt, ToTypedHeader, UntypedHeader};
use sip_core::{Message, message::parse};

const VIA: &str = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds;rport";
const URIS: [&str; 4] =
    ["sip:alice@example.com", "sip:+4930123@192.0.2.7:5070", "sips:bob@example.com", "sip:example.com"];
const DISPLAYS: [&str; 3] = ["", "\"Alice Example\" ", "Bob "];
const METHODS: [&str; 5] = ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS"];
const BODY: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n";

fn head(method: &str, uri: &str, display: &str) -> String {
    format!(
        "Via: {VIA}\r\nMax-Forwards: 70\r\nFrom: {display}<{uri}>;tag=1928301774\r\nTo: <{uri}>;tag=a6c85cf\r\n\
         Call-ID: a84b4c76e66710@192.0.2.1\r\nCSeq: 314159 {method}\r\nContact: <{uri}>\r\nSubject: x: y\r\n\
         Content-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    )
}

/// Every combination of method, URI and display name, as a request and as a response.
fn messages() -> Vec<String> {
    let mut all = Vec::new();
    for method in METHODS {
        for uri in URIS {
            for display in DISPLAYS {
                let head = head(method, uri, display);
                all.push(format!("{method} {uri} SIP/2.0\r\n{head}"));
                all.push(format!("SIP/2.0 486 Busy Here\r\n{head}"));
            }
        }
    }
    all
}

fn compare_headers(ours: &sip_core::Headers, theirs: &impl HeadersExt) {
    let from = theirs.from_header().unwrap().typed().unwrap();
    let our_from = ours.from().unwrap();
    assert_eq!(our_from.uri.to_string(), from.uri.to_string());
    assert_eq!(our_from.tag(), from.tag().map(|tag| tag.value()));
    assert_eq!(
        our_from.display,
        from.display_name.map(|name| name.trim_matches('"').trim().to_owned()).filter(|n| !n.is_empty())
    );
    let to = theirs.to_header().unwrap().typed().unwrap();
    assert_eq!(ours.to().unwrap().uri.to_string(), to.uri.to_string());
    let via = theirs.via_header().unwrap().typed().unwrap();
    let our_via = ours.via().unwrap();
    assert_eq!(our_via.branch(), via.branch().map(|branch| branch.value()));
    assert_eq!(our_via.host, via.uri.host().to_string());
    let cseq = theirs.cseq_header().unwrap().typed().unwrap();
    let our_cseq = ours.cseq().unwrap();
    assert_eq!(our_cseq.number, cseq.seq);
    assert_eq!(our_cseq.method.as_str(), cseq.method.to_string());
    assert_eq!(ours.call_id(), Some(theirs.call_id_header().unwrap().value()));
    let contact = theirs.contact_header().unwrap().typed().unwrap();
    assert_eq!(ours.contact().unwrap().uri.to_string(), contact.uri.to_string());
}

#[test]
fn ordinary_messages_read_the_same() {
    let messages = messages();
    assert_eq!(messages.len(), 120);
    for text in messages {
        let theirs = rsip::SipMessage::try_from(text.as_bytes()).unwrap();
        let ours = parse::datagram(text.as_bytes()).unwrap();
        match (&ours, &theirs) {
            (Message::Request(ours), rsip::SipMessage::Request(theirs)) => {
                assert_eq!(ours.method.as_str(), theirs.method.to_string());
                assert_eq!(ours.uri.to_string(), theirs.uri.to_string());
                assert_eq!(ours.headers.len(), theirs.headers().iter().count());
                assert_eq!(ours.body, theirs.body);
                compare_headers(&ours.headers, theirs);
            }
            (Message::Response(ours), rsip::SipMessage::Response(theirs)) => {
                assert_eq!(ours.status, theirs.status_code.code());
                assert_eq!(ours.body, theirs.body);
                compare_headers(&ours.headers, theirs);
            }
            other => panic!("one reads a request, the other a response: {other:?}"),
        }
        let written = ours.to_bytes();
        assert_eq!(
            rsip::SipMessage::try_from(&written[..]).unwrap(),
            theirs,
            "what we write is what they read"
        );
    }
}
