//! How a leg ends: BYE in both directions (RFC 3261 section 15), and what is to be forgotten then.

use std::time::Instant;

use super::alarms::Owner;
use super::client::Work;
use super::former::Thread;
use super::leg::{Leg, Pending, UserHeaders};
use super::response::push_user_headers;
use super::{Endpoint, Event, LegId, Reply};
use crate::dialog::Dialog;
use crate::dialog::id::DialogId;
use crate::message::{Method, Request};
use crate::transaction::TransactionId;
use crate::transaction::client_non_invite::ClientNonInvite;
use crate::transaction::key::ClientKey;

impl Endpoint {
    /// The user hangs up.
    pub(super) fn bye(&mut self, now: Instant, leg: LegId, headers: UserHeaders) {
        match self.legs.get_mut(&leg) {
            Some(Leg::Confirmed(session)) => {
                if let Some(headers) = session.hold_bye(headers) {
                    self.send_leg_bye(now, leg, headers);
                }
            }
            Some(Leg::Outgoing(_)) => self.cancel(now, leg, headers),
            Some(Leg::Incoming { .. }) => {
                let reply = Reply { headers, ..Reply::new(480) };
                self.respond(now, leg, reply);
            }
            Some(Leg::Ending { .. }) | None => {}
        }
    }

    /// Sends the BYE that ends a confirmed leg.
    pub(super) fn send_leg_bye(&mut self, now: Instant, leg: LegId, headers: UserHeaders) {
        self.release_ack(leg, None);
        let Some(Leg::Confirmed(session)) = self.legs.remove(&leg) else {
            return;
        };
        let (dialog, trunk) = (session.dialog.id.clone(), session.dialog.trunk());
        self.legs.insert(leg, Leg::Ending { dialog, trunk, again: None });
        self.arm_leg(leg);
        self.abandon(now, session.pending);
        self.abandon_own(now, session.own);
        self.send_bye(now, session.dialog, headers, leg, None);
    }

    /// Sends a BYE: that of a leg, or of a dialog alone.
    pub(super) fn send_bye(
        &mut self,
        now: Instant,
        mut dialog: Dialog,
        headers: UserHeaders,
        leg: LegId,
        alone: Option<DialogId>,
    ) {
        let branch = self.ids.branch();
        let (mut bye, flow) = dialog.request(Method::Bye);
        let via = self.via(flow, &branch);
        bye.headers.push_first("Via", via.to_string());
        bye.headers.push("User-Agent", self.config.user_agent.clone());
        push_user_headers(&mut bye.headers, headers);
        let machine = ClientNonInvite::new(now, &bye, self.config.timers);
        let method = Method::Bye;
        self.open_client(now, ClientKey { branch, method }, flow, Work::Bye { machine, leg, alone });
    }

    /// A BYE has its final response, or will have none.
    pub(super) fn bye_settled(&mut self, now: Instant, leg: LegId, alone: Option<DialogId>) {
        match alone {
            Some(dialog) => self.records.close(leg, &Thread::Dialog(dialog)),
            None if self.is_unsettled(leg) => self.hang_up_later(now, leg),
            None => self.end_leg(now, leg),
        }
    }

    /// The peer hangs up.
    pub(super) fn bye_received(
        &mut self,
        now: Instant,
        leg: LegId,
        transaction: TransactionId,
        bye: &Request,
    ) {
        self.conclude(now, transaction, (200, Vec::new()));
        match self.legs.get(&leg) {
            // The INVITE is still to be answered: 487 (RFC 3261 15.1.2).
            Some(Leg::Incoming { invite, .. }) => {
                let invite = *invite;
                self.conclude(now, invite, (487, Vec::new()));
            }
            // A callee ends an early dialog by its final response; a BYE on one of several early dialogs ends that one.
            Some(Leg::Outgoing(_)) => return self.forget_early(now, leg, bye),
            Some(Leg::Ending { .. }) => return self.end_leg(now, leg),
            Some(Leg::Confirmed(_)) | None => {}
        }
        let reason = bye.headers.reason();
        self.event(leg, Event::Bye { reason });
        self.end_leg(now, leg);
    }

    fn forget_early(&mut self, now: Instant, leg: LegId, bye: &Request) {
        let Some(id) = DialogId::of_request(bye) else {
            return;
        };
        self.dialogs.remove(&id);
        let Some(Leg::Outgoing(outgoing)) = self.legs.get_mut(&leg) else {
            return;
        };
        let Some(at) = outgoing.early.iter().position(|session| session.dialog.id == id) else {
            return;
        };
        let session = outgoing.early.swap_remove(at);
        self.abandon(now, session.pending);
    }

    /// Forgets a leg: nothing of it is left in any map, and the user hears of it last.
    pub(super) fn end_leg(&mut self, now: Instant, leg: LegId) {
        self.release_ack(leg, None);
        let Some(state) = self.legs.remove(&leg) else {
            return;
        };
        self.arm_leg(leg);
        let stood = matches!(state, Leg::Confirmed(_) | Leg::Ending { .. });
        let (dialogs, pending, own) = state.into_parts();
        if stood {
            self.records.close_call(leg, &dialogs);
        }
        for dialog in &dialogs {
            self.dialogs.remove(dialog);
        }
        self.abandon(now, pending);
        for own in own {
            self.abandon_own(now, own);
        }
        self.event(leg, Event::Ended);
    }

    /// 487 to whatever is still open when its dialog ends.
    pub(super) fn abandon(&mut self, now: Instant, pending: Vec<Pending>) {
        for pending in pending {
            self.conclude(now, pending.transaction, (487, Vec::new()));
        }
    }

    pub(super) fn leg_timer(&mut self, now: Instant, leg: LegId) {
        match self.legs.get(&leg) {
            Some(Leg::Outgoing(_)) => self.cancel_timer(now, leg),
            Some(Leg::Confirmed(_)) => {
                self.awaited_ack_timer(now, leg);
                self.own_timer(now, leg);
                self.session_timer(now, leg);
                self.held_ack_timer(now, leg);
            }
            Some(Leg::Incoming { .. }) => self.reliable_timer(now, leg),
            Some(Leg::Ending { .. }) => self.hang_up_again(now, leg),
            None => {}
        }
    }

    /// Sets the alarm of a leg to its state.
    pub(super) fn arm_leg(&mut self, leg: LegId) {
        let deadline = self.legs.get(&leg).and_then(Leg::deadline);
        self.alarms.set(Owner::Leg(leg), deadline);
    }
}
