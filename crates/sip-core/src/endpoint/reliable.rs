//! Reliable provisional responses (RFC 3262): those to an incoming INVITE wait for their PRACK one by one, and the 2xx
//! behind them; those to an INVITE of ours get theirs.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::client::Work;
use super::leg::{self, Cancel, Leg, Pending};
use super::outgoing::attach;
use super::{Body, Endpoint, Event, LegId, Lost, Reply, RequestId};
use crate::dialog::awaited_ack::Due;
use crate::dialog::id::DialogId;
use crate::dialog::reliable::{RAck, Sender, TAG, rseq};
use crate::message::headers::same_name;
use crate::message::{Headers, Method, Request, Response};
use crate::profile::Reliable;
use crate::transaction::TransactionId;
use crate::transaction::client_non_invite::ClientNonInvite;
use crate::transaction::key::ClientKey;
use crate::transport::Flow;

/// The most responses that wait for a PRACK; beyond it the oldest provisional one is left out.
const MAX_WAITING: usize = 4;

/// UAS: the reliable provisional responses to one INVITE.
#[derive(Debug)]
pub(super) struct Provisionals {
    sender: Sender,
    waiting: VecDeque<Reply>,
    offer: Offer,
}

/// Where our offer stands when the INVITE holds none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offer {
    /// Theirs is in the INVITE, or ours has its answer.
    None,
    /// Ours is still to be made.
    Wanted,
    /// Ours is in the open response: its PRACK brings the answer.
    Made,
}

impl Provisionals {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.sender.deadline()
    }

    /// Does the 2xx wait for a PRACK?
    pub(super) fn holds_2xx(&self) -> bool {
        self.waiting.iter().any(|reply| reply.status >= 200)
    }

    /// What the 2xx overtakes is left out, unless it holds a body: that may be the answer.
    fn keep(&mut self, reply: Reply) {
        if self.holds_2xx() {
            return tracing::warn!(status = reply.status, "the INVITE has its final response");
        }
        if reply.status >= 200 {
            self.waiting.retain(|waiting| waiting.body.is_some());
        } else if self.waiting.len() >= MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(reply);
    }
}

impl Endpoint {
    /// Are the provisional responses to this INVITE reliable? The peer may require it, and so may the trunk's profile.
    pub(super) fn provisionals(&mut self, flow: Flow, invite: &Request) -> Option<Box<Provisionals>> {
        let wanted = self.profile(flow.trunk).reliable == Reliable::Required;
        let required = has_tag(&invite.headers, "Require");
        let reliable = required || (wanted && has_tag(&invite.headers, "Supported"));
        if !reliable {
            return None;
        }
        let offer = if invite.body.is_empty() { Offer::Wanted } else { Offer::None };
        let sender = Sender::new(self.ids.rseq());
        Some(Box::new(Provisionals { sender, waiting: VecDeque::new(), offer }))
    }

    /// Lets a response to an INVITE through, or keeps it until what is open before it is acknowledged. A refusal does
    /// not wait.
    pub(super) fn admit(&mut self, leg: LegId, reply: Reply) -> Option<Reply> {
        let waits = self.awaits_prack(leg);
        match self.legs.get_mut(&leg) {
            Some(Leg::Incoming { reliable: Some(reliable), .. }) if waits && reply.status < 300 => {
                reliable.keep(reply);
                None
            }
            _ => Some(reply),
        }
    }

    /// Is a reliable response without its PRACK, or a PRACK with an offer without its answer?
    fn awaits_prack(&self, leg: LegId) -> bool {
        let Some(Leg::Incoming { session, reliable: Some(reliable), .. }) = self.legs.get(&leg) else {
            return false;
        };
        reliable.sender.is_open() || session.pending.iter().any(|pending| pending.is_prack)
    }

    /// Gives a provisional response its number.
    pub(super) fn number(&self, leg: LegId, reply: &mut Reply) {
        if let Some(Leg::Incoming { reliable: Some(reliable), .. }) = self.legs.get(&leg)
            && (101..200).contains(&reply.status)
        {
            reply.headers.retain(|(name, _)| !same_name(name, "RSeq"));
            reply.headers.push(("Require".to_owned(), TAG.to_owned()));
            reply.headers.push(("RSeq".to_owned(), reliable.sender.next().to_string()));
        }
    }

    /// A provisional response has gone out.
    pub(super) fn await_prack(
        &mut self,
        now: Instant,
        leg: LegId,
        status: u16,
        response: Bytes,
        holds_body: bool,
    ) {
        let timers = self.config.timers;
        if let Some(Leg::Incoming { session, reliable: Some(reliable), .. }) = self.legs.get_mut(&leg) {
            reliable.sender.sent(now, &timers, status, response);
            if reliable.offer == Offer::Wanted && holds_body {
                reliable.offer = Offer::Made;
                session.offer = leg::Offer::Ours;
            }
        }
    }

    /// Sends what waited, as far as it may go now.
    pub(super) fn send_waiting(&mut self, now: Instant, leg: LegId) {
        while !self.awaits_prack(leg) {
            let Some(Leg::Incoming { reliable: Some(reliable), .. }) = self.legs.get_mut(&leg) else {
                return;
            };
            let Some(reply) = reliable.waiting.pop_front() else {
                return;
            };
            self.send_response(now, leg, reply);
        }
    }

    /// A PRACK (RFC 3262 3): with the answer to our offer, with an offer that the user answers, or with nothing.
    pub(super) fn prack_received(
        &mut self,
        now: Instant,
        leg: LegId,
        transaction: TransactionId,
        prack: Request,
    ) {
        let Some(offer) = self.acknowledged_by(leg, &prack) else {
            return self.conclude(now, transaction, (481, Vec::new()));
        };
        self.arm_leg(leg);
        if offer != Offer::Made && !prack.body.is_empty() {
            return self.prack_offers(leg, transaction, prack);
        }
        self.conclude(now, transaction, (200, Vec::new()));
        if offer == Offer::Made {
            self.event(leg, Event::Acked { body: prack.body });
        }
        self.send_waiting(now, leg);
    }

    /// Matches a PRACK to the open response; says what became of the offer that was in it.
    fn acknowledged_by(&mut self, leg: LegId, prack: &Request) -> Option<Offer> {
        let rack = RAck::of(&prack.headers).filter(|rack| rack.method == Method::Invite)?;
        let Some(Leg::Incoming { invite, session, reliable: Some(reliable) }) = self.legs.get_mut(&leg)
        else {
            return None;
        };
        let of_invite = self.servers.get(*invite)?.base.cseq() == Some(rack.cseq);
        if !of_invite || !reliable.sender.acknowledge(rack.rseq) {
            return None;
        }
        let offer = reliable.offer;
        if offer == Offer::Made || !prack.body.is_empty() {
            reliable.offer = Offer::None;
            session.offer = leg::Offer::Settled;
        }
        Some(offer)
    }

    fn prack_offers(&mut self, leg: LegId, transaction: TransactionId, prack: Request) {
        if let Some(Leg::Incoming { session, .. }) = self.legs.get_mut(&leg) {
            session.offer = leg::Offer::Theirs;
            session.pending.push(Pending {
                transaction,
                is_invite: false,
                refreshes: true,
                is_prack: true,
                contact: None,
            });
            let (id, request) = (RequestId(transaction), Box::new(prack));
            self.event(leg, Event::Request { id, request });
        }
    }

    /// Sends the open response again, or gives the INVITE up.
    pub(super) fn reliable_timer(&mut self, now: Instant, leg: LegId) {
        let Some(Leg::Incoming { invite, reliable: Some(reliable), .. }) = self.legs.get_mut(&leg) else {
            return;
        };
        let invite = *invite;
        match reliable.sender.due(now) {
            Due::Nothing => {}
            Due::Resend { status, response } => self.server_respond(now, invite, status, response),
            Due::GiveUp => {
                self.conclude(now, invite, (504, Vec::new()));
                self.event(leg, Event::Lost(Lost::Gone));
                return self.end_leg(now, leg);
            }
        }
        self.arm_leg(leg);
    }

    /// A provisional response to an INVITE of ours. One that is reliable gets its PRACK at once, unless it holds an offer
    /// that the user must answer first. Is it news? Not when it is reliable and not the next one.
    pub(super) fn take_provisional(
        &mut self,
        now: Instant,
        id: TransactionId,
        leg: LegId,
        response: &Response,
    ) -> bool {
        let Some(rseq) = rseq(&response.headers).filter(|_| response.status > 100) else {
            return true;
        };
        let tag = response.headers.to().and_then(|to| to.tag().map(str::to_owned)).unwrap_or_default();
        let Some(outgoing) = self.outgoing(id, leg) else {
            return true;
        };
        let (offerless, wanted) = (outgoing.offerless, matches!(outgoing.cancel, Cancel::NotWanted));
        let session = outgoing.early.iter_mut().find(|session| session.dialog.id.remote_tag == tag);
        let Some(session) = session else {
            return true;
        };
        if !session.owed.received.take(rseq) {
            return false;
        }
        if offerless && wanted && session.owed.wants_answer(!response.body.is_empty()) {
            session.owed.prack = Some(rseq);
            session.offer = leg::Offer::Theirs;
        } else {
            let dialog = session.dialog.id.clone();
            self.send_prack(now, id, leg, &dialog, rseq, None);
        }
        true
    }

    pub(super) fn send_prack(
        &mut self,
        now: Instant,
        invite: TransactionId,
        leg: LegId,
        dialog: &DialogId,
        rseq: u32,
        body: Option<Body>,
    ) {
        let branch = self.ids.branch();
        let Some(Work::Invite { machine, .. }) = self.clients.get(invite).map(|client| &client.work) else {
            return;
        };
        let cseq = machine.request().headers.cseq().map_or(0, |cseq| cseq.number);
        let Some(session) = self.legs.get_mut(&leg).and_then(|leg| leg.session(dialog)) else {
            return;
        };
        let (mut prack, flow) = session.dialog.request(Method::Prack);
        prack.headers.push_first("Via", self.via(flow, &branch).to_string());
        prack.headers.push("RAck", format!("{rseq} {cseq} INVITE"));
        prack.headers.push("User-Agent", self.config.user_agent.clone());
        attach(&mut prack, body);
        let machine = ClientNonInvite::new(now, &prack, self.config.timers);
        let method = Method::Prack;
        self.open_client(now, ClientKey { branch, method }, flow, Work::Prack { machine });
    }
}

fn has_tag(headers: &Headers, name: &str) -> bool {
    headers.list(name).any(|tag| tag.eq_ignore_ascii_case(TAG))
}
