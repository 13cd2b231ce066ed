//! An INVITE of ours that nothing at all comes back to is given up before Timer B (`OutgoingInvite::answer_within`).
//! It cannot be cancelled before a provisional response (RFC 3261 9.1), so its transaction is kept for 64*T1 more: a late
//! provisional response gets CANCEL, a late 2xx ACK and BYE, any other final response its ACK.

use std::time::Instant;

use super::client::Work;
use super::{Endpoint, LegId, Rejection};
use crate::message::{Method, Response};
use crate::transaction::TransactionId;
use crate::transaction::key::ClientKey;

impl Endpoint {
    /// The time for a first response is over.
    pub(super) fn silent(&mut self, now: Instant, invite: TransactionId, leg: LegId) {
        let over = self.outgoing(invite, leg).and_then(|outgoing| outgoing.silence);
        if over.is_some_and(|over| over <= now) {
            self.abandon_client(now, invite);
            self.rejected(now, invite, leg, Rejection::Silence);
        }
    }

    /// The peer does not know the INVITE that we cancelled, or not yet.
    pub(super) fn cancel_refused(&mut self, now: Instant, response: &Response) {
        let invite = ClientKey::of(&response.headers).map(|key| ClientKey { method: Method::Invite, ..key });
        let Some(id) = invite.and_then(|key| self.clients.find(&key)) else {
            return;
        };
        if let Some(Work::Invite { machine, leg, .. }) =
            self.clients.get_mut(id).map(|client| &mut client.work)
            && machine.cancel_refused()
        {
            let leg = *leg;
            self.late_provisional(now, id, leg);
        }
    }

    /// A provisional response to an INVITE whose leg is gone.
    pub(super) fn late_provisional(&mut self, now: Instant, invite: TransactionId, leg: LegId) {
        let headers = self.records.headers(leg);
        self.open_cancel(now, invite, &headers);
    }
}
