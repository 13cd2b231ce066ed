//! Messages and what stands in them.

use sip_core::message::parse;
use sip_core::{Headers, Message, NameAddr, Uri, Via};

/// A datagram: what parses can be written and reads the same again.
pub(crate) fn datagram(data: &[u8]) {
    let Ok(message) = parse::datagram(data) else {
        return;
    };
    let (headers, bytes) = match &message {
        Message::Request(request) => (&request.headers, request.to_bytes()),
        Message::Response(response) => (&response.headers, response.to_bytes()),
    };
    read_all(headers);
    if has_controls(data) {
        return;
    }
    match (&message, parse::datagram(&bytes)) {
        (Message::Request(before), Ok(Message::Request(after))) => {
            assert_eq!((&before.method, &before.uri), (&after.method, &after.uri));
            assert_eq!(before.body, after.body);
            assert_eq!(before.headers.via(), after.headers.via());
            assert_eq!(before.headers.cseq(), after.headers.cseq());
        }
        (Message::Response(before), Ok(Message::Response(after))) => {
            assert_eq!((before.status, &before.body), (after.status, &after.body));
            assert_eq!(before.headers.to(), after.headers.to());
        }
        (_, other) => panic!("{message:?} was written as {bytes:?} and reads {other:?}"),
    }
}

/// Whether something stands there that is written as a space: a control character, or a CR that ends no line.
fn has_controls(data: &[u8]) -> bool {
    data.iter().enumerate().any(|(at, byte)| match byte {
        b'\r' => data.get(at + 1) != Some(&b'\n'),
        b'\n' => false,
        byte => byte.is_ascii_control(),
    })
}

/// Every typed field may be read of any message.
fn read_all(headers: &Headers) {
    let _ = (headers.via(), headers.cseq(), headers.from(), headers.to(), headers.contact());
    let _ = (headers.call_id(), headers.max_forwards(), headers.content_type(), headers.reason());
    for name in ["Via", "Contact", "Require", "Supported", "Route"] {
        let _ = headers.list(name).count();
    }
    let _ = (headers.routes("Route"), headers.routes("Record-Route"));
}

/// URIs, name-addrs and Vias: what parses is written so that it reads the same again.
pub(crate) fn uri(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(uri) = text.parse::<Uri>() {
        let _ = (uri.socket_addr(), uri.user_unescaped());
        assert_eq!(uri.to_string().parse::<Uri>().ok().as_ref(), Some(&uri), "{uri}");
    }
    if let Ok(name_addr) = text.parse::<NameAddr>() {
        let _ = name_addr.tag();
        assert_eq!(name_addr.to_string().parse::<NameAddr>().ok().as_ref(), Some(&name_addr), "{name_addr}");
    }
    if let Ok(via) = text.parse::<Via>() {
        assert_eq!(via.to_string().parse::<Via>().ok().as_ref(), Some(&via), "{via}");
    }
}
