//! What comes of our requests within a dialog: responses, ACK, 491, 422, no answer at all (RFC 3261 12.2.1.2, 13.2.2.4,
//! 14.1).

use std::time::{Duration, Instant};

use super::auth::copy_credentials;
use super::client::Work;
use super::leg::Leg;
use super::own_request::{Open, OwnRequest, OwnRequests, Retry, Unacknowledged};
use super::own_transaction::OwnTransaction;
use super::{Body, Endpoint, Event, LegId, Lost, OwnRequestId, Rejection};
use crate::message::{Headers, Method, Request, Response};
use crate::transaction::TransactionId;
use crate::transport::Flow;

/// The longest that the ACK of a re-INVITE waits for the user's answer: half of what the peer would wait.
const ANSWER_LIMIT: Duration = Duration::from_secs(16);
/// How often a request is tried again after 491 or 422; then its user gets the response.
const MAX_RETRIES: u8 = 8;

impl Endpoint {
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
        let own =
            self.clients.get(id).and_then(|client| Some((client.dialog_flow(), client.work.own_invite()?)));
        let Some((sent_by, invite)) = own else {
            return;
        };
        let Some(Leg::Confirmed(session)) = self.legs.get(&leg) else {
            return;
        };
        let number = invite.headers.cseq().map_or(0, |cseq| cseq.number);
        let (mut ack, flow) = session.dialog.ack(number);
        ack.headers.push_first("Via", self.via(flow, &branch).to_string());
        copy_credentials(&mut ack.headers, flow, &invite.headers, sent_by);
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

impl Work {
    /// The re-INVITE of ours, if it is one.
    fn own_invite(&self) -> Option<&Request> {
        match self {
            Self::Request(own) => own.invite(),
            _ => None,
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
