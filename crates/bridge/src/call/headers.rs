//! The SIP headers and bodies that a call writes. Pure.

use sip_core::message::{NameAddr, Uri};
use sip_core::{ALLOW, Body, Flow, OutgoingInvite, Reply};
use wa_signaling::webhook::event::Connect;

use super::cause::Cause;
use crate::config::{Number, Trunk};
use crate::id::CallId;

/// Max-Forwards of a new INVITE (RFC 3261 8.1.1.6).
const MAX_FORWARDS: u8 = 70;

/// The final response for a call that ended before it was answered.
pub(crate) fn refusal(cause: Cause) -> Reply {
    let row = cause.row();
    let mut headers = vec![("Reason".to_owned(), cause.reason_header())];
    if let Some(seconds) = row.retry_after {
        headers.push(("Retry-After".to_owned(), seconds.to_string()));
    }
    Reply { status: row.status, reason: Some(row.phrase.to_owned()), headers, body: None }
}

/// The headers of a BYE or CANCEL (RFC 3326).
pub(crate) fn reason(cause: Cause) -> Vec<(String, String)> {
    vec![("Reason".to_owned(), cause.reason_header())]
}

/// A response without a body.
pub(crate) fn reply(status: u16) -> Reply {
    Reply { status, reason: None, headers: Vec::new(), body: None }
}

/// To a request that a call has no use for.
pub(crate) fn not_allowed() -> Reply {
    let headers = vec![("Allow".to_owned(), ALLOW.to_owned())];
    Reply { status: 405, reason: None, headers, body: None }
}

/// The 200 to the PBX's INVITE.
pub(crate) fn answer(sdp: &str, wacid: Option<&str>) -> Reply {
    let headers = wacid.map(|wacid| ("X-WA-Meta-WACID".to_owned(), wacid.to_owned()));
    Reply { status: 200, reason: None, headers: headers.into_iter().collect(), body: Some(body(sdp)) }
}

/// The INVITE that brings a WhatsApp user to the PBX. `X-WA-Meta-*` are the names that WhatsApp's
/// own SIP mode uses, so that dialplans work with either.
pub(crate) fn invite(
    id: &CallId,
    trunk: &Trunk,
    number: &Number,
    connect: &Connect,
    sdp: &str,
    local: std::net::SocketAddr,
) -> OutgoingInvite {
    let caller = &connect.caller;
    let user = match (&caller.phone, caller.user()) {
        (Some(phone), _) => format!("+{phone}"),
        (None, Some(bsuid)) => bsuid.to_owned(),
        (None, None) => "anonymous".to_owned(),
    };
    // Names are not looked up yet: nothing can be sent, and the call ends as unreachable.
    let target = trunk.address().unwrap_or(std::net::SocketAddr::from(([0, 0, 0, 0], 0)));
    let destination = Uri::sip(Some(&number.user(trunk.headers.plus)), target);
    let mut from = NameAddr::new(Uri::sip(Some(&user), local));
    from.display = caller.name.as_deref().and_then(display_name);
    let named = [
        ("X-WA-Meta-WACID", Some(connect.wacid.as_str())),
        ("X-WA-Meta-User-Id", caller.bsuid.as_deref()),
        ("X-WA-Meta-Parent-User-Id", caller.parent_bsuid.as_deref()),
        ("X-WA-Meta-User-Name", caller.username.as_deref()),
        ("X-WA-Meta-Phone-Number-Id", Some(connect.number.as_str())),
        ("X-WA-Meta-CTA-Payload", connect.cta_payload.as_deref()),
        ("X-WA-Meta-Deeplink-Payload", connect.deeplink_payload.as_deref()),
    ];
    let headers = named
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), header_value(value?)?)))
        .collect();
    OutgoingInvite {
        flow: Flow::udp(target),
        answer_within: None,
        request_uri: destination.clone(),
        from,
        to: NameAddr::new(destination),
        call_id: id.to_string(),
        max_forwards: MAX_FORWARDS,
        headers,
        body: Some(body(sdp)),
    }
}

fn body(sdp: &str) -> Body {
    Body { content_type: "application/sdp".to_owned(), bytes: sdp.to_owned().into() }
}

/// Longest header value made of what a WhatsApp user or business wrote: an INVITE over UDP should
/// stay in one datagram.
const LONGEST_VALUE: usize = 256;
/// Longest display name.
const LONGEST_NAME: usize = 64;

/// A value that a WhatsApp user or business wrote, as far as it fits in one header line.
fn header_value(text: &str) -> Option<String> {
    let line: String = text.chars().filter(|c| !c.is_control()).collect();
    let line = line.trim();
    (!line.is_empty() && line.len() <= LONGEST_VALUE).then(|| line.to_owned())
}

/// A user's own name, without what could break the header it stands in.
fn display_name(name: &str) -> Option<String> {
    let clean: String = name
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '"' | '\\' | '<' | '>'))
        .take(LONGEST_NAME)
        .collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_why() {
        let reply = refusal(Cause::ShuttingDown);
        assert_eq!(reply.status, 503);
        assert!(reply.headers.iter().any(|(name, _)| name == "Retry-After"));
        assert!(reply.headers.iter().any(|(name, value)| name == "Reason" && value.contains("41")));
    }

    #[test]
    fn names_and_values_stay_in_their_line() {
        assert_eq!(display_name("Ann \"x\"\r\nVia: evil").as_deref(), Some("Ann xVia: evil"));
        assert_eq!(display_name(" \r\n"), None);
        assert_eq!(header_value("a\r\nb").as_deref(), Some("ab"));
        assert_eq!(header_value(&"x".repeat(300)), None);
    }
}
