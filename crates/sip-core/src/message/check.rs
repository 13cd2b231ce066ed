//! What every message must have (RFC 3261 sections 8.1.1, 16.3 and 20): the header fields without which a request can
//! be neither matched nor answered, each exactly once and well formed.

use super::{Headers, Method, Request, text};

const ONCE: [&str; 4] = ["From", "To", "Call-ID", "CSeq"];

/// What else may be there at most once.
const ONCE_IN_REQUESTS: [&str; 2] = ["Max-Forwards", "Content-Type"];

/// The first thing that is wrong with a request, as the reason phrase of a 400.
pub(super) fn request(request: &Request) -> Result<(), &'static str> {
    headers(&request.headers, &request.method)?;
    if request.uri.headers.is_some() {
        return Err("Headers in Request-URI");
    }
    if ONCE_IN_REQUESTS.iter().any(|name| request.headers.named(name).count() > 1) {
        return Err("Repeated Header");
    }
    let max_forwards = request.headers.get("Max-Forwards");
    if max_forwards.is_some_and(|value| text::number::<u8>(value).is_none()) {
        return Err("Bad Max-Forwards");
    }
    Ok(())
}

/// The first thing that is wrong with a response.
pub(super) fn response(headers_of: &Headers) -> Result<(), &'static str> {
    let method = headers_of.cseq().ok_or("Bad CSeq")?.method;
    headers(headers_of, &method)
}

fn headers(headers: &Headers, method: &Method) -> Result<(), &'static str> {
    headers.via().ok_or("Missing or Bad Via")?;
    if ONCE.iter().any(|name| headers.named(name).count() > 1) {
        return Err("Repeated Header");
    }
    headers.from().ok_or("Missing or Bad From")?;
    headers.to().ok_or("Missing or Bad To")?;
    headers.call_id().ok_or("Missing Call-ID")?;
    let cseq = headers.cseq().ok_or("Missing or Bad CSeq")?;
    if cseq.method != *method {
        return Err("CSeq Method Mismatch");
    }
    Ok(())
}

/// Can a broken request be answered at all? It can when it has what a response copies.
pub(super) fn answerable(headers: &Headers, method: &Method) -> bool {
    let has_all = ONCE.iter().all(|name| headers.get(name).is_some_and(|value| !value.is_empty()));
    has_all && headers.get("Via").is_some() && *method != Method::Ack
}
