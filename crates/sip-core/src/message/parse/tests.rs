use super::*;

fn request(text: &str) -> Request {
    match datagram(text.as_bytes()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn refused(text: &str) -> (u16, &'static str) {
    match datagram(text.as_bytes()) {
        Err(ParseError::BadRequest(bad)) => (bad.status, bad.reason),
        other => panic!("{other:?}"),
    }
}

const HEAD: &str =
    "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\n";

fn options(more: &str) -> String {
    format!("OPTIONS sip:b@h SIP/2.0\r\n{HEAD}CSeq: 1 OPTIONS\r\n{more}")
}

#[test]
fn folding_and_compact_names() {
    let request = request(
        "INVITE sip:b@h SIP/2.0\r\nv:SIP/2.0/UDP h;\r\n branch=z9hG4bK1\r\nf: \"A\r\n\tB\" <sip:a@h>;tag=1\r\nt :<sip:b@h>\r\n\
         i: c\r\nCSeq: 1\r\n  INVITE\r\nSubject:\r\nl: 2\r\n\r\nhi",
    );
    assert_eq!(request.headers.from().unwrap().display.as_deref(), Some("A B"));
    assert_eq!(request.headers.via().unwrap().branch(), Some("z9hG4bK1"));
    assert_eq!(request.headers.get("Subject"), Some(""));
    assert_eq!(&request.body[..], b"hi");
    let names: Vec<_> = request.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["v", "f", "t", "i", "CSeq", "Subject", "l"]);
}

#[test]
fn bare_line_feeds_and_leading_line_ends() {
    let text = format!("\r\n\r\n{}\r\n", options("")).replace("\r\n", "\n");
    assert_eq!(request(&text).method, Method::Options);
}

#[test]
fn without_a_content_length_the_rest_is_the_body() {
    assert_eq!(&request(&options("\r\nrest")).body[..], b"rest");
    assert_eq!(&request(&options("Content-Length: 2\r\n\r\nrest")).body[..], b"re");
    assert_eq!(&request(&options("Content-Length: 0\r\n\r\nINVITE x SIP/2.0")).body[..], b"");
}

#[test]
fn broken_requests_are_refused() {
    for (more, reason) in [
        ("Content-Length: 9999\r\n\r\nx", "Content-Length Too Large"),
        ("Content-Length: -1\r\n\r\n", "Bad Content-Length"),
        ("Content-Length: 1\r\nl: 0\r\n\r\nx", "Differing Content-Length"),
        ("No colon\r\n\r\n", "Bad Header"),
        ("Bad Name: x\r\n\r\n", "Bad Header"),
        ("To: <sip:c@h>\r\n\r\n", "Repeated Header"),
        ("Max-Forwards: 300\r\n\r\n", "Bad Max-Forwards"),
        ("X: no end\r\n", "No End of Headers"),
    ] {
        assert_eq!(refused(&options(more)), (400, reason));
    }
    let good = options("\r\n");
    for (from, to, expected) in [
        ("SIP/2.0\r\nVia", "SIP/7.0\r\nVia", (505, "Version Not Supported")),
        ("OPTIONS sip:b@h ", "OPTIONS  sip:b@h ", (400, "Bad Request-Line")),
        ("OPTIONS sip:b@h", "OPTIONS <sip:b@h>", (400, "Bad Request-URI")),
        ("OPTIONS sip:b@h", "OPTIONS sip:b@h?X=y", (400, "Headers in Request-URI")),
        ("1 OPTIONS", "1 INVITE", (400, "CSeq Method Mismatch")),
        ("1 OPTIONS", "4294967296 OPTIONS", (400, "Missing or Bad CSeq")),
        ("To: <sip:b@h>", "To: \"b <sip:b@h>", (400, "Missing or Bad To")),
        ("branch=z9hG4bK1", "branch=z9hG4bK1;;", (400, "Missing or Bad Via")),
    ] {
        assert_eq!(refused(&good.replace(from, to)), expected, "{to}");
    }
}

#[test]
fn what_cannot_be_answered_is_silence() {
    assert_eq!(datagram(b"\r\n\r\n"), Err(ParseError::KeepAlive));
    assert_eq!(datagram(b"\0\0\0\0"), Err(ParseError::KeepAlive));
    assert_eq!(datagram(b""), Err(ParseError::KeepAlive));
    for noise in [
        "hello\n",
        "GET / HTTP/1.1\r\n\r\n",
        "OPTIONS sip:b@h SIP/2.0\r\nVia: x\r\n\r\n",
        "\u{1}SIP/2.0 x\r\n\r\n",
    ] {
        assert!(matches!(datagram(noise.as_bytes()), Err(ParseError::NotSip(_))), "{noise}");
    }
    let ack = options("Max-Forwards: x\r\n\r\n").replace("OPTIONS", "ACK");
    assert!(matches!(datagram(ack.as_bytes()), Err(ParseError::NotSip(_))));
}

#[test]
fn responses() {
    let head = format!("{HEAD}CSeq: 1 INVITE\r\n\r\n");
    let Ok(Message::Response(response)) = datagram(format!("SIP/2.0 183 \r\n{head}").as_bytes()) else {
        panic!();
    };
    assert_eq!((response.status, response.reason.as_str()), (183, ""));
    for line in ["SIP/2.0 4294967301 x", "SIP/2.0 99 x", "SIP/2.0 700 x", "SIP/2.0 0200 x", "SIP/2.0 +20 x"] {
        let text = format!("{line}\r\n{head}");
        assert!(matches!(datagram(text.as_bytes()), Err(ParseError::BadResponse(_))), "{line}");
    }
}

#[test]
fn latin1_comes_back_as_it_was() {
    let mut bytes = options("").into_bytes();
    bytes.extend_from_slice(b"Subject: Gr\xfc\xdfe\r\n \xc3\xa4\r\nX: \xc3\xa4\r\n\r\n");
    let message = datagram(&bytes).unwrap();
    let out = message.to_bytes();
    let has = |wanted: &[u8]| out.windows(wanted.len()).any(|window| window == wanted);
    assert!(has(b"Subject: Gr\xfc\xdfe \xc3\xa4\r\n"));
    assert!(has(b"X: \xc3\xa4\r\n"));
    let Message::Request(request) = message else { panic!() };
    assert_eq!(request.headers.get("X"), Some("ä"));
    assert!(request.headers.get("Subject").unwrap().starts_with("Grüße"));
}

#[test]
fn too_many_headers() {
    let many = "X: y\r\n".repeat(MAX_HEADERS);
    assert_eq!(refused(&options(&format!("{many}\r\n"))), (400, "Too Many Headers"));
}

#[test]
fn sizes_have_caps() {
    let long = "x".repeat(MAX_HEAD);
    assert_eq!(refused(&options(&format!("X: {long}\r\n\r\n"))), (513, "Message Too Large"));
    let uri = format!("sip:{}@h", "b".repeat(MAX_REQUEST_URI));
    let text = options("\r\n").replace("sip:b@h SIP", &format!("{uri} SIP"));
    assert_eq!(refused(&text), (414, "Request-URI Too Long"));
    let response = format!("SIP/2.0 200 OK\r\n{HEAD}CSeq: 1 BYE\r\nX: {long}\r\n\r\n");
    assert_eq!(datagram(response.as_bytes()), Err(ParseError::BadResponse("Message Too Large")));
}
