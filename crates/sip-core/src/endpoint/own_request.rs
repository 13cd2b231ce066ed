//! Requests of ours within a confirmed dialog: INFO, NOTIFY, UPDATE, re-INVITE (RFC 3261 12.2.1, 14.1, RFC 3311).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::client::Work;
use super::leg::{Leg, Offer, Session, UserHeaders};
use super::own_transaction::OwnTransaction;
use super::response::{ALLOW, push_user_headers, supported};
use super::{Body, Endpoint, Event, LegId, Lost, OwnRequestId, Rejection};
use crate::message::headers::contact_value;
use crate::message::{Headers, Method, Request, Response};
use crate::transaction::TransactionId;
use crate::transaction::key::ClientKey;
use crate::transport::Flow;

/// The most requests of ours on their way in one dialog; further ones wait.
const MAX_OPEN: usize = 8;
/// The most that wait; further ones get [`Rejection::Transport`].
const MAX_WAITING: usize = 16;
/// The longest that the ACK of a re-INVITE waits for the user's answer: half of what the peer would wait.
const ANSWER_LIMIT: Duration = Duration::from_secs(16);
/// How often a request is tried again after 491 or 422; then its user gets the response.
const MAX_RETRIES: u8 = 8;

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
    fn refreshes(&self) -> bool {
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
    transaction: TransactionId,
    pub(super) request: OwnRequest,
    /// The session interval that it asks for.
    pub(super) asked: Option<Duration>,
}

/// A request that got 491 and waits for its next try.
#[derive(Debug)]
struct Retry {
    at: Instant,
    request: OwnRequest,
    response: Box<Response>,
}

/// A re-INVITE whose ACK is to carry the user's answer.
#[derive(Debug)]
struct Unacknowledged {
    transaction: TransactionId,
    /// When the ACK goes out without it.
    until: Instant,
}

/// The requests of ours in a dialog.
#[derive(Debug, Default)]
pub(super) struct OwnRequests {
    open: Vec<Open>,
    waiting: VecDeque<OwnRequest>,
    retry: Option<Box<Retry>>,
    /// The re-INVITE whose 2xx made an offer that the user has not answered: its ACK waits for that.
    unacknowledged: Option<Unacknowledged>,
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
        let at = self.waiting.iter().position(|request| free || !request.refreshes())?;
        self.waiting.remove(at)
    }

    fn take_open(&mut self, transaction: TransactionId) -> Option<Open> {
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
        self.awaited.is_none() && self.offer == Offer::Settled && !theirs && !self.own.is_refreshing()
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
    fn tell_own(&mut self, leg: LegId, id: OwnRequestId, result: Result<Box<Response>, Rejection>) {
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

    /// A response to a request of ours within a dialog.
    pub(super) fn own_response(&mut self, now: Instant, id: TransactionId, response: Box<Response>) {
        let Some(leg) = self.own_transaction(id).map(|own| own.leg) else {
            return;
        };
        if response.status < 200 {
            return;
        }
        let Some(open) = self.confirmed(leg).and_then(|session| session.own.take_open(id)) else {
            return self.own_response_again(leg, id, &response);
        };
        let retries = open.request.refreshes() && open.request.retries < MAX_RETRIES;
        match response.status {
            200..300 => self.own_accepted(now, leg, open, response),
            491 if retries => self.wait_after_glare(now, leg, open.request, response),
            422 if retries && self.raise_min_se(leg, &response.headers) => self.try_again(leg, open.request),
            _ => self.own_failed(now, leg, open.request, Rejection::Response(response)),
        }
        self.pump_own(now, leg);
    }

    /// No final response to a request of ours within a dialog.
    pub(super) fn own_failure(&mut self, now: Instant, id: TransactionId, rejection: Rejection) {
        let Some(leg) = self.own_transaction(id).map(|own| own.leg) else {
            return;
        };
        if let Some(open) = self.confirmed(leg).and_then(|session| session.own.take_open(id)) {
            self.own_failed(now, leg, open.request, rejection);
            self.pump_own(now, leg);
        }
    }

    fn own_transaction(&mut self, id: TransactionId) -> Option<&mut OwnTransaction> {
        match self.clients.get_mut(id).map(|client| &mut client.work) {
            Some(Work::Request(own)) => Some(&mut **own),
            _ => None,
        }
    }

    fn own_accepted(&mut self, now: Instant, leg: LegId, open: Open, response: Box<Response>) {
        if open.request.refreshes() {
            self.refreshed_by_us(now, leg, &open, &response);
        }
        let is_invite = open.request.method == Method::Invite;
        if is_invite && open.request.body.is_none() && !response.body.is_empty() {
            if let Some(session) = self.confirmed(leg) {
                let (transaction, until) = (open.transaction, now + ANSWER_LIMIT);
                session.own.unacknowledged = Some(Unacknowledged { transaction, until });
            }
        } else if is_invite {
            self.acknowledge_own(leg, open.transaction, None);
        }
        if is_invite || open.request.id != OwnRequestId::REFRESH {
            self.event(leg, Event::Response { id: open.request.id, result: Ok(response) });
        }
    }

    /// Our answer to the offer in a 2xx to our re-INVITE; `false` when there is none to answer.
    pub(super) fn acknowledge_offer(&mut self, now: Instant, leg: LegId, body: Option<&Body>) -> bool {
        let Some(session) = self.confirmed(leg) else {
            return false;
        };
        let Some(Unacknowledged { transaction, .. }) = session.own.unacknowledged.take() else {
            return false;
        };
        if let Some(body) = body {
            session.said = Some(body.clone());
        }
        self.acknowledge_own(leg, transaction, body);
        self.pump_own(now, leg);
        true
    }

    /// Sends the ACK for a 2xx to our re-INVITE, and keeps it (RFC 3261 13.2.2.4).
    fn acknowledge_own(&mut self, leg: LegId, id: TransactionId, body: Option<&Body>) {
        let branch = self.ids.branch();
        let cseq = self.own_transaction(id).and_then(|own| own.invite()?.headers.cseq());
        let (Some(cseq), Some(session)) = (cseq, self.confirmed(leg)) else {
            return;
        };
        let (mut ack, flow) = session.dialog.ack(cseq.number);
        ack.headers.push_first("Via", self.via(flow, &branch).to_string());
        ack.headers.push("User-Agent", self.config.user_agent.clone());
        if let Some(body) = body {
            ack.headers.push("Content-Type", body.content_type.clone());
            ack.body = body.bytes.clone();
        }
        self.send_own_ack(id, flow, &ack);
    }

    fn send_own_ack(&mut self, id: TransactionId, flow: Flow, ack: &Request) {
        let bytes = ack.to_bytes();
        if let Some(own) = self.own_transaction(id) {
            own.keep_ack(flow, bytes.clone());
        }
        self.send(flow, bytes, None);
    }

    /// A 2xx to a re-INVITE that is over: it gets its ACK again, or the first one if the dialog ended meanwhile.
    fn own_response_again(&mut self, leg: LegId, id: TransactionId, response: &Response) {
        let is_open = self.confirmed(leg).is_some();
        let branch = self.ids.branch();
        let Some(client) = self.clients.get(id).filter(|_| (200..300).contains(&response.status)) else {
            return;
        };
        let Work::Request(own) = &client.work else {
            return;
        };
        let flow = client.flow;
        match (own.ack().cloned(), own.invite()) {
            (Some((flow, bytes)), _) => self.send(flow, bytes, None),
            (None, Some(invite)) if !is_open => {
                let mut ack = ack_of(invite);
                ack.headers.push_first("Via", self.via(flow, &branch).to_string());
                self.send_own_ack(id, flow, &ack);
            }
            (None, _) => {}
        }
    }

    /// Both sides asked at once: the one whose Call-ID it is waits longer (RFC 3261 14.1).
    fn wait_after_glare(
        &mut self,
        now: Instant,
        leg: LegId,
        mut request: OwnRequest,
        response: Box<Response>,
    ) {
        let (ours, theirs) = (2100 + 10 * self.ids.below(191), 10 * self.ids.below(201));
        request.retries += 1;
        if let Some(session) = self.confirmed(leg) {
            let wait = if session.dialog.owns_call_id { ours } else { theirs };
            let at = now + Duration::from_millis(wait);
            session.own.retry = Some(Box::new(Retry { at, request, response }));
        }
    }

    /// Sends a request once more, before all others.
    fn try_again(&mut self, leg: LegId, mut request: OwnRequest) {
        request.retries += 1;
        if let Some(session) = self.confirmed(leg) {
            session.own.waiting.push_front(request);
        }
    }

    /// The wait after a 491 may be over, or that for the user's answer.
    pub(super) fn own_timer(&mut self, now: Instant, leg: LegId) {
        let Some(session) = self.confirmed(leg) else {
            return;
        };
        if let Some(retry) = session.own.retry.take_if(|retry| retry.at <= now) {
            session.own.waiting.push_front(retry.request);
        }
        let late =
            session.own.unacknowledged.as_ref().is_some_and(|unacknowledged| unacknowledged.until <= now);
        if late && self.acknowledge_offer(now, leg, None) {
            self.lost(leg, Lost::Gone);
        }
        self.pump_own(now, leg);
    }

    fn own_failed(&mut self, now: Instant, leg: LegId, request: OwnRequest, rejection: Rejection) {
        let gone = is_gone(&request.method, &rejection);
        if request.id == OwnRequestId::REFRESH && !gone {
            return self.refresh_failed(now, leg, &request.method, &rejection);
        }
        self.tell_own(leg, request.id, Err(rejection));
        if gone {
            self.lost(leg, Lost::Gone);
        }
    }

    /// Tells the user that the session is dead, once.
    pub(super) fn lost(&mut self, leg: LegId, why: Lost) {
        let Some(session) = self.confirmed(leg) else {
            return;
        };
        session.timer = None;
        session.own.retry = None;
        if !std::mem::replace(&mut session.lost, true) {
            self.event(leg, Event::Lost(why));
        }
    }

    /// The dialog has ended: nothing that we asked in it is of interest any more.
    pub(super) fn abandon_own(&mut self, now: Instant, own: OwnRequests) {
        let until = now + self.config.timers.timeout();
        let open = own.open.iter().map(|open| open.transaction);
        for id in open.chain(own.unacknowledged.map(|unacknowledged| unacknowledged.transaction)) {
            match self.own_transaction(id).map(|transaction| transaction.outlive(until)) {
                Some(true) => self.drain_client(now, id),
                Some(false) => self.close_client(id),
                None => {}
            }
        }
    }
}

/// Does the peer know nothing of the dialog (RFC 3261 12.2.1.2)? A NOTIFY is of its subscription, which ends alone
/// (RFC 5057 5.1).
fn is_gone(method: &Method, rejection: &Rejection) -> bool {
    let gone = match rejection {
        Rejection::Response(response) => matches!(response.status, 408 | 481),
        Rejection::Timeout => true,
        Rejection::Silence | Rejection::Transport => false,
    };
    gone && *method != Method::Notify
}

/// The ACK for a 2xx to a re-INVITE whose dialog is gone, made of the re-INVITE alone; without Via.
fn ack_of(invite: &Request) -> Request {
    let mut headers = Headers::new();
    headers.copy(&invite.headers, "Route");
    headers.push("Max-Forwards", "70");
    for name in ["From", "To", "Call-ID"] {
        headers.copy(&invite.headers, name);
    }
    let number = invite.headers.cseq().map_or(0, |cseq| cseq.number);
    headers.push("CSeq", format!("{number} ACK"));
    Request { method: Method::Ack, uri: invite.uri.clone(), headers, body: bytes::Bytes::new() }
}
