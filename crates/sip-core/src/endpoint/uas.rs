//! The INVITE as its UAS sees it (RFC 3261 9.2, 13.3): responses, ACK, CANCEL, and the same for re-INVITE.

use std::time::Instant;

use bytes::Bytes;

use super::former::Thread;
use super::leg::{Leg, Offer};
use super::response::ResponseBase;
use super::session_timer::Terms;
use super::{Endpoint, Event, LegId, Reply, RequestId, count};
use crate::dialog::awaited_ack::{AwaitedAck, Due};
use crate::dialog::id::DialogId;
use crate::message::Request;
use crate::transaction::TransactionId;
use crate::transaction::key::ServerKey;
use crate::transport::Flow;

impl Endpoint {
    /// The user responds to the INVITE of a leg.
    pub(super) fn respond(&mut self, now: Instant, leg: LegId, reply: Reply) {
        let Some(Leg::Incoming { .. }) = self.legs.get(&leg) else {
            return tracing::warn!(%leg, status = reply.status, "no INVITE waits for this response");
        };
        if let Some(reply) = self.admit(leg, reply) {
            self.send_response(now, leg, reply);
        }
    }

    /// Sends a response to the INVITE of a leg.
    pub(super) fn send_response(&mut self, now: Instant, leg: LegId, mut reply: Reply) {
        let Some(Leg::Incoming { invite, .. }) = self.legs.get(&leg) else {
            return;
        };
        let invite = *invite;
        self.number(leg, &mut reply);
        let body = reply.body.clone();
        let holds_body = body.is_some();
        let terms = self.terms(invite);
        let Some((status, bytes)) = self.send_reply(now, invite, reply) else {
            return;
        };
        if status >= 300 {
            return self.end_leg(now, leg);
        }
        self.note_reply(now, leg, terms, status, body);
        if status >= 200 {
            self.answered(now, leg, invite, status, bytes);
        } else {
            self.await_prack(now, leg, status, bytes, holds_body);
        }
        self.arm_leg(leg);
    }

    /// The leg is confirmed: its 2xx has gone out and waits for the ACK.
    fn answered(&mut self, now: Instant, leg: LegId, invite: TransactionId, status: u16, bytes: Bytes) {
        let Some(Leg::Incoming { mut session, .. }) = self.legs.remove(&leg) else {
            return;
        };
        session.awaited = self.await_ack(now, invite, status, bytes);
        self.legs.insert(leg, Leg::Confirmed(session));
        self.record_session(leg);
    }

    /// The user answers a request within a dialog.
    pub(super) fn answer(&mut self, now: Instant, leg: LegId, request: RequestId, reply: Reply) {
        let transaction = request.0;
        let known = self.legs.get_mut(&leg).and_then(|leg| leg.session_with(transaction));
        if known.is_none() {
            return tracing::debug!(%leg, "the request is no longer open");
        }
        let (terms, body) = (self.terms(transaction), reply.body.clone());
        let Some((status, bytes)) =
            self.send_reply(now, transaction, reply).filter(|(status, _)| *status >= 200)
        else {
            return;
        };
        let awaited = self.await_ack(now, transaction, status, bytes);
        let Some(session) = self.legs.get_mut(&leg).and_then(|leg| leg.session_with(transaction)) else {
            return;
        };
        let Some(pending) = session.take_pending(transaction) else {
            return;
        };
        if pending.is_prack {
            session.offer = Offer::Settled;
            return self.send_waiting(now, leg);
        }
        if status < 300 {
            if let Some(contact) = pending.contact {
                session.dialog.refresh_target(contact);
            }
            if pending.is_invite {
                session.awaited = awaited;
            }
        }
        self.record_session(leg);
        self.note_reply(now, leg, terms, status, body);
        self.pump_own(now, leg);
    }

    fn terms(&self, transaction: TransactionId) -> Terms {
        self.servers.get(transaction).map(|server| server.base.terms()).unwrap_or_default()
    }

    fn await_ack(
        &self,
        now: Instant,
        invite: TransactionId,
        status: u16,
        response: Bytes,
    ) -> Option<AwaitedAck> {
        let cseq = self.servers.get(invite)?.base.cseq()?;
        Some(AwaitedAck::new(now, &self.config.timers, invite, cseq, status, response))
    }

    /// Sends the user's response; gives back what went out.
    pub(super) fn send_reply(
        &mut self,
        now: Instant,
        transaction: TransactionId,
        mut reply: Reply,
    ) -> Option<(u16, Bytes)> {
        if !(101..700).contains(&reply.status) {
            tracing::warn!(status = reply.status, "no such status for a user to send");
            if reply.status == 100 {
                return None;
            }
            reply = Reply::new(500);
        }
        let status = reply.status;
        let server = self.servers.get(transaction)?;
        let contact = self.contact(server.base.flow);
        let mut response = server.base.reply(reply, &contact, self.profile(server.base.flow.trunk));
        if response.headers.get("Server").is_none() {
            response.headers.push("Server", self.config.user_agent.clone());
        }
        let bytes = response.to_bytes();
        self.server_respond(now, transaction, status, bytes.clone());
        Some((status, bytes))
    }

    /// An ACK: of the INVITE transaction for a 3xx to 6xx, of the dialog for a 2xx.
    pub(super) fn ack(&mut self, now: Instant, transaction: Option<TransactionId>, ack: Request) {
        if let Some(id) = transaction
            && self.servers.get(id).is_some_and(|server| server.absorbs_ack())
        {
            return self.server_ack(now, id);
        }
        let dialog = DialogId::of_request(&ack);
        let leg = dialog.as_ref().and_then(|dialog| self.dialogs.get(dialog)).copied();
        let (Some(leg), Some(cseq)) = (leg, ack.headers.cseq()) else {
            return count(&self.counters.stray_acks);
        };
        let Some(Leg::Confirmed(session)) = self.legs.get_mut(&leg) else {
            return;
        };
        let Some(awaited) = session.awaited.take_if(|awaited| awaited.cseq == cseq.number) else {
            return;
        };
        session.offer = Offer::Settled;
        self.records.close(leg, &Thread::Invite(awaited.invite));
        self.event(leg, Event::Acked { body: ack.body });
        match awaited.bye {
            Some(headers) => self.send_leg_bye(now, leg, headers),
            None => self.pump_own(now, leg),
        }
    }

    /// A CANCEL (RFC 3261 9.2). It is answered by itself, with the To tag of the INVITE it is about.
    pub(super) fn cancelled(&mut self, now: Instant, flow: Flow, key: ServerKey, cancel: &Request) {
        let invite = ServerKey::cancelled_by(cancel).and_then(|key| self.servers.find(&key));
        let Some((invite, server)) = invite.and_then(|id| Some((id, self.servers.get(id)?))) else {
            return self.refuse(flow, cancel, (481, Vec::new()));
        };
        let (open, leg) = (server.is_proceeding(), server.leg);
        let tag = server.base.to_tag().unwrap_or_default();
        let transaction = self.open_server(key, ResponseBase::of(cancel, flow, &tag), cancel);
        self.conclude(now, transaction, (200, Vec::new()));
        let Some(leg) = leg.filter(|_| open) else {
            return;
        };
        let pending = match self.legs.get_mut(&leg) {
            Some(Leg::Incoming { invite: initial, reliable, .. }) if *initial == invite => {
                let answered = reliable.as_ref().is_some_and(|reliable| reliable.holds_2xx());
                let reason = cancel.headers.reason();
                self.event(leg, Event::Cancelled { reason });
                // To the user the INVITE has its answer: the 487 is left to us.
                if answered {
                    self.conclude(now, invite, (487, Vec::new()));
                    self.end_leg(now, leg);
                }
                return;
            }
            Some(state) => state.session_with(invite).and_then(|session| session.take_pending(invite)),
            None => None,
        };
        self.abandon(now, pending.into_iter().collect());
        self.pump_own(now, leg);
    }

    /// Retransmits the 2xx of a leg, or gives it up.
    pub(super) fn awaited_ack_timer(&mut self, now: Instant, leg: LegId) {
        let Some(Leg::Confirmed(session)) = self.legs.get_mut(&leg) else {
            return;
        };
        let Some(awaited) = &mut session.awaited else {
            return;
        };
        let invite = awaited.invite;
        match awaited.due(now) {
            Due::Nothing => {}
            Due::Resend { status, response } => self.server_respond(now, invite, status, response),
            Due::GiveUp => {
                session.offer = Offer::Settled;
                match session.awaited.take().and_then(|awaited| awaited.bye) {
                    Some(headers) => return self.send_leg_bye(now, leg, headers),
                    None => self.event(leg, Event::AckTimeout),
                }
            }
        }
        self.arm_leg(leg);
    }
}
