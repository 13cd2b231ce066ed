//! Session timers of the legs (RFC 4028): what INVITE, UPDATE and their 2xx say of them, refreshing, expiry.

use std::time::{Duration, Instant};

use super::client::Work;
use super::incoming::Refusal;
use super::leg::{Leg, Offer, Session};
use super::own_request::{Open, OwnRequest};
use super::{Body, Endpoint, LegId, Lost, OwnRequestId, Rejection};
use crate::dialog::session_timer::{
    Agreed, Asked, Due, SHORTEST, SessionExpires, SessionTimer, Side, TooShort, min_se,
};
use crate::message::{Headers, Method, Request, Response};
use crate::profile;
use crate::transaction::TransactionId;
use crate::transport::TrunkId;

/// How often an INVITE is sent, 422 after 422; each must ask for a longer interval.
const MAX_INVITES: u32 = 4;

/// What a request of theirs and its 2xx are to agree on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Terms {
    /// Is it an INVITE or UPDATE?
    pub(super) refreshes: bool,
    /// Does it hold an offer?
    pub(super) has_offer: bool,
    /// The session timer that its 2xx agrees on.
    pub(super) timer: Option<Agreed>,
}

impl Session {
    /// The interval, the refresher and the Min-SE that a request of ours asks for.
    fn wish(&self, ours: Option<profile::SessionTimer>) -> Option<(SessionExpires, Duration)> {
        let least = self.min_se.max(ours.map(|ours| ours.min_se)).unwrap_or(SHORTEST);
        let running = self.timer.as_ref();
        let interval = running.map(|timer| timer.interval).or(ours.map(|ours| ours.expires))?;
        let refresher = running.map(|timer| if timer.refreshing { Side::Uac } else { Side::Uas });
        Some((SessionExpires { interval: interval.max(least).max(SHORTEST), refresher }, least))
    }

    /// The interval of a timer that it is our part to keep.
    pub(super) fn kept_interval(&self) -> Option<Duration> {
        self.timer.as_ref().filter(|timer| timer.refreshing).map(|timer| timer.interval)
    }

    /// Reads what an INVITE or UPDATE of theirs says of the peer's abilities.
    pub(super) fn note_abilities(&mut self, headers: &Headers) {
        self.note_allow(headers);
        self.min_se = self.min_se.max(min_se(headers));
    }
}

impl Endpoint {
    /// 422 to an INVITE or UPDATE whose interval is too short, if the peer knows what that means (RFC 4028 9).
    pub(super) fn refuse_interval(&self, trunk: TrunkId, request: &Request) -> Option<Refusal> {
        let ours = self.profile(trunk).session_timer;
        match Agreed::as_uas(&Asked::of(&request.headers), ours, None) {
            Err(TooShort(least)) => Some((422, vec![("Min-SE", least.as_secs().to_string())])),
            Ok(_) => None,
        }
    }

    /// What the 2xx to an INVITE or UPDATE of theirs will agree on.
    pub(super) fn agree(&self, trunk: TrunkId, request: &Request, kept: Option<Duration>) -> Option<Agreed> {
        if !matches!(request.method, Method::Invite | Method::Update) {
            return None;
        }
        let ours = self.profile(trunk).session_timer;
        Agreed::as_uas(&Asked::of(&request.headers), ours, kept).ok().flatten()
    }

    /// What the first INVITE says of session timers.
    pub(super) fn ask_first(&self, trunk: TrunkId, headers: &mut Headers) {
        if let Some(ours) = self.profile(trunk).session_timer {
            let interval = ours.expires.max(ours.min_se).max(SHORTEST);
            push_wish(headers, SessionExpires { interval, refresher: None }, ours.min_se);
        }
    }

    /// What a re-INVITE or UPDATE of ours says of them; gives the interval.
    pub(super) fn ask_again(&mut self, leg: LegId, headers: &mut Headers) -> Option<Duration> {
        let trunk = self.confirmed(leg)?.dialog.trunk();
        let ours = self.profile(trunk).session_timer;
        let (expires, least) = self.confirmed(leg)?.wish(ours)?;
        push_wish(headers, expires, least);
        Some(expires.interval)
    }

    /// The 2xx to our INVITE has made the leg: what holds from now on.
    pub(super) fn confirmed_as_uac(&mut self, now: Instant, invite: TransactionId, leg: LegId, ok: &Headers) {
        let Some(request) = self.invite_of(invite) else {
            return;
        };
        let asked = SessionExpires::of(&request.headers).map(|asked| asked.interval);
        let (least, said) = (min_se(&request.headers), Body::of(request));
        let Some(session) = self.confirmed(leg) else {
            return;
        };
        session.min_se = least;
        session.said = said.or(session.said.take());
        session.note_allow(ok);
        session.timer = Agreed::as_uac(ok, asked).map(|agreed| SessionTimer::start(now, &agreed, Side::Uac));
    }

    /// The user's response to an INVITE or UPDATE has gone out: what holds from now on.
    pub(super) fn note_reply(
        &mut self,
        now: Instant,
        leg: LegId,
        terms: Terms,
        status: u16,
        body: Option<Body>,
    ) {
        let Some(Leg::Confirmed(session) | Leg::Incoming { session, .. }) = self.legs.get_mut(&leg) else {
            return;
        };
        if !terms.refreshes || status >= 300 {
            return;
        }
        let described = body.is_some();
        session.said = body.or(session.said.take());
        if status >= 200 {
            session.offer = if described && !terms.has_offer { Offer::Ours } else { Offer::Settled };
            session.timer = terms.timer.map(|agreed| SessionTimer::start(now, &agreed, Side::Uas));
        } else if described {
            session.offer = Offer::Settled;
        }
    }

    /// A 2xx came to a re-INVITE or UPDATE of ours.
    pub(super) fn refreshed_by_us(&mut self, now: Instant, leg: LegId, open: &Open, ok: &Response) {
        let Some(session) = self.confirmed(leg) else {
            return;
        };
        if let Some(contact) = ok.headers.contact() {
            session.dialog.refresh_target(contact.uri);
        }
        if let Some(body) = &open.request.body {
            session.said = Some(body.clone());
        }
        session.note_allow(&ok.headers);
        session.timer = Agreed::as_uac(&ok.headers, open.asked)
            .map(|agreed| SessionTimer::start(now, &agreed, Side::Uac));
        self.record_session(leg);
    }

    /// A 422 wants a longer interval than the one we asked for. Did it say which?
    pub(super) fn raise_min_se(&mut self, leg: LegId, refusal: &Headers) -> bool {
        let Some(session) = self.confirmed(leg) else {
            return false;
        };
        let Some(least) = min_se(refusal).filter(|least| Some(*least) > session.min_se) else {
            return false;
        };
        session.min_se = Some(least);
        true
    }

    /// 422 to our first INVITE: it is sent again with the interval that is wanted (RFC 4028 7.3).
    pub(super) fn retry_longer(
        &mut self,
        now: Instant,
        id: TransactionId,
        leg: LegId,
        refusal: &Headers,
    ) -> bool {
        let Some(request) = self.invite_of(id) else {
            return false;
        };
        let asked = SessionExpires::of(&request.headers);
        let (Some(least), Some(asked)) = (min_se(refusal), asked) else {
            return false;
        };
        let tried = request.headers.cseq().map_or(0, |cseq| cseq.number);
        if tried >= MAX_INVITES || min_se(&request.headers).is_some_and(|before| least <= before) {
            return false;
        }
        let interval = asked.interval.max(least);
        self.resend_invite(now, id, leg, |headers| {
            headers.set("Session-Expires", SessionExpires { interval, ..asked }.to_string());
            headers.set("Min-SE", least.as_secs().to_string());
        })
    }

    /// The session timer of a leg may be due.
    pub(super) fn session_timer(&mut self, now: Instant, leg: LegId) {
        let due = self.confirmed(leg).and_then(|session| session.timer.as_mut().map(|timer| timer.due(now)));
        match due {
            Some(Due::Expired) => self.lost(leg, Lost::Expired),
            Some(Due::Refresh) => self.refresh(now, leg),
            Some(Due::Nothing) | None => {}
        }
        self.arm_leg(leg);
    }

    /// Refreshes the session: by UPDATE if the peer takes it, else by a re-INVITE that changes nothing (RFC 4028 7.4).
    fn refresh(&mut self, now: Instant, leg: LegId) {
        let Some(session) = self.confirmed(leg) else {
            return;
        };
        let said = session.said.clone().filter(|_| !session.allows_update);
        let method = if said.is_some() { Method::Invite } else { Method::Update };
        let request = OwnRequest::new(OwnRequestId::REFRESH, method, Vec::new(), said);
        let under_way = session.own.will_refresh();
        if (under_way || session.own.enqueue(request).is_err())
            && let Some(timer) = &mut session.timer
        {
            return timer.try_again(now);
        }
        self.pump_own(now, leg);
    }

    /// A refresh of ours failed, and the dialog lives: another way, or another time.
    pub(super) fn refresh_failed(&mut self, now: Instant, leg: LegId, method: &Method, why: &Rejection) {
        let Some(session) = self.confirmed(leg) else {
            return;
        };
        let unknown = matches!(why, Rejection::Response(response) if matches!(response.status, 405 | 501));
        if unknown && *method == Method::Update && session.allows_update {
            session.allows_update = false;
            return self.refresh(now, leg);
        }
        if let Some(timer) = &mut session.timer {
            timer.try_again(now);
        }
    }

    /// Sends an INVITE again that was refused for a reason that can be mended: same Call-ID, From and To, next CSeq.
    fn resend_invite(
        &mut self,
        now: Instant,
        id: TransactionId,
        leg: LegId,
        mend: impl FnOnce(&mut Headers),
    ) -> bool {
        let flow = self.clients.get(id).map(|client| client.flow);
        let (Some(mut request), Some(flow)) = (self.invite_of(id).cloned(), flow) else {
            return false;
        };
        let Some(cseq) = request.headers.cseq().filter(|_| self.is_wanted(id)) else {
            return false;
        };
        let branch = self.ids.branch();
        request.headers.set_top_via(&self.via(flow, &branch));
        request.headers.set("CSeq", format!("{} INVITE", cseq.number.wrapping_add(1)));
        mend(&mut request.headers);
        self.forget_all_early(now, leg);
        self.send_again(now, id, request, branch);
        true
    }

    /// The INVITE of ours that this transaction sent.
    pub(super) fn invite_of(&self, id: TransactionId) -> Option<&Request> {
        match &self.clients.get(id)?.work {
            Work::Invite { machine, .. } => Some(machine.request()),
            _ => None,
        }
    }
}

fn push_wish(headers: &mut Headers, expires: SessionExpires, least: Duration) {
    headers.push("Session-Expires", expires.to_string());
    if least > SHORTEST {
        headers.push("Min-SE", least.as_secs().to_string());
    }
}
