//! Digest authentication of what comes in and of what goes out (RFC 3261 section 22).

use std::mem;
use std::time::Instant;

use super::client::{ClientTransaction, Work};
use super::incoming::Refusal;
use super::leg::{Cancel, Leg};
use super::{Endpoint, LegId, count};
use crate::auth::{Answered, Verdict, is_challenged};
use crate::dialog::id::DialogId;
use crate::message::{Headers, Message, Method, Request, Response, parse};
use crate::transaction::TransactionId;
use crate::transaction::client_invite::ClientInvite;
use crate::transaction::client_non_invite::ClientNonInvite;
use crate::transaction::key::ClientKey;
use crate::transaction::timer::Timers;
use crate::transport::Flow;

/// No leg has this number.
const NO_LEG: LegId = LegId(0);
/// The header fields that answers to challenges are in.
const CREDENTIALS: [&str; 2] = ["Authorization", "Proxy-Authorization"];

impl Endpoint {
    /// Who sent a request outside of a dialog, where its trunk asks; else the 401 that asks. The 401 leaves no state
    /// behind: its nonce says for itself that it is ours.
    pub(super) fn identify(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Request,
    ) -> Result<Option<String>, Refusal> {
        let trunk = self.trunks.get_mut(&flow.trunk);
        let Some(authenticator) = trunk.and_then(|trunk| trunk.authenticator.as_mut()) else {
            return Ok(None);
        };
        if !is_challenged(&request.method) {
            return Ok(None);
        }
        match authenticator.verify(now, request) {
            Verdict::Accepted(user) => {
                self.prove(flow);
                Ok(Some(user))
            }
            Verdict::Challenge { stale } => {
                count(&self.counters.challenged);
                let challenges = authenticator.challenges(now, stale);
                // Without credentials it has not tried yet, and with an old nonce they may be right.
                if request.headers.get("Authorization").is_some() && !stale {
                    self.strike(flow);
                }
                Err((401, challenges.into_iter().map(|value| ("WWW-Authenticate", value)).collect()))
            }
        }
    }

    /// Sends a request again with the answer to the challenge that it met, if there is one: with another branch and
    /// the next sequence number, as the same transaction to whoever sent it (RFC 3261 22.2). Else the response is
    /// final.
    pub(super) fn answer_challenge(&mut self, now: Instant, id: TransactionId, response: &Response) -> bool {
        if !matches!(response.status, 401 | 407) || !self.is_wanted(id) {
            return false;
        }
        let Some((mut request, flow)) = self.answered_request(id, response) else {
            return false;
        };
        let Some(number) = self.next_cseq(&request) else {
            return false;
        };
        let branch = self.ids.branch();
        request.headers.set_top_via(&self.via(flow, &branch));
        request.headers.set("CSeq", format!("{number} {}", request.method));
        if let Some(leg) = self.invited(id) {
            self.forget_all_early(now, leg);
        }
        self.send_again(now, id, request, branch);
        true
    }

    /// The request with its answer, and the way that it goes.
    fn answered_request(&mut self, id: TransactionId, response: &Response) -> Option<(Request, Flow)> {
        let cnonce = self.ids.tag();
        let client = self.clients.get_mut(id)?;
        let mut request = client.work.machine()?.request()?;
        let trunk = self.trunks.get_mut(&client.flow.trunk)?;
        let answer = trunk.answerer.answer(response, &mut request, &mut client.answered, &cnonce);
        if let Err(refused) = answer {
            tracing::debug!(flow = %client.flow, %refused, "challenge not answered");
            return None;
        }
        Some((request, client.flow))
    }

    /// The leg that this INVITE is to begin.
    fn invited(&self, id: TransactionId) -> Option<LegId> {
        match self.clients.get(id).map(|client| &client.work) {
            Some(Work::Invite { leg, .. }) => Some(*leg),
            _ => None,
        }
    }

    /// Is the outcome of this request still of interest? Not that of an INVITE whose CANCEL waits or is on its way.
    pub(super) fn is_wanted(&self, id: TransactionId) -> bool {
        let Some(leg) = self.invited(id) else {
            return true;
        };
        match self.legs.get(&leg) {
            Some(Leg::Outgoing(outgoing)) => {
                outgoing.invite == id && matches!(outgoing.cancel, Cancel::NotWanted)
            }
            _ => false,
        }
    }

    /// The number of a request that is sent again. Its dialog may have counted on meanwhile; where it has ended, only a
    /// BYE still goes out.
    fn next_cseq(&mut self, request: &Request) -> Option<u32> {
        let next = request.headers.cseq()?.number.wrapping_add(1);
        let Some(dialog) = DialogId::of_own(request) else {
            return Some(next);
        };
        let leg = self.dialogs.get(&dialog).and_then(|leg| self.legs.get_mut(leg));
        match leg.and_then(|leg| leg.session(&dialog)) {
            Some(session) => Some(session.dialog.next_cseq()),
            None => (request.method == Method::Bye).then_some(next),
        }
    }

    /// What the challenged INVITE has begun is over.
    pub(super) fn forget_all_early(&mut self, now: Instant, leg: LegId) {
        let Some(Leg::Outgoing(outgoing)) = self.legs.get_mut(&leg) else {
            return;
        };
        for session in mem::take(&mut outgoing.early) {
            self.dialogs.remove(&session.dialog.id);
            self.abandon(now, session.pending);
        }
    }

    /// Puts a new transaction in the place of one that was refused. An old INVITE lingers to acknowledge its refusal again: it
    /// has its final response, so nothing of it concerns a leg any more.
    pub(super) fn send_again(&mut self, now: Instant, id: TransactionId, request: Request, branch: String) {
        let key = ClientKey { branch, method: request.method.clone() };
        let timers = self.config.timers;
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        let flow = client.flow;
        let lingers = client.work.machine().and_then(|machine| machine.restart(now, request, timers));
        if flow.transport.is_reliable() {
            client.work.rely_on_transport();
        }
        let old_key = self.clients.rekey(id, key);
        if let Some((machine, old_key)) = lingers.zip(old_key) {
            let work = Work::Invite { machine: Box::new(machine), leg: NO_LEG, acks: Vec::new() };
            let lingering = self.new_transaction();
            let answered = Answered::default();
            self.clients.insert(
                lingering,
                old_key,
                ClientTransaction { flow, instead_of: None, work, answered },
            );
            self.drain_client(now, lingering);
        }
    }
}

/// The transaction of a request that may be challenged.
pub(super) enum Machine<'a> {
    Invite(&'a mut ClientInvite),
    NonInvite(&'a mut ClientNonInvite),
}

impl Work {
    /// None for a CANCEL, which cannot be sent again (RFC 3261 22.1).
    fn machine(&mut self) -> Option<Machine<'_>> {
        match self {
            Self::Invite { machine, .. } => Some(Machine::Invite(machine)),
            Self::Request(own) => Some(own.machine()),
            Self::Bye { machine, .. } | Self::Prack { machine } | Self::Apart { machine, .. } => {
                Some(Machine::NonInvite(machine))
            }
            Self::Cancel { .. } => None,
        }
    }
}

impl Machine<'_> {
    /// The request as it was sent.
    fn request(&self) -> Option<Request> {
        match self {
            Self::Invite(machine) => Some(machine.request().clone()),
            Self::NonInvite(machine) => match parse::datagram(machine.request()) {
                Ok(Message::Request(request)) => Some(request),
                _ => None,
            },
        }
    }

    /// Begins anew with another request. An INVITE that has its final response is given back: it must linger.
    fn restart(self, now: Instant, request: Request, timers: Timers) -> Option<ClientInvite> {
        match self {
            Self::Invite(machine) => Some(mem::replace(machine, ClientInvite::new(now, request, timers))),
            Self::NonInvite(machine) => {
                *machine = ClientNonInvite::new(now, &request, timers);
                None
            }
        }
    }
}

/// The ACK of a 2xx carries what its INVITE carried (RFC 3261 22.1), if it goes the same way: nobody else is to see it.
pub(super) fn copy_credentials(ack: &mut Headers, ack_flow: Flow, invite: &Headers, invite_flow: Flow) {
    if ack_flow == invite_flow {
        for name in CREDENTIALS {
            ack.copy(invite, name);
        }
    }
}
