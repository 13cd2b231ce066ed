//! What a call sends on its SIP legs.

use std::time::Duration;

use media_relay::sdp::crypto::Masked;
use media_relay::tone;
use sip_core::message::Method;
use sip_core::{Body, Command, LegId, Reply, RequestId};
use tracing::debug;
use wa_signaling::Wacid;

use super::cause::Cause;
use super::headers::{self, Field};
use super::info::{self, Digit};
use super::invite::{self, About, To};
use super::manners::Dtmf;
use super::pbx_leg::PbxLeg;
use super::task::{CallTask, Side};

/// The country of the ringing tone that a WhatsApp user hears when a transferor has left, where the
/// trunk names none.
const TONE_OF: &str = "us";

impl CallTask {
    pub(super) async fn respond(&self, leg: LegId, reply: Reply) {
        self.shared.sip.send(Command::Respond { leg, reply }).await;
    }

    pub(super) async fn answer(&self, leg: LegId, request: RequestId, reply: Reply) {
        self.shared.sip.send(Command::Answer { leg, request, reply }).await;
    }

    /// Our answer to the PBX's offer in its response: it goes out in the ACK or PRACK.
    pub(super) async fn acknowledge(&self, leg: LegId, sdp: Option<&str>) {
        let body = sdp.map(headers::sdp_body);
        self.shared.sip.send(Command::Acknowledge { leg, body }).await;
    }

    /// 183 with our answer, and a ringing tone; 180 where the offer is ours to make (RFC 3262 5).
    pub(super) async fn ring_with_tone(&mut self, leg: LegId) {
        let Some(sdp) = self.pbx.legs.get_mut(&leg).and_then(PbxLeg::early_answer) else {
            return self.respond(leg, Reply::new(180)).await;
        };
        self.respond(leg, headers::with_sdp(183, &sdp, None)).await;
        if let (Some(media), Some(tone)) = (&self.media, self.pbx.manners.ringback) {
            media.session.play_to_pbx(tone);
        }
    }

    /// The WhatsApp user hears that the target of a transfer rings.
    pub(super) fn tone_to_whatsapp(&self) {
        let Some(media) = &self.media else {
            return;
        };
        // What the transferor's phone still sends is heard no longer.
        media.session.disconnect_pbx();
        if let Some(tone) = self.pbx.manners.ringback.or_else(|| tone::ringback(TONE_OF)) {
            media.session.play_to_whatsapp(tone);
        }
    }

    pub(super) async fn ok(&mut self, leg: LegId) {
        let Some(sdp) = self.pbx.legs.get_mut(&leg).map(PbxLeg::final_sdp) else {
            return;
        };
        let wacid = self.remains.wacid.get().map(Wacid::as_str);
        self.respond(leg, headers::with_sdp(200, &sdp, wacid)).await;
    }

    pub(super) async fn invite(&mut self, leg: LegId) {
        let (Some(plan), Some(negotiation)) = (self.pbx.planned(leg).cloned(), self.negotiation()) else {
            return;
        };
        let about = self.about();
        let is_delayed = self.pbx.manners.is_offer_delayed;
        let (state, offer) = PbxLeg::inviting(plan.flow, negotiation, is_delayed);
        self.pbx.legs.insert(leg, state);
        self.remains.began(leg);
        self.tally.targets += u64::from(plan.refer.is_none());
        self.shared.directory.add_leg(leg, &self.mailbox);
        let call_id = self.pbx.next_call_id(&self.remains.facts.mark.call);
        let to = To {
            flow: plan.flow,
            user: &plan.user,
            local: self.shared.advertised(plan.flow),
            call_id: &call_id,
            silence: self.pbx.manners.failover.silence,
        };
        let refer = plan.refer.as_deref();
        let mut invite = invite::invite(to, &about, &self.pbx.manners.headers, offer.as_deref(), refer);
        // Who has registered is called by his own contact (RFC 3261 16.5), unless somebody else is meant.
        if let Some(mut contact) = self.shared.trunks.contact(plan.flow) {
            if refer.is_some() || self.remains.number.destination.is_some() {
                contact.user = Some(plan.user.clone());
            }
            invite.request_uri = contact;
        }
        debug!(sdp = %Masked(offer.as_deref().unwrap_or_default().as_bytes()), peer = %plan.flow.peer, "INVITE to the PBX");
        self.shared.sip.send(Command::Invite { leg, invite: Box::new(invite) }).await;
    }

    /// The WhatsApp user whom an INVITE is about.
    fn about(&self) -> About {
        let wacid = self.remains.wacid.get().map(Wacid::as_str);
        match &self.side {
            Side::FromPbx { callee } => {
                About::callee(callee, wacid, self.remains.number.phone_number_id.as_str())
            }
            Side::FromWhatsApp { connect, .. } => About::caller(connect),
            Side::Refused { .. } | Side::Lost { .. } | Side::Former(_) => About::default(),
        }
    }

    pub(super) async fn cancel(&self, leg: LegId, cause: Cause) {
        self.shared.sip.send(Command::Cancel { leg, headers: headers::reason(cause) }).await;
    }

    pub(super) async fn bye(&self, leg: LegId, cause: Cause, talked: Option<Duration>) {
        let headers = headers::farewell(cause, self.remains.wacid.get().map(Wacid::as_str), talked);
        self.shared.sip.send(Command::Bye { leg, headers }).await;
    }

    pub(super) async fn accept_refer(&mut self, target: LegId) {
        let Some(referral) = self.pbx.referrals.get(&target) else {
            return;
        };
        let (leg, request) = (referral.transferor, referral.request);
        let (reply, notify) = (referral.refer.accepted(), referral.refer.notify(100, false));
        self.answer(leg, request, reply).await;
        self.notify(leg, notify).await;
    }

    pub(super) async fn refuse_refer(&mut self, target: LegId, cause: Cause) {
        if let Some(referral) = self.pbx.referrals.remove(&target) {
            self.answer(referral.transferor, referral.request, headers::refusal(cause)).await;
        }
        self.pbx.forget(target);
    }

    pub(super) async fn notify_refer(&mut self, transferor: LegId, status: u16, last: bool) {
        let Some((target, referral)) = self.pbx.referral_of(transferor) else {
            return;
        };
        let notify = referral.refer.notify(status, last);
        if last {
            self.pbx.referrals.remove(&target);
        }
        self.notify(transferor, notify).await;
    }

    async fn notify(&mut self, leg: LegId, notify: Option<(Vec<Field>, Body)>) {
        if let Some((headers, body)) = notify {
            self.request(leg, Method::Notify, headers, body).await;
        }
    }

    /// A digit of the WhatsApp user, where the trunk wants digits by INFO.
    pub(super) async fn send_info(&mut self, digit: Digit) {
        if let (Dtmf::Info(form), Some(leg)) = (self.pbx.manners.dtmf, self.pbx.heard) {
            self.request(leg, Method::Info, Vec::new(), info::body(form, digit)).await;
        }
    }

    async fn request(&mut self, leg: LegId, method: Method, headers: Vec<Field>, body: Body) {
        let id = self.pbx.next_request();
        self.shared.sip.send(Command::Request { leg, id, method, headers, body: Some(body) }).await;
    }
}
