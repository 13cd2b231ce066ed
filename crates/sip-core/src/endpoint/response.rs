//! Responses (RFC 3261 8.2.6): what they copy of their request and what every one of ours says.

use bytes::Bytes;

use super::session_timer::Terms;
use super::{Endpoint, Reply, replaces};
use crate::dialog::reliable;
use crate::dialog::session_timer::{self, Agreed};
use crate::message::headers::{contact_value, same_name};
use crate::message::{Headers, Method, Request, Response, Uri, reason_phrase};
use crate::profile::{Reliable, TrunkProfile};
use crate::transport::Flow;

/// The methods that we take of every trunk, within a dialog or without.
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO";
/// The body type that we read.
pub(super) const ACCEPT: &str = "application/sdp";
/// Header fields that the user does not set: they are the endpoint's.
const OURS: [&str; 11] = [
    "Via",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Max-Forwards",
    "Route",
    "Record-Route",
    "Content-Length",
    "Session-Expires",
    "Min-SE",
];

/// The methods that we take of a trunk.
pub(super) fn allow(profile: &TrunkProfile) -> String {
    let more = [("REFER, NOTIFY", profile.transfer), ("REGISTER", profile.registrar.is_some())];
    let more = more.iter().filter(|(_, taken)| *taken).map(|(methods, _)| *methods);
    std::iter::once(ALLOW).chain(more).collect::<Vec<_>>().join(", ")
}

/// The extensions that we offer to a trunk, as Supported says it.
pub(super) fn supported(profile: &TrunkProfile) -> String {
    let offered = [
        (session_timer::TAG, true),
        (reliable::TAG, profile.reliable != Reliable::Off),
        (replaces::TAG, profile.transfer),
    ];
    let tags: Vec<_> = offered.iter().filter(|(_, offered)| *offered).map(|(tag, _)| *tag).collect();
    tags.join(", ")
}

/// Do we do what is required of us by this tag? A trunk may require 100rel without being offered it.
pub(super) fn understands(profile: &TrunkProfile, tag: &str) -> bool {
    let understood = [(session_timer::TAG, true), (reliable::TAG, true), (replaces::TAG, profile.transfer)];
    understood.iter().any(|(known, understood)| *understood && known.eq_ignore_ascii_case(tag))
}

/// What a response needs of its request.
#[derive(Debug)]
pub(super) struct ResponseBase {
    pub(super) flow: Flow,
    /// Our To tag: added to every response but 100 where the request had none.
    pub(super) tag: Option<String>,
    /// The session timer that a 2xx agrees on.
    pub(super) timer: Option<Agreed>,
    has_offer: bool,
    method: Method,
    copied: Headers,
    record_route: Headers,
}

impl ResponseBase {
    /// `tag` is used where the request's To has none.
    pub(super) fn of(request: &Request, flow: Flow, tag: &str) -> Self {
        let tagged = request.headers.to().is_some_and(|to| to.tag().is_some());
        let mut base = Self::broken(&request.headers, flow, tag);
        base.tag = (!tagged).then(|| tag.to_owned());
        base.method = request.method.clone();
        base.has_offer = !request.body.is_empty();
        base.record_route.copy(&request.headers, "Record-Route");
        base
    }

    /// From whatever could be read of a broken request.
    pub(super) fn broken(headers: &Headers, flow: Flow, tag: &str) -> Self {
        let mut copied = Headers::new();
        copied.copy(headers, "Via");
        for name in ["From", "To", "Call-ID", "CSeq"] {
            if let Some(field) = headers.named(name).next() {
                copied.push_field(field.clone());
            }
        }
        let tagged = headers.get("To").is_some_and(|to| to.to_ascii_lowercase().contains("tag="));
        Self {
            flow,
            tag: (!tagged).then(|| tag.to_owned()),
            timer: None,
            has_offer: false,
            method: Method::Other(String::new()),
            copied,
            record_route: Headers::new(),
        }
    }

    /// What the request and its 2xx are to agree on.
    pub(super) fn terms(&self) -> Terms {
        let refreshes = matches!(self.method, Method::Invite | Method::Update);
        Terms { refreshes, has_offer: self.has_offer, timer: self.timer }
    }

    /// The To tag of the responses.
    pub(super) fn to_tag(&self) -> Option<String> {
        self.tag.clone().or_else(|| Some(self.copied.to()?.tag()?.to_owned()))
    }

    /// The sequence number of the request.
    pub(super) fn cseq(&self) -> Option<u32> {
        Some(self.copied.cseq()?.number)
    }

    /// A bare response.
    pub(super) fn response(&self, status: u16, reason: Option<&str>) -> Response {
        let mut headers = self.copied.clone();
        if let Some(tag) = self.tag.as_deref().filter(|_| status > 100) {
            headers.add_to_tag(tag);
        }
        if self.method == Method::Invite && (101..300).contains(&status) {
            headers.copy(&self.record_route, "Record-Route");
        }
        Response {
            status,
            reason: reason.unwrap_or_else(|| reason_phrase(status)).to_owned(),
            headers,
            body: Bytes::new(),
        }
    }

    /// The user's response.
    pub(super) fn reply(&self, reply: Reply, contact: &Uri, profile: &TrunkProfile) -> Response {
        let mut response = self.response(reply.status, reply.reason.as_deref());
        let refreshes = self.terms().refreshes;
        if refreshes && (101..300).contains(&reply.status) {
            response.headers.push("Contact", contact_value(contact));
        }
        if self.method == Method::Invite && (200..300).contains(&reply.status) {
            response.headers.push("Allow", allow(profile));
            response.headers.push("Supported", supported(profile));
        }
        if refreshes && (200..300).contains(&reply.status) {
            let timer = self.timer.iter().flat_map(Agreed::headers);
            timer.for_each(|(name, value)| response.headers.push(name, value));
        }
        if let Some(body) = reply.body {
            response.headers.push("Content-Type", body.content_type);
            response.body = body.bytes;
        }
        push_user_headers(&mut response.headers, reply.headers);
        response
    }
}

/// Appends the user's header fields; one that the endpoint has set already is replaced, those that are the endpoint's
/// alone are left out.
pub(super) fn push_user_headers(headers: &mut Headers, more: Vec<(String, String)>) {
    let (more, refused): (Vec<_>, Vec<_>) =
        more.into_iter().partition(|(name, _)| !OURS.iter().any(|ours| same_name(ours, name)));
    for (name, _) in refused {
        tracing::warn!(name, "this header field is not the user's to set");
    }
    for (name, _) in &more {
        headers.remove(name);
    }
    for (name, value) in more {
        headers.push(name, value);
    }
}

impl Endpoint {
    /// A response that leaves no state behind (RFC 3261 8.2.7): a retransmission of the request gets the same again.
    pub(super) fn respond_stateless(
        &mut self,
        flow: Flow,
        request: &Request,
        status: u16,
        more: &[(&str, &str)],
    ) {
        let tag = self.stateless_tag(&request.headers);
        let base = ResponseBase::of(request, flow, &tag);
        self.send_stateless(&base, status, None, more);
    }

    /// Refuses what could not be parsed.
    pub(super) fn refuse_broken(&mut self, flow: Flow, mut headers: Headers, status: u16, reason: &str) {
        if let Some(mut via) = headers.via() {
            via.note_source(flow.peer);
            headers.set_top_via(&via);
        }
        let tag = self.stateless_tag(&headers);
        let base = ResponseBase::broken(&headers, flow, &tag);
        self.send_stateless(&base, status, Some(reason), &[]);
    }

    fn send_stateless(
        &mut self,
        base: &ResponseBase,
        status: u16,
        reason: Option<&str>,
        more: &[(&str, &str)],
    ) {
        let mut response = base.response(status, reason);
        for (name, value) in more {
            response.headers.push(*name, *value);
        }
        response.headers.push("Server", self.config.user_agent.clone());
        self.send(base.flow, response.to_bytes(), None);
    }

    fn stateless_tag(&self, headers: &Headers) -> String {
        let parts = ["Call-ID", "From", "CSeq"].map(|name| headers.get(name).unwrap_or_default());
        self.ids.stateless_tag(&parts)
    }
}
