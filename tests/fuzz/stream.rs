//! Messages in a stream, wherever the reads cut it.

use sip_core::message::framing::{Decoder, Fault, Framed};
use sip_core::message::parse::{self, MAX_BODY, MAX_HEAD};
use sip_core::{Message, ParseError};

/// The first byte says how many of those that follow are lengths of reads; the rest is the stream. What it holds does
/// not depend on the reads, and each message is one that a datagram of the same bytes would be.
pub(crate) fn stream(data: &[u8]) {
    let Some((count, rest)) = data.split_first() else {
        return;
    };
    let (lengths, stream) = rest.split_at(usize::from(count % 16).min(rest.len()));
    let at_once = decode(stream, &[]);
    assert_eq!(at_once, decode(stream, lengths), "cut at {lengths:?}");
    let (found, fault) = at_once;
    for framed in found {
        if let Framed::Message(bytes) = framed {
            whole(&bytes);
        }
    }
    if let Some((_, _, head)) = fault {
        assert!(head <= MAX_HEAD, "the head of a fault has {head} bytes");
    }
}

/// All that is found, and the fault that ends it: its status, reason and the length of its head. Reads have these
/// lengths, again and again; without any there is one read.
fn decode(stream: &[u8], lengths: &[u8]) -> (Vec<Framed>, Option<(u16, &'static str, usize)>) {
    let mut decoder = Decoder::default();
    let (mut found, mut rest) = (Vec::new(), stream);
    let mut lengths = lengths.iter().cycle();
    while !rest.is_empty() {
        let length = lengths.next().map_or(rest.len(), |length| usize::from(*length).max(1));
        let (read, later) = rest.split_at(length.min(rest.len()));
        rest = later;
        decoder.push(read);
        loop {
            match decoder.next() {
                Ok(Some(framed)) => found.push(framed),
                Ok(None) => break,
                Err(Fault { status, reason, head }) => return (found, Some((status, reason, head.len()))),
            }
        }
    }
    if decoder.is_within_message() {
        assert!(found.iter().map(length).sum::<usize>() < stream.len());
    }
    (found, None)
}

fn length(framed: &Framed) -> usize {
    match framed {
        Framed::Message(bytes) => bytes.len(),
        Framed::Ping => 4,
    }
}

/// A message ends where its Content-Length says, within the caps; its body is all that follows the empty line.
fn whole(bytes: &[u8]) {
    assert!(bytes.len() <= MAX_HEAD + MAX_BODY, "{} bytes", bytes.len());
    let body = match parse::datagram(bytes) {
        Ok(Message::Request(request)) => request.body,
        Ok(Message::Response(response)) => response.body,
        Err(ParseError::BadRequest(bad)) => {
            assert_ne!((bad.status, bad.reason), (400, "Content-Length Too Large"));
            return;
        }
        Err(_) => return,
    };
    assert!(bytes.ends_with(&body), "{:?}", String::from_utf8_lossy(bytes));
    let mut again = Decoder::default();
    again.push(bytes);
    let alone = again.next().expect("it was whole").expect("it was whole");
    assert_eq!(alone, Framed::Message(bytes.to_vec().into()));
    assert_eq!(again.next(), Ok(None), "nothing follows");
}
