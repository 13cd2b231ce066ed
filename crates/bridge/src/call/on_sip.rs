//! What comes of a call's SIP legs, turned into events of the call machine. What changes a session only
//! (hold, an address, a codec, a digit) is dealt with here: WhatsApp knows no second negotiation.

use std::sync::Arc;

use media_relay::Party;
use media_relay::sdp::negotiation::Negotiation;
use sip_core::message::{Method, Request, Response};
use sip_core::{Command, Flow, LegId, OwnRequestId, Rejection, Reply, RequestId};
use tracing::{debug, info};

use super::cause::Cause;
use super::event::{Event, SipEvent, SipRefusal};
use super::headers;
use super::info::{self, Info};
use super::pbx::{self, MAX_LEGS, Plan, Referral};
use super::pbx_leg::{Acked, PbxLeg, Refused};
use super::refer::Refer;
use super::task::CallTask;
use crate::trunk::failover::Refusal;

impl CallTask {
    pub(super) async fn take_sip(&mut self, leg: LegId, event: sip_core::Event) {
        use sip_core::Event as Sip;
        match event {
            Sip::Cancelled { reason } => {
                debug!(reason, "CANCEL");
                self.tell_sip(leg, SipEvent::Cancelled);
            }
            Sip::Bye { reason } => {
                debug!(reason, "BYE");
                self.tell_sip(leg, SipEvent::Bye);
            }
            Sip::AckTimeout => self.tell_sip(leg, SipEvent::AckTimeout),
            Sip::Lost(lost) => self.tell_sip(leg, SipEvent::Lost(lost)),
            Sip::Acked { body } => self.acked(leg, &body),
            Sip::Provisional(response) => self.provisional(leg, &response).await,
            Sip::Answered(response) => self.answered(leg, &response).await,
            Sip::Rejected(rejection) => self.rejected(leg, &rejection),
            Sip::Request { id, request } => self.answer_pbx(leg, id, &request).await,
            Sip::Response { id: OwnRequestId::REFRESH, result: Ok(response) } => {
                if self.pbx.legs.get_mut(&leg).is_some_and(|leg| leg.refreshed(&response.body)) {
                    self.hear(leg);
                }
            }
            Sip::Response { id, result } => {
                let status = result.map(|response| response.status).map_err(|rejection| refusal(&rejection));
                debug!(?id, ?status, "the PBX's answer to a request of ours");
            }
            Sip::Ended => {
                self.tell_sip(leg, SipEvent::Ended);
                self.forget(leg);
            }
            // It begins a leg, and so comes by another way.
            Sip::Invite { .. } => {}
        }
    }

    fn tell_sip(&mut self, leg: LegId, event: SipEvent) {
        self.tell(Event::Sip(leg, event));
    }

    fn acked(&mut self, leg: LegId, sdp: &[u8]) {
        match self.pbx.legs.get_mut(&leg).map(|leg| leg.acked(sdp)) {
            Some(Acked::First { usable }) => {
                self.hear(leg);
                self.tell_sip(leg, SipEvent::Acked { usable });
            }
            Some(Acked::Later { usable: true }) => self.hear(leg),
            Some(Acked::Later { usable: false } | Acked::Nothing) | None => {}
        }
    }

    async fn provisional(&mut self, leg: LegId, response: &Response) {
        debug!(status = response.status, "PBX");
        let answer = self.pbx.legs.get_mut(&leg).and_then(|leg| leg.provisional(response));
        if let Some(answer) = answer {
            self.acknowledge(leg, Some(&answer)).await;
        }
        self.tell_sip(leg, SipEvent::Ringing(response.status));
    }

    async fn answered(&mut self, leg: LegId, response: &Response) {
        self.note_status(leg, response.status);
        let Some(state) = self.pbx.legs.get_mut(&leg) else {
            return;
        };
        let heard = state.answered(response);
        if self.pbx.manners.is_offer_delayed && (heard.answer.is_some() || !heard.usable) {
            // An offer that can't be used is acknowledged all the same; BYE follows (RFC 3261 13.2.2.4).
            self.acknowledge(leg, heard.answer.as_deref()).await;
        }
        self.tell_sip(leg, SipEvent::Answered { usable: heard.usable });
    }

    fn rejected(&mut self, leg: LegId, rejection: &Rejection) {
        let mut event = refusal(rejection);
        if let Rejection::Response(response) = rejection {
            self.note_status(leg, response.status);
            if let Some(plan) = self.pbx.redirected(leg, response) {
                let next = self.shared.sip.new_leg();
                self.pbx.plan(next, plan);
                event = SipRefusal::Redirected(next);
            }
            info!(status = response.status, reason = response.reason, "refused by the PBX");
        }
        let verdict = self.pbx.manners.failover.verdict(weighed(event, rejection), false);
        if let Some(plan) = self.pbx.planned(leg).filter(|_| verdict.next) {
            self.shared.target_failed(plan.flow, event, verdict.rest);
        }
        self.tell_sip(leg, SipEvent::Refused(event));
    }

    /// For the record: the last status, but not that of a transfer.
    fn note_status(&mut self, leg: LegId, status: u16) {
        if self.pbx.planned(leg).is_some_and(|plan| plan.refer.is_none()) {
            self.tally.pbx_status = Some(status);
        }
    }

    /// From now on the PBX's sound is what was agreed on this leg, if it is the one that is heard.
    pub(super) fn hear(&self, leg: LegId) {
        let agreed = self.pbx.legs.get(&leg).and_then(PbxLeg::agreed);
        if let (Some(media), Some(agreed)) = (&self.media, agreed)
            && self.pbx.heard == Some(leg)
        {
            info!(direction = ?agreed.direction, codec = %agreed.codec, "sound of the PBX");
            media.session.connect_pbx(agreed.clone());
        }
    }

    fn forget(&mut self, leg: LegId) {
        self.pbx.forget(leg);
        self.remains.ended(leg);
        self.shared.directory.remove_leg(leg);
    }

    /// A request of the PBX within a leg.
    async fn answer_pbx(&mut self, leg: LegId, id: RequestId, asked: &Request) {
        let reply = match asked.method {
            Method::Invite | Method::Update | Method::Prack => self.renegotiate(leg, asked),
            Method::Info => self.info(leg, asked),
            Method::Refer => match self.referred(leg, id, asked) {
                Some(refused) => refused,
                None => return,
            },
            // Of no subscription of ours (RFC 6665 4.1.3); 481 would end the call.
            Method::Notify => Reply::new(489),
            Method::Ack
            | Method::Bye
            | Method::Cancel
            | Method::Options
            | Method::Register
            | Method::Subscribe
            | Method::Message
            | Method::Publish
            | Method::Other(_) => headers::not_allowed(),
        };
        debug!(method = %asked.method, status = reply.status, "request in the dialog");
        self.answer(leg, id, reply).await;
    }

    /// A refused change leaves the call as it was (RFC 3261 14.2, RFC 3311 5.2).
    fn renegotiate(&mut self, leg: LegId, asked: &Request) -> Reply {
        if asked.body.is_empty() && asked.method != Method::Invite {
            return Reply::new(200);
        }
        let Some(state) = self.pbx.legs.get_mut(&leg).filter(|_| self.media.is_some()) else {
            return Reply::new(488);
        };
        let agent = self.shared.agent(state.flow);
        match state.change(&asked.body) {
            Ok(sdp) => {
                self.hear(leg);
                headers::with_sdp(200, &sdp, None)
            }
            Err(Refused::Sdp(error)) => {
                info!(%error, "the PBX's change of the session is refused");
                headers::not_acceptable(&error, &agent)
            }
            Err(Refused::Glare) => Reply::new(491),
            Err(Refused::Unanswered) => headers::later(),
        }
    }

    /// A digit by INFO. Which key was pressed may be a PIN: it is never written down.
    fn info(&self, leg: LegId, asked: &Request) -> Reply {
        match info::read(asked) {
            Info::Digit(digit) => {
                if let Some(media) = self.media.as_ref().filter(|_| self.pbx.heard == Some(leg)) {
                    let milliseconds = u32::try_from(digit.duration.as_millis()).unwrap_or(u32::MAX);
                    media.session.send_digit(Party::WhatsApp, digit.key, milliseconds);
                }
                Reply::new(200)
            }
            Info::Nothing | Info::NoKey => Reply::new(200),
            Info::Malformed => Reply::new(400),
            Info::Unknown => headers::unknown_info(),
        }
    }

    /// REFER: the machine decides, unless it can't be obeyed at all; then this is its answer.
    fn referred(&mut self, leg: LegId, request: RequestId, asked: &Request) -> Option<Reply> {
        if !self.pbx.manners.transfer {
            return Some(headers::refusal(Cause::TransferRefused));
        }
        let refer = match Refer::read(asked, &self.pbx.manners.headers.pass) {
            Ok(refer) => Arc::new(refer),
            Err(bad) => {
                info!(%bad, "REFER refused");
                return Some(Reply { reason: Some(bad.to_string()), ..Reply::new(400) });
            }
        };
        let Some(flow) = self.pbx.target_of(leg) else {
            return Some(headers::refusal(Cause::TransferRefused));
        };
        let target = self.shared.sip.new_leg();
        let plan = Plan { flow, user: refer.user.clone(), refer: Some(Arc::clone(&refer)) };
        self.pbx.plan(target, plan);
        self.pbx.referrals.insert(target, Referral { refer, transferor: leg, request });
        self.tell_sip(leg, SipEvent::Refer { target });
        None
    }

    /// An INVITE with Replaces, which names a leg of this call.
    pub(super) async fn take_replaces(&mut self, replaced: LegId, by: LegId, invite: &Request, flow: Flow) {
        let taken = match self.negotiation() {
            _ if !self.pbx.manners.transfer || self.pbx.legs.len() >= MAX_LEGS => {
                Err(headers::refusal(Cause::TransferRefused))
            }
            None => Err(headers::refusal(Cause::NothingToReplace)),
            Some(negotiation) => PbxLeg::invited(flow, negotiation, &invite.body)
                .map_err(|error| headers::not_acceptable(&error, &self.shared.agent(flow))),
        };
        match taken {
            Ok(leg) => {
                info!(%replaced, %by, "INVITE with Replaces");
                self.pbx.legs.insert(by, leg);
                self.remains.began(by);
                self.tell_sip(replaced, SipEvent::Replaced { by });
            }
            Err(reply) => {
                info!(%replaced, status = reply.status, "INVITE with Replaces is refused");
                self.shared.directory.remove_leg(by);
                self.shared.sip.send(Command::Respond { leg: by, reply }).await;
            }
        }
    }

    /// What will be told and heard on a new leg, on the call's audio path.
    pub(super) fn negotiation(&self) -> Option<Negotiation> {
        let media = self.media.as_ref()?;
        let (local, codecs) = (media.session.pbx_address(), self.pbx.codecs.clone());
        let negotiation = Negotiation::new(local, self.shared.session_id(), codecs);
        Some(negotiation.with_srtp(self.pbx.srtp, self.shared.random()))
    }
}

fn refusal(rejection: &Rejection) -> SipRefusal {
    match rejection {
        Rejection::Response(response) => SipRefusal::Status(response.status),
        Rejection::Silence => SipRefusal::Silence,
        Rejection::Timeout => SipRefusal::Timeout,
        Rejection::Transport => SipRefusal::Unreachable,
    }
}

/// What a refusal says of its target, with how long that asks to be left alone.
fn weighed(event: SipRefusal, rejection: &Rejection) -> Refusal {
    match (Refusal::from(event), rejection) {
        (Refusal::Status { status, .. }, Rejection::Response(response)) => {
            Refusal::Status { status, retry_after: pbx::retry_after(response.as_ref()) }
        }
        (refusal, _) => refusal,
    }
}
