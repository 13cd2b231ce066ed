//! RFC 3261 18.3 and RFC 5626 4.4.1: where a message of a stream ends, wherever the reads cut it.

use proptest::prelude::*;

use super::*;
use crate::message::Message;

const HEAD: &str = "OPTIONS sip:b@h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
                    To: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n";

fn message(more: &str, body: &str) -> String {
    format!("{HEAD}{more}\r\n{body}")
}

fn with_body(body: &str) -> String {
    message(&format!("Content-Length: {}\r\n", body.len()), body)
}

/// Everything that the stream holds, read in pieces of these lengths (the last one again and again).
fn decode(stream: &[u8], lengths: &[usize]) -> Result<Vec<Framed>, Fault> {
    let mut decoder = Decoder::default();
    let (mut found, mut rest, mut lengths) = (Vec::new(), stream, lengths.to_vec());
    while !rest.is_empty() {
        let length = if lengths.len() > 1 { lengths.remove(0) } else { lengths[0] };
        let (piece, later) = rest.split_at(length.clamp(1, rest.len()));
        decoder.push(piece);
        rest = later;
        while let Some(framed) = decoder.next()? {
            found.push(framed);
        }
        assert!(decoder.buffer.len() <= MAX_HEAD + MAX_BODY);
    }
    Ok(found)
}

fn whole(text: &str) -> Framed {
    Framed::Message(Bytes::copy_from_slice(text.as_bytes()))
}

fn fault(text: &str) -> (u16, &'static str) {
    let by_bytes = decode(text.as_bytes(), &[1]).unwrap_err();
    let at_once = decode(text.as_bytes(), &[usize::MAX]).unwrap_err();
    assert_eq!((by_bytes.status, by_bytes.reason), (at_once.status, at_once.reason));
    (by_bytes.status, by_bytes.reason)
}

#[test]
fn a_message_may_be_cut_anywhere() {
    let (first, second) = (with_body("v=0\r\n\r\nx"), with_body(""));
    let stream = format!("{first}{second}");
    let expected = Ok(vec![whole(&first), whole(&second)]);
    assert_eq!(decode(stream.as_bytes(), &[1]), expected, "byte by byte");
    assert_eq!(decode(stream.as_bytes(), &[usize::MAX]), expected, "both in one read");
    for at in 1..stream.len() {
        assert_eq!(decode(stream.as_bytes(), &[at, usize::MAX]), expected, "cut at {at}");
    }
}

#[test]
fn many_messages_come_in_one_read() {
    let one = with_body("hello");
    assert_eq!(decode(one.repeat(1000).as_bytes(), &[usize::MAX]), Ok(vec![whole(&one); 1000]));
}

#[test]
fn bare_line_feeds_end_lines_too_and_names_may_be_compact_or_folded() {
    for text in [
        with_body("abc").replace("\r\n", "\n"),
        message("l: 3\r\n", "abc"),
        message("Content-Length :\r\n 3\r\n", "abc"),
        message("Content-Length: 3\r\nl: 3\r\n", "abc"),
    ] {
        let stream = format!("{text}{text}");
        for lengths in [&[1][..], &[usize::MAX][..]] {
            assert_eq!(decode(stream.as_bytes(), lengths), Ok(vec![whole(&text); 2]), "{text}");
        }
    }
}

#[test]
fn two_blank_lines_want_an_answer_and_one_between_messages_nothing() {
    let text = with_body("");
    for (stream, expected) in [
        ("\r\n\r\n".to_owned(), vec![Framed::Ping]),
        ("\r\n\r\n\r\n\r\n".to_owned(), vec![Framed::Ping, Framed::Ping]),
        ("\r\n".to_owned(), vec![]),
        (format!("\r\n{text}\r\n{text}"), vec![whole(&text), whole(&text)]),
        (format!("{text}\r\n\r\n{text}"), vec![whole(&text), Framed::Ping, whole(&text)]),
        (format!("\r\n\n\r{text}"), vec![whole(&text)]),
    ] {
        for lengths in [&[1][..], &[usize::MAX][..]] {
            assert_eq!(decode(stream.as_bytes(), lengths).as_ref(), Ok(&expected), "{stream:?}");
        }
    }
}

#[test]
fn without_a_usable_content_length_the_stream_is_lost() {
    for (more, expected) in [
        ("", (400, "Missing Content-Length")),
        ("Content-Length: -1\r\n", (400, "Bad Content-Length")),
        ("Content-Length: 5x\r\n", (400, "Bad Content-Length")),
        ("Content-Length: 99999999999999999999999\r\n", (400, "Bad Content-Length")),
        ("Content-Length: 5\r\nl: 6\r\n", (400, "Differing Content-Length")),
        ("Content-Length: 65537\r\n", (513, "Message Too Large")),
    ] {
        assert_eq!(fault(&message(more, "hello!")), expected, "{more}");
    }
    assert!(decode(message("Content-Length: 65536\r\n", "").as_bytes(), &[100]).is_ok());
}

#[test]
fn header_fields_without_an_end_are_cut_off() {
    let endless = format!("{HEAD}X: {}", "x".repeat(MAX_HEAD));
    assert_eq!(fault(&endless), (513, "Message Too Large"));
    assert_eq!(fault(&format!("{endless}\r\n\r\n")), (513, "Message Too Large"));
}

#[test]
fn an_answer_can_be_made_of_the_head_of_a_fault_and_nothing_comes_after_it() {
    let mut decoder = Decoder::default();
    decoder.push(message("", "body").as_bytes());
    let fault = decoder.next().unwrap_err();
    assert_eq!(&fault.head[..], message("", "").as_bytes());
    decoder.push(with_body("").as_bytes());
    assert_eq!(decoder.next(), Ok(None));
    assert!(decoder.buffer.is_empty(), "nothing is kept");
}

#[test]
fn a_decoder_knows_whether_a_message_has_begun() {
    let mut decoder = Decoder::default();
    for byte in with_body("hi").bytes() {
        decoder.push(&[byte]);
        if decoder.next().unwrap().is_some() {
            break;
        }
        assert!(decoder.is_within_message());
    }
    assert!(!decoder.is_within_message());
    decoder.push(b"\r\n");
    assert_eq!(decoder.next(), Ok(None));
    assert!(!decoder.is_within_message(), "blank lines are no message");
}

proptest! {
    #[test]
    fn a_stream_reads_like_datagrams(
        bodies in prop::collection::vec("[ -~\r\n]{0,60}", 1..6),
        subject in "[!-~]{1,40}",
        lengths in prop::collection::vec(1..80_usize, 1..40),
    ) {
        let texts: Vec<String> = bodies
            .iter()
            .map(|body| message(&format!("Subject: {subject}\r\nContent-Length: {}\r\n", body.len()), body))
            .collect();
        let found = decode(texts.concat().as_bytes(), &lengths).unwrap();
        prop_assert_eq!(found.len(), texts.len());
        for ((framed, text), body) in found.iter().zip(&texts).zip(&bodies) {
            let Framed::Message(bytes) = framed else { panic!("{framed:?}") };
            prop_assert_eq!(parse::datagram(bytes), parse::datagram(text.as_bytes()));
            let Ok(Message::Request(request)) = parse::datagram(bytes) else { panic!() };
            prop_assert_eq!(&request.body[..], body.as_bytes());
        }
    }

    #[test]
    fn no_stream_is_too_strange(
        stream in prop::collection::vec(any::<u8>(), 0..400),
        lengths in prop::collection::vec(1..50_usize, 1..10),
    ) {
        let _ = decode(&stream, &lengths);
    }
}
