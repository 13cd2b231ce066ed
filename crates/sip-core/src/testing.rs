//! What the tests of this crate share: a start of virtual time, and messages written as text.

use std::time::{Duration, Instant};

use crate::message::{Message, Request, Response, parse};

/// The moment at which a test begins; all later ones are reckoned from it.
#[expect(clippy::disallowed_methods, reason = "virtual time must begin somewhere")]
pub(crate) fn start() -> Instant {
    Instant::now()
}

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A message whose lines are written with plain line feeds, as far as the end of its headers.
pub(crate) fn wire(text: &str) -> Vec<u8> {
    let text = text.trim_start().lines().map(str::trim).collect::<Vec<_>>().join("\r\n");
    format!("{}\r\n\r\n", text.trim_end()).into_bytes()
}

pub(crate) fn request(bytes: &[u8]) -> Request {
    match parse::datagram(bytes) {
        Ok(Message::Request(request)) => request,
        other => panic!("no request: {other:?}"),
    }
}

pub(crate) fn response(bytes: &[u8]) -> Response {
    match parse::datagram(bytes) {
        Ok(Message::Response(response)) => response,
        other => panic!("no response: {other:?}"),
    }
}

/// A minimal request of ours.
pub(crate) fn simple_request(method: &str) -> Request {
    request(&wire(&format!(
        "{method} sip:b@192.0.2.2 SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKone;rport
         Route: <sip:192.0.2.9;lr>
         From: <sip:a@192.0.2.1>;tag=a
         To: <sip:b@192.0.2.2>
         Call-ID: call
         CSeq: 7 {method}"
    )))
}

/// A minimal response to it.
pub(crate) fn simple_response(method: &str, status: u16) -> Box<Response> {
    Box::new(response(&wire(&format!(
        "SIP/2.0 {status} X
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKone;rport=5060
         From: <sip:a@192.0.2.1>;tag=a
         To: <sip:b@192.0.2.2>;tag=b
         Call-ID: call
         CSeq: 7 {method}"
    ))))
}
