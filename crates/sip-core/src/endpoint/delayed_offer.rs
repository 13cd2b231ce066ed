//! Delayed offers as the UAC sees them (RFC 3261 13.2.1, RFC 3262 5): an INVITE of ours without a body gets its offer in
//! a reliable provisional response or in the 2xx, and the user's answer goes out in the PRACK or in the ACK.

use std::time::{Duration, Instant};

use super::auth::copy_credentials;
use super::client::{SentAck, Work};
use super::leg::{Leg, Offer, Session};
use super::outgoing::attach;
use super::{Body, Endpoint, Event, LegId, Lost};
use crate::dialog::Dialog;
use crate::dialog::reliable::Receiver;
use crate::transaction::TransactionId;

/// The longest that an ACK waits for the user's answer; then it goes out empty, and a BYE behind it. Half of what the
/// peer would wait.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(16);

/// What we owe the peer as the UAC of a dialog.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// The reliable provisional responses so far.
    pub(super) received: Receiver,
    /// The RSeq of the one that holds an offer: its PRACK waits for our answer.
    pub(super) prack: Option<u32>,
    /// The offer has its answer.
    pub(super) answered: bool,
    /// The ACK that waits for our answer to the offer in the 2xx.
    pub(super) ack: Option<HeldAck>,
}

#[derive(Debug)]
pub(super) struct HeldAck {
    pub(super) invite: TransactionId,
    pub(super) give_up: Instant,
}

impl Owed {
    /// Has the peer made an offer in this early dialog or in its 2xx that still wants its answer?
    pub(super) fn wants_answer(&self, offers_in_2xx: bool) -> bool {
        !self.answered && (offers_in_2xx || self.prack.is_some())
    }
}

impl Endpoint {
    /// The user answers the peer's offer.
    pub(super) fn acknowledge(&mut self, now: Instant, leg: LegId, body: Option<Body>) {
        match self.legs.get_mut(&leg) {
            Some(Leg::Outgoing(outgoing)) => {
                let owing = outgoing.early.iter_mut().find(|session| session.owed.prack.is_some());
                let Some(session) = owing else {
                    return tracing::warn!(%leg, "no offer waits for this answer");
                };
                let Some(rseq) = session.owed.prack.take() else {
                    return;
                };
                session.owed.answered = true;
                session.offer = Offer::Settled;
                session.said.clone_from(&body);
                let (invite, dialog) = (outgoing.invite, session.dialog.id.clone());
                self.send_prack(now, invite, leg, &dialog, rseq, body);
            }
            Some(Leg::Confirmed(session)) if session.owed.ack.is_some() => {
                session.said.clone_from(&body);
                self.release_ack(leg, body);
                self.pump_own(now, leg);
            }
            Some(Leg::Confirmed(_) | Leg::Incoming { .. } | Leg::Ending { .. }) | None => {
                tracing::warn!(%leg, "no offer waits for this answer");
            }
        }
    }

    /// Keeps the ACK of a 2xx until the user has answered the offer in it.
    pub(super) fn hold_ack(&mut self, now: Instant, invite: TransactionId, session: &mut Session) {
        session.owed.ack = Some(HeldAck { invite, give_up: now + ANSWER_LIMIT });
        session.offer = Offer::Theirs;
        let (_, flow) = session.dialog.ack(0);
        let tag = session.dialog.id.remote_tag.clone();
        if let Some(Work::Invite { acks, .. }) = self.clients.get_mut(invite).map(|client| &mut client.work) {
            acks.push(SentAck { tag, flow, bytes: None });
        }
    }

    /// Sends the ACK that is held, if one is.
    pub(super) fn release_ack(&mut self, leg: LegId, body: Option<Body>) {
        let Some(Leg::Confirmed(session)) = self.legs.get_mut(&leg) else {
            return;
        };
        let Some(held) = session.owed.ack.take() else {
            return;
        };
        session.offer = Offer::Settled;
        session.said = body.clone().or(session.said.take());
        let dialog = session.dialog.clone();
        self.send_ack(held.invite, &dialog, body);
    }

    /// Sends the ACK of a 2xx and remembers it for the retransmissions of that 2xx.
    pub(super) fn send_ack(&mut self, invite: TransactionId, dialog: &Dialog, body: Option<Body>) {
        let branch = self.ids.branch();
        let Some(client) = self.clients.get(invite) else {
            return;
        };
        let Work::Invite { machine, .. } = &client.work else {
            return;
        };
        let of_invite = &machine.request().headers;
        let (mut ack, flow) = dialog.ack(of_invite.cseq().map_or(0, |cseq| cseq.number));
        ack.headers.push_first("Via", self.via(flow, &branch).to_string());
        copy_credentials(&mut ack.headers, flow, of_invite, client.dialog_flow());
        ack.headers.push("User-Agent", self.config.user_agent.clone());
        attach(&mut ack, body);
        let bytes = ack.to_bytes();
        let tag = &dialog.id.remote_tag;
        if let Some(Work::Invite { acks, .. }) = self.clients.get_mut(invite).map(|client| &mut client.work) {
            acks.retain(|sent| sent.tag != *tag);
            acks.push(SentAck { tag: tag.clone(), flow, bytes: Some(bytes.clone()) });
        }
        self.send(flow, bytes, None);
    }

    /// The user has not answered the offer in time.
    pub(super) fn held_ack_timer(&mut self, now: Instant, leg: LegId) {
        let Some(Leg::Confirmed(session)) = self.legs.get(&leg) else {
            return;
        };
        if session.owed.ack.as_ref().is_some_and(|ack| ack.give_up <= now) {
            self.event(leg, Event::Lost(Lost::Gone));
            self.send_leg_bye(now, leg, Vec::new());
        }
    }
}
