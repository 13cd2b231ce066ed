//! The INVITE as its UAC sees it (RFC 3261 9.1, 13.2): responses, ACK, CANCEL, forks.

use std::time::Instant;

use super::client::Work;
use super::leg::{Cancel, Leg, Outgoing, Session, UserHeaders};
use super::{Endpoint, Event, LegId, Rejection};
use crate::dialog::Dialog;
use crate::message::Response;
use crate::transaction::TransactionId;

/// The most early dialogs, and the most answers, of one INVITE; what comes beyond gets no state.
const MAX_FORKS: usize = 16;

impl Endpoint {
    /// A client transaction hands up a response.
    pub(super) fn on_response(&mut self, now: Instant, id: TransactionId, response: Box<Response>) {
        let Some(client) = self.clients.get(id) else {
            return;
        };
        match &client.work {
            Work::Invite { leg, .. } => {
                let leg = *leg;
                match response.status {
                    ..200 => self.progress(now, id, leg, response),
                    200..300 => self.success(now, id, leg, response),
                    422 if self.retry_longer(now, id, leg, &response.headers) => {}
                    _ => self.rejected(now, id, leg, Rejection::Response(response)),
                }
            }
            Work::Bye { leg, alone, .. } if response.status >= 200 => {
                let (leg, alone) = (*leg, alone.clone());
                self.bye_settled(now, leg, alone);
            }
            Work::Cancel { .. } if response.status >= 300 => self.cancel_refused(now, &response),
            Work::Request(_) => self.own_response(now, id, response),
            Work::Apart { id, .. } if response.status >= 200 => {
                let id = *id;
                self.settled_apart(id, Ok(response));
            }
            Work::Bye { .. } | Work::Cancel { .. } | Work::Prack { .. } | Work::Apart { .. } => {}
        }
    }

    /// A client transaction got no final response, or could not send.
    pub(super) fn on_failure(&mut self, now: Instant, id: TransactionId, rejection: Rejection) {
        match self.clients.get(id).map(|client| &client.work) {
            Some(Work::Invite { leg, .. }) => {
                let leg = *leg;
                self.rejected(now, id, leg, rejection);
            }
            Some(Work::Bye { leg, alone, .. }) => {
                let (leg, alone) = (*leg, alone.clone());
                self.bye_settled(now, leg, alone);
            }
            Some(Work::Request(_)) => self.own_failure(now, id, rejection),
            Some(Work::Apart { id, .. }) => {
                let id = *id;
                self.settled_apart(id, Err(rejection));
            }
            Some(Work::Cancel { .. } | Work::Prack { .. }) | None => {}
        }
    }

    /// The leg as long as this INVITE has no final response.
    pub(super) fn outgoing(&mut self, id: TransactionId, leg: LegId) -> Option<&mut Outgoing> {
        match self.legs.get_mut(&leg) {
            Some(Leg::Outgoing(outgoing)) if outgoing.invite == id => Some(&mut **outgoing),
            _ => None,
        }
    }

    fn progress(&mut self, now: Instant, id: TransactionId, leg: LegId, response: Box<Response>) {
        self.remember_early(id, leg, &response);
        let news = self.take_provisional(now, id, leg, &response);
        let Some(outgoing) = self.outgoing(id, leg) else {
            return self.late_provisional(now, id, leg);
        };
        outgoing.silence = None;
        match &mut outgoing.cancel {
            Cancel::NotWanted if news && response.status > 100 => {
                self.event(leg, Event::Provisional(response));
            }
            Cancel::NotWanted | Cancel::Sent { .. } => {}
            Cancel::Held(headers) => {
                let headers = std::mem::take(headers);
                self.send_cancel(now, id, leg, headers);
            }
        }
        self.arm_leg(leg);
    }

    /// A 1xx with a To tag begins an early dialog (RFC 3261 12.1).
    fn remember_early(&mut self, id: TransactionId, leg: LegId, response: &Response) {
        let tagged = response.headers.to().is_some_and(|to| to.tag().is_some());
        let Some(dialog) = self.dialog_of(id, response).filter(|_| tagged && response.status > 100) else {
            return;
        };
        let key = dialog.id.clone();
        let Some(outgoing) = self.outgoing(id, leg) else {
            return;
        };
        let known = outgoing.early.iter().any(|session| session.dialog.id == key);
        if !known && outgoing.early.len() < MAX_FORKS {
            outgoing.early.push(Session::new(dialog));
            self.dialogs.insert(key.clone(), leg);
        }
        self.note_early_offer(id, leg, &key, known, response);
    }

    /// The dialog that a response to our INVITE makes.
    fn dialog_of(&self, id: TransactionId, response: &Response) -> Option<Dialog> {
        let client = self.clients.get(id)?;
        match &client.work {
            Work::Invite { machine, .. } => {
                Dialog::uac(machine.request(), response, self.paths(client.dialog_flow()))
            }
            _ => None,
        }
    }

    /// A 2xx: every one is acknowledged, the first one is the answer, those of other forks are hung up (RFC 3261
    /// 13.2.2.4).
    fn success(&mut self, now: Instant, id: TransactionId, leg: LegId, response: Box<Response>) {
        let Some(mut dialog) = self.dialog_of(id, &response) else {
            return;
        };
        if self.is_repeated(id, &dialog) {
            return;
        }
        let Some(outgoing) = self.outgoing(id, leg) else {
            self.send_ack(id, &dialog, None);
            // What its early dialog counted to, with each PRACK, is forgotten.
            dialog.leap();
            self.record_dialog(leg, &dialog);
            let (headers, alone) = (self.records.headers(leg), Some(dialog.id.clone()));
            return self.send_bye(now, dialog, headers, leg, alone);
        };
        let cancel = std::mem::replace(&mut outgoing.cancel, Cancel::NotWanted);
        let offerless = outgoing.offerless;
        let early = std::mem::take(&mut outgoing.early);
        let mut session = self.confirm(now, early, dialog);
        self.dialogs.insert(session.dialog.id.clone(), leg);
        let wants_answer = offerless && session.owed.wants_answer(!response.body.is_empty());
        if wants_answer && matches!(cancel, Cancel::NotWanted) {
            self.hold_ack(now, id, &mut session);
        } else {
            self.send_ack(id, &session.dialog, None);
        }
        self.legs.insert(leg, Leg::Confirmed(Box::new(session)));
        self.record_session(leg);
        self.confirmed_as_uac(now, id, leg, &response.headers);
        match cancel {
            Cancel::NotWanted => self.event(leg, Event::Answered(response)),
            Cancel::Held(headers) | Cancel::Sent { headers, .. } => self.send_leg_bye(now, leg, headers),
        }
        self.arm_leg(leg);
    }

    /// The dialog that was answered goes on from its early one; the other early ones end.
    fn confirm(&mut self, now: Instant, early: Vec<Session>, mut dialog: Dialog) -> Session {
        let mut answered = None;
        for session in early {
            self.dialogs.remove(&session.dialog.id);
            if session.dialog.id == dialog.id {
                dialog.continue_from(&session.dialog);
                answered = Some((session.pending, session.owed, session.said));
            } else {
                self.abandon(now, session.pending);
            }
        }
        let mut session = Session::new(dialog);
        if let Some((pending, owed, said)) = answered {
            (session.pending, session.owed, session.said) = (pending, owed, said);
        }
        session
    }

    /// A 2xx of a fork that has answered already gets the same ACK again, unless that is still held; one more fork than
    /// we remember gets nothing.
    fn is_repeated(&mut self, id: TransactionId, dialog: &Dialog) -> bool {
        let Some(Work::Invite { acks, .. }) = self.clients.get(id).map(|client| &client.work) else {
            return true;
        };
        let Some(sent) = acks.iter().find(|sent| sent.tag == dialog.id.remote_tag) else {
            return acks.len() >= MAX_FORKS;
        };
        let (flow, bytes) = (sent.flow, sent.bytes.clone());
        if let Some(bytes) = bytes {
            self.send(flow, bytes, None);
        }
        true
    }

    pub(super) fn rejected(&mut self, now: Instant, id: TransactionId, leg: LegId, rejection: Rejection) {
        if self.outgoing(id, leg).is_some() {
            self.event(leg, Event::Rejected(rejection));
            self.end_leg(now, leg);
        }
    }

    /// Sends the CANCEL; from now on the INVITE has 64*T1 (RFC 3261 9.1).
    pub(super) fn send_cancel(
        &mut self,
        now: Instant,
        invite: TransactionId,
        leg: LegId,
        headers: UserHeaders,
    ) {
        self.open_cancel(now, invite, &headers);
        let give_up = now + self.config.timers.timeout();
        if let Some(outgoing) = self.outgoing(invite, leg) {
            outgoing.cancel = Cancel::Sent { headers, give_up };
        }
        self.arm_leg(leg);
    }

    /// No final response after a CANCEL: the INVITE transaction is destroyed.
    pub(super) fn cancel_timer(&mut self, now: Instant, leg: LegId) {
        let Some(Leg::Outgoing(outgoing)) = self.legs.get(&leg) else {
            return;
        };
        let invite = outgoing.invite;
        match outgoing.cancel {
            Cancel::Sent { give_up, .. } if give_up <= now => {
                self.close_client(invite);
                self.rejected(now, invite, leg, Rejection::Timeout);
            }
            Cancel::NotWanted | Cancel::Held(_) => self.silent(now, invite, leg),
            Cancel::Sent { .. } => {}
        }
    }
}
