//! An INVITE of ours that nothing at all comes back to is given up before Timer B (`OutgoingInvite::answer_within`).
//! It cannot be cancelled before a provisional response (RFC 3261 9.1), so its transaction is kept for 64*T1 more: a late
//! provisional response gets CANCEL, a late 2xx ACK and BYE, any other final response its ACK.

use std::time::Instant;

use super::{Endpoint, LegId, Rejection};
use crate::transaction::TransactionId;

impl Endpoint {
    /// The time for a first response is over.
    pub(super) fn silent(&mut self, now: Instant, invite: TransactionId, leg: LegId) {
        let over = self.outgoing(invite, leg).and_then(|outgoing| outgoing.silence);
        if over.is_some_and(|over| over <= now) {
            self.abandon_client(now, invite);
            self.rejected(now, invite, leg, Rejection::Silence);
        }
    }

    /// A provisional response to an INVITE whose leg is gone.
    pub(super) fn late_provisional(&mut self, now: Instant, invite: TransactionId) {
        self.open_cancel(now, invite, &Vec::new());
    }
}
