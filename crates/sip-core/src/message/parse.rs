//! One datagram to one message (RFC 3261 sections 7 and 18.3). Tolerant of what is seen in the field (folding, compact
//! names, bare LF, Latin-1, no Content-Length), strict where tolerance would change the meaning of a message.

use bytes::Bytes;

use super::headers::Field;
use super::{Headers, Message, Method, Request, Response, check, text};

/// The largest datagram that is looked at.
pub const MAX_DATAGRAM: usize = 65_535;
/// The most header fields a message may have; a request with more gets 400.
pub const MAX_HEADERS: usize = 256;
/// The most bytes that start line and header fields may have together; a request with more gets 513.
pub const MAX_HEAD: usize = 16 * 1024;
/// The longest body; a request with a longer one gets 513. A datagram has no room for one.
pub const MAX_BODY: usize = 64 * 1024;
/// The longest Request-URI; a request with a longer one gets 414.
pub const MAX_REQUEST_URI: usize = 2048;

/// Why a datagram is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Nothing but line ends or zeros: a keep-alive (RFC 5626), to be ignored on UDP.
    #[error("keep-alive")]
    KeepAlive,
    /// Noise, or a request without what an answer needs: to be met with silence.
    #[error("not SIP: {0}")]
    NotSip(&'static str),
    /// A response that cannot be used: to be dropped.
    #[error("bad response: {0}")]
    BadResponse(&'static str),
    /// A broken request that can be answered.
    #[error("bad request: {} {}", .0.status, .0.reason)]
    BadRequest(Box<BadRequest>),
}

/// What is needed to answer a broken request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRequest {
    /// 400, 414, 505 or 513.
    pub status: u16,
    /// The reason phrase.
    pub reason: &'static str,
    /// The header fields as far as they could be read.
    pub headers: Headers,
}

type Fault = (u16, &'static str);

enum StartLine {
    Request(Method, Result<super::Uri, Fault>),
    Response(u16, String),
}

/// Parses one datagram.
pub fn datagram(bytes: &[u8]) -> Result<Message, ParseError> {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n' | 0));
    let bytes = start.and_then(|start| bytes.get(start..)).ok_or(ParseError::KeepAlive)?;
    let (line, rest) = take_line(bytes).ok_or(ParseError::NotSip("no line"))?;
    match start_line(line)? {
        StartLine::Request(method, uri) => request(bytes, method, uri, rest),
        StartLine::Response(status, reason) => response(bytes, status, reason, rest),
    }
}

fn request(
    whole: &[u8],
    method: Method,
    uri: Result<super::Uri, Fault>,
    rest: &[u8],
) -> Result<Message, ParseError> {
    let (headers, after) = header_fields(rest);
    let message = uri.and_then(|uri| {
        let after = after.map_err(|reason| (400, reason))?;
        if whole.len() - after.len() > MAX_HEAD {
            return Err((513, "Message Too Large"));
        }
        let body = body(&headers, after).map_err(|reason| (400, reason))?;
        Ok((uri, body))
    });
    let (status, reason, headers) = match message {
        Ok((uri, body)) => {
            let request = Request { method: method.clone(), uri, headers, body };
            match check::request(&request) {
                Ok(()) => return Ok(Message::Request(request)),
                Err(reason) => (400, reason, request.headers),
            }
        }
        Err((status, reason)) => (status, reason, headers),
    };
    if !check::answerable(&headers, &method) {
        return Err(ParseError::NotSip(reason));
    }
    Err(ParseError::BadRequest(Box::new(BadRequest { status, reason, headers })))
}

fn response(whole: &[u8], status: u16, reason: String, rest: &[u8]) -> Result<Message, ParseError> {
    let (headers, after) = header_fields(rest);
    let fits = |after: &&[u8]| whole.len() - after.len() <= MAX_HEAD;
    let body = after
        .and_then(|after| Some(after).filter(fits).ok_or("Message Too Large"))
        .and_then(|after| body(&headers, after))
        .and_then(|body| check::response(&headers).map(|()| body))
        .map_err(ParseError::BadResponse)?;
    Ok(Message::Response(Response { status, reason, headers, body }))
}

/// The first line without its end, and what follows.
fn take_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..)?))
}

fn start_line(line: &[u8]) -> Result<StartLine, ParseError> {
    let (line, _) = text::decode(line);
    if let Some(rest) = strip_version(&line) {
        return status_line(rest).ok_or(ParseError::BadResponse("bad status line"));
    }
    if !line.contains("SIP/") && !line.contains("sip/") {
        return Err(ParseError::NotSip("no SIP version"));
    }
    let mut parts = line.split(' ');
    let method = parts.next().and_then(Method::parse).ok_or(ParseError::NotSip("no method"))?;
    let uri = match (parts.next(), parts.next(), parts.next()) {
        (Some(uri), Some(version), None) if version.eq_ignore_ascii_case("SIP/2.0") => request_uri(uri),
        (Some(_), Some(version), None) if is_version(version) => Err((505, "Version Not Supported")),
        _ => Err((400, "Bad Request-Line")),
    };
    Ok(StartLine::Request(method, uri))
}

fn request_uri(uri: &str) -> Result<super::Uri, Fault> {
    if uri.len() > MAX_REQUEST_URI {
        return Err((414, "Request-URI Too Long"));
    }
    uri.parse().map_err(|_| (400, "Bad Request-URI"))
}

fn strip_version(line: &str) -> Option<&str> {
    let (version, rest) = line.split_at_checked(8)?;
    version.eq_ignore_ascii_case("SIP/2.0 ").then_some(rest)
}

fn is_version(text: &str) -> bool {
    let numbers = text.split_once('/').filter(|(name, _)| name.eq_ignore_ascii_case("SIP"));
    let numbers = numbers.and_then(|(_, numbers)| numbers.split_once('.'));
    numbers.is_some_and(|(major, minor)| {
        text::number::<u32>(major).is_some() && text::number::<u32>(minor).is_some()
    })
}

fn status_line(rest: &str) -> Option<StartLine> {
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let status = text::number::<u16>(code).filter(|status| (100..700).contains(status))?;
    (code.len() == 3).then(|| StartLine::Response(status, reason.to_owned()))
}

/// The header fields, and what follows the empty line or the first fault. The fields after a fault are still read:
/// a refusal needs them.
fn header_fields(mut bytes: &[u8]) -> (Headers, Result<&[u8], &'static str>) {
    let mut headers = Headers::new();
    let mut pending: Option<Field> = None;
    let mut fault = None;
    let after = loop {
        let Some((line, rest)) = take_line(bytes) else {
            break Err("No End of Headers");
        };
        bytes = rest;
        let Some(first) = line.first() else {
            break Ok(rest);
        };
        if matches!(first, b' ' | b'\t') {
            match &mut pending {
                Some(field) => unfold(field, line),
                None => fault = fault.or(Some("Bad Header")),
            }
            continue;
        }
        headers.extend_one(pending.take());
        if headers.len() >= MAX_HEADERS {
            break Err("Too Many Headers");
        }
        pending = field(line);
        if pending.is_none() {
            fault = fault.or(Some("Bad Header"));
        }
    };
    headers.extend_one(pending);
    (headers, fault.map_or(after, Err))
}

impl Headers {
    fn extend_one(&mut self, field: Option<Field>) {
        if let Some(field) = field {
            self.push_field(field);
        }
    }
}

fn field(line: &[u8]) -> Option<Field> {
    let (line, latin1) = text::decode(line);
    let (name, value) = line.split_once(':')?;
    let name = name.trim_end();
    text::is_token(name).then(|| Field { name: name.to_owned(), value: value.trim().to_owned(), latin1 })
}

/// A folded line continues the value with one space (RFC 3261 7.3.1).
fn unfold(field: &mut Field, line: &[u8]) {
    let (mut line, latin1) = text::decode(line);
    if latin1 != field.latin1 {
        // One of the two is not UTF-8, so both are to be read as Latin-1.
        let other = if latin1 { &mut field.value } else { &mut line };
        *other = other.bytes().map(char::from).collect();
        field.latin1 = true;
    }
    let more = line.trim();
    if !field.value.is_empty() && !more.is_empty() {
        field.value.push(' ');
    }
    field.value.push_str(more);
}

/// What Content-Length says, of a message as far as its empty line.
pub(super) fn content_length(head: &[u8]) -> Result<Option<usize>, &'static str> {
    let (_, rest) = take_line(head).ok_or("No End of Headers")?;
    declared_length(&header_fields(rest).0)
}

fn declared_length(headers: &Headers) -> Result<Option<usize>, &'static str> {
    let mut length = None;
    for value in headers.get_all("Content-Length") {
        let this = text::number::<usize>(value).ok_or("Bad Content-Length")?;
        if length.is_some_and(|length| length != this) {
            return Err("Differing Content-Length");
        }
        length = Some(this);
    }
    Ok(length)
}

/// The body: what Content-Length says, or on a datagram without one all the rest (RFC 3261 18.3).
fn body(headers: &Headers, after: &[u8]) -> Result<Bytes, &'static str> {
    let length = declared_length(headers)?;
    let body = after.get(..length.unwrap_or(after.len()));
    body.map(Bytes::copy_from_slice).ok_or("Content-Length Too Large")
}

#[cfg(test)]
mod tests;
