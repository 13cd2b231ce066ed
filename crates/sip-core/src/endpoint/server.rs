//! Running the server transactions: each input to a machine is followed by what it wants sent, its new alarm, and its
//! removal when it has terminated.

use std::time::Instant;

use bytes::Bytes;

use super::alarms::Owner;
use super::former::Thread;
use super::response::ResponseBase;
use super::{Endpoint, LegId};
use crate::message::{Method, Request};
use crate::transaction::key::{MergeKey, ServerKey};
use crate::transaction::server_invite::{self, ServerInvite};
use crate::transaction::server_non_invite::{self, ServerNonInvite};
use crate::transaction::{ServerOutput, TransactionId};

#[derive(Debug)]
pub(super) struct ServerTransaction {
    pub(super) base: ResponseBase,
    pub(super) leg: Option<LegId>,
    machine: Machine,
    merge: Option<MergeKey>,
}

#[derive(Debug)]
enum Machine {
    Invite(ServerInvite),
    NonInvite(ServerNonInvite),
}

enum Input {
    Retransmission,
    Response { status: u16, bytes: Bytes },
    Ack,
    Timer,
}

impl Machine {
    fn rely_on_transport(&mut self) {
        match self {
            Self::Invite(machine) => machine.rely_on_transport(),
            Self::NonInvite(machine) => machine.rely_on_transport(),
        }
    }
}

impl ServerTransaction {
    /// Has no final response been sent yet?
    pub(super) fn is_proceeding(&self) -> bool {
        match &self.machine {
            Machine::Invite(machine) => machine.is_proceeding(),
            Machine::NonInvite(machine) => machine.is_proceeding(),
        }
    }

    /// Does it wait for its response, or for the ACK to it?
    pub(super) fn is_open(&self) -> bool {
        match &self.machine {
            Machine::Invite(machine) => machine.is_open(),
            Machine::NonInvite(_) => false,
        }
    }

    /// Is an ACK that matches it its own?
    pub(super) fn absorbs_ack(&self) -> bool {
        matches!(&self.machine, Machine::Invite(machine) if machine.absorbs_ack())
    }

    fn handle(&mut self, now: Instant, input: Input) {
        match &mut self.machine {
            Machine::Invite(machine) => machine.handle(
                now,
                match input {
                    Input::Retransmission => server_invite::Input::Invite,
                    Input::Response { status, bytes } => server_invite::Input::Response { status, bytes },
                    Input::Ack => server_invite::Input::Ack,
                    Input::Timer => server_invite::Input::Timer,
                },
            ),
            Machine::NonInvite(machine) => machine.handle(
                now,
                match input {
                    Input::Retransmission => server_non_invite::Input::Request,
                    Input::Response { status, bytes } => server_non_invite::Input::Response { status, bytes },
                    Input::Timer => server_non_invite::Input::Timer,
                    Input::Ack => return,
                },
            ),
        }
    }

    fn poll(&mut self) -> Option<ServerOutput> {
        match &mut self.machine {
            Machine::Invite(machine) => machine.poll(),
            Machine::NonInvite(machine) => machine.poll(),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.machine {
            Machine::Invite(machine) => machine.deadline(),
            Machine::NonInvite(machine) => machine.deadline(),
        }
    }

    fn is_terminated(&self) -> bool {
        match &self.machine {
            Machine::Invite(machine) => machine.is_terminated(),
            Machine::NonInvite(machine) => machine.is_terminated(),
        }
    }
}

impl Endpoint {
    /// Begins the server transaction of a new request; an INVITE gets its 100 at once.
    pub(super) fn open_server(
        &mut self,
        key: ServerKey,
        base: ResponseBase,
        request: &Request,
    ) -> TransactionId {
        let timers = self.config.timers;
        let machine = if request.method == Method::Invite {
            Machine::Invite(ServerInvite::new(base.response(100, None).to_bytes(), timers))
        } else {
            Machine::NonInvite(ServerNonInvite::new(timers))
        };
        self.start_server(key, base, machine)
    }

    /// Goes on with the server transaction of an INVITE that came in a former life; it wants its final response.
    pub(super) fn resume_server(&mut self, key: ServerKey, base: ResponseBase) -> TransactionId {
        let machine = Machine::Invite(ServerInvite::resumed(self.config.timers));
        self.start_server(key, base, machine)
    }

    fn start_server(&mut self, key: ServerKey, base: ResponseBase, mut machine: Machine) -> TransactionId {
        if base.flow.transport.is_reliable() {
            machine.rely_on_transport();
        }
        let id = self.new_transaction();
        self.servers.insert(id, key, ServerTransaction { base, leg: None, machine, merge: None });
        self.drain_server(id);
        id
    }

    /// Ties a server transaction to its leg. With `merge`, the same request by another way is known for what it is.
    pub(super) fn own_server(&mut self, id: TransactionId, leg: LegId, merge: Option<MergeKey>) {
        let Some(transaction) = self.servers.get_mut(id) else {
            return;
        };
        transaction.leg = Some(leg);
        transaction.merge.clone_from(&merge);
        if let Some(merge) = merge {
            self.merged.insert(merge);
        }
    }

    pub(super) fn server_retransmission(&mut self, now: Instant, id: TransactionId) {
        self.server_input(now, id, Input::Retransmission);
    }

    pub(super) fn server_ack(&mut self, now: Instant, id: TransactionId) {
        self.server_input(now, id, Input::Ack);
        if let Some(leg) = self.servers.get(id).and_then(|server| server.leg) {
            self.records.close(leg, &Thread::Invite(id));
            self.refused(now, leg);
        }
    }

    pub(super) fn server_respond(&mut self, now: Instant, id: TransactionId, status: u16, bytes: Bytes) {
        self.server_input(now, id, Input::Response { status, bytes });
    }

    pub(super) fn server_timer(&mut self, now: Instant, id: TransactionId) {
        self.server_input(now, id, Input::Timer);
    }

    fn server_input(&mut self, now: Instant, id: TransactionId, input: Input) {
        if let Some(transaction) = self.servers.get_mut(id) {
            transaction.handle(now, input);
            self.drain_server(id);
        }
    }

    fn drain_server(&mut self, id: TransactionId) {
        while let Some(transaction) = self.servers.get_mut(id) {
            let flow = transaction.base.flow;
            match transaction.poll() {
                Some(ServerOutput::Send(bytes)) => self.send(flow, bytes, Some(id)),
                None => break,
            }
        }
        match self.servers.get(id) {
            Some(transaction) if !transaction.is_terminated() => {
                self.alarms.set(Owner::Server(id), transaction.deadline());
            }
            _ => self.close_server(id),
        }
    }

    fn close_server(&mut self, id: TransactionId) {
        self.alarms.set(Owner::Server(id), None);
        let Some(transaction) = self.servers.remove(id) else {
            return;
        };
        if let Some(merge) = transaction.merge {
            self.merged.remove(&merge);
        }
        if let Some(leg) = transaction.leg {
            self.records.close(leg, &Thread::Invite(id));
        }
    }
}
