//! What comes from the network, and what a request outside of any dialog gets (RFC 3261 8.2).

use std::time::Instant;

use super::response::{ACCEPT, ResponseBase, allow, supported, understands};
use super::{Endpoint, Event, LegId, MAX_LEGS, MAX_SERVER_TRANSACTIONS, count};
use crate::dialog::Dialog;
use crate::dialog::id::DialogId;
use crate::endpoint::leg::{Leg, Session};
use crate::message::{Message, Method, ParseError, Request, Response, Scheme, Via, parse};
use crate::profile::TrunkProfile;
use crate::transaction::TransactionId;
use crate::transaction::key::{ClientKey, MergeKey, ServerKey};
use crate::transport::{Flow, TrunkId};

/// Seconds after which a peer may try again when we take no calls.
pub(super) const RETRY_AFTER: &str = "10";

/// A refusal: the status and the header fields that go with it.
pub(super) type Refusal = (u16, Vec<(&'static str, String)>);

impl Endpoint {
    pub(super) fn datagram(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        match parse::datagram(bytes) {
            Ok(Message::Request(request)) => self.request(now, flow, request),
            Ok(Message::Response(response)) => self.response(now, flow, response),
            Err(ParseError::KeepAlive) => count(&self.counters.keep_alives),
            Err(ParseError::BadRequest(bad)) => {
                tracing::debug!(%flow, reason = bad.reason, "bad request");
                count(&self.counters.bad_requests);
                self.refuse_broken(flow, bad.headers, bad.status, bad.reason);
                self.strike(flow);
            }
            Err(error @ (ParseError::NotSip(_) | ParseError::BadResponse(_))) => {
                tracing::debug!(%flow, %error, "dropped");
                count(&self.counters.unparsable);
                self.strike(flow);
            }
        }
    }

    /// Refuses a message that is not taken, without any state.
    pub(super) fn refuse_unread(&mut self, flow: Flow, bytes: &[u8], status: u16, reason: &str) {
        let headers = match parse::datagram(bytes) {
            Ok(Message::Request(request)) if request.method != Method::Ack => request.headers,
            Err(ParseError::BadRequest(bad)) => bad.headers,
            Ok(_) | Err(_) => return,
        };
        self.refuse_broken(flow, headers, status, reason);
    }

    fn response(&mut self, now: Instant, flow: Flow, response: Response) {
        // Several Vias mean that the response is for somebody behind us: no proxy, no forwarding (RFC 3261 8.1.3.3).
        let transaction = match response.headers.list("Via").count() {
            1 => ClientKey::of(&response.headers).and_then(|key| self.clients.find(&key)),
            _ => None,
        };
        // Whoever answers on another trunk is not who was asked: a challenge of theirs would get the credentials of this one.
        let asked =
            |id: &TransactionId| self.clients.get(*id).is_some_and(|client| client.flow.trunk == flow.trunk);
        match transaction.filter(asked) {
            Some(id) => self.client_response(now, id, response),
            None => count(&self.counters.stray_responses),
        }
    }

    fn request(&mut self, now: Instant, flow: Flow, mut request: Request) {
        let (Some(key), Some(mut via)) = (ServerKey::of(&request), request.headers.via()) else {
            return count(&self.counters.unparsable);
        };
        via.note_source(flow.peer);
        request.headers.set_top_via(&via);
        let known = self.servers.find(&key);
        match (&request.method, known) {
            (Method::Ack, known) => self.ack(now, known, request),
            (_, Some(id)) => self.server_retransmission(now, id),
            (Method::Cancel, None) => self.cancelled(now, flow, key, &request),
            (_, None) => match DialogId::of_request(&request) {
                Some(dialog) => self.in_dialog(now, flow, key, &dialog, request),
                None => self.out_of_dialog(now, flow, key, request),
            },
        }
    }

    /// No refusal here needs a transaction: the same request gets the same answer again (RFC 3261 8.2.7).
    fn out_of_dialog(&mut self, now: Instant, flow: Flow, key: ServerKey, request: Request) {
        // An INVITE that comes by a second way carries an answer that the first one has used up: 482, not 401.
        let refused =
            if request.method == Method::Invite { self.refuse_invite(flow, &request) } else { None };
        let sender = match refused.map_or_else(|| self.identify(now, flow, &request), Err) {
            Ok(sender) => sender,
            Err(refusal) => return self.refuse(flow, &request, refusal),
        };
        let allow = || allow(self.profile(flow.trunk));
        let refusal = match &request.method {
            Method::Invite => None,
            // Replaces is for INVITE alone (RFC 3891 3).
            _ if request.headers.get("Replaces").is_some() => Some((400, Vec::new())),
            Method::Register if self.has_registrar(flow.trunk) => {
                return self.register(now, flow, key, &request, sender.as_deref());
            }
            Method::Options => refuse_uri(&request)
                .or_else(|| refuse_extension(self.profile(flow.trunk), &request))
                .or_else(|| Some(self.availability(flow.trunk))),
            Method::Ack | Method::Cancel | Method::Bye | Method::Update | Method::Info | Method::Prack => {
                Some((481, Vec::new()))
            }
            Method::Register
            | Method::Refer
            | Method::Notify
            | Method::Subscribe
            | Method::Message
            | Method::Publish => Some((405, vec![("Allow", allow())])),
            Method::Other(_) => Some((501, vec![("Allow", allow())])),
        };
        let replaced = match refusal {
            Some(refusal) => Err(refusal),
            None => self.replaced(flow, &request),
        };
        match replaced {
            Err(refusal) => self.refuse(flow, &request, refusal),
            Ok(replaces) => self.new_call(flow, key, request, replaces),
        }
    }

    pub(super) fn refuse(&mut self, flow: Flow, request: &Request, (status, headers): Refusal) {
        let more: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.respond_stateless(flow, request, status, &more);
    }

    fn refuse_invite(&self, flow: Flow, invite: &Request) -> Option<Refusal> {
        if self.servers.len() >= MAX_SERVER_TRANSACTIONS || self.legs.len() >= MAX_LEGS {
            return Some(self.overloaded());
        }
        refuse_uri(invite)
            .or_else(|| {
                let merged = MergeKey::of(&invite.headers).is_some_and(|key| self.merged.contains(&key));
                (merged || self.has_looped(invite)).then(|| (482, Vec::new()))
            })
            .or_else(|| refuse_extension(self.profile(flow.trunk), invite))
            .or_else(|| refuse_accept(invite))
            .or_else(|| refuse_body(invite))
            .or_else(|| self.refuse_interval(flow.trunk, invite))
            .or_else(|| (invite.headers.max_forwards() == Some(0)).then(|| (483, Vec::new())))
            .or_else(|| invite.headers.contact().is_none().then(|| (400, Vec::new())))
    }

    pub(super) fn overloaded(&self) -> Refusal {
        count(&self.counters.overload);
        (503, vec![("Retry-After", RETRY_AFTER.to_owned())])
    }

    /// 200 to OPTIONS (RFC 3261 11.2).
    pub(super) fn options(&self, trunk: TrunkId) -> Refusal {
        let profile = self.profile(trunk);
        let headers = [
            ("Allow", &*allow(profile)),
            ("Accept", ACCEPT),
            ("Accept-Encoding", "identity"),
            ("Accept-Language", "en"),
            ("Supported", &supported(profile)),
        ];
        (200, headers.map(|(name, value)| (name, value.to_owned())).to_vec())
    }

    /// The answer to an OPTIONS outside of a dialog: what an INVITE would meet (RFC 3261 11.2).
    fn availability(&self, trunk: TrunkId) -> Refusal {
        if self.readiness.is_ready(trunk) {
            return self.options(trunk);
        }
        (503, vec![("Retry-After", RETRY_AFTER.to_owned())])
    }

    /// Has an INVITE of ours come back to us? Its branch says so, wherever in the stack of Vias it is (RFC 3261 16.3).
    fn has_looped(&self, invite: &Request) -> bool {
        let mut vias = invite.headers.list("Via").filter_map(|via| via.parse::<Via>().ok());
        vias.any(|via| via.branch().is_some_and(|branch| self.ids.made(branch)))
    }

    fn new_call(&mut self, flow: Flow, key: ServerKey, request: Request, replaces: Option<LegId>) {
        let tag = self.ids.tag();
        let Some(dialog) = Dialog::uas(&request, &tag, self.paths(flow)) else {
            return self.refuse(flow, &request, (400, Vec::new()));
        };
        let leg = LegId(self.next_leg);
        self.next_leg += 2;
        let mut base = ResponseBase::of(&request, flow, &tag);
        base.timer = self.agree(flow.trunk, &request, None);
        let invite = self.open_server(key, base, &request);
        self.own_server(invite, leg, MergeKey::of(&request.headers));
        self.record_incoming(leg, invite, flow, &request, &tag);
        self.dialogs.insert(dialog.id.clone(), leg);
        let session = Box::new(Session::of_invite(dialog, &request));
        let reliable = self.provisionals(flow, &request);
        self.legs.insert(leg, Leg::Incoming { invite, session, reliable });
        count(&self.counters.incoming_calls);
        let event = Event::Invite { request: Box::new(request), flow, replaces };
        self.event(leg, event);
    }
}

fn refuse_uri(request: &Request) -> Option<Refusal> {
    matches!(request.uri.scheme, Scheme::Other(_)).then(|| (416, Vec::new()))
}

/// 420 for every extension that is required of us and that we have not (RFC 3261 8.2.2.3).
pub(super) fn refuse_extension(profile: &TrunkProfile, request: &Request) -> Option<Refusal> {
    let required = request.headers.list("Require");
    let unknown: Vec<_> = required.filter(|tag| !understands(profile, tag)).collect();
    (!unknown.is_empty()).then(|| (420, vec![("Unsupported", unknown.join(", "))]))
}

/// 406 where the peer would not read the SDP in our answer (RFC 3261 8.2.6, 21.4.7). An empty Accept takes nothing.
pub(super) fn refuse_accept(request: &Request) -> Option<Refusal> {
    request.headers.get("Accept")?;
    let readable = request.headers.list("Accept").any(|range| {
        let media_type = range.split(';').next().unwrap_or_default().trim();
        ["*/*", "application/*", ACCEPT].iter().any(|ours| media_type.eq_ignore_ascii_case(ours))
    });
    (!readable).then(|| (406, vec![("Accept", ACCEPT.to_owned())]))
}

/// 415 to a body that we cannot read (RFC 3261 8.2.3). A multipart one may hold an SDP among its parts.
pub(super) fn refuse_body(request: &Request) -> Option<Refusal> {
    let lower = |name| request.headers.get(name).map(str::to_ascii_lowercase);
    let optional = lower("Content-Disposition").is_some_and(|value| value.contains("handling=optional"));
    if request.body.is_empty() || optional {
        return None;
    }
    if lower("Content-Encoding").is_some_and(|encoding| encoding != "identity") {
        return Some((415, vec![("Accept-Encoding", "identity".to_owned())]));
    }
    let readable = request
        .headers
        .content_type()
        .is_none_or(|media_type| media_type == ACCEPT || media_type.starts_with("multipart/"));
    (!readable).then(|| (415, vec![("Accept", ACCEPT.to_owned())]))
}
