//! Running the client transactions: each input to a machine is followed by what it wants done, its new alarm, and its
//! removal when it has terminated.

use std::time::Instant;

use bytes::Bytes;

use super::alarms::Owner;
use super::former::Thread;
use super::own_transaction::{Input, OwnTransaction};
use super::{Endpoint, LegId, Origin, OwnRequestId, Rejection};
use crate::auth::Answered;
use crate::dialog::id::DialogId;
use crate::message::Response;
use crate::transaction::client_invite::{self, ClientInvite};
use crate::transaction::client_non_invite::{self, ClientNonInvite};
use crate::transaction::key::ClientKey;
use crate::transaction::{ClientOutput, TransactionId};
use crate::transport::Flow;

#[derive(Debug)]
pub(super) struct ClientTransaction {
    pub(super) flow: Flow,
    /// By TCP only because it is large: the way by UDP, which the dialog is on.
    pub(super) instead_of: Option<Flow>,
    pub(super) work: Work,
    /// The challenges that the request has met.
    pub(super) answered: Answered,
}

/// What a client transaction is for.
#[derive(Debug)]
pub(super) enum Work {
    Invite {
        machine: Box<ClientInvite>,
        leg: LegId,
        /// The ACKs that were sent for 2xx, by To tag: a retransmitted 2xx gets its ACK again.
        acks: Vec<SentAck>,
    },
    Bye {
        machine: ClientNonInvite,
        /// The leg that it belongs to.
        leg: LegId,
        /// The dialog that it ends alone: that of a second answer, or of one that came too late. Without it the leg ends.
        alone: Option<DialogId>,
    },
    Cancel {
        machine: ClientNonInvite,
    },
    /// A request of ours within a dialog.
    Request(Box<OwnTransaction>),
    /// Whatever comes of it, the early dialog goes on.
    Prack {
        machine: ClientNonInvite,
    },
    /// A request of the user outside of any dialog.
    Apart {
        machine: ClientNonInvite,
        id: OwnRequestId,
    },
}

#[derive(Debug)]
pub(super) struct SentAck {
    pub(super) tag: String,
    pub(super) flow: Flow,
    /// None as long as it waits for the user's answer to the peer's offer.
    pub(super) bytes: Option<Bytes>,
}

impl Work {
    pub(super) fn rely_on_transport(&mut self) {
        match self {
            Self::Invite { machine, .. } => machine.rely_on_transport(),
            Self::Bye { machine, .. }
            | Self::Cancel { machine }
            | Self::Prack { machine }
            | Self::Apart { machine, .. } => machine.rely_on_transport(),
            Self::Request(own) => own.rely_on_transport(),
        }
    }

    /// Its INVITE or re-INVITE, if it is one.
    pub(super) fn client_invite(&mut self) -> Option<&mut ClientInvite> {
        match self {
            Self::Invite { machine, .. } => Some(machine),
            Self::Request(own) => own.client_invite(),
            Self::Bye { .. } | Self::Cancel { .. } | Self::Prack { .. } | Self::Apart { .. } => None,
        }
    }
}

impl ClientTransaction {
    /// The way of what belongs to its dialog and not to itself.
    pub(super) fn dialog_flow(&self) -> Flow {
        self.instead_of.unwrap_or(self.flow)
    }

    /// Does it wait for a final response that its dialog needs?
    pub(super) fn is_open(&self) -> bool {
        match &self.work {
            Work::Invite { machine, .. } => machine.is_open(),
            Work::Bye { machine, .. } | Work::Cancel { machine } => machine.is_open(),
            // The leg that they belong to counts.
            Work::Request(_) | Work::Prack { .. } | Work::Apart { .. } => false,
        }
    }

    fn handle(&mut self, now: Instant, input: Input) {
        match &mut self.work {
            Work::Request(own) => own.handle(now, input),
            Work::Invite { machine, .. } => machine.handle(
                now,
                match input {
                    Input::Response(response) => client_invite::Input::Response(response),
                    Input::TransportError => client_invite::Input::TransportError,
                    Input::Abandon => client_invite::Input::Abandon,
                    Input::Timer => client_invite::Input::Timer,
                },
            ),
            Work::Bye { machine, .. }
            | Work::Cancel { machine }
            | Work::Prack { machine }
            | Work::Apart { machine, .. } => machine.handle(
                now,
                match input {
                    Input::Response(response) => client_non_invite::Input::Response(response),
                    Input::TransportError => client_non_invite::Input::TransportError,
                    Input::Timer => client_non_invite::Input::Timer,
                    Input::Abandon => return,
                },
            ),
        }
    }

    fn poll(&mut self) -> Option<ClientOutput> {
        match &mut self.work {
            Work::Request(own) => own.poll(),
            Work::Invite { machine, .. } => machine.poll(),
            Work::Bye { machine, .. }
            | Work::Cancel { machine }
            | Work::Prack { machine }
            | Work::Apart { machine, .. } => machine.poll(),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.work {
            Work::Request(own) => own.deadline(),
            Work::Invite { machine, .. } => machine.deadline(),
            Work::Bye { machine, .. }
            | Work::Cancel { machine }
            | Work::Prack { machine }
            | Work::Apart { machine, .. } => machine.deadline(),
        }
    }

    fn is_terminated(&self) -> bool {
        match &self.work {
            Work::Request(own) => own.is_terminated(),
            Work::Invite { machine, .. } => machine.is_terminated(),
            Work::Bye { machine, .. }
            | Work::Cancel { machine }
            | Work::Prack { machine }
            | Work::Apart { machine, .. } => machine.is_terminated(),
        }
    }
}

impl Endpoint {
    /// Begins the client transaction of a request that already has its Via.
    pub(super) fn open_client(
        &mut self,
        now: Instant,
        key: ClientKey,
        flow: Flow,
        mut work: Work,
    ) -> TransactionId {
        let by_tcp = self.too_large(flow, &mut work);
        if let Some((tcp, invite)) = by_tcp.zip(work.client_invite()) {
            invite.start_over(now, &self.via(tcp, &key.branch));
        }
        let (flow, instead_of) = by_tcp.map_or((flow, None), |tcp| (tcp, Some(flow)));
        if flow.transport.is_reliable() {
            work.rely_on_transport();
        }
        self.start_client(now, key, flow, instead_of, work)
    }

    /// Runs a client transaction as it is.
    pub(super) fn start_client(
        &mut self,
        now: Instant,
        key: ClientKey,
        flow: Flow,
        instead_of: Option<Flow>,
        work: Work,
    ) -> TransactionId {
        let id = self.new_transaction();
        let answered = Answered::default();
        self.clients.insert(id, key, ClientTransaction { flow, instead_of, work, answered });
        self.drain_client(now, id);
        id
    }

    pub(super) fn client_response(&mut self, now: Instant, id: TransactionId, response: Response) {
        self.client_input(now, id, Input::Response(Box::new(response)));
    }

    pub(super) fn client_timer(&mut self, now: Instant, id: TransactionId) {
        self.client_input(now, id, Input::Timer);
    }

    pub(super) fn transport_error(&mut self, now: Instant, origin: Origin) {
        let Some(id) = origin.0 else {
            return;
        };
        if !self.back_to_udp(now, id) {
            self.client_input(now, id, Input::TransportError);
        }
    }

    /// Gives up an INVITE that nothing has come back to.
    pub(super) fn abandon_client(&mut self, now: Instant, id: TransactionId) {
        self.client_input(now, id, Input::Abandon);
    }

    fn client_input(&mut self, now: Instant, id: TransactionId, input: Input) {
        if let Some(transaction) = self.clients.get_mut(id) {
            transaction.handle(now, input);
            self.drain_client(now, id);
        }
    }

    pub(super) fn drain_client(&mut self, now: Instant, id: TransactionId) {
        while let Some(transaction) = self.clients.get_mut(id) {
            let flow = transaction.flow;
            match transaction.poll() {
                Some(ClientOutput::Send(bytes)) => self.send(flow, bytes, Some(id)),
                Some(ClientOutput::Response(response)) if self.answer_challenge(now, id, &response) => {}
                Some(ClientOutput::Response(response)) => self.on_response(now, id, response),
                Some(ClientOutput::Timeout) => self.on_failure(now, id, Rejection::Timeout),
                Some(ClientOutput::TransportError) => self.on_failure(now, id, Rejection::Transport),
                None => break,
            }
        }
        self.record_client(id);
        match self.clients.get(id) {
            Some(transaction) if !transaction.is_terminated() => {
                self.alarms.set(Owner::Client(id), transaction.deadline());
            }
            _ => self.close_client(id),
        }
    }

    pub(super) fn close_client(&mut self, id: TransactionId) {
        self.alarms.set(Owner::Client(id), None);
        let client = self.clients.remove(id);
        if let Some(Work::Invite { leg, .. }) = client.map(|client| client.work) {
            self.records.close(leg, &Thread::Invite(id));
        }
    }
}
