//! What the user begins: INVITE, CANCEL, BYE (RFC 3261 8.1, 9.1, 13.2.1, 15.1.1).

use std::time::Instant;

use bytes::Bytes;

use super::client::Work;
use super::leg::{Cancel, Leg, Outgoing, UserHeaders};
use super::response::{allow, push_user_headers, supported};
use super::{Body, Endpoint, Event, LegId, MAX_LEGS, OutgoingInvite, Rejection, count};
use crate::dialog::reliable;
use crate::message::headers::contact_value;
use crate::message::{Headers, Method, Request};
use crate::profile::Reliable;
use crate::transaction::TransactionId;
use crate::transaction::client_invite::ClientInvite;
use crate::transaction::client_non_invite::ClientNonInvite;
use crate::transaction::key::ClientKey;

/// Gives a request its body.
pub(super) fn attach(request: &mut Request, body: Option<Body>) {
    if let Some(body) = body {
        request.headers.push("Content-Type", body.content_type);
        request.body = body.bytes;
    }
}

impl Endpoint {
    pub(super) fn invite(&mut self, now: Instant, leg: LegId, invite: OutgoingInvite) {
        if self.legs.contains_key(&leg) {
            return tracing::warn!(%leg, "the leg has its INVITE already");
        }
        if self.legs.len() >= MAX_LEGS {
            count(&self.counters.overload);
            self.event(leg, Event::Rejected(Rejection::Transport));
            return self.event(leg, Event::Ended);
        }
        count(&self.counters.outgoing_calls);
        let (flow, offerless) = (invite.flow, invite.body.is_none());
        let silence = invite.answer_within.map(|within| now + within);
        let branch = self.ids.branch();
        let request = self.invite_request(invite, &branch);
        let work = Work::Invite {
            machine: Box::new(ClientInvite::new(now, request, self.config.timers)),
            leg,
            acks: Vec::new(),
        };
        let method = Method::Invite;
        let invite = self.open_client(now, ClientKey { branch, method }, flow, work);
        let outgoing = Outgoing { invite, cancel: Cancel::NotWanted, offerless, silence, early: Vec::new() };
        self.legs.insert(leg, Leg::Outgoing(Box::new(outgoing)));
        self.arm_leg(leg);
    }

    fn invite_request(&mut self, invite: OutgoingInvite, branch: &str) -> Request {
        let mut to = invite.to;
        to.params.remove("tag");
        let mut headers = Headers::new();
        headers.push("Via", self.via(invite.flow, branch).to_string());
        headers.push("Max-Forwards", invite.max_forwards.to_string());
        headers.push("From", invite.from.with_tag(&self.ids.tag()).to_string());
        headers.push("To", to.to_string());
        headers.push("Call-ID", invite.call_id);
        headers.push("CSeq", "1 INVITE");
        headers.push("Contact", contact_value(&self.contact(invite.flow)));
        let profile = self.profile(invite.flow.trunk);
        headers.push("Allow", allow(profile));
        headers.push("Supported", supported(profile));
        if profile.reliable == Reliable::Required {
            headers.push("Require", reliable::TAG);
        }
        self.ask_first(invite.flow.trunk, &mut headers);
        headers.push("User-Agent", self.config.user_agent.clone());
        let mut request =
            Request { method: Method::Invite, uri: invite.request_uri, headers, body: Bytes::new() };
        attach(&mut request, invite.body);
        push_user_headers(&mut request.headers, invite.headers);
        request
    }

    pub(super) fn cancel(&mut self, now: Instant, leg: LegId, headers: UserHeaders) {
        match self.legs.get_mut(&leg) {
            Some(Leg::Outgoing(outgoing)) => {
                if !matches!(outgoing.cancel, Cancel::NotWanted) {
                    return;
                }
                let invite = outgoing.invite;
                outgoing.cancel = Cancel::Held(headers.clone());
                if self.has_provisional(invite) {
                    self.send_cancel(now, invite, leg, headers);
                }
            }
            // The 2xx was faster.
            Some(Leg::Confirmed(_)) => self.bye(now, leg, headers),
            Some(Leg::Incoming { .. }) => tracing::warn!(%leg, "an incoming INVITE is not ours to cancel"),
            Some(Leg::Ending { .. }) | None => {}
        }
    }

    fn has_provisional(&self, invite: TransactionId) -> bool {
        match self.clients.get(invite).map(|client| &client.work) {
            Some(Work::Invite { machine, .. }) => machine.is_proceeding(),
            Some(_) | None => false,
        }
    }

    /// The CANCEL of an INVITE of ours: its branch, its Request-URI, its Route, its way (RFC 3261 9.1).
    pub(super) fn open_cancel(&mut self, now: Instant, invite: TransactionId, more: &UserHeaders) {
        let Some(client) = self.clients.get(invite) else {
            return;
        };
        let Work::Invite { machine, .. } = &client.work else {
            return;
        };
        let (flow, invite) = (client.flow, machine.request());
        let (Some(via), Some(cseq)) = (invite.headers.via(), invite.headers.cseq()) else {
            return;
        };
        let mut headers = Headers::new();
        headers.push("Via", via.to_string());
        for name in ["Route", "From", "To", "Call-ID"] {
            headers.copy(&invite.headers, name);
        }
        headers.push("Max-Forwards", "70");
        headers.push("CSeq", format!("{} CANCEL", cseq.number));
        headers.push("User-Agent", self.config.user_agent.clone());
        push_user_headers(&mut headers, more.clone());
        let cancel = Request { method: Method::Cancel, uri: invite.uri.clone(), headers, body: Bytes::new() };
        let key = ClientKey { branch: via.branch().unwrap_or_default().to_owned(), method: Method::Cancel };
        let machine = ClientNonInvite::new(now, &cancel, self.config.timers);
        self.open_client(now, key, flow, Work::Cancel { machine });
    }
}
