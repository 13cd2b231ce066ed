//! Offers that meet (RFC 3261 14.2, RFC 3311 5.2): which INVITE or UPDATE of theirs has to wait.

use super::incoming::Refusal;
use super::leg::{Leg, Offer, Session};
use super::{Endpoint, LegId};
use crate::dialog::id::DialogId;
use crate::dialog::session_timer::Agreed;
use crate::message::{Method, Request, Response};
use crate::transaction::TransactionId;
use crate::transport::Flow;

/// What an INVITE or UPDATE of theirs meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Collision {
    /// One of theirs that is still unanswered: 500 with Retry-After.
    Theirs,
    /// One of ours: 491.
    Ours,
}

impl Session {
    /// What an INVITE or UPDATE of theirs meets in the dialog.
    fn collision(&self, is_invite: bool, offers: bool) -> Option<Collision> {
        let mut theirs = self.pending.iter().filter(|pending| pending.refreshes);
        // An UPDATE that offers nothing minds only another UPDATE.
        if theirs.any(|pending| offers || !pending.is_invite) {
            return Some(Collision::Theirs);
        }
        if !offers {
            return None;
        }
        match self.offer {
            // The offer in their 2xx waits for the user's answer.
            Offer::Settled if self.owed.ack.is_some() => Some(Collision::Theirs),
            Offer::Theirs => Some(Collision::Theirs),
            Offer::Ours => Some(Collision::Ours),
            Offer::Settled if is_invite && self.awaited.is_some() => Some(Collision::Ours),
            Offer::Settled => self.own.is_negotiating().then_some(Collision::Ours),
        }
    }
}

impl Endpoint {
    /// May an INVITE or UPDATE of theirs be taken now, and is its session interval long enough?
    pub(super) fn take_refresh(
        &mut self,
        flow: Flow,
        leg: LegId,
        dialog: &DialogId,
        request: &Request,
    ) -> Result<(), Refusal> {
        let is_invite = request.method == Method::Invite;
        if !is_invite && request.method != Method::Update {
            return Ok(());
        }
        if let Some(refusal) = self.refuse_interval(flow.trunk, request) {
            return Err(refusal);
        }
        let collision = match self.legs.get_mut(&leg) {
            // The first INVITE is still open.
            Some(Leg::Incoming { .. }) if is_invite => Some(Collision::Theirs),
            Some(Leg::Outgoing(_)) if is_invite => Some(Collision::Ours),
            state => state
                .and_then(|leg| leg.session(dialog))
                .and_then(|session| session.collision(is_invite, is_invite || !request.body.is_empty())),
        };
        match collision {
            None => Ok(()),
            Some(Collision::Ours) => Err((491, Vec::new())),
            Some(Collision::Theirs) => Err((500, vec![("Retry-After", self.ids.seconds().to_string())])),
        }
    }

    /// What the 2xx to a request within a dialog will agree on.
    pub(super) fn agree_within(
        &mut self,
        leg: LegId,
        dialog: &DialogId,
        request: &Request,
    ) -> Option<Agreed> {
        let session = self.legs.get_mut(&leg)?.session(dialog)?;
        let (trunk, kept) = (session.dialog.trunk(), session.kept_interval());
        session.note_abilities(&request.headers);
        self.agree(trunk, request, kept)
    }

    /// In an early dialog our offer is open until a response has brought its answer.
    pub(super) fn note_early_offer(
        &mut self,
        id: TransactionId,
        leg: LegId,
        dialog: &DialogId,
        known: bool,
        response: &Response,
    ) {
        let offered = self.invite_of(id).is_some_and(|invite| !invite.body.is_empty());
        let Some(session) = self.legs.get_mut(&leg).and_then(|leg| leg.session(dialog)) else {
            return;
        };
        if !response.body.is_empty() {
            session.offer = Offer::Settled;
        } else if offered && !known {
            session.offer = Offer::Ours;
        }
    }
}
