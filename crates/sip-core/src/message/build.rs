//! Messages to bytes (RFC 3261 section 7). Whatever text got into a message, the bytes hold exactly one message: line
//! ends inside of names, values and reason phrases are blanked, Content-Length is ours.

use bytes::{BufMut, Bytes, BytesMut};

use super::headers::{Field, same_name};
use super::{Headers, Message, Request, Response, text};

impl Message {
    /// The message as it goes out.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Response(response) => response.to_bytes(),
        }
    }
}

impl Request {
    /// The request as it goes out.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(512 + self.body.len());
        out.put_slice(self.method.as_str().as_bytes());
        out.put_u8(b' ');
        put_unbroken(&mut out, &self.uri.to_string());
        out.put_slice(b" SIP/2.0\r\n");
        put_rest(&mut out, &self.headers, &self.body);
        out.freeze()
    }
}

impl Response {
    /// The response as it goes out.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(512 + self.body.len());
        out.put_slice(format!("SIP/2.0 {:03} ", self.status).as_bytes());
        put_text(&mut out, &self.reason, false);
        out.put_slice(b"\r\n");
        put_rest(&mut out, &self.headers, &self.body);
        out.freeze()
    }
}

fn put_rest(out: &mut BytesMut, headers: &Headers, body: &[u8]) {
    let wanted = |field: &&Field| text::is_token(&field.name) && !same_name(&field.name, "Content-Length");
    for field in headers.fields().iter().filter(wanted) {
        out.put_slice(field.name.as_bytes());
        out.put_slice(b": ");
        put_text(out, &field.value, field.latin1);
        out.put_slice(b"\r\n");
    }
    out.put_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    out.put_slice(body);
}

/// Text with its control characters blanked; Latin-1 goes out as it came in.
fn put_text(out: &mut BytesMut, text: &str, latin1: bool) {
    for c in text.chars() {
        let c = if c.is_ascii_control() && c != '\t' { ' ' } else { c };
        match u8::try_from(c) {
            Ok(byte) if latin1 => out.put_u8(byte),
            _ => out.put_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// The Request-URI must not hold a blank either.
fn put_unbroken(out: &mut BytesMut, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_control() || byte == b' ' {
            out.put_slice(format!("%{byte:02X}").as_bytes());
        } else {
            out.put_u8(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Method, parse};

    #[test]
    fn nothing_can_be_smuggled_into_a_message() {
        let request = Request {
            method: Method::Invite,
            uri: crate::message::Uri::sip(Some("a b\r\nX: y"), "192.0.2.1:5060".parse().unwrap()),
            headers: Headers::from_iter([
                ("Via", "SIP/2.0/UDP h;branch=z9hG4bK1\r\nX-Evil: 1"),
                ("Bad Name", "x"),
                ("From", "\"a\r\n\r\nb\" <sip:a@h>;tag=1"),
                ("To", "<sip:b@h>"),
                ("Call-ID", "1"),
                ("CSeq", "1 INVITE"),
                ("Content-Length", "77"),
            ]),
            body: Bytes::from_static(b"body"),
        };
        let bytes = request.to_bytes();
        let text = std::str::from_utf8(&bytes).unwrap();
        assert!(text.starts_with("INVITE sip:a%20b%0D%0AX:%20y@192.0.2.1:5060 SIP/2.0\r\n"), "{text}");
        assert_eq!(text.matches("\r\n\r\n").count(), 1);
        assert!(
            !text.contains("\nX-Evil")
                && !text.contains("Bad Name")
                && text.contains("Content-Length: 4\r\n")
        );
        let Ok(Message::Request(again)) = parse::datagram(&bytes) else { panic!("{text}") };
        assert_eq!((again.method, again.headers.len(), &again.body[..]), (Method::Invite, 6, &b"body"[..]));
    }
}
