//! Requests of ours within a confirmed dialog: INFO, NOTIFY, UPDATE, re-INVITE (RFC 3261 12.2.1, 14.1, RFC 3311): which may go
//! out when, and what they say.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::client::Work;
use super::leg::{Leg, Offer, Session, UserHeaders};
use super::own_transaction::OwnTransaction;
use super::response::{ALLOW, push_user_headers, supported};
use super::{Body, Endpoint, Event, LegId, OwnRequestId, Rejection};
use crate::message::headers::contact_value;
use crate::message::{Method, Request, Response};
use crate::transaction::TransactionId;
use crate::transaction::key::ClientKey;
use crate::transport::Flow;

/// The most requests of ours on their way in one dialog; further ones wait.
const MAX_OPEN: usize = 8;
/// The most that wait; further ones get [`Rejection::Transport`].
const MAX_WAITING: usize = 16;

/// A request that is still to be sent, or to be sent again.
#[derive(Debug, Clone)]
pub(super) struct OwnRequest {
    pub(super) id: OwnRequestId,
    pub(super) method: Method,
    pub(super) headers: UserHeaders,
    pub(super) body: Option<Body>,
    pub(super) retries: u8,
}

impl OwnRequest {
    pub(super) fn new(id: OwnRequestId, method: Method, headers: UserHeaders, body: Option<Body>) -> Self {
        Self { id, method, headers, body, retries: 0 }
    }

    /// Is it one of those that nothing of their kind may overlap?
    pub(super) fn refreshes(&self) -> bool {
        matches!(self.method, Method::Invite | Method::Update)
    }

    /// Does it take part in an offer and answer?
    fn negotiates(&self) -> bool {
        self.method == Method::Invite || (self.method == Method::Update && self.body.is_some())
    }
}

/// A request that has no final response yet.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) transaction: TransactionId,
    pub(super) request: OwnRequest,
    /// The session interval that it asks for.
    pub(super) asked: Option<Duration>,
}

/// A request that got 491 and waits for its next try.
#[derive(Debug)]
pub(super) struct Retry {
    pub(super) at: Instant,
    pub(super) request: OwnRequest,
    pub(super) response: Box<Response>,
}

/// A re-INVITE whose ACK is to carry the user's answer.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    pub(super) transaction: TransactionId,
    /// When the ACK goes out without it.
    pub(super) until: Instant,
}

/// The requests of ours in a dialog.
#[derive(Debug, Default)]
pub(super) struct OwnRequests {
    pub(super) open: Vec<Open>,
    pub(super) waiting: VecDeque<OwnRequest>,
    pub(super) retry: Option<Box<Retry>>,
    /// The re-INVITE whose 2xx made an offer that the user has not answered: its ACK waits for that.
    pub(super) unacknowledged: Option<Unacknowledged>,
}

impl OwnRequests {
    /// Is an offer and answer that we began still open?
    pub(super) fn is_negotiating(&self) -> bool {
        self.unacknowledged.is_some() || self.open.iter().any(|open| open.request.negotiates())
    }

    /// Is something under way that will refresh the session?
    pub(super) fn will_refresh(&self) -> bool {
        self.is_refreshing() || self.retry.is_some() || self.waiting.iter().any(OwnRequest::refreshes)
    }

    fn is_refreshing(&self) -> bool {
        self.unacknowledged.is_some() || self.open.iter().any(|open| open.request.refreshes())
    }

    /// Puts a request where it waits to be sent; not when there is no room.
    pub(super) fn enqueue(&mut self, request: OwnRequest) -> Result<(), OwnRequest> {
        if self.waiting.len() >= MAX_WAITING {
            return Err(request);
        }
        self.waiting.push_back(request);
        Ok(())
    }

    /// The next that may be sent; `free` says whether one that refreshes may.
    fn next(&mut self, free: bool) -> Option<OwnRequest> {
        if self.open.len() >= MAX_OPEN {
            return None;
        }
        // What waits behind a request that got 491 waits with it.
        let free = free && self.retry.is_none();
        let at = self.waiting.iter().position(|request| free || !request.refreshes())?;
        self.waiting.remove(at)
    }

    pub(super) fn take_open(&mut self, transaction: TransactionId) -> Option<Open> {
        let at = self.open.iter().position(|open| open.transaction == transaction)?;
        Some(self.open.swap_remove(at))
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let retry = self.retry.as_ref().map(|retry| retry.at);
        let answer = self.unacknowledged.as_ref().map(|unacknowledged| unacknowledged.until);
        retry.into_iter().chain(answer).min()
    }
}

impl Session {
    /// May a request of ours that refreshes go out? Not before the ACK of our 2xx (RFC 3261 14.1), and not while anything
    /// of that kind is open on either side.
    fn is_free(&self) -> bool {
        let theirs = self.pending.iter().any(|pending| pending.refreshes);
        let ours = self.offer != Offer::Settled || self.owed.ack.is_some() || self.own.is_refreshing();
        self.awaited.is_none() && !ours && !theirs
    }
}

impl Endpoint {
    /// The user asks for a request within the dialog of a leg.
    pub(super) fn request_own(&mut self, now: Instant, leg: LegId, request: OwnRequest) {
        let taken = !matches!(request.method, Method::Ack | Method::Bye | Method::Cancel | Method::Prack);
        let refused = match self.legs.get_mut(&leg) {
            Some(Leg::Confirmed(session)) if taken && request.id != OwnRequestId::REFRESH => {
                let superseded = session.own.retry.take_if(|_| request.refreshes());
                let refused = session.own.enqueue(request).err();
                if let Some(Retry { request, response, .. }) = superseded.map(|retry| *retry) {
                    self.tell_own(leg, request.id, Err(Rejection::Response(response)));
                }
                refused
            }
            Some(Leg::Confirmed(_) | Leg::Incoming { .. } | Leg::Outgoing(_)) => Some(request),
            Some(Leg::Ending { .. }) | None => return tracing::debug!(%leg, "the dialog has ended"),
        };
        if let Some(request) = refused {
            tracing::warn!(%leg, method = %request.method, "this request can't be sent");
            self.tell_own(leg, request.id, Err(Rejection::Transport));
        }
        self.pump_own(now, leg);
    }

    /// A refresh is the endpoint's own affair: the user hears only of an answer that came with it.
    pub(super) fn tell_own(
        &mut self,
        leg: LegId,
        id: OwnRequestId,
        result: Result<Box<Response>, Rejection>,
    ) {
        if id != OwnRequestId::REFRESH {
            self.event(leg, Event::Response { id, result });
        }
    }

    pub(super) fn confirmed(&mut self, leg: LegId) -> Option<&mut Session> {
        match self.legs.get_mut(&leg) {
            Some(Leg::Confirmed(session)) => Some(&mut **session),
            _ => None,
        }
    }

    /// Sends what may be sent, after anything that may have set it free.
    pub(super) fn pump_own(&mut self, now: Instant, leg: LegId) {
        while let Some(session) = self.confirmed(leg) {
            let free = session.is_free();
            let Some(request) = session.own.next(free) else {
                break;
            };
            self.send_own(now, leg, request);
        }
        self.arm_leg(leg);
    }

    fn send_own(&mut self, now: Instant, leg: LegId, request: OwnRequest) {
        let branch = self.ids.branch();
        let Some(session) = self.confirmed(leg) else {
            return;
        };
        let (mut message, flow) = session.dialog.request(request.method.clone());
        message.headers.push_first("Via", self.via(flow, &branch).to_string());
        let asked = self.complete_own(leg, flow, &request, &mut message);
        let own = OwnTransaction::new(now, leg, message, self.config.timers);
        let key = ClientKey { branch, method: request.method.clone() };
        let transaction = self.open_client(now, key, flow, Work::Request(Box::new(own)));
        if let Some(session) = self.confirmed(leg) {
            session.own.open.push(Open { transaction, request, asked });
        }
    }

    /// What a request says beyond its dialog; gives the session interval that it asks for.
    fn complete_own(
        &mut self,
        leg: LegId,
        flow: Flow,
        request: &OwnRequest,
        message: &mut Request,
    ) -> Option<Duration> {
        let headers = &mut message.headers;
        if request.refreshes() || matches!(request.method, Method::Notify | Method::Refer) {
            headers.push("Contact", contact_value(&self.contact(flow)));
        }
        let mut asked = None;
        if request.refreshes() {
            headers.push("Allow", ALLOW);
            headers.push("Supported", supported(self.profile(flow.trunk)));
            asked = self.ask_again(leg, headers);
        }
        headers.push("User-Agent", self.config.user_agent.clone());
        if let Some(body) = &request.body {
            headers.push("Content-Type", body.content_type.clone());
            message.body = body.bytes.clone();
        }
        push_user_headers(headers, request.headers.clone());
        asked
    }
}
